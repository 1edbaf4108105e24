"""seccomp: which system calls a process may still make. Linux, without privileges.

Forbidden calls fail with EPERM. What is forbidden is listed, not what is allowed: a C library
that decodes with a call unknown here must not fail. See seccomp(2).
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import NamedTuple


class _Architecture(NamedTuple):
    audit: int
    clone: int
    tgkill: int
    forbidden: tuple[int, ...]


# In each: socket, socketpair, connect, bind, listen, accept, accept4; execve, execveat; kill,
# tkill, rt_sigqueueinfo, rt_tgsigqueueinfo; ptrace, process_vm_readv, process_vm_writev; mount,
# unshare, setns, bpf, perf_event_open, userfaultfd, keyctl. On x86 fork and vfork too.
_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E,
        56,
        234,
        (
            *(41, 53, 42, 49, 50, 43, 288, 59, 322, 62, 200, 129, 297, 101, 310, 311),
            *(165, 272, 308, 321, 298, 323, 250, 57, 58),
        ),
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        220,
        131,
        (
            *(198, 199, 203, 200, 201, 202, 242, 221, 281, 129, 130, 138, 240, 117, 270, 271),
            *(40, 97, 268, 280, 241, 282, 219),
        ),
    ),
}
# The same everywhere: io_uring_setup, pidfd_send_signal, pidfd_open, pidfd_getfd.
_FORBIDDEN = (425, 424, 434, 438)
_CLONE3 = 435
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SECCOMP, _FILTER, _NO_NEW_PRIVILEGES = 22, 2, 38


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def forbid_network_and_programs() -> bool:
    """Forbids sockets, other programs and other processes; False: not possible here."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if not sys.platform.startswith("linux") or architecture is None or sys.byteorder != "little":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    code = _code(architecture)
    program = _Program(len(code) // 8, code)
    return bool(libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0)


def _code(architecture: _Architecture) -> bytes:
    """The filter, in the instructions of the classic BPF."""

    def fail(number: int) -> bytes:
        return _instruction(_RETURN, _FAIL | number)

    allow = _instruction(_RETURN, _ALLOW)
    first = _instruction(_LOAD, _FIRST_ARGUMENT)
    parts = [
        _instruction(_LOAD, _ARCH),
        _instruction(_EQUAL, architecture.audit, 1, 0),
        fail(errno.EPERM),
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32, 0, 1),
        fail(errno.EPERM),
        # Its flags cannot be looked at; told that there is none, the C library takes clone.
        _instruction(_EQUAL, _CLONE3, 0, 1),
        fail(errno.ENOSYS),
        # Threads, but no processes.
        _instruction(_EQUAL, architecture.clone, 0, 4),
        first,
        _instruction(_ANY_BIT, _CLONE_THREAD, 0, 1),
        allow,
        fail(errno.EPERM),
        # Signals to itself only, as abort() sends.
        _instruction(_EQUAL, architecture.tgkill, 0, 4),
        first,
        _instruction(_EQUAL, os.getpid(), 0, 1),
        allow,
        fail(errno.EPERM),
    ]
    for number in (*architecture.forbidden, *_FORBIDDEN):
        parts += [_instruction(_EQUAL, number, 0, 1), fail(errno.EPERM)]
    return b"".join([*parts, allow])


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
