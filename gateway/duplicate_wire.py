"""Requests for duplicates and their answers; what can be wrong with them."""

from imagesearch.gateway.v1 import versions_pb2 as pb

from gateway.duplicates.finding import Event, Progress, Summary
from gateway.duplicates.near_images import DuplicateSearch
from gateway.duplicates.reporting import Group, Keep
from gateway.duplicates.scans import is_id
from gateway.version_wire import check_confidence, relation
from image_kit.naming import check_index_name
from service_kit.errors import Violations

MAX_NEIGHBORS = 100
DEFAULT_NEIGHBORS = 10
DEFAULT_CONFIDENCE = 0.5

_KEEP = {
    pb.KEEP_RULE_UNSPECIFIED: Keep.LARGEST,
    pb.KEEP_RULE_LARGEST: Keep.LARGEST,
    pb.KEEP_RULE_OLDEST: Keep.OLDEST,
}


def duplicate_search(
    request: pb.FindDuplicatesRequest,
) -> tuple[DuplicateSearch, str, float, Keep]:
    """Reads what duplicates are looked for, the scan to go on with, and what makes a group.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    index = check_index_name(request.index, "index", wrong)
    if request.scan_id and not is_id(request.scan_id):
        wrong.add("scan_id", "is not the name of a scan: 32 lower-case hex digits")
    least = DEFAULT_CONFIDENCE
    if request.HasField("min_confidence"):
        least = request.min_confidence
        check_confidence(least, wrong)
    neighbors = DEFAULT_NEIGHBORS
    if request.HasField("max_neighbors"):
        neighbors = request.max_neighbors
        if not 1 <= neighbors <= MAX_NEIGHBORS:
            wrong.add("max_neighbors", f"is {neighbors}; 1 to {MAX_NEIGHBORS} are allowed")
    if request.keep not in _KEEP:
        wrong.add("keep", f"has no value {request.keep}")
    wrong.raise_if_any()
    narrowed = request.filter if request.HasField("filter") else None
    return DuplicateSearch(index, narrowed, neighbors), request.scan_id, least, _KEEP[request.keep]


def duplicates_response(event: Event) -> pb.FindDuplicatesResponse:
    """Renders what a scan has to say."""
    match event:
        case Progress():
            progress = pb.ScanProgress(
                scan_id=event.scan_id,
                checked_count=event.checked,
                total_count=event.total,
                compared_pairs=event.compared,
                proven_pairs=event.proven,
            )
            return pb.FindDuplicatesResponse(progress=progress)
        case Group():
            return pb.FindDuplicatesResponse(group=_group(event))
        case Summary():
            summary = pb.DuplicateSummary(
                group_count=event.groups,
                image_count=event.images,
                reclaimable_bytes=event.reclaimable_bytes,
                skipped_count=event.skipped,
            )
            return pb.FindDuplicatesResponse(summary=summary)


def _group(group: Group) -> pb.DuplicateGroup:
    shown = pb.DuplicateGroup(
        keep_image_id=group.members[0].document.image_id,
        reclaimable_bytes=group.reclaimable_bytes,
    )
    for member in group.members:
        image = shown.images.add(image=member.document, confidence=member.confidence)
        if member.relation is not None:
            image.relation = relation(member.relation)
    return shown
