"""No kind of work keeps the loop for itself: linit/runtime/turn.py, and who goes by it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from linit.engine.events import TimerFired, TimerKind
from linit.runtime.processes import REAPED_AT_ONCE, Processes
from linit.runtime.reap import Signals
from linit.runtime.spawn import Launch, fork_exec
from linit.runtime.timers import Timers
from linit.runtime.turn import TURN_S, Turn
from tests.unit.test_runtime_loop import Handle, Recorder

COUNT = 100


class Turning(Recorder):
    """A loop whose turns a test makes; what is to be called soon is called in the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.soon: deque[Callable[[], object]] = deque()

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Handle:
        self.soon.append(lambda: callback(*args))
        return Handle()

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()

    def fire(self) -> None:
        """All timers that are armed are due at once."""
        for what, handle in list(zip(self.asked, self.handles, strict=True)):
            if what[0] == "at" and not handle.is_cancelled:
                what[2](*what[3:])
        self.asked.clear()
        self.handles.clear()


def test_a_turn_is_over_after_its_time_but_never_before_something_was_done() -> None:
    loop = Turning()
    turn = Turn(loop)
    assert not turn.is_over()
    loop.now_s += TURN_S
    assert turn.is_over()
    loop.turn()
    loop.now_s += 1.0
    assert [turn.is_over(), turn.is_over()] == [False, False]


def test_timers_that_are_due_at_once_fire_in_their_order_some_in_each_turn() -> None:
    loop, fired = Turning(), list[str]()

    def report(event: TimerFired) -> None:
        fired.append(event.name)
        loop.now_s += TURN_S / 4

    timers = Timers(loop, report)
    names = [str(number) for number in range(COUNT)]
    for name in names:
        timers.arm(name, TimerKind.RESPAWN, 0.0)
    loop.fire()
    counts = [len(fired)]
    while loop.soon:
        loop.turn()
        counts.append(len(fired))
    assert fired == names
    assert counts[:4] == [4, 8, 12, 16]
    assert timers.armed() == ()


def test_a_timer_that_waits_for_its_turn_is_still_armed_and_can_be_disarmed_or_replaced() -> None:
    loop, fired = Turning(), list[str]()

    def report(event: TimerFired) -> None:
        fired.append(event.name)
        loop.now_s += TURN_S

    timers = Timers(loop, report)
    for name in "abcd":
        timers.arm(name, TimerKind.RESPAWN, 0.0)
    loop.fire()
    assert timers.armed() == tuple((name, TimerKind.RESPAWN) for name in "bcd")
    timers.disarm("b", TimerKind.RESPAWN)
    timers.arm("c", TimerKind.RESPAWN, 5.0)
    while loop.soon:
        loop.turn()
    assert (fired, timers.armed()) == (["a", "d"], (("c", TimerKind.RESPAWN),))


class Owner:
    """Hears of the end of children, each of which takes its time."""

    def __init__(self, loop: Turning) -> None:
        self.loop = loop
        self.ended: list[int] = []
        self.begun: list[int] = []

    def executing(self, pid: int) -> None:
        self.begun.append(pid)
        self.loop.now_s += TURN_S

    def exited(self, pid: int, status: int) -> None:
        self.ended.append(pid)
        self.loop.now_s += TURN_S

    def failed(self, pid: int, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def loop() -> Turning:
    return Turning()


@pytest.fixture
def signals(loop: Turning) -> Iterator[Signals]:
    signals = Signals(loop)
    yield signals
    signals.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_of_many_children_that_end_at_once_some_are_reaped_in_each_turn(loop: Turning, signals: Signals) -> None:
    processes, owner = Processes(loop, signals), Owner(loop)
    pids = {processes.start(Launch(("/bin/true",)), owner) for _ in range(3 * REAPED_AT_ONCE)}
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    signals._read()  # SIGCHLD has come
    counts = [len(owner.ended)]
    while loop.soon:
        loop.turn()
        counts.append(len(owner.ended))
    assert counts[:3] == [REAPED_AT_ONCE, 2 * REAPED_AT_ONCE, 3 * REAPED_AT_ONCE]
    assert set(owner.ended) == pids


def test_what_tells_that_a_program_runs_is_read_at_once_and_told_some_in_each_turn(
    loop: Turning, signals: Signals
) -> None:
    """Else thousands of descriptors that can be read would be looked at in each turn, while nobody may be told."""
    processes, owner = Processes(loop, signals), Owner(loop)
    is_held = True
    processes.is_held = lambda: is_held
    pids = [processes.begin(partial(fork_exec, Launch(("/bin/true",))), owner) for _ in range(4)]
    gates = [what[1:] for what in loop.asked if what[0] == "reader" and what[3:] and what[3] in pids]
    for pid, (_, callback, *arguments) in zip(pids, gates, strict=True):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        callback(*arguments)
    assert {what[1] for what in loop.asked if what[0] == "no reader"} == {fd for fd, *_ in gates}
    assert owner.begun == []
    is_held = False
    counts = list[int]()
    while loop.soon:
        loop.turn()
        counts.append(len(owner.begun))
    assert owner.begun == pids
    assert counts[:3] == [1, 2, 3]
    processes.reap()
    assert sorted(owner.ended) == sorted(pids)
