"""Who stands where, and who must look again? Units, their edges and the counts that the edges keep.

A change of a unit's view (state and goal) is spread to its neighbours' counts at once; neighbours whose counts say
that something may follow are put on a list. Goals spread before anything acts, so that order ("after, when both are in
play") is judged by what everybody is about to do.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from linit.engine.edges import NOTHING, VITAL, Share, Supply, View, blocks, change, holds, share, supply, waits
from linit.engine.effects import Effect, Transition
from linit.engine.links import Links
from linit.engine.transitions import NEXT, Step
from linit.engine.unit import StopPhase, Unit
from linit.model.reason import Cause, Reason
from linit.model.service import CONFLICTS, PROVIDED_BY, VIRTUAL, Dependency, Service
from linit.model.state import BACKOFF, DOWN, FAILED, STARTING, STOPPING, UP, WAITING, Desired, UnitState

TO_BE_UP: Final = Desired.UP  # named once: looked up with every event
EXPLAINED: Final = (DOWN, STOPPING, FAILED)  # states whose reason says what was lost


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
        self.is_ending = False  # a shutdown is under way
        self.idlers: dict[str, None] = {}  # units that let the rest of the boot go first
        self.held = 0  # stopping units that wait for their dependents
        self.mixed: set[str] = set()  # units whose definition may be older than the plan
        self.rewired = False  # edges of many units have changed since loops were last looked for
        self.leaving: dict[str, None] = {}  # units that rest and may have no definition any more
        self.terminals: dict[str, str] = {}  # terminal -> the unit that has it to itself while it starts
        self._queued: dict[str, dict[str, None]] = {}  # terminal -> units that wait for it
        self.replace({service.name: service for service in services})

    def replace(self, services: dict[str, Service]) -> None:
        """Make the units and edges those of `services`. One that runs keeps its definition."""
        for name, service in services.items():
            if name not in self.units:
                self.units[name] = Unit(name, service, changed_at_s=self.now_s)
        self.links = Links(unit.service for unit in self.units.values())
        counted = [unit for unit in self.units.values() if unit.service.kind is not VIRTUAL]
        self.counts = dict.fromkeys(UnitState, 0) | Counter(unit.state for unit in counted)
        self.held = sum(unit.stop_phase is StopPhase.HELD for unit in counted)
        self.rewired = True
        self._recount()

    def swap(self, unit: Unit, service: Service) -> None:
        """Give `unit` another definition."""
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, -1)
        self.links.remove(unit.name)
        self.counts[unit.state] += (service.kind is not VIRTUAL) - (unit.service.kind is not VIRTUAL)
        unit.service = service
        self.links.add(service)
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, +1)
        self.changed[unit.name] = None
        self.look(unit)

    def add(self, service: Service) -> None:
        """One more unit."""
        unit = self.units[service.name] = Unit(service.name, service, changed_at_s=self.now_s)
        self.counts[DOWN] += service.kind is not VIRTUAL
        self.links.add(service)
        for edge in service.dependencies:
            self._join(unit, edge, +1)
        self.look(unit)

    def forget(self, unit: Unit) -> None:
        """A unit at rest has no definition any more: nothing of it remains but what others wrote about it.

        To these it looked like nothing already: at rest, without goal and hope.
        """
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, -1)
        self.links.remove(unit.name)
        self.counts[unit.state] -= unit.service.kind is not VIRTUAL
        self.mixed.discard(unit.name)
        del self.units[unit.name]

    def take_terminal(self, unit: Unit) -> None:
        """From now until its start is over `unit` has its terminal to itself, if it has one and that is free."""
        terminal = unit.service.execution.tty
        if terminal and terminal not in self.terminals:
            unit.terminal = terminal
            self.terminals[terminal] = unit.name

    def queue_for_terminal(self, unit: Unit) -> None:
        """Let `unit` act when its terminal is free."""
        self._queued.setdefault(unit.service.execution.tty, {})[unit.name] = None

    def _give_back_terminal(self, unit: Unit) -> None:
        del self.terminals[unit.terminal]
        for name in self._queued.pop(unit.terminal, ()):
            if name in self.units:
                self._act(self.units[name])
        unit.terminal = ""

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
        if not self._goals or self._goals[-1] is not unit.name:
            self._goals.append(unit.name)

    def move(self, unit: Unit, step: Step, reason: Reason, duration_s: float | None = None) -> None:
        """Take one step of the transition table."""
        before = unit.state
        after = NEXT.get((before, step))
        assert after is not None, f"linit bug: {unit.name} is {before.value}, which has no step {step.value}"
        unit.reason = reason
        unit.changed_at_s = self.now_s
        self.effects.append(Transition(unit.name, before, after, reason, self.now_s, duration_s))
        self.changed[unit.name] = None
        if after.is_at_rest_down:
            for name, _ in self.links.dependents_by(unit.name, VITAL):
                dependent = self.units.get(name)
                if dependent is None:
                    continue
                if dependent.service.kind is VIRTUAL:  # one of perhaps hundreds says why it is down
                    may_follow = dependent.reason.of == unit.name or FAILED in (before, after)
                else:
                    may_follow = dependent.desired is TO_BE_UP
                if may_follow:
                    self.look(dependent)  # it may be down, or failed, because of this one
        if unit.terminal and after is not STARTING:
            self._give_back_terminal(unit)
        self._show(unit, (after, unit.goal, unit.hope))
        self.look(unit)

    @property
    def is_stuck(self) -> bool:
        """Does something wait, while nothing has a process, a timer or an order under way that could end the wait?"""
        counts = self.counts
        busy = counts[STARTING] + counts[STOPPING] + counts[BACKOFF]
        return busy == self.held and self.waits and not self.idlers

    @property
    def waits(self) -> bool:
        """Does anything wait for others?"""
        return self.counts[WAITING] + self.held > 0

    @property
    def is_calm(self) -> bool:
        """Is nothing being started or stopped at the moment?"""
        return not self.counts[STARTING] and not self.counts[STOPPING]

    @property
    def is_anything_left(self) -> bool:
        """Is something that is no virtual name not down yet? Counted: a shutdown asks after each of its events."""
        return any(count and not state.is_at_rest_down for state, count in self.counts.items())

    def hold(self, unit: Unit) -> None:
        """A stop begins, with waiting for dependents."""
        unit.stop_phase = StopPhase.HELD
        self.held += unit.service.kind is not VIRTUAL

    def release(self, unit: Unit) -> None:
        """That wait is over."""
        unit.stop_phase = StopPhase.NONE
        self.held -= unit.service.kind is not VIRTUAL

    def next_to_act(self) -> Unit | None:
        """Spread all goals, then the next unit for which something may follow."""
        goals, acts, units = self._goals, self._acts, self.units
        while goals:
            name = goals.popleft()
            unit = units.get(name)
            if unit is None:
                continue
            hope = has_hope(unit)
            goal = hope and may_be_up(unit)
            if goal is not unit.goal or hope is not unit.hope:
                self._show(unit, (unit.state, goal, hope))
                self.changed[name] = None
            self._act(unit)
        while acts:
            name = acts.popleft()
            self._listed.discard(name)
            unit = units.get(name)
            if unit is not None:
                return unit
        return None

    def _act(self, unit: Unit) -> None:
        if unit.name not in self._listed:
            self._listed.add(unit.name)
            if unit.service.kind is VIRTUAL:
                self._acts.appendleft(unit.name)  # it only mirrors its providers: true before anybody relies on it
            else:
                self._acts.append(unit.name)

    def _show(self, unit: Unit, after: View) -> None:
        """Change a unit's view, and by it its neighbours' counts."""
        before = unit.state, unit.goal, unit.hope
        unit.state, unit.goal, unit.hope = after
        if after[0] is not before[0] and unit.service.kind is not VIRTUAL:
            self.counts[before[0]] -= 1
            self.counts[after[0]] += 1
        units, links, name = self.units, self.links, unit.name
        owners, mirrors, others, to_owners, to_others = change(before, after)
        if to_owners:
            for owner, edge in links.dependents_by(name, to_owners):
                if (dependent := units.get(owner)) is not None:
                    self._tell_dependent(dependent, owners[edge.kind])
        for owner in links.provided(name) if any(mirrors) else ():
            if (virtual := units.get(owner)) is not None:
                self._tell_virtual(virtual, mirrors)
        if to_others:
            for edge in links.dependencies_by(name, to_others):
                if (on := units.get(edge.on)) is None:
                    continue
                if edge.kind is CONFLICTS:
                    self._tell_dependent(on, owners[CONFLICTS])
                else:
                    on.holders += others[edge.kind]
                    if not on.holders:
                        self._act(on)

    def _tell_dependent(self, dependent: Unit, difference: Share) -> None:
        blocked, doomed, waiting = difference
        dependent.blockers += blocked
        dependent.doomed += doomed
        dependent.unmet += waiting
        if not waiting or blocked or doomed:
            self.look(dependent)
        elif not dependent.unmet:
            self._act(dependent)

    def _tell_virtual(self, virtual: Unit, difference: Supply) -> None:
        alive, hopeful, ready = difference
        virtual.alive += alive
        virtual.hopeful += hopeful
        virtual.ready += ready
        self.look(virtual)

    def _join(self, unit: Unit, edge: Dependency, sign: int) -> None:
        """Add (or, with -1, take back) all that one edge contributes to its two ends."""
        on = self.units.get(edge.on)
        view = on.view if on else NOTHING
        blocked, doomed, waiting = share(edge.kind, view)
        unit.blockers += sign * blocked
        unit.doomed += sign * doomed
        unit.unmet += sign * waiting
        if edge.kind is PROVIDED_BY:
            alive, hopeful, ready = supply(view)
            unit.alive += sign * alive
            unit.hopeful += sign * hopeful
            unit.ready += sign * ready
        if on is None:
            return
        on.holders += sign * holds(edge.kind, unit.view)
        if edge.kind is CONFLICTS:
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
        """Why this unit's goal is not up: of what stands against it rather what failed than what was stopped."""
        is_virtual = unit.service.kind is VIRTUAL
        if unit.removed or (unit.desired is Desired.DOWN and not is_virtual):
            return unit.wish
        if unit.service.broken:
            return broken_reason(unit.service, self.now_s)
        if unit.given_up is not None:
            return unit.given_up
        against = self.against(unit)
        if not against:
            return unit.restarting or unit.wish
        is_hopeful = unit.hope and not is_virtual  # then all that it needs is: nothing of that is lost
        lost = None if is_hopeful else next((edge for edge in against if self.is_lost(edge.on, True)), None)
        # What still is up only follows another down, and may yet stay when that is back at once (restart --only).
        first = lost or next((edge for edge in against if not self._is_up(edge.on)), against[0])
        cause = Cause.DEPENDENCY_FAILED if lost else Cause.DEPENDENCY_DOWN
        return Reason(cause, self.now_s, of=first.on, place=str(first.place))

    def _is_up(self, name: str) -> bool:
        return name in self.units and self.units[name].state is UP

    def against(self, unit: Unit) -> list[Dependency]:
        """What stands against this unit's being up now."""
        if not unit.blockers and unit.service.kind is not VIRTUAL:
            return []
        return [edge for edge in self.links.dependencies_by(unit.name, VITAL) if self._stands_against(edge)]

    def is_lost(self, name: str, asked_by_another: bool = False) -> bool:
        """Did this service, or something at the end of its chain of needs, fail (rather than being stopped)?

        What each has found out about itself is believed, but when it asks itself: it looks again when what it depends
        on comes to rest. So a hundred that need one name do not all go through its hundred providers.
        """
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
            if unit.desired is Desired.DOWN and unit.service.kind is not VIRTUAL:
                continue
            if unit.given_up is not None:
                if not unit.finished:
                    return True
                continue  # it ended as it should, whatever became of what it needed
            if unit.hope:
                continue  # it comes back: of a virtual name one provider is enough
            if (asked_by_another or current != name) and unit.state in EXPLAINED and not unit.goal:
                if unit.reason.cause is Cause.DEPENDENCY_FAILED:
                    return True
                if unit.reason.cause is Cause.DEPENDENCY_DOWN:
                    continue
            stack.extend(edge.on for edge in self.against(unit))
        return False

    def _stands_against(self, edge: Dependency) -> bool:
        on = self.units.get(edge.on)
        view = on.view if on else NOTHING
        if edge.kind is PROVIDED_BY:
            return not view[1]
        return blocks(edge.kind, view)


def has_hope(unit: Unit) -> bool:
    """Is it desired, and does nothing stand against it that will not pass by itself?

    A virtual name mirrors its providers, whoever wanted these: a wish for it is a wish for one of them.
    """
    service = unit.service
    if unit.removed or service.broken:
        return False
    if service.kind is VIRTUAL:
        return unit.hopeful > 0
    return unit.desired is TO_BE_UP and not unit.doomed and unit.given_up is None


def may_be_up(unit: Unit) -> bool:
    """The goal of a unit that has hope: nothing stands against it now."""
    if unit.service.kind is VIRTUAL:
        return unit.alive > 0
    return not unit.blockers and not unit.restarting


def remains_reason(now_s: float) -> Reason:
    """Why a unit cannot start some of whose processes not even SIGKILL ended."""
    return Reason(Cause.SPAWN_FAILED, now_s, text="processes of its last run cannot be killed")


def broken_reason(service: Service, now_s: float) -> Reason:
    """Why a service that the compiler took out cannot start."""
    cause = Cause.CYCLE if service.broken == "cycle" else Cause.BROKEN
    text = service.broken_by[0] if service.broken_by else service.broken
    return Reason(cause, now_s, text=text)
