"""How is a file appended to that others may move, remove, empty or fill the disk of? Never with an exception: what was
not kept is the caller's to count. Sources: open(2), write(2), stat(2)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from linit.runtime.failure import error_words

FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
LOOK_NS: Final = 200_000_000  # how long a file that was moved away may still be written to


class Length(NamedTuple):
    """How long which file is. Inode 0: there is none. One is made for each chunk: a tuple is made fastest."""

    size_bytes: int = 0
    inode: int = 0


Mark = Callable[[Length], object]  # is told what the file is right before it is written to: see spool.py


class Appended:
    """A file that is opened at the first write, and anew when its path names another one."""

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        self.problem = ""  # of the last write, in words; "" when it went well
        self._mode = mode
        self._fd = -1
        self._id = (0, 0)  # (device, inode) of what `_fd` is
        self._length = Length()  # while it is open
        self._looked_ns = 0

    @property
    def length(self) -> Length:
        """After the last write; before the first, what another log process left."""
        if self._fd >= 0:
            return self._length
        try:
            status = os.stat(self.path)
        except OSError:
            return Length()
        return Length(status.st_size, status.st_ino)

    def reopen(self, now_ns: int) -> bool:
        """Have the descriptor be what the path names; was it opened just now? Raises OSError.

        An administrator's hand is quick enough to be seen after LOOK_NS: stat(2) costs as much as the write.
        """
        if self._fd >= 0:
            if 0 <= now_ns - self._looked_ns < LOOK_NS:
                return False
            self._looked_ns = now_ns
            try:
                now = os.stat(self.path)
                if (now.st_dev, now.st_ino) == self._id:
                    self._length = Length(now.st_size, now.st_ino)
                    return False
            except FileNotFoundError:
                pass
            self.close()
        self._fd = os.open(self.path, FLAGS, self._mode)
        status = os.fstat(self._fd)
        self._looked_ns = now_ns
        self._id = (status.st_dev, status.st_ino)
        self._length = Length(status.st_size, status.st_ino)
        return True

    def put(self, data: bytes, mark: Mark | None = None) -> int:
        """Write lines to the descriptor; how many bytes were kept: always whole lines. Raises OSError."""
        before = self._length
        if mark:
            mark(before)
        written = os.write(self._fd, data)
        if written != len(data):  # a full disk takes a part: half a line would join with the next one
            written = data.rfind(b"\n", 0, written) + 1
            os.ftruncate(self._fd, before.size_bytes + written)
            self.problem = f"{self.path}: the disk took a part only"
        self._length = Length(before.size_bytes + written, before.inode)
        return written

    def failed(self, failure: OSError) -> None:
        """Remember why nothing was kept."""
        words = error_words(failure)
        self.problem = words if failure.filename else f"{self.path}: {words}"

    def cut_back(self, to: Length) -> None:
        """Take back what was written after the file, if it is still that one, was so long."""
        try:
            self.reopen(self._looked_ns + LOOK_NS)
            if self._length.inode == to.inode and self._length.size_bytes > to.size_bytes:
                os.ftruncate(self._fd, to.size_bytes)
                self._length = to
        except OSError as failure:
            self.failed(failure)  # it cannot be written either: what follows is dropped and counted

    def sync(self) -> None:
        """Everything written is on the disk; a disk that cannot is nothing this process could change."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
