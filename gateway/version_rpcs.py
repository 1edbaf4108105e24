"""What the RPCs that find versions of images do: each reads as its steps."""

from collections.abc import AsyncIterator

from imagesearch.gateway.v1 import versions_pb2 as pb

from gateway import version_wire
from gateway.versions import Versions


class VersionRpcs:
    """Finds the same picture in other forms.

    Args:
        versions: Finds versions of one image.
    """

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    async def find_versions(self, request: pb.FindVersionsRequest) -> pb.FindVersionsResponse:
        wanted = version_wire.version_search(request)
        found = await self._versions.find(wanted)
        return version_wire.versions_response(found, request.fields)

    async def find_source(self, request: pb.FindSourceRequest) -> pb.FindSourceResponse:
        wanted = version_wire.version_search(request)
        found = await self._versions.find(wanted)
        return version_wire.source_response(found)

    def find_duplicates(
        self, request: pb.FindDuplicatesRequest
    ) -> AsyncIterator[pb.FindDuplicatesResponse]:
        raise NotImplementedError
