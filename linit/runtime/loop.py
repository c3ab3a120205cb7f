"""What does the runtime ask of an event loop, and what is the loop before asyncio is imported?

A boot does not wait for asyncio, whose import takes a fifth of a second on a slow machine: until everything is up a
`Prelude` is the loop, one poll(2) a turn. Then it hands over what is registered with it, and passes everything that
comes later straight through: nobody needs to be told that the loop has changed.
"""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol


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


WAIT_MAX_S: Final = 86_400.0  # asyncio's limit, too; poll(2) takes an int of milliseconds


class RunningLoop(Loop, Protocol):
    """One that can be run, as asyncio's."""

    def run_forever(self) -> object: ...

    def stop(self) -> object: ...


class _Call:
    """A call that is due: its own handle until the hand-over, afterwards a name for the loop's handle."""

    __slots__ = ("args", "callback", "is_cancelled", "later", "number", "when")

    def __init__(self, when: float | None, number: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self.number = number
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


Handler = tuple[Any, ...]  # a callback with its arguments


class Prelude:
    """A `RunningLoop`: a loop of its own until `hand_over`, then a name for the one that it was handed over to.

    `confess(what, bug)` is told of an exception in a callback, and the loop goes on; what is no Exception comes out of
    `run_forever`. `turned(asleep_s, awake_s, may_wait)` is called when poll(2) comes back.
    """

    def __init__(self) -> None:
        self.confess: Callable[[str, Exception], object] = _raise
        self.turned: Callable[[float, float, bool], object] = lambda _asleep_s, _awake_s, _may_wait: None
        self._loop: RunningLoop | None = None
        self._is_stopping = False
        self._soon: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._calls = 0
        self._readers: dict[int, Handler] = {}
        self._writers: dict[int, Handler] = {}
        self._poll = select.poll()

    @property
    def is_over(self) -> bool:
        """Has the other loop taken over?"""
        return self._loop is not None

    # -- what is asked of a loop

    def time(self) -> float:
        """The clock of asyncio's loops: time.monotonic(). Source: asyncio.loop.time."""
        return time.monotonic() if self._loop is None else self._loop.time()

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Handle:
        if self._loop:
            return self._loop.call_soon(callback, *args)
        self._calls += 1
        call = _Call(None, self._calls, callback, args)
        self._soon.append(call)
        return call

    def call_at(self, when: float, callback: Callable[..., Any], /, *args: Any) -> Handle:
        if self._loop:
            return self._loop.call_at(when, callback, *args)
        self._calls += 1
        call = _Call(when, self._calls, callback, args)
        heapq.heappush(self._timers, (when, self._calls, call))
        return call

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        if self._loop:
            self._loop.add_reader(fd, callback, *args)
        else:
            self._readers[fd] = (callback, *args)
            self._watch(fd)

    def remove_reader(self, fd: int, /) -> None:
        if self._loop:
            self._loop.remove_reader(fd)
        elif self._readers.pop(fd, None):
            self._watch(fd)

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        if self._loop:
            self._loop.add_writer(fd, callback, *args)
        else:
            self._writers[fd] = (callback, *args)
            self._watch(fd)

    def remove_writer(self, fd: int, /) -> None:
        if self._loop:
            self._loop.remove_writer(fd)
        elif self._writers.pop(fd, None):
            self._watch(fd)

    # -- running

    def run_forever(self) -> None:
        """Wait for what happens and call back, until `stop`; also across a hand-over."""
        self._is_stopping = False
        while self._loop is None and not self._is_stopping:
            self._turn()
        if self._loop is not None and not self._is_stopping:
            self._loop.run_forever()

    def stop(self) -> None:
        """Have `run_forever` return when the present turn is over."""
        self._is_stopping = True
        if self._loop is not None:
            self._loop.stop()

    def hand_over(self, loop: RunningLoop) -> None:
        """Register with `loop` what is registered here, in its order; pass on everything from now on."""
        assert self._loop is None, "the prelude was handed over before"
        self._loop = loop
        for fd, (callback, *args) in self._readers.items():
            loop.add_reader(fd, callback, *args)
        for fd, (callback, *args) in self._writers.items():
            loop.add_writer(fd, callback, *args)
        for call in sorted([*self._soon, *(call for _, _, call in self._timers)], key=lambda call: call.number):
            call.hand_over(loop)
        self._readers.clear()
        self._writers.clear()
        self._soon.clear()
        self._timers.clear()

    def _turn(self) -> None:
        while self._timers and self._timers[0][2].is_cancelled:
            heapq.heappop(self._timers)
        asleep_s = time.monotonic()
        wait_ms: int | None = None
        if self._soon:
            wait_ms = 0
        elif self._timers:
            wait_ms = max(0, int(min(self._timers[0][0] - asleep_s, WAIT_MAX_S) * 1000) + 1)
        events = self._poll.poll(wait_ms)
        now_s = time.monotonic()
        self.turned(asleep_s, now_s, wait_ms != 0)
        for handlers, fd, handler in self._handlers_of(events):
            # Whoever was called before may have closed it, and another have opened one of the same number.
            if handlers.get(fd) is handler:
                self._call(*handler)
        while self._timers and self._timers[0][0] <= now_s:
            self._soon.append(heapq.heappop(self._timers)[2])
        for _ in range(len(self._soon)):
            if self._soon:  # a hand-over has taken them along
                call = self._soon.popleft()
                if not call.is_cancelled:
                    self._call(call.callback, *call.args)

    def _handlers_of(self, events: list[tuple[int, int]]) -> list[tuple[dict[int, Handler], int, Handler]]:
        """Whom to call, as asyncio does: an error or a hang-up concerns readers and writers."""
        found = []
        for fd, mask in events:
            if mask & select.POLLNVAL:  # closed by somebody who forgot to say so: epoll(7) would have forgotten it
                self._readers.pop(fd, None)
                self._writers.pop(fd, None)
                self._watch(fd)
                continue
            if mask & ~select.POLLOUT and fd in self._readers:
                found.append((self._readers, fd, self._readers[fd]))
            if mask & ~select.POLLIN and fd in self._writers:
                found.append((self._writers, fd, self._writers[fd]))
        return found

    def _call(self, callback: Callable[..., Any], *args: Any) -> None:
        try:
            callback(*args)
        except Exception as bug:
            self.confess(repr(callback), bug)

    def _watch(self, fd: int) -> None:
        mask = (select.POLLIN if fd in self._readers else 0) | (select.POLLOUT if fd in self._writers else 0)
        if mask:
            self._poll.register(fd, mask)
        else:
            self._poll.unregister(fd)


def _raise(_what: str, bug: Exception) -> None:
    raise bug
