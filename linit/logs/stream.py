"""How do bytes get from a service's pipe into its file? By chunks, through a spool that survives SIGKILL."""

from __future__ import annotations

import os
import time
from typing import Final

from linit.logs import lines as text
from linit.logs.spool import CHUNK_BYTES, Spool
from linit.logs.store import LogFile, Store, file_name
from linit.runtime.failure import error_words

LAST_CHUNKS_MAX: Final = 32  # what a pipe holds and something more, when the end has come


class Stream:
    """One pipe of a service and the beginning of a line that it has not finished.

    `number` tells several pipes of one service apart. `begin` comes before the first `pump`.
    """

    def __init__(self, service: str, fd: int, number: int = 0) -> None:
        self.service = service
        self.fd = fd
        self.is_ended = False
        self._number = number
        self._rest = b""
        self._spool: Spool | None = None

    def begin(self, store: Store) -> None:
        """Open the spool and write what an earlier log process, killed, had taken from the pipe."""
        path = os.path.join(store.spools, f"{file_name(self.service)}.{self._number}")
        try:
            self._spool = Spool(path)
            left = self._spool.left()
        except OSError as failure:
            self._give_up_spool(store, failure)
            return
        complete, self._rest = text.split(b"", left)
        if complete:
            file = store.file(self.service)
            file.cut_back(self._spool.log_bytes)
            self._write(store, file, complete)

    def pump(self, store: Store) -> bool:
        """Take what is there, at most a chunk, and write its lines at once. False when there was nothing."""
        file = store.file(self.service)
        try:
            data = self._take(store, file)
        except BlockingIOError:
            return False
        except OSError as failure:
            store.append(self.service, text.own_lines(f"its output can no longer be read: {error_words(failure)}"))
            data = b""
        if not data:
            self.is_ended = True
            return False
        complete, self._rest = text.split(self._rest, data)
        self._write(store, file, complete)
        return True

    def finish(self, store: Store) -> None:
        """Read what is there; a last line without its newline is a line. Bounded: somebody may still write."""
        for _ in range(LAST_CHUNKS_MAX):
            if not self.pump(store):
                break
        if self._rest:
            rest, self._rest = self._rest, b""
            self._write(store, store.file(self.service), [rest])
        if self._spool:
            self._spool.remove()
            self._spool = None

    def _take(self, store: Store, file: LogFile) -> bytes:
        """Through the spool; without one, a chunk that was read is lost if SIGKILL comes before it is written."""
        if self._spool:
            try:
                self._spool.mark(file.size_bytes)
                return self._spool.take(self.fd)
            except BlockingIOError:
                raise
            except OSError as failure:
                self._give_up_spool(store, failure)
        return os.read(self.fd, CHUNK_BYTES)

    def _write(self, store: Store, file: LogFile, lines: list[bytes]) -> None:
        file.append(lines, time.time_ns(), self._spool.mark if self._spool else None)
        if self._spool:
            try:
                self._spool.commit(file.size_bytes, self._rest)
            except OSError as failure:
                self._give_up_spool(store, failure)

    def _give_up_spool(self, store: Store, failure: OSError) -> None:
        told = f"its lines are not safe from a kill of the log process: {error_words(failure)}"
        store.append(self.service, text.own_lines(told))
        if self._spool:
            self._spool.remove()
            self._spool = None
