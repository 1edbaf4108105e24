"""Finds the caller of a token: a JWT that an OpenID Connect issuer has signed."""

from typing import Any

import jwt

from service_kit.identity.callers import SCOPES, Caller
from service_kit.identity.errors import UnauthenticatedError
from service_kit.identity.issuer_keys import IssuerKeys
from service_kit.identity.settings import IdentitySettings

_MOST_BYTES = 16 * 1024
_MOST_SUBJECT = 64


class Tokens:
    """Checks tokens.

    Args:
        settings: Whose tokens, and for whom.
        keys: The issuer's.
    """

    def __init__(self, settings: IdentitySettings, keys: IssuerKeys) -> None:
        self._settings = settings
        self.keys = keys

    async def caller_of(self, token: str) -> Caller:
        """Who has a token.

        Raises:
            UnauthenticatedError: It is none of ours, or not good any more.
            UnavailableError: The issuer's keys are not known yet.
        """
        if len(token) > _MOST_BYTES:
            raise UnauthenticatedError("it is too long for a token")
        try:
            claims = await self._checked(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise UnauthenticatedError(f"the token is not good: {error}") from error
        return self._caller(claims)

    async def _checked(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        # Before keys are looked for: neither "none" nor a shared secret gets any further.
        if algorithm not in self._settings.oidc_algorithms:
            raise jwt.InvalidAlgorithmError(f"it is signed by {algorithm!r}")
        key = await self.keys.find(kid if kid is None else str(kid))
        if key is None:
            raise jwt.InvalidTokenError(f"its issuer has no key {kid!r}")
        if key.algorithm_name != algorithm:
            raise jwt.InvalidAlgorithmError(f"the key {kid!r} is not for {algorithm}")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._settings.oidc_audience,
            issuer=self._settings.oidc_issuer,
            leeway=self._settings.oidc_leeway_s,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _caller(self, claims: dict[str, Any]) -> Caller:
        prefix = self._settings.oidc_scope_prefix
        granted = {*_listed(claims.get("scope")), *_listed(claims.get("scp"))}
        claim = self._settings.oidc_indexes_claim
        subject = "".join(each for each in str(claims["sub"]) if each.isprintable())
        return Caller(
            id=f"token:{subject[:_MOST_SUBJECT]}",
            scopes=frozenset(n for name, n in SCOPES.items() if prefix + name in granted),
            indexes=_listed(claims.get(claim)) if claim else ("*",),
            expires_at=float(claims["exp"]) + self._settings.oidc_leeway_s,
        )


def _listed(claim: object) -> tuple[str, ...]:
    """A claim that is a list, or words with spaces between them; nothing if it is neither."""
    if isinstance(claim, str):
        return tuple(claim.split())
    if isinstance(claim, list):
        return tuple(each for each in claim if isinstance(each, str) and each)
    return ()
