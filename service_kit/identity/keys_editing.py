"""Changes a file of API keys: one at a time, and never half."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from service_kit.identity import keys_file
from service_kit.identity.errors import IdentityError
from service_kit.identity.keys_file import Key, Keys

_LOCK_S = 10.0


def add(file: Path, key: Key) -> None:
    """Adds a key; the file is made if it is not there.

    Raises:
        IdentityError: The file cannot be read or written, or is no file of keys.
    """
    with _locked(file):
        there = keys_file.read(file) if file.exists() else Keys()
        _write(file, Keys(keys=(*there.keys, key)))


def revoke(file: Path, key_id: str) -> Key:
    """Takes a key back; gives it as it is now. Doing it again changes nothing.

    Raises:
        IdentityError: There is no such key, or the file cannot be read or written.
    """
    with _locked(file):
        there = keys_file.read(file)
        found = next((key for key in there.keys if key.id == key_id), None)
        if found is None:
            raise IdentityError(f"{file} has no key {key_id!r}")
        if found.revoked_at is not None:
            return found
        now = datetime.now(UTC).replace(microsecond=0)
        revoked = found.model_copy(update={"revoked_at": now})
        _write(file, Keys(keys=tuple(revoked if key is found else key for key in there.keys)))
        return revoked


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds a lock beside the file: the file itself is replaced."""
    end = time.monotonic() + _LOCK_S
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise IdentityError(f"{file} cannot be changed: {error.strerror}") from error
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise IdentityError(f"somebody else has been changing {file}") from error
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _write(file: Path, keys: Keys) -> None:
    target = file.resolve()  # a link stays one
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as new:
            try:
                _like(target, new.fileno())
                new.write(keys.model_dump_json(indent=2).encode() + b"\n")
                new.flush()
                os.fsync(new.fileno())
                os.replace(new.name, target)
            except BaseException:
                os.unlink(new.name)
                raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise IdentityError(f"{file} cannot be written: {error.strerror}") from error


def _like(target: Path, new: int) -> None:
    """Gives a new file (0600, ours) the mode and owner of the one it replaces, where we may."""
    with suppress(FileNotFoundError):
        old = target.stat()
        with suppress(PermissionError):
            os.fchown(new, old.st_uid, old.st_gid)
        os.fchmod(new, old.st_mode & 0o777)
