"""Identify: what texts say an image is, joined with what its neighbours are."""

from collections.abc import Sequence

from imagesearch.gateway.v1 import classification_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from gateway.classification.labels import Labels
from gateway.classification.neighbors import labels_of
from gateway.classification.voting import Neighbor, Opinion, joined, vote
from gateway.classification.zero_shot import Scores


def response(
    labels: Labels | None,
    zero_shot: Scores | None,
    hits: Sequence[search_pb.SearchHit],
    field: str,
    chance: float,
    most: int,
) -> pb.IdentifyResponse:
    """Joins both kinds of evidence.

    Args:
        labels: Of the request; None: what the neighbours are.
        zero_shot: What texts say of the one image; None without labels.
        hits: The neighbours, nearest first.
        field: Where their labels are: "tags" or "attributes.KEY".
        chance: Similarity that any image of the index has.
        most: Most labels in the answer.
    """
    known_as = _known_as(labels)
    votes = vote(
        [
            Neighbor(hit.document.image_id, hit.score, labels_of(hit.document, field, known_as))
            for hit in hits
        ],
        chance,
    )
    by_text = Opinion({}, 1.0)
    if labels is not None and zero_shot is not None:
        names = [label.name for label in labels.labels]
        chances = zero_shot.probabilities[0].tolist()
        by_text = Opinion(dict(zip(names, chances, strict=True)), float(zero_shot.unknown[0]))
    both = joined(by_text, votes)
    display = {label.name: label.display_names for label in labels.labels} if labels else {}
    ranked = sorted(both.probabilities.items(), key=lambda item: (-item[1], item[0]))
    answer = pb.IdentifyResponse(
        unknown_probability=both.unknown,
        unknown=both.unknown > max(both.probabilities.values(), default=0.0),
        neighbors=[queries_pb.SearchResult(image=hit.document, score=hit.score) for hit in hits],
    )
    for name, probability in ranked[:most]:
        answer.labels.add(
            name=name,
            probability=probability,
            zero_shot_probability=by_text.probabilities.get(name, 0.0),
            vote_share=votes.shares.get(name, 0.0),
            neighbor_image_ids=votes.voters.get(name, ()),
            display_names=display.get(name, {}),
        )
    return answer


def _known_as(labels: Labels | None) -> dict[str, str]:
    """Names of labels by what else they are called, in lower case; names go before the rest."""
    known: dict[str, str] = {}
    for label in labels.labels if labels else ():
        for called in (*label.texts, *label.display_names.values()):
            known.setdefault(called.casefold(), label.name)
    for label in labels.labels if labels else ():
        known[label.name.casefold()] = label.name
    return known
