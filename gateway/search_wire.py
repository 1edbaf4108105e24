"""Composed searches in search_service's terms, and back. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from gateway.composing import Resolved


def search_request(
    options: queries_pb.SearchImagesRequest, terms: Sequence[Resolved]
) -> search_pb.SearchRequest:
    """Makes search_service's request of ours: the same options, by the same names."""
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("k", "num_candidates", "filter", "min_score")
        if options.HasField(name)
    }
    request = search_pb.SearchRequest(
        index=options.index,
        fields=options.fields,
        lucene_query=options.lucene_query,
        facets=options.facets,
        exact=options.exact,
        **given,
    )
    if len(terms) == 1 and terms[0].weight > 0:
        request.vector.CopyFrom(terms[0].vector)
    else:
        for term in terms:
            request.vectors.add(vector=term.vector, weight=term.weight)
    return request


def moves(terms: Sequence[Resolved]) -> list[tuple[str, str]]:
    """Fields of search_service's request, and what they are in ours."""
    ours = [
        (f"vectors[{i}].{name}", term.field if name == "vector" else f"terms[{i}].weight")
        for i, term in enumerate(terms)
        for name in ("vector", "weight")
    ]
    return [*ours, ("vectors", "terms"), ("vector", terms[0].field)]


def facets(counted: Iterable[search_pb.Facet]) -> list[queries_pb.Facet]:
    """Renders facets."""
    return [
        queries_pb.Facet(
            field=facet.field,
            values=[
                queries_pb.FacetValue(value=each.value, count=each.count) for each in facet.values
            ],
        )
        for facet in counted
    ]


def selected(document: types.Document, fields: Sequence[str]) -> types.Document:
    """The wanted fields of a document, and its id."""
    if not fields:
        return document
    chosen = types.Document()
    chosen.CopyFrom(document)
    unwanted: Any
    for unwanted in {each.name for each in types.Document.DESCRIPTOR.fields} - {
        *fields,
        "image_id",
    }:
        chosen.ClearField(unwanted)
    return chosen
