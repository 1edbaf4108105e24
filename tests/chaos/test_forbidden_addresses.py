"""URLs that lead inside, given to a real gateway: it never even connects there."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote

import grpc
import pytest
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from benchmarks.report import Bar, Report
from imagesearch_dev.elasticsearch.node import free_port
from imagesearch_dev.processes import Process
from service_kit.check_health import serving
from service_kit.client import channel
from service_kit.health import LIVENESS
from tests.helpers import Refusal, a_picture, refusal

ALLOWED = "127.77.0.1"
"""The only address that the gateway may connect to: it stands for a public one."""

FORBIDDEN_CODES = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,  # the name is not known
}

HOSTS = {
    "loopback": ["127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]", "0.0.0.0", "[::]"],
    "private": ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.1.1"],
    "private IPv6": ["[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]"],
    "metadata": ["169.254.169.254", "100.100.100.200", "168.63.129.16", "[fd00:ec2::254]"],
    "IPv4 in IPv6": [
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::7f00:1]"),
        *("[::ffff:0:127.0.0.1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:169.254.169.254]"),
    ],
    "NAT64": ["[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]"],
    "6to4, Teredo, ISATAP": [
        *("[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::]", "[2606::5efe:7f00:1]"),
    ],
    "decimal": ["2130706433", "4278190081", "2852039166"],
    "octal": ["0177.0.0.1", "017700000001", "0177.0.0.01", "127.0.0.01"],
    "hex": ["0x7f.0.0.1", "0x7f000001", "0x7F.1", "0x7f.0x0.0x0.0x1"],
    "short": ["127.1", "127.0.1", "0", "1"],
    "names of this machine": ["localhost", "LOCALHOST", "localhost.", socket.gethostname()],
    "spellings": ["127.0.0.1.", "127。0。0。1", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127%2e0.0.1"],
    "user names": [f"{ALLOWED}@127.0.0.1", f"{ALLOWED}\\@127.0.0.1", "127.0.0.1#@", "a:b@127.1"],
}

ANSWERS = {
    "inside.test": [["127.0.0.1"]],
    "inside6.test": [["::1"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "mixed.test": [[ALLOWED, "127.0.0.1"]],
    "mixed-late.test": [["127.0.0.1", ALLOWED]],
    "rebinding.test": [[ALLOWED], ["127.0.0.1"]],
    "rebinding6.test": [[ALLOWED], ["::1"]],
}


class Listener:
    """Listens on every address of this machine, and counts where connections come in.

    At the allowed one it answers: /image with an image, /to?URL with a redirect.

    Attributes:
        port: Of all addresses.
        connections: By address.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.connections: Counter[str] = Counter()

    @property
    def forbidden(self) -> int:
        """Connections that never should have been."""
        return sum(n for address, n in self.connections.items() if address != ALLOWED)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0].removeprefix("::ffff:")
        self.connections[address] += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1]
            body, kind = a_picture(1), "200 OK"
            if path.startswith("/to?"):
                body, kind = b"", f"302 Found\r\nLocation: {unquote(path[4:])}"
            writer.write(
                f"HTTP/1.1 {kind}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    hosts = ["0.0.0.0"]
    if socket.has_dualstack_ipv6():
        hosts.append("::")
    server = await asyncio.start_server(listener.answer, hosts, listener.port)
    yield listener
    server.close()
    await server.wait_closed()


@pytest.fixture(scope="module")
async def images(
    listener: Listener, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[pb_grpc.ImageSearchServiceAsyncStub]:
    """A gateway alone: no image comes so far that the others would be asked."""
    folder = tmp_path_factory.mktemp("fetching")
    address = f"127.0.0.1:{free_port()}"
    arguments = (sys.executable, "-m", "tests.chaos.gateway_with_names", json.dumps(ANSWERS))
    env = {
        "GATEWAY_LISTEN": address,
        "GATEWAY_ALLOW_URL_FETCH": "true",
        "GATEWAY_FETCH_TIMEOUT_S": "5",
        "GATEWAY_FETCH_PORTS": json.dumps([80, 443, listener.port]),
        "GATEWAY_FETCH_ALLOWED_NETWORKS": json.dumps([ALLOWED]),
        "GATEWAY_STORE_URL": (folder / "store").as_uri(),
        "GATEWAY_EMBEDDER": f"127.0.0.1:{free_port()}",
        "GATEWAY_SEARCH": f"127.0.0.1:{free_port()}",
    }
    process = Process("gateway", arguments, log=folder / "gateway.log", env=env)
    process.start()
    try:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(serving, address, LIVENESS):
                assert process.exit_status() is None, process.last_lines()
                await asyncio.sleep(0.05)
        async with channel(address) as opened:
            yield pb_grpc.ImageSearchServiceStub(opened)
    finally:
        await asyncio.to_thread(process.stop)


async def refused(images: pb_grpc.ImageSearchServiceAsyncStub, url: str) -> Refusal:
    return await refusal(images.SearchByImage(pb.SearchByImageRequest(url=url), timeout=20))


async def test_what_is_allowed_is_fetched(
    images: pb_grpc.ImageSearchServiceAsyncStub, listener: Listener
) -> None:
    """Only then does it mean something that the rest is not."""
    before = listener.connections[ALLOWED]

    for path in ("/image", f"/to?http://{ALLOWED}:{listener.port}/image"):
        found = await refused(images, f"http://{ALLOWED}:{listener.port}{path}")
        assert "embedder" in found.message, "it did not come as far as being embedded"

    assert listener.connections[ALLOWED] == before + 3


@pytest.mark.parametrize("kind", HOSTS)
async def test_an_address_is_not_connected_to_in_any_form(
    images: pb_grpc.ImageSearchServiceAsyncStub, listener: Listener, report: Report, kind: str
) -> None:
    """Neither directly, nor where a redirect leads."""
    before = listener.forbidden

    for host in HOSTS[kind]:
        inside = f"http://{host}:{listener.port}/image"
        redirect = f"http://{ALLOWED}:{listener.port}/to?{quote(inside, safe='')}"
        for url in (inside, redirect):
            found = await refused(images, url)
            assert found.code in FORBIDDEN_CODES, (url, found)

    made = listener.forbidden - before
    report.add(Bar(f"URLs that lead inside, {kind}: connections", made, 0, False))
    assert not made


async def test_other_schemes_and_ports_are_not_followed(
    images: pb_grpc.ImageSearchServiceAsyncStub, listener: Listener
) -> None:
    before = listener.forbidden
    targets = [
        *("file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/", "data:image/png,x"),
        *(f"http://{ALLOWED}:22/", f"//127.0.0.1:{listener.port}/", "unix:/var/run/docker.sock"),
    ]

    for target in targets:
        for url in (target, f"http://{ALLOWED}:{listener.port}/to?{quote(target, safe='')}"):
            assert (await refused(images, url)).code in FORBIDDEN_CODES, url

    assert listener.forbidden == before


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_name_that_leads_inside_is_not_followed(
    images: pb_grpc.ImageSearchServiceAsyncStub, listener: Listener, report: Report, name: str
) -> None:
    """The last time of several: DNS rebinding lets the first ones through."""
    before = listener.forbidden

    for _ in ANSWERS[name]:
        found = await refused(images, f"http://{name}:{listener.port}/image")

    made = listener.forbidden - before
    report.add(Bar(f"names that lead inside, {name}: connections", made, 0, False))
    assert found.code is grpc.StatusCode.PERMISSION_DENIED
    assert not made


async def test_a_redirect_to_a_name_that_was_rebound_is_not_followed(
    images: pb_grpc.ImageSearchServiceAsyncStub, listener: Listener
) -> None:
    before = listener.forbidden
    inside = f"http://inside.test:{listener.port}/image"

    found = await refused(images, f"http://{ALLOWED}:{listener.port}/to?{quote(inside, safe='')}")

    assert found.code is grpc.StatusCode.PERMISSION_DENIED
    assert listener.forbidden == before
