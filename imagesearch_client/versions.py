"""The same picture in other forms."""

from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import versions_pb2 as pb

from imagesearch_client import filters, values
from imagesearch_client.calls import Calls

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub


class Versions:
    """The calls that find versions of images."""

    _stub: "ImageSearchServiceAsyncStub"
    _calls: Calls

    async def find_versions(
        self,
        image: values.ImageInput | None = None,
        *,
        url: str | None = None,
        image_id: str | None = None,
        index: str = "",
        filter: filters.Filter | types.Filter | None = None,
        max_candidates: int | None = None,
        min_confidence: float | None = None,
        fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> pb.FindVersionsResponse:
        """Finds the same picture in other forms: resized, cropped, watermarked, mirrored.

        Args:
            image: The encoded image, or its file. Exactly one of this and the next two.
            url: Its address, where the server allows that.
            image_id: Id of an image of the index.
            index: Name of the index; "" for the default.
            filter: Only images that match: see `field`.
            max_candidates: Most images that are compared with it, 1 to 500. None: 50.
            min_confidence: Only versions at least this sure, 0 to 1.
            fields: Fields of Document to return; none: all.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.FindVersionsRequest(
            **values.one_source(image, url, image_id),
            index=index,
            filter=filters.message_of(filter),
            max_candidates=max_candidates,
            min_confidence=min_confidence,
            fields=fields,
        )
        return await self._calls.one(self._stub.FindVersions, request, timeout)

    async def find_source(
        self,
        image: values.ImageInput | None = None,
        *,
        url: str | None = None,
        image_id: str | None = None,
        index: str = "",
        filter: filters.Filter | types.Filter | None = None,
        max_candidates: int | None = None,
        min_confidence: float | None = None,
        timeout: float | None = None,
    ) -> pb.FindSourceResponse:
        """Finds where an image and its versions were seen, earliest first.

        Args:
            image: As of `find_versions`, like all that follow.
            url: Its address.
            image_id: Id of an image of the index.
            index: Name of the index.
            filter: Only images that match.
            max_candidates: Most images that are compared with it.
            min_confidence: Only versions at least this sure.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.FindSourceRequest(
            **values.one_source(image, url, image_id),
            index=index,
            filter=filters.message_of(filter),
            max_candidates=max_candidates,
            min_confidence=min_confidence,
        )
        return await self._calls.one(self._stub.FindSource, request, timeout)

    def find_duplicates(
        self,
        *,
        index: str = "",
        filter: filters.Filter | types.Filter | None = None,
        scan_id: str = "",
        min_confidence: float | None = None,
        max_neighbors: int | None = None,
        keep: "pb.KeepRule.ValueType" = pb.KEEP_RULE_UNSPECIFIED,
        timeout: float | None = None,
    ) -> AsyncGenerator[pb.FindDuplicatesResponse]:
        """Finds all groups of images of an index that are forms of one picture.

        Args:
            index: Name of the index; "" for the default.
            filter: Only images that match.
            scan_id: Go on with the scan that a progress message named so.
            min_confidence: Only pairs at least this sure are put together, 0 to 1. None: 0.5.
            max_neighbors: Most neighbours that each image is compared with by vector, and as many
                by hash, 1 to 100. None: 10.
            keep: Which image of a group is suggested to be kept.
            timeout: Seconds for the whole scan. None: as long as it goes on.

        Yields:
            Progress, then the groups, then one summary.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.FindDuplicatesRequest(
            index=index,
            filter=filters.message_of(filter),
            scan_id=scan_id,
            min_confidence=min_confidence,
            max_neighbors=max_neighbors,
            keep=keep,
        )
        return self._calls.many(self._stub.FindDuplicates, request, timeout)
