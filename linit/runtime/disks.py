"""Which programs that are not the system's own are on a disk that linit cannot do without either? Then it may wait for
one to be executed: see `linit.runtime.plain`.

Those are the file system of / and that of the folder of `linit --user`. Asked is the kernel, which says what it knows
without looking at any disk (RESOLVE_CACHED), and that the way there leads through no other mount (RESOLVE_NO_XDEV). So
the first start of a program may be told no, and every other yes. Sources: openat2(2), Linux 5.12; execve(2); elf(5).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from typing import Final

from linit.runtime.programs import of_system

OPENAT2: Final = 437  # the same number on every architecture
RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_CACHED: Final = 0x20
AT_FDCWD: Final = -100
HOW: Final = struct.Struct("=QQQ")  # struct open_how: flags, mode, resolve
HEAD_BYTES: Final = 4096
INTERPRETERS_MAX: Final = 5  # a script of a script of …: execve(2)
ELF: Final = b"\x7fELF\x02\x01"  # of 64 bits, little-endian
ELF_PROGRAMS: Final = struct.Struct("<32xQ14xHH")  # where the program headers begin, size and number of them
ELF_PROGRAM: Final = struct.Struct("<I4xQ16xQ")  # type, place in the file, bytes there
PT_INTERP: Final = 3


class Disks:
    """Those of / and of `folders`, which exist. Raises OSError when one cannot be looked at."""

    def __init__(self, *folders: str) -> None:
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._mounts = sorted({top for folder in folders if (top := mount_of(folder)) != "/"}, key=len, reverse=True)

    def hold(self, path: str) -> bool | None:
        """Is a program there, with all that executes it? None: surely no file of that name. False: not there, or it is
        not known without looking at a disk."""
        for _ in range(INTERPRETERS_MAX):
            head = self._head(path)
            interpreter = _interpreter(head) if head is not None else None
            if interpreter is None:
                return None if head == b"" else False
            if not interpreter or of_system(interpreter):
                return True
            path = interpreter
        return False

    def _head(self, path: str) -> bytes | None:
        """The beginning of a file; b"" if there is none of that name, None if it is not known."""
        top = next((top for top in self._mounts if path.startswith(f"{top}/")), "/")
        try:
            fd = self._opened(path, top)
        except OSError as error:
            return b"" if error.errno == errno.ENOENT else None
        try:
            return (os.read(fd, HEAD_BYTES) or None) if stat.S_ISREG(os.fstat(fd).st_mode) else None
        except OSError:
            return None
        finally:
            os.close(fd)

    def _opened(self, path: str, top: str) -> int:
        """Raises OSError."""
        if not path.startswith("/"):
            raise OSError(errno.EINVAL, "not an absolute path", path)
        folder = os.open(top, os.O_PATH | os.O_CLOEXEC) if top != "/" else AT_FDCWD
        try:
            name = path if top == "/" else path[len(top) + 1 :]
            how = HOW.pack(os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0, RESOLVE_NO_XDEV | RESOLVE_CACHED)
            size = ctypes.c_size_t(len(how))
            fd = int(self._call(ctypes.c_long(OPENAT2), folder, os.fsencode(name), how, size))
        finally:
            if folder >= 0:
                os.close(folder)
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return fd


def mount_of(folder: str) -> str:
    """The topmost folder of the file system that `folder` is on. Raises OSError."""
    top = os.path.realpath(folder)
    device = os.stat(top).st_dev
    while top != "/" and os.stat(above := os.path.dirname(top)).st_dev == device:
        top = above
    return top


def _interpreter(head: bytes) -> str | None:
    """What the kernel loads to execute a file that begins so; "": nothing else. None: that is not known here."""
    if head.startswith(b"#!"):
        line, is_whole, _ = head[2:].partition(b"\n")
        words = line.split()
        return os.fsdecode(words[0]) if is_whole and words else None
    if not head.startswith(ELF):
        return None
    try:
        begin, size, count = ELF_PROGRAMS.unpack_from(head)
        for number in range(count):
            kind, place, length = ELF_PROGRAM.unpack_from(head, min(begin, len(head)) + number * size)
            if kind == PT_INTERP:
                return os.fsdecode(head[place : place + length].rstrip(b"\0")) or None
    except struct.error:
        return None
    return ""
