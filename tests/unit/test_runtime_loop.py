"""The stand-in for asyncio's loop, and the timers on it. Source: linit/runtime/loop.py."""

from __future__ import annotations

import os
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


# -- the prelude as a loop of its own


def running(prelude: Prelude, *calls: Callable[[], object]) -> None:
    """Runs it with these calls, one a turn, until the last is made."""
    for call in (*calls, prelude.stop):
        prelude.call_soon(call)
    prelude.run_forever()


def test_it_calls_whoever_waits_for_a_descriptor_until_that_is_taken_back() -> None:
    prelude, heard = Prelude(), list[str]()
    end, far_end = os.pipe()

    def hear(fd: int) -> None:
        heard.append(os.read(fd, 9).decode() if fd == end else "room")
        prelude.stop()

    prelude.add_reader(end, hear, end)
    os.write(far_end, b"one")
    prelude.run_forever()
    prelude.remove_reader(end)
    os.write(far_end, b"two")
    running(prelude)
    assert heard == ["one"]
    prelude.add_writer(far_end, hear, far_end)
    prelude.run_forever()
    assert heard == ["one", "room"]
    os.close(end)
    os.close(far_end)


def test_timers_come_in_the_order_of_their_times_and_not_when_they_were_cancelled() -> None:
    prelude, heard = Prelude(), list[int]()
    now_s = prelude.time()
    prelude.call_at(now_s + 0.02, prelude.stop)
    prelude.call_at(now_s + 0.01, heard.append, 2)
    prelude.call_at(now_s, heard.append, 1)
    prelude.call_at(now_s, heard.append, 9).cancel()
    prelude.run_forever()
    assert heard == [1, 2]
    assert prelude.time() >= now_s + 0.02


def test_a_timer_of_a_year_or_of_never_is_waited_for_like_others() -> None:
    """poll(2) takes milliseconds as an int: 24 days."""
    prelude, heard = Prelude(), list[int]()
    now_s = prelude.time()
    end, far_end = os.pipe()
    for delay_s in (365 * 86400.0, float("inf")):
        prelude.call_at(now_s + delay_s, heard.append, 1)
    prelude.add_reader(end, prelude.stop)
    prelude.call_soon(lambda: prelude.call_soon(os.write, far_end, b"x"))
    prelude.run_forever()
    assert heard == []
    os.close(end)
    os.close(far_end)


def test_a_bug_in_a_callback_is_told_and_the_loop_goes_on() -> None:
    """As asyncio's exception handler."""
    prelude, told, heard = Prelude(), list[str](), list[int]()
    prelude.confess = lambda _what, bug: told.append(repr(bug))
    running(prelude, lambda: 1 // 0, lambda: heard.append(1))
    assert (told, heard) == (["ZeroDivisionError('integer division or modulo by zero')"], [1])


def test_who_was_registered_in_place_of_one_that_is_gone_is_not_called_for_its_events() -> None:
    """A descriptor's number is used again at once. The reader of a gate would take silence for success."""
    prelude, heard = Prelude(), list[str]()
    ends = [os.pipe(), os.pipe()]

    def take(number: int) -> None:
        other = ends[1 - number][0]
        heard.append("first")
        prelude.remove_reader(other)
        prelude.add_reader(other, heard.append, "somebody else")
        prelude.remove_reader(ends[number][0])
        prelude.stop()

    for number, (end, far_end) in enumerate(ends):
        prelude.add_reader(end, take, number)
        os.write(far_end, b"x")
    prelude.run_forever()
    assert heard == ["first"]
    for pair in ends:
        for fd in pair:
            os.close(fd)


def test_a_hand_over_in_the_middle_of_a_turn_loses_no_call_and_the_other_loop_runs_on() -> None:
    prelude, loop = Prelude(), Recorder()
    prelude.call_soon(prelude.hand_over, loop)
    prelude.call_soon(print, "later")
    prelude.run_forever()
    assert loop.asked == [("soon", print, "later"), ("run",)]


def test_it_says_when_it_has_waited() -> None:
    """For the count of wake-ups: a look without waiting is none."""
    prelude, waited = Prelude(), list[bool]()
    prelude.turned = lambda _asleep_s, _awake_s, may_wait: waited.append(may_wait)
    prelude.call_soon(prelude.call_at, prelude.time() + 0.001, prelude.stop)
    prelude.run_forever()
    assert waited[0] is False
    assert waited[-1] is True
