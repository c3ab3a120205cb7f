"""When can a service serve? Each kind of readiness as a watch that ends in Ready or ReadinessFailed.

What the kernel announces (a datagram, a line in a pipe, the end of a connect or of a probe) is waited for; what it does
not (a file or socket that appears) is looked for at growing intervals, only while the service is starting. Sources:
sd_notify(3), unix(7) for SCM_CREDENTIALS and autobind, https://skarnet.org/software/s6/notifywhenup.html, connect(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol

from linit.engine.events import ReadinessFailed, Ready
from linit.model.reason import exit_words
from linit.model.service import Readiness, ReadinessKind, Service
from linit.runtime import sessions
from linit.runtime.loop import Handle
from linit.runtime.means import Means
from linit.runtime.members import Members
from linit.runtime.preparation import NOTHING, Preparation

FIRST_LOOK_S: Final = 0.01
LOOK_FACTOR: Final = 1.5
LOOK_MAX_S: Final = 0.5
DATAGRAM_MAX_BYTES: Final = 4096
DATAGRAMS_AT_ONCE: Final = 32  # a flood must not keep the loop
STATUS_MAX: Final = 200  # characters of STATUS= that are kept
LINE_MAX_BYTES: Final = 4096
LAST_WORD_S: Final = 0.05
PROBE_TIMEOUT_S: Final = 10.0  # of a probe command that does not say another
UCRED: Final = struct.Struct("iII")  # pid, uid, gid


class _Watch(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class Watches:
    """The readiness of all services. `launch_probe(service, command)` makes what a probe runs, but for its cgroup.

    `status_texts`: what services said with STATUS=, by name.
    """

    def __init__(self, means: Means) -> None:
        self.means = means
        self.loop = means.loop
        self.members = means.members
        self.report = means.report
        self.launch_probe = means.launch_probe
        self.status_texts: dict[str, str] = {}
        self._watches: dict[str, _Watch] = {}
        self._sockets: dict[str, _Notify] = {}
        self._lines: dict[str, int] = {}

    def prepare(self, service: Service) -> Preparation:
        """Before the main process is spawned: make what it will speak through. Raises OSError."""
        self.forget(service.name)
        readiness = service.readiness
        if readiness.kind is ReadinessKind.NOTIFY:
            notify = self._sockets[service.name] = _Notify(self, service.name)
            return Preparation({"NOTIFY_SOCKET": notify.address})
        if readiness.kind is ReadinessKind.FD:
            end, far_end = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(end, False)
            self._lines[service.name] = end
            return Preparation(keep=((far_end, int(readiness.value)),), own=(far_end,))
        return NOTHING

    def watch(self, service: Service) -> None:
        """The main process executes: report Ready or ReadinessFailed when it is known."""
        self.unwatch(service.name)
        watch = self._watches[service.name] = self._make(service)
        watch.start()

    def unwatch(self, name: str) -> None:
        """Nobody waits for the service to become ready any more."""
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.stop()

    def forget(self, name: str) -> None:
        """The main process is gone: so is what it spoke through."""
        self.unwatch(name)
        self.status_texts.pop(name, None)
        notify = self._sockets.pop(name, None)
        if notify is not None:
            notify.close()
        if name in self._lines:
            os.close(self._lines.pop(name))

    def ready(self, name: str) -> None:
        """A watch saw it."""
        self.unwatch(name)
        self.report(Ready(name))

    def failed(self, name: str, text: str) -> None:
        """A watch knows that it will never be."""
        self.unwatch(name)
        self.report(ReadinessFailed(name, text))

    def _make(self, service: Service) -> _Watch:
        name, readiness = service.name, service.readiness
        match readiness.kind:
            case ReadinessKind.NOTIFY:
                return self._sockets[name]
            case ReadinessKind.FD:
                return _Line(self, name, self._lines.pop(name), readiness.value)
            case ReadinessKind.PROBE:
                return _ProbeRuns(self, service)
            case ReadinessKind.TCP:
                return _Tcp(self, name, readiness.value)
            case ReadinessKind.NONE:
                return _Look(self, name, lambda: True)
            case _:
                return _Look(self, name, _looks(self.members, name, readiness))


class _Notify:
    """A datagram socket of one service. Read from the moment of the watch on, until the main process is gone.

    Its name is given by the kernel (autobind): no path to be too long, or on a root that is still read-only.
    """

    def __init__(self, watches: Watches, name: str) -> None:
        self._watches = watches
        self._name = name
        self._waits = False
        self._reads = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.bind("")
        except OSError:
            self._socket.close()
            raise
        self.address = "@" + os.fsdecode(self._socket.getsockname()[1:])

    def start(self) -> None:
        self._waits = True
        self._reads = True
        self._watches.loop.add_reader(self._socket.fileno(), self._read)

    def stop(self) -> None:
        self._waits = False  # it is still read, for STATUS=

    def close(self) -> None:
        if self._reads:
            self._watches.loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, ancillary, _flags, _sender = self._socket.recvmsg(
                    DATAGRAM_MAX_BYTES, socket.CMSG_SPACE(UCRED.size), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            if self._is_from_service(ancillary):
                self._take(data.decode("utf-8", "replace").split("\n"))
            if self._socket.fileno() < 0:
                return  # what it said has ended it

    def _is_from_service(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """The kernel says who sent it: one of the service's processes.

        A sender that is gone already (a short-lived systemd-notify) cannot be traced to the service any more; it is
        believed if it was root or of the same user, who could do anything to the service anyway.
        """
        members = self._watches.members
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= UCRED.size:
                pid, uid, _gid = UCRED.unpack_from(data)
                if os.path.exists(f"/proc/{pid}"):
                    return members.has(self._name, pid)
                return uid in (0, _uid_of(members.main_pid(self._name)))
        return False

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            key, _, value = line.partition("=")
            if key == "STATUS":
                self._watches.status_texts[self._name] = value[:STATUS_MAX]
        if "READY=1" in lines and self._waits:
            self._watches.ready(self._name)


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


class _Look:
    """Looks at growing intervals whether it is so: 10 ms at first, half a second at last."""

    def __init__(self, watches: Watches, name: str, is_so: Callable[[], bool]) -> None:
        self._watches = watches
        self._name = name
        self._is_so = is_so
        self._delay_s = FIRST_LOOK_S
        self._next: Handle | None = None
        self._is_over = False

    def start(self) -> None:
        self._next = self._watches.loop.call_soon(self._look)

    def stop(self) -> None:
        self._is_over = True
        if self._next:
            self._next.cancel()

    def _look(self) -> None:
        if self._is_so():
            self._watches.ready(self._name)
        elif not self._is_over:
            self._next = self._watches.loop.call_at(self._watches.loop.time() + self._delay_s, self._look)
            self._delay_s = min(LOOK_FACTOR * self._delay_s, LOOK_MAX_S)


class _Tcp:
    """Connects, without waiting, until somebody accepts."""

    def __init__(self, watches: Watches, name: str, address: str) -> None:
        self._watches = watches
        self._name = name
        self._text = address
        self._connecting: socket.socket | None = None
        self._retry = _Look(watches, name, self._try)

    def start(self) -> None:
        self._retry.start()

    def stop(self) -> None:
        self._retry.stop()
        self._close()

    def _try(self) -> bool:
        """True: connected. False: not yet; a connection that is under way answers in `_connected`."""
        address = tcp_address(self._text)
        if address is None:
            self._watches.failed(self._name, f"tcp: found '{self._text}', expected a numeric address and a port")
            return False
        self._close()
        family, target = address
        connecting = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        result = connecting.connect_ex(target)
        if result == errno.EINPROGRESS:
            self._connecting = connecting
            self._watches.loop.add_writer(connecting.fileno(), self._connected)
            return False
        connecting.close()
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
        self._pid = 0
        self._timer: Handle | None = None
        self._is_over = False

    def start(self) -> None:
        self._timer = self._watches.loop.call_soon(self._run)

    def stop(self) -> None:
        self._is_over = True
        if self._timer:
            self._timer.cancel()
        self._kill()

    def _run(self) -> None:
        launch = self._watches.launch_probe(self._service, self._command)
        self._pid = self._watches.members.spawn_probe(self._service.name, launch, self)
        limit_s = self._command.timeout_s or PROBE_TIMEOUT_S
        if self._pid:
            self._timer = self._watches.loop.call_at(self._watches.loop.time() + limit_s, self._kill)

    def _kill(self) -> None:
        if self._pid:
            sessions.send(self._pid, signal.SIGKILL)  # with its children, unless it was forked just now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGKILL)

    def executing(self, _pid: int) -> None:
        """It runs; its end is what matters."""

    def exited(self, _pid: int, status: int) -> None:
        self._ended()
        if self._is_over:
            return
        if status == 0:
            self._watches.ready(self._service.name)
            return
        self._watches.status_texts[self._service.name] = f"probe {exit_words(status)}"
        when = self._watches.loop.time() + self._service.readiness.interval_s
        self._timer = self._watches.loop.call_at(when, self._run)

    def failed(self, _pid: int, text: str) -> None:
        self._ended()
        if not self._is_over:
            self._watches.failed(self._service.name, f"probe: {text}")

    def _ended(self) -> None:
        self._pid = 0
        if self._timer:
            self._timer.cancel()


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
    """What a `_Look` asks for the kinds that are files."""
    path = readiness.value
    if readiness.kind is ReadinessKind.PIDFILE:
        return lambda: _names_a_process_of(members, name, path)
    if readiness.kind is ReadinessKind.UNIX:
        return lambda: unix_accepts(path)
    return lambda: os.path.exists(path)


def _names_a_process_of(members: Members, name: str, path: str) -> bool:
    """Does the file name a process of the service? One that an earlier run left names none."""
    try:
        with open(path, "rb") as file:
            text = file.read(64).strip()
    except OSError:
        return False
    return text.isdigit() and members.has(name, int(text))


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


def _uid_of(pid: int) -> int:
    """The effective user of a process; -1 if it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1
