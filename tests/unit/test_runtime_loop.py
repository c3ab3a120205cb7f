"""The stand-in for asyncio's loop, and the timers on it. Source: linit/runtime/loop.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linit.engine.events import TimerFired, TimerKind
from linit.runtime.loop import Prelude
from linit.runtime.timers import Timers


class Handle:
    """Of a call that a `Recorder` was asked for."""

    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Recorder:
    """A loop that calls nobody, and whose clock stands at `now_s`."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.asked: list[tuple[Any, ...]] = []
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now_s

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Handle:
        return self._ask("soon", callback, *args)

    def call_at(self, when: float, callback: Callable[..., Any], /, *args: Any) -> Handle:
        return self._ask("at", when, callback, *args)

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        self._ask("reader", fd, callback, *args)

    def remove_reader(self, fd: int, /) -> None:
        self._ask("no reader", fd)

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        self._ask("writer", fd, callback, *args)

    def remove_writer(self, fd: int, /) -> None:
        self._ask("no writer", fd)

    def run_forever(self) -> None:
        self._ask("run")

    def stop(self) -> None:
        self._ask("stop")

    def _ask(self, *what: Any) -> Handle:
        self.asked.append(what)
        self.handles.append(Handle())
        return self.handles[-1]


def test_the_prelude_hands_over_what_was_registered_and_not_taken_back() -> None:
    """Readers, writers, then calls in the order in which they were asked for."""
    prelude, loop = Prelude(), Recorder()
    prelude.call_soon(print, 1)
    prelude.call_at(7.0, print, 2)
    prelude.call_at(8.0, print, 3).cancel()
    for fd in (3, 4):
        prelude.add_reader(fd, print, fd)
        prelude.add_writer(fd, print, fd)
    prelude.remove_reader(3)
    prelude.remove_writer(4)
    assert not prelude.is_over
    prelude.hand_over(loop)
    assert prelude.is_over
    assert loop.asked == [
        ("reader", 4, print, 4),
        ("writer", 3, print, 3),
        ("soon", print, 1),
        ("at", 7.0, print, 2),
    ]


def test_after_the_hand_over_everything_goes_to_the_real_loop() -> None:
    """Whoever holds the prelude need not be told of the hand-over."""
    prelude, loop = Prelude(), Recorder()
    prelude.hand_over(loop)
    prelude.call_soon(print)
    prelude.call_at(1.0, print)
    prelude.add_reader(3, print)
    prelude.remove_reader(3)
    prelude.add_writer(3, print)
    prelude.remove_writer(3)
    kinds = [what[0] for what in loop.asked]
    assert kinds == ["soon", "at", "reader", "no reader", "writer", "no writer"]
    assert prelude.time() == 100.0


def test_a_call_recorded_before_the_hand_over_can_be_cancelled_after_it() -> None:
    """A handle stays good."""
    prelude, loop = Prelude(), Recorder()
    handle = prelude.call_at(1.0, print)
    prelude.hand_over(loop)
    handle.cancel()
    assert loop.handles[0].is_cancelled


def test_arming_a_timer_replaces_one_of_its_kind() -> None:
    """A unit has at most one timer of each kind: ArmTimer in engine/effects.py."""
    loop, fired = Recorder(), list[TimerFired]()
    timers = Timers(loop, fired.append)
    timers.arm("a", TimerKind.START, 5.0)
    timers.arm("a", TimerKind.START, 2.0)
    timers.arm("a", TimerKind.STOP, 1.0)
    assert [handle.is_cancelled for handle in loop.handles] == [True, False, False]
    assert [what[1] for what in loop.asked] == [105.0, 102.0, 101.0]
    _at, _when, callback, *args = loop.asked[1]
    callback(*args)
    assert fired == [TimerFired("a", TimerKind.START)]
    assert timers.armed() == (("a", TimerKind.STOP),)


def test_disarming_what_is_not_armed_is_no_error() -> None:
    """DisarmTimer in engine/effects.py."""
    timers = Timers(Recorder(), print)
    timers.disarm("a", TimerKind.START)
    assert timers.armed() == ()
