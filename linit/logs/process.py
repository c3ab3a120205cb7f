"""What does the log process do? It waits on PID 1's socket and on the pipes of all services, and writes it down.

PID 1 keeps both ends of every pipe and passes a copy of the reading end, so the death of this process closes no
pipe and kills no service (SIGPIPE): a new one is given the same pipes. In each round a pipe that has something gives
one chunk, so that none waits for another's flood. Nothing is read that there is no place for.
Sources: epoll(7), unix(7) for SCM_RIGHTS, pipe(7). What the messages mean: README.md.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from linit import messagepack
from linit.logs import elsewhere, limits
from linit.logs import lines as text
from linit.logs.flood import Flood
from linit.logs.kernel import Kernel
from linit.logs.readers import Readers
from linit.logs.recovery import recover
from linit.logs.store import RETRY_S, LogFile, Store
from linit.logs.stream import Sink, Stream
from linit.record.ring import Ring

CONTROL_FD: Final = 3
MESSAGE_MAX_BYTES: Final = 64 * 1024
FDS_MAX: Final = 8  # in one message; the protocol sends one
CHUNKS_OF_A_PIPE: Final = 2  # they take what a pipe can hold
WAITING_LINES_MAX: Final = 2000  # of linit's own, while there is no place for them

# kill(-1, SIGTERM) of the shutdown and a terminal's ^C must not end the log before the services that write to it.
IGNORED_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT)


class LogProcess:
    """The whole of it: `run()` returns when PID 1 says `close` or is gone. `kernel`: its messages are kept, too."""

    def __init__(self, control: socket.socket, store: Store, kernel: Kernel | None = None) -> None:
        self._control = control
        self._store = store
        self._kernel = kernel
        self._readers = Readers()
        self._epoll = select.epoll()
        self._streams: dict[int, Stream] = {}
        self._floods: dict[str, Flood] = {}
        self._waiting: deque[tuple[str, str, int]] = deque(maxlen=WAITING_LINES_MAX)
        self._is_closing = False
        self._has_begun = False  # to read pipes
        self._is_told = False  # on standard error, that lines are being lost
        self._ring = Ring(store.folder)
        self._on_message: dict[str, Callable[[list[Any], list[int]], None]] = {
            "pipe": self._take_pipe,
            "main": self._take_main,
            "line": self._take_line,
            "segment": self._take_segment,
            "record": self._take_record,
            "plan": self._take_plan,
            "state": self._take_state,
            "writable": self._take_writable,
            "close": self._take_close,
        }

    def run(self) -> None:
        self._control.setblocking(False)
        self._epoll.register(self._control.fileno(), select.EPOLLIN)
        recover(self._store, is_early=True)
        self._open()
        while not self._is_closing:
            for fd, _ in self._epoll.poll(self._timeout_s()):
                self._serve(fd)
            self._keep_house(time.monotonic())
        self._drain()

    def begin_with(self, faults: list[str]) -> None:
        """What is wrong with the limits, into linit's own log."""
        self._waiting.extend((text.OWN, fault, 0) for fault in faults)

    def _serve(self, fd: int) -> None:
        """Something can be read there."""
        if (stream := self._streams.get(fd)) is not None:
            self._pump(stream)
        elif fd == self._control.fileno():
            self._receive()
            self._flush_ring()
        elif self._kernel is not None and fd == self._kernel.fd:
            self._kernel.pump()
        elif fd == self._readers.fd:
            self._catch_up()
        elif fd == self._store.packer.fd:
            self._epoll.unregister(fd)
            self._store.packer.ended()

    def _catch_up(self) -> None:
        """Somebody is going to read the log: what was said before goes into it, then they are let go."""
        readers = self._readers.accept()
        self._receive()
        self._flush_ring()
        for stream in list(self._streams.values()):
            for _ in range(CHUNKS_OF_A_PIPE):
                if not self._pump(stream):
                    break
        if self._kernel is not None and self._kernel.fd >= 0:
            self._kernel.pump()
        for each in readers:
            each.close()

    def _timeout_s(self) -> float | None:
        """Nobody is waited for but pipes, unless a loss has to be told."""
        losing = self._store.losing
        if not losing:
            return None
        now_s = time.monotonic()
        return min(RETRY_S, max(0.1, *(file.dropped_until_s - now_s for file in losing)))

    def _keep_house(self, now_s: float) -> None:
        """What is due after a round."""
        if self._store.is_worth_a_try(now_s):
            self._open()
        if self._store.losing or self._is_told:
            self._tell_losses(now_s)
        if self._store.is_untidy(now_s):
            self._store.tidy()
        if self._store.packer.begin():
            self._epoll.register(self._store.packer.fd, select.EPOLLIN)

    def _tell_losses(self, now_s: float) -> None:
        """Into the logs, as soon as they take it; that the disk takes nothing, and takes again, on standard error."""
        for file in list(self._store.losing):
            if now_s >= file.dropped_until_s:
                lost = (file.dropped, file.dropped_why)
                if file.tell_dropped(time.time_ns()):
                    self._say_over(file, *lost)
                elif not self._is_told:
                    self._is_told = True
                    self._say(f"lines are being lost: {file.dropped_why}")
        if self._is_told and not self._store.losing:
            self._is_told = False
            self._say("lines are kept again")

    def _say_over(self, file: LogFile, count: int, why: str) -> None:
        if self._is_told:
            self._say(f"{file.path}: {text.dropped_text(count, why)}")

    def _say(self, words: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"linit.logs: {words}\n")
            sys.stderr.flush()

    def _receive(self) -> None:
        """Take every message that is there. The end of the socket means what `close` means."""
        while not self._is_closing:
            try:
                data, fds, _, _ = socket.recv_fds(self._control, MESSAGE_MAX_BYTES, FDS_MAX)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._is_closing = True
                return
            self._handle(data, fds)

    def _handle(self, data: bytes, fds: list[int]) -> None:
        """One message. One that PID 1 would not send is told on standard error and forgotten."""
        try:
            message = messagepack.unpackb(data)
            self._on_message[message[0]](message, fds)
        except (ValueError, KeyError, IndexError, TypeError) as failure:
            for fd in fds:
                os.close(fd)
            self._say(f"a message was not understood: {failure!r}")

    def _take_pipe(self, message: list[Any], fds: list[int]) -> None:
        """`["pipe", service, stream, value, pid]` and the reading end: from now on this process writes what comes out
        of it, to where `stream` and `value` say."""
        _, service, name, value, pid = message
        (fd,) = fds
        os.set_blocking(fd, False)
        number = sum((each.service, each.name) == (service, name) for each in self._streams.values())
        sink = self._sink(service, name, value)
        flood = None if sink else self._floods.setdefault(service, Flood(self._store.limits))
        self._streams[fd] = stream = Stream(service, fd, name=name, number=number, pid=pid, flood=flood, sink=sink)
        if self._has_begun:
            self._take_up(stream)
        self._open()

    def _sink(self, service: str, name: str, value: str) -> Sink | None:
        """None: the store."""
        if name == elsewhere.FILE:
            return elsewhere.FileSink(value, lambda: self._store.file(service))
        if name == elsewhere.SYSLOG:
            return elsewhere.SyslogSink(value, service, lambda: self._store.file(service))
        return None

    def _take_main(self, message: list[Any], _fds: list[int]) -> None:
        """`["main", service, pid]`: what comes from now on was written by this process, or by its children."""
        for stream in self._streams.values():
            if stream.service == message[1]:
                stream.of_process(int(message[2]), self._store)

    def _take_line(self, message: list[Any], _fds: list[int]) -> None:
        """`["line", service, text, ns]`: linit itself had something to say about a service. A PID 1 of before an
        upgrade does not say when."""
        service, line, said_ns = str(message[1]), str(message[2]), int(message[3]) if len(message) > 3 else 0
        if not self._open():
            self._waiting.append((service, line, said_ns))
            return
        self._store.say(service, line, said_ns)

    def _take_segment(self, message: list[Any], _fds: list[int]) -> None:
        """`["segment", key, number, rows]`: the recording of this boot goes on so that it could begin here."""
        self._ring.take_segment(str(message[1]), int(message[2]), bytes(message[3]))

    def _take_record(self, message: list[Any], fds: list[int]) -> None:
        """`["record", key, number, rows]`, or with a file that holds the rows: of the recording of this boot."""
        rows = _content(fds)
        self._ring.take(str(message[1]), int(message[2]), bytes(message[3]) if rows is None else rows)

    def _take_plan(self, message: list[Any], fds: list[int]) -> None:
        """`["plan", key, number]` and a file that holds a plan: what follows in the recording is about this one."""
        self._ring.take_plan(str(message[1]), int(message[2]), _content(fds))

    def _take_state(self, message: list[Any], fds: list[int]) -> None:
        """`["state", key, number]` and a file that holds the whole state of the engine."""
        self._ring.take_state(str(message[1]), int(message[2]), _content(fds) or b"")

    def _flush_ring(self) -> None:
        if self._store.is_kept:
            self._ring.flush()

    def _take_writable(self, _message: list[Any], _fds: list[int]) -> None:
        self._open(is_new=True)

    def _take_close(self, _message: list[Any], _fds: list[int]) -> None:
        self._is_closing = True

    def _open(self, *, is_new: bool = False) -> bool:
        """Is there a place for lines? As soon as there is, everything that waited is taken up. `is_new`: the folder may
        have come to work just now."""
        store = self._store
        if store.is_kept:
            return True
        if store.is_open and not is_new and not store.is_worth_a_try(time.monotonic()):
            return True
        if not store.open():
            return False
        if not self._has_begun:
            self._begin()
        if store.is_kept:
            self._ring.flush()
        return True

    def _begin(self) -> None:
        """There is a place."""
        self._has_begun = True
        recover(self._store, is_early=False)
        for stream in self._streams.values():
            self._take_up(stream)
        for service, line, said_ns in self._waiting:
            self._store.say(service, line, said_ns)
        self._waiting.clear()
        if self._kernel is not None and self._kernel.fd >= 0:
            self._kernel.begin()
            self._epoll.register(self._kernel.fd, select.EPOLLIN)
        self._readers.open(self._store.run)
        if self._readers.fd >= 0:
            self._epoll.register(self._readers.fd, select.EPOLLIN)

    def _take_up(self, stream: Stream) -> None:
        """Begin to read a pipe, after what an earlier log process had of it."""
        stream.begin(self._store)
        self._epoll.register(stream.fd, select.EPOLLIN)

    def _pump(self, stream: Stream) -> bool:
        """Take a chunk; False when there was none."""
        found = stream.pump(self._store)
        if stream.is_ended:
            stream.finish(self._store)
            self._epoll.unregister(stream.fd)
            os.close(stream.fd)
            del self._streams[stream.fd]
        return found

    def _drain(self) -> None:
        """The last act: what is in the pipes goes to the files, the files to the disk. Without a place for them the
        data stays in the pipes: if PID 1 lives, the next log process gets them."""
        if self._open(is_new=True):
            for stream in self._streams.values():
                stream.finish(self._store)
            for file in list(self._store.losing):
                file.tell_dropped(time.time_ns())
            self._ring.close()
        self._store.close()


def _content(fds: list[int]) -> bytes | None:
    """What is in the file that came with a message; None when none came."""
    if not fds:
        return None
    (fd,) = fds
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    fds.clear()
    os.close(fd)
    return data


def main() -> int:
    """Exit status: 0 after `close` or when PID 1 is gone, 2 without a folder to write to."""
    environment = os.environ
    folder = environment.get("LINIT_LOG_DIR", "")
    if not folder:
        sys.stderr.write("linit.logs: LINIT_LOG_DIR is not set; linit starts this, people use linitctl logs\n")
        return 2
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # three descriptors a pipe
    os.umask(0o027)
    chosen, faults = limits.read(environment.get(limits.FILE, ""))
    store = Store(folder, environment.get("LINIT_RUN_DIR", ""), chosen, environment.get("LINIT_LOG_BOOT", ""))
    kernel = Kernel(store) if environment.get("LINIT_LOG_KERNEL") else None
    process = LogProcess(socket.socket(fileno=CONTROL_FD), store, kernel)
    process.begin_with(faults)
    process.run()
    return 0
