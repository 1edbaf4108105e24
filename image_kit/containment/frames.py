"""Messages between a service and its decoding processes: length, then JSON.

Never pickle: what a taken-over process sends must not be able to run anything here.
"""

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct(">I")
_LONGEST = 1 << 20


class BrokenFrameError(Exception):
    """What came is no message."""


def send(to: socket.socket, message: Mapping[str, Any]) -> None:
    """Sends a message.

    Raises:
        OSError: The other side is gone.
    """
    body = json.dumps(message).encode()
    to.sendall(_LENGTH.pack(len(body)) + body)


def receive(source: socket.socket, expires_at: float | None = None) -> dict[str, Any] | None:
    """Waits for a message; None: the other side has gone.

    Args:
        source: The connection.
        expires_at: On the monotonic clock; None: waits for ever.

    Raises:
        TimeoutError: None came in time.
        OSError: The connection broke.
        BrokenFrameError: What came is no message.
    """
    head = _exactly(source, _LENGTH.size, expires_at)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:
        raise BrokenFrameError(f"a message of {length} bytes")
    body = _exactly(source, length, expires_at)
    if body is None:
        return None
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BrokenFrameError("no JSON") from error
    if not isinstance(message, dict):
        raise BrokenFrameError("no object")
    return message


def _exactly(source: socket.socket, count: int, expires_at: float | None) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        if expires_at is not None:
            left = expires_at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            source.settimeout(left)
        try:
            more = source.recv(count - len(received))
        except ConnectionResetError:
            return None
        if not more:
            return None
        received += more
    return bytes(received)
