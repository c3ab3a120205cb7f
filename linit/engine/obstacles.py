"""What stands against a unit's being up, and is that a failure? The causes of what is down."""

from __future__ import annotations

from collections.abc import Iterator

from linit.engine.board import EXPLAINED, Board
from linit.engine.edges import SHAKEN, VITAL
from linit.engine.unit import Unit
from linit.model.reason import DEPENDENCY_DOWN, DEPENDENCY_FAILED, Cause, Reason
from linit.model.service import BIND, VIRTUAL, Dependency, Service
from linit.model.state import TO_BE_DOWN, UP


def why_not(board: Board, unit: Unit) -> Reason:
    """Why this unit's goal is not up: of what stands against it rather what failed than what was stopped."""
    if unit.removed or (unit.desired is TO_BE_DOWN and unit.service.kind is not VIRTUAL):
        return unit.wish
    if unit.service.broken:
        return broken_reason(unit.service, board.now_s)
    if unit.given_up is not None:
        return unit.given_up
    found = obstacle(board, unit)
    if found is None:
        return unit.restarting or unit.wish
    cause, edge = found
    return Reason(cause, board.now_s, edge.on, "", "", str(edge.place))


def is_failure(unit: Unit, reason: Reason) -> bool:
    """Is a unit that is desired failed, rather than only down, when it is so for this reason, which `why_not` gave?"""
    if unit.service.broken or (unit.given_up is not None and not unit.finished):
        return True
    return reason.cause is DEPENDENCY_FAILED and not unit.hope


def obstacle(board: Board, unit: Unit) -> tuple[Cause, Dependency] | None:
    """The first edge along which something lost stands against a unit, else something down; None: nothing does.

    What still is up only follows another down, and may yet stay when that is back at once (restart --only).
    """
    is_hopeful = unit.hope and unit.service.kind is not VIRTUAL  # then all that it needs is: nothing of that is lost
    down: Dependency | None = None
    still_up: Dependency | None = None
    for edge, on in against(board, unit):
        if not is_hopeful and is_lost(board, edge.on):
            return DEPENDENCY_FAILED, edge
        if on is not None and on.state is UP:
            still_up = still_up or edge
        elif is_hopeful:
            return DEPENDENCY_DOWN, edge
        else:
            down = down or edge
    first = down or still_up
    return None if first is None else (DEPENDENCY_DOWN, first)


def against(board: Board, unit: Unit) -> Iterator[tuple[Dependency, Unit | None]]:
    """What stands against this unit's being up now, and the other end of it."""
    if unit.blockers or unit.service.kind is VIRTUAL:
        units = board.units
        for edge in board.links.dependencies_by(unit.name, VITAL):
            on = units.get(edge.on)
            if on is None or not on.goal or (edge.kind is BIND and on.state in SHAKEN):
                yield edge, on


def is_lost(board: Board, name: str) -> bool:
    """Did this service, or something at the end of its chain of needs, fail (rather than being stopped)?

    What each has found out about itself is believed: it looks again when what it depends on comes to rest. So a hundred
    that need one name do not all go through its hundred providers.
    """
    known = _is_known_lost(board, name)
    if known is not None:
        return known
    seen: set[str] = set()
    stack = [name]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        known = _is_known_lost(board, current)
        if known:
            return True
        if known is None:
            seen.add(current)
            stack.extend(edge.on for edge, _ in against(board, board.units[current]))
    return False


def _is_known_lost(board: Board, name: str) -> bool | None:
    """The same, as far as the unit alone tells; None: what it depends on does."""
    unit = board.units.get(name)
    if unit is None or unit.service.broken:
        return True
    if unit.desired is TO_BE_DOWN and unit.service.kind is not VIRTUAL:
        return False
    if unit.given_up is not None:
        return not unit.finished  # else it ended as it should, whatever became of what it needed
    if unit.hope:
        return False  # it comes back: of a virtual name one provider is enough
    if unit.state in EXPLAINED and not unit.goal:
        if unit.reason.cause is DEPENDENCY_FAILED:
            return True
        if unit.reason.cause is DEPENDENCY_DOWN:
            return False
    return None


def remains_reason(now_s: float) -> Reason:
    """Why a unit cannot start some of whose processes not even SIGKILL ended."""
    return Reason(Cause.SPAWN_FAILED, now_s, text="processes of its last run cannot be killed")


def broken_reason(service: Service, now_s: float) -> Reason:
    """Why a service that the compiler took out cannot start."""
    cause = Cause.CYCLE if service.broken == "cycle" else Cause.BROKEN
    text = service.broken_by[0] if service.broken_by else service.broken
    return Reason(cause, now_s, text=text)
