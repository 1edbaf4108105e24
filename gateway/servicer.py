"""ImageSearchService: which part does what."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from imagesearch.gateway.v1 import classification_pb2 as classification_pb
from imagesearch.gateway.v1 import diagnostics_pb2 as diagnostics_pb
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.gateway.v1 import versions_pb2 as versions_pb

from gateway.classification_rpcs import ClassificationRpcs
from gateway.diagnosing import Diagnosing
from gateway.search_rpcs import SearchRpcs
from gateway.storage_rpcs import StorageRpcs
from gateway.version_rpcs import VersionRpcs

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class ImageSearchServicer(pb_grpc.ImageSearchServiceServicer):
    """The RPCs of ImageSearchService.

    Args:
        searches: Searches.
        versions: Finds versions of images.
        classification: Says what is in them.
        storage: Stores and reads them.
        diagnosing: Says how every part is.
    """

    def __init__(
        self,
        searches: SearchRpcs,
        versions: VersionRpcs,
        classification: ClassificationRpcs,
        storage: StorageRpcs,
        diagnosing: Diagnosing,
    ) -> None:
        self._searches = searches
        self._versions = versions
        self._classification = classification
        self._storage = storage
        self._diagnosing = diagnosing

    async def SearchByImage(
        self, request: pb.SearchByImageRequest, context: "Context"
    ) -> pb.SearchByImageResponse:
        return await self._searches.search_by_image(request)

    async def SearchByText(
        self, request: pb.SearchByTextRequest, context: "Context"
    ) -> pb.SearchByTextResponse:
        return await self._searches.search_by_text(request)

    async def SearchImages(
        self, request: queries_pb.SearchImagesRequest, context: "Context"
    ) -> queries_pb.SearchImagesResponse:
        return await self._searches.search_images(request)

    async def FindVersions(
        self, request: versions_pb.FindVersionsRequest, context: "Context"
    ) -> versions_pb.FindVersionsResponse:
        return await self._versions.find_versions(request)

    async def FindSource(
        self, request: versions_pb.FindSourceRequest, context: "Context"
    ) -> versions_pb.FindSourceResponse:
        return await self._versions.find_source(request)

    def FindDuplicates(
        self, request: versions_pb.FindDuplicatesRequest, context: "Context"
    ) -> AsyncIterator[versions_pb.FindDuplicatesResponse]:
        return self._versions.find_duplicates(request)

    async def Classify(
        self, request: classification_pb.ClassifyRequest, context: "Context"
    ) -> classification_pb.ClassifyResponse:
        return await self._classification.classify(request)

    def ClassifyBatch(
        self, request: classification_pb.ClassifyBatchRequest, context: "Context"
    ) -> AsyncIterator[classification_pb.ClassifyBatchResponse]:
        return self._classification.classify_batch(request)

    async def Identify(
        self, request: classification_pb.IdentifyRequest, context: "Context"
    ) -> classification_pb.IdentifyResponse:
        return await self._classification.identify(request)

    async def ListLabelSets(
        self, request: classification_pb.ListLabelSetsRequest, context: "Context"
    ) -> classification_pb.ListLabelSetsResponse:
        return await self._classification.list_label_sets(request)

    async def GetLabelSet(
        self, request: classification_pb.GetLabelSetRequest, context: "Context"
    ) -> classification_pb.GetLabelSetResponse:
        return await self._classification.get_label_set(request)

    def IndexImages(
        self, request_iterator: AsyncIterator[pb.IndexImagesRequest], context: "Context"
    ) -> AsyncIterator[pb.IndexImagesResponse]:
        return self._storage.index_images(request_iterator)

    async def IndexImage(
        self, request: pb.IndexImageRequest, context: "Context"
    ) -> pb.IndexImageResponse:
        return await self._storage.index_image(request)

    async def DeleteImages(
        self, request: pb.DeleteImagesRequest, context: "Context"
    ) -> pb.DeleteImagesResponse:
        return await self._storage.delete_images(request)

    async def GetImage(
        self, request: pb.GetImageRequest, context: "Context"
    ) -> pb.GetImageResponse:
        return await self._storage.get_image(request)

    async def GetImageContent(
        self, request: pb.GetImageContentRequest, context: "Context"
    ) -> pb.GetImageContentResponse:
        return await self._storage.get_image_content(request)

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: "Context"
    ) -> pb.GetStatusResponse:
        return await self._storage.get_status(request)

    async def GetDiagnostics(
        self, request: diagnostics_pb.GetDiagnosticsRequest, context: "Context"
    ) -> diagnostics_pb.GetDiagnosticsResponse:
        return await self._diagnosing.get_diagnostics(request)

    async def ListIndexes(
        self, request: pb.ListIndexesRequest, context: "Context"
    ) -> pb.ListIndexesResponse:
        return await self._storage.list_indexes(request)
