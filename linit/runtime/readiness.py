"""When can a service serve? Each kind of readiness as a watch that ends in Ready or ReadinessFailed.

What the kernel announces (a line in a pipe, the end of a connect or of a probe) is waited for; what it does not (a file
or socket that appears) is looked for at growing intervals, only while the service is starting. What a service says by
sd_notify(3) is heard by `linit.runtime.notify`. Sources: https://skarnet.org/software/s6/notifywhenup.html, connect(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from linit.engine.events import ReadinessFailed, Ready
from linit.model.service import Readiness, ReadinessKind, Service
from linit.runtime.failure import error_words
from linit.runtime.looking import Look, pid_in
from linit.runtime.loop import Handle
from linit.runtime.means import Means
from linit.runtime.members import Members
from linit.runtime.preparation import Preparation
from linit.runtime.probes import Probe

LINE_MAX_BYTES: Final = 4096
LAST_WORD_S: Final = 0.05


class _Watch(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class Watches:
    """The readiness of all services. `said_ready(name)`: did a service with a notification socket say it already?

    `texts`: what is known of those that are not ready yet, by name.
    """

    def __init__(self, means: Means, said_ready: Callable[[str], bool]) -> None:
        self.means = means
        self.loop = means.loop
        self.texts: dict[str, str] = {}
        self._said_ready = said_ready
        self._watches: dict[str, _Watch] = {}
        self._lines: dict[str, int] = {}

    def prepare(self, service: Service) -> Preparation:
        """Before the main process is spawned: make the pipe that it will write a line to. Raises OSError."""
        self.forget(service.name)
        end, far_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(end, False)
        self._lines[service.name] = end
        return Preparation(keep=((far_end, int(service.readiness.value)),), own=(far_end,))

    def watch(self, service: Service) -> None:
        """The main process executes: report Ready or ReadinessFailed when it is known."""
        self.unwatch(service.name)
        watch = self._watches[service.name] = self._make(service)
        watch.start()

    def unwatch(self, name: str) -> None:
        """Nobody waits for the service to become ready any more."""
        self.texts.pop(name, None)
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.stop()

    def forget(self, name: str) -> None:
        """It rests, or is about to be started anew: so does what it would have spoken through."""
        self.unwatch(name)
        if name in self._lines:
            os.close(self._lines.pop(name))

    def note_said(self, name: str) -> bool:
        """A service said READY=1. Was anybody waiting for that?"""
        is_awaited = isinstance(self._watches.get(name), _Said)
        if is_awaited:
            self.ready(name)
        return is_awaited

    def ready(self, name: str) -> None:
        """A watch saw it."""
        self.unwatch(name)
        self.means.report(Ready(name))

    def failed(self, name: str, text: str) -> None:
        """A watch knows that it will never be."""
        self.unwatch(name)
        self.means.report(ReadinessFailed(name, text))

    def _make(self, service: Service) -> _Watch:
        name, readiness = service.name, service.readiness
        match readiness.kind:
            case ReadinessKind.NOTIFY:
                return _Said(self, name, self._said_ready)
            case ReadinessKind.FD:
                return _Line(self, name, self._lines.pop(name), readiness.value)
            case ReadinessKind.PROBE:
                return _ProbeRuns(self, service)
            case ReadinessKind.TCP:
                return _Tcp(self, name, readiness.value)
            case ReadinessKind.NONE:
                return self._look(name, lambda: True)
            case _:
                return self._look(name, _looks(self.means.members, name, readiness))

    def _look(self, name: str, is_so: Callable[[], bool]) -> Look:
        def look() -> bool:
            is_ready = is_so()
            if is_ready:
                self.ready(name)
            return is_ready

        return Look(self.loop, look)


class _Said:
    """READY=1 on its notification socket, perhaps before anybody waited for it."""

    def __init__(self, watches: Watches, name: str, said_ready: Callable[[str], bool]) -> None:
        self._watches = watches
        self._name = name
        self._said_ready = said_ready
        self._soon: Handle | None = None

    def start(self) -> None:
        if self._said_ready(self._name):
            self._soon = self._watches.loop.call_soon(self._watches.ready, self._name)

    def stop(self) -> None:
        if self._soon:
            self._soon.cancel()


class _Line:
    """A pipe: a complete line is ready, its end without one a failed start."""

    def __init__(self, watches: Watches, name: str, fd: int, number: str) -> None:
        self._watches = watches
        self._name = name
        self._fd = fd
        self._number = number
        self._end: Handle | None = None

    def start(self) -> None:
        self._watches.loop.add_reader(self._fd, self._read)

    def stop(self) -> None:
        self._watches.loop.remove_reader(self._fd)
        os.close(self._fd)
        if self._end:
            self._end.cancel()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, LINE_MAX_BYTES)
        except BlockingIOError:
            return
        if b"\n" in data:
            self._watches.ready(self._name)
        elif not data:
            # A process that ends closes its descriptors first. How it ended says more, and comes in a moment.
            self._watches.loop.remove_reader(self._fd)
            self._end = self._watches.loop.call_at(self._watches.loop.time() + LAST_WORD_S, self._ended)

    def _ended(self) -> None:
        self._watches.failed(self._name, f"closed descriptor {self._number} without a line")


class _Tcp:
    """Connects, without waiting, until somebody accepts."""

    def __init__(self, watches: Watches, name: str, address: str) -> None:
        self._watches = watches
        self._name = name
        self._text = address
        self._connecting: socket.socket | None = None
        self._retry = Look(watches.loop, self._try)

    def start(self) -> None:
        self._retry.start()

    def stop(self) -> None:
        self._retry.stop()
        self._close()

    def _try(self) -> bool:
        """Is it over? A connection that is under way answers in `_connected`."""
        address = tcp_address(self._text)
        if address is None:
            self._watches.failed(self._name, f"tcp: found '{self._text}', expected a numeric address and a port")
            return True
        self._close()
        family, target = address
        connecting = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        result = connecting.connect_ex(target)
        if result == errno.EINPROGRESS:
            self._connecting = connecting
            self._watches.loop.add_writer(connecting.fileno(), self._connected)
            return False
        connecting.close()
        if result == 0:
            self._watches.ready(self._name)
        return result == 0

    def _connected(self) -> None:
        assert self._connecting is not None
        result = self._connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._close()
        if result == 0:
            self._watches.ready(self._name)

    def _close(self) -> None:
        if self._connecting is not None:
            self._watches.loop.remove_writer(self._connecting.fileno())
            self._connecting.close()
            self._connecting = None


class _ProbeRuns:
    """Runs a command again and again until it ends with success."""

    def __init__(self, watches: Watches, service: Service) -> None:
        assert service.readiness.probe is not None
        self._watches = watches
        self._service = service
        self._command = service.readiness.probe
        self._probe: Probe | None = None
        self._timer: Handle | None = None

    def start(self) -> None:
        self._timer = self._watches.loop.call_soon(self._run)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._probe:
            self._probe.stop()

    def _run(self) -> None:
        try:
            self._probe = Probe(self._watches.means, self._service, self._command, self._ended, on_failed=self._failed)
        except OSError as error:
            self._failed(error_words(error))

    def _ended(self, text: str) -> None:
        if not text:
            self._watches.ready(self._service.name)
            return
        self._watches.texts[self._service.name] = f"probe {text}"
        when = self._watches.loop.time() + self._service.readiness.interval_s
        self._timer = self._watches.loop.call_at(when, self._run)

    def _failed(self, text: str) -> None:
        """It will not do so the next time either."""
        self._watches.failed(self._service.name, f"probe: {text}")


def tcp_address(text: str) -> tuple[socket.AddressFamily, tuple[str, int]] | None:
    """The family and address of "127.0.0.1:80", "[::1]:80", "localhost:80", ":80" or "80"; None for anything else.

    No name is looked up: the answer could come over the network, or not at all.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host in ("", "localhost", "*", "0.0.0.0") else "::1" if host == "::" else host
    if not port.isdigit() or not 0 < int(port) < 65536:
        return None
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return family, (host, int(port))
    return None


def _looks(members: Members, name: str, readiness: Readiness) -> Callable[[], bool]:
    """What is looked at for the kinds that are files."""
    path = readiness.value
    if readiness.kind is ReadinessKind.PIDFILE:
        # One that an earlier run left names none of its processes.
        return lambda: members.has(name, pid_in(path))
    if readiness.kind is ReadinessKind.UNIX:
        return lambda: unix_accepts(path)
    return lambda: os.path.exists(path)


def unix_accepts(path: str) -> bool:
    """Does a Unix socket of any type accept a connection at `path`? Source: connect(2), unix(7)."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as connecting:
            try:
                connecting.connect(path)
            except OSError as error:
                if error.errno == errno.EPROTOTYPE:
                    continue
                return error.errno == errno.EAGAIN  # somebody listens, who has a long queue
            return True
    return False
