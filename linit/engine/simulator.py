"""What would happen? Drives the real engine with virtual time and simulated processes.

Nothing here waits: `run` takes the next event off a queue, moves the clock to it and hands it to the engine. How a
service's processes behave is a `Behaviour`; all randomness of a campaign is in the seed of whoever makes these.
PID 1 never loads this module.
"""

from __future__ import annotations

import heapq
import itertools
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from linit.engine import effects, events
from linit.engine.engine import Engine
from linit.model.service import Kind, Plan, ReadinessKind, Service
from linit.model.state import Role, UnitState

SPAWN_S: Final = 0.001
FIRST_PID: Final = 100
FAILURE: Final = 1 << 8  # a wait status: exited with status 1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the processes of a service do. Times in seconds from the spawn (stop: from the signal)."""

    takes_s: float = 0.1  # until ready, or until a command ends
    status: int = 0  # the wait status with which commands and a oneshot's main command end
    spawn_error: str = ""  # the main command cannot be executed
    never_ready: bool = False
    dies_after_s: float | None = None  # the main process of a `process` service ends by itself
    death: int = FAILURE  # its wait status then
    stop_s: float = 0.05
    ignores_term: bool = False
    unkillable: bool = False
    leaves_child: bool = False  # another process outlives the main one until it is killed


@dataclass(slots=True)
class Process:
    """A simulated process. `role` None: a child that outlives its parent."""

    pid: int
    name: str
    role: Role | None


