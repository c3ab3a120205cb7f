"""What will end this wait? Followed by hand, from a unit that moves to the timers and units that will move it on."""

from __future__ import annotations

import contextlib

from linit.engine.edges import blocks, holds, waits
from linit.engine.events import TimerKind
from linit.engine.unit import StopPhase, Unit
from linit.model.service import EdgeKind, Kind
from linit.model.state import UnitState
from tests.simulation.moment import Moment

TIMER_OF = {
    UnitState.STARTING: TimerKind.START,
    UnitState.STOPPING: TimerKind.STOP,
    UnitState.BACKOFF: TimerKind.RESPAWN,
}


def what_ends(moment: Moment, unit: Unit) -> None:
    """Fails when nothing will ever move `unit` on, though it is on its way or would be."""
    if unit.name in moment.ended or _is_settled(unit):
        return
    assert unit.name not in moment.under_way, f"a loop of waits: {' -> '.join([*moment.under_way, unit.name])}"
    moment.under_way.append(unit.name)
    try:
        if not has_timer(moment, unit):
            ways = _ways(moment, unit)
            assert ways, f"{unit.name} is {unit.state.value} for ever: {unit.reason}"
            _one_is_open(moment, unit, ways)
    finally:
        moment.under_way.pop()
    moment.ended.add(unit.name)


def _one_is_open(moment: Moment, unit: Unit, ways: list[list[str]]) -> None:
    """On one of the ways all must move on first, and will."""
    *others, last = ways
    for way in others:
        with contextlib.suppress(AssertionError):
            _all_end(moment, unit, way)
            return
    _all_end(moment, unit, last)


def _all_end(moment: Moment, unit: Unit, names: list[str]) -> None:
    for name in names:
        on = moment.units[name]
        assert not _is_settled(on), f"{unit.name}, {unit.state.value}, waits for {name}, which stays {on.state.value}"
        what_ends(moment, on)


def _ways(moment: Moment, unit: Unit) -> list[list[str]]:
    """By which of these can it move on? Each way says who must all move first; none is empty."""
    if unit.state is UnitState.STOPPING and unit.goal:
        # Wanted again: it is kept as soon as all that it needs is back, or goes down when nobody holds it.
        ways = [_missing(moment, unit), _holders(moment, unit)]
    elif unit.service.kind is Kind.VIRTUAL and unit.state is not UnitState.STOPPING:
        ways = [[name] for name in _awaited(moment, unit)]
    else:
        ways = [_awaited(moment, unit)]
    return [way for way in ways if way]


def _is_settled(unit: Unit) -> bool:
    """Is it where it should be, as far as it goes?"""
    if unit.state is UnitState.UP:
        return unit.goal and not unit.bouncing
    return unit.state.is_at_rest_down and not unit.hope


def has_timer(moment: Moment, unit: Unit) -> bool:
    """Does it move on by itself: is there a limit for what it does now?"""
    kind = TIMER_OF.get(unit.state)
    if kind is None or unit.stop_phase is StopPhase.HELD:
        return unit.state is UnitState.WAITING and moment.world.is_armed(unit.name, TimerKind.IDLE)
    return moment.world.is_armed(unit.name, kind)


def _holders(moment: Moment, unit: Unit) -> list[str]:
    """Who must be down before it goes down."""
    units = moment.units
    held_by = moment.engine.links.dependents(unit.name)
    return [name for name, edge in held_by if name in units and holds(edge.kind, units[name].view)]


def _awaited(moment: Moment, unit: Unit) -> list[str]:
    """Those of which each must move on first."""
    if unit.state is UnitState.STOPPING:
        return _holders(moment, unit)
    found = _missing(moment, unit)
    if unit.state is UnitState.WAITING:
        foes = (name for name, _ in moment.engine.links.foes(unit.name) if name in moment.units)
        found += [name for name in foes if waits(EdgeKind.CONFLICTS, moment.units[name].view)]
        found += terminal_owners(moment, unit)
    return found


def _missing(moment: Moment, unit: Unit) -> list[str]:
    """What it depends on and waits for, or is blocked by."""
    found = []
    for edge in moment.engine.links.dependencies(unit.name):
        on = moment.units.get(edge.on)
        if on is None or edge.kind is EdgeKind.CONFLICTS:
            continue
        if edge.kind is EdgeKind.PROVIDED_BY:
            is_missing = on.hope and not _is_settled(on)
        elif unit.goal:
            is_missing = waits(edge.kind, on.view)
        else:
            is_missing = blocks(edge.kind, on.view)
        if is_missing:
            found.append(edge.on)
    return found


def terminal_owners(moment: Moment, unit: Unit) -> list[str]:
    """Who else is starting on its terminal."""
    tty = unit.service.execution.tty
    return [
        other.name
        for other in moment.units.values()
        if tty and other is not unit and other.service.execution.tty == tty and other.state is UnitState.STARTING
    ]


def loop_through(moment: Moment, name: str) -> list[str]:
    """A way from the scripts of `name` along what each waits for now, back to them; [] when there is none."""
    came_by: dict[str, str] = {}
    queue = [name]
    for at in queue:
        for following in _held_up_by(moment, at):
            if following == name:
                way = [name, at]
                while way[-1] != name:
                    way.append(came_by[way[-1]])
                return way[::-1]
            if following not in came_by:
                came_by[following] = at
                queue.append(following)
    return []


def _held_up_by(moment: Moment, at: str) -> list[str]:
    """The services, and claims to locks ("lock 7"), that must move on before this one does."""
    if at.startswith("lock "):
        number = int(at.removeprefix("lock "))
        return _awaited_by_scripts(moment, "", number)
    unit = moment.units.get(at)
    if unit is None or _is_settled(unit):
        return []
    if unit.state in TIMER_OF and unit.stop_phase is not StopPhase.HELD:
        runs_scripts = unit.state is UnitState.STARTING or unit.stop_phase is StopPhase.COMMAND
        return _awaited_by_scripts(moment, at, -1) if runs_scripts else []  # signals end whoever waits
    if unit.state is UnitState.STOPPING and unit.goal:
        return []  # it goes down or stays, whichever comes first
    return _awaited(moment, unit)


def _awaited_by_scripts(moment: Moment, caller: str, held: int) -> list[str]:
    """What processes wait for that are of `caller`, or hold this lock meanwhile."""
    found: list[str] = []
    for pending in moment.engine.open_requests:
        is_meant = (caller and pending.caller == caller) or held in pending.held
        if is_meant and moment.world.is_awaited(pending.id):
            found += pending.open
    for claim, holder in moment.engine.locks.waiting():
        if (caller and claim.caller == caller) or held in claim.held:
            found.append(f"lock {holder.id}")
    return found
