"""Which system calls has Python no name for? mount(2), umount2(2), swapoff(2), reboot(2) through ctypes.

Imported only where one is about to be called: ctypes is heavy and PID 1 seldom needs it. The C library is the one
that the interpreter itself is linked with (dlopen(3) of NULL): no file is looked for at the end of a machine.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

MS_RDONLY: Final = 1
MS_REMOUNT: Final = 32
MNT_DETACH: Final = 2  # umount2(2): hide it now, let go when the last user is gone
UMOUNT_NOFOLLOW: Final = 8

RB_AUTOBOOT: Final = 0x01234567  # reboot(2)
RB_HALT_SYSTEM: Final = 0xCDEF0123
RB_POWER_OFF: Final = 0x4321FEDC
RB_DISABLE_CAD: Final = 0

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: str = "") -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path or None)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2). Raises OSError."""
    data = os.fsencode(options) if options else None
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), os.fsencode(kind) or None, ctypes.c_ulong(flags), data
    )
    _check(result, target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2), never following a symbolic link. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), flags | UMOUNT_NOFOLLOW), target)


def swap_off(path: str) -> None:
    """swapoff(2). Raises OSError."""
    _check(_libc.swapoff(os.fsencode(path)), path)


def reboot(command: int) -> None:
    """reboot(2) with one of the RB_ commands, without sync. Raises OSError; returns if the machine goes on."""
    _check(_libc.reboot(ctypes.c_int(command - (1 << 32) if command >= 1 << 31 else command)))
