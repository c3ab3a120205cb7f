"""Which files have changed? inotify(7), through ctypes: one descriptor for all who watch, open while somebody does.

The kernel knows one watch for each inode, with one mask. Who watches the same inode shares it, and each is told of what
its own mask names. A watch ends by itself when its inode is gone: everybody is told so by `IGNORED`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from linit.runtime.failure import errno_words
from linit.runtime.loop import Loop

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
UNMOUNT: Final = 0x2000
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ONLYDIR: Final = 0x0100_0000
MASK_ADD: Final = 0x2000_0000
ALWAYS: Final = UNMOUNT | OVERFLOW | IGNORED  # told without being asked for

EVENT: Final = struct.Struct("@iIII")  # watch, mask, cookie, length of the name
READ_BYTES: Final = 64 * 1024
READS_AT_ONCE: Final = 4  # a flood must not keep the loop
LIMITS: Final = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances, or the limit of open files,",
}

_libc = ctypes.CDLL(None, use_errno=True)
_open: dict[Loop, Inotify] = {}

OnEvent = Callable[[int, str], None]
"""(mask, name of the entry or "")"""


@dataclass(eq=False, slots=True)
class Watch:
    """One who watches an inode. `number` is the kernel's for the watch; -1 when it has ended."""

    number: int
    mask: int
    on_event: OnEvent


def open_descriptor() -> int:
    """One that watches nothing yet. Raises OSError."""
    return _check(_libc.inotify_init1(ctypes.c_int(os.O_CLOEXEC | os.O_NONBLOCK)), "")


def add_watch(fd: int, path: str, mask: int) -> int:
    """Watch what `path` is now; the kernel's number for it. Raises OSError."""
    return _check(_libc.inotify_add_watch(ctypes.c_int(fd), os.fsencode(path), ctypes.c_uint32(mask | MASK_ADD)), path)


class Inotify:
    """The descriptor, and who watches what."""

    def __init__(self, loop: Loop) -> None:
        """Raises OSError."""
        self._loop = loop
        self._watches: dict[int, list[Watch]] = {}
        self._fd = open_descriptor()
        loop.add_reader(self._fd, self._read)

    def add(self, path: str, mask: int, on_event: OnEvent) -> Watch:
        """Watch what `path` is now; with ONLYDIR only a folder. Raises OSError."""
        number = add_watch(self._fd, path, mask)
        watch = Watch(number, mask | ALWAYS, on_event)
        self._watches.setdefault(number, []).append(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        """It is told nothing more."""
        watches = self._watches.get(watch.number, [])
        if watch in watches:
            watches.remove(watch)
            if not watches:
                del self._watches[watch.number]
                # What the kernel has ended already (EINVAL) has ended.
                _libc.inotify_rm_watch(ctypes.c_int(self._fd), ctypes.c_int(watch.number))
        watch.number = -1

    @property
    def is_idle(self) -> bool:
        """Does nobody watch anything?"""
        return not self._watches

    def close(self) -> None:
        """Nobody watches any more."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        for _ in range(READS_AT_ONCE):
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return
            for number, mask, name in _events(data):
                self._pass_on(number, mask, name)
            if _open.get(self._loop) is not self:
                return  # what was told has ended the last watch

    def _pass_on(self, number: int, mask: int, name: str) -> None:
        if mask & OVERFLOW:
            told = [watch for watches in self._watches.values() for watch in watches]
        elif mask & IGNORED:
            told = self._watches.pop(number, [])
        else:
            told = list(self._watches.get(number, ()))
        for watch in told:
            if mask & watch.mask and watch.number >= 0:
                watch.on_event(mask, name)


def inotify_of(loop: Loop) -> Inotify:
    """The one descriptor of a loop: a user may have few (inotify(7)). Raises OSError."""
    if loop not in _open:
        _open[loop] = Inotify(loop)
    return _open[loop]


def let_go(loop: Loop) -> None:
    """Close it, if nobody watches anything any more."""
    inotify = _open.get(loop)
    if inotify is not None and inotify.is_idle:
        del _open[loop]
        inotify.close()


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        number, mask, _cookie, length = EVENT.unpack_from(data, at)
        at += EVENT.size + length
        yield number, mask, os.fsdecode(data[at - length : at].rstrip(b"\0"))


def _check(result: int, path: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        if number in LIMITS:
            where = f"{path}: " if path else ""
            raise OSError(f"{where}{errno_words(number)}: {LIMITS[number]} is reached")
        raise OSError(number, os.strerror(number), path or None)
    return result
