"""What a search is told beside what to look for, and what can be wrong with it. Pure.

What search_service checks, it checks under the same names; here is what only the gateway knows.
"""

from typing import Any

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from image_kit.naming import check_index_name
from service_kit.errors import Violations

MAX_PAGE = 1_000


def of_short_form(
    request: pb.SearchByImageRequest | pb.SearchByTextRequest, wrong: Violations
) -> queries_pb.SearchImagesRequest:
    """The options of a search by one image or text, as those of a composed one."""
    given: dict[str, Any] = {
        name: getattr(request, name)
        for name in ("k", "num_candidates", "filter", "min_score")
        if request.HasField(name)
    }
    options = queries_pb.SearchImagesRequest(
        index=request.index,
        fields=request.fields,
        page_size=request.page_size,
        page_token=request.page_token,
        **given,
    )
    check(options, wrong)
    return options


def check(request: queries_pb.SearchImagesRequest, wrong: Violations) -> None:
    """Notes what is wrong with options."""
    own = Violations()
    check_index_name(request.index, "index", own)
    wrong.add_all(own)
    if not 0 <= request.page_size <= MAX_PAGE:
        wrong.add("page_size", f"is {request.page_size}; 0 to {MAX_PAGE} are allowed")
    if request.page_token and not request.page_size:
        wrong.add("page_token", "needs a page_size")
    # Written so that NaN is refused.
    if request.HasField("min_relevance") and not 0 <= request.min_relevance <= 1:
        wrong.add("min_relevance", f"is {request.min_relevance:g}; 0 to 1 is allowed")


def wants_relevance(options: queries_pb.SearchImagesRequest) -> bool:
    """Whether relevances are asked for."""
    return options.with_relevance or options.HasField("min_relevance")


def is_bounded(options: queries_pb.SearchImagesRequest) -> bool:
    """Whether results may be left out that are better than nothing."""
    return options.HasField("min_relevance") or options.HasField("min_score")
