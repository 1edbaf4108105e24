"""Everything on one machine: what `make run` does.

Starts Elasticsearch, the three services and the page, indexes sample pictures, shows
two searches, and stops all of it on Ctrl-C.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from imagesearch_dev import guide, models, samples
from imagesearch_dev.elasticsearch.node import ElasticsearchNode
from imagesearch_dev.processes import Process
from imagesearch_ingest.folder import find_images
from service_kit.check_health import serving

PORT = 50050
SERVICES = ("gateway", "embedder_service", "search_service")
"""They listen on the port of the gateway and the two after it."""

PAGE_PORTS = range(8080, 8100)
"""The page takes the first free one of these; with another port of the gateway, the one after the
services'."""

START_S = 600.0
"""Most seconds for all services to serve; large models need some on a slow disk."""


class StackError(Exception):
    """The stack cannot run; its message says why."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs until Ctrl-C. Exit status 1 if something cannot start or ends by itself."""
    options = _parse(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        try:
            run(options, stopped, stack)
        except StackError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            sys.exit(1)
        finally:
            print("\nStopping …", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, help="folder to index instead of the samples")
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL", "auto"),
        help="auto, clip, tiny, or IMAGE_MODEL,TEXT_MODEL as hub names or folders",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".imagesearch"),
        help="where data, logs and samples are kept; default %(default)s",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        help="of the gateway; the other services take the two after it; default %(default)s",
    )
    parser.add_argument(
        "--page-port",
        type=int,
        help=f"of the page; default: the first free one from {PAGE_PORTS[0]}, or with --port "
        "the one after the services'",
    )
    parser.add_argument("--once", action="store_true", help="stop after the two searches")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, stopped: threading.Event, stack: ExitStack) -> None:
    """Starts everything, shows it, and waits for the stop.

    Args:
        options: Of the command line.
        stopped: Set when the user wants to stop.
        stack: Gets what must be undone at the end.

    Raises:
        StackError: Something cannot start, or ended by itself.
    """
    began = time.monotonic()
    folder: Path = options.folder.resolve()
    own = None if options.images is None else _first_image(options.images)
    try:
        chosen = models.choose(options.model)
    except ValueError as error:
        raise StackError(str(error)) from error
    print(f"Model: {chosen.note}", flush=True)
    if chosen is not models.TINY:
        models.download(chosen)
    addresses = {name: f"127.0.0.1:{options.port + n}" for n, name in enumerate(SERVICES)}
    for name, address in addresses.items():
        if _taken(port := int(address.partition(":")[2])):
            raise StackError(f"port {port} of {name} is taken: does another `make run` go on?")
    page = f"127.0.0.1:{_page_port(options)}"
    data = folder / chosen.key
    url = os.environ.get("ELASTICSEARCH_URL") or _start_elasticsearch(folder, data, stack)
    services = _services(addresses, page, chosen, url, data, folder / "logs")
    for service in services:
        service.start()
        stack.callback(service.stop)
    images = samples.ensure(folder / "samples") if own is None else options.images
    _wait_until_serving(services, addresses["gateway"], page, stopped)
    if stopped.is_set():
        return
    print(f"Ready after {time.monotonic() - began:.0f} s.", flush=True)
    text = samples.query_text(chosen is models.TINY)
    picture = _shown(images / samples.QUERY_IMAGE if own is None else own)
    os.environ["IMAGESEARCH_GATEWAY"] = addresses["gateway"]
    os.environ["IMAGESEARCH_JOURNAL"] = str(data / "journal.sqlite")
    _cli("index", _shown(images))
    _cli("search", picture, "-k", "6")
    _cli("search", "--text", text, "-k", "6")
    guide.print_guide(
        logs=_shown(folder / "logs"),
        address=addresses["gateway"],
        page=f"http://{page}/",
        is_default=options.port == PORT,
        are_samples=own is None,
        picture=picture,
        text=text,
    )
    if not options.once:
        _watch(services, stopped)


def _start_elasticsearch(folder: Path, data: Path, stack: ExitStack) -> str:
    print("Elasticsearch: assembling if this is the first time, then starting …", flush=True)
    node = ElasticsearchNode(data / "elasticsearch", folder / "elasticsearch")
    stack.callback(node.stop)
    node.start()
    return node.url


def _page_port(options: argparse.Namespace) -> int:
    if options.page_port is not None:
        port: int = options.page_port
    elif options.port != PORT:
        port = options.port + len(SERVICES)
    else:
        port = next((free for free in PAGE_PORTS if not _taken(free)), PAGE_PORTS[0])
    if _taken(port):
        raise StackError(f"port {port} of the page is taken; name another with --page-port")
    return port


def _services(
    addresses: Mapping[str, str],
    page: str,
    chosen: models.Models,
    url: str,
    data: Path,
    logs: Path,
) -> list[Process]:
    env = {
        "embedder_service": {
            "EMBEDDER_LISTEN": addresses["embedder_service"],
            "EMBEDDER_IMAGE_MODEL": chosen.image,
            "EMBEDDER_TEXT_MODEL": chosen.text,
        },
        "search_service": {
            "SEARCH_LISTEN": addresses["search_service"],
            "ELASTICSEARCH_URL": url,
        },
        "gateway": {
            "GATEWAY_LISTEN": addresses["gateway"],
            "GATEWAY_EMBEDDER": addresses["embedder_service"],
            "GATEWAY_SEARCH": addresses["search_service"],
            "GATEWAY_STORE_URL": (data / "store").as_uri(),
        },
        "imagesearch_web": {
            "WEB_LISTEN": page,
            "WEB_GATEWAY": addresses["gateway"],
            "WEB_QUERY_FOLDER": str(data / "query-images"),
        },
    }
    return [
        Process(name, (sys.executable, "-m", name), log=logs / f"{name}.log", env=env[name])
        for name in env
    ]


def _wait_until_serving(
    services: Sequence[Process], gateway: str, page: str, stopped: threading.Event
) -> None:
    print("Services: starting …", flush=True)
    end = time.monotonic() + START_S
    while not stopped.wait(0.1):
        _check_running(services)
        if serving(gateway) and _taken(int(page.rpartition(":")[2])):
            return
        if time.monotonic() > end:
            raise StackError(f"the gateway does not serve after {START_S:.0f} s; see its log")


def _check_running(services: Sequence[Process]) -> None:
    for service in services:
        if (status := service.exit_status()) is not None:
            raise StackError(
                f"{service.name} ended with status {status}; the end of {service.log}:\n"
                + service.last_lines()
            )


def _watch(services: Sequence[Process], stopped: threading.Event) -> None:
    while not stopped.wait(1.0):
        _check_running(services)


def _shown(path: Path) -> str:
    """The path as one types it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _first_image(folder: Path) -> Path:
    first = next(find_images(folder), None)
    if first is None:
        raise StackError(f"there are no images in {folder}")
    return first


def _cli(*arguments: str) -> None:
    shown = [f'"{word}"' if " " in word else word for word in arguments]
    print(f"\n$ imagesearch {' '.join(shown)}", flush=True)
    subprocess.run((sys.executable, "-m", "imagesearch_cli", *arguments), check=False)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
