"""Which client is heard next? One after the other, each for a few requests, all of them together for a part of each
turn of the loop.

What one client sends, and how many there are, then costs the others a wait in a queue and the services nothing: they
are started and reaped between. Only time that is spent on clients counts, as anything may happen between two of them.
"""

from __future__ import annotations

from typing import Final

from linit.control.connection import Connection
from linit.control.supervised import Loop
from linit.runtime.turn import TURN_S

REQUESTS_AT_ONCE: Final = 16  # of one client; then it is at the end of the queue


class Rota:
    """Lets connections `go_on`, each as long as it is told not to stop by `is_over`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[Connection, None] = {}  # in the order of their coming
        self._left_s = TURN_S  # of this turn of the loop
        self._began_s = 0.0  # with the one that goes on now
        self._requests = 0  # of it
        self._is_scheduled = False

    def come(self, connection: Connection) -> None:
        """There is something to take from it: now, if nobody was before it and there is time."""
        if self._waiting or self._left_s <= 0:
            self._waiting.setdefault(connection)
        else:
            self._serve(connection)
        self._schedule()

    def leave(self, connection: Connection) -> None:
        """It is no more."""
        self._waiting.pop(connection, None)

    def is_over(self) -> bool:
        """Asked after each request of the one that goes on: shall the rest wait?"""
        self._requests += 1
        return self._requests >= REQUESTS_AT_ONCE or self._loop.time() - self._began_s >= self._left_s

    def _serve(self, connection: Connection) -> None:
        self._requests = 0
        self._began_s = self._loop.time()
        try:
            if connection.go_on(self.is_over):
                self._waiting[connection] = None
        finally:
            self._left_s -= self._loop.time() - self._began_s

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Another turn of the loop: those first who had to wait."""
        self._is_scheduled = False
        self._left_s = TURN_S
        if not self._waiting:
            return
        self._schedule()  # whatever happens now
        for connection in list(self._waiting):
            if self._left_s <= 0:
                break
            if connection in self._waiting:  # answering one may end another
                del self._waiting[connection]
                self._serve(connection)
