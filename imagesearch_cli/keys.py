"""`imagesearch keys`: the file of API keys that the services read."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from imagesearch_cli.options import AsJson, notes, print_json
from service_kit.identity import keys, keys_editing, keys_file
from service_kit.identity.errors import IdentityError
from service_kit.identity.keys_file import Key, KeyLimits

app = typer.Typer(
    help="Make, list and revoke API keys. Services take a change within seconds.",
    no_args_is_help=True,
)

_PERIOD = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class ScopeName(StrEnum):
    """What a key may be for."""

    SEARCH = "search"
    INGEST = "ingest"
    ADMIN = "admin"


File = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="IMAGESEARCH_KEYS_FILE",
        help="The file of keys, which the services' ..._KEYS_FILE name.",
        dir_okay=False,
    ),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what it is for.")],
    file: File,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(
            help="What it may do. May be repeated; none includes another. Default: search."
        ),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(help="Index that it is for, or 'beginning*'. May be repeated. Default: all."),
    ] = None,
    expires: Annotated[
        str, typer.Option(help="When it stops being good: 90d, 12h, or 2027-01-31. Default: never.")
    ] = "",
    rate: Annotated[
        float | None, typer.Option(help="Most requests a second to each server.", min=0.001)
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="Most requests at once. Default: one second's.", min=1)
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(help="Most calls at a time to each server.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: this once, for it is not kept."""
    now = datetime.now(UTC).replace(microsecond=0)
    if burst is not None and rate is None:
        raise typer.BadParameter("--burst needs --rate")
    key_id, secret = keys.new()
    try:
        key = Key(
            id=key_id,
            name=name,
            sha256=keys.digest(secret),
            scopes=tuple(dict.fromkeys(each.value for each in scope or [ScopeName.SEARCH])),
            indexes=tuple(index or ("*",)),
            created_at=now,
            expires_at=_time(expires, now),
            limits=KeyLimits(requests_per_second=rate, burst=burst, concurrent_calls=concurrent),
        )
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = wrong["loc"][0] if wrong["loc"] else "key"
        raise typer.BadParameter(f"{where}: {wrong['msg']}") from error
    try:
        keys_editing.add(file, key)
    except IdentityError as error:
        raise _failed(error) from error
    if as_json:
        print_json({"key": secret, **_shown(key)})
    else:
        notes.print(f"Key {key_id} for {name!r}. It is shown this once:", highlight=False)
        print(secret)


@app.command("list")
def list_(file: File, as_json: AsJson = False) -> None:
    """List the keys of a file, without their secrets."""
    try:
        known = keys_file.read(file).keys
    except IdentityError as error:
        raise _failed(error) from error
    if as_json:
        print_json([_shown(key) for key in known])
        return
    table = Table("id", "name", "scopes", "indexes", "limits", "created", "state")
    for key in known:
        table.add_row(
            *(key.id, key.name, ", ".join(key.scopes), ", ".join(key.indexes)),
            *(_limits(key.limits), f"{key.created_at:%Y-%m-%d}", _state(key)),
        )
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key; see `list`.")],
    file: File,
    as_json: AsJson = False,
) -> None:
    """Take a key back. Its calls are refused, and its streams end, within seconds."""
    try:
        key = keys_editing.revoke(file, key_id)
    except IdentityError as error:
        raise _failed(error) from error
    if as_json:
        print_json(_shown(key))
    else:
        print(f"{key.id} ({key.name}) is revoked")


def _time(text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    if period := _PERIOD.fullmatch(text):
        return now + timedelta(**{_UNITS[period[2]]: int(period[1])})
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        what = f"--expires: {text!r} is neither a period such as 90d nor a time"
        raise typer.BadParameter(what) from error
    expires = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    if expires <= now:
        raise typer.BadParameter(f"--expires: {text} is over")
    return expires


def _shown(key: Key) -> dict[str, Any]:
    content: dict[str, Any] = key.model_dump(mode="json", exclude={"sha256"})
    return {**content, "state": _state(key)}


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "good"
    over = key.expires_at <= datetime.now(UTC)
    return f"{'expired' if over else 'good until'} {key.expires_at:%Y-%m-%d}"


def _limits(limits: KeyLimits) -> str:
    said = []
    if limits.requests_per_second is not None:
        burst = f", {limits.burst} at once" if limits.burst is not None else ""
        said.append(f"{limits.requests_per_second:g}/s{burst}")
    if limits.concurrent_calls is not None:
        said.append(f"{limits.concurrent_calls} at a time")
    return "; ".join(said) or "none"


def _failed(error: IdentityError) -> typer.Exit:
    notes.print(f"error: {error}", style="red", highlight=False, soft_wrap=True, markup=False)
    return typer.Exit(1)
