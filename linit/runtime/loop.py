"""What does the runtime ask of an event loop, and what stands in for it before asyncio is imported?

PID 1 spawns the first services before it imports asyncio, which takes a tenth of a second on a slow machine. What is
registered until then is kept by a `Prelude`, which passes it to the real loop at the hand-over and everything that
comes later straight through: nobody needs to be told that the loop has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


class Handle(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget the call; no error if it has been made."""


class Loop(Protocol):
    """The part of asyncio's loop that the runtime uses. Times are seconds on the monotonic clock."""

    def time(self) -> float: ...

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Handle: ...

    def call_at(self, when: float, callback: Callable[..., Any], /, *args: Any) -> Handle: ...

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> object: ...

    def remove_reader(self, fd: int, /) -> object: ...

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> object: ...

    def remove_writer(self, fd: int, /) -> object: ...


class _Call:
    """A recorded call: its own handle until the hand-over, afterwards a name for the loop's handle."""

    __slots__ = ("args", "callback", "is_cancelled", "later", "when")

    def __init__(self, when: float | None, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback = callback
        self.args = args
        self.is_cancelled = False
        self.later: Handle | None = None

    def cancel(self) -> None:
        self.is_cancelled = True
        if self.later is not None:
            self.later.cancel()

    def hand_over(self, loop: Loop) -> None:
        if self.is_cancelled:
            return
        if self.when is None:
            self.later = loop.call_soon(self.callback, *self.args)
        else:
            self.later = loop.call_at(self.when, self.callback, *self.args)


class Prelude:
    """A `Loop` that calls nobody: it records until `hand_over`, then it is a name for the real loop."""

    def __init__(self) -> None:
        self._loop: Loop | None = None
        self._calls: list[_Call] = []
        self._readers: dict[int, tuple[Any, ...]] = {}
        self._writers: dict[int, tuple[Any, ...]] = {}

    @property
    def is_over(self) -> bool:
        """Has the real loop taken over?"""
        return self._loop is not None

    def time(self) -> float:
        """The clock of asyncio's loops: time.monotonic(). Source: asyncio.loop.time."""
        return time.monotonic() if self._loop is None else self._loop.time()

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Handle:
        return self._loop.call_soon(callback, *args) if self._loop else self._record(None, callback, args)

    def call_at(self, when: float, callback: Callable[..., Any], /, *args: Any) -> Handle:
        return self._loop.call_at(when, callback, *args) if self._loop else self._record(when, callback, args)

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        if self._loop:
            self._loop.add_reader(fd, callback, *args)
        else:
            self._readers[fd] = (callback, *args)

    def remove_reader(self, fd: int, /) -> None:
        if self._loop:
            self._loop.remove_reader(fd)
        else:
            self._readers.pop(fd, None)

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        if self._loop:
            self._loop.add_writer(fd, callback, *args)
        else:
            self._writers[fd] = (callback, *args)

    def remove_writer(self, fd: int, /) -> None:
        if self._loop:
            self._loop.remove_writer(fd)
        else:
            self._writers.pop(fd, None)

    def hand_over(self, loop: Loop) -> None:
        """Register with `loop` what was recorded, in the order in which it was; pass on everything from now on."""
        assert self._loop is None, "the prelude was handed over before"
        self._loop = loop
        for fd, (callback, *args) in self._readers.items():
            loop.add_reader(fd, callback, *args)
        for fd, (callback, *args) in self._writers.items():
            loop.add_writer(fd, callback, *args)
        for call in self._calls:
            call.hand_over(loop)
        self._readers.clear()
        self._writers.clear()
        self._calls.clear()

    def _record(self, when: float | None, callback: Callable[..., Any], args: tuple[Any, ...]) -> _Call:
        call = _Call(when, callback, args)
        self._calls.append(call)
        return call
