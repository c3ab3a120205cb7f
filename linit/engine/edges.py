"""What does one edge contribute to its two ends?

A unit shows its neighbours a view: its state, its goal (should it be up now?) and its hope (will it be up once the
restarts under way are over?). From it follow four answers an edge, and the engine keeps only their sums
(`Unit.blockers`, `.doomed`, `.unmet`, `.holders`), so an event costs the degree of its service: when a view changes,
the difference between the answers before and after is added at the other end of each edge. DESIGN.md section 3 is the
table behind this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from linit.model.service import BIND, CONFLICTS, NEED, PROVIDED_BY, EdgeKind
from linit.model.state import BACKOFF, DOWN, STARTING, STOPPING, UP, UnitState
from linit.model.value import value

View = tuple[UnitState, bool, bool]  # (state, goal, hope)
NOTHING: Final[View] = (DOWN, False, False)  # how a service that does not exist looks

PRESENT: Final = frozenset({STARTING, UP, STOPPING, BACKOFF})
RUNNING: Final = frozenset({STARTING, UP, STOPPING})
SHAKEN: Final = frozenset({BACKOFF, STOPPING})

VITAL: Final = frozenset({NEED, BIND, PROVIDED_BY})  # without the other end of such an edge its owner cannot be up


def blocks(kind: EdgeKind, on: View) -> bool:
    """Does what is depended on forbid its dependent to run now?"""
    state, goal, _ = on
    if kind is NEED:
        return not goal
    if kind is BIND:
        return not goal or state in SHAKEN
    return False


def dooms(kind: EdgeKind, on: View) -> bool:
    """Does what is depended on leave its dependent no hope, even when restarts under way are over?"""
    return kind.is_hard and not on[2]


def waits(kind: EdgeKind, on: View) -> bool:
    """Must the dependent wait with its start?"""
    state, goal, hope = on
    if kind.is_hard:
        return state is not UP
    if kind is CONFLICTS:
        return state in PRESENT
    if kind is PROVIDED_BY:
        return False  # any one provider will do: counted as Unit.ready
    return hope and not (goal and state is UP)  # order only counts while the other is on its way up


def holds(kind: EdgeKind, dependent: View) -> bool:
    """Must what is depended on wait with its stop until the dependent is down?"""
    state, goal, _ = dependent
    if kind.is_hard:
        return state in RUNNING
    if kind is CONFLICTS:
        return False
    return not goal and state in RUNNING  # order only counts while both are on their way down


def provides(provider: View) -> bool:
    """Is a virtual name up by this provider?"""
    return provider[0] is UP and provider[1]


class Share(NamedTuple):
    """What an edge adds to its owner's counts, by the names of `Unit`."""

    blockers: int
    doomed: int
    unmet: int


class Supply(NamedTuple):
    """What a provider adds to the counts of a virtual name, by the names of `Unit`."""

    alive: int
    hopeful: int
    ready: int


Kinds = frozenset[EdgeKind]
Difference = tuple[int, int, int]  # of two shares, or along PROVIDED_BY of two supplies


@value
class Change:
    """What another view of a unit changes for its neighbours, by the kind of edge; kinds without a change are left out.

    `owners`: what is added to the counts of those that depend on it (by a conflict: of either end), `Share` or, for
    the virtual names that it provides, `Supply`; `others`: to the `holders` of what it depends on.
    """

    owners: Mapping[EdgeKind, Difference]
    others: Mapping[EdgeKind, int]


def share(kind: EdgeKind, on: View) -> Share:
    """What an edge of this kind adds to its owner, by the view of its other end."""
    return Share(blocks(kind, on), dooms(kind, on), waits(kind, on))


def supply(provider: View) -> Supply:
    """What a provider adds to a virtual name, by its view."""
    return Supply(provider[1], provider[2], provides(provider))


class Changes(dict[tuple[UnitState, bool, bool, UnitState, bool, bool], Change]):
    """The difference between two views, found once for each of the few hundred pairs."""

    def __missing__(self, views: tuple[UnitState, bool, bool, UnitState, bool, bool]) -> Change:
        """Compare `views[:3]` with `views[3:]`."""
        before, after = views[:3], views[3:]
        owners: dict[EdgeKind, Difference] = {}
        others: dict[EdgeKind, int] = {}
        for kind in EdgeKind:
            given: Callable[[View], Difference] = supply if kind is PROVIDED_BY else partial(share, kind)
            first, second, third = (new - old for new, old in zip(given(after), given(before), strict=True))
            if first or second or third:
                owners[kind] = (first, second, third)
            held = holds(kind, after) - holds(kind, before)
            if held:
                others[kind] = held
        self[views] = Change(owners, others)
        return self[views]


CHANGES: Final = Changes()
