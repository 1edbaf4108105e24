"""What decoding processes of tests do: decode, or what a file must not be able to make them do."""

import os
import resource
import signal
import socket
import time
from pathlib import Path

from image_kit.containment.answers import Answer, Facts
from image_kit.reading import ImageLimits, read


def look(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    picture = read(data, limits).picture
    return Answer({"size": picture.size, "pid": os.getpid()}, [picture.tobytes()])


def echo(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    return Answer(options, [data])


def crash(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    os.abort()


def crash_once(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Ends the first process, and no second one."""
    if os.getpid() == options["pid"]:
        os.abort()
    return Answer({"pid": os.getpid()})


def hang(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    time.sleep(3600)
    return Answer({})


def spin(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    while True:
        pass


def hoard(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    return Answer({"bytes": len(bytearray(options["bytes"]))})


def fail(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    raise RuntimeError("a fault of ours")


def try_all(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Tries what no decoder needs; says of each what came of it."""
    attempts = {
        "connect": lambda: socket.socket().close(),
        "pair": lambda: socket.socketpair(),
        "run": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "fork": os.fork,
        "signal": lambda: os.kill(os.getppid(), signal.SIGCONT),
        "read": lambda: Path(options["file"]).read_bytes(),
        "write": lambda: Path(options["folder"], "made").write_bytes(b"a"),
    }
    outcomes: dict[str, str] = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = "done"
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Answer({"outcomes": outcomes, "open": open_files, "environment": dict(os.environ)})
