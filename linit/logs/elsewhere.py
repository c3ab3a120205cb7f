"""Where else may lines go? Into a file of the administrator's, as they are, or to the syslog daemon.

What these do not take is not lost where the store can have it: it goes there, with a word on why.
Sources: open(2), unix(7), syslog(3), RFC 3164.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from linit.logs import lines as text
from linit.logs.appended import Appended, Length, Mark
from linit.logs.store import LogFile
from linit.runtime.failure import error_words

FILE: Final = "file"
SYSLOG: Final = "syslog"
DEV_LOG: Final = "/dev/log"
FILE_MODE: Final = 0o640
DATAGRAM_BYTES: Final = 8192  # of text: more is cut into pieces, as RFC 5424 lets a receiver cut
TAG_CHARACTERS: Final = 48

# <sys/syslog.h>
FACILITIES: Final = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
    "authpriv": 10, "ftp": 11, **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
LEVELS: Final = {"emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}

Store = Callable[[], LogFile]  # the service's file in the store, at present


class FileSink:
    """A file that the lines are appended to as they are; opened anew when it was moved away."""

    def __init__(self, path: str, store: Store) -> None:
        self._file = Appended(path, FILE_MODE)
        self._store = store
        self._is_told = False

    @property
    def length(self) -> Length:
        return self._file.length

    def append(self, batch: text.Batch, mark: Mark | None) -> None:
        """What the file does not take goes to the store."""
        try:
            self._file.reopen(batch.now_ns)
            written = self._file.put(batch.lines, mark)
        except OSError as failure:
            self._file.failed(failure)
            written = 0
        if written == len(batch.lines):
            self._is_told = False
            return
        if not self._is_told:
            self._is_told = True
            words = f"what it writes goes to the log: {self._file.problem}"
            self._store().append(text.own(words, batch.now_ns))
        self._store().append(_in_store(batch, batch.lines[written:]))

    def resume(self, batch: text.Batch, after: Length, mark: Mark | None) -> None:
        """Others may have written to the file since: it is not cut back, but compared."""
        there = b""
        if self.length.inode == after.inode and self.length.size_bytes > after.size_bytes:
            with contextlib.suppress(OSError), open(self._file.path, "rb") as file:
                file.seek(after.size_bytes)
                there = file.read(len(batch.lines))
        if there and batch.lines.startswith(there):
            batch = batch._replace(lines=batch.lines[len(there) :])
        if batch.lines:
            self.append(batch, mark)


class SyslogSink:
    """Datagrams to the syslog daemon, one a line. `choice`: `facility.level`."""

    length = Length()

    def __init__(self, choice: str, service: str, store: Store, path: str = DEV_LOG) -> None:
        facility, _, level = choice.partition(".")
        self._number = FACILITIES.get(facility, FACILITIES["daemon"]) * 8 + LEVELS.get(level, LEVELS["info"])
        self._tag = service[:TAG_CHARACTERS]
        self._store = store
        self._path = path
        self._socket: socket.socket | None = None
        self._is_told = False

    def append(self, batch: text.Batch, mark: Mark | None) -> None:
        """Lines that the daemon does not take, as it is not there or too slow, go to the store."""
        clock = time.strftime("%b %e %H:%M:%S", time.localtime(batch.now_ns // 1_000_000_000))
        start = f"<{self._number}>{clock} {self._tag}[{batch.pid}]: ".encode()
        lines = deque(batch.lines.split(b"\n")[:-1])
        try:
            if self._socket is None or not self._send(lines, start):
                self._disconnect()  # a daemon that was started again has another socket
                self._socket = _connected(self._path)
                self._send(lines, start, is_last_try=True)
            self._is_told = False
        except OSError as failure:
            self._give_up(_in_store(batch, b"".join(line + b"\n" for line in lines)), failure)

    def resume(self, batch: text.Batch, after: Length, mark: Mark | None) -> None:
        """Nobody knows what a daemon got before: the lines of one chunk may come twice, none is missing."""
        self.append(batch, mark)

    def _send(self, lines: deque[bytes], start: bytes, *, is_last_try: bool = False) -> bool:
        """Send lines, and take those that were sent away; False when the daemon is gone. Raises OSError."""
        assert self._socket is not None, "linit bug: no connection"
        try:
            while lines:
                for position in range(0, len(lines[0]) or 1, DATAGRAM_BYTES):
                    self._socket.send(start + lines[0][position : position + DATAGRAM_BYTES])
                lines.popleft()
        except (ConnectionError, FileNotFoundError):
            if is_last_try:
                raise
            return False
        return True

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _give_up(self, rest: text.Batch, failure: OSError) -> None:
        if not isinstance(failure, BlockingIOError):  # that one is only too slow
            self._disconnect()
        if not self._is_told:
            self._is_told = True
            words = f"what it writes goes to the log: {self._path}: {error_words(failure)}"
            self._store().append(text.own(words, rest.now_ns))
        self._store().append(rest)


def _in_store(batch: text.Batch, rest: bytes) -> text.Batch:
    """What is left of a batch; one pipe is for both of the service's streams."""
    return batch._replace(lines=rest, stream=text.OUT)


def _connected(path: str) -> socket.socket:
    """A datagram socket to the daemon that never waits. Raises OSError."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        found.connect(path)
    except OSError:
        found.close()
        raise
    return found
