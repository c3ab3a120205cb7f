"""Does a scenario keep every promise? Plays it in the simulator and checks the invariants on the way.

After every event what it touched and its neighbours are checked, and everything after every `FULL_EVERY`-th event and
at the end; `thorough` checks everything after every event.
"""

from __future__ import annotations

import heapq
import itertools
import traceback
from collections.abc import Callable
from typing import Any, Final

from linit.engine import events
from linit.engine.events import Verb
from linit.engine.simulator import Simulator
from linit.model.service import Kind
from linit.model.state import Role, UnitState
from tests.simulation import graphs, invariants
from tests.simulation.moment import Moment
from tests.simulation.scenario import (
    Action,
    Ask,
    Become,
    Die,
    End,
    HandOver,
    Impossible,
    Keys,
    Late,
    Lock,
    Replace,
    Run,
    Say,
    Scenario,
    See,
    Sicken,
    compiled,
)
from tests.simulation.seen import Seen

FULL_EVERY: Final = 32
MOST_EVENTS: Final = 20_000  # a run that takes more goes round in circles


class Violation(AssertionError):
    """An invariant did not hold. `invariant` is its name; `where` the traceback of a bug in the engine itself."""

    def __init__(self, invariant: str, text: str, where: str = "") -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.where = where


def play(
    scenario: Scenario,
    *,
    thorough: bool = False,
    only: str = "",
    world_type: Callable[..., Simulator] = Simulator,
    trace: bool = False,
) -> Played:
    """Run it from the boot to the end of a shutdown, under all invariants or the `only` one. Raises Violation, or
    Impossible for a scenario that cannot be."""
    played = Played(scenario, world_type, trace)
    played.full_every = 1 if thorough else FULL_EVERY
    played.keep(only)
    try:
        played.run()
    except (Violation, Impossible):
        raise
    except Exception as bug:
        at = traceback.extract_tb(bug.__traceback__)[-1].name
        raise Violation("the_engine_runs", f"{type(bug).__name__} in {at}: {bug}", traceback.format_exc()) from bug
    return played


