"""Where does the log process keep the recordings? One file for each boot, the oldest removed; plans once each.

A file is a sequence of MessagePack arrays [number of the first row, checksum, rows]: what a power failure cut off
is known as such. Until the folder can be written everything waits here, with a bound.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import os
import re
import zlib
from typing import Final

import msgpack

from linit.record.codec import BYTES_OF_NAMES, pack_row
from linit.record.recorder import LOST, PLAN

FOLDER: Final = "record"  # in the folder of the logs
BOOTS_KEPT: Final = 5  # with the present one
RECORDING_MAX_BYTES: Final = 2 << 20
WAITING_MAX_BYTES: Final = 2 << 20
FILE_MODE: Final = 0o640
FOLDER_MODE: Final = 0o750
NAME: Final = re.compile(r"(\d{6,})-([0-9a-f]+-\d+)\.rec")
PLAN_NAME: Final = re.compile(r"([0-9a-f]{64})\.plan")


def frame(number: int, rows: bytes) -> bytes:
    """Rows as they lie in a file."""
    packed: bytes = msgpack.packb([number, checksum(number, rows), rows])
    return packed


def checksum(number: int, rows: bytes) -> int:
    """Of a frame: CRC-32 that begins with the number, so that neither can change unseen."""
    return binascii.crc32(rows, number & 0xFFFFFFFF)


def recordings(folder: str) -> list[tuple[int, str, str]]:
    """The recordings in a folder, the oldest first: (number, key, path). Raises OSError, but not for no folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = [(match, name) for name in names if (match := NAME.fullmatch(name))]
    return sorted((int(match[1]), match[2], os.path.join(folder, name)) for match, name in found)


class Ring:
    """The recordings below the folder of the logs. `flush` writes what was taken."""

    def __init__(self, logs: str) -> None:
        self.folder = os.path.join(logs, FOLDER)
        self._key = ""
        self._fd = -1
        self._size_bytes = 0
        self._is_over = False
        self._plans: dict[str, bytes] = {}  # digest -> what is not yet written
        self._frames: list[tuple[int, bytes]] = []  # number of the first row, rows
        self._next = 0  # number of the row that the file lacks
        self._waiting_bytes = 0

    def take(self, key: str, number: int, rows: bytes) -> None:
        """Rows of the recording `key`."""
        if key != self._key:
            self._begin(key)
        if not self._is_over:
            self._append(number, rows)

    def take_plan(self, key: str, number: int, data: bytes) -> None:
        """A row of the recording `key` that names a plan, and the plan."""
        digest = hashlib.sha256(data).hexdigest()
        self._plans[digest] = data
        self._waiting_bytes += len(data)
        self.take(key, number, pack_row([PLAN, 0.0, digest]))

    def flush(self) -> None:
        """Write everything to the disk's cache. What a disk does not take now is tried again at the next call."""
        if not self._frames:
            return
        try:
            if self._fd < 0:
                self._open()
            for digest, data in self._plans.items():
                self._write_plan(digest, data)
            data = b"".join(frame(*each) for each in self._frames if each[0] + _count(each[1]) > self._next)
            written = os.write(self._fd, data)
            if written != len(data):
                os.ftruncate(self._fd, self._size_bytes)
                return
        except OSError:
            return
        self._size_bytes += written
        self._forget_waiting()

    def close(self) -> None:
        """Everything is on the disk, as far as it can be."""
        self.flush()
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _begin(self, key: str) -> None:
        self.close()
        self._forget_waiting()
        self._key, self._size_bytes, self._next, self._is_over = key, 0, 0, False

    def _append(self, number: int, rows: bytes) -> None:
        limits = {"recording": RECORDING_MAX_BYTES - self._size_bytes, "memory": WAITING_MAX_BYTES}
        for what, limit in limits.items():
            if self._waiting_bytes + len(rows) > limit:
                self._is_over = True
                rows = pack_row([LOST, 0.0, f"the {what} was full"])
                break
        self._frames.append((number, rows))
        self._waiting_bytes += len(rows)

    def _forget_waiting(self) -> None:
        self._frames, self._plans, self._waiting_bytes = [], {}, 0

    def _open(self) -> None:
        """Go on with the file of an earlier log process of this boot, or begin one. Raises OSError."""
        os.makedirs(self.folder, FOLDER_MODE, exist_ok=True)
        found = recordings(self.folder)
        path = next((path for _, key, path in found if key == self._key), "")
        if not path:
            number = found[-1][0] + 1 if found else 1
            self._prune([path for _, _, path in found])
            path = os.path.join(self.folder, f"{number:06}-{self._key}.rec")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, FILE_MODE)
        size_bytes, self._next = _whole(os.pread(fd, 2 * RECORDING_MAX_BYTES, 0))
        os.ftruncate(fd, size_bytes)  # what a killed log process has half written
        self._fd, self._size_bytes = fd, size_bytes

    def _prune(self, paths: list[str]) -> None:
        """Make room for one more recording, and remove plans that no recording names."""
        kept = paths[-(BOOTS_KEPT - 1) :]
        for path in paths[: -len(kept)] if kept else paths:
            os.unlink(path)
        contents = []
        for path in kept:
            with open(path, "rb") as file:
                contents.append(file.read())
        for name in os.listdir(self.folder):
            match = PLAN_NAME.fullmatch(name)
            if match and not any(match[1].encode() in content for content in contents):
                os.unlink(os.path.join(self.folder, name))

    def _write_plan(self, digest: str, data: bytes) -> None:
        """Whole or not at all: rename(2). Raises OSError."""
        path = os.path.join(self.folder, f"{digest}.plan")
        if os.path.exists(path):
            return
        with open(f"{path}.new", "wb") as file:
            file.write(zlib.compress(data))
        os.replace(f"{path}.new", path)


def _whole(data: bytes) -> tuple[int, int]:
    """How much of a file are whole frames, and the number of the row after them."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    whole = following = 0
    try:
        for number, _, rows in unpacker:
            whole, following = unpacker.tell(), number + _count(rows)
    except (ValueError, TypeError, msgpack.UnpackException):
        return whole, following
    return whole, following


def _count(rows: bytes) -> int:
    """How many rows there are."""
    unpacker = msgpack.Unpacker(unicode_errors=BYTES_OF_NAMES)
    unpacker.feed(rows)
    return sum(1 for _ in unpacker)
