"""How does each connection get a process of its own? `accept: true`, as of inetd(8).

NAME is the listener. A connection is a service that nobody wrote down, NAME@1 and so on, with NAME's command and
surroundings; the connection is its standard input and output. Its lines are in the log of NAME. It outlives the
listener, and ends when it likes, or with the machine. Sources: accept(2), inetd(8), systemd.socket(5) on Accept.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
from dataclasses import dataclass, field, replace
from typing import Final

from linit.engine.effects import Answer, Transition
from linit.engine.events import Verb
from linit.model.service import EdgeKind, Kind, Restart, RestartPolicy, Service
from linit.model.state import Outcome, UnitState
from linit.runtime.failure import errno_words
from linit.runtime.listeners import open_all
from linit.runtime.loop import Handle
from linit.runtime.means import Means
from linit.runtime.preparation import NOTHING, Preparation

AT_ONCE: Final = 16  # connections: a flood must not keep the loop
AGAIN_S: Final = 1.0  # after there was no descriptor or memory to be had
SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
RESTS: Final = (UnitState.DOWN, UnitState.FAILED)
ANY_STATUS: Final = tuple(range(256))
ANY_SIGNAL: Final = tuple(sorted(int(one) for one in signal.valid_signals()))
UCRED: Final = struct.Struct("iII")  # pid, uid, gid
MAPPED: Final = "::ffff:"  # before an address of IPv4 that came to a socket of IPv6


@dataclass(slots=True)
class Connections:
    """Those of one service, by the names of their services. They outlive its listener, and may meet the next one.

    `waiting`: descriptors that no process has been given yet.
    """

    means: Means
    name: str
    count: int = 0  # so many there have been
    living: set[str] = field(default_factory=set)
    waiting: dict[str, int] = field(default_factory=dict)
    acceptor: Accepting | None = None

    def run(self, definition: Service, connection: socket.socket, peer: Peer) -> None:
        """Run a process for a connection, which is ours no more."""
        units = self.means.engine.units
        self.count += 1
        while f"{self.name}@{self.count}" in units:
            self.count += 1
        service = service_of(definition, f"{self.name}@{self.count}", peer)
        connection.setblocking(True)
        self.living.add(service.name)
        self.waiting[service.name] = connection.detach()
        self.means.pipes.log_as(service.name, self.name)
        self.means.pipes.line(service.name, f"connected with {peer.text}")

        def on_answer(answer: Answer) -> None:
            unit = units.get(service.name)
            if answer.outcome is not Outcome.DONE and (unit is None or unit.state in RESTS):
                self._end(service.name)

        self.means.run(service, f"a connection of {peer.text}", on_answer)

    def take(self, name: str) -> Preparation:
        """The connection itself, for its process. It is handed out once."""
        fd = self.waiting.pop(name, None)
        return Preparation(own=(fd,), connection=fd) if fd is not None else NOTHING

    def note(self, transition: Transition) -> None:
        """A service that is called like a connection came to rest. Is it one?"""
        if transition.name not in self.living:
            return
        self.means.pipes.line(transition.name, str(transition.reason))
        self._end(transition.name)

    def _end(self, name: str) -> None:
        self.living.discard(name)
        fd = self.waiting.pop(name, None)
        if fd is not None:
            os.close(fd)
        if name in self.means.engine.units:
            # It failed, or would start again when something it needs is back: without its client.
            self.means.request(Verb.STOP, (name,), "linit: its connection is over")
        else:
            self.means.pipes.drop(name)
        if self.acceptor is not None:
            self.acceptor.ended()


class Accepting:
    """The listener of one service. It is a `linit.runtime.triggers.Trigger` that starts nothing but connections."""

    def __init__(self, means: Means, service: Service, connections: Connections) -> None:
        """Opens it. Raises OSError, whose text names the address."""
        self._means = means
        self._service = service
        self._connections = connections
        (self._listener,) = open_all(service)
        self._socket = socket.socket(fileno=os.dup(self._listener.fd))
        self._socket.setblocking(False)
        self._is_reading = False
        self._again: Handle | None = None
        connections.acceptor = self

    def runs(self) -> None:
        """It activates no service that could run."""

    def rests(self) -> None:
        """It is open: let clients come."""
        self._read_if_room()

    def ended(self) -> None:
        """One connection less."""
        self._read_if_room()

    def change(self, service: Service) -> None:
        """No reload does this to one that runs commands: its needs may be others."""
        raise OSError(f"{service.name} cannot be changed while it listens")

    def close(self) -> None:
        """Clients are refused from now on; those who are connected are served."""
        self._connections.acceptor = None
        self._pause()
        if self._again is not None:
            self._again.cancel()
        self._socket.close()
        self._listener.close()

    def words(self) -> list[str]:
        """`listens on tcp 0.0.0.0:22`, `3 of 64 connections`."""
        return [
            f"listens on {self._listener}",
            f"{len(self._connections.living)} of {self._listener.listen.most} connections",
        ]

    def _has_room(self) -> bool:
        return len(self._connections.living) < self._listener.listen.most

    def _read_if_room(self) -> None:
        if not self._is_reading and self._again is None and self._has_room():
            self._is_reading = True
            self._means.loop.add_reader(self._listener.fd, self._came)

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._means.loop.remove_reader(self._listener.fd)

    def _came(self) -> None:
        for _ in range(AT_ONCE):
            if not self._has_room():
                self._pause()  # who comes now waits in the queue
                return
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in SCARCE:
                    self._wait(error)
                    return
                continue  # that client is gone already, or its network is: accept(2), "Error handling"
            peer = peer_of(connection, address)
            self._connections.run(self._service, connection, peer)

    def _wait(self, error: OSError) -> None:
        """The client stays in the queue: without a pause we would look at it again and again."""
        self._pause()
        text = f"cannot accept a connection: {errno_words(error.errno or 0)}; tried again after {AGAIN_S:g} s"
        self._means.tell(text, self._service.name)
        self._again = self._means.loop.call_at(self._means.loop.time() + AGAIN_S, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self._read_if_room()


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, for people and for the process. `address` is "" where there is none."""

    text: str
    address: str = ""
    port: int = 0


def peer_of(connection: socket.socket, address: object) -> Peer:
    """`address` as accept(2) gives it."""
    if connection.family == socket.AF_UNIX:
        pid, uid, _gid = UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
        return Peer(f"pid {pid}, uid {uid}")
    assert isinstance(address, tuple)
    host, port = str(address[0]).removeprefix(MAPPED), int(address[1])
    return Peer(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", host, port)


def service_of(definition: Service, name: str, peer: Peer) -> Service:
    """The service that one connection is. Whichever way it ends is its own affair."""
    execution = definition.execution
    if peer.address:
        known = (("REMOTE_ADDR", peer.address), ("REMOTE_PORT", str(peer.port)))
        execution = replace(execution, environment=(*execution.environment, *known))
    # What the listener only wanted is not to be started again by each client.
    dependencies = tuple(edge for edge in definition.dependencies if edge.kind is not EdgeKind.WANT)
    return replace(
        definition,
        name=name,
        kind=Kind.PROCESS,
        description=f"{definition.description or definition.name}: connection of {peer.text}",
        dependencies=dependencies,
        restart=Restart(RestartPolicy.NEVER),
        success_statuses=ANY_STATUS,
        success_signals=ANY_SIGNAL,
        execution=execution,
        runlevels=(),
        digest="",
        idle_s=0.0,
        stop_when_unneeded=False,
        transient=True,
        listen=(),
        activates="",
    )
