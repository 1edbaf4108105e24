"""Requests for versions and their answers; what can be wrong with them."""

import math
from collections.abc import Sequence
from datetime import UTC

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.gateway.v1 import versions_pb2 as pb

from gateway.proof.boxes import Box
from gateway.proof.relations import Relation
from gateway.query_images import image_source
from gateway.versions import Found, Version, VersionSearch, earliest, largest
from service_kit.errors import Violations

MAX_CANDIDATES = 500
DEFAULT_CANDIDATES = 50

_DOCUMENT_FIELDS = frozenset(types.Document.DESCRIPTOR.fields_by_name)


def version_search(request: pb.FindVersionsRequest | pb.FindSourceRequest) -> VersionSearch:
    """Reads what versions are looked for.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    source = image_source(request, request.index, wrong)
    most = DEFAULT_CANDIDATES
    if request.HasField("max_candidates"):
        most = request.max_candidates
        if not 1 <= most <= MAX_CANDIDATES:
            wrong.add("max_candidates", f"is {most}; 1 to {MAX_CANDIDATES} are allowed")
    least = request.min_confidence if request.HasField("min_confidence") else 0.0
    check_confidence(least, wrong)
    if isinstance(request, pb.FindVersionsRequest):
        check_fields(request.fields, wrong)
    wrong.raise_if_any()
    narrowed = request.filter if request.HasField("filter") else None
    return VersionSearch(source, source.index, narrowed, most, least)


def check_confidence(value: float, wrong: Violations) -> None:
    """Notes whether this can be no least confidence."""
    if math.isnan(value) or not 0 <= value <= 1:
        wrong.add("min_confidence", f"is {value:g}; 0 to 1 is allowed")


def check_fields(fields: Sequence[str], wrong: Violations) -> None:
    """Notes which of these are no fields of Document."""
    for i, name in enumerate(fields):
        if name not in _DOCUMENT_FIELDS:
            known = ", ".join(sorted(_DOCUMENT_FIELDS))
            wrong.add(f"fields[{i}]", f"{name!r} is not a field of Document: {known}")


def versions_response(found: Found, fields: Sequence[str]) -> pb.FindVersionsResponse:
    """Renders the versions of an image, with these fields of each; none: all."""
    documents = found.all_documents
    most, first = largest(documents), earliest(documents)
    width, height = found.query.seen.size
    response = pb.FindVersionsResponse(
        candidate_count=found.compared,
        skipped_count=found.skipped,
        query_width=width,
        query_height=height,
    )
    for version in found.versions:
        shown = _version(version)
        shown.largest = version.document is most
        shown.earliest = version.document is first
        shown.image.CopyFrom(_narrowed(version.document, fields))
        response.versions.append(shown)
    return response


def _version(version: Version) -> pb.Version:
    relations = [relation(each) for each in version.relations]
    shown = pb.Version(
        relation=relations[0],
        relations=relations,
        confidence=version.confidence,
        score=version.score,
    )
    found = version.comparison
    if found is None:
        shown.query_overlap = shown.image_overlap = 1
        whole = queries_pb.Box(left=0, top=0, right=1, bottom=1)
        shown.query_box.CopyFrom(whole)
        shown.image_box.CopyFrom(whole)
        return shown
    shown.query_overlap, shown.image_overlap = found.query_overlap, found.image_overlap
    shown.query_box.CopyFrom(_box(found.query_box))
    shown.image_box.CopyFrom(_box(found.image_box))
    shown.changed_boxes.extend(map(_box, found.changed_boxes))
    shown.rotation_degrees = found.rotation_degrees
    shown.homography.extend(found.homography.ravel().tolist())
    return shown


def relation(value: Relation) -> "pb.Relation.ValueType":
    """The contract's name of a relation."""
    return pb.Relation.Value(f"RELATION_{value.name}")


def _box(box: Box) -> queries_pb.Box:
    return queries_pb.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)


def _narrowed(document: types.Document, fields: Sequence[str]) -> types.Document:
    if not fields:
        return document
    narrowed = types.Document()
    FieldMask(paths=["image_id", *fields]).MergeMessage(document, narrowed)
    return narrowed


def source_response(found: Found) -> pb.FindSourceResponse:
    """Renders everywhere an image and its versions were seen, earliest first."""
    sightings = [sighting for version in _with_query(found) for sighting in _sightings(version)]
    sightings.sort(key=lambda each: (each.earliest_at.ToDatetime(UTC), -each.confidence))
    return pb.FindSourceResponse(sightings=sightings, largest=largest(found.all_documents))


def _with_query(found: Found) -> list[Version]:
    if found.query.stored is None:
        return found.versions
    return [Version(found.query.stored, None, 1.0), *found.versions]


def _sightings(version: Version) -> list[pb.SourceSighting]:
    document = version.document
    sightings = []
    for source in document.sources:
        first = source.first_seen_at
        if document.HasField("captured_at"):
            first = min(first, document.captured_at, key=_when)
        sightings.append(
            pb.SourceSighting(
                source=source,
                earliest_at=first,
                image_id=document.image_id,
                relation=relation(version.relations[0]),
                confidence=version.confidence,
                width=document.width,
                height=document.height,
            )
        )
    return sightings


def _when(time: Timestamp) -> tuple[int, int]:
    return time.seconds, time.nanos
