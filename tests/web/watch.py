"""What must not happen on any page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Error, Page, Request


class Watch:
    """Notes errors, and requests to others, of a page.

    Args:
        page: To watch.
        address: The only server that it may ask.
        foreseen: Parts of console messages that the test provokes.
    """

    def __init__(self, page: Page, address: str, foreseen: tuple[str, ...]) -> None:
        self._address = address
        self._foreseen = foreseen
        self.wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", self._error)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # Violations of the content security policy are told here, too.
        if message.type in ("error", "warning") and not any(
            part in message.text for part in self._foreseen
        ):
            self.wrong.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _error(self, error: Error) -> None:
        self.wrong.append(f"exception: {error}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._address, "blob:", "data:")):
            self.wrong.append(f"asks another server: {request.url}")

    def check(self) -> None:
        """Fails if anything was wrong."""
        assert not self.wrong, self.wrong
