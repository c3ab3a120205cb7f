"""The selector of asyncio's loop: epoll(7), without the library's module, which makes named tuples and loads others.

Descriptors are numbers. What a selector is asked for: the documentation of selectors.
"""

from __future__ import annotations

import select
from typing import Any, Final, NamedTuple

EVENT_READ: Final = 1
EVENT_WRITE: Final = 2


class SelectorKey(NamedTuple):
    """What is registered for a descriptor."""

    fileobj: int
    fd: int
    events: int
    data: Any


class DefaultSelector:
    """Waits for descriptors."""

    def __init__(self) -> None:
        self._keys: dict[int, SelectorKey] = {}
        self._epoll = select.epoll()

    def register(self, fd: int, events: int, data: Any = None) -> SelectorKey:
        """Raises KeyError where it is registered already, OSError."""
        if fd in self._keys:
            raise KeyError(f"{fd} is already registered")
        self._epoll.register(fd, _mask(events))
        key = self._keys[fd] = SelectorKey(fd, fd, events, data)
        return key

    def unregister(self, fd: int) -> SelectorKey:
        """Raises KeyError where it is not registered."""
        key = self._keys.pop(fd)
        try:
            self._epoll.unregister(fd)
        except OSError:  # closed already, which ended it
            return key
        return key

    def modify(self, fd: int, events: int, data: Any = None) -> SelectorKey:
        """Raises KeyError where it is not registered; OSError, and it is no longer, where it has been closed."""
        if self._keys[fd].events != events:
            try:
                self._epoll.modify(fd, _mask(events))
            except OSError:
                del self._keys[fd]
                raise
        key = self._keys[fd] = SelectorKey(fd, fd, events, data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """What is ready within so many seconds; None: however long it takes. A signal does not cut that short."""
        wait_s = -1 if timeout is None else max(0, timeout)
        ready = []
        for fd, mask in self._epoll.poll(wait_s, max(len(self._keys), 1)):
            key = self._keys.get(fd)
            events = EVENT_READ * bool(mask & ~select.EPOLLOUT) | EVENT_WRITE * bool(mask & ~select.EPOLLIN)
            if key is not None and events & key.events:
                ready.append((key, events & key.events))
        return ready

    def get_map(self) -> dict[int, SelectorKey]:
        """What is registered, by descriptor."""
        return self._keys

    def get_key(self, fd: int) -> SelectorKey:
        """Raises KeyError where it is not registered."""
        return self._keys[fd]

    def close(self) -> None:
        """Let go of everything."""
        self._keys.clear()
        self._epoll.close()


def _mask(events: int) -> int:
    return select.EPOLLIN * bool(events & EVENT_READ) | select.EPOLLOUT * bool(events & EVENT_WRITE)
