"""What keeps other sites out: headers on every answer, names of this host, origins of requests."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagesearch_web.keys import bearer
from imagesearch_web.problems import ProblemError

CLIENT_HEADER = "imagesearch"
"""Value of `X-Requested-With` that shows that a script of an allowed origin made the request."""

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "media-src 'self' blob:",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of pages: everything from here, nothing inline."""

DATA_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
"""Content-Security-Policy of what is no page: opened as one, it can do nothing."""

_HEADERS = {
    "content-security-policy": DATA_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_SAFE = {"GET", "HEAD", "OPTIONS"}
_OURS = {"same-origin", "none"}

PROBES = ("/healthz", "/readyz")
"""Paths that are asked by address, not by name."""


class SafeHeaders:
    """Adds to every answer what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safely)


class KnownHosts:
    """Refuses requests for a name that this server is not called by.

    A foreign name that leads here (DNS rebinding) makes a browser think that a foreign page and
    this server were one site.

    Args:
        app: What answers the others.
        names: Without port; "*.example.org" stands for all below it, "*" for any.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            hosts = Headers(scope=scope).getlist("host")
            if len(hosts) != 1 or not self._known(hosts[0]):
                what = "this server is not called so; WEB_ALLOWED_HOSTS says how it is"
                await ProblemError(421, "HOST_UNKNOWN", what).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _known(self, host: str) -> bool:
        name = host.lower()
        if not name.endswith("]"):
            name = name.rpartition(":")[0] or name
        name = name.removesuffix(".")
        if "*" in self._names or name in self._names:
            return True
        _, dot, parent = name.partition(".")
        while dot:
            if f"*.{parent}" in self._names:
                return True
            _, dot, parent = parent.partition(".")
        return False


class OwnOrigin:
    """Refuses what another site makes a browser ask of the API (CSRF).

    Browsers say where a request comes from (Fetch Metadata, or Origin), and let no other site add a
    header without leave (CORS). What changes nothing needs the first, the rest both.

    Args:
        app: What answers the others.
        origins: Other origins that may use the API.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            problem = self._refusal(scope["method"], Headers(scope=scope))
            if problem is not None:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> ProblemError | None:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            pass
        elif site is not None:
            navigates = method in _SAFE and headers.get("sec-fetch-mode") == "navigate"
            if site not in _OURS and not navigates:
                return _foreign()
        elif origin is not None and _host_of(origin) != headers.get("host", "").lower():
            return _foreign()
        if method in _SAFE or bearer(headers):
            return None
        if headers.get("x-requested-with", "").lower() == CLIENT_HEADER:
            return None
        what = f"needs the header `X-Requested-With: {CLIENT_HEADER}`, or `Authorization: Bearer`"
        return ProblemError(403, "CLIENT_HEADER_MISSING", what)


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _foreign() -> ProblemError:
    return ProblemError(403, "CROSS_SITE_REQUEST", "requests of other sites are not answered")
