"""What the RPCs that find versions of images do: each reads as its steps."""

from collections.abc import AsyncIterator

from imagesearch.gateway.v1 import versions_pb2 as pb


class VersionRpcs:
    """Finds the same picture in other forms."""

    async def find_versions(self, request: pb.FindVersionsRequest) -> pb.FindVersionsResponse:
        raise NotImplementedError

    async def find_source(self, request: pb.FindSourceRequest) -> pb.FindSourceResponse:
        raise NotImplementedError

    def find_duplicates(
        self, request: pb.FindDuplicatesRequest
    ) -> AsyncIterator[pb.FindDuplicatesResponse]:
        raise NotImplementedError
