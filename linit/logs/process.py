"""What does the log process do? It waits on PID 1's socket and on the pipes of all services, and writes it down.

PID 1 keeps both ends of every pipe and passes a copy of the reading end, so the death of this process closes no
pipe and kills no service (SIGPIPE): a new one is given the same pipes. Nothing is read that cannot be written now.
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
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgpack

from linit.logs import lines as text
from linit.logs.store import Store
from linit.logs.stream import Stream
from linit.record.ring import Ring

CONTROL_FD: Final = 3
MESSAGE_MAX_BYTES: Final = 64 * 1024
FDS_MAX: Final = 8  # in one message; the protocol sends one
WAITING_LINES_MAX: Final = 2000  # of linit's own, while the folder cannot be written

# kill(-1, SIGTERM) of the shutdown and a terminal's ^C must not end the log before the services that write to it.
IGNORED_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT)


class LogProcess:
    """The whole of it: `run()` returns when PID 1 says `close` or is gone."""

    def __init__(self, control: socket.socket, store: Store) -> None:
        self._control = control
        self._store = store
        self._epoll = select.epoll()
        self._streams: dict[int, Stream] = {}
        self._waiting: deque[tuple[str, str]] = deque(maxlen=WAITING_LINES_MAX)
        self._is_closing = False
        self._ring = Ring(store.folder)
        self._on_message: dict[str, Callable[[list[Any], list[int]], None]] = {
            "pipe": self._take_pipe,
            "line": self._take_line,
            "record": self._take_record,
            "plan": self._take_plan,
            "writable": self._take_writable,
            "close": self._take_close,
        }

    def run(self) -> None:
        self._control.setblocking(False)
        self._epoll.register(self._control.fileno(), select.EPOLLIN)
        self._open()
        while not self._is_closing:
            for fd, _ in self._epoll.poll():
                if fd == self._control.fileno():
                    self._receive()
                    self._flush_ring()
                elif (stream := self._streams.get(fd)) is not None:
                    self._pump(stream)
        self._drain()

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
            message = msgpack.unpackb(data)
            self._on_message[message[0]](message, fds)
        except (ValueError, KeyError, IndexError, TypeError) as failure:
            for fd in fds:
                os.close(fd)
            sys.stderr.write(f"linit.logs: a message was not understood: {failure!r}\n")

    def _take_pipe(self, message: list[Any], fds: list[int]) -> None:
        """`["pipe", service]` and the reading end: from now on this process writes what comes out of it."""
        service = str(message[1])
        (fd,) = fds
        os.set_blocking(fd, False)
        number = sum(stream.service == service for stream in self._streams.values())
        is_open = self._store.is_open
        self._streams[fd] = stream = Stream(service, fd, number)
        if is_open:
            self._take_up(stream)
        else:
            self._open()

    def _take_line(self, message: list[Any], _fds: list[int]) -> None:
        """`["line", service, text]`: linit itself has something to say about a service."""
        service, line = str(message[1]), str(message[2])
        if not self._open():
            self._waiting.append((service, line))
            return
        self._store.append(service, text.own_lines(line))

    def _take_record(self, message: list[Any], _fds: list[int]) -> None:
        """`["record", key, number, rows]`: of the recording of this boot."""
        self._ring.take(str(message[1]), int(message[2]), bytes(message[3]))

    def _take_plan(self, message: list[Any], fds: list[int]) -> None:
        """`["plan", key, number]` and a file that holds a plan: what follows in the recording is about this one."""
        (fd,) = fds
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        self._ring.take_plan(str(message[1]), int(message[2]), data)
        os.close(fd)

    def _flush_ring(self) -> None:
        if self._store.is_open:
            self._ring.flush()

    def _take_writable(self, _message: list[Any], _fds: list[int]) -> None:
        self._open()

    def _take_close(self, _message: list[Any], _fds: list[int]) -> None:
        self._is_closing = True

    def _open(self) -> bool:
        """Is the folder open? As soon as it is, everything that waited is taken up."""
        if self._store.is_open:
            return True
        if not self._store.open():
            return False
        for stream in self._streams.values():
            self._take_up(stream)
        for service, line in self._waiting:
            self._store.append(service, text.own_lines(line))
        self._waiting.clear()
        self._ring.flush()
        return True

    def _take_up(self, stream: Stream) -> None:
        """Begin to read a pipe, after what an earlier log process had of it."""
        stream.begin(self._store)
        self._epoll.register(stream.fd, select.EPOLLIN)

    def _pump(self, stream: Stream) -> None:
        stream.pump(self._store)
        if stream.is_ended:
            stream.finish(self._store)
            self._epoll.unregister(stream.fd)
            os.close(stream.fd)
            del self._streams[stream.fd]

    def _drain(self) -> None:
        """The last act: what is in the pipes goes to the files, the files to the disk. Without a folder that can
        be written the data stays in the pipes: if PID 1 lives, the next log process gets them."""
        if self._open():
            for stream in self._streams.values():
                stream.finish(self._store)
            self._ring.close()
        self._store.close()


def main() -> int:
    """Exit status: 0 after `close` or when PID 1 is gone, 2 without a folder to write to."""
    folder = os.environ.get("LINIT_LOG_DIR", "")
    if not folder:
        sys.stderr.write("linit.logs: LINIT_LOG_DIR is not set; linit starts this, people use linitctl logs\n")
        return 2
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # two descriptors a service
    os.umask(0o027)
    LogProcess(socket.socket(fileno=CONTROL_FD), Store(folder)).run()
    return 0
