"""The API's description, as a file."""

import hashlib
import json

from starlette.requests import Request
from starlette.responses import Response

from imagesearch_web import caching
from imagesearch_web.openapi.document import openapi

_ASK_EACH_TIME = "no-cache"


class Description:
    """Serves the OpenAPI document, which is made once."""

    def __init__(self) -> None:
        self._data = json.dumps(openapi(), ensure_ascii=False).encode()
        self._etag = f'"{hashlib.sha256(self._data).hexdigest()[:32]}"'

    async def __call__(self, request: Request) -> Response:
        """Answers a request."""
        if caching.matches(self._etag, request.headers.get("if-none-match")):
            return caching.unchanged(self._etag, _ASK_EACH_TIME)
        headers = caching.headers(self._etag, _ASK_EACH_TIME)
        return Response(self._data, media_type="application/json", headers=headers)
