"""What is looked after in virtual time besides processes that come and go; see `linit.engine.simulator`.

How a service's processes behave, and what follows for readiness, conditions, health, daemons in the background and
triggers. PID 1 never loads this module.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from linit.engine import effects, events
from linit.engine.unit import Unit
from linit.model.service import ReadinessKind, Service
from linit.model.state import Role, UnitState

if TYPE_CHECKING:
    from linit.engine.simulator import Simulator

SPAWN_S: Final = 0.001
FAILURE: Final = 1 << 8  # a wait status: exited with status 1
UNWELL: Final = "its health check failed 3 times"

Happening = Callable[[], events.Event | None]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the processes of a service do. Times in seconds from the spawn (stop: from the signal)."""

    takes_s: float = 0.1  # until ready, or until a command ends
    status: int = 0  # the wait status with which commands and a oneshot's main command end
    spawn_error: str = ""  # the main command cannot be executed, nor the one that reloads; a trigger cannot be armed
    never_ready: bool = False
    readiness_error: str = ""  # after `takes_s` it is certain that it will never be ready, and why
    dies_after_s: float | None = None  # the main process of a `process` service ends by itself
    death: int = FAILURE  # its wait status then
    stop_s: float = 0.05
    ignores_term: bool = False
    unkillable: bool = False
    leaves_child: bool = False  # another process outlives the main one until it is killed
    emptied_late_s: float = 0.0  # how late it is noticed that none of its processes is left
    condition: str = ""  # of its `when`: which is not met
    no_main: str = ""  # of a forking service: why its daemon is not found
    unwell_after_s: float | None = None  # since it is up: its health check has failed too often
    sees_after_s: float | None = None  # of a trigger: since it is armed and its service rests, again and again


@dataclass(slots=True)
class Process:
    """A simulated process. `role` None: a child that outlives its parent. `run_at_s`: when the start of the service
    began that it is from."""

    pid: int
    name: str
    role: Role | None
    run_at_s: float | None = None


