"""Where do the lines of a service stay? One file a service, rotated by size; a disk that is full or not there yet
is counted or waited for, never an exception. Sources: open(2), write(2), rename(2)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from typing import Final

from linit.logs import lines as text

ROTATE_BYTES: Final = 10 * 1024 * 1024
KEPT: Final = 2  # old files: SERVICE.log.1 (the younger) and SERVICE.log.2
FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750
SPOOL_MODE: Final = 0o700
NOT_YET: Final = frozenset({errno.EROFS, errno.ENOENT})  # the folder cannot be there before the root is writable

_NAME: Final = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,199}")


def file_name(service: str) -> str:
    """The log's file name for a service. A name that no definition can have is made harmless, not trusted."""
    if not _NAME.fullmatch(service):
        service = re.sub(r"[^A-Za-z0-9_@-]", "_", service)[:200] or "_"
    return f"{service}.log"


class LogFile:
    """One service's file: opened at the first line, rotated when full, opened anew when somebody removed it."""

    def __init__(self, folder: str, service: str, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.path = os.path.join(folder, file_name(service))
        self.dropped = 0  # lines since the last successful write
        self._rotate_bytes = rotate_bytes
        self._fd = -1
        self._id = (0, 0)  # (device, inode) of what `_fd` is
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """After the last write; before the first, what another log process left."""
        if self._fd < 0:
            try:
                self._size_bytes = os.stat(self.path).st_size
            except OSError:
                self._size_bytes = 0
        return self._size_bytes

    def append(self, lines: list[bytes], now_ns: int, mark: Callable[[int], object] | None = None) -> None:
        """Write lines. What does not fit on the disk is dropped and counted; the count is written when it fits.

        `mark` is told the size of the file right before it is written to: see spool.py.
        """
        if not lines:
            return
        if self.dropped:
            told = text.own_lines(text.dropped_text(self.dropped))
            if not self._write(text.format_lines(told, now_ns), mark):
                self.dropped += len(lines)
                return
            self.dropped = 0
        data = text.format_lines(lines, now_ns)
        written = self._write(data, mark)
        self.dropped += data[written:].count(b"\n")

    def cut_back(self, size_bytes: int) -> None:
        """Take back what was written after the file had this size; a shorter file stays as it is."""
        try:
            self._reopen()
            if self._size_bytes > size_bytes:
                os.ftruncate(self._fd, size_bytes)
                self._size_bytes = size_bytes
        except OSError:
            return  # it cannot be written either: what follows is dropped and counted

    def sync(self) -> None:
        """Everything written is on the disk; a disk that cannot is nothing this process could change."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes, mark: Callable[[int], object] | None) -> int:
        """How many bytes were kept: always whole lines."""
        try:
            self._reopen()
            if self._size_bytes and self._size_bytes + len(data) > self._rotate_bytes:
                self._rotate()
            if mark:
                mark(self._size_bytes)
            written = os.write(self._fd, data)
            if written != len(data):  # a full disk takes a part: half a line would join with the next one
                written = data.rfind(b"\n", 0, written) + 1
                os.ftruncate(self._fd, self._size_bytes + written)
        except OSError:
            return 0
        self._size_bytes += written
        return written

    def _reopen(self) -> None:
        """Have `_fd` be what the path names: an administrator may have moved or removed the file."""
        if self._fd >= 0:
            try:
                now = os.stat(self.path)
                if (now.st_dev, now.st_ino) == self._id:
                    self._size_bytes = now.st_size
                    return
            except FileNotFoundError:
                pass
            self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self.path, flags, FILE_MODE)
        status = os.fstat(self._fd)
        self._id = (status.st_dev, status.st_ino)
        self._size_bytes = status.st_size

    def _rotate(self) -> None:
        """SERVICE.log becomes .1, .1 becomes .2; the oldest is replaced."""
        self.close()
        for number in range(KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        os.replace(self.path, f"{self.path}.1")
        self._reopen()


class Store:
    """All log files. `is_open` is False while the folder cannot be written; then nothing may be read either."""

    def __init__(self, folder: str, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.folder = folder
        self.spools = os.path.join(folder, ".spool")
        self.is_open = False
        self._rotate_bytes = rotate_bytes
        self._files: dict[str, LogFile] = {}

    def open(self) -> bool:
        """Try to use the folder. False while the root is read-only: that is the early boot, not an error. A
        folder that fails for any other reason counts as open: services must not block on full pipes for ever, so
        their lines are dropped and counted until it works."""
        if self.is_open:
            return True
        try:
            os.makedirs(self.folder, FOLDER_MODE, exist_ok=True)
            self.is_open = _is_writable(self.folder)
            if self.is_open:
                os.makedirs(self.spools, SPOOL_MODE, exist_ok=True)
        except OSError as failure:
            self.is_open = failure.errno not in NOT_YET
        return self.is_open

    def file(self, service: str) -> LogFile:
        """The file of a service, which need not exist yet."""
        file = self._files.get(service)
        if file is None:
            file = self._files[service] = LogFile(self.folder, service, self._rotate_bytes)
        return file

    def append(self, service: str, lines: list[bytes]) -> None:
        """Write lines with the present time."""
        self.file(service).append(lines, time.time_ns())

    def close(self) -> None:
        for file in self._files.values():
            file.sync()
            file.close()


def _is_writable(folder: str) -> bool:
    """Is the file system mounted for writing? access(2) would say yes to root on some network file systems."""
    return not os.statvfs(folder).f_flag & os.ST_RDONLY
