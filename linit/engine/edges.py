"""What does one edge contribute to its two ends?

A unit shows its neighbours a view: its state, its goal (should it be up now?) and its hope (will it be up once the
restarts under way are over?). From it follow four answers an edge, and the engine keeps only their sums
(`Unit.blockers`, `.doomed`, `.unmet`, `.holders`), so an event costs the degree of its service: when a view changes,
the answers before and after are compared, edge by edge. DESIGN.md section 3 is the table behind this.
"""

from __future__ import annotations

from typing import Final

from linit.model.service import EdgeKind
from linit.model.state import UnitState

View = tuple[UnitState, bool, bool]  # (state, goal, hope)
NOTHING: Final[View] = (UnitState.DOWN, False, False)  # how a service that does not exist looks

PRESENT: Final = frozenset({UnitState.STARTING, UnitState.UP, UnitState.STOPPING, UnitState.BACKOFF})
RUNNING: Final = frozenset({UnitState.STARTING, UnitState.UP, UnitState.STOPPING})
SHAKEN: Final = frozenset({UnitState.BACKOFF, UnitState.STOPPING})


def blocks(kind: EdgeKind, on: View) -> bool:
    """Does what is depended on forbid its dependent to run now?"""
    state, goal, _ = on
    if kind is EdgeKind.NEED:
        return not goal
    if kind is EdgeKind.BIND:
        return not goal or state in SHAKEN
    return False


def dooms(kind: EdgeKind, on: View) -> bool:
    """Does what is depended on leave its dependent no hope, even when restarts under way are over?"""
    return kind.is_hard and not on[2]


def waits(kind: EdgeKind, on: View) -> bool:
    """Must the dependent wait with its start?"""
    state, goal, hope = on
    if kind.is_hard:
        return state is not UnitState.UP
    if kind is EdgeKind.CONFLICTS:
        return state in PRESENT
    if kind is EdgeKind.PROVIDED_BY:
        return False  # any one provider will do: counted as Unit.ready
    return hope and not (goal and state is UnitState.UP)  # order only counts while the other is on its way up


def holds(kind: EdgeKind, dependent: View) -> bool:
    """Must what is depended on wait with its stop until the dependent is down?"""
    state, goal, _ = dependent
    if kind.is_hard:
        return state in RUNNING
    if kind is EdgeKind.CONFLICTS:
        return False
    return not goal and state in RUNNING  # order only counts while both are on their way down


def provides(provider: View) -> bool:
    """Is a virtual name up by this provider?"""
    return provider[0] is UnitState.UP and provider[1]
