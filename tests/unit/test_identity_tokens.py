"""Tokens: only those that the issuer signed, for us, with a key pair, and not too long ago."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from imagesearch.common.v1 import access_pb2

from service_kit.errors import UnavailableError
from service_kit.identity.errors import IdentityError, UnauthenticatedError
from service_kit.identity.issuer_keys import PAUSE_S, IssuerKeys, reader
from service_kit.identity.settings import IdentitySettings
from service_kit.identity.tokens import Tokens

ISSUER = "https://issuer.example"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())

SETTINGS = IdentitySettings(
    oidc_issuer=ISSUER, oidc_audience="imagesearch", oidc_indexes_claim="indexes"
)


def jwks() -> dict[str, Any]:
    """The issuer's public keys."""
    rsa_key = jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
    ec_key = jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key(), as_dict=True)
    return {"keys": [{**rsa_key, "kid": "r"}, {**ec_key, "kid": "e", "use": "sig"}]}


def tokens(settings: IdentitySettings = SETTINGS) -> Tokens:
    return Tokens(settings, IssuerKeys(lambda: jwt.PyJWKSet.from_dict(jwks()), 300))


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r", **changes: Any) -> str:
    """A good token, but for the changes; None leaves a claim out."""
    claims = {
        "iss": ISSUER,
        "aud": "imagesearch",
        "sub": "someone",
        "exp": int(time.time()) + 600,
        "scope": "openid imagesearch.search imagesearch.ingest",
        "indexes": ["team-*"],
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def forged(header: Mapping[str, str], secret: bytes = b"") -> str:
    """A token that no library would make."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    claims = {"iss": ISSUER, "aud": "imagesearch", "sub": "x", "exp": int(time.time()) + 600}
    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256) if secret else b""
    return f"{signed}.{part(signature)}"


async def test_a_good_token_says_who_calls_and_what_they_may_do() -> None:
    caller = await tokens().caller_of(token())

    assert caller.id == "token:someone"
    assert caller.scopes == {access_pb2.SCOPE_SEARCH, access_pb2.SCOPE_INGEST}
    assert caller.indexes == ("team-*",)
    assert caller.expires_at is not None


async def test_signatures_over_elliptic_curves_are_taken_too() -> None:
    assert (await tokens().caller_of(token(EC, "ES256", "e"))).id == "token:someone"


@pytest.mark.parametrize(
    "scopes", [{"scope": None, "scp": ["imagesearch.admin"]}, {"scope": "imagesearch.admin"}]
)
async def test_scopes_come_as_words_or_as_a_list(scopes: dict[str, Any]) -> None:
    assert (await tokens().caller_of(token(**scopes))).scopes == {access_pb2.SCOPE_ADMIN}


@pytest.mark.parametrize("scope", ["search", "imagesearch.searching", "", None, 7])
async def test_other_scopes_are_none_of_ours(scope: Any) -> None:
    assert not (await tokens().caller_of(token(scope=scope))).scopes


@pytest.mark.parametrize("claim", [None, 5, {"a": 1}, ""])
async def test_without_the_claim_that_lists_indexes_a_token_is_for_none(claim: Any) -> None:
    assert (await tokens().caller_of(token(indexes=claim))).indexes == ()


async def test_where_no_claim_lists_indexes_tokens_are_for_all() -> None:
    settings = IdentitySettings(oidc_issuer=ISSUER, oidc_audience="imagesearch")

    assert (await tokens(settings).caller_of(token(indexes=None))).every_index


PUBLIC_PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)

BAD = {
    "none": lambda: forged({"alg": "none", "typ": "JWT", "kid": "r"}),
    "None": lambda: forged({"alg": "None", "kid": "r"}),
    "public key as a shared secret": lambda: forged({"alg": "HS256", "kid": "r"}, PUBLIC_PEM),
    "signed by somebody else": lambda: token(OTHER),
    "another key of the issuer": lambda: token(kid="e"),
    "an algorithm that is not allowed": lambda: token(algorithm="RS512"),
    "expired": lambda: token(exp=int(time.time()) - 60),
    "not good yet": lambda: token(nbf=int(time.time()) + 600),
    "for somebody else": lambda: token(aud="other"),
    "of another issuer": lambda: token(iss="https://other.example"),
    "without an end": lambda: token(exp=None),
    "without an issuer": lambda: token(iss=None),
    "without an audience": lambda: token(aud=None),
    "without a subject": lambda: token(sub=None),
    "of an unknown key": lambda: token(kid="x"),
    "without the name of its key": lambda: token(kid=None),
    "changed": lambda: token()[:-8] + "AAAAAAAA",
    "no token": lambda: "abc",
    "nothing but dots": lambda: "..",
    "endless": lambda: "a" * 100_000,
}


@pytest.mark.parametrize("case", BAD)
async def test_a_token_that_is_not_good_is_refused(case: str) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        await tokens().caller_of(BAD[case]())

    assert refused.value.why


async def test_clocks_may_differ_a_little() -> None:
    assert await tokens().caller_of(token(exp=int(time.time()) - 5))


class Reading:
    """An issuer that is asked for its keys.

    Attributes:
        times: How often it was.
        error: What it fails with.
    """

    def __init__(self) -> None:
        self.times = 0
        self.error: Exception | None = None
        self.content = jwks()

    def __call__(self) -> jwt.PyJWKSet:
        self.times += 1
        if self.error is not None:
            raise self.error
        return jwt.PyJWKSet.from_dict(copy.deepcopy(self.content))


class TestIssuerKeys:
    async def test_a_key_that_is_not_known_is_looked_for_but_not_too_often(self) -> None:
        now = [0.0]
        read = Reading()
        found = IssuerKeys(read, 300, clock=lambda: now[0])
        assert await found.find("r") is not None
        read.content["keys"][0]["kid"] = "new"
        assert await found.find("new") is None
        assert await found.find("made up") is None
        assert read.times == 1
        now[0] = PAUSE_S
        assert await found.find("new") is not None
        assert await found.find("r") is None
        assert read.times == 2

    async def test_many_that_come_together_ask_once(self) -> None:
        read = Reading()
        found = IssuerKeys(read, 300)

        keys = await asyncio.gather(*(found.find("r") for _ in range(20)))

        assert None not in keys
        assert read.times == 1

    async def test_old_keys_stay_good_while_the_issuer_is_away(self) -> None:
        now = [0.0]
        read = Reading()
        found = IssuerKeys(read, 300, clock=lambda: now[0])
        await found.find("r")
        read.error = OSError("away")
        now[0] = 1000.0
        await found.refresh_if_old()

        assert read.times == 2
        assert await found.find("r") is not None

    async def test_before_there_are_any_calls_are_told_to_come_again(self) -> None:
        read = Reading()
        read.error = OSError("away")

        with pytest.raises(UnavailableError):
            await IssuerKeys(read, 300).find("r")

    async def test_they_may_come_from_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps(jwks()))

        assert len(reader(ISSUER, str(file))().keys) == 2

    @pytest.mark.parametrize(
        "url", ["http://issuer.example/keys", "ftp://localhost/x", "file:///x"]
    )
    def test_they_must_not_come_over_a_connection_that_others_can_change(self, url: str) -> None:
        with pytest.raises(IdentityError, match="https"):
            reader(ISSUER, url)


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": ISSUER},
        {"oidc_audience": "imagesearch"},
        {"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_algorithms": ["HS256"]},
        {"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_algorithms": []},
    ],
)
def test_settings_that_would_take_anybodys_tokens_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="oidc"):
        IdentitySettings(**settings)