class Population(UserDict[int, Process]):
    """All processes by pid, and those of each service."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[int, Process]] = {}
        super().__init__()

    def __setitem__(self, pid: int, process: Process) -> None:
        super().__setitem__(pid, process)
        self._by_name.setdefault(process.name, {})[pid] = process

    def __delitem__(self, pid: int) -> None:
        own = self._by_name[self.data[pid].name]
        super().__delitem__(pid)
        del own[pid]

    def of(self, name: str) -> tuple[Process, ...]:
        """Those of a service, the oldest first."""
        return tuple(self._by_name.get(name, {}).values())


class Attended:
    """The part of a simulated world that answers for what the runtime looks after."""

    def __init__(self, world: Simulator) -> None:
        self.armed: dict[str, Service] = {}  # triggers
        self._open: dict[str, None] = {}  # of these: who has said so, and looks out
        self.watched: dict[str, None] = {}  # whose health is looked after
        self._unwatched: dict[str, int] = {}  # how often nobody was interested in an answer any more
        self._world = world

    # -- what happens --------------------------------------------------------------------------------------------

    def trigger(self, name: str, text: str = "a client") -> None:
        """A trigger sees what it waits for, if it is armed."""
        if name in self._open:
            self._world.tell(events.Triggered(name, text))

    def sicken(self, name: str, text: str = UNWELL) -> None:
        """A service is not well any more, if somebody looks after its health."""
        if name in self.watched:
            self._world.tell(events.Unhealthy(name, text))

    def hand_over(self, name: str) -> None:
        """The main process of a service says that another one is from now on (MAINPID=); it ends a little later."""
        main = self._world.main_of(name)
        if main is not None:
            main.role = None
            successor = self._world.new_process(name, Role.MAIN)
            self._world.after(SPAWN_S, lambda: self._world.exit(main, 0))
            self._world.tell(events.MainFound(name, successor.pid))

    # -- what is ordered -----------------------------------------------------------------------------------------

    def perform(self, effect: effects.Effect) -> None:
        """Do what an effect asks for, if it is about any of this."""
        match effect:
            case effects.WatchReadiness():
                self._watch(effect.service)
            case effects.UnwatchReadiness():
                self._unwatched[effect.name] = self._unwatched.get(effect.name, 0) + 1
            case effects.FindMain():
                self._find_main(effect.service.name)
            case effects.CheckConditions():
                self._check_conditions(effect.service.name)
            case effects.WatchHealth():
                self._watch_health(effect.service.name)
            case effects.UnwatchHealth():
                self.watched.pop(effect.name, None)
            case effects.Arm():
                self._arm_trigger(effect.service)
            case effects.Disarm():
                self.armed.pop(effect.name, None)
                self._open.pop(effect.name, None)
            case effects.Transition(after=after) if after.is_at_rest_down and not effect.before.is_at_rest_down:
                for name in [each.name for each in self.armed.values() if each.activates == effect.name]:
                    self._look_out(name)
            case _:
                pass

    def resume(self, unit: Unit) -> None:
        """Go on with a unit from where it stands."""
        service = unit.service
        if service.kind.is_trigger and unit.state in (UnitState.STARTING, UnitState.UP):
            self._arm_trigger(service)
        elif unit.state is UnitState.UP and (service.health is not None or service.watchdog_s is not None):
            self._watch_health(service.name)
        elif unit.checking:
            self._check_conditions(service.name)
        elif unit.searching:
            self._find_main(service.name)

    def _find_main(self, name: str) -> None:
        behaviour = self._world.behaviour(name)
        processes = self._world.processes
        daemon = next((each for each in processes.of(name) if each.role is None), None)

        def found() -> events.Event | None:
            if behaviour.no_main or daemon is None or daemon.pid not in processes:
                return events.ReadinessFailed(name, behaviour.no_main or "its command ended and left no process")
            daemon.role = Role.MAIN
            if behaviour.dies_after_s is not None:
                self._world.after(behaviour.dies_after_s, lambda: self._world.exit(daemon, behaviour.death))
            return events.MainFound(name, daemon.pid)

        self._world.after(SPAWN_S, self._while_asked(name, found))

    def _check_conditions(self, name: str) -> None:
        def checked() -> events.Event:
            return events.ConditionsChecked(name, self._world.behaviour(name).condition)

        self._world.after(SPAWN_S, self._while_asked(name, checked))

    def _watch_health(self, name: str) -> None:
        self.watched[name] = None
        after_s = self._world.behaviour(name).unwell_after_s
        main = self._world.main_of(name)
        if after_s is None or main is None:
            return

        def unwell() -> events.Event | None:
            is_meant = name in self.watched and main.pid in self._world.processes
            return events.Unhealthy(name, UNWELL) if is_meant else None

        self._world.after(after_s, unwell)

    def _arm_trigger(self, service: Service) -> None:
        """It is armed at once; the engine is told a little later."""
        name = service.name
        error = self._world.behaviour(name).spawn_error
        if error:
            self._world.after(SPAWN_S, lambda: events.SpawnFailed(name, Role.MAIN, error))
            return
        self.armed[name] = service

        def ready() -> events.Event | None:
            if self.armed.get(name) is service:
                self._open[name] = None
            return events.Ready(name)

        self._world.after(SPAWN_S, ready)
        self._world.after(SPAWN_S, lambda: self._look_out(name))

    def _look_out(self, name: str) -> None:
        """A trigger sees something after a while, if its service still rests then."""
        after_s = self._world.behaviour(name).sees_after_s
        since_s = self._rests_since_s(name)
        if after_s is None or since_s is None:
            return

        def sees() -> events.Event | None:
            return events.Triggered(name, "what it waits for") if self._rests_since_s(name) == since_s else None

        self._world.after(after_s, sees)

    def _rests_since_s(self, name: str) -> float | None:
        """Since when the service rests that an armed trigger starts; None when that is not so."""
        target = self._world.engine.units.get(self.armed[name].activates) if name in self._open else None
        return target.changed_at_s if target is not None and target.state.is_at_rest_down else None

    def _watch(self, service: Service) -> None:
        behaviour = self._world.behaviour(service.name)
        main = self._world.main_of(service.name)
        if main is None or behaviour.never_ready or service.readiness.kind is ReadinessKind.NONE:
            return

        def ready() -> events.Event | None:
            if self._world.main_of(service.name) is None:
                return None
            if behaviour.readiness_error:
                return events.ReadinessFailed(service.name, behaviour.readiness_error)
            return events.Ready(service.name)

        self._world.after(behaviour.takes_s, self._world.of_its_own(main, self._while_asked(service.name, ready)))

    def reread(self, name: str) -> None:
        """Its main process reads its configuration again, and says so."""
        main = self._world.main_of(name)
        if main is not None:
            lives = self._world.processes
            told = self._world.of_its_own(main, lambda: events.Reloaded(name) if main.pid in lives else None)
            self._world.after(self._world.behaviour(name).takes_s, told)

    def _while_asked(self, name: str, make: Happening) -> Happening:
        """An answer that is not given once nobody is interested in it any more."""
        asked = self._unwatched.get(name, 0)
        return lambda: make() if self._unwatched.get(name, 0) == asked else None
