"""No event keeps the loop for itself, however many starts it orders: linit/runtime/backlog.py."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from linit.engine.effects import Effect, Spawn, Told
from linit.engine.engine import Engine
from linit.engine.events import Event, Exited, Request, Shutdown, Spawned, TimerFired, TimerKind, Verb
from linit.model.paths import Paths
from linit.model.place import Place
from linit.model.service import Command, Service
from linit.model.state import Finish, Role
from linit.runtime.backlog import SPAWNS_AT_ONCE, Backlog, HeldBack
from linit.runtime.loop import Prelude
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from linit.runtime.supervisor import Supervisor, Surroundings
from linit.runtime.turn import TURN_S
from tests.unit.test_runtime_supervisor import Script
from tests.unit.test_runtime_turn import Turning

HERE = Place("x.yaml", 1, 1)
MANY = 5 * SPAWNS_AT_ONCE
START_ALL = Request(1, Verb.START, ("all",))


def spawns(count: int) -> tuple[Effect, ...]:
    """What starts so many services."""
    return tuple(
        Spawn(Service(f"s{number}", HERE, run=Command(("/bin/true",), HERE)), Role.MAIN) for number in range(count)
    )


class World:
    """A backlog in turns. `done`: what was performed and who else was served, in order."""

    def __init__(self, follows: dict[Event, tuple[Effect, ...]], takes_s: float = 0.0) -> None:
        self.loop = Turning()
        self.done: list[object] = []
        self.takes_s = takes_s

        def handle(event: Event) -> tuple[Effect, ...]:
            self.done.append(event)
            return follows.get(event, ())

        self.backlog = Backlog(self.loop, handle, self.perform)
        self.backlog.takes_turns = True
        self.backlog.turned(self.loop.now_s)

    def perform(self, effect: Effect) -> None:
        self.done.append(effect)
        self.loop.now_s += self.takes_s

    def turn(self) -> None:
        self.backlog.turned(self.loop.now_s)
        self.loop.turn()


@pytest.mark.parametrize("many", [MANY, MANY + 1])
def test_a_client_is_served_after_so_many_starts_of_one_event(many: int) -> None:
    """A reload that starts a hundred services: whoever asks meanwhile is answered. No clock decides this."""
    prelude = Prelude()
    ours, theirs = socket.socketpair()
    begun, asked_at = list[Effect](), list[int]()
    backlog = Backlog(prelude, lambda _event: spawns(many), begun.append)
    backlog.takes_turns = True
    prelude.turned = lambda _asleep_s, awake_s, _has_waited: backlog.turned(awake_s)

    def served() -> None:
        ours.recv(1)
        asked_at.append(len(begun))
        if len(begun) == many:
            prelude.stop()
        else:
            theirs.send(b"?")

    prelude.add_reader(ours.fileno(), served)
    theirs.send(b"?")
    prelude.call_soon(backlog.add, START_ALL)
    prelude.run_forever()
    ours.close()
    theirs.close()
    steps = [after - before for before, after in itertools.pairwise(asked_at)]
    assert max(steps) <= SPAWNS_AT_ONCE
    assert asked_at[-1] == many
    assert begun == list(spawns(many))


def test_what_is_asked_for_meanwhile_is_done_in_its_order_when_all_is_done_that_was_ordered_before() -> None:
    stop, start = Request(2, Verb.STOP, ("a",)), Request(3, Verb.START, ("a",))
    stopped, started = Told("a", "stopped", 0.0), Told("a", "started", 0.0)
    world = World({START_ALL: spawns(MANY), stop: (stopped,), start: (started,)})
    world.backlog.add(START_ALL)
    world.backlog.add(stop)
    world.backlog.add(start)
    assert len(world.done) == 1 + SPAWNS_AT_ONCE
    while world.backlog.is_behind:
        world.turn()
    assert world.done == [START_ALL, *spawns(MANY), stop, stopped, start, started]
    assert not world.loop.soon


def test_who_waits_until_all_is_told_is_called_after_the_last_effect() -> None:
    world = World({START_ALL: spawns(MANY)})
    world.backlog.when_done(lambda: world.done.append("nothing was under way"))
    world.backlog.add(START_ALL)
    world.backlog.when_done(lambda: world.done.append("told"))
    while world.backlog.is_behind:
        world.turn()
    assert world.done == ["nothing was under way", START_ALL, *spawns(MANY), "told"]


def test_a_shutdown_overtakes_what_others_asked_for() -> None:
    """But not the starts that are ordered already: what follows from them is known to the engine."""
    stop, shutdown = Request(2, Verb.STOP, ("a",)), Shutdown(Finish.POWEROFF)
    world = World({START_ALL: spawns(SPAWNS_AT_ONCE + 1)})
    for event in (START_ALL, stop, shutdown):
        world.backlog.add(event)
    world.turn()
    assert world.done == [START_ALL, *spawns(SPAWNS_AT_ONCE + 1), shutdown, stop]


def test_a_turn_ends_after_its_time_too_but_never_before_something_was_done() -> None:
    """What takes longer than a turn is done one at a time."""
    world = World({START_ALL: spawns(4)}, takes_s=2 * TURN_S)
    world.backlog.add(START_ALL)
    counts = [len(world.done)]
    while world.backlog.is_behind:
        world.turn()
        counts.append(len(world.done))
    assert counts == [2, 3, 4, 5]


def test_before_the_loop_runs_nobody_waits_for_a_turn() -> None:
    """The first wave of a boot comes before the control socket."""
    world = World({START_ALL: spawns(MANY)}, takes_s=2 * TURN_S)
    world.backlog.takes_turns = False
    world.backlog.add(START_ALL)
    assert len(world.done) == 1 + MANY


def test_of_starts_that_are_ordered_together_those_of_the_highest_rank_come_first() -> None:
    """Behind everything that stood before the last of them: their services are seen to start before they do. Among
    equals the engine's order stays."""
    first, second, third = spawns(3)
    told = [Told("s0", text, 1.0) for text in ("starting", "also", "afterwards")]
    world = World({START_ALL: (told[0], first, told[1], second, third, told[2])})
    world.backlog.rank = {"s0": 5, "s1": 5, "s2": 9}.__getitem__
    world.backlog.add(START_ALL)
    assert world.done[1:] == [told[0], told[1], third, first, second, told[2]]


