"""When can a connection be read from or written to? Two ways of being told, for the two kinds of descriptor.

A socket is watched by the loop, level-triggered. A virtio port cannot be: while nobody is connected on the host's
side poll(2) says POLLIN | POLLHUP all the time (drivers/char/virtio_console.c, port_fops_poll), and an idle PID 1 would
spin. So a port sits in an edge-triggered epoll of its own, and the loop watches that.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

from linit.control.supervised import Loop


class Watch(Protocol):
    """Calls back while there is something to read (or room to write), as long as it is told to."""

    def reading(self, on: bool) -> None: ...

    def writing(self, on: bool) -> None: ...

    def close(self) -> None:
        """Forget the descriptor, which stays open."""


class SocketWatch:
    """Watches a descriptor through the loop."""

    def __init__(
        self, loop: Loop, fd: int, on_readable: Callable[[], object], on_writable: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_readable = on_readable
        self._on_writable = on_writable
        self._reads = self._writes = False

    def reading(self, on: bool) -> None:
        """Be told while there is something to read."""
        if on == self._reads:
            return
        self._reads = on
        if on:
            self._loop.add_reader(self._fd, self._on_readable)
        else:
            self._loop.remove_reader(self._fd)

    def writing(self, on: bool) -> None:
        """Be told while there is room to write."""
        if on == self._writes:
            return
        self._writes = on
        if on:
            self._loop.add_writer(self._fd, self._on_writable)
        else:
            self._loop.remove_writer(self._fd)

    def close(self) -> None:
        """Forget the descriptor, and whose it is: who is gone shall not wait for a collector of garbage."""
        self.reading(False)
        self.writing(False)
        self._on_readable = self._on_writable = _nothing


class PortWatch:
    """Watches a virtio port by its edges: data came, room appeared, the host's side was opened or closed.

    `on_readable` says whether it got data. Then there may be more, and no further edge would tell: it is called again
    by the loop, after others had their turn.
    """

    def __init__(self, loop: Loop, fd: int, on_readable: Callable[[], bool], on_writable: Callable[[], object]) -> None:
        self._loop = loop
        self._on_readable = on_readable
        self._on_writable = on_writable
        self._reads = self._writes = False
        self._is_scheduled = False
        self._epoll = select.epoll()
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        loop.add_reader(self._epoll.fileno(), self._on_edge)

    def reading(self, on: bool) -> None:
        """Be told when there is something to read, also about what came while nobody wanted to know."""
        if on and not self._reads:
            self._schedule()
        self._reads = on

    def writing(self, on: bool) -> None:
        """Be told when there is room to write."""
        self._writes = on

    def close(self) -> None:
        """Forget the descriptor, and whose it is."""
        self._on_readable = self._on_writable = _nothing
        if not self._epoll.closed:
            self._reads = self._writes = False
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _on_edge(self) -> None:
        for _fd, events in self._epoll.poll(0):
            if events & select.EPOLLOUT and self._writes:
                self._on_writable()
            if events & ~select.EPOLLOUT:
                self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._is_scheduled = False
        if self._reads and self._on_readable():
            self._schedule()


def _nothing() -> bool:
    return False
