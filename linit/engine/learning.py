"""What did a service find out at run time? Edges that its processes asked for (`linitctl need`, `linitctl want`).

They stay when the service restarts and when its definition changes, until what they point at is gone. The compiler
never saw them, so a loop that one would close with written edges is looked for here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from linit.engine.board import Board
from linit.engine.effects import Told
from linit.engine.unit import Unit
from linit.model.service import Dependency, EdgeKind, Service

STRENGTH: Final = {
    EdgeKind.USE: 0,
    EdgeKind.AFTER: 1,
    EdgeKind.WANT: 2,
    EdgeKind.PROVIDED_BY: 3,
    EdgeKind.NEED: 4,
    EdgeKind.BIND: 4,
}


def learn(board: Board, unit: Unit, edges: Iterable[Dependency]) -> None:
    """Add edges that the definition does not have, unless they would close a loop of edges as strong as they are."""
    for edge in edges:
        if not has(unit.service, edge) and edge.on in board.units and make_way(board, unit, edge):
            board.swap(unit, replace(unit.service, dependencies=(*unit.service.dependencies, edge)))


def learned(service: Service) -> tuple[Dependency, ...]:
    """The edges of a live definition that were found at run time."""
    return tuple(edge for edge in service.dependencies if edge.learned)


def unlearn(board: Board, unit: Unit, on: str) -> None:
    """Forget what `unit` learned about a service that is gone."""
    kept = tuple(edge for edge in unit.service.dependencies if not (edge.learned and edge.on == on))
    if len(kept) < len(unit.service.dependencies):
        board.swap(unit, replace(unit.service, dependencies=kept))


def has(service: Service, edge: Dependency) -> bool:
    """Does the definition have such an edge already?"""
    return any((each.kind, each.on) == (edge.kind, edge.on) for each in service.dependencies)


def make_way(board: Board, unit: Unit, new: Dependency) -> bool:
    """Cut what is weaker than a new edge and would close a loop with it; False when the edge itself is weakest."""
    while (found := weakest_of_loop(board, unit.name, new.on)) is not None:
        name, edge = found
        if new.kind is EdgeKind.WANT or edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY:
            return False
        owner = board.units[name]
        kept = tuple(each for each in owner.service.dependencies if each != edge)
        board.swap(owner, replace(owner.service, dependencies=kept))
        text = f"no longer {edge.kind.value} {edge.on} ({edge.place}): {unit.name} {new.kind.value} {new.on} now"
        board.emit(Told(name, text, board.now_s))
    return True


def weakest_of_loop(board: Board, name: str, on: str) -> tuple[str, Dependency] | None:
    """If an edge from `name` to `on` would close a loop in the graph: the weakest edge of it, with its owner.

    No wait runs along it now, but one would at a later start or stop. The compiler cuts such loops, too.
    """
    return min(_loop(board, name, on), key=lambda each: STRENGTH[each[1].kind], default=None)


def give_way(board: Board, unit: Unit) -> None:
    """A new definition came into force: what others learned and would close a loop with it is forgotten."""
    if not board.links.learning:
        return
    ahead = _reached(unit.name, lambda name: (edge.on for edge in _orders(board, name)))
    behind = _reached(
        unit.name,
        lambda name: (owner for owner, edge in board.links.dependents(name) if edge.kind is not EdgeKind.CONFLICTS),
    )
    for name in ahead:
        for edge in _orders(board, name):
            if edge.learned and edge.on in behind:
                unlearn(board, board.units[name], edge.on)
                text = f"no longer {edge.kind.value} {edge.on} ({edge.place}): {unit.name} has a new definition"
                board.emit(Told(name, text, board.now_s))


def _reached(start: str, following: Callable[[str], Iterable[str]]) -> dict[str, None]:
    """`start` and all that can be reached from it."""
    found = {start: None}
    todo = [start]
    while todo:
        for name in following(todo.pop()):
            if name not in found:
                found[name] = None
                todo.append(name)
    return found


def _orders(board: Board, name: str) -> Iterator[Dependency]:
    """The edges of `name` that can be part of a loop."""
    return (edge for edge in board.links.dependencies(name) if edge.kind is not EdgeKind.CONFLICTS)


def _loop(board: Board, name: str, on: str) -> list[tuple[str, Dependency]]:
    """The edges, with their owners, of a way from `on` back to `name`; [] if there is none."""
    came_by: dict[str, tuple[str, Dependency]] = {}
    queue = deque([on])
    while queue and name not in came_by:
        owner = queue.popleft()
        for edge in _orders(board, owner):
            if edge.on not in came_by and edge.on != on:
                came_by[edge.on] = (owner, edge)
                queue.append(edge.on)
    if name not in came_by:
        return []
    loop = [came_by[name]]
    while loop[-1][0] != on:
        loop.append(came_by[loop[-1][0]])
    return loop
