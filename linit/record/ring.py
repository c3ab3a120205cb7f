"""Where does the log process keep the recordings? For each boot the last segments of its recording, for the last boots;
plans once each. What is older gives way, so that the folder stays small.

A file is a segment: a sequence of MessagePack arrays [number of the first row, checksum, rows]: what a power failure
cut off is known as such. Until the folder can be written everything waits here, with a bound.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from linit import messagepack
from linit.record.codec import BYTES_OF_NAMES, pack_row
from linit.record.recorder import PLAN, SEGMENT_BYTES, STATE

FOLDER: Final = "record"  # in the folder of the logs
BOOTS_KEPT: Final = 5  # with the present one
KEPT_BYTES: Final = SEGMENT_BYTES // 2  # of a boot: its oldest segment goes when the others have so much without it
FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750
NAME: Final = re.compile(r"(\d{6,})-([0-9a-f]+-\d+)(?:\.(\d+))?\.rec")
PLAN_NAME: Final = re.compile(r"([0-9a-f]{64})\.plan")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a boot: `number` counts boots, `key` is the recorder's, `paths` its segments, the oldest first.

    `firsts`: the number of each segment's first row.
    """

    number: int
    key: str
    paths: tuple[str, ...]
    firsts: tuple[int, ...]


@dataclass(slots=True)
class Segment:
    """What of a segment is not yet in its file."""

    first: int
    frames: list[tuple[int, bytes]] = field(default_factory=list)  # number of the first row, rows
    size_bytes: int = 0


def frame(number: int, rows: bytes) -> bytes:
    """Rows as they lie in a file."""
    packed: bytes = messagepack.packb([number, checksum(number, rows), rows])
    return packed


def checksum(number: int, rows: bytes) -> int:
    """Of a frame: CRC-32 that begins with the number, so that neither can change unseen."""
    return binascii.crc32(rows, number & 0xFFFFFFFF)


