"""When is a timer of a unit due?"""

from __future__ import annotations

from collections.abc import Callable

from linit.engine.events import TimerFired, TimerKind
from linit.runtime.loop import Handle, Loop


class Timers:
    """At most one armed timer for each unit and kind, on the monotonic clock."""

    def __init__(self, loop: Loop, report: Callable[[TimerFired], None]) -> None:
        self._loop = loop
        self._report = report
        self._armed: dict[tuple[str, TimerKind], Handle] = {}

    def arm(self, name: str, kind: TimerKind, delay_s: float) -> None:
        """Report TimerFired after `delay_s` seconds; an armed timer of that kind is replaced."""
        self.disarm(name, kind)
        self._armed[name, kind] = self._loop.call_at(self._loop.time() + delay_s, self._fire, name, kind)

    def disarm(self, name: str, kind: TimerKind) -> None:
        """Forget a timer; no error if none is armed."""
        handle = self._armed.pop((name, kind), None)
        if handle is not None:
            handle.cancel()

    def armed(self) -> tuple[tuple[str, TimerKind], ...]:
        """What is armed, for the report and for tests."""
        return tuple(self._armed)

    def _fire(self, name: str, kind: TimerKind) -> None:
        del self._armed[name, kind]
        self._report(TimerFired(name, kind))
