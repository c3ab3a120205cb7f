"""Which entries are in the files of the log process? Rotated and compressed ones are read as well, and followed.

The format is that of linit/logs/README.md. Entries of a service are in the order in which they were written; those of
several are merged by boot and time.
"""

from __future__ import annotations

import os
import re
from time import time

from linitctl.failure import FAILED, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    Position = tuple[int, int]  # inode and how much of it

BLOCK_BYTES: Final = 1 << 16
STAMP_CHARACTERS: Final = 27  # 2026-11-22T14:50:01.123456Z
NO_BOOT: Final = 0  # of the early boot: the present one
ERR: Final = "err"
OWN: Final = "linit"
OWN_LOGS: Final = ("kernel", OWN)  # no services, and yet they have a log
PACKED: Final = ".gz"
_OLD: Final = re.compile(r"(.+)\.log\.(\d{6,})(\.gz)?")
_FIELDS: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\d+) ([a-z0-9.]+) (\d+) (.*)", re.DOTALL)
_STAMPED: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (.*)", re.DOTALL)


class Entry:
    """One line. `stream`: out, err, linit, a facility and level of the kernel; "" where it is not known."""

    __slots__ = ("boot", "name", "pid", "stream", "text", "time")

    def __init__(self, time: str, name: str, text: bytes, *, boot: int = 0, stream: str = "", pid: int = 0) -> None:
        self.time = time
        self.name = name
        self.text = text
        self.boot = boot
        self.stream = stream
        self.pid = pid

    def order(self) -> tuple[float, str]:
        """For merging. A clock that was wrong in one boot does not mix it with another."""
        return self.boot or float("inf"), self.time

    def shown(self) -> bytes:
        """The text as people see it."""
        return b"linit: " + self.text if self.stream == OWN else self.text

    def line(self) -> tuple[str, str, bytes]:
        """Time, service, text as people see it."""
        return self.time, self.name, self.shown()


def parse(name: str, line: bytes) -> Entry:
    """A line of a file; one that is none of the log process's (half a line after a power cut) has the time ""."""
    if match := _FIELDS.fullmatch(line):
        return Entry(match[1].decode(), name, match[5], boot=int(match[2]), stream=match[3].decode(), pid=int(match[4]))
    if match := _STAMPED.fullmatch(line):
        return Entry(match[1].decode(), name, match[2])
    return Entry("", name, line)


