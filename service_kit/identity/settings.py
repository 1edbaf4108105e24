"""The settings that say who may call a service."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""Signatures by key pairs alone: with a shared secret, who can check tokens can make them."""


class IdentitySettings(BaseSettings):
    """Part of every gRPC service's settings. Without them, whoever connects may do everything."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    keys_file: Path | None = None
    """File of API keys, as `imagesearch keys` writes it: callers then need one, or a token.
    Changes count within a second or two. None: no keys."""

    oidc_issuer: str = ""
    """Issuer (`iss`) whose tokens (OpenID Connect, JWT) are taken. Empty: no tokens are."""

    oidc_audience: str = ""
    """What tokens must be meant for (`aud`): this system's name at the issuer."""

    oidc_jwks: str = ""
    """The issuer's public keys, as a URL or a file. Empty: where the issuer says that they are."""

    oidc_algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    """Signatures that are taken."""

    oidc_leeway_s: float = Field(default=30.0, ge=0, le=300)
    """How much the issuer's clock may differ from ours."""

    oidc_scope_prefix: str = "imagesearch."
    """What our scopes begin with in a token's `scope` or `scp`, e.g. imagesearch.search."""

    oidc_indexes_claim: str = ""
    """The claim that lists the indexes that a token is for. Empty: tokens are for all."""

    oidc_refresh_s: PositiveFloat = 300.0
    """How old the issuer's public keys may get before they are read again."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("oidc_issuer needs oidc_audience: else any service's tokens would do")
        if self.oidc_audience and not self.oidc_issuer:
            raise ValueError("oidc_audience needs oidc_issuer")
        if self.oidc_issuer and not self.oidc_algorithms:
            raise ValueError("oidc_algorithms must name at least one")
        return self
