"""Who may come in, and who is told? The listening socket, the clients and their number, the subscribers.

`ControlServer(supervisor, loop, paths, mode)` answers on the control socket (`listen`) and on descriptors that are
handed to it (`attach`: the virtio port of a virtual machine). Nothing here blocks: a call costs what one client sent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from linit.control import frames, messages, records
from linit.control.authorisation import Peer, may_write, peer_of
from linit.control.boot_record import BootRecord
from linit.control.calls import Call, serve
from linit.control.connection import Connection
from linit.control.listener import opened
from linit.control.methods import HANDLERS
from linit.control.rota import Rota
from linit.control.supervised import Loop, Supervised
from linit.control.watch import PortWatch, SocketWatch
from linit.engine.effects import BootFinished, Effect, Told, Transition
from linit.model.paths import Paths

CLIENTS_MAX: Final = 128
CLIENTS_RESERVED: Final = 8  # more, for those who may write: an operator gets in whatever others do
CLIENTS_PER_USER_MAX: Final = 32  # of one user who may not write
ACCEPTS_AT_ONCE: Final = 16


class ControlServer:
    """The supervisor's ear. `mode` is "system" or "user"; `record` one that has noted the boot so far."""

    def __init__(
        self, supervisor: Supervised, loop: Loop, paths: Paths, mode: str, record: BootRecord | None = None
    ) -> None:
        self.supervisor = supervisor
        self.loop = loop
        self.paths = paths
        self.mode = mode
        self._listener: socket.socket | None = None
        self._rota = Rota(loop)
        self._clients: dict[Connection, Callable[[], None]] = {}  # each with what closes its descriptor
        # Held for the moment when no descriptor is left: given up, it lets one client in, who is turned away. Without
        # that the listening socket would stay readable and the loop would spin.
        self._spare_fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.record = record or BootRecord.of(supervisor.engine)
        if record is None:
            supervisor.observe(self.record.note)
        supervisor.observe(self._tell)

    # -- who comes in

    def listen(self) -> None:
        """Accept clients on the control socket. Replaces the file that an earlier run left. Raises OSError."""
        self.accept_on(opened(self.paths.control))

    def accept_on(self, listener: socket.socket) -> None:
        """Accept clients on a control socket that listens already."""
        self._listener = listener
        self.loop.add_reader(listener.fileno(), self._accept)

    def attach(self, port: int | socket.socket, peer: Peer) -> Connection:
        """Speak on a descriptor that is open already, with the rights of `peer`. Takes the descriptor over.

        With `peer.port` it is a virtio port: it stays attached when the host's side goes, for another to come.
        """
        fd = port if isinstance(port, int) else port.detach()
        os.set_blocking(fd, False)
        return self._add(fd, peer, lambda: os.close(fd))

    def close(self) -> None:
        """End every connection and stop listening; the socket file is removed."""
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                os.unlink(self.paths.control)
        for connection in list(self._clients):
            self._drop(connection)
        if self._spare_fd >= 0:
            os.close(self._spare_fd)
            self._spare_fd = -1

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno in (errno.EMFILE, errno.ENFILE) and self._spare_fd >= 0:
                    self._turn_away_without_descriptors()
                return
            self._welcome(accepted)

    def _turn_away_without_descriptors(self) -> None:
        assert self._listener is not None
        os.close(self._spare_fd)
        self._spare_fd = -1
        with contextlib.suppress(OSError):
            accepted, _address = self._listener.accept()
            _turn_away(accepted, "linit has no file descriptor left")
        with contextlib.suppress(OSError):
            self._spare_fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def _welcome(self, accepted: socket.socket) -> None:
        try:
            peer = peer_of(accepted)
        except OSError:
            accepted.close()
            return
        if not self.has_place_for(peer):
            _turn_away(accepted, f"{len(self._clients)} clients are connected already")
            return
        accepted.setblocking(False)
        fd = accepted.detach()
        self._add(fd, peer, lambda: os.close(fd))

    def has_place_for(self, peer: Peer) -> bool:
        """Is there a place for one more? One that is being cut off, or never said hello, gives way."""
        may = may_write(peer, self.mode)
        limit = CLIENTS_MAX + (CLIENTS_RESERVED if may else 0)
        if not may and self._count(peer.uid) >= CLIENTS_PER_USER_MAX:
            self._make_room(lambda one: one.peer.uid == peer.uid)
            if self._count(peer.uid) >= CLIENTS_PER_USER_MAX:
                return False
        if len(self._clients) >= limit:
            self._make_room(lambda one: not one.peer.port)
        return len(self._clients) < limit

    def _count(self, uid: int) -> int:
        return sum(one.peer.uid == uid for one in self._clients)

    def _make_room(self, may_go: Callable[[Connection], bool]) -> None:
        for is_idle in (lambda one: one.is_closing, lambda one: not one.said_hello):
            for one in self._clients:
                if may_go(one) and is_idle(one):
                    self._drop(one)
                    return

    def _add(self, fd: int, peer: Peer, close: Callable[[], None]) -> Connection:
        connection = Connection(fd, peer, self._take, self._drop)
        kind = PortWatch if peer.port else SocketWatch
        connection.watch = kind(self.loop, fd, connection.on_readable, connection.on_writable)
        connection.come = self._rota.come
        self._clients[connection] = close
        connection.watch.reading(True)
        return connection

    def _drop(self, connection: Connection) -> None:
        close = self._clients.pop(connection, None)
        if close is not None:
            connection.is_ended = True
            connection.session += 1
            connection.let_go()
            self._rota.leave(connection)
            connection.watch.close()
            connection.release()
            close()

    # -- what they ask

    def _take(self, connection: Connection, id_: int, method: str, params: dict[str, Any]) -> None:
        serve(Call(self, connection, id_), HANDLERS, method, params)

    # -- who is told

    def _tell(self, noted: Effect) -> None:
        """Pass on what the supervisor did to those who subscribed. Encoded once for all of them."""
        if not isinstance(noted, Transition | Told | BootFinished):
            return  # nobody's business but the runtime's
        topic = "told" if isinstance(noted, Told) else "transitions"
        subscribers = [one for one in self._clients if topic in one.topics]
        if not subscribers:
            return
        match noted:
            case Transition():
                unit = self.supervisor.engine.units.get(noted.name)
                data = frames.notification(messages.TRANSITION, records.transition(noted, unit))
            case Told(name, text, at_s):
                data = frames.notification(messages.TOLD, {"name": name, "text": text, "at_s": at_s})
            case BootFinished(runlevel, at_s, failed):
                finished = {"runlevel": runlevel, "at_s": at_s, "failed": list(failed)}
                data = frames.notification(messages.BOOT_FINISHED, finished)
        for one in subscribers:
            one.notify(data)


def _turn_away(accepted: socket.socket, why: str) -> None:
    """Say why nobody listens. The answer fits any socket buffer; a client that is gone already does not matter."""
    accepted.setblocking(False)
    with contextlib.suppress(OSError):
        accepted.send(frames.notification(messages.CLOSED, messages.error(messages.BUSY, why, "try again later")))
    accepted.close()
