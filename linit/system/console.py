"""How does text get onto the console without PID 1 ever waiting for it?

A serial line takes a kilobyte in a tenth of a second, and none at all while flow control holds it. So writes do
not block, what the line does not take yet is kept up to a bound, and what is beyond is dropped and counted.
Sources: console(4), tty(4). A getty's hangup spares descriptors of /dev/console (tty_io.c, __tty_hangup), so it
stays open; should it fail nevertheless, it is opened anew at the next line.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from linit.system import texts

DEVICE: Final = "/dev/console"
KEPT_MAX_BYTES: Final = 32 * 1024  # nearly three seconds of a line of 115200 baud


class WriterLoop(Protocol):
    """The part of an event loop that is used here."""

    def add_writer(self, fd: int, callback: Callable[..., object], *args: Any) -> object: ...

    def remove_writer(self, fd: int) -> object: ...


class Console:
    """Whole lines in, whole lines out or dropped. Without a loop, what was not taken goes out with the next line."""

    def __init__(self, path: str = DEVICE, kept_max_bytes: int = KEPT_MAX_BYTES) -> None:
        self._path = path
        self._kept_max_bytes = kept_max_bytes
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._not_shown = 0
        self._loop: WriterLoop | None = None
        self._is_watched = False
        self._fd = -1
        self._open()

    @property
    def is_terminal(self) -> bool:
        """Does it understand colours? It may be a file, in a test."""
        return self._fd >= 0 and os.isatty(self._fd)

    def attach(self, loop: WriterLoop) -> None:
        """From now on this loop says when there is room. Another one takes over from an earlier."""
        self._watch(False)
        self._loop = loop
        self._watch(bool(self._kept))

    def write(self, line: str) -> None:
        """Show a line, now or when there is room. Never blocks, never raises."""
        data = line.encode(errors="replace") + b"\n"
        if self._kept_bytes + len(data) > self._kept_max_bytes:
            self._not_shown += 1
            return
        self._kept.append(data)
        self._kept_bytes += len(data)
        self._flush()

    def drain(self, limit_s: float) -> None:
        """Wait until everything is shown, at most so long: for the last line of a machine."""
        until_s = time.monotonic() + limit_s
        self._flush()
        while self._kept and self._fd >= 0 and (left_s := until_s - time.monotonic()) > 0:
            select.select((), (self._fd,), (), left_s)
            self._flush()

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def _flush(self) -> None:
        if self._fd < 0:
            self._open()
        while self._kept or self._not_shown:
            if not self._kept:
                self._tell_not_shown()
            try:
                written = os.write(self._fd, self._kept[0])
            except BlockingIOError:
                break
            except OSError:  # hung up, or there is none: what is kept waits for the next line
                self._close()
                return
            self._kept_bytes -= written
            if written == len(self._kept[0]):
                self._kept.popleft()
            else:
                self._kept[0] = self._kept[0][written:]
        self._watch(bool(self._kept))

    def _tell_not_shown(self) -> None:
        data = texts.not_shown(self._not_shown).encode() + b"\n"
        self._not_shown = 0
        self._kept.append(data)
        self._kept_bytes += len(data)

    def _watch(self, on: bool) -> None:
        """Have the loop call `_flush` when there is room. A file is always ready and cannot be watched: EPERM."""
        if self._loop is None or on == self._is_watched or self._fd < 0:
            return
        self._is_watched = on
        if on:
            self._loop.add_writer(self._fd, self._flush)
        else:
            self._loop.remove_writer(self._fd)

    def _close(self) -> None:
        self._watch(False)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
