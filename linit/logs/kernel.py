"""What did the kernel say? Its records become lines of the log `kernel`, from the first of the boot on.

A record has a number. Which one comes next, and how long the log was then, is noted before lines are written: who
comes after a kill cuts the log back and reads the same records again. Sources: /dev/kmsg of
Documentation/ABI/testing/dev-kmsg, syslog(2).
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from typing import Final

from linit.logs.appended import Length
from linit.logs.elsewhere import FACILITIES, LEVELS
from linit.logs.lines import Batch
from linit.logs.store import LogFile, Store

DEVICE: Final = "/dev/kmsg"
SERVICE: Final = "kernel"
RECORD_BYTES: Final = 8192
BATCH: Final = 256  # records; other pipes are read before the next ones
NOTE: Final = "kmsg"
_NOTE: Final = struct.Struct("<QQQ")  # number of the next record; size and inode of the log then

_FACILITY: Final = {number: word for word, number in FACILITIES.items()}
_LEVEL: Final = {number: word for word, number in LEVELS.items()}


def parsed(record: bytes) -> tuple[int, int, str, bytes]:
    """(number, microseconds since the boot, `facility.level`, text) of a record. Raises ValueError."""
    head, _, rest = record.partition(b";")
    priority, number, at_us, *_ = head.decode("ascii").split(",")
    facility, level = divmod(int(priority), 8)
    words = f"{_FACILITY.get(facility, facility)}.{_LEVEL[level]}"
    return int(number), int(at_us), words, rest.partition(b"\n")[0]


class Kernel:
    """Reads the device. `fd`: readable when there is something, -1 without the device."""

    def __init__(self, store: Store, device: str = DEVICE) -> None:
        self._store = store
        self._next = 0
        self._note = -1
        try:
            self.fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self.fd = -1

    def begin(self) -> None:
        """Go on where an earlier log process of this boot was. Without a note, everything is read again."""
        with contextlib.suppress(OSError):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._note = os.open(os.path.join(self._store.run, NOTE), flags, 0o600)
            found = os.pread(self._note, _NOTE.size, 0)
            if len(found) == _NOTE.size:
                self._next, size_bytes, inode = _NOTE.unpack(found)
                self._store.file(SERVICE).cut_back(Length(size_bytes, inode))

    def pump(self) -> bool:
        """Take a batch of records; False when there was none."""
        found: list[tuple[int, int, str, bytes]] = []
        lost = 0
        while len(found) < BATCH:
            try:
                number, at_us, words, line = parsed(os.read(self.fd, RECORD_BYTES))
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # what was to come next is no longer there: the numbers tell how many
            except (OSError, ValueError):
                break
            if number >= self._next:
                lost += number - self._next if self._next else 0
                self._next = number + 1
                found.append((number, at_us, words, line))
        if found:
            self._write(found, lost)
        return bool(found)

    def _write(self, found: list[tuple[int, int, str, bytes]], lost: int) -> None:
        file = self._store.file(SERVICE)
        began_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if lost:
            file.drop(lost, "the kernel had no room for them")
        self._mark(found[0][0], file)
        for _, at_us, words, line in found:
            file.append(Batch(line + b"\n", began_ns + 1000 * at_us, words))
        self._mark(self._next, file)

    def _mark(self, number: int, file: LogFile) -> None:
        if self._note >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._note, _NOTE.pack(number, file.length.size_bytes, file.length.inode), 0)
