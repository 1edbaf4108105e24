"""Storing, deleting and reading images."""

from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import diagnostics_pb2 as diagnostics
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client.calls import Calls
from imagesearch_client.uploading import Uploading, UploadLimits, UploadOutcome, Uploads

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

_LIMITS = UploadLimits()


class Storage:
    """The calls that store and read images."""

    _stub: "ImageSearchServiceAsyncStub"
    _calls: Calls

    def index_images(
        self, uploads: Uploads, *, index: str = "", limits: UploadLimits = _LIMITS
    ) -> AsyncGenerator[UploadOutcome]:
        """Stores any number of images.

        The stream is opened anew as often as it breaks, and what was not answered is sent again,
        which never makes a second document. Uploads are taken in as there is room: a generator
        that reads files as they are wanted holds few of them in memory.

        Args:
            uploads: See `upload`. One that is no async iterable is read in a thread.
            index: Name of the index, made if there is none; "" for the default.
            limits: Bounds of what is under way, and of patience.

        Yields:
            One outcome for each upload, as they are done: stored, or refused with its reason.
            When all have come, searches see what was stored.

        Raises:
            ImageSearchError: The system stayed away, or refused the stream as a whole.
        """
        run = Uploading(self._stub.IndexImages, self._calls, uploads, index, limits)
        return run.outcomes()

    async def index_image(
        self,
        image: pb.ImageUpload,
        *,
        index: str = "",
        refresh: "types.RefreshPolicy.ValueType" = types.REFRESH_POLICY_UNSPECIFIED,
        timeout: float | None = None,
    ) -> pb.IndexImageResponse:
        """Stores one image.

        Args:
            image: See `upload`.
            index: Name of the index, made if there is none; "" for the default.
            refresh: When searches see it.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.IndexImageRequest(index=index, image=image, refresh=refresh)
        return await self._calls.one(self._stub.IndexImage, request, timeout)

    async def delete_images(
        self,
        image_ids: Iterable[str],
        *,
        index: str = "",
        refresh: "types.RefreshPolicy.ValueType" = types.REFRESH_POLICY_UNSPECIFIED,
        timeout: float | None = None,
    ) -> pb.DeleteImagesResponse:
        """Deletes images: documents, originals and thumbnails. What is not there is no error.

        Args:
            image_ids: Their ids, 1 to 1,000.
            index: Name of the index; "" for the default.
            refresh: When searches no longer see them.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.DeleteImagesRequest(index=index, image_ids=image_ids, refresh=refresh)
        return await self._calls.one(self._stub.DeleteImages, request, timeout)

    async def get_image(
        self, image_id: str, *, index: str = "", timeout: float | None = None
    ) -> pb.GetImageResponse:
        """Reads what is known of an image.

        Raises:
            ImageSearchError: It failed; NotFoundError: there is none of that id.
        """
        request = pb.GetImageRequest(index=index, image_id=image_id)
        return await self._calls.one(self._stub.GetImage, request, timeout)

    async def get_image_content(
        self,
        image_id: str,
        *,
        index: str = "",
        variant: "pb.ImageVariant.ValueType" = pb.IMAGE_VARIANT_UNSPECIFIED,
        timeout: float | None = None,
    ) -> pb.GetImageContentResponse:
        """Reads an image's original or, by default, its thumbnail.

        Raises:
            ImageSearchError: It failed; NotFoundError: there is none of that id.
        """
        request = pb.GetImageContentRequest(index=index, image_id=image_id, variant=variant)
        return await self._calls.one(self._stub.GetImageContent, request, timeout)

    async def get_status(
        self, *, index: str = "", timeout: float | None = None
    ) -> pb.GetStatusResponse:
        """Says which parts answer, what they run, and how much an index holds.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.GetStatusRequest(index=index)
        return await self._calls.one(self._stub.GetStatus, request, timeout)

    async def get_diagnostics(
        self, *, write_to_store: bool = False, timeout: float | None = None
    ) -> diagnostics.GetDiagnosticsResponse:
        """Says how every part is set up and how it is, as `imagesearch doctor` asks; for admins.

        Args:
            write_to_store: Write a small file to the image store, read it and delete it.
            timeout: Seconds that the call may take.

        Raises:
            ImageSearchError: It failed.
        """
        request = diagnostics.GetDiagnosticsRequest(write_to_store=write_to_store)
        return await self._calls.one(self._stub.GetDiagnostics, request, timeout)

    async def list_indexes(
        self, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> pb.ListIndexesResponse:
        """Lists the indexes, a page of them, by name.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.ListIndexesRequest(page_size=page_size, page_token=page_token)
        return await self._calls.one(self._stub.ListIndexes, request, timeout)
