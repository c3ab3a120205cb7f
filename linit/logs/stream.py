"""How do bytes get from a service's pipe to where they belong? By chunks, through a spool that survives SIGKILL."""

from __future__ import annotations

import os
import time
from typing import Final, Protocol

from linit.logs import lines as text
from linit.logs.appended import Length, Mark
from linit.logs.files import file_name
from linit.logs.flood import Flood
from linit.logs.limits import Limits
from linit.logs.spool import CHUNK_BYTES, Spool
from linit.logs.store import Store
from linit.runtime.failure import error_words

LAST_CHUNKS_MAX: Final = 32  # what a pipe holds and something more, when the end has come


class Sink(Protocol):
    """Where lines go. `length` is what a spool notes of it."""

    @property
    def length(self) -> Length: ...

    def append(self, batch: text.Batch, mark: Mark | None) -> None:
        """Take lines; what cannot be kept is counted, never an exception."""

    def resume(self, batch: text.Batch, after: Length, mark: Mark | None) -> None:
        """Take lines of which a killed log process may have written some."""


class Stream:
    """One pipe of a service and the beginning of a line that it has not finished.

    `number` tells several pipes of one kind apart. `begin` comes before the first `pump`. `sink`: None is the store.
    """

    def __init__(
        self,
        service: str,
        fd: int,
        *,
        name: str = text.OUT,
        number: int = 0,
        pid: int = 0,
        flood: Flood | None = None,
        sink: Sink | None = None,
    ) -> None:
        self.service = service
        self.fd = fd
        self.is_ended = False
        self.name = name
        self._spool_name = f"{file_name(service)}.{name}.{number}"
        self._rest = b""
        self._pid = pid
        self._flood = flood or Flood(Limits(flood_bytes=0))
        self._sink = sink
        self._spool: Spool | None = None
        self._has_given_up = False

    def begin(self, store: Store) -> None:
        """Write what an earlier log process, killed, had taken from the pipe. A spool is made at the first line."""
        if os.path.exists(os.path.join(store.spools, self._spool_name)):
            self._open_spool(store)
            if self._spool:
                self._resume(store, self._spool)

    def of_process(self, pid: int, store: Store) -> None:
        """What comes from now on is this process's; what is in the pipe is that of the one before."""
        if self._pid and store.is_open:
            for _ in range(LAST_CHUNKS_MAX):
                if not self.pump(store):
                    break
        self._pid = pid
        if self._spool:
            self._spool.pid = pid

    def pump(self, store: Store) -> bool:
        """Take what is there, at most a chunk, and write its lines at once. False when there was nothing."""
        sink = self._sink or store.file(self.service)
        try:
            data = self._take(store, sink)
        except BlockingIOError:
            return False
        except OSError as failure:
            store.say(self.service, f"its output can no longer be read: {error_words(failure)}")
            data = b""
        if not data:
            self.is_ended = True
            return False
        complete, self._rest = text.split(self._rest, data)
        if self._flood.is_over(len(data), time.monotonic()):
            count = complete.count(b"\n")
            store.file(self.service).drop(count, self._flood.words(), self._flood.until_s)
            complete = b""
        self._write(store, sink, complete)
        return True

    def finish(self, store: Store) -> None:
        """Read what is there; a last line without its newline is a line. Bounded: somebody may still write."""
        for _ in range(LAST_CHUNKS_MAX):
            if not self.pump(store):
                break
        if self._rest:
            rest, self._rest = self._rest, b""
            self._write(store, self._sink or store.file(self.service), rest + b"\n")
        if self._spool:
            self._spool.remove()
            self._spool = None

    def _take(self, store: Store, sink: Sink) -> bytes:
        """Through the spool; without one, a chunk that was read is lost if SIGKILL comes before it is written."""
        if self._spool is None and not self._has_given_up:
            self._open_spool(store)
        if self._spool:
            try:
                self._spool.mark(sink.length)
                return self._spool.take(self.fd)
            except BlockingIOError:
                raise
            except OSError as failure:
                self._give_up_spool(store, failure)
        return os.read(self.fd, CHUNK_BYTES)

    def _write(self, store: Store, sink: Sink, lines: bytes) -> None:
        mark = self._spool.mark if self._spool else None
        if lines:
            sink.append(text.Batch(lines, time.time_ns(), self.name, self._pid), mark)
        self._commit(store, sink)

    def _resume(self, store: Store, spool: Spool) -> None:
        """Of the spool's lines, some may be where they belong."""
        sink = self._sink or store.file(self.service)
        complete, self._rest = text.split(b"", spool.left())
        if complete:
            sink.resume(text.Batch(complete, time.time_ns(), self.name, spool.pid), spool.log, spool.mark)
            self._commit(store, sink)

    def _commit(self, store: Store, sink: Sink) -> None:
        if self._spool:
            try:
                self._spool.commit(sink.length, self._rest)
            except OSError as failure:
                self._give_up_spool(store, failure)

    def _open_spool(self, store: Store) -> None:
        try:
            self._spool = Spool(os.path.join(store.spools, self._spool_name))
            self._spool.pid = self._spool.pid or self._pid
        except OSError as failure:
            self._give_up_spool(store, failure)

    def _give_up_spool(self, store: Store, failure: OSError) -> None:
        self._has_given_up = True
        store.say(self.service, f"its lines are not safe from a kill of the log process: {error_words(failure)}")
        if self._spool:
            self._spool.remove()
            self._spool = None
