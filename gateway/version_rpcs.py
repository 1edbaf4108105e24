"""What the RPCs that find versions of images do: each reads as its steps."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from imagesearch.gateway.v1 import versions_pb2 as pb

from gateway import duplicate_wire, version_wire
from gateway.duplicates.finding import Duplicates
from gateway.versions import Versions


class VersionRpcs:
    """Finds the same picture in other forms.

    Args:
        versions: Finds versions of one image.
        duplicates: Finds them all over an index.
    """

    def __init__(self, versions: Versions, duplicates: Duplicates) -> None:
        self._versions = versions
        self._duplicates = duplicates

    async def find_versions(self, request: pb.FindVersionsRequest) -> pb.FindVersionsResponse:
        wanted = version_wire.version_search(request)
        found = await self._versions.find(wanted)
        return version_wire.versions_response(found, request.fields)

    async def find_source(self, request: pb.FindSourceRequest) -> pb.FindSourceResponse:
        wanted = version_wire.version_search(request)
        found = await self._versions.find(wanted)
        return version_wire.source_response(found)

    async def find_duplicates(
        self, request: pb.FindDuplicatesRequest
    ) -> AsyncIterator[pb.FindDuplicatesResponse]:
        found = self._duplicates.find(*duplicate_wire.duplicate_search(request))
        async with aclosing(found):
            async for event in found:
                yield duplicate_wire.duplicates_response(event)
