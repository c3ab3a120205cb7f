"""How does no line get lost or doubled when the log process is killed between reading it and writing it?

splice(2) moves bytes from the pipe into a small file, the spool, inside the kernel: SIGKILL leaves each byte either in
the pipe or in the spool. The spool's header says how much of it is in the log and how long the log was then; it is
written with one small pwrite(2), which SIGKILL does not tear. Who comes next cuts the log back to that length and
writes the rest of the spool again. The order of one round is: mark, splice, write to the log, commit.
The page cache outlives a process, so nothing is fsynced. It does not outlive a power cut, and neither does the spool:
it lies below /run; one of an earlier boot, on a disk, is not believed.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import Final

from linit.logs.appended import Length

# The log's size; bytes of the spool that are in it; the log's inode; the pid that its lines bear; the boot's id.
HEADER: Final = struct.Struct("<QQQQ36s")
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
EMPTY_BYTES: Final = 16 * 1024  # consumed bytes are thrown away when there are as many and nothing else,
RENEW_BYTES: Final = 1024 * 1024  # or as many beside the beginning of a line
CHUNK_BYTES: Final = 256 * 1024  # a pipe's whole capacity: linit.runtime.output.PIPE_BYTES


class Spool:
    """What was taken from one pipe and is not yet a line of the log. Raises OSError where it cannot be kept."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid = 0  # written with the next commit
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._boot = boot_id()
        self._consumed = self._end = 0
        self._log = Length()
        header = os.pread(self._fd, HEADER.size, 0)
        if len(header) == HEADER.size and header.endswith(self._boot):
            size_bytes, self._consumed, inode, self.pid, _ = HEADER.unpack(header)
            self._log = Length(size_bytes, inode)
            self._end = os.fstat(self._fd).st_size - HEADER.size
            self._consumed = min(self._consumed, self._end)
        os.ftruncate(self._fd, HEADER.size + self._end)
        self._commit_header()

    @property
    def log(self) -> Length:
        """How long the log is without what `left` holds."""
        return self._log

    def left(self) -> bytes:
        """What a log process that was killed had taken and perhaps not written."""
        return os.pread(self._fd, self._end - self._consumed, HEADER.size + self._consumed)

    def mark(self, log: Length) -> None:
        """The log is this long now, by other writes than ours."""
        if log != self._log:
            self._log = log
            self._commit_header()

    def take(self, pipe: int) -> bytes:
        """Move at most a chunk out of the pipe; b"" at its end. Raises BlockingIOError when there is nothing."""
        place = HEADER.size + self._end
        count = os.splice(pipe, self._fd, CHUNK_BYTES, offset_dst=place, flags=os.SPLICE_F_NONBLOCK)
        data = os.pread(self._fd, count, place)
        self._end += count
        return data

    def commit(self, log: Length, rest: bytes) -> None:
        """Everything taken is in the log, which is this long, but for `rest`: the beginning of a line."""
        self._log = log
        self._consumed = self._end - len(rest)
        self._commit_header()
        if self._consumed >= RENEW_BYTES:
            self._renew(rest)
        elif not rest and self._consumed >= EMPTY_BYTES:
            self._empty()

    def close(self) -> None:
        """Let go of it; it stays for who comes next."""
        os.close(self._fd)

    def remove(self) -> None:
        """Nothing is left in it."""
        os.close(self._fd)
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _commit_header(self) -> None:
        os.pwrite(self._fd, self._header(self._consumed), 0)

    def _header(self, consumed: int) -> bytes:
        return HEADER.pack(self._log.size_bytes, consumed, self._log.inode, self.pid, self._boot)

    def _empty(self) -> None:
        """In this order: a header that has more consumed than there is says the same as the one that follows."""
        os.ftruncate(self._fd, HEADER.size)
        self._consumed = self._end = 0
        self._commit_header()

    def _renew(self, rest: bytes) -> None:
        """Go on in a new file that holds the rest alone; rename(2) makes it take the old one's place at once."""
        new = f"{self.path}.new"
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.pwrite(fd, self._header(0) + rest, 0)
        os.rename(new, self.path)
        os.close(self._fd)
        self._fd, self._consumed, self._end = fd, 0, len(rest)


def boot_id() -> bytes:
    """What tells one boot of the machine from another: random(4). Zeros where the kernel does not say."""
    try:
        with open(BOOT_ID, "rb") as file:
            return file.read(36)
    except OSError:
        return b"\0" * 36
