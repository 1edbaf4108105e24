"""Settings that every server has. Read once, at the start, from the environment or flags."""

import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    CliApp,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from service_kit.identity.settings import IdentitySettings
from service_kit.secret_files import SecretFiles

S = TypeVar("S", bound="ProcessSettings")


def _listed(value: object) -> object:
    """Takes "a,b" for ["a", "b"]."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return texts
    return [part.strip() for text in texts for part in str(text).split(",") if part.strip()]


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""Names with commas between them."""


class ProcessSettings(BaseSettings):
    """Base of all settings; an attribute's docstring is its `--help`.

    A secret may also be in a file, which NAME_FILE names instead of NAME.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        extra="ignore",
    )

    listen: str = "127.0.0.1:0"
    """Address to serve on, as host:port. Port 0 takes a free one."""

    grace_s: float = Field(default=20.0, ge=0)
    """Seconds that running calls are given when the service stops, of which the first (at most a
    quarter) is for clients to go elsewhere."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe log lines to write."""

    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for people."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Adds the files that secrets are in."""
        return init_settings, env_settings, SecretFiles(settings_cls)


# The order matters: how settings are read is as the last base says.
class ServerSettings(IdentitySettings, ProcessSettings):
    """Base of every gRPC service's settings."""

    max_message_bytes: PositiveInt = 32 * 1024 * 1024
    """Largest message taken or sent. Clients need the same limit."""

    max_call_s: PositiveFloat = 60.0
    """Longest that a call which is no stream may take, also if it brings no deadline."""

    max_concurrent_streams: PositiveInt = 1000
    """Most calls at a time on one connection."""

    max_calls: PositiveInt = 1024
    """Most calls answered at a time that are no streams. Beyond it they get RESOURCE_EXHAUSTED at
    once, and when to come back."""

    max_streams: PositiveInt = 1024
    """Most streams at a time, over all connections. Beyond it likewise."""

    max_request_bytes: PositiveInt = 512 * 1024 * 1024
    """Most bytes of the requests of calls being answered that are no streams. Beyond it likewise.
    More takes more memory."""

    max_wait_s: NonNegativeFloat = 0.0
    """Calls are refused that could not be answered within so many seconds, at the pace measured
    under load, even where there are fewer than `max_calls`. 0: not."""

    max_idle_s: PositiveFloat = 300.0
    """Longest that a stream may stay open on which nothing comes and nothing is answered."""

    max_connection_age_s: PositiveFloat = 600.0
    """Seconds after which clients are asked to connect anew: they look up the addresses again,
    and find replicas that have joined. No call fails by it; streams may go on for an hour more."""

    tls_certificate_file: Path | None = None
    """Our certificate, PEM, with those between it and its authority's after it. Given: only
    encrypted connections are taken. Files that change are read again."""

    tls_key_file: Path | None = None
    """Private key of our certificate, PEM."""

    tls_client_ca_file: Path | None = None
    """Certificates of authorities, PEM. Given: a client must have a certificate of theirs."""

    tls_allowed_clients: Names = ()
    """Names of clients, as their certificates have them, that may call, with commas between them;
    "*" stands for any letters. Empty: all that have a certificate."""

    health_listen: str = ""
    """Address to serve health alone on as well, always in clear text, as host:port: for probes
    that cannot do TLS. Empty: it is served only beside the service."""


def read(settings: type[S]) -> S:
    """Reads settings from flags and the environment; ends the program if they are wrong."""
    try:
        return CliApp.run(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            print(f"{prefix}{name.upper()}: {problem['msg']}", file=sys.stderr)
        sys.exit(2)
