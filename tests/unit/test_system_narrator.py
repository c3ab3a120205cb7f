"""What of all that happens is shown, and when: the docstring of linit/system/narrator.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from linit.engine.effects import BootFinished, Effect, Told, Transition
from linit.engine.engine import Engine
from linit.engine.events import Exited, Request, Shutdown, Spawned, Verb
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import Command, Dependency, EdgeKind, Kind, Plan, Service
from linit.model.state import Finish, Role, UnitState
from linit.system.narrator import Narrator
from linit.system.texts import Form

HERE = Place("/services/s.yaml", 1, 1)


class Call:
    def __init__(self, when: float, callback: Callable[..., Any]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Machine:
    """An engine, a narrator and a clock that is advanced by hand."""

    def __init__(self, *names: str, quiet: bool = False, debug: bool = False) -> None:
        services = [Service(name, HERE, run=Command(("/bin/true",), HERE)) for name in names]
        wants = tuple(Dependency(EdgeKind.WANT, name, HERE) for name in names)
        services.append(Service("default", HERE, Kind.RUNLEVEL, dependencies=wants))
        self.engine = Engine(Plan(tuple(sorted(services, key=lambda service: service.name))))
        self.now_s = 1.0
        self.lines: list[str] = []
        self.calls: list[Call] = []
        self.narrator = Narrator(self.engine, self.lines.append, self, Form(), quiet=quiet, debug=debug)  # type: ignore[arg-type]

    # the two methods of a loop that a narrator uses
    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[..., Any], *_args: Any) -> Call:
        self.calls.append(Call(when, callback))
        return self.calls[-1]

    def happen(self, event: Any) -> None:
        for effect in self.engine.handle(event, self.now_s):
            self.show(effect)

    def show(self, effect: Effect) -> None:
        if isinstance(effect, Transition | Told | BootFinished):
            self.narrator.observe(effect)

    def advance(self, by_s: float) -> None:
        until_s = self.now_s + by_s
        while due := [call for call in self.calls if not call.is_cancelled and call.when <= until_s]:
            call = min(due, key=lambda one: one.when)
            self.calls.remove(call)
            self.now_s = max(self.now_s, call.when)
            call.callback()
        self.now_s = until_s

    @property
    def armed(self) -> list[Call]:
        return [call for call in self.calls if not call.is_cancelled]

    def take(self) -> list[str]:
        lines, self.lines[:] = list(self.lines), []
        return lines

    def boot(self, *names: str) -> None:
        self.happen(Request(1, Verb.START, ("default",), "a test"))
        for name in names:
            self.happen(Spawned(name, Role.MAIN, 100))


def test_a_boot_shows_each_service_and_closes_with_the_runlevel() -> None:
    machine = Machine("redis", "web")
    machine.happen(Request(1, Verb.START, ("default",), "a test"))
    machine.advance(0.25)
    machine.happen(Spawned("web", Role.MAIN, 100))
    machine.advance(0.5)
    machine.happen(Spawned("redis", Role.MAIN, 101))
    assert machine.take() == [
        "[  1.250] web              up        0.25 s",
        "[  1.750] redis            up        0.75 s",
        "[  1.750] default reached in 0.75 s: 2 services up",
    ]
    assert machine.armed == []


def test_a_quiet_boot_shows_only_failures_and_the_end() -> None:
    machine = Machine("redis", "web", quiet=True)
    machine.boot("web")
    machine.happen(Exited("web", Role.MAIN, 1 << 8))
    machine.happen(Spawned("redis", Role.MAIN, 101))
    assert machine.take() == [
        "[  1.000] web              failed  exited with status 1 (/services/s.yaml:1)",
        "                                   see: linitctl why web",
        "[  1.000] default reached in 0.00 s: 1 service up, 1 failed (web)",
    ]


def test_a_quiet_boot_without_failures_shows_nothing_and_needs_no_timer() -> None:
    machine = Machine("web", quiet=True)
    machine.boot()
    assert machine.armed == []
    machine.advance(7.0)
    machine.happen(Spawned("web", Role.MAIN, 100))
    machine.happen(Shutdown(Finish.REBOOT, "SIGTERM"))
    machine.happen(Exited("web", Role.MAIN, 15))
    assert machine.take() == []


def test_debug_shows_every_change_of_state() -> None:
    machine = Machine("web", debug=True)
    reason = Reason(Cause.WAITS_FOR, of="net")
    machine.show(Transition("web", UnitState.DOWN, UnitState.WAITING, reason, 2.0))
    machine.show(Transition("web", UnitState.STARTING, UnitState.UP, Reason(Cause.READY), 2.5, 0.5))
    assert machine.take() == [
        "[  2.000] web              waiting  waits for net",
        "[  2.500] web              up       ready",
    ]


def test_who_is_waited_for_is_said_after_five_seconds_and_then_every_ten() -> None:
    machine = Machine("slow")
    machine.boot()
    machine.advance(4.9)
    assert machine.take() == []
    machine.advance(0.2)
    assert machine.take() == ["[  6.000] waiting for slow: starting for 5.0 s, limit in 55.0 s: starting"]
    machine.advance(9.8)
    assert machine.take() == []
    machine.advance(0.2)
    assert machine.take() == ["[ 16.000] waiting for slow: starting for 15.0 s, limit in 45.0 s: starting"]


def test_once_booted_no_timer_runs_and_only_failures_are_shown() -> None:
    """A login prompt has the console now; an idle machine sleeps."""
    machine = Machine("web")
    machine.boot("web")
    machine.take()
    machine.advance(60.0)
    machine.show(Told("web", "something to know", machine.now_s))
    machine.happen(Exited("web", Role.MAIN, 9))
    assert machine.take() == [
        "[ 61.000] web              failed  killed by SIGKILL (/services/s.yaml:1)",
        "                                   see: linitctl why web",
    ]
    assert machine.armed == []


def test_a_shutdown_shows_who_asked_who_is_down_and_who_is_waited_for() -> None:
    machine = Machine("quick", "slow")
    machine.boot("quick", "slow")
    machine.take()
    machine.advance(60.0)
    machine.happen(Shutdown(Finish.POWEROFF, "root (linitctl poweroff)"))
    machine.advance(0.5)
    machine.happen(Exited("quick", Role.MAIN, 15))
    machine.advance(5.0)
    lines = machine.take()
    assert lines[:2] == [
        "[ 61.000] shutting down: asked for by root (linitctl poweroff)",
        "[ 61.500] quick            down      0.50 s",
    ]
    assert lines[2].startswith("[ 66.000] waiting for slow: stopping for 5.0 s, limit in 10.0 s: ")
    assert len(lines) == 3


def test_what_the_engine_tells_during_a_shutdown_is_shown() -> None:
    machine = Machine("slow")
    machine.boot("slow")
    machine.happen(Shutdown(Finish.POWEROFF, "SIGUSR2"))
    machine.take()
    machine.show(Told("slow", "ignored TERM for 15 s, killed", 16.0))
    assert machine.take() == ["[ 16.000] slow             ignored TERM for 15 s, killed"]


def test_what_starts_services_is_shown_only_when_it_fails() -> None:
    """Sockets and timers run nothing by themselves. A socket with a process for each connection does."""
    machine = Machine("ssh", "timer")
    machine.engine.units["ssh"].service = replace(machine.engine.units["ssh"].service, kind=Kind.SOCKET)
    machine.engine.units["timer"].service = Service("timer", HERE, Kind.TIMER, activates="a")
    up, failed = Reason(Cause.READY), Reason(Cause.SPAWN_FAILED, text="its address is taken")
    for name in ("ssh", "timer"):
        machine.show(Transition(name, UnitState.STARTING, UnitState.UP, up, 1.0, 0.0))
    machine.show(Transition("timer", UnitState.STARTING, UnitState.FAILED, failed, 2.0))
    assert machine.lines == [
        "[  1.000] ssh              up        0.00 s",
        "[  2.000] timer            failed  could not be run: its address is taken (/services/s.yaml:1)",
        "                                   see: linitctl why timer",
    ]