def test_nothing_is_observed_while_something_waits_to_be_done() -> None:
    """So no timer fires that is about to be disarmed, and nothing is read that is about to be forgotten."""
    loop, is_behind, called = Prelude(), True, list[str]()
    held = HeldBack(loop, lambda: is_behind)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.send(b"!")

    def written() -> None:
        called.append("written")
        held.remove_writer(theirs.fileno())

    held.add_reader(ours.fileno(), lambda: called.append(f"read {ours.recv(1)!r}"))
    held.add_writer(theirs.fileno(), written)
    held.call_at(0.0, called.append, "timer")
    held.call_at(0.0, called.append, "forgotten before it was due").cancel()
    held.call_soon(called.append, "soon")
    forgotten = held.call_soon(called.append, "forgotten while it was held")
    for _ in range(3):
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
    assert called == []
    forgotten.cancel()
    is_behind = False
    for _ in range(3):
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
    assert sorted(called) == ["read b'!'", "soon", "timer", "written"]
    held.remove_reader(ours.fileno())
    ours.close()
    theirs.close()


@pytest.fixture
def supervised() -> Iterator[Callable[[dict[type, Callable[[Any], tuple[Effect, ...]]]], tuple[Any, Script, Turning]]]:
    """Makes a supervisor of real processes, on a loop that the test turns."""
    loop = Turning()
    signals = Signals(loop)

    def make(follows: dict[type, Callable[[Any], tuple[Effect, ...]]]) -> tuple[Any, Script, Turning]:
        engine = Script(follows)
        processes = Processes(loop, signals)
        paths, surroundings = Paths.user("/nowhere"), Surroundings(cgroup_root="")
        supervisor = Supervisor(cast("Engine", engine), loop, paths, processes, surroundings)
        supervisor.backlog.takes_turns = True
        return supervisor, engine, loop

    yield make
    signals.close()


def test_who_ends_while_others_are_still_to_be_started_is_reaped_when_they_are(supervised: Any) -> None:
    """Nobody is lost, and the engine hears of each first that it runs, then that it ended."""
    supervisor, engine, loop = supervised({TimerFired: lambda _event: spawns(MANY)})
    begin = TimerFired("all", TimerKind.RESPAWN)
    supervisor.backlog.turned(loop.now_s)
    supervisor.dispatch(begin)
    started = [len(supervisor.members.names())]
    while supervisor.backlog.is_behind:
        for pid in list(supervisor.processes._children):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        supervisor.processes._reap_in_turns()  # as SIGCHLD has it
        assert engine.handled == [begin]
        supervisor.backlog.turned(loop.now_s)
        loop.turn()
        started.append(len(supervisor.members.names()))
    assert started[:4] == [SPAWNS_AT_ONCE, 2 * SPAWNS_AT_ONCE, 3 * SPAWNS_AT_ONCE, 4 * SPAWNS_AT_ONCE]
    for pid in list(supervisor.processes._children):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    supervisor.processes._reap_in_turns()
    while loop.soon:
        supervisor.backlog.turned(loop.now_s)
        loop.turn()
    heard = [(type(event), event.name) for event in engine.handled[1:]]
    names = [f"s{number}" for number in range(MANY)]
    assert sorted(heard, key=str) == sorted([(what, name) for what in (Spawned, Exited) for name in names], key=str)
    assert all(heard.index((Spawned, name)) < heard.index((Exited, name)) for name in names)
    supervisor.close()
