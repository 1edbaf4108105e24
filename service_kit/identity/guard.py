"""Lets callers in, or not: what a server puts around its calls."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from service_kit.identity import callers, keys, keys_file
from service_kit.identity.access import Rule
from service_kit.identity.callers import Caller
from service_kit.identity.errors import (
    IdentityError,
    IndexDeniedError,
    ScopeDeniedError,
    UnauthenticatedError,
)
from service_kit.identity.key_ring import KeyRing
from service_kit.identity.settings import IdentitySettings
from service_kit.identity.streams import Streams
from service_kit.interceptors import Call

if TYPE_CHECKING:
    from service_kit.identity.tokens import Tokens
    from service_kit.interceptors import Around, Context

log = structlog.get_logger()

_LOOK_S = 1.0
_BEARER = re.compile(r"bearer +([^\s,]+)", re.IGNORECASE)


class Guard:
    """Knows callers by their keys and tokens.

    Args:
        file: The file of keys; None: there are none.
        tokens: Checks tokens; None: none are taken.

    Raises:
        IdentityError: The file cannot be used.
    """

    def __init__(self, file: Path | None, tokens: "Tokens | None") -> None:
        self.is_on = file is not None or tokens is not None
        self._file = file
        self._tokens = tokens
        self._streams = Streams()
        self._ring: KeyRing | None = None
        self._stamp: tuple[int, ...] | None = None
        if file is not None:
            self._stamp, self._ring = _read_ring(file)

    @property
    def arounds(self) -> "tuple[Around, ...]":
        """What belongs around every call, inside of `statuses`."""
        return (self._around,) if self.is_on else ()

    async def admit(self, rule: Rule | None, headers: Sequence[tuple[str, Any]]) -> None:
        """Lets a call in whose rule and headers are these; notes who it is.

        Raises:
            ServiceError: Not this one.
        """
        caller = await self._caller_of(_shown(headers))
        callers.begin(caller)
        caller.limiter.take()
        if rule is None:
            return
        if not rule.scopes & caller.scopes:
            raise ScopeDeniedError(callers.names_of(rule.scopes))
        if rule.every_index and not caller.every_index:
            raise IndexDeniedError("")

    async def _caller_of(self, shown: str) -> Caller:
        if not shown:
            raise UnauthenticatedError("there is none")
        if self._ring is not None and (shown.startswith(keys.PREFIX) or self._tokens is None):
            return self._ring.caller_of(shown)
        if self._tokens is not None:
            return await self._tokens.caller_of(shown)
        raise UnauthenticatedError("it is not of a kind that is taken")

    @asynccontextmanager
    async def _around(self, call: Call, _context: "Context") -> AsyncIterator[None]:
        if (refused := callers.refusal()) is not None:
            raise refused
        if (caller := callers.current()) is None:
            raise UnauthenticatedError("nobody was let in")
        with caller.limiter.running():
            if not call.streaming:
                yield
                return
            async with self._streams.bound(caller):
                yield

    async def watch(self) -> None:
        """Goes on for ever: takes changed keys, and ends the streams of those that are gone."""
        looks = [_again_and_again(self._look)] if self._file is not None else []
        if self._tokens is not None:  # apart: an issuer that is slow holds up no revocation
            looks.append(_again_and_again(self._tokens.keys.refresh_if_old))
        await asyncio.gather(*looks)

    async def _look(self) -> None:
        file, ring = self._file, self._ring
        if file is None or ring is None:
            return
        stamp = await asyncio.to_thread(keys_file.stamp, file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            known = await asyncio.to_thread(keys_file.read, file)
        except IdentityError as error:
            log.error("keys_not_reloaded", error=str(error), what="the keys from before stay good")
            return
        ring.replace(known)
        ended = self._streams.end(lambda each: _is_token(each) or ring.still_has(each))
        log.info("keys_reloaded", keys=len(known.keys), streams_ended=ended)


async def _again_and_again(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await look()
        except Exception:  # the next time it may work; without it nothing would be revoked again
            log.exception("look_failed")
        await asyncio.sleep(_LOOK_S)


def _is_token(caller: Caller) -> bool:
    return caller.id.startswith("token:")


def _read_ring(file: Path) -> tuple[tuple[int, ...] | None, KeyRing]:
    stamp = keys_file.stamp(file)  # before reading: a change in between is then noticed
    return stamp, KeyRing(keys_file.read(file))


def _shown(headers: Sequence[tuple[str, Any]]) -> str:
    """The key or token that a call brings; "" without, or with several."""
    found = set()
    for name, value in headers:
        if name == "x-api-key":
            found.add(str(value).strip())
        elif name == "authorization" and (bearer := _BEARER.fullmatch(str(value).strip())):
            found.add(bearer[1])
    return found.pop() if len(found) == 1 else ""


def open_guard(settings: IdentitySettings) -> Guard:
    """Makes the guard that the settings ask for.

    Raises:
        IdentityError: The keys cannot be read, or tokens not be checked.
    """
    tokens = None
    if settings.oidc_issuer:
        try:
            from service_kit.identity import issuer_keys
            from service_kit.identity.tokens import Tokens
        except ImportError as error:
            raise IdentityError(f"tokens need PyJWT[crypto]: {error}") from error
        read = issuer_keys.reader(settings.oidc_issuer, settings.oidc_jwks)
        tokens = Tokens(settings, issuer_keys.IssuerKeys(read, settings.oidc_refresh_s))
    return Guard(settings.keys_file, tokens)
