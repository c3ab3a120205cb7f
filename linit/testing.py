"""Tests of service graphs: boots of definitions by the real engine, in virtual time, on any machine.

    from linit.testing import simulate

    def test_without_the_database_there_is_no_shop() -> None:
        boot = simulate("services/")
        boot.fail("db")
        assert boot.state("shop") == "failed"
        assert boot.time_to("sshd") < 4

What is said before the first question (`fail`, `hang`, `takes` ...) holds for the boot; the first question, wish or
crash lets it run until everything is at rest. Nothing is started on this machine and nobody waits: a boot of a minute
takes milliseconds. No pytest is needed; any `assert` will do. With `linit.pytest_plugin` a test that fails shows
what happened.
"""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from linit import compiler
from linit.engine import events, explain
from linit.engine.effects import BootFinished
from linit.engine.simulator import Simulator
from linit.model.paths import Paths
from linit.model.place import Severity
from linit.model.runlevel import DEFAULT_RUNLEVEL
from linit.model.service import Plan, Service
from linit.model.state import Finish, Role, UnitState
from linit.planning import durations as measured
from linit.planning import world
from linit.planning.durations import ASSUMED_S, Durations
from linit.planning.world import PATIENCE_S

NEVER_S: Final = 1e9  # how long a command takes that hangs

Known = Mapping[str, float] | str | os.PathLike[str]  # durations in seconds by name, or a file of them


def simulate(
    services: str | os.PathLike[str] = "",
    *,
    root: str | os.PathLike[str] = "",
    runlevel: str = DEFAULT_RUNLEVEL,
    durations: Known | None = None,
    assumed_s: float = ASSUMED_S,
) -> Boot:
    """A machine with the definitions in a folder, about to boot `runlevel`.

    `services`: a folder of definitions, whose `runlevels/` says what is enabled; or one like that of `linit --user`,
    which has `services/` and `runlevels/`. Where there are no runlevels every service is wanted. `root` instead: the
    root of a machine (an image), read as it would read itself.

    `durations`: of starts, in seconds by name, or a file of them (`linitctl report --json`); others take `assumed_s`.
    Raises FileNotFoundError, `durations.DurationsError`, `world.UnknownName`.
    """
    if durations is None or isinstance(durations, Mapping):
        known = measured.read(dict(durations or {}), "durations")
    else:
        known = measured.load(os.fspath(durations))
    place = _place(os.fspath(services), os.fspath(root))
    return Boot(compiler.build(place), runlevel, Durations(known, assumed_s))


def _place(services: str, root: str) -> compiler.Place:
    """Where the definitions lie. Raises FileNotFoundError and ValueError."""
    if bool(services) is bool(root):
        raise ValueError("either a folder of definitions or the root of a machine")
    folder = os.path.abspath(services or root)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder}: no such folder")
    if root:
        return compiler.Place(Paths.system(), "" if folder == "/" else folder)
    if os.path.isdir(f"{folder}/services"):
        return compiler.Place(Paths.user(folder))
    paths = replace(Paths.user(folder), services=(folder,), runlevels=f"{folder}/runlevels")
    return compiler.Place(paths)


