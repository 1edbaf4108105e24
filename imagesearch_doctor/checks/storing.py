"""Does the image store work, and does it belong to the index."""

from imagesearch.gateway.v1 import diagnostics_pb2
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client import ImageSearchError, NotFoundError
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System

SUBJECT = "image store"

_LITTLE_BYTES = 1024**3
_GIB = 1024**3
_SAMPLE = 3


async def store(system: System) -> list[Finding]:
    """Whether the gateway can read the store, and with --write, write to it."""
    told = (await system.diagnostics()).value
    return [] if told is None else judged(told.store)


def judged(kept: diagnostics_pb2.StoreDiagnostics) -> list[Finding]:
    """What is to be said of the store."""
    if kept.HasField("error"):
        what = f"{kept.url} does not work: {kept.error.message}"
        advice = (
            "see the gateway's log for event `store_failed`; check rights, room and credentials "
            "of GATEWAY_STORE_URL"
        )
        return [problem(SUBJECT, what, advice)]
    found = []
    if kept.url.startswith("memory:"):
        what = "images are kept in the gateway's memory, and lost when it stops"
        found.append(warning(SUBJECT, what, "set GATEWAY_STORE_URL to a folder or a bucket"))
    if kept.HasField("free_bytes") and kept.free_bytes < _LITTLE_BYTES:
        what = f"only {kept.free_bytes / _GIB:.2f} GiB are left for {kept.url}"
        found.append(warning(SUBJECT, what, "make room, or move it: GATEWAY_STORE_URL"))
    tried = "read and written" if kept.written else "read (--write tries writing, too)"
    return [*found, ok(SUBJECT, f"{kept.url} can be {tried}")]


async def contents(system: System) -> list[Finding]:
    """Whether images of the index are in the store: another store than it was filled with?"""
    status = (await system.status()).value
    if status is None or not status.HasField("index") or not status.index.document_count:
        return []
    name = status.index.name
    search = pb.SearchByTextRequest(index=name, text="a picture", k=_SAMPLE, fields=["image_name"])
    try:
        answer = await system.call(system.gateway.SearchByText, search)
    except ImageSearchError as error:
        what = f"a search by text fails: {error.message}"
        return [problem(f"index {name}", what, "see the other findings, and the gateway's log")]
    ids = [result.image.image_id for result in answer.results]
    if not ids:
        return []
    if lost := [image_id for image_id in ids if not await _is_there(system, name, image_id)]:
        what = f"of {len(ids)} images looked at, it lacks {len(lost)}, e.g. {lost[0][:12]}…"
        advice = (
            "point GATEWAY_STORE_URL to the store that the index was filled with, or restore it"
        )
        return [problem(SUBJECT, what, advice)]
    return [ok(SUBJECT, f"has the {len(ids)} images of the index that were looked at")]


async def _is_there(system: System, index: str, image_id: str) -> bool:
    request = pb.GetImageContentRequest(index=index, image_id=image_id)
    try:
        await system.call(system.gateway.GetImageContent, request)
    except NotFoundError:
        return False
    except ImageSearchError:
        return True  # that it does not work is told by `store`
    return True
