"""Which system calls that confine a process has Python no name for? Namespaces, mounts, capabilities,
ioprio_set(2), through ctypes; prctl(2) is in `linit.runtime.prctl`.

Imported only where one is about to be called, first of all in PID 1 itself, right before it forks the first child that
needs one: every later child finds it loaded. The C library is the one that the interpreter is linked with (dlopen(3)
of NULL).
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from linit.runtime.failure import StepFailed

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_SLAVE: Final = 1 << 19
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000

AT_FDCWD: Final = -100
AT_RECURSIVE: Final = 0x8000
MOUNT_ATTR_RDONLY: Final = 1
MOUNT_SETATTR: Final = 442  # the same number on every architecture that Python runs on
IOPRIO_SET: Final = {
    "x86_64": 251, "i686": 289, "aarch64": 30, "riscv64": 30, "loongarch64": 30, "armv7l": 314, "armv6l": 314,
    "ppc64le": 273, "s390x": 282,
}  # fmt: skip
IOPRIO_WHO_PROCESS: Final = 1
CAPABILITY_VERSION_3: Final = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2). Raises OSError."""
    data = os.fsencode(options) if options else None
    _check(
        _libc.mount(os.fsencode(source), os.fsencode(target), os.fsencode(kind) or None, ctypes.c_ulong(flags), data),
        target,
    )


def unmount(target: str) -> None:
    """umount2(2), now for those who look, later for those who still use it. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW), target)


def set_read_only(path: str, is_read_only: bool, recursive: bool) -> None:
    """mount_setattr(2) of the mount at `path`, and of those below it. Raises OSError; ENOSYS before Linux 5.12."""
    set_, clear = (MOUNT_ATTR_RDONLY, 0) if is_read_only else (0, MOUNT_ATTR_RDONLY)
    attributes = ctypes.create_string_buffer(struct.pack("=QQQQ", set_, clear, 0, 0), 32)
    flags = AT_RECURSIVE if recursive else 0
    _check(
        _libc.syscall(
            ctypes.c_long(MOUNT_SETATTR), ctypes.c_int(AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags), attributes,
            ctypes.c_size_t(32),
        ),
        path,
    )  # fmt: skip


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)))


def join_namespace(path: str, kind: int) -> None:
    """setns(2) to the namespace that a file of /proc/PID/ns stands for. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), path)
    finally:
        os.close(fd)


def set_io_priority(value: int) -> None:
    """ioprio_set(2) of this process. Raises OSError, and StepFailed on a machine whose number for it is not known."""
    machine = os.uname().machine
    if machine not in IOPRIO_SET:
        raise StepFailed(f"ionice: linit does not know the system call ioprio_set on this machine ({machine})")
    number = ctypes.c_long(IOPRIO_SET[machine])
    _check(_libc.syscall(number, ctypes.c_int(IOPRIO_WHO_PROCESS), ctypes.c_int(0), ctypes.c_int(value)))


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint32 * 6),)  # low words of effective, permitted, inheritable; then the high ones


def capabilities() -> tuple[int, int, int]:
    """The effective, permitted and inheritable sets of this process, as bits: capget(2). Raises OSError."""
    sets = _Sets()
    _check(_libc.capget(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), ctypes.byref(sets)))
    low, high = sets.words[:3], sets.words[3:]
    effective, permitted, inheritable = (first | second << 32 for first, second in zip(low, high, strict=True))
    return effective, permitted, inheritable


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2). Raises OSError."""
    sets = _Sets()
    for index, bits in enumerate((effective, permitted, inheritable)):
        sets.words[index], sets.words[index + 3] = bits & 0xFFFFFFFF, bits >> 32
    _check(_libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), ctypes.byref(sets)))
