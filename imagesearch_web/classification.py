"""What is in a picture."""

from imagesearch.gateway.v1 import classification_pb2 as classification_pb
from starlette.requests import Request
from starlette.responses import Response

from imagesearch_web.bodies import read_json
from imagesearch_web.gateway import Gateway
from imagesearch_web.messages import answered, index_of, parsed
from imagesearch_web.query_images import QueryImages
from imagesearch_web.sources import put_source, without_source


class Classification:
    """Classifies and identifies, and lists what there is to choose from.

    Args:
        gateway: Does it.
        kept: Query images.
        index: Of requests that name none.
        read_timeout_s: Longest that reading a request may take.
    """

    def __init__(
        self, gateway: Gateway, kept: QueryImages, index: str, read_timeout_s: float
    ) -> None:
        self._gateway = gateway
        self._kept = kept
        self._index = index
        self._read_timeout_s = read_timeout_s

    async def classify(self, request: Request) -> Response:
        """Classify."""
        body = await read_json(request, self._read_timeout_s)
        body["index"] = index_of(request, body, self._index)
        message = parsed(without_source(body), classification_pb.ClassifyRequest())
        moves = await put_source(body, message, self._kept)
        answer = await self._gateway.answer(
            self._gateway.stub.Classify, message, request.headers, moves
        )
        return answered(answer)

    async def identify(self, request: Request) -> Response:
        """Identify."""
        body = await read_json(request, self._read_timeout_s)
        body["index"] = index_of(request, body, self._index)
        message = parsed(without_source(body), classification_pb.IdentifyRequest())
        moves = await put_source(body, message, self._kept)
        answer = await self._gateway.answer(
            self._gateway.stub.Identify, message, request.headers, moves
        )
        return answered(answer)

    async def label_sets(self, request: Request) -> Response:
        """ListLabelSets."""
        message = classification_pb.ListLabelSetsRequest()
        answer = await self._gateway.answer(
            self._gateway.stub.ListLabelSets, message, request.headers
        )
        return answered(answer)

    async def label_set(self, request: Request) -> Response:
        """GetLabelSet."""
        message = classification_pb.GetLabelSetRequest(name=request.path_params["name"])
        answer = await self._gateway.answer(
            self._gateway.stub.GetLabelSet, message, request.headers
        )
        return answered(answer)
