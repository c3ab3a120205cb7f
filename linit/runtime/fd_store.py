"""Which descriptors has a service left with linit? They outlive its process, and are handed to the next one.

FDSTORE=1 of sd_notify(3): a service keeps its connections over a restart, or a crash. What is stored is dropped when
the service rests and is not about to be started again. A stored descriptor whose far end is gone is dropped when the
kernel says so, unless the service asked not to look (FDPOLL=0). Sources: sd_notify(3), epoll_ctl(2).
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from linit.model.state import UnitState
from linit.runtime.means import Means

RESTS: Final = (UnitState.DOWN, UnitState.FAILED)
ENDED: Final = select.EPOLLHUP | select.EPOLLERR


@dataclass(frozen=True, slots=True)
class _Stored:
    """A descriptor of ours. `identity`: what tells it from others, None if nothing does."""

    fd: int
    name: str
    identity: tuple[int, int, int] | None
    is_watched: bool


class FdStore:
    """The stored descriptors of all services."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._stored: dict[str, list[_Stored]] = {}
        self._owners: dict[int, str] = {}  # of those that are watched
        self._epoll: select.epoll | None = None

    def add(self, name: str, fds: Sequence[int], label: str, polls: bool) -> None:
        """Keep descriptors, which are ours from now on. What is stored already, or too much, is closed."""
        unit = self._means.engine.units.get(name)
        most = unit.service.fd_store if unit else 0
        stored = self._stored.setdefault(name, [])
        refused = 0
        for fd in fds:
            identity = _identity(fd)
            if identity is not None and any((one.identity, one.name) == (identity, label) for one in stored):
                os.close(fd)
            elif len(stored) >= most:
                os.close(fd)
                refused += 1
            else:
                stored.append(_Stored(fd, label, identity, polls and self._watch(fd, name)))
        if refused and most:
            self._means.tell(f"it may leave no more than {most} descriptors with linit; {refused} closed", name)

    def remove(self, name: str, label: str) -> None:
        """It wants none of this name back."""
        kept = []
        for one in self._stored.get(name, ()):
            if one.name == label:
                self._close(one)
            else:
                kept.append(one)
        self._stored[name] = kept

    def pairs(self, name: str) -> list[tuple[int, str]]:
        """What its next main process is handed: descriptors, which stay ours, and their names."""
        return [(one.fd, one.name) for one in self._stored.get(name, ())]

    def note_rest(self) -> None:
        """Something came to rest: what is stored for services that will not be started again is dropped."""
        units = self._means.engine.units
        for name in tuple(self._stored):
            unit = units.get(name)
            if unit is None or (unit.state in RESTS and not unit.hope):
                self.drop(name)

    def drop(self, name: str) -> None:
        """Close all that a service has left."""
        for one in self._stored.pop(name, ()):
            self._close(one)

    def close(self) -> None:
        """Let go of all descriptors."""
        for name in tuple(self._stored):
            self.drop(name)
        if self._epoll is not None:
            self._means.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _watch(self, fd: int, name: str) -> bool:
        """Hear of the end of its far end; False for what has none, a file."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._means.loop.add_reader(self._epoll.fileno(), self._ended)
        try:
            self._epoll.register(fd, 0)  # ends and errors are told without being asked for
        except OSError:
            return False
        self._owners[fd] = name
        return True

    def _ended(self) -> None:
        assert self._epoll is not None
        for fd, events in self._epoll.poll(0):
            name = self._owners.get(fd)
            if name is None or not events & ENDED:
                continue
            stored = self._stored[name]
            gone = next(one for one in stored if one.fd == fd)
            stored.remove(gone)
            self._close(gone)

    def _close(self, one: _Stored) -> None:
        if one.is_watched:
            assert self._epoll is not None
            del self._owners[one.fd]
            # The service has copies: without this the kernel would go on to tell of a number that we closed.
            self._epoll.unregister(one.fd)
        os.close(one.fd)


def _identity(fd: int) -> tuple[int, int, int] | None:
    """Two descriptors that agree in this are one and the same, as good as always. A service that stores all it has
    after each start would else fill its store. What is no file at all (eventfd, timerfd) shares one inode."""
    found = os.fstat(fd)
    if not stat.S_IFMT(found.st_mode):
        return None
    return found.st_dev, found.st_ino, fcntl.fcntl(fd, fcntl.F_GETFL)
