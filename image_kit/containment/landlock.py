"""Landlock: which files a process may still open. Linux 5.13 and later, without privileges.

See https://docs.kernel.org/userspace-api/landlock.html.
"""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # flag of landlock_create_ruleset: only tell which version there is
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# Rights known to version 1, and those that versions 2 (refer), 3 (truncate) and 5 (ioctl) added.
_FIRST_RIGHTS = (1 << 13) - 1
_ADDED = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_NO_NEW_PRIVILEGES = 38


def only_read(folders: Iterable[str]) -> bool:
    """Forbids to open any file but for reading within these folders; False: not possible here."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    rights = _FIRST_RIGHTS
    for since, right in _ADDED.items():
        if version >= since:
            rights |= right
    handled = ctypes.create_string_buffer(struct.pack("=Q", rights), 8)
    ruleset = libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            with contextlib.suppress(OSError):  # not there: then nothing is to be read in it
                _allow(libc, ruleset, folder)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, folder: str) -> None:
    rights = _READ_FILE | _READ_DIR if os.path.isdir(folder) else _READ_FILE
    opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, opened), 12)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)
