"""Elasticsearch's answer to a search, read. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson
from imagesearch.search.v1 import search_service_pb2 as pb

from search_service.queries import ROUNDING, KnnSearch, score
from search_service.records import fill


def search_response(
    answer: Mapping[str, Any], search: KnnSearch, similarity: str
) -> pb.SearchResponse:
    """Renders the hits, most similar first.

    Args:
        answer: Of Elasticsearch.
        search: What was searched.
        similarity: Of the index.
    """
    response = pb.SearchResponse()
    response.took.FromMilliseconds(answer["took"])
    for hit in answer["hits"]["hits"]:
        value = search.factor * score(hit["_score"], similarity)
        if search.min_score is None or value >= search.min_score - ROUNDING:
            shown = response.hits.add(score=value)
            fill(shown.document, hit["_id"], hit.get("_source", {}))
    counted = answer.get("aggregations", {})
    for i, field in enumerate(search.facets if counted else ()):
        facet = response.facets.add(field=field.removesuffix(".keyword"))
        for bucket in counted[str(i)]["buckets"]:
            facet.values.add(value=bucket["key"], count=bucket["doc_count"])
    if "profile" in answer:
        response.profile_json = orjson.dumps(answer["profile"]).decode()
    return response