@dataclass(slots=True)
class Simulator:
    """An engine in a world of its own. `behaviours` may be changed between events; unlisted services are well-behaved.

    `trace` gets every effect with its time; `on_event` is called after each event, for checks.
    """

    plan: Plan
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    on_event: Callable[[Simulator, events.Event], None] | None = None
    now_s: float = 0.0
    trace: list[tuple[float, effects.Effect]] = field(default_factory=list)
    answers: dict[int, list[effects.Answer]] = field(default_factory=dict)
    finished: list[effects.AllDown] = field(default_factory=list)
    engine: Engine = field(init=False)
    processes: dict[int, Process] = field(default_factory=dict)
    handled: int = 0
    keep_trace: bool = True
    last_effects: tuple[effects.Effect, ...] = ()
    _queue: list[tuple[float, int, Callable[[], events.Event | None]]] = field(default_factory=list)
    _serial: itertools.count[int] = field(default_factory=itertools.count)
    _stale: set[int] = field(default_factory=set)  # timers in the queue that were disarmed
    _timers: dict[tuple[str, events.TimerKind], int] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.engine = Engine(self.plan)

    # -- what a person does --------------------------------------------------------------------------------------

    def request(
        self, verb: events.Verb, *names: str, cascade: bool = True, only: bool = False, caller: str = ""
    ) -> int:
        """Ask now; the answer lands in `answers[id]`."""
        number = next(self._ids)
        self.answers[number] = []
        self.tell(events.Request(number, verb, names, by="tester", cascade=cascade, only=only, caller=caller))
        return number

    def tell(self, event: events.Event) -> None:
        """Hand an event to the engine now, and perform what follows."""
        self.last_effects = self.engine.handle(event, self.now_s)
        for effect in self.last_effects:
            if self.keep_trace:
                self.trace.append((self.now_s, effect))
            self._perform(effect)
        self.handled += 1
        if self.on_event is not None:
            self.on_event(self, event)

    # -- time ----------------------------------------------------------------------------------------------------

    def run(self, until_s: float = float("inf"), most: int = 1_000_000) -> int:
        """Handle queued events up to a time; how many. Stops early when nothing is queued."""
        count = 0
        while self._queue and self._queue[0][0] <= until_s and count < most:
            at_s, serial, make = heapq.heappop(self._queue)
            if serial in self._stale:
                self._stale.discard(serial)
                continue
            self.now_s = max(self.now_s, at_s)
            event = make()
            if event is not None:
                self.tell(event)
                count += 1
        if until_s != float("inf"):
            self.now_s = max(self.now_s, until_s)
        return count

    @property
    def is_quiet(self) -> bool:
        """Will nothing more happen unless somebody asks?"""
        return len(self._queue) == len(self._stale)

    # -- what a person reads -------------------------------------------------------------------------------------

    def state(self, name: str) -> UnitState:
        """Where a service is."""
        return self.engine.units[name].state

    def states(self) -> Mapping[str, str]:
        """Where all are, as words."""
        return {name: unit.state.value for name, unit in self.engine.units.items()}

    def transitions(self, *states: UnitState) -> list[str]:
        """The services that entered one of `states`, in order."""
        return [
            effect.name for _, effect in self.trace if isinstance(effect, effects.Transition) and effect.after in states
        ]

    # -- the world -----------------------------------------------------------------------------------------------

    def _after(self, delay_s: float, make: Callable[[], events.Event | None]) -> int:
        serial = next(self._serial)
        heapq.heappush(self._queue, (self.now_s + delay_s, serial, make))
        return serial

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Spawn():
                self._spawn(effect)
            case effects.Signal():
                self._signal(effect.name, effect.signal, main_only=effect.to is effects.To.MAIN)
            case effects.KillAll():
                self._signal(effect.name, signal.SIGKILL, main_only=False)
                self._after(0.0, lambda: self._emptied(effect.name))
            case effects.WatchReadiness():
                self._watch(effect.service)
            case effects.ArmTimer():
                self._arm(effect.name, effect.kind, effect.delay_s)
            case effects.DisarmTimer():
                self._forget_timer(effect.name, effect.kind)
            case effects.Answer():
                self.answers.setdefault(effect.id, []).append(effect)
            case effects.AllDown():
                self.finished.append(effect)
            case _:
                pass

    def _arm(self, name: str, kind: events.TimerKind, delay_s: float) -> None:
        def fire() -> events.Event | None:
            del self._timers[name, kind]
            return events.TimerFired(name, kind)

        self._forget_timer(name, kind)
        self._timers[name, kind] = self._after(delay_s, fire)

    def _forget_timer(self, name: str, kind: events.TimerKind) -> None:
        serial = self._timers.pop((name, kind), None)
        if serial is not None:
            self._stale.add(serial)

    def behaviour(self, name: str) -> Behaviour:
        """How the processes of a service behave from their next spawn on."""
        return self.behaviours.get(name, WELL_BEHAVED)

    def _spawn(self, effect: effects.Spawn) -> None:
        name, role = effect.service.name, effect.role
        behaviour = self.behaviour(name)
        if behaviour.spawn_error and role is Role.MAIN:
            self._after(SPAWN_S, lambda: events.SpawnFailed(name, role, behaviour.spawn_error))
            return
        process = Process(FIRST_PID + next(self._serial), name, role)
        self.processes[process.pid] = process

        def started() -> events.Event | None:
            return events.Spawned(name, role, process.pid) if process.pid in self.processes else None

        self._after(SPAWN_S, started)
        if effect.service.kind is not Kind.PROCESS or role is not Role.MAIN:
            self._after(SPAWN_S + behaviour.takes_s, lambda: self._exit(process, behaviour.status))
        elif behaviour.dies_after_s is not None:
            self._after(SPAWN_S + behaviour.dies_after_s, lambda: self._exit(process, behaviour.death))
        if behaviour.leaves_child and role is Role.MAIN:
            child = Process(FIRST_PID + next(self._serial), name, None)
            self.processes[child.pid] = child

    def _watch(self, service: Service) -> None:
        behaviour = self.behaviour(service.name)
        main = next((p for p in self.processes.values() if p.name == service.name and p.role is Role.MAIN), None)
        if main is None or behaviour.never_ready or service.readiness.kind is ReadinessKind.NONE:
            return

        def ready() -> events.Event | None:
            return events.Ready(service.name) if main.pid in self.processes else None

        self._after(behaviour.takes_s, ready)

    def _signal(self, name: str, number: int, main_only: bool) -> None:
        behaviour = self.behaviour(name)
        if number == signal.SIGKILL and behaviour.unkillable:
            return
        if number != signal.SIGKILL and behaviour.ignores_term:
            return
        delay_s = SPAWN_S if number == signal.SIGKILL else behaviour.stop_s
        for process in list(self.processes.values()):
            if process.name == name and (not main_only or process.role is Role.MAIN):
                self._after(delay_s, lambda process=process: self._exit(process, number))  # type: ignore[misc]

    def _exit(self, process: Process, status: int) -> events.Event | None:
        if self.processes.pop(process.pid, None) is None:
            return None
        if process.role is None:
            return self._emptied(process.name)
        return events.Exited(process.name, process.role, status, left=self._is_populated(process.name))

    def _emptied(self, name: str) -> events.Event | None:
        return None if self._is_populated(name) else events.Emptied(name)

    def _is_populated(self, name: str) -> bool:
        return any(process.name == name for process in self.processes.values())


WELL_BEHAVED: Final = Behaviour()
