"""Why is a unit where it is? The chain from a unit to the root of its state, as data and words.

Each link is a map: `name`, `state`, `text` (the reason in words), `since_s` (seconds in that state), `until_s`
(seconds left, or None), `reason` (the data). The first is the unit asked about, the last the root cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linit.engine.board import Board
from linit.engine.edges import holds, waits
from linit.engine.unit import StopPhase, Unit
from linit.model.reason import Cause, Reason
from linit.model.service import EdgeKind, Kind
from linit.model.state import Desired, UnitState

if TYPE_CHECKING:
    from linit.engine.engine import Engine

LONGEST_CHAIN = 64
FOLLOWED = frozenset(
    {Cause.WAITS_FOR, Cause.WAITS_FOR_STOP, Cause.DEPENDENCY_FAILED, Cause.DEPENDENCY_DOWN, Cause.CONFLICT}
)


def waited_for(board: Board, unit: Unit) -> list[tuple[str, str]]:
    """What a unit waits for now, as (service, edge kind): dependencies of a start, dependents of a stop."""
    if unit.state is UnitState.WAITING:
        found = [
            (edge.on, edge.kind.value)
            for edge in board.links.dependencies(unit.name)
            if (on := board.units.get(edge.on)) is not None and waits(edge.kind, on.view)
        ]
        if unit.service.kind is Kind.VIRTUAL:
            found += [
                (edge.on, edge.kind.value)
                for edge in board.links.dependencies(unit.name)
                if edge.kind is EdgeKind.PROVIDED_BY and edge.on in board.units and board.units[edge.on].goal
            ]
        return found + [
            (name, edge.kind.value)
            for name, edge in board.links.dependents(unit.name)
            if edge.kind is EdgeKind.CONFLICTS and name in board.units and waits(edge.kind, board.units[name].view)
        ]
    if unit.state is UnitState.STOPPING and unit.stop_phase is StopPhase.HELD:
        return [
            (name, edge.kind.value)
            for name, edge in board.links.dependents(unit.name)
            if (other := board.units.get(name)) is not None and holds(edge.kind, other.view)
        ]
    return []


def present_reason(board: Board, unit: Unit) -> Reason:
    """The reason of the state with what is waited for as of now."""
    waiting = waited_for(board, unit)
    if not waiting:
        return unit.reason
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    cause = Cause.WAITS_FOR if unit.state is UnitState.WAITING else Cause.WAITS_FOR_STOP
    return Reason(cause, unit.changed_at_s, of=waiting[0][0], text=more)


def chain(engine: Engine, name: str) -> list[dict[str, Any]]:
    """The links from `name` to the root cause. Raises KeyError for a service that does not exist."""
    board = engine._board
    links: list[dict[str, Any]] = []
    seen: set[str] = set()
    current = name
    while current not in seen and len(links) < LONGEST_CHAIN:
        seen.add(current)
        unit = board.units.get(current)
        if unit is None:
            if not links:
                raise KeyError(current)
            links.append({"name": current, "state": "missing", "text": "no such service", "reason": {}})
            break
        reason = present_reason(board, unit)
        links.append(_link(engine, unit, reason))
        current = _next(unit, reason)
        if not current:
            break
    return links


def _next(unit: Unit, reason: Reason) -> str:
    """Whose state explains this one's."""
    if reason.cause in FOLLOWED:
        return reason.of
    if unit.desired is Desired.UP and unit.wish.cause in (Cause.PULLED_IN, Cause.RUNLEVEL) and unit.goal:
        return unit.wish.of
    return ""


def _link(engine: Engine, unit: Unit, reason: Reason) -> dict[str, Any]:
    now_s = engine.now_s
    return {
        "name": unit.name,
        "state": unit.state.value,
        "desired": unit.desired.value,
        "text": str(reason),
        "wish": str(unit.wish),
        "since_s": max(now_s - unit.changed_at_s, 0.0),
        "until_s": None if unit.deadline_s is None else max(unit.deadline_s - now_s, 0.0),
        "reason": as_data(reason),
        "waits_for": [{"name": other, "kind": kind} for other, kind in waited_for(engine._board, unit)],
        "place": str(unit.service.place),
    }


def as_data(reason: Reason) -> dict[str, Any]:
    """A reason as a map of plain values; fields that say nothing are left out."""
    data: dict[str, Any] = {"cause": reason.cause.value, "at_s": reason.at_s}
    for key in ("of", "by", "text", "place", "status", "limit_s"):
        value = getattr(reason, key)
        if value not in ("", None):
            data[key] = value
    return data


def waiting_loop(board: Board) -> list[str]:
    """A loop among units that wait for each other, or [] if there is none."""
    settled: set[str] = set()
    for start in board.units:
        path: list[str] = []
        current: str | None = start
        while current is not None and current not in settled:
            if current in path:
                return path[path.index(current) :]
            path.append(current)
            unit = board.units.get(current)
            waiting = waited_for(board, unit) if unit is not None else []
            current = next((name for name, _ in waiting if board.units[name].state.is_moving), None)
        settled.update(path)
    return []