def recordings(folder: str) -> list[Kept]:
    """The recordings in a folder, the oldest first. Raises OSError, but not for no folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    matches = [match for name in names if (match := NAME.fullmatch(name))]
    files = sorted((int(match[1]), match[2], int(match[3] or 0), os.path.join(folder, match[0])) for match in matches)
    boots = dict.fromkeys((number, key) for number, key, _, _ in files)
    found = []
    for number, key in boots:
        own = [(first, path) for each, whose, first, path in files if (each, whose) == (number, key)]
        found.append(Kept(number, key, tuple(path for _, path in own), tuple(first for first, _ in own)))
    return found


class Ring:
    """The recordings below the folder of the logs. `flush` writes what was taken."""

    def __init__(self, logs: str) -> None:
        self.folder = os.path.join(logs, FOLDER)
        self._key = ""
        self._fd = -1
        self._first = -1  # of the segment in the file
        self._size_bytes = 0
        self._next = 0  # number of the row that the file lacks
        self._digest = ""  # of the last plan
        self._plans: dict[str, bytes] = {}  # digest -> what is not yet written
        self._waiting: list[Segment] = []

    def take_segment(self, key: str, number: int, rows: bytes) -> None:
        """The first rows of a segment of the recording `key`."""
        self._know(key)
        self._waiting.append(Segment(number))
        while _has_too_much([each.size_bytes for each in self._waiting]):
            del self._waiting[0]
        self._append(number, rows)

    def take(self, key: str, number: int, rows: bytes) -> None:
        """More rows."""
        self._know(key)
        if not self._waiting:
            first = self._first if self._first >= 0 else self._segment_of(number)
            if first < 0:
                return  # of a segment whose beginning went with another log process
            self._waiting.append(Segment(first))
        self._append(number, rows)

    def take_plan(self, key: str, number: int, data: bytes | None) -> None:
        """A row that names a plan, and the plan; without it, it is the last one."""
        if data is not None:
            self._digest = hashlib.sha256(data).hexdigest()
            self._plans[self._digest] = zlib.compress(data)
        self.take(key, number, pack_row([PLAN, 0.0, self._digest]))

    def take_state(self, key: str, number: int, data: bytes) -> None:
        """A row that has the whole state of the engine."""
        self.take(key, number, pack_row([STATE, 0.0, zlib.compress(data)]))

    def flush(self) -> None:
        """Write everything to the disk's cache. What a disk does not take now is tried again at the next call."""
        with contextlib.suppress(OSError):
            while self._waiting:
                segment = self._waiting[0]
                if segment.first != self._first:
                    self._open(segment.first)
                if segment.frames and not self._write(segment):
                    return
                del self._waiting[0]

    def close(self) -> None:
        """Everything is on the disk, as far as it can be."""
        self.flush()
        self._close_file()

    def _know(self, key: str) -> None:
        if key != self._key:
            self.close()
            self._key, self._digest = key, ""
            self._waiting.clear()
            self._plans.clear()

    def _append(self, number: int, rows: bytes) -> None:
        segment = self._waiting[-1]
        segment.frames.append((number, rows))
        segment.size_bytes += len(rows)

    def _write(self, segment: Segment) -> bool:
        """The frames of a segment, whole or not at all. Raises OSError."""
        for digest in list(self._plans):
            self._write_plan(digest, self._plans[digest])
            del self._plans[digest]
        data = b"".join(frame(*each) for each in segment.frames if each[0] + _count(each[1]) > self._next)
        written = os.write(self._fd, data)
        if written != len(data):
            os.ftruncate(self._fd, self._size_bytes)
            return False
        self._size_bytes += written
        return True

    # -- files

    def _own(self) -> Kept:
        """The files of this boot. Raises OSError."""
        found = recordings(self.folder)
        number = found[-1].number + 1 if found else 1
        return next((each for each in found if each.key == self._key), Kept(number, self._key, (), ()))

    def _segment_of(self, number: int) -> int:
        """The first row of the segment of an earlier log process that goes on with row `number`; -1: there is none."""
        try:
            return max((first for first in self._own().firsts if first <= number), default=-1)
        except OSError:
            return -1

    def _open(self, first: int) -> None:
        """Go on with the file of an earlier log process, or begin one. Raises OSError."""
        self._close_file()
        os.makedirs(self.folder, FOLDER_MODE, exist_ok=True)
        own = self._own()
        if first not in own.firsts:
            self._prune(own)
        path = os.path.join(self.folder, f"{own.number:06}-{self._key}.{first}.rec")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, FILE_MODE)
        size_bytes, self._next = _whole(os.pread(fd, os.fstat(fd).st_size, 0))
        os.ftruncate(fd, size_bytes)  # what a killed log process has half written
        self._fd, self._first, self._size_bytes = fd, first, size_bytes

    def _close_file(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = self._first = -1

    def _prune(self, own: Kept) -> None:
        """Make room for one more segment, and remove plans that no recording names."""
        others = [each for each in recordings(self.folder) if each.key != self._key]
        gone = [path for each in others[: -(BOOTS_KEPT - 1)] for path in each.paths]
        paths = list(own.paths)
        while _has_too_much([*(os.path.getsize(path) for path in paths), 0]):
            gone.append(paths.pop(0))
        for path in gone:
            os.unlink(path)
        self._prune_plans([path for each in recordings(self.folder) for path in each.paths])

    def _prune_plans(self, paths: Sequence[str]) -> None:
        needed = [rows for segment in self._waiting for _, rows in segment.frames]
        for path in paths:
            with open(path, "rb") as file:
                needed.append(file.read())
        for name in os.listdir(self.folder):
            match = PLAN_NAME.fullmatch(name)
            if match and not any(match[1].encode() in each for each in needed):
                os.unlink(os.path.join(self.folder, name))

    def _write_plan(self, digest: str, data: bytes) -> None:
        """Whole or not at all: rename(2). Raises OSError."""
        path = os.path.join(self.folder, f"{digest}.plan")
        if os.path.exists(path):
            return
        with open(f"{path}.new", "wb") as file:
            file.write(data)
        os.replace(f"{path}.new", path)


def _has_too_much(sizes_bytes: Sequence[int]) -> bool:
    """May the first of these segments go?"""
    return len(sizes_bytes) > 1 and sum(sizes_bytes[1:]) >= KEPT_BYTES


def _whole(data: bytes) -> tuple[int, int]:
    """How much of a file are whole frames, and the number of the row after them."""
    unpacker = messagepack.Unpacker()
    unpacker.feed(data)
    whole = following = 0
    try:
        for number, _, rows in unpacker:
            whole, following = unpacker.tell(), number + _count(rows)
    except (ValueError, TypeError, messagepack.UnpackException):
        return whole, following
    return whole, following


def _count(rows: bytes) -> int:
    """How many rows there are."""
    unpacker = messagepack.Unpacker(unicode_errors=BYTES_OF_NAMES, max_buffer_size=0)
    unpacker.feed(rows)
    return sum(1 for _ in unpacker)
