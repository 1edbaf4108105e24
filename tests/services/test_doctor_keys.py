"""The doctor where everybody is asked who they are."""

from __future__ import annotations

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


async def test_a_gateway_whose_own_key_is_not_known_is_told_of(
    secured: Secured,  # noqa: F811
    tmp_path: Path,
) -> None:
    key, withdrawn = secured.key(), secured.key("search", "ingest")
    secured.revoke(withdrawn)
    await reloaded(secured, key)
    settings = gateway.settings.Settings(
        listen="127.0.0.1:0",
        grace_s=1,
        keys_file=secured.file,
        embedder=secured.addresses["embedder_service"],
        search=secured.addresses["search_service"],
        store_url=tmp_path.as_uri(),
        backend_api_key=withdrawn,
    )
    async with gateway.server.running(settings) as port:
        checked = await examine(Options(f"127.0.0.1:{port}", access=Access(api_key=key)))

    told = of(checked, "backends")
    assert {f.subject for f in told} == {"embedder_service", "search_service"}
    assert all("it refuses the gateway" in f.what for f in told)
    assert all("GATEWAY_BACKEND_API_KEY" in f.advice for f in told)
