"""Who stands where, and who must look again? Units, their edges and the counts that the edges keep.

A change of a unit's view (state and goal) is spread to its neighbours' counts at once; neighbours whose counts say
that something may follow are put on a list. Goals spread before anything acts, so that order ("after, when both are in
play") is judged by what everybody is about to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from linit.engine.edges import NOTHING, View, blocks, dooms, holds, provides, waits
from linit.engine.effects import Effect, Transition
from linit.engine.links import Links
from linit.engine.transitions import NEXT, Step
from linit.engine.unit import StopPhase, Unit
from linit.model.reason import Cause, Reason
from linit.model.service import Dependency, EdgeKind, Kind, Service
from linit.model.state import Desired, UnitState


class Board:
    """The engine's whole mutable state but for requests. Only the engine's modules write it."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.units: dict[str, Unit] = {}
        self.links = Links()
        self.effects: list[Effect] = []
        self.changed: dict[str, None] = {}  # units that moved since the requests were last looked at
        self.now_s = 0.0
        self._goals: deque[str] = deque()
        self._acts: deque[str] = deque()
        self._listed: set[str] = set()
        self.counts = dict.fromkeys(UnitState, 0)  # units by state; virtual names do not count
        self.is_booting = False  # a runlevel is being reached
        self.idlers: dict[str, None] = {}  # units that let the rest of the boot go first
        self.held = 0  # stopping units that wait for their dependents
        self.replace({service.name: service for service in services})

    def replace(self, services: dict[str, Service]) -> None:
        """Make the units and edges those of `services`. A live unit keeps its definition until it is down."""
        for unit in self.units.values():
            self.links.remove(unit.name)
        for name, service in services.items():
            if name not in self.units:
                self.units[name] = Unit(name, service)
                self.counts[UnitState.DOWN] += service.kind is not Kind.VIRTUAL
        for unit in self.units.values():
            self.links.add(unit.service)
        self._recount()

    def swap(self, unit: Unit, service: Service) -> None:
        """Give `unit` another definition."""
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, -1)
        self.links.remove(unit.name)
        unit.service = service
        self.links.add(service)
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, +1)
        self.look(unit)

    def forget(self, unit: Unit) -> None:
        """A removed definition's unit is down: nothing of it remains but what others wrote about it."""
        self.links.remove(unit.name)
        self.counts[unit.state] -= unit.service.kind is not Kind.VIRTUAL
        del self.units[unit.name]
        self._recount()

    def emit(self, *effects: Effect) -> None:
        """Order effects, after those that were ordered before."""
        self.effects.extend(effects)

    def set_at_rest(self, unit: Unit, state: UnitState, reason: Reason) -> None:
        """A new definition changed what a unit at rest is (broken or not), without anything having happened to it."""
        assert unit.state.is_at_rest_down and state.is_at_rest_down
        unit.reason = reason
        self._show(unit, (state, unit.goal, unit.hope))

    def look(self, unit: Unit) -> None:
        """Something about this unit changed: judge its goal anew and let it act."""
        self._goals.append(unit.name)

    def move(self, unit: Unit, step: Step, reason: Reason, duration_s: float | None = None) -> None:
        """Take one step of the transition table."""
        before = unit.state
        after = NEXT.get((before, step))
        assert after is not None, f"linit bug: {unit.name} is {before.value}, which has no step {step.value}"
        unit.reason = reason
        unit.changed_at_s = self.now_s
        self.emit(Transition(unit.name, before, after, reason, self.now_s, duration_s))
        self.changed[unit.name] = None
        self._show(unit, (after, unit.goal, unit.hope))
        self.look(unit)

    @property
    def is_stuck(self) -> bool:
        """Does something wait, while nothing has a process, a timer or an order under way that could end the wait?"""
        busy = self.counts[UnitState.STARTING] + self.counts[UnitState.STOPPING] + self.counts[UnitState.BACKOFF]
        return busy == self.held and not self.idlers and self.counts[UnitState.WAITING] + self.held > 0

    @property
    def is_calm(self) -> bool:
        """Is nothing being started or stopped at the moment?"""
        return not self.counts[UnitState.STARTING] and not self.counts[UnitState.STOPPING]

    def hold(self, unit: Unit) -> None:
        """A stop begins, with waiting for dependents."""
        unit.stop_phase = StopPhase.HELD
        self.held += unit.service.kind is not Kind.VIRTUAL

    def release(self, unit: Unit) -> None:
        """That wait is over."""
        unit.stop_phase = StopPhase.NONE
        self.held -= unit.service.kind is not Kind.VIRTUAL

    def next_to_act(self) -> Unit | None:
        """Spread all goals, then the next unit for which something may follow."""
        while self._goals:
            unit = self.units.get(self._goals.popleft())
            if unit is None:
                continue
            hope = has_hope(unit)
            goal = hope and may_be_up(unit)
            if (goal, hope) != (unit.goal, unit.hope):
                self._show(unit, (unit.state, goal, hope))
                self.changed[unit.name] = None
            self._act(unit)
        while self._acts:
            name = self._acts.popleft()
            self._listed.discard(name)
            unit = self.units.get(name)
            if unit is not None:
                return unit
        return None

    def _act(self, unit: Unit) -> None:
        if unit.name not in self._listed:
            self._listed.add(unit.name)
            if unit.service.kind is Kind.VIRTUAL:
                self._acts.appendleft(unit.name)  # it only mirrors its providers: true before anybody relies on it
            else:
                self._acts.append(unit.name)

    def _show(self, unit: Unit, after: View) -> None:
        """Change a unit's view, and by it its neighbours' counts."""
        before = unit.view
        unit.state, unit.goal, unit.hope = after
        if unit.service.kind is not Kind.VIRTUAL:
            self.counts[before[0]] -= 1
            self.counts[after[0]] += 1
        for name, edge in self.links.dependents(unit.name):
            dependent = self.units.get(name)
            if dependent is not None:
                self._tell_dependent(dependent, edge.kind, before, after)
        for edge in self.links.dependencies(unit.name):
            on = self.units.get(edge.on)
            if on is None:
                continue
            if edge.kind is EdgeKind.CONFLICTS:
                self._tell_dependent(on, edge.kind, before, after)
                continue
            change = holds(edge.kind, after) - holds(edge.kind, before)
            if change:
                on.holders += change
                if not on.holders:
                    self._act(on)

    def _tell_dependent(self, dependent: Unit, kind: EdgeKind, before: View, after: View) -> None:
        if kind is EdgeKind.PROVIDED_BY:
            dependent.alive += after[1] - before[1]
            dependent.hopeful += after[2] - before[2]
            dependent.ready += provides(after) - provides(before)
            self.look(dependent)
            return
        blocked = blocks(kind, after) - blocks(kind, before)
        doomed = dooms(kind, after) - dooms(kind, before)
        waiting = waits(kind, after) - waits(kind, before)
        dependent.blockers += blocked
        dependent.doomed += doomed
        dependent.unmet += waiting
        if blocked or doomed:
            self.look(dependent)
        elif waiting and not dependent.unmet:
            self._act(dependent)

    def _join(self, unit: Unit, edge: Dependency, sign: int) -> None:
        """Add (or, with -1, take back) all that one edge contributes to its two ends."""
        on = self.units.get(edge.on)
        view = on.view if on else NOTHING
        if edge.kind is EdgeKind.PROVIDED_BY:
            unit.alive += sign * view[1]
            unit.hopeful += sign * view[2]
            unit.ready += sign * provides(view)
        unit.blockers += sign * blocks(edge.kind, view)
        unit.doomed += sign * dooms(edge.kind, view)
        unit.unmet += sign * waits(edge.kind, view)
        if on is None:
            return
        on.holders += sign * holds(edge.kind, unit.view)
        if edge.kind is EdgeKind.CONFLICTS:
            on.unmet += sign * waits(edge.kind, unit.view)
        self.look(on)

    def _recount(self) -> None:
        for unit in self.units.values():
            unit.blockers = unit.doomed = unit.unmet = unit.holders = unit.alive = unit.hopeful = unit.ready = 0
        for unit in self.units.values():
            for edge in self.links.dependencies(unit.name):
                self._join(unit, edge, +1)
            self.look(unit)

    def why_not(self, unit: Unit) -> Reason:
        """Why this unit's goal is not up: the first of what stands against it."""
        is_virtual = unit.service.kind is Kind.VIRTUAL
        if unit.removed or (unit.desired is Desired.DOWN and not is_virtual):
            return unit.wish
        if unit.service.broken:
            return broken_reason(unit.service, self.now_s)
        if unit.given_up is not None:
            return unit.given_up
        for edge in self.links.dependencies(unit.name):
            if self._stands_against(unit, edge):
                lost = self.is_lost(edge.on)
                cause = Cause.DEPENDENCY_FAILED if lost else Cause.DEPENDENCY_DOWN
                return Reason(cause, self.now_s, of=edge.on, place=str(edge.place))
        return unit.wish

    def is_lost(self, name: str) -> bool:
        """Did this service, or something at the end of its chain of needs, fail (rather than being stopped)?"""
        seen: set[str] = set()
        stack = [name]
        while stack:
            current = stack.pop()
            if current in seen:
                continue
            seen.add(current)
            unit = self.units.get(current)
            if unit is None or unit.service.broken:
                return True
            if unit.desired is Desired.DOWN and unit.service.kind is not Kind.VIRTUAL:
                continue
            if unit.given_up is not None and not unit.finished:
                return True
            stack.extend(edge.on for edge in self.links.dependencies(current) if self._stands_against(unit, edge))
        return False

    def _stands_against(self, unit: Unit, edge: Dependency) -> bool:
        on = self.units.get(edge.on)
        view = on.view if on else NOTHING
        if edge.kind is EdgeKind.PROVIDED_BY:
            return not view[1]
        return blocks(edge.kind, view)


def has_hope(unit: Unit) -> bool:
    """Is it desired, and does nothing stand against it that will not pass by itself?

    A virtual name mirrors its providers, whoever wanted these: a wish for it is a wish for one of them.
    """
    if unit.service.kind is Kind.VIRTUAL:
        return unit.hopeful > 0 and not unit.removed and not unit.service.broken
    return (
        unit.desired is Desired.UP
        and not unit.doomed
        and unit.given_up is None
        and not unit.removed
        and not unit.service.broken
    )


def may_be_up(unit: Unit) -> bool:
    """The goal of a unit that has hope: nothing stands against it now."""
    if unit.service.kind is Kind.VIRTUAL:
        return unit.alive > 0
    return not unit.blockers and not unit.restarting


def broken_reason(service: Service, now_s: float) -> Reason:
    """Why a service that the compiler took out cannot start."""
    cause = Cause.CYCLE if service.broken == "cycle" else Cause.BROKEN
    text = service.broken_by[0] if service.broken_by else service.broken
    return Reason(cause, now_s, text=text)
