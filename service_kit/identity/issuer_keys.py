"""The public keys of an issuer of tokens: read off the event loop, and kept."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import structlog

from service_kit.errors import UnavailableError
from service_kit.identity.errors import IdentityError

log = structlog.get_logger()

_TIMEOUT_S = 5.0
_DISCOVERY = "/.well-known/openid-configuration"

PAUSE_S = 10.0
"""Least seconds between two readings, however many tokens name keys that nobody knows."""


def reader(issuer: str, jwks: str) -> Callable[[], jwt.PyJWKSet]:
    """Gives what reads an issuer's keys, and may block.

    Args:
        issuer: As in tokens; asked where its keys are, if `jwks` does not say it.
        jwks: A URL or a file; "": ask the issuer.

    Raises:
        IdentityError: Keys would come over a connection that others can change.
    """
    if jwks and "://" not in jwks:
        file = Path(jwks)
        return lambda: jwt.PyJWKSet.from_dict(json.loads(file.read_bytes()))
    _check_url(jwks or issuer)

    def read() -> jwt.PyJWKSet:
        url = jwks
        if not url:
            found = _fetched(issuer.rstrip("/") + _DISCOVERY)
            if found.get("issuer") != issuer:
                raise ValueError(f"it calls itself {found.get('issuer')!r}")
            url = str(found.get("jwks_uri", ""))
            _check_url(url)
        return jwt.PyJWKSet.from_dict(_fetched(url))

    return read


def _fetched(url: str) -> dict[str, object]:
    client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=_TIMEOUT_S)
    content: dict[str, object] = client.fetch_data()
    return content


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    near = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme != "https" and not (parts.scheme == "http" and near):
        raise IdentityError(f"the issuer's keys must come by https, not from {url!r}")


class IssuerKeys:
    """Keeps an issuer's keys, and reads them again when they are old or one is not known.

    Args:
        read: Reads them; may block and fail.
        refresh_s: How old they may get.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        read: Callable[[], jwt.PyJWKSet],
        refresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._refresh_s = refresh_s
        self._clock = clock
        self._keys: list[jwt.PyJWK] | None = None
        self._next_try = clock()
        self._due = clock()
        self._reading: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of a name; without a name the only one. None: there is no such key.

        Raises:
            UnavailableError: The keys could not be read yet.
        """
        found = self._named(kid)
        if found is None and (self._reading or self._clock() >= self._next_try):
            await self.refresh()
            found = self._named(kid)
        if self._keys is None:
            raise UnavailableError("tokens cannot be checked now: their issuer does not answer")
        return found

    def _named(self, kid: str | None) -> jwt.PyJWK | None:
        keys = self._keys or []
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.key_id == kid), None)

    async def refresh_if_old(self) -> None:
        """Reads the keys again if it is time."""
        if self._clock() >= max(self._due, self._next_try):
            await self.refresh()

    async def refresh(self) -> None:
        """Reads the keys; whoever comes meanwhile waits for the same reading.

        The old ones stay if that fails.
        """
        if self._reading is None:
            self._next_try = self._clock() + PAUSE_S
            self._reading = asyncio.create_task(self._refresh())
        await asyncio.shield(self._reading)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(3 * _TIMEOUT_S):
                keys = await asyncio.to_thread(self._read)
        except Exception as error:  # whatever an issuer may answer
            log.warning("issuer_keys_not_read", error=str(error) or type(error).__name__)
        else:
            self._keys = [key for key in keys.keys if key.public_key_use in {"sig", None}]
            self._due = self._clock() + self._refresh_s
        finally:
            self._reading = None
