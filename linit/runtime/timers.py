"""When is a timer of a unit due?"""

from __future__ import annotations

from collections.abc import Callable

from linit.engine.events import TimerFired, TimerKind
from linit.runtime.loop import Handle, Loop
from linit.runtime.turn import Turn


class Timers:
    """At most one armed timer for each unit and kind, on the monotonic clock."""

    def __init__(self, loop: Loop, report: Callable[[TimerFired], None]) -> None:
        self._loop = loop
        self._turn = Turn(loop)
        self._due: dict[tuple[str, TimerKind], None] = {}  # in their order; for the next turn of the loop
        self._report = report
        self._armed: dict[tuple[str, TimerKind], Handle] = {}

    def arm(self, name: str, kind: TimerKind, delay_s: float) -> None:
        """Report TimerFired after `delay_s` seconds; an armed timer of that kind is replaced."""
        self.disarm(name, kind)
        self._armed[name, kind] = self._loop.call_at(self._loop.time() + delay_s, self._fire, name, kind)

    def disarm(self, name: str, kind: TimerKind) -> None:
        """Forget a timer; no error if none is armed."""
        self._due.pop((name, kind), None)
        handle = self._armed.pop((name, kind), None)
        if handle is not None:
            handle.cancel()

    def armed(self) -> tuple[tuple[str, TimerKind], ...]:
        """What is armed, for the report and for tests."""
        return (*self._armed, *self._due)

    def _fire(self, name: str, kind: TimerKind) -> None:
        del self._armed[name, kind]
        if self._due or self._turn.is_over():
            if not self._due:
                self._loop.call_soon(self._fire_due)
            self._due[name, kind] = None
        else:
            self._report(TimerFired(name, kind))

    def _fire_due(self) -> None:
        while self._due and not self._turn.is_over():
            name, kind = next(iter(self._due))
            del self._due[name, kind]
            self._report(TimerFired(name, kind))
        if self._due:
            self._loop.call_soon(self._fire_due)
