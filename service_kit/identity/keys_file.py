"""The file of API keys: JSON, read by the services and written by `imagesearch keys`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
)

from service_kit.identity.errors import IdentityError

_MOST_BYTES = 16 * 1024 * 1024

IndexPattern = Annotated[
    str, StringConstraints(pattern=r"^(\*|[a-z0-9][a-z0-9._-]*\*?)$", max_length=201)
]
"""Name of an index, or the beginning of names and "*"."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyLimits(_Strict):
    """What a key may ask of each server. None: as much as there is."""

    requests_per_second: PositiveFloat | None = None
    burst: PositiveInt | None = None
    concurrent_calls: PositiveInt | None = None


class Key(_Strict):
    """A key, without its secret.

    Attributes:
        id: As in the key itself.
        name: Whose it is, for people.
        sha256: Digest of the key, hex.
        scopes: What it may do.
        indexes: The indexes that it may use.
        created_at: When it was made.
        expires_at: When it stops being good.
        revoked_at: When it was taken back.
        limits: What it may ask for.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Literal["search", "ingest", "admin"], ...], Field(min_length=1)]
    indexes: tuple[IndexPattern, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    limits: KeyLimits = KeyLimits()


class Keys(_Strict):
    """What the file holds."""

    version: Literal[1] = 1
    keys: tuple[Key, ...] = ()

    @field_validator("keys")
    @classmethod
    def _one_a_name(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        ids = [key.id for key in keys]
        if len(ids) != len(set(ids)):
            raise ValueError("two keys have the same id")
        return keys


def read(file: Path) -> Keys:
    """Reads a file of keys.

    Raises:
        IdentityError: It cannot be read, or is none.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise IdentityError(f"the keys in {file} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise IdentityError(f"{file} is larger than {_MOST_BYTES} bytes: no file of keys")
    try:
        return Keys.model_validate_json(content)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the file"
        raise IdentityError(f"{file} is no file of keys: {where}: {wrong['msg']}") from error


def stamp(file: Path) -> tuple[int, ...] | None:
    """Differs when the file has changed, also where a link now leads to another one.

    None: it is not there.
    """
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
