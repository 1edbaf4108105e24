"""Finds the caller of an API key."""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from service_kit.identity import keys
from service_kit.identity.callers import SCOPES, Caller
from service_kit.identity.errors import UnauthenticatedError
from service_kit.identity.keys_file import Key, Keys
from service_kit.identity.limits import Limiter, Limits

_NOBODY = keys.digest("")


@dataclass(frozen=True)
class _Held:
    sha256: str
    revoked: bool
    caller: Caller


class KeyRing:
    """The keys that are known now.

    Args:
        known: Of the file.
        clock: Unix time.
    """

    def __init__(self, known: Keys, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self.replace(known)

    def replace(self, known: Keys) -> None:
        """Takes other keys. What a key has used of its limits is not forgotten."""
        self._held = {key.id: self._hold(key) for key in known.keys}

    def _hold(self, key: Key) -> _Held:
        limits = Limits(**key.limits.model_dump())
        before = self._held.get(key.id)
        same = before is not None and before.caller.limiter.limits == limits
        limiter = before.caller.limiter if before is not None and same else Limiter(limits)
        caller = Caller(
            id=f"key:{key.id}",
            scopes=frozenset(SCOPES[name] for name in key.scopes),
            indexes=key.indexes,
            expires_at=key.expires_at.timestamp() if key.expires_at is not None else None,
            limiter=limiter,
        )
        return _Held(key.sha256, key.revoked_at is not None, caller)

    def caller_of(self, key: str) -> Caller:
        """Who has a key.

        Raises:
            UnauthenticatedError: Nobody has it, or not any more.
        """
        key_id = keys.id_of(key)
        held = self._held.get(key_id or "")
        # Compared in constant time, and for unknown ids too: time tells nothing.
        right = hmac.compare_digest(keys.digest(key), held.sha256 if held else _NOBODY)
        if key_id is None:
            raise UnauthenticatedError("it is not of a key's form")
        if held is None:
            raise UnauthenticatedError(f"there is no key {key_id}")
        if not right:
            raise UnauthenticatedError(f"the secret of key {key_id} is wrong")
        if held.revoked:
            raise UnauthenticatedError(f"key {key_id} is revoked")
        if held.caller.expires_at is not None and held.caller.expires_at <= self._clock():
            raise UnauthenticatedError(f"key {key_id} has expired")
        return held.caller

    def still_has(self, caller: Caller) -> bool:
        """Whether a caller's key is as it was: neither revoked, nor gone, nor with other rights."""
        held = self._held.get(caller.id.removeprefix("key:"))
        return held is not None and not held.revoked and held.caller == caller