class Boot:
    """A machine in virtual time. Times are seconds since its boot began; states are the words of `linitctl list`.

    A name that nobody defined raises `world.UnknownName`; a fault that a service cannot have, ValueError.
    """

    def __init__(self, plan: Plan, runlevel: str = DEFAULT_RUNLEVEL, durations: Durations | None = None) -> None:
        self.plan = plan
        self.durations = durations or Durations()
        self.world: Simulator = world.of(plan, self.durations)
        self._runlevel = runlevel
        self._has_begun = False
        for observer in _observers:
            observer(self)

    # -- how processes behave from their next start on -----------------------------------------------------------

    def fail(self, name: str, status: int = 1) -> None:
        """Its start fails: commands end with `status`, a daemon before it is ready.

        A process without `ready` counts as up as soon as it runs: it comes up, and ends at once.
        """
        service = self._runs(name)
        self.world.behaviours[name] = measured.failing(service, self.world.behaviour(name), status)

    def miss(self, name: str) -> None:
        """Its program cannot be executed."""
        self._runs(name)
        self._behave(name, spawn_error="execve: ENOENT")

    def hang(self, name: str) -> None:
        """Its start does not end: a command runs on, a daemon is never ready. Its start timeout is all that helps."""
        service = self._runs(name)
        if not measured.steps(service):
            raise ValueError(f"{name} cannot hang: without `ready` it is up as soon as it runs")
        self._behave(name, takes_s=NEVER_S, never_ready=True)

    def takes(self, name: str, seconds: float) -> None:
        """Its start takes this long."""
        service = self._runs(name)
        if not measured.steps(service):
            raise ValueError(f"{name} takes no time: without `ready` it is up as soon as it runs")
        self.world.behaviours[name] = Durations({name: seconds}).behaviour(service)

    def ignore_term(self, name: str) -> None:
        """Its processes ignore every stop signal but KILL."""
        self._runs(name)
        self._behave(name, ignores_term=True)

    def unmet(self, name: str) -> None:
        """The first of its conditions (`when`) is not met. All others are, and those of services not named here."""
        service = self._service(name)
        if not service.when:
            raise ValueError(f"{name} has no conditions (key: when)")
        self._behave(name, condition=str(service.when[0]))

    def heal(self, name: str) -> None:
        """It behaves again. What failed meanwhile stays failed until somebody starts it."""
        self.world.behaviours[name] = self.durations.behaviour(self._runs(name))

    # -- what happens --------------------------------------------------------------------------------------------

    def crash(self, name: str, signal: int = signals.SIGKILL) -> None:
        """Its main process is killed, now. It respawns as its definition says; after `fail` it cannot."""
        self._runs(name)
        self.run()
        main = self.world.main_of(name)
        if main is None:
            raise ValueError(f"{name} has no process that could crash: {self.why(name)}")
        del self.world.processes[main.pid]
        left = self.world.is_populated(name)
        self.world.tell(events.Exited(name, Role.MAIN, signal, left))
        world.settle(self.world)

    def unhealthy(self, name: str) -> None:
        """Its health probe has failed as often as it may, or its watchdog was not fed, now."""
        service = self._service(name)
        if service.health is None and service.watchdog_s is None:
            raise ValueError(f"nobody asks whether {name} is well (keys: health, watchdog)")
        self.run()
        if name not in self.world.attended.watched:
            raise ValueError(f"{name} is not up: {self.why(name)}")
        self.world.attended.sicken(name)
        world.settle(self.world)

    def trigger(self, name: str, what: str = "a client") -> None:
        """A trigger sees something, now: a client of `web.socket`, the time of `job.timer`, the path of `job.watch`.

        Nothing happens where its service runs already.
        """
        service = self._service(name)
        if not service.kind.is_trigger:
            raise ValueError(f"{name} is a {service.kind.value}: it starts nothing by itself")
        self.run()
        if name not in self.world.attended.armed:
            raise ValueError(f"{name} is not up, so it sees nothing: {self.why(name)}")
        self.world.attended.trigger(name, what)
        world.settle(self.world)

    def start(self, *names: str) -> str:
        """`linitctl start`: done, failed or superseded."""
        return self._ask(events.Verb.START, *names)

    def stop(self, *names: str, cascade: bool = True) -> str:
        """`linitctl stop`; with `cascade` False it is refused (failed) where others would stop as well."""
        return self._ask(events.Verb.STOP, *names, cascade=cascade)

    def restart(self, *names: str, only: bool = False) -> str:
        """`linitctl restart`; `only` leaves those alone that need them."""
        return self._ask(events.Verb.RESTART, *names, only=only)

    def switch(self, runlevel: str) -> str:
        """`linitctl runlevel NAME`."""
        return self._ask(events.Verb.RUNLEVEL, runlevel)

    def shut_down(self) -> float:
        """Stop everything; how many seconds that took."""
        self.run()
        began_s = self.world.now_s
        self.world.tell(events.Shutdown(Finish.POWEROFF, by="tester"))
        world.settle(self.world)
        downs = [each.at_s for each in world.transitions(self.world) if each.at_s >= began_s]
        return max(downs, default=began_s) - began_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.run()
        self.world.run(until_s=self.world.now_s + seconds)

    def run(self) -> None:
        """Boot, if that has not begun, until everything is at rest (at most 15 virtual minutes)."""
        if not self._has_begun:
            self._has_begun = True
            world.begin(self.world, self._runlevel)
            world.settle(self.world, PATIENCE_S)

    # -- what there is to see ------------------------------------------------------------------------------------

    def state(self, name: str) -> str:
        """Where a service is now: down, waiting, starting, up, stopping, backoff or failed."""
        self.run()
        self._service(name)
        return self.world.state(name).value

    def states(self) -> dict[str, str]:
        """Where all are, by name."""
        self.run()
        return dict(self.world.states())

    def failed(self) -> tuple[str, ...]:
        """The names of those that have failed, sorted."""
        return tuple(sorted(name for name, state in self.states().items() if state == UnitState.FAILED.value))

    def time_to(self, name: str) -> float:
        """When a service first came up, in seconds. Raises AssertionError, saying why, if it never did."""
        self.run()
        self._service(name)
        times_s = world.first_up_s(self.world)
        assert name in times_s, f"{name} never came up: {self.why(name)}"
        return times_s[name]

    def total(self) -> float:
        """When the boot was over, in seconds. Raises AssertionError if it never was."""
        self.run()
        ends_s = [effect.at_s for _, effect in self.world.trace if isinstance(effect, BootFinished)]
        assert ends_s, f"the boot has no end: {self.why(self._runlevel)}"
        return ends_s[0]

    def order(self) -> tuple[str, ...]:
        """What came up (without runlevels and virtual names), in the order in which it first did."""
        self.run()
        ups = world.first_up_s(self.world)
        return tuple(name for name in ups if self._service(name).kind not in world.NAMING_KINDS)

    def stops(self) -> tuple[str, ...]:
        """What went down, in that order; a name as often as it did."""
        self.run()
        downs = (each.name for each in world.transitions(self.world) if each.before is UnitState.STOPPING)
        return tuple(name for name in downs if self._service(name).kind not in world.NAMING_KINDS)

    def restarts(self, name: str) -> int:
        """How often it was respawned since somebody last started it."""
        self.run()
        self._service(name)
        return self.world.engine.units[name].restarts

    def why(self, name: str) -> str:
        """Why a service is where it is, down to the root cause: `shop failed: needs db, which failed. db failed: …`."""
        self.run()
        self._service(name)
        links = explain.chain(self.world.engine, name)
        return " ".join(f"{link['name']} {_is(link['state'])}: {link['text']}." for link in links)

    def story(self) -> str:
        """What happened so far, a line for each change: `  0.100 s  db: up (ready)`. Without runlevels and the like."""
        changes = world.transitions(self.world)
        shown = (each for each in changes if self._service(each.name).kind not in world.NAMING_KINDS)
        return "\n".join(f"{each.at_s:9.3f} s  {each.name}: {each.after.value} ({each.reason})" for each in shown)

    def faults(self, *severities: str) -> tuple[str, ...]:
        """What is wrong with the definitions (`error`, `warning`, `note`; errors if none is named), as texts."""
        wanted = {Severity(each) for each in severities or ("error",)}
        return tuple(str(fault) for fault in self.plan.faults if fault.severity in wanted)

    # -- inside --------------------------------------------------------------------------------------------------

    def _ask(self, verb: events.Verb, *names: str, cascade: bool = True, only: bool = False) -> str:
        self.run()
        for name in names:
            self._service(name)
        number = self.world.request(verb, *names, cascade=cascade, only=only)
        world.settle(self.world)
        return world.outcome(self.world, number)

    def _service(self, name: str) -> Service:
        unit = self.world.engine.units.get(name)
        if unit is None:
            raise world.UnknownName(f"no service is called {name!r}")
        return unit.service

    def _runs(self, name: str) -> Service:
        service = self._service(name)
        if service.kind not in world.RUNNING_KINDS:
            raise ValueError(f"{name} is a {service.kind.value} and runs nothing: say this of what it stands for")
        return service

    def _behave(self, name: str, **changes: object) -> None:
        self.world.behaviours[name] = replace(self.world.behaviour(name), **changes)  # type: ignore[arg-type]


_observers: list[Callable[[Boot], None]] = []


def observe(observer: Callable[[Boot], None]) -> None:
    """Have each machine shown to `observer` when it is made."""
    _observers.append(observer)


def _is(state: str) -> str:
    return "failed" if state == UnitState.FAILED.value else f"is {state}"
