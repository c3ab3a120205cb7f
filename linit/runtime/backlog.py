"""What is left to be done of what the engine ordered, and who waits for it? One event may order a thousand starts.

Effects are performed in their order, all of an event's before the next event is handled. When a turn of the loop has
taken long enough the rest is left for the next: in between, clients of the control socket are answered and signals are
heard. Until all is done nothing else is observed (`HeldBack`): exits stay zombies, timers armed, datagrams in their
sockets. So no event can cross with an effect that is about to make it meaningless, and all that waits here is what
clients and signals asked for meanwhile; of clients there are only so many, with only so many requests under way. A
shutdown overtakes these. During a boot the starts of one event are made in the order of their `rank`, after all else
that it ordered until the last of them: what most waits for need not wait for the others' forks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from linit.engine.effects import Effect, Spawn
from linit.engine.events import Event, Shutdown
from linit.runtime.loop import Handle, Loop
from linit.runtime.turn import TURN_S

SPAWNS_AT_ONCE: Final = 8  # in one turn, however quick


class Backlog:
    """`handle(event)` gives the effects of an event, `perform(effect)` does one.

    `takes_turns`: whoever runs the loop sets it, and has `turned` called whenever the loop comes back from waiting.
    Before the loop runs nobody waits for a turn. `rank`: of services, None for no order among starts.
    """

    def __init__(
        self, loop: Loop, handle: Callable[[Event], Iterable[Effect]], perform: Callable[[Effect], object]
    ) -> None:
        self.rank: Callable[[str], int] | None = None
        self.takes_turns = False
        self.is_behind = False  # does something wait for the next turn?
        self._loop = loop
        self._handle = handle
        self._perform = perform
        self._events: deque[Event] = deque()
        self._effects: deque[Effect] = deque()
        self._on_done: list[Callable[[], object]] = []
        self._is_working = False
        self._until_s = 0.0  # this turn
        self._spawns = 0  # in this turn

    def turned(self, now_s: float) -> None:
        """Another turn of the loop begins, at `now_s` of its clock."""
        self._until_s = now_s + TURN_S
        self._spawns = 0

    def add(self, event: Event) -> None:
        """Handle an event, after those that came before it."""
        if isinstance(event, Shutdown):
            self._events.appendleft(event)
        else:
            self._events.append(event)
        if not self._is_working and not self.is_behind:
            self._work()

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call back when all that was ordered is done, and so all who observe have been told: at once, if it is."""
        if self.is_behind:
            self._on_done.append(callback)
        else:
            callback()

    def _work(self, is_owed: bool = False) -> None:
        self._is_working = True
        try:
            while self._effects or self._events:
                if not self._effects:
                    effects = self._handle(self._events.popleft())
                    self._effects.extend(effects if self.rank is None else in_order(effects, self.rank))
                elif self.takes_turns and not is_owed and self._is_over():
                    self.is_behind = True
                    self._loop.call_soon(self._go_on)
                    return
                else:
                    is_owed = False
                    effect = self._effects.popleft()
                    self._spawns += isinstance(effect, Spawn)
                    self._perform(effect)
        finally:
            self._is_working = False

    def _go_on(self) -> None:
        self.is_behind = False
        self._until_s = self._loop.time() + TURN_S  # thousands of descriptors take a loop that long before it calls
        self._work(is_owed=True)  # in each turn something gets done
        while self._on_done and not self.is_behind:
            self._on_done.pop(0)()

    def _is_over(self) -> bool:
        is_full = self._spawns >= SPAWNS_AT_ONCE and isinstance(self._effects[0], Spawn)
        return is_full or self._loop.time() >= self._until_s


def in_order(effects: Iterable[Effect], rank: Callable[[str], int]) -> Iterable[Effect]:
    """The same effects; where there are several starts, these behind what stood before the last, highest rank first."""
    spawns = [effect for effect in effects if isinstance(effect, Spawn)]
    if len(spawns) < 2:
        return effects
    spawns.sort(key=lambda spawn: -rank(spawn.service.name))
    others: list[Effect] = []
    left = len(spawns)
    for effect in effects:
        if isinstance(effect, Spawn):
            left -= 1
            if not left:
                others += spawns
        else:
            others.append(effect)
    return others


class HeldBack:
    """The loop for all who observe something: as long as the supervisor is behind, nobody is called."""

    def __init__(self, loop: Loop, is_behind: Callable[[], bool]) -> None:
        self._loop = loop
        self._is_behind = is_behind
        self.time = loop.time
        self.remove_reader = loop.remove_reader
        self.remove_writer = loop.remove_writer

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Handle:
        """As the loop's; not while the supervisor is behind."""
        held = _Held(self._loop, self._is_behind, callback, args)
        held.handle = self._loop.call_soon(held)
        return held

    def call_at(self, when: float, callback: Callable[..., Any], /, *args: Any) -> Handle:
        """As the loop's; not while the supervisor is behind."""
        held = _Held(self._loop, self._is_behind, callback, args)
        held.handle = self._loop.call_at(when, held)
        return held

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> object:
        """As the loop's; what is not read now can be read in the next turn."""
        return self._loop.add_reader(fd, self._unless_behind, callback, *args)

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> object:
        """As the loop's; what is not written to now can be written to in the next turn."""
        return self._loop.add_writer(fd, self._unless_behind, callback, *args)

    def _unless_behind(self, callback: Callable[..., Any], /, *args: Any) -> None:
        if not self._is_behind():
            callback(*args)


class _Held:
    """A call that is made when the supervisor is not behind: its own handle."""

    __slots__ = ("args", "callback", "handle", "is_behind", "loop")

    def __init__(
        self, loop: Loop, is_behind: Callable[[], bool], callback: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.loop = loop
        self.is_behind = is_behind
        self.callback = callback
        self.args = args
        self.handle: Handle | None = None

    def __call__(self) -> None:
        if self.is_behind():
            self.handle = self.loop.call_soon(self)
        else:
            self.callback(*self.args)

    def cancel(self) -> None:
        """Forget the call."""
        if self.handle is not None:
            self.handle.cancel()
