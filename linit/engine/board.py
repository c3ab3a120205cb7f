"""Who stands where, and who must look again? Units, their edges and the counts that the edges keep.

A change of a unit's view (state and goal) is spread to its neighbours' counts at once; neighbours whose counts say
that something may follow are put on a list. Goals spread before anything acts, so that order ("after, when both are in
play") is judged by what everybody is about to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from linit.engine.edges import CHANGES, NOTHING, RUNNING, VITAL, Difference, holds, share, supply, waits
from linit.engine.effects import Effect, Transition
from linit.engine.links import Links
from linit.engine.transitions import MOVES, Step
from linit.engine.unit import HELD, NO_STOP, Neighbours, Unit
from linit.model.reason import Reason
from linit.model.service import CONFLICTS, PROVIDED_BY, VIRTUAL, Dependency, EdgeKind, Service
from linit.model.state import BACKOFF, DOWN, FAILED, STARTING, STOPPING, TO_BE_UP, UP, WAITING, UnitState

EXPLAINED: Final = frozenset({DOWN, STOPPING, FAILED})  # states whose reason says what was lost


class Board:
    """The engine's whole mutable state but for requests. Only the engine's modules write it."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.units: dict[str, Unit] = {}
        self.links = Links()
        self.effects: list[Effect] = []
        self.changed: dict[str, None] = {}  # units that moved since the requests were last looked at
        self.rested = False  # one of them may be at rest
        self.now_s = 0.0
        self.goals: deque[Unit] = deque()  # whose goal is to be judged
        self.rising: deque[Unit] = deque()  # who wins hope or a goal by that, when nothing is lost any more
        self.acts: deque[Unit] = deque()  # for whom something may follow: `Unit.listed`
        self.counts = dict.fromkeys(UnitState, 0)  # units by state; virtual names do not count
        self.is_ending = False  # a shutdown is under way
        self.idlers: dict[str, None] = {}  # units that let the rest of the boot go first
        self.held = 0  # stopping units that wait for their dependents; virtual names do not count
        self.holding = 0  # the same with virtual names
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
        self.counts = dict.fromkeys(UnitState, 0)
        for unit in counted:
            self.counts[unit.state] += 1
        self.rewired = True
        for unit in self.units.values():
            unit.owners = None
            unit.others = None
        self._recount()

    def swap(self, unit: Unit, service: Service) -> None:
        """Give `unit` another definition."""
        self._part(unit)
        self.counts[unit.state] += (service.kind is not VIRTUAL) - (unit.service.kind is not VIRTUAL)
        unit.service = service
        self._wire(unit)
        self.note(unit.name)
        self.look(unit)

    def add(self, service: Service) -> None:
        """One more unit."""
        unit = self.units[service.name] = Unit(service.name, service, changed_at_s=self.now_s)
        self.counts[DOWN] += service.kind is not VIRTUAL
        self._wire(unit)
        self.look(unit)

    def forget(self, unit: Unit) -> None:
        """A unit at rest has no definition any more: nothing of it remains but what others wrote about it.

        To these it looked like nothing already: at rest, without goal and hope.
        """
        self._part(unit)
        self.counts[unit.state] -= unit.service.kind is not VIRTUAL
        self.mixed.discard(unit.name)
        del self.units[unit.name]
        self.goals = deque(each for each in self.goals if each is not unit)
        self.rising = deque(each for each in self.rising if each is not unit)
        self.acts = deque(each for each in self.acts if each is not unit)

    def _wire(self, unit: Unit) -> None:
        """The edges that its definition has are in force from now on."""
        self.links.add(unit.service)
        self._forget_neighbours(unit)
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, +1)

    def _part(self, unit: Unit) -> None:
        """They no longer are."""
        for edge in self.links.dependencies(unit.name):
            self._join(unit, edge, -1)
        self._forget_neighbours(unit)
        self.links.remove(unit.name)

    def _forget_neighbours(self, unit: Unit) -> None:
        """Its edges change: who is at their ends is to be found anew."""
        names = (edge.on for edge in self.links.dependencies(unit.name))
        owners = (owner for owner, _ in self.links.dependents(unit.name))
        for name in (unit.name, *names, *owners):
            if name in self.units:
                self.units[name].owners = None
                self.units[name].others = None

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
                self.act(self.units[name])
        unit.terminal = ""

    def emit(self, *effects: Effect) -> None:
        """Order effects, after those that were ordered before."""
        self.effects.extend(effects)

    def set_at_rest(self, unit: Unit, state: UnitState, reason: Reason) -> None:
        """A new definition changed what a unit at rest is (broken or not), without anything having happened to it."""
        assert unit.state.is_at_rest_down and state.is_at_rest_down
        unit.reason = reason
        if unit.service.kind is not VIRTUAL:
            self.counts[unit.state] -= 1
            self.counts[state] += 1
        self._show(unit, state, unit.goal, unit.hope)

    def note(self, name: str) -> None:
        """A unit changed in what others may have waited for, but perhaps not its state."""
        self.changed[name] = None
        self.rested = True

    def look(self, unit: Unit) -> None:
        """Something that its goal hangs on changed: judge that anew and let it act."""
        if not self.goals or self.goals[-1] is not unit:
            self.goals.append(unit)

    def act(self, unit: Unit) -> None:
        """Something may follow for this unit: let it act, unless it is where it should be, or waits."""
        if unit.listed:
            return
        if unit.goal:
            state = unit.state
            if state is UP or state is STARTING:
                if not unit.bouncing and (unit.ready or unit.service.kind is not VIRTUAL):
                    return
            elif unit.next_service is None:
                if state is WAITING and unit.unmet:
                    return
                if state is BACKOFF and unit.deadline_s is not None and unit.service.kind is not VIRTUAL:
                    return
        self._list(unit)

    def _list(self, unit: Unit) -> None:
        unit.listed = True
        if unit.service.kind is VIRTUAL:
            self.acts.appendleft(unit)  # it only mirrors its providers: true before anybody relies on it
        else:
            self.acts.append(unit)

    def move(self, unit: Unit, step: Step, reason: Reason, duration_s: float | None = None) -> None:
        """Take one step of the transition table, and let the unit go on from there."""
        self.step(unit, step, reason, duration_s)
        if self.goals:
            self.goals.append(unit)  # it goes on when its neighbours have seen it so
        else:
            self.act(unit)

    def defers(self, unit: Unit) -> bool:
        """Are goals to be judged first? Then `unit` goes on when its neighbours have seen where it is now."""
        if self.goals:
            self.goals.append(unit)
            return True
        return False

    def step(self, unit: Unit, step: Step, reason: Reason, duration_s: float | None = None) -> None:
        """Take one step of the transition table; what the unit does next is the caller's."""
        before = unit.state
        way = MOVES[before, step, unit.goal, unit.hope]
        assert way is not None, f"linit bug: {unit.name} is {before.value}, which has no step {step.value}"
        after, change = way
        if after.is_at_rest_down:
            self.rested = True
            if not (before is STOPPING and after is DOWN and reason.cause is unit.reason.cause):
                self._tell_of_rest(unit, before, after)
        unit.reason = reason
        unit.changed_at_s = self.now_s
        self.effects.append(Transition(unit.name, before, after, reason, self.now_s, duration_s))
        self.changed[unit.name] = None
        if unit.terminal and after is not STARTING:
            self._give_back_terminal(unit)
        if unit.service.kind is not VIRTUAL:
            counts = self.counts
            counts[before] -= 1
            counts[after] += 1
        unit.state = after
        if change.owners:
            self._tell_owners(unit, change.owners)
        if self.holding and change.others:
            self._tell_held(unit, change.others)

    def _tell_of_rest(self, unit: Unit, before: UnitState, after: UnitState) -> None:
        """Those that need it may be down, or failed, because of it: they say so."""
        owners = self._owners(unit) if unit.owners is None else unit.owners
        for dependent in [each for kind, dependents in owners if kind in VITAL for each in dependents]:
            if dependent.service.kind is VIRTUAL:  # one of perhaps hundreds says why it is down
                may_follow = dependent.reason.of == unit.name or FAILED in (before, after)
            else:
                may_follow = dependent.desired is TO_BE_UP
            if may_follow:
                self.act(dependent)

    @property
    def is_stuck(self) -> bool:
        """Does something wait, while nothing has a process, a timer or an order under way that could end the wait?"""
        counts, held = self.counts, self.held
        if not (held or counts[WAITING]):
            return False
        return counts[STARTING] + counts[STOPPING] + counts[BACKOFF] == held and not self.idlers

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
        counts = self.counts
        moving = counts[WAITING] or counts[STARTING] or counts[STOPPING] or counts[BACKOFF]
        return bool(counts[UP] or moving)

    def hold(self, unit: Unit) -> bool:
        """A stop begins: does it wait for dependents? While it does they are counted."""
        holders = 0
        for kind, dependents in self._owners(unit) if unit.owners is None else unit.owners:
            goals = [each.goal for each in dependents if each.state in RUNNING]  # what `holds` says of each, at once
            if kind.is_hard:
                holders += len(goals)
            elif kind is not CONFLICTS:
                holders += goals.count(False)
        if not holders and not self.goals:
            return False
        unit.stop_phase = HELD
        unit.holders = holders
        self.holding += 1
        self.held += unit.service.kind is not VIRTUAL
        return True

    def release(self, unit: Unit) -> None:
        """That wait is over."""
        unit.stop_phase = NO_STOP
        unit.holders = 0
        self.holding -= 1
        self.held -= unit.service.kind is not VIRTUAL

    def judge(self) -> None:
        """Judge the goals of those that are to be looked at, and let that spread: all that is lost, then what is won.

        What is lost never lets another win, nor the reverse, so both come to an end, also in a ring of needs that old
        and new definitions close. All in one breath, loss and gain could chase each other around it for ever.
        """
        goals, rising = self.goals, self.rising
        while goals or rising:
            is_rest = not goals
            unit = rising.popleft() if is_rest else goals.popleft()
            hope, goal = aim(unit)
            if goal is unit.goal and hope is unit.hope:
                self.act(unit)
            elif not is_rest and (goals or rising) and (hope or not unit.hope) and (goal or not unit.goal):
                rising.append(unit)
            else:
                if not unit.listed:
                    self._list(unit)  # before those that it is a reason for
                self._show(unit, unit.state, goal, hope)
                self.changed[unit.name] = None
                if unit.state.is_at_rest_down:
                    self.rested = True

    def _show(self, unit: Unit, state: UnitState, goal: bool, hope: bool) -> None:
        """Change a unit's view, and by it its neighbours' counts."""
        change = CHANGES[unit.state, unit.goal, unit.hope, state, goal, hope]
        unit.state, unit.goal, unit.hope = state, goal, hope
        if change.owners:
            self._tell_owners(unit, change.owners)
        if self.holding and change.others:
            self._tell_held(unit, change.others)

    def _tell_owners(self, unit: Unit, owed: Mapping[EdgeKind, Difference]) -> None:
        """The counts of those that depend on it follow its view."""
        for kind, dependents in self._owners(unit) if unit.owners is None else unit.owners:
            if kind not in owed:
                continue
            blocked, doomed, waiting = owed[kind]
            if kind is PROVIDED_BY:
                for virtual in dependents:
                    self._tell_virtual(virtual, blocked, doomed, waiting)
            elif blocked or doomed:
                self._tell_vital(dependents, blocked, doomed, waiting)
            elif waiting > 0:
                for dependent in dependents:
                    dependent.unmet += waiting
            else:
                for dependent in dependents:
                    dependent.unmet += waiting
                    if not dependent.unmet and dependent.state is not UP:
                        self.act(dependent)

    def _tell_held(self, unit: Unit, held_by: Mapping[EdgeKind, int]) -> None:
        """The same for those that it depends on, as far as their stop waits for dependents."""
        for kind, others in self._others(unit) if unit.others is None else unit.others:
            held = held_by.get(kind)
            if held is None:
                continue
            for on in others:
                if on.stop_phase is HELD:
                    on.holders += held
                    if not on.holders:
                        self.act(on)

    def _tell_vital(self, dependents: Iterable[Unit], blocked: int, doomed: int, waiting: int) -> None:
        """Those of one kind that cannot be up without the unit."""
        for dependent in dependents:
            was_blocked, was_doomed = dependent.blockers, dependent.doomed
            dependent.unmet += waiting
            dependent.blockers = is_blocked = was_blocked + blocked
            dependent.doomed = is_doomed = was_doomed + doomed
            if (blocked and not (was_blocked and is_blocked)) or (doomed and not (was_doomed and is_doomed)):
                self.look(dependent)
            elif dependent.state in EXPLAINED:
                self.act(dependent)  # it may be there for another reason now

    def _tell_virtual(self, virtual: Unit, alive: int, hopeful: int, ready: int) -> None:
        virtual.alive += alive
        virtual.hopeful += hopeful
        virtual.ready += ready
        self.look(virtual)

    def _owners(self, unit: Unit) -> Neighbours:
        """Who depends on `unit`; by a conflict, both ends do. Kept until an edge changes."""
        found: dict[EdgeKind, list[Unit]] = {}
        for owner, edge in self.links.dependents(unit.name):
            found.setdefault(edge.kind, []).append(self.units[owner])
        for edge in self.links.dependencies(unit.name) if self.links.foes(unit.name) else ():
            if edge.kind is CONFLICTS and edge.on in self.units:
                found.setdefault(CONFLICTS, []).append(self.units[edge.on])
        unit.owners = tuple(found.items())
        return unit.owners

    def _others(self, unit: Unit) -> Neighbours:
        """What `unit` depends on. Kept as well."""
        found: dict[EdgeKind, list[Unit]] = {}
        for edge in self.links.dependencies(unit.name):
            if edge.on in self.units:
                found.setdefault(edge.kind, []).append(self.units[edge.on])
        unit.others = tuple(found.items())
        return unit.others

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
        if on.stop_phase is HELD:
            on.holders += sign * holds(edge.kind, unit.view)
        if edge.kind is CONFLICTS:
            on.unmet += sign * waits(edge.kind, unit.view)
        self.look(on)

    def _recount(self) -> None:
        holding = [unit for unit in self.units.values() if unit.stop_phase is HELD]
        self.holding, self.held = len(holding), sum(unit.service.kind is not VIRTUAL for unit in holding)
        for unit in self.units.values():
            unit.blockers = unit.doomed = unit.unmet = unit.holders = unit.alive = unit.hopeful = unit.ready = 0
        for unit in self.units.values():
            for edge in self.links.dependencies(unit.name):
                self._join(unit, edge, +1)
            self.look(unit)
        self.goals = deque(dict.fromkeys(self.goals))  # once is enough


def aim(unit: Unit) -> tuple[bool, bool]:
    """Hope: is it desired, and does nothing stand against it that will not pass by itself? And goal: nor anything else?

    A virtual name mirrors its providers, whoever wanted these: a wish for it is a wish for one of them.
    """
    service = unit.service
    if service.kind is VIRTUAL:
        hope, goal = unit.hopeful > 0, unit.alive > 0
    else:
        hope = unit.desired is TO_BE_UP and not unit.doomed and unit.given_up is None
        goal = not unit.blockers and not unit.restarting
    if not hope or unit.removed or service.broken:
        return False, False
    return True, goal
