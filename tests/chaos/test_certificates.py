"""Certificates that change under load: no call is lost. CHAOS=1 makes it longer."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.report import Bar, Report
from imagesearch_dev.certificates import Authority, replace_file
from service_kit.client import channel
from service_kit.tls.client import channel_credentials
from service_kit.tls.files import CertificateError, load
from service_kit.tls.watching import LOOK_S
from tests.chaos import FULL
from tests.helpers import eventually
from tests.parties import EACH, WHO, Party, mirror, served

ROTATIONS = 100 if FULL else 10
AUTHORITIES = 20 if FULL else 2

pytestmark = pytest.mark.timeout(1_800 if FULL else 180)


@pytest.fixture
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Party:
    return Party(tmp_path / "server", authority, "gateway")


@pytest.fixture
def client(tmp_path: Path, authority: Authority) -> Party:
    return Party(tmp_path / "client", authority, "client")


class Load:
    """Calls on the way at all times: on one channel, on new ones, and on a stream for all.

    Attributes:
        done: Calls that were answered, by kind.
        failed: What went wrong.
        seen: The certificate that the server saw last on the kept channel.
    """

    def __init__(self, address: str, client: Party) -> None:
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self.seen = b""
        self._address = address
        self._client = client

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Calls until the block ends; then nothing must have failed."""
        async with channel(self._address, tls=self._client.client()) as kept:
            who = kept.unary_unary(WHO)

            async def call() -> None:
                self.seen = await who(b"", timeout=10)

            stopping = asyncio.Event()
            stream = kept.stream_stream(EACH)()
            numbers = itertools.count()

            async def send() -> None:
                number = str(next(numbers)).encode()
                await stream.write(number)
                async with asyncio.timeout(10):
                    assert await stream.read() == number

            loops = [self._loop(stopping, "kept", call) for _ in range(4)]
            loops += [self._loop(stopping, "new", self._connect) for _ in range(2)]
            loops += [self._loop(stopping, "stream", send)]
            tasks = [asyncio.create_task(loop) for loop in loops]
            try:
                yield
            finally:
                stopping.set()
                await asyncio.gather(*tasks)
                stream.cancel()

    async def _loop(
        self, stopping: asyncio.Event, kind: str, call: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        while not stopping.is_set():
            try:
                await call()
            except (grpc.aio.AioRpcError, TimeoutError, AssertionError) as error:
                self.failed.append(f"{kind}: {error!r}")
                await asyncio.sleep(0.1)
            else:
                self.done[kind] += 1
                await asyncio.sleep(0.005)

    async def _connect(self) -> None:
        files = self._client.client().files
        try:
            credentials = channel_credentials(load(files, datetime.now(UTC)))
        except CertificateError:  # the pair is just being written
            return
        async with grpc.aio.secure_channel(self._address, credentials) as opened:
            await opened.unary_unary(WHO)(b"", timeout=10)


async def are_used(load: Load, address: str, client: Party, *certificates: bytes) -> None:
    """Waits until the server shows one certificate, and the kept channel the other."""

    async def used() -> None:
        assert await served(address, client) == certificates[0]
        assert load.seen == certificates[1]

    await eventually(used, pause_s=0.2)


async def test_rotations_on_both_sides_lose_no_call(
    server: Party, client: Party, report: Report
) -> None:
    async with mirror(**server.server()) as address:
        load = Load(address, client)
        async with load.running():
            for _ in range(ROTATIONS):
                await are_used(load, address, client, server.renew(), client.renew())

    what = f"certificates of both sides rotated {ROTATIONS}x: failed calls"
    report.add(Bar(what, len(load.failed), 0, False, f"of {load.done.total()}"))
    assert load.failed == []
    assert min(load.done[kind] for kind in ("kept", "new", "stream")) > ROTATIONS, load.done


async def test_a_change_of_authority_loses_no_call(
    server: Party, client: Party, authority: Authority, report: Report
) -> None:
    """Both are trusted first, then all get certificates of the new one, then the old one goes."""
    async with mirror(**server.server()) as address:
        load = Load(address, client)
        async with load.running():
            old = authority
            for _ in range(AUTHORITIES):
                new = Authority.create()
                for step in (
                    {"trusted": [old, new]},
                    {"authority": new},
                    {"trusted": [new]},
                ):
                    renewed = [party.renew(**step) for party in (server, client)]
                    await are_used(load, address, client, *renewed)
                old = new

    what = f"the authority changed {AUTHORITIES}x: failed calls"
    report.add(Bar(what, len(load.failed), 0, False, f"of {load.done.total()}"))
    assert load.failed == []
    assert min(load.done[kind] for kind in ("kept", "new", "stream")) > AUTHORITIES, load.done


async def test_after_the_old_authority_is_gone_its_certificates_are_refused(
    server: Party, client: Party, authority: Authority, tmp_path: Path
) -> None:
    new = Authority.create()
    left = Party(tmp_path / "left", authority, "client")
    left.renew(trusted=[authority, new])
    async with mirror(**server.server()) as address:
        renewed = server.renew(authority=new, trusted=[new])
        client.renew(authority=new, trusted=[new])

        async def changed() -> None:
            assert await served(address, client) == renewed

        await eventually(changed)
        async with channel(address, tls=client.client()) as opened:
            assert await opened.unary_unary(WHO)(b"", timeout=10)
        async with channel(address, tls=left.client()) as opened:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await opened.unary_unary(WHO)(b"", timeout=10)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


BAD: dict[str, Callable[[Party], Any]] = {
    "half a certificate": lambda party: replace_file(
        party.certificate, party.certificate.read_bytes()[:300]
    ),
    "a key of another": lambda party: replace_file(
        party.key, Authority.create().issue("gateway").key
    ),
    "nothing": lambda party: replace_file(party.certificate, b""),
    "no file": lambda party: party.key.unlink(),
    "no folder": lambda party: shutil.rmtree(party.key.parent),
    "broken authorities": lambda party: replace_file(party.ca, b"-----BEGIN CERTIFICATE-----"),
    "an expired certificate": lambda party: party.renew(
        begins=datetime.now(UTC) - timedelta(days=2), lasts=timedelta(days=1)
    ),
}


async def test_bad_files_on_either_side_change_nothing_and_good_ones_mend_it(
    tmp_path: Path, authority: Authority
) -> None:
    async def spoil(case: str) -> None:
        folder = tmp_path / case
        server, client, prober = (
            Party(folder / name, authority, name) for name in ("gateway", "client", "prober")
        )
        async with (
            mirror(**server.server()) as address,
            channel(address, tls=client.client()) as opened,
        ):
            who = opened.unary_unary(WHO)
            shown, seen = await served(address, prober), await who(b"", timeout=10)
            BAD[case](server)
            BAD[case](client)
            for _ in range(8):
                await asyncio.sleep(LOOK_S / 2)
                assert await served(address, prober) == shown, case
                assert await who(b"", timeout=10) == seen, case
            new_server, new_client = server.renew(), client.renew()

            async def mended() -> None:
                assert await served(address, prober) == new_server, case
                assert await who(b"", timeout=10) == new_client, case

            await eventually(mended)

    await asyncio.gather(*map(spoil, BAD))


async def test_a_pair_that_is_written_slowly_loses_no_call(server: Party, client: Party) -> None:
    async with mirror(**server.server()) as address:
        load = Load(address, client)
        async with load.running():
            for party in (server, client):
                pair = party.authority.issue("gateway")
                replace_file(party.certificate, pair.certificate)
                await asyncio.sleep(3 * LOOK_S)
                replace_file(party.key, pair.key)
                await asyncio.sleep(LOOK_S)
            await are_used(
                load,
                address,
                client,
                server.certificate.read_bytes(),
                client.certificate.read_bytes(),
            )

    assert load.failed == []


async def test_a_server_that_does_not_take_the_new_certificate_keeps_the_old_connection(
    server: Party, client: Party
) -> None:
    other = Authority.create()
    async with (
        mirror(**server.server()) as address,
        channel(address, tls=client.client()) as opened,
    ):
        who = opened.unary_unary(WHO)
        before = await who(b"", timeout=10)
        own = client.authority
        renewed = client.renew(authority=other, trusted=[own])
        for _ in range(8):
            await asyncio.sleep(LOOK_S / 2)
            assert await who(b"", timeout=10) == before
        server.renew(trusted=[own, other])

        async def taken() -> None:
            assert await who(b"", timeout=10) == renewed

        await eventually(taken)


async def test_a_client_that_was_idle_connects_with_the_newest_certificate(
    server: Party, client: Party
) -> None:
    async with (
        mirror(**server.server()) as address,
        channel(address, tls=client.client()) as opened,
    ):
        renewed = client.renew()
        await asyncio.sleep(3 * LOOK_S)

        assert await opened.unary_unary(WHO)(b"", timeout=10) == renewed
