"""Which path does what, and what stands around all of them."""

from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from imagesearch_web.classification import Classification
from imagesearch_web.connections import Bounded, Draining, Leaving
from imagesearch_web.description import Description
from imagesearch_web.images import Images
from imagesearch_web.observing import BUG, Observed
from imagesearch_web.problems import ProblemError, of_status
from imagesearch_web.protection import KnownHosts, OwnOrigin, SafeHeaders
from imagesearch_web.searching import Searching
from imagesearch_web.settings import Settings
from imagesearch_web.static_files import StaticFiles
from imagesearch_web.system import System
from imagesearch_web.versions import Versions
from service_kit.errors import ServiceError

API = "/api/v1"

_REASONS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


@dataclass(frozen=True)
class Parts:
    """What answers."""

    system: System
    searching: Searching
    images: Images
    versions: Versions
    classification: Classification
    description: Description
    page: StaticFiles
    docs: StaticFiles


def make_app(parts: Parts, settings: Settings, registry: CollectorRegistry) -> ASGIApp:
    """Puts everything together; the text is read from the inside outwards."""
    handlers: Any = {
        ClientDisconnect: _gone,
        HTTPException: _http_problem,
        ProblemError: _problem,
        ServiceError: _service_problem,
        Exception: _bug,
    }
    routes = make_routes(parts)
    starlette = Starlette(routes=routes, exception_handlers=handlers)
    # Not a route: it would take the place of "405 Method Not Allowed".
    starlette.router.default = _otherwise(parts.page)
    app: ASGIApp = starlette
    app = Leaving(app)
    app = Bounded(app, settings.max_requests)
    app = OwnOrigin(app, settings.cors_origins)
    app = KnownHosts(app, settings.allowed_hosts)
    if settings.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=(
                *("authorization", "content-type", "x-requested-with"),
                *("x-request-id", "traceparent", "tracestate"),
            ),
            expose_headers=("location", "retry-after", "content-disposition", "x-request-id"),
            max_age=3600,
        )
    paths = {route.endpoint: route.path for route in routes}
    return Draining(SafeHeaders(Observed(app, paths, registry)))


def make_routes(parts: Parts) -> list[Route]:
    """Lists what there is."""
    get, post = ["GET"], ["POST"]
    system, searching, images = parts.system, parts.searching, parts.images
    versions, classification = parts.versions, parts.classification
    image = f"{API}/images/{{image_id}}"
    return [
        Route("/healthz", system.alive, methods=get),
        Route("/readyz", system.ready, methods=get),
        Route(f"{API}/status", system.status, methods=get),
        Route(f"{API}/indexes", system.indexes, methods=get),
        Route(f"{API}/query-images", searching.keep_query_image, methods=post),
        Route(f"{API}/query-images/{{image_id}}/thumbnail", searching.query_thumbnail, methods=get),
        Route(f"{API}/search", searching.search, methods=post),
        Route(f"{API}/images", images.store, methods=post),
        Route(f"{API}/images", images.delete, methods=["DELETE"]),
        Route(image, images.image, methods=get),
        Route(f"{image}/thumbnail", images.thumbnail, methods=get),
        Route(f"{image}/original", images.original, methods=get),
        Route(f"{API}/versions", versions.versions, methods=post),
        Route(f"{API}/source", versions.source, methods=post),
        Route(f"{API}/duplicates", versions.duplicates, methods=get),
        Route(f"{API}/classify", classification.classify, methods=post),
        Route(f"{API}/identify", classification.identify, methods=post),
        Route(f"{API}/label-sets", classification.label_sets, methods=get),
        Route(f"{API}/label-sets/{{name}}", classification.label_set, methods=get),
        Route(f"{API}/openapi.json", parts.description.__call__, methods=get),
        Route(f"{API}/docs", _to_docs, methods=get),
        Route("/docs", _to_docs, methods=get),
        Route("/docs/{path:path}", parts.docs.__call__, methods=get),
        Route("/", parts.page.__call__, methods=get),
    ]


async def _to_docs(request: Request) -> Response:
    return RedirectResponse("/docs/", 308)


def _otherwise(page: StaticFiles) -> ASGIApp:
    """Makes what answers for paths that no route has: a file of the page, or that there is none."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"} or scope["path"].startswith("/api/"):
            raise ProblemError(404, "NOT_FOUND", "there is no such path")
        scope["endpoint"] = page.__call__
        scope["path_params"] = {"path": scope["path"].removeprefix("/")}
        response = await page(Request(scope, receive))
        await response(scope, receive, send)

    return answer


async def _problem(request: Request, error: ProblemError) -> Response:
    return error.response()


async def _service_problem(request: Request, error: ServiceError) -> Response:
    return of_status(error.to_status()).response()


async def _http_problem(request: Request, error: HTTPException) -> Response:
    reason = _REASONS.get(error.status_code, "HTTP_ERROR")
    problem = ProblemError(error.status_code, reason, error.detail, headers=error.headers)
    return problem.response()


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return ProblemError(499, "CANCELLED", "the client has gone").response()


async def _bug(request: Request, error: Exception) -> Response:
    """Answers; the error goes on to be logged, see observing.Observed."""
    return BUG.response()
