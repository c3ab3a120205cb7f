"""How are old files made small? By a short-lived child of low priority, one at a time, so that no pipe waits for it.

The child is a copy of the log process (no interpreter is started), writes SERVICE.log.N.gz beside the file, and removes
the file last: whatever is killed in the middle, one of the two is whole. Source: fork(2), ioprio_set(2), gzip(1).
"""

from __future__ import annotations

import contextlib
import os
import signal
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Final, NoReturn

from linit.logs.files import PACKED

BLOCK_BYTES: Final = 256 * 1024
LEVEL: Final = 6
NICE: Final = 19
GZIP: Final = 31  # zlib's wbits for a gzip header and trailer
MODE: Final = 0o640
NEW: Final = ".new"
TRIES: Final = 2  # a file that cannot be packed (a full disk) is left as it is


class Packer:
    """At most one child at work. `fd`: readable when it has ended, -1 without one."""

    def __init__(self, level: int = LEVEL) -> None:
        self.fd = -1
        self._level = min(level, 9)
        self._pid = 0
        self._path = ""
        self._waiting: deque[str] = deque()
        self._tries: dict[str, int] = {}

    def add(self, paths: Iterable[str]) -> None:
        """Files to be packed sooner or later."""
        for path in paths:
            if path not in self._waiting and path != self._path and self._tries.get(path, 0) < TRIES:
                self._waiting.append(path)

    def begin(self) -> bool:
        """Start with the next file, if there is one and no child at work. Is there a new child?"""
        if self._pid or not self._waiting:
            return False
        path = self._waiting.popleft()
        self._tries[path] = self._tries.get(path, 0) + 1
        try:
            pid = os.fork()
        except OSError:
            return False  # no process to be had: the file stays as it is until the next rotation
        if not pid:
            _work(path, self._level)
        self._path, self._pid = path, pid
        try:
            self.fd = os.pidfd_open(pid)
        except OSError:
            self.stop()
            return False
        return True

    def ended(self) -> None:
        """The child has ended: nothing is left of it."""
        os.close(self.fd)
        os.waitpid(self._pid, 0)
        if not os.path.exists(self._path):
            self._tries.pop(self._path, None)
        self.fd, self._pid, self._path = -1, 0, ""

    def stop(self) -> None:
        """Do not wait for it: the next log process begins anew."""
        self._waiting.clear()
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            if self.fd >= 0:
                os.close(self.fd)
            self.fd, self._pid, self._path = -1, 0, ""


def remove_halves(folder: str) -> None:
    """What children that were killed have left. One that still lives finds its file gone and gives up."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.endswith(NEW) and PACKED in name:
                os.unlink(os.path.join(folder, name))


def pack(path: str, level: int = LEVEL) -> None:
    """Make `path` into `path`.gz, with its time and owner. Raises OSError."""
    new = f"{path}{PACKED}.{os.getpid()}{NEW}"
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    status = os.fstat(source)
    target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        _copy(source, target, level)
        os.fchmod(target, status.st_mode & 0o7777)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(target)
        os.rename(new, f"{path}{PACKED}")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
    finally:
        os.close(source)
        os.close(target)
    os.unlink(path)


def _copy(source: int, target: int, level: int) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, GZIP)
    while data := os.read(source, BLOCK_BYTES):
        _write(target, packer.compress(data))
    _write(target, packer.flush())


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _work(path: str, level: int) -> NoReturn:
    """The child. It keeps none of the pipes open."""
    status = 1
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpriority(os.PRIO_PROCESS, 0, NICE)  # the kernel derives the priority of its reads and writes from this
        pack(path, level)
        status = 0
    except BaseException:  # a file that cannot be packed stays, and no second log process may be left behind
        status = 1
    finally:
        os._exit(status)
