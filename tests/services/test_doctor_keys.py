"""The doctor where everybody is asked who they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import gateway.server
import gateway.settings
from imagesearch_doctor.examining import examine
from imagesearch_doctor.findings import Level
from imagesearch_doctor.targets import Access, Options
from tests.services.secured import Secured
from tests.services.test_doctor import of, problems
from tests.services.test_identity import reloaded, secured  # noqa: F401 # a fixture


async def test_with_a_key_for_all_scopes_nothing_is_wrong(secured: Secured) -> None:  # noqa: F811
    key = secured.key()
    for name in secured.addresses:
        await reloaded(secured, key, name)
    addresses = secured.addresses
    through = Options(addresses["gateway"], access=Access(api_key=key), write=True)
    direct = Options(
        addresses["gateway"],
        embedder=addresses["embedder_service"],
        search=addresses["search_service"],
        access=Access(api_key=key),
        write=True,
    )

    for options in (through, direct):
        checked = await examine(options)

        assert problems(checked) == ""
        assert [f.what for f in of(checked, "access")] == ["the key is taken"]
        assert of(checked, "probe")[0].level is Level.OK
        assert of(checked, "elasticsearch")[-1].level is Level.OK


@pytest.mark.parametrize(
    ("scopes", "what"),
    [
        (None, "GetStatus is refused"),
        (("search",), "GetDiagnostics is refused"),
    ],
)
async def test_a_key_that_is_unknown_or_too_weak_is_named(
    secured: Secured,  # noqa: F811
    scopes: tuple[str, ...] | None,
    what: str,
) -> None:
    key = "" if scopes is None else secured.key(*scopes)
    if key:
        await reloaded(secured, key)

    checked = await examine(Options(secured.addresses["gateway"], access=Access(api_key=key)))

    (finding,) = of(checked, "access")
    assert finding.level is Level.PROBLEM
    assert what in finding.what
    assert finding.advice


@asynccontextmanager
async def a_gateway(secured: Secured, backend_key: str, folder: Path) -> AsyncIterator[str]:  # noqa: F811
    """A gateway that shows this key to the others; gives its address."""
    settings = gateway.settings.Settings(
        listen="127.0.0.1:0",
        grace_s=1,
        keys_file=secured.file,
        embedder=secured.addresses["embedder_service"],
        search=secured.addresses["search_service"],
        store_url=folder.as_uri(),
        backend_api_key=backend_key,
    )
    async with gateway.server.running(settings) as port:
        yield f"127.0.0.1:{port}"


async def test_a_gateway_whose_own_key_is_not_known_is_told_of(
    secured: Secured,  # noqa: F811
    tmp_path: Path,
) -> None:
    key, withdrawn = secured.key(), secured.key("search", "ingest")
    secured.revoke(withdrawn)
    await reloaded(secured, key)
    async with a_gateway(secured, withdrawn, tmp_path) as address:
        checked = await examine(Options(address, access=Access(api_key=key)))

    for name in ("backends", "parts"):
        told = of(checked, name)
        assert {f.subject for f in told} == {"embedder_service", "search_service"}
        assert {f.level for f in told} == {Level.PROBLEM}
        assert all("GATEWAY_BACKEND_API_KEY" in f.advice for f in told)
    assert all("it refuses the gateway" in f.what for f in of(checked, "backends"))


async def test_a_gateway_whose_own_key_may_too_little_is_told_of(
    secured: Secured,  # noqa: F811
    tmp_path: Path,
) -> None:
    key, weak = secured.key(), secured.key("search", indexes=("mine-*",))
    for name in ("embedder_service", "search_service"):
        await reloaded(secured, weak, name)
    async with a_gateway(secured, weak, tmp_path) as address:
        checked = await examine(Options(address, access=Access(api_key=key)))

    for part in ("embedder_service", "search_service"):
        scopes, indexes = [f for f in of(checked, "backends") if f.subject == part]
        assert scopes.level is indexes.level is Level.WARNING
        assert "does not let it ingest" in scopes.what
        assert "these indexes only: mine-*" in indexes.what
