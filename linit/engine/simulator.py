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
from linit.engine.simulated import FAILURE, SPAWN_S, Attended, Behaviour, Population, Process
from linit.model.service import Kind, Plan, Service
from linit.model.state import Outcome, Role, UnitState

FIRST_PID: Final = 100
ONLY: Final = {effects.To.MAIN: Role.MAIN, effects.To.RELOAD: Role.RELOAD}


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
    attended: Attended = field(init=False)
    processes: Population = field(default_factory=Population)
    handled: int = 0
    keep_trace: bool = True
    last_effects: tuple[effects.Effect, ...] = ()
    _queue: list[tuple[float, int, Callable[[], events.Event | None]]] = field(default_factory=list)
    _serial: itertools.count[int] = field(default_factory=itertools.count)
    _stale: set[int] = field(default_factory=set)  # timers in the queue that were disarmed
    _timers: dict[tuple[str, events.TimerKind], int] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _askers: dict[int, int] = field(default_factory=dict)  # request -> the process that waits for its answer
    _locks: dict[int, int] = field(default_factory=dict)  # lock asked for -> the process that has it or waits for it
    _put_off: dict[int, list[Callable[[], events.Event | None]]] = field(default_factory=dict)  # by such a process

    def __post_init__(self) -> None:
        self.engine = Engine(self.plan)
        self.attended = Attended(self)

    # -- what a person does --------------------------------------------------------------------------------------

    def request(
        self,
        verb: events.Verb,
        *names: str,
        cascade: bool = True,
        only: bool = False,
        caller: str = "",
        waits: bool = True,
        by: str = "tester",
    ) -> int:
        """Ask now; the answer lands in `answers[id]`. A script of `caller` that waits does nothing else meanwhile."""
        number = self._number(caller, waits)
        held = self._held_by(caller)
        self.tell(events.Request(number, verb, names, by, cascade, only, caller, waits, held))
        return number

    def run_transient(self, service: Service, caller: str = "", waits: bool = True, by: str = "tester") -> int:
        """Run a service that nobody wrote down; the answer lands in `answers[id]`."""
        number = self._number(caller, waits)
        self.tell(events.RunTransient(number, service, by, caller, waits, self._held_by(caller)))
        return number

    def lock(self, name: str, caller: str = "", waits: bool = True, by: str = "tester") -> int:
        """Ask for a lock; the answer lands in `answers[id]`. What a process of `caller` took ends with that process."""
        number = self._number(caller, waits)
        held = self._held_by(caller)
        asker = self._newest(caller)
        if asker is not None:
            self._locks[number] = asker.pid
        self.tell(events.LockAsked(number, name, by, caller, waits, held))
        return number

    def unlock(self, number: int) -> None:
        """Let go of a lock, or of the wish for it."""
        self._locks.pop(number, None)
        self.tell(events.LockReleased(number))

    def _held_by(self, caller: str) -> tuple[int, ...]:
        """The locks held by the process of `caller` that asks."""
        asker = self._newest(caller)
        return tuple(number for number, pid in self._locks.items() if asker is not None and pid == asker.pid)

    def _newest(self, caller: str) -> Process | None:
        """The process of a service that asks for things: its newest."""
        found = [process for process in self.processes.of(caller) if process.role]
        return found[-1] if found else None

    def load(self, plan: Plan, *, start_enabled: bool = True, by: str = "tester") -> int:
        """Replace the plan now; the answer lands in `answers[id]`."""
        number = self._number()
        self.tell(events.PlanLoaded(number, plan, by, start_enabled))
        return number

    def _number(self, caller: str = "", waits: bool = True) -> int:
        """The id of a new request, and who waits for its answer: the newest process of `caller`."""
        number = next(self._ids)
        self.answers[number] = []
        asker = self._newest(caller)
        if asker is not None and waits:
            self._askers[number] = asker.pid
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

    def end(self, name: str, status: int) -> None:
        """All processes of a service end now, whoever or whatever ended them: also those that could not be killed."""
        for process in self.processes.of(name):
            event = self.exit(process, status)
            if event is not None:
                self.tell(event)

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

    def is_awaited(self, number: int) -> bool:
        """Does the process of a service that asked still live, and wait for the answer to this request?"""
        return self._askers.get(number) in self.processes

    def is_armed(self, name: str, kind: events.TimerKind) -> bool:
        """Will this timer fire?"""
        return (name, kind) in self._timers

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

    def after(self, delay_s: float, make: Callable[[], events.Event | None]) -> int:
        """Have something happen later; the number of that in the queue."""
        serial = next(self._serial)
        heapq.heappush(self._queue, (self.now_s + delay_s, serial, make))
        return serial

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Spawn():
                self._spawn(effect)
            case effects.Signal():
                self._signal(effect.name, effect.signal, ONLY.get(effect.to))
            case effects.KillAll():
                self._signal(effect.name, signal.SIGKILL)
                self.after(self.behaviour(effect.name).emptied_late_s, lambda: self._emptied(effect.name))
            case effects.ArmTimer():
                self._arm(effect.name, effect.kind, effect.delay_s)
            case effects.DisarmTimer():
                self._forget_timer(effect.name, effect.kind)
            case effects.Answer():
                self.answers.setdefault(effect.id, []).append(effect)
                if effect.outcome is not Outcome.DONE:
                    self._locks.pop(effect.id, None)
                self._let_go_on(effect.id)
            case effects.AllDown():
                self.finished.append(effect)
            case _:
                self.attended.perform(effect)

    def _arm(self, name: str, kind: events.TimerKind, delay_s: float) -> None:
        def fire() -> events.Event | None:
            del self._timers[name, kind]
            return events.TimerFired(name, kind)

        self._forget_timer(name, kind)
        self._timers[name, kind] = self.after(delay_s, fire)

    def _let_go_on(self, number: int) -> None:
        """The process that waited for this answer does now what it had put off."""
        pid = self._askers.pop(number, None)
        if pid is not None and pid not in self._askers.values():
            for make in self._put_off.pop(pid, ()):
                self.after(0.0, make)

    def of_its_own(
        self, process: Process, make: Callable[[], events.Event | None]
    ) -> Callable[[], events.Event | None]:
        """What a process does by itself: not while it waits for an answer."""

        def act() -> events.Event | None:
            if process.pid not in self._askers.values():
                return make()
            if process.pid in self.processes:
                self._put_off.setdefault(process.pid, []).append(act)
            return None

        return act

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
        if behaviour.spawn_error and role in (Role.MAIN, Role.RELOAD):
            self.after(SPAWN_S, lambda: events.SpawnFailed(name, role, behaviour.spawn_error))
            return
        process = self.new_process(name, role)

        def started() -> events.Event | None:
            return events.Spawned(name, role, process.pid) if process.pid in self.processes else None

        self.after(SPAWN_S, started)
        if effect.service.kind is Kind.FORKING and role is Role.MAIN:
            end = self.of_its_own(process, lambda: self.go_to_background(process, behaviour.status))
            self.after(SPAWN_S + behaviour.takes_s, end)
        elif effect.service.kind is not Kind.PROCESS or role is not Role.MAIN:
            end = self.of_its_own(process, lambda: self.exit(process, behaviour.status))
            self.after(SPAWN_S + behaviour.takes_s, end)
        elif behaviour.dies_after_s is not None:
            self.after(SPAWN_S + behaviour.dies_after_s, lambda: self.exit(process, behaviour.death))
        if behaviour.leaves_child and role is Role.MAIN:
            self.new_process(name, None)

    def new_process(self, name: str, role: Role | None) -> Process:
        """One more process of a service."""
        unit = self.engine.units.get(name)
        process = Process(FIRST_PID + next(self._serial), name, role, unit.run_at_s if unit is not None else None)
        self.processes[process.pid] = process
        return process

    def main_of(self, name: str) -> Process | None:
        """The main process of a service."""
        return next((each for each in self.processes.of(name) if each.role is Role.MAIN), None)

    def go_to_background(self, process: Process, status: int) -> events.Event | None:
        """The command of a forking service ends; with success, a daemon of it remains."""
        if status == 0 and process.pid in self.processes:
            self.new_process(process.name, None)
        return self.exit(process, status)

    def _signal(self, name: str, number: int, only: Role | None = None) -> None:
        behaviour = self.behaviour(name)
        if number == signal.SIGKILL and behaviour.unkillable:
            return
        unit = self.engine.units.get(name)
        if unit is not None and number == unit.service.reload_signal:
            if unit.service.reload_notifies and not behaviour.never_ready:
                self.attended.reread(name)
            return  # handled, and survived
        if number != signal.SIGKILL and behaviour.ignores_term:
            return
        delay_s = SPAWN_S if number == signal.SIGKILL else behaviour.stop_s
        for process in self.processes.of(name):
            if only in (None, process.role):
                self.after(delay_s, lambda process=process: self.exit(process, number))  # type: ignore[misc]

    def exit(self, process: Process, status: int) -> events.Event | None:
        """A process ends; what the engine is told of it."""
        if self.processes.pop(process.pid, None) is None:
            return None
        for number in [number for number, pid in self._locks.items() if pid == process.pid]:
            del self._locks[number]
            self.after(0.0, lambda number=number: events.LockReleased(number))  # type: ignore[misc]
        if process.role is None:
            return self._emptied(process.name)
        return events.Exited(process.name, process.role, status, left=self.is_populated(process.name))

    def _emptied(self, name: str) -> events.Event | None:
        return None if self.is_populated(name) else events.Emptied(name)

    def is_populated(self, name: str) -> bool:
        """Is a process of the service left?"""
        return bool(self.processes.of(name))


WELL_BEHAVED: Final = Behaviour()

__all__ = ["FAILURE", "SPAWN_S", "Behaviour", "Process", "Simulator"]
