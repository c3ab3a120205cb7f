"""Who wants to be served? The sockets of a service, which stay open while it comes and goes.

Clients that connect while it does not run wait in the queue of the kernel: they are refused nothing. What is on demand
is looked at only while the service rests; the first client starts it, and is served by it. Sources: listen(2),
sd_listen_fds(3), systemd.socket(5).
"""

from __future__ import annotations

from typing import Final

from linit.engine.events import Triggered
from linit.model.service import Service
from linit.runtime.listeners import Listener, change, open_all, open_one
from linit.runtime.loop import Handle
from linit.runtime.means import Means

AGAIN_S: Final = 1.0  # after a client has not made the service leave its rest


class Sockets:
    """Those of one service. It is a `linit.runtime.triggers.Trigger`."""

    def __init__(self, means: Means, service: Service) -> None:
        """Opens them. Raises OSError, whose text names the address."""
        self._means = means
        self._service = service
        self._listeners = open_all(service)
        self._watched: list[Listener] = []
        self._again: Handle | None = None

    def pairs(self) -> list[tuple[int, str]]:
        """What each main process of the service is handed: our descriptors, and their names. Raises OSError."""
        self._mend()
        for listener in self._listeners:
            listener.hand_over()
        return [(listener.fd, self._name_of(listener)) for listener in self._listeners]

    def runs(self) -> None:
        """It takes care of its clients itself."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for listener in self._watched:
            self._means.loop.remove_reader(listener.fd)
        self._watched.clear()

    def rests(self) -> None:
        """Who comes now starts it; so does who came before and was not served."""
        self.runs()
        self._mend()
        self._watched = [listener for listener in self._listeners if listener.listen.on_demand]
        for listener in self._watched:
            self._means.loop.add_reader(listener.fd, self._came, listener)

    def change(self, service: Service) -> None:
        """The same addresses with other owners, modes, queues or names. What cannot be set is told, and stays."""
        self._service = service
        for listener, listen in zip(self._listeners, service.listen, strict=True):
            try:
                change(listener, listen)
            except OSError as error:
                self._means.tell(f"{error}; it stays as it was", service.name)

    def close(self) -> None:
        """Clients are refused from now on."""
        self.runs()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def words(self) -> list[str]:
        """`listens on tcp 0.0.0.0:80 (fd http)`."""
        return [f"listens on {listener} (fd {self._name_of(listener)})" for listener in self._listeners]

    def _came(self, listener: Listener) -> None:
        self.runs()  # it is readable until the service has taken it
        loop = self._means.loop
        # A service that waits for another, at rest, is not started by this, and may give up without a change of state.
        self._again = loop.call_at(loop.time() + AGAIN_S, self.rests)
        self._means.report(Triggered(self._service.name, f"a client of {listener}"))

    def _mend(self) -> None:
        """A program that took an open socket for its own may have removed its path: nobody would find it any more."""
        for number, listener in enumerate(self._listeners):
            if not listener.is_lost:
                continue
            try:
                self._listeners[number] = open_one(listener.listen, self._service)
            except OSError as error:
                self._means.tell(f"removed by somebody, and cannot be opened again: {error}", self._service.name)
            else:
                listener.close()
                self._means.tell(f"{listener} was removed by somebody: opened again", self._service.name)

    def _name_of(self, listener: Listener) -> str:
        return listener.listen.name or self._service.activates
