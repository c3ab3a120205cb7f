"""The shell around the engine, with an engine that follows a script. Source: linit/runtime/supervisor.py."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from linit.engine.effects import (
    AllDown,
    Answer,
    BootFinished,
    DisarmTimer,
    Effect,
    KillAll,
    Spawn,
    Told,
    Transition,
)
from linit.engine.engine import Engine
from linit.engine.events import Emptied, Event, Request, Shutdown, SpawnFailed, TimerFired, TimerKind, Verb
from linit.engine.unit import Unit
from linit.model.paths import Paths
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import Command, Service
from linit.model.state import Finish, Outcome, Role, UnitState
from linit.runtime.posix_spawn import Spawner
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from linit.runtime.supervisor import Supervisor, Surroundings, command_of
from tests.unit.test_runtime_loop import Recorder

HERE = Place("test.yaml", 1, 1)
TRUE = Command(("/bin/true",), HERE)
SERVICE = Service("a", HERE, run=TRUE, pre=(Command(("/bin/echo",), HERE),))


class Script:
    """An engine that answers each event with what `follows` says, once it is of that type."""

    def __init__(self, follows: dict[type, Callable[[Any], tuple[Effect, ...]]]) -> None:
        self.follows = follows
        self.handled: list[Event] = []
        self.units: dict[str, Unit] = {}

    def handle(self, event: Event, _now_s: float) -> tuple[Effect, ...]:
        self.handled.append(event)
        return self.follows.get(type(event), lambda _event: ())(event)


@pytest.fixture
def made() -> Iterator[Callable[..., tuple[Supervisor, Script, list[Any]]]]:
    """Makes supervisors: (supervisor, its engine, what its observer saw)."""
    loop = Recorder()
    signals = Signals(loop)

    def make(**follows: Callable[[Any], tuple[Effect, ...]]) -> tuple[Supervisor, Script, list[Any]]:
        engine = Script({globals()[name]: what for name, what in follows.items()})
        processes = Processes(loop, signals)
        surroundings = Surroundings(cgroup_root="")
        supervisor = Supervisor(cast("Engine", engine), loop, Paths.user("/nowhere"), processes, surroundings)
        seen: list[Any] = []
        supervisor.observe(seen.append)
        return supervisor, engine, seen

    yield make
    signals.close()


def test_what_happens_while_effects_are_performed_waits_for_its_turn(made: Any) -> None:
    """Never recursive: all effects of an event are performed before the next one is handled."""
    trace: list[object] = []
    supervisor, engine, _ = made(
        TimerFired=lambda event: (KillAll(event.name), Told(event.name, "after the kill", 0.0)),
        Emptied=lambda event: (Told(event.name, "emptied", 0.0),),
    )
    supervisor.observe(lambda effect: trace.append(effect.text))
    supervisor.dispatch(TimerFired("a", TimerKind.STOP))
    assert engine.handled == [TimerFired("a", TimerKind.STOP), Emptied("a")]
    assert trace == ["after the kill", "emptied"]


def test_a_bug_in_the_engine_is_told_with_its_event_and_ends_nothing(made: Any) -> None:
    """STYLE.md: a bug may fail one unit, never end PID 1."""

    def breaks(_event: object) -> tuple[Effect, ...]:
        raise KeyError("lost")

    supervisor, engine, seen = made(TimerFired=breaks)
    supervisor.dispatch(TimerFired("a", TimerKind.STOP))
    supervisor.dispatch(Shutdown(Finish.EXIT))
    (told,) = seen
    assert told.name == "a"
    assert told.text.startswith("a fault of linit's (")
    assert told.text.endswith("): KeyError('lost'), in TimerFired(name='a', kind=<TimerKind.STOP: 'stop'>)")
    assert len(engine.handled) == 2
    assert supervisor.figures()["bugs"] == 1


def test_a_spawn_that_breaks_linit_fails_its_service(made: Any) -> None:
    """A unit must not wait for ever for a process that never was."""
    supervisor, engine, seen = made(TimerFired=lambda _event: (Spawn(SERVICE, Role.POST, 0),))
    supervisor.dispatch(TimerFired("a", TimerKind.RESPAWN))  # the service has no post command
    text = "a fault of linit's: IndexError('tuple index out of range')"
    assert engine.handled[1] == SpawnFailed("a", Role.POST, text)
    assert [told.name for told in seen] == ["a"]


def test_an_effect_that_breaks_does_not_keep_the_next_from_being_performed(made: Any) -> None:
    """Each deed stands for itself."""
    supervisor, _, seen = made(
        TimerFired=lambda _event: (cast("Effect", "no effect at all"), Told("a", "still here", 0.0))
    )
    supervisor.dispatch(TimerFired("a", TimerKind.STOP))
    assert seen[-1] == Told("a", "still here", 0.0)


def test_an_observer_that_breaks_is_told_and_the_others_still_hear(made: Any) -> None:
    """The console must not depend on the control server."""
    supervisor, _, seen = made(Shutdown=lambda event: (AllDown(event.finish),))

    def breaks(effect: object) -> None:
        if isinstance(effect, AllDown):
            raise OSError(errno.EPIPE, "gone")

    heard: list[object] = []
    supervisor.observe(breaks)
    supervisor.observe(heard.append)
    supervisor.dispatch(Shutdown(Finish.HALT))
    assert AllDown(Finish.HALT) in seen
    assert AllDown(Finish.HALT) in heard
    assert supervisor.bugs == 1


def test_every_request_is_answered_to_who_asked_and_only_once(made: Any) -> None:
    """Requests have numbers; an answer goes to its own, and to the observers."""
    supervisor, engine, seen = made(
        Request=lambda event: (Answer(event.id, Outcome.DONE, ((event.names[0], Outcome.DONE, ""),)),)
    )
    answers: list[tuple[str, Answer]] = []
    first = supervisor.request(Verb.START, ("a",), "test", lambda answer: answers.append(("first", answer)))
    second = supervisor.request(
        Verb.STOP, ("b",), "test", lambda answer: answers.append(("second", answer)), cascade=False
    )
    assert [(who, answer.id) for who, answer in answers] == [("first", first), ("second", second)]
    assert first != second
    assert engine.handled[1] == Request(second, Verb.STOP, ("b",), "test", cascade=False)
    assert len(seen) == 2
    supervisor.dispatch(engine.handled[0])  # answered again: nobody is left to hear it
    assert len(answers) == 2


def test_no_process_to_be_had_is_a_failed_spawn_with_its_reason(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resource exhaustion fails an operation with a reason, never the manager. Source: fork(2), posix_spawn(3)."""

    def no_fork(*_arguments: object, **_options: object) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    supervisor, engine, _ = made(TimerFired=lambda _event: (Spawn(SERVICE, Role.MAIN),))
    monkeypatch.setattr(os, "fork", no_fork)
    monkeypatch.setattr(Spawner, "spawn", no_fork)
    before = set(os.listdir("/proc/self/fd"))
    supervisor.dispatch(TimerFired("a", TimerKind.RESPAWN))
    text = "fork: EAGAIN (resource temporarily unavailable)"
    assert engine.handled[1] == SpawnFailed("a", Role.MAIN, text)
    supervisor.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_no_descriptor_to_be_had_is_a_failed_spawn_with_its_reason(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here for the pipe of the service's output. Source: pipe(2)."""

    def no_pipe(_flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    supervisor, engine, _ = made(TimerFired=lambda _event: (Spawn(SERVICE, Role.MAIN),))
    monkeypatch.setattr(os, "pipe2", no_pipe)
    supervisor.dispatch(TimerFired("a", TimerKind.RESPAWN))
    assert engine.handled[1] == SpawnFailed("a", Role.MAIN, "set-up: EMFILE (too many open files)")


def test_what_becomes_of_a_service_is_said_in_its_log(made: Any) -> None:
    """STYLE.md: one line for each change of state, with the numbers an operator asks for next."""
    supervisor, engine, _ = made(
        TimerFired=lambda _event: (
            Transition("a", UnitState.STARTING, UnitState.UP, Reason(Cause.READY), 5.0, 0.8),
            Told("a", "ignored TERM for 15 s, killed", 6.0),
        )
    )
    engine.units["a"] = Unit("a", SERVICE, pids={Role.MAIN: 412})
    before_ns = time.time_ns()
    supervisor.dispatch(TimerFired("a", TimerKind.START))
    said = [message[:3] for message in supervisor.pipes.messages]
    assert said == [["line", "a", "up (pid 412, ready after 0.8 s)"], ["line", "a", "ignored TERM for 15 s, killed"]]
    assert all(before_ns <= int(message[3]) <= time.time_ns() for message in supervisor.pipes.messages)


def test_the_end_of_the_boot_is_told(made: Any) -> None:
    """BootFinished goes to the observers as it is."""
    finished = BootFinished("default", 1.0, ("a",))
    supervisor, _, seen = made(TimerFired=lambda _event: (finished, DisarmTimer("a", TimerKind.START)))
    supervisor.dispatch(TimerFired("a", TimerKind.START))
    assert seen == [finished]


def test_each_role_has_its_command() -> None:
    """Spawn names it by role and index."""
    assert command_of(Spawn(SERVICE, Role.MAIN)) == TRUE
    assert command_of(Spawn(SERVICE, Role.PRE, 0)).argv == ("/bin/echo",)
    with pytest.raises(AssertionError, match="linit bug: a has no reload command"):
        command_of(Spawn(SERVICE, Role.RELOAD))