def stamp(wall_s: float) -> str:
    """A moment as the log process writes it: the text sorts as the time does."""
    from time import gmtime, strftime

    whole = int(wall_s // 1)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(whole))}.{int((wall_s - whole) * 1e6):06d}Z"


class Folders:
    """Where logs lie: `kept` outlives the boot; before that can be written, they are below `run` ("": nowhere)."""

    def __init__(self, kept: str, run: str) -> None:
        self.kept = kept
        self.early = os.path.join(run, "log") if run else ""

    def names(self) -> list[str]:
        """Everybody who has a log. Raises Failure."""
        found = set()
        for folder in self._all():
            try:
                entries = os.listdir(folder)
            except FileNotFoundError:
                continue
            except OSError as fault:
                raise Failure(FAILED, f"{folder}: {fault.strerror}") from fault
            for entry in entries:
                match = _OLD.fullmatch(entry)
                if match or entry.endswith(".log"):
                    found.add(match[1] if match else entry.removesuffix(".log"))
        return sorted(found)

    def live(self, name: str) -> str:
        """The path of the file that is written to."""
        path = os.path.join(self.kept, f"{name}.log")
        early = os.path.join(self.early, f"{name}.log")
        return early if self.early and not os.path.exists(path) and os.path.exists(early) else path

    def files(self, name: str) -> list[str]:
        """All files of a log, the oldest first."""
        found = []
        for folder in self._all():
            old = old_files(folder, name)
            found += [old[number] for number in sorted(old)]
            path = os.path.join(folder, f"{name}.log")
            if os.path.exists(path):
                found.append(path)
        return found

    def present(self) -> str:
        """The folder that is written to."""
        try:
            is_early = bool(self.early) and any(entry.endswith(".log") for entry in os.listdir(self.early))
        except OSError:
            is_early = False
        return self.early if is_early else self.kept

    def last_boot(self) -> int:
        """The number of this boot. Raises Failure."""
        return self.boots()[-1]

    def boots(self) -> list[int]:
        """The numbers of the boots that are known. Raises Failure."""
        path = os.path.join(self.kept, "boots")
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                rows = [line.split() for line in file]
        except OSError as fault:
            raise Failure(FAILED, f"{path}: {fault.strerror}", "boots are not told apart") from fault
        return [int(row[0]) for row in rows if len(row) == 3 and row[0].isdecimal()] or [NO_BOOT]

    def boot(self, which: int) -> int:
        """The number that --boot means: 0 and below count back from this one. Raises Failure."""
        known = self.boots()
        if which > 0 or -which < len(known):
            return which if which > 0 else known[which - 1]
        raise Failure(FAILED, f"--boot {which}: {len(known)} boots are known, {known[0]} to {known[-1]}")

    def _all(self) -> list[str]:
        return [folder for folder in (self.kept, self.early) if folder]


def old_files(folder: str, name: str) -> dict[int, str]:
    """The files of a log that are no longer written to, by their number; of one that is being made small, the whole."""
    found: dict[int, str] = {}
    try:
        entries = os.listdir(folder)
    except OSError:
        return found
    for entry in entries:
        if entry.startswith(name) and (match := _OLD.fullmatch(entry)) and match[1] == name:
            number = int(match[2])
            if number not in found or not match[3]:
                found[number] = os.path.join(folder, entry)
    return found


def content(path: str) -> Iterator[bytes]:
    """The blocks of a file. One that has been made small just now is read where it is; one that is gone is empty."""
    try:
        file = open(path, "rb")  # noqa: SIM115 it is closed below, whichever it is
    except FileNotFoundError:
        if path.endswith(PACKED) or not os.path.exists(path + PACKED):
            return
        yield from content(path + PACKED)
        return
    except OSError as fault:
        raise Failure(FAILED, f"{path}: {fault.strerror}") from fault
    with file:
        if not path.endswith(PACKED):
            while data := file.read(BLOCK_BYTES):
                yield data
            return
        import zlib

        unpacker = zlib.decompressobj(31)  # with a gzip header
        while data := file.read(BLOCK_BYTES):
            yield unpacker.decompress(data)


def backward(folders: Folders, name: str, end: Position | None = None) -> Iterator[Entry]:
    """The entries of a log, the last first. `end`: no further than this."""
    for path in reversed(folders.files(name)):
        if path.endswith(PACKED):
            lines = b"".join(content(path)).split(b"\n")
            yield from (parse(name, line) for line in reversed(lines) if line)
        else:
            yield from _backward(path, name, end)


def _backward(path: str, name: str, end: Position | None) -> Iterator[Entry]:
    """Of a file, read from its end."""
    try:
        file = open(path, "rb")  # noqa: SIM115 closed below
    except OSError:
        yield from (parse(name, line) for line in reversed(b"".join(content(path)).split(b"\n")) if line)
        return
    with file:
        status = os.fstat(file.fileno())
        position = end[1] if end and end[0] == status.st_ino else status.st_size
        tail = b""
        while position:
            step = min(BLOCK_BYTES, position)
            position -= step
            tail, *lines = (os.pread(file.fileno(), step, position) + tail).split(b"\n")
            yield from (parse(name, line) for line in reversed(lines) if line)
        if tail:
            yield parse(name, tail)


def forward(folders: Folders, name: str, since: str = "", end: Position | None = None) -> Iterator[Entry]:
    """The entries of a log, the first first. Files that ended before `since` are passed over."""
    for path in folders.files(name):
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None
        if status is not None and since and stamp(status.st_mtime + 1) < since:
            continue
        left = end[1] if status is not None and end and end[0] == status.st_ino else -1
        yield from _forward(path, name, left)


def _forward(path: str, name: str, left: int) -> Iterator[Entry]:
    rest = b""
    for block in content(path):
        data = block if left < 0 else block[:left]
        left = left if left < 0 else left - len(data)
        *lines, rest = (rest + data).split(b"\n")
        yield from (parse(name, line) for line in lines)
        if not left:
            return
    if rest:
        yield parse(name, rest)


def merged(sources: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    """By boot and time; each source is in its own order."""
    import heapq

    return heapq.merge(*sources, key=Entry.order)


class Follower:
    """Reads what is added to a log, through rotations: the name is followed, and no file in between is passed over."""

    def __init__(self, folders: Folders, name: str, *, from_begin: bool = False) -> None:
        self._folders = folders
        self._name = name
        self._rest = b""
        self._fd = -1
        self._folder = ""
        self._last_old = 0  # the youngest file that is not ours to read any more
        self._read_to = "" if from_begin else stamp(time())
        self._after = ""  # what is not younger was read from where it was before
        self._open()
        if self._fd >= 0 and not from_begin:
            os.lseek(self._fd, 0, os.SEEK_END)

    def begun_at(self) -> Position:
        """The file, and up to which byte of it everything was read."""
        if self._fd < 0:
            return 0, 0
        return os.fstat(self._fd).st_ino, os.lseek(self._fd, 0, os.SEEK_CUR)

    def new_entries(self) -> Iterator[Entry]:
        """Complete lines that have come since the last call."""
        yield from self._read()
        while self._was_replaced():
            yield from self._read()  # what came between the last read and the rotation
            yield from self._read_between()
            if self._fd >= 0:
                os.close(self._fd)
            self._open()
            yield from self._read()

    def _open(self) -> None:
        """The file that is written to; how far the old ones had come is asked before, so that none is missed."""
        path = self._folders.live(self._name)
        folder = os.path.dirname(path)
        if self._folder == self._folders.early != folder:  # the early boot is over
            self._after = self._read_to
        self._folder = folder
        self._last_old = max(old_files(self._folder, self._name), default=0)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def _read_between(self) -> Iterator[Entry]:
        """Ours became old number `_last_old` + 1; those after it came and went meanwhile."""
        old = old_files(self._folder, self._name)
        for number in sorted(old):
            if number > self._last_old + (self._fd >= 0):
                for block in content(old[number]):
                    yield from self._split(block)

    def _was_replaced(self) -> bool:
        try:
            now = os.stat(self._folders.live(self._name))
        except OSError:
            return False
        if self._fd < 0:
            return True
        ours = os.fstat(self._fd)
        if (ours.st_dev, ours.st_ino) != (now.st_dev, now.st_ino):
            return True
        if os.lseek(self._fd, 0, os.SEEK_CUR) > now.st_size:  # somebody emptied it
            os.lseek(self._fd, 0, os.SEEK_SET)
        return False

    def _read(self) -> Iterator[Entry]:
        while self._fd >= 0 and (data := os.read(self._fd, BLOCK_BYTES)):
            yield from self._split(data)

    def _split(self, data: bytes) -> Iterator[Entry]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            entry = parse(self._name, line)
            if entry.time > self._after or not self._after:
                self._read_to = entry.time or self._read_to
                yield entry