class Played:
    """A run: its `world`, and what was `seen` in it."""

    def __init__(self, scenario: Scenario, world_type: Callable[..., Simulator], trace: bool) -> None:
        self.scenario = scenario
        self.definitions: dict[str, Keys] = dict(scenario.services)
        self.world = world_type(
            compiled(self.definitions), dict(scenario.behaviours), on_event=self._check, keep_trace=trace
        )
        self.seen = Seen(self.world.plan)
        self.full_every = FULL_EVERY
        self._of_an_event, self._of_a_unit = invariants.OF_AN_EVENT, invariants.OF_A_UNIT
        self._of_all, self._at_the_end = invariants.OF_ALL, invariants.AT_THE_END
        self._serial = itertools.count()
        self._due: list[tuple[float, int, Callable[[], Any]]] = []

    def keep(self, only: str) -> None:
        """Check nothing but this one; "" for all."""
        if only:
            self._of_an_event = tuple(check for check in self._of_an_event if check.__name__ == only)
            self._of_a_unit = tuple(check for check in self._of_a_unit if check.__name__ == only)
            self._of_all = tuple(check for check in self._of_all if check.__name__ == only)
            self._at_the_end = tuple(check for check in self._at_the_end if check.__name__ == only)

    def run(self) -> None:
        """All of it."""
        for action in self.scenario.actions:
            self._at(action.at_s, lambda action=action: self._do(action))  # type: ignore[misc]
        self._do(Ask(0.0, Verb.START, (self.scenario.target,)))
        while self._due:
            at_s, _, act = heapq.heappop(self._due)
            self._run(at_s)
            act()
        self._run(self.scenario.end_s)
        if not self.world.finished:
            self._do(End(self.world.now_s))
        self._run(float("inf"))
        self._check_all(Moment(self.world, self.seen, None), (*self._of_all, *self._at_the_end))

    def _at(self, at_s: float, act: Callable[[], Any]) -> None:
        heapq.heappush(self._due, (at_s, next(self._serial), act))

    def _run(self, until_s: float) -> None:
        if self.world.run(until_s, most=MOST_EVENTS) >= MOST_EVENTS:
            raise Violation("it_gets_quiet", f"{MOST_EVENTS} events and no end: {self.world.states()}")

    # -- what happens --------------------------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        if self.world.finished:
            return  # the machine is off
        match action:
            case Ask():
                self._ask(action)
            case Become():
                self.world.behaviours[action.name] = action.behaviour
            case Die():
                self.world.end(action.name, action.status)
            case Replace():
                self._replace(action)
            case Late():
                if not self._is_timely(action.event):
                    self.world.tell(action.event)
            case See():
                self.world.attended.trigger(action.name, action.text)
            case Sicken():
                self.world.attended.sicken(action.name)
            case Say():
                if self.world.is_populated(action.event.name):
                    self.world.tell(action.event)
            case HandOver():
                self._hand_over(action.name)
            case Run():
                if self._is_there(action.caller):
                    service = graphs.service(action.name, **action.keys)
                    self.world.run_transient(service, action.caller, action.waits)
            case Lock():
                self._lock(action)
            case End():
                self.world.tell(events.Shutdown(action.finish, "tester"))

    def _is_timely(self, event: events.Event) -> bool:
        """Is it an event that means something now, so that only the world itself may say it?"""
        unit = self.world.engine.units.get(getattr(event, "name", ""))
        match event:
            case events.TimerFired(name=name, kind=kind):
                return self.world.is_armed(name, kind)  # anew: the runtime has one of a kind, an old one is gone
            case events.Emptied(name=name):
                return self.world.is_populated(name)  # the runtime looks before it says so
            case events.Spawned(role=role) | events.SpawnFailed(role=role) | events.Exited(role=role):
                return unit is not None and role in unit.running
            case events.MainFound():
                return unit is not None and (unit.searching or Role.MAIN in unit.running)
            case events.Unhealthy(name=name):
                return name in self.world.attended.watched
            case events.Triggered(name=name):
                return name in self.world.attended.armed
            case events.Ready() | events.ReadinessFailed():
                return unit is not None and unit.state is UnitState.STARTING
        return False

    def _hand_over(self, name: str) -> None:
        unit = self.world.engine.units.get(name)
        is_daemon = unit is not None and (unit.service.kind is Kind.PROCESS or unit.found)
        if is_daemon and unit is not None and Role.MAIN in unit.pids:
            self.world.attended.hand_over(name)

    def _is_there(self, caller: str) -> bool:
        return not caller or any(process.name == caller and process.role for process in self.world.processes.values())

    def _ask(self, ask: Ask) -> None:
        if self._is_there(ask.caller):
            self.world.request(
                ask.verb,
                *ask.names,
                cascade=ask.cascade,
                only=ask.only,
                caller=ask.caller,
                waits=ask.waits,
                by=ask.by,
            )

    def _replace(self, action: Replace) -> None:
        for name, keys in action.changes.items():
            if keys is None:
                self.definitions.pop(name, None)
            else:
                self.definitions[name] = keys
        self.world.load(compiled(self.definitions), start_enabled=action.start_enabled)

    def _lock(self, action: Lock) -> None:
        if self._is_there(action.caller):
            number = self.world.lock(action.lock, action.caller, action.waits)
            self._at(self.world.now_s + action.hold_s, lambda: self._unlock(number))

    def _unlock(self, number: int) -> None:
        if not self.world.finished:
            self.world.unlock(number)

    # -- what must hold ------------------------------------------------------------------------------------------

    def _check(self, world: Simulator, event: events.Event) -> None:
        self.seen.note(world, event)
        moment = Moment(world, self.seen, event)
        check: Callable[..., None] = _nothing
        try:
            for check in self._of_an_event:
                check(moment)
            for unit in moment.touched():
                for check in self._of_a_unit:
                    check(moment, unit)
        except AssertionError as broken:
            raise self._violation(check, event, broken) from None
        if world.handled % self.full_every == 0:
            self._check_all(moment, self._of_all)

    def _check_all(self, moment: Moment, checks: tuple[Callable[[Moment], None], ...]) -> None:
        moment.is_full = True
        check: Callable[..., None] = _nothing
        try:
            for unit in moment.units.values():
                for check in self._of_a_unit:
                    check(moment, unit)
            for check in checks:
                check(moment)
        except AssertionError as broken:
            raise self._violation(check, moment.event, broken) from None

    def _violation(self, check: Callable[..., None], event: events.Event | None, broken: AssertionError) -> Violation:
        return Violation(check.__name__, f"at {self.world.now_s:.3f} s after {_short(event)}: {broken}")


def _nothing() -> None:
    """What is checked before anything is."""


def _short(event: events.Event | None) -> str:
    if isinstance(event, events.PlanLoaded):
        return f"PlanLoaded({', '.join(service.name for service in event.plan.services)})"
    if isinstance(event, events.RunTransient):
        return f"RunTransient({event.service.name}, caller={event.caller!r}, waits={event.waits})"
    return "the end" if event is None else str(event)
