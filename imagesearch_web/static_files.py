"""The files of the page."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from imagesearch_web import caching
from imagesearch_web.problems import ProblemError
from imagesearch_web.protection import PAGE_POLICY

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""What is served, and nothing else: the table of the machine may say anything."""

_COMPRESSED = (".css", ".html", ".js", ".json", ".mjs", ".svg", ".txt", ".webmanifest")

_ASK_EACH_TIME = "no-cache"


@dataclass(frozen=True)
class _File:
    modified_ns: int
    data: bytes
    zipped: bytes | None
    etag: str


class StaticFiles:
    """Serves the files of a folder, compressed once, and read again when they change.

    Args:
        folder: All of it may be seen, but for names that begin with a dot.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._files: dict[Path, _File] = {}

    async def __call__(self, request: Request) -> Response:
        """Answers a request; "path" of the route's is the file's."""
        name = request.path_params.get("path", "") or "index.html"
        kind = _TYPES.get(Path(name).suffix)
        found = None if kind is None else await asyncio.to_thread(self._read, name)
        if found is None:
            raise ProblemError(404, "NOT_FOUND", "there is nothing here")
        zipped = found.zipped is not None and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{found.etag}-gzip"' if zipped else f'"{found.etag}"'
        headers = {**caching.headers(etag, _ASK_EACH_TIME), "vary": "accept-encoding"}
        if kind is not None and kind.startswith("text/html"):
            # On a 304, too: a browser takes its headers for those of the page it has.
            headers["content-security-policy"] = PAGE_POLICY
        if caching.matches(etag, request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["content-encoding"] = "gzip"
        return Response(found.zipped if zipped else found.data, headers=headers, media_type=kind)

    def _read(self, name: str) -> _File | None:
        """Reads a file if it has changed; None if there is none."""
        if "\0" in name or "/." in f"/{name}":
            return None
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            return None
        try:
            modified_ns = path.stat().st_mtime_ns
            known = self._files.get(path)
            if known is None or known.modified_ns != modified_ns:
                data = path.read_bytes()
                zipped = gzip.compress(data, 9) if name.endswith(_COMPRESSED) else None
                etag = hashlib.sha256(data).hexdigest()[:32]
                known = self._files[path] = _File(modified_ns, data, zipped, etag)
        except OSError:
            return None
        return known
