"""Would this wait ever end? The loop that a wait from inside a service's own scripts would close, or none.

A script that asks linit for something and waits for it makes its service wait. The compiler knows nothing of that, so
it is looked at when it happens: who waits for whom now, and who would have to wait on the way to what is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from linit.engine.board import Board
from linit.engine.edges import holds, waits
from linit.engine.effects import Told
from linit.engine.events import Request, Verb
from linit.engine.requests import Pending
from linit.engine.unit import Unit
from linit.model.service import Dependency, EdgeKind
from linit.model.state import UnitState

RUNS_SCRIPTS: Final = (UnitState.STARTING, UnitState.STOPPING)
Step = tuple[str, str]  # (service, why the one before waits for it)


def loop_of(board: Board, pending: Iterable[Pending], request: Request) -> tuple[str, str] | None:
    """A wait of a service's own script that would never end: for whom, and the loop in words."""
    if not request.waits or not _is_waited_for(board, request):
        return None
    for name in request.names:
        way: list[Step] = []
        if request.verb in (Verb.STOP, Verb.RESTART):
            way = loop_of_stop(board, request.caller, name)
        if request.verb is not Verb.STOP and not way:
            way = loop_of_start(board, pending, request.caller, name)
        if way:
            return name, describe(request.caller, request.verb, way)
    return None


def _is_waited_for(board: Board, request: Request) -> bool:
    """Does the caller's service wait for whoever asks?

    While it starts or stops, for its script. One that is up does not: what a login or a daemon's child asks for may
    well take its own service down, and ends with it. An edge must close no loop in any case.
    """
    caller = board.units.get(request.caller)
    return caller is not None and (request.verb in (Verb.NEED, Verb.WANT) or caller.state in RUNS_SCRIPTS)


def make_way(board: Board, unit: Unit, new: Dependency) -> bool:
    """Cut what is weaker than a new edge and would close a loop with it; False when the edge itself is weakest."""
    while (found := soft_edge_of_loop(board, unit.name, new.on)) is not None:
        name, edge = found
        if new.kind is EdgeKind.WANT or edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY:
            return False
        owner = board.units[name]
        kept = tuple(each for each in owner.service.dependencies if each != edge)
        board.swap(owner, replace(owner.service, dependencies=kept))
        text = f"no longer {edge.kind.value} {edge.on} ({edge.place}): {unit.name} {new.kind.value} {new.on} now"
        board.emit(Told(name, text, board.now_s))
    return True


def loop_of_start(board: Board, pending: Iterable[Pending], caller: str, name: str) -> list[Step]:
    """The way from `name` back to `caller` by what a start of `name` waits for; [] if there is none."""
    asked = list(pending)
    return _way(name, caller, lambda at: _start_waits(board, asked, at))


def loop_of_stop(board: Board, caller: str, name: str) -> list[Step]:
    """The same for a stop: its dependents must be down first, and the caller may be one of them."""
    return _way(name, caller, lambda at: _stop_waits(board, at))


def soft_edge_of_loop(board: Board, name: str, on: str) -> tuple[str, Dependency] | None:
    """If an edge from `name` to `on` would close a loop in the graph: the weakest edge of it, with its owner.

    No wait runs along it now, but one would at a later start or stop. The compiler cuts such loops, too.
    """
    came_by: dict[str, tuple[str, Dependency]] = {}
    queue = deque([on])
    while queue and name not in came_by:
        owner = queue.popleft()
        for edge in board.links.dependencies(owner):
            if edge.kind is not EdgeKind.CONFLICTS and edge.on not in came_by and edge.on != on:
                came_by[edge.on] = (owner, edge)
                queue.append(edge.on)
    if name not in came_by:
        return None
    loop = [came_by[name]]
    while loop[-1][0] != on:
        loop.append(came_by[loop[-1][0]])
    return min(loop, key=lambda each: _STRENGTH[each[1].kind])


def describe(caller: str, verb: Verb, way: list[Step]) -> str:
    """`web waits for db (start) -> db needs web (db.yaml:3:7)`"""
    first, _ = way[0]
    words = [f"{caller} would wait for {first} ({verb.value})"]
    words += [f"{before} {why}" for (before, _), (_, why) in pairwise(way)]
    return "; ".join(words)


def _way(start: str, goal: str, waits_of: Callable[[str], Iterator[Step]]) -> list[Step]:
    """Breadth first, so that the shortest loop is told."""
    ways: list[list[Step]] = [[(start, "")]]
    seen = {start}
    while ways:
        longer: list[list[Step]] = []
        for way in ways:
            if way[-1][0] == goal:
                return way
            for step in waits_of(way[-1][0]):
                if step[0] not in seen:
                    seen.add(step[0])
                    longer.append([*way, step])
        ways = longer
    return []


def _start_waits(board: Board, pending: list[Pending], name: str) -> Iterator[Step]:
    unit = board.units.get(name)
    if unit is None:
        return
    for edge in board.links.dependencies(name):
        on = board.units.get(edge.on)
        if on is not None and _makes_wait(unit, edge, on):
            yield edge.on, f"{_WORDS[edge.kind]} {edge.on} ({edge.place})"
    for request in pending:
        if request.caller == name and unit.state in RUNS_SCRIPTS:
            yield from ((other, f"waits for {other} (linitctl {request.verb.value})") for other in request.open)


def _makes_wait(unit: Unit, edge: Dependency, on: Unit) -> bool:
    if edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY:
        return True  # whatever the states are now: the loop would close at the next start
    if unit.state is UnitState.UP:
        return False
    return waits(edge.kind, on.view) or (edge.kind.pulls and on.state is not UnitState.UP)


def _stop_waits(board: Board, name: str) -> Iterator[Step]:
    for other, edge in board.links.dependents(name):
        dependent = board.units.get(other)
        if dependent is not None and edge.kind.is_hard and holds(edge.kind, dependent.view):
            yield other, f"must wait until {other} is down, which {_WORDS[edge.kind]} {name} ({edge.place})"


_STRENGTH = {
    EdgeKind.USE: 0,
    EdgeKind.AFTER: 1,
    EdgeKind.WANT: 2,
    EdgeKind.PROVIDED_BY: 3,
    EdgeKind.NEED: 4,
    EdgeKind.BIND: 4,
}
_WORDS = {
    EdgeKind.NEED: "needs",
    EdgeKind.BIND: "is bound to",
    EdgeKind.WANT: "wants",
    EdgeKind.USE: "uses",
    EdgeKind.AFTER: "starts after",
    EdgeKind.PROVIDED_BY: "is provided by",
    EdgeKind.CONFLICTS: "conflicts with",
}
