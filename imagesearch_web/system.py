"""State of the system: for people, and for what watches processes."""

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagesearch_web.gateway import Gateway
from imagesearch_web.messages import answered, index_of, parsed


class System:
    """Says how things are.

    Args:
        gateway: Asked.
        index: Of requests that name none.
    """

    def __init__(self, gateway: Gateway, index: str) -> None:
        self._gateway = gateway
        self._index = index

    async def status(self, request: Request) -> Response:
        """GetStatus."""
        message = pb.GetStatusRequest(index=index_of(request, None, self._index))
        answer = await self._gateway.answer(self._gateway.stub.GetStatus, message, request.headers)
        return answered(answer)

    async def indexes(self, request: Request) -> Response:
        """ListIndexes."""
        asked = {
            name: request.query_params[name]
            for name in ("page_size", "page_token")
            if name in request.query_params
        }
        message = parsed(asked, pb.ListIndexesRequest())
        answer = await self._gateway.answer(
            self._gateway.stub.ListIndexes, message, request.headers
        )
        return answered(answer)

    async def alive(self, request: Request) -> Response:
        """The process answers, whatever it depends on."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """The gateway, and what it needs, can do their work."""
        await self._gateway.check()
        return JSONResponse({"status": "ready"})
