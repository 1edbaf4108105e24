"""A gateway in whose process some names resolve as a test says: `... '{"name": [["1.2.3.4"]]}'`.

Each list is one answer; the last is given for ever.
"""

import json
import socket
import sys
from typing import Any

from gateway.server import serve
from gateway.settings import Settings
from service_kit.server import run
from service_kit.settings import read

_resolve = socket.getaddrinfo


def main() -> None:
    """Takes the names from the command line, and runs the gateway."""
    answers: dict[str, list[list[str]]] = json.loads(sys.argv.pop())

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in answers:
            return _resolve(host, port, *args, **kwargs)
        left = answers[host]
        addresses = left[0] if len(left) == 1 else left.pop(0)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    socket.getaddrinfo = resolve
    run(serve, read(Settings), "gateway")


if __name__ == "__main__":
    main()
