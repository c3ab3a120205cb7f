"""What is to be drawn of a graph? Its nodes and edges, the whole or a part, with what was cut and what is a loop.

How it is drawn is left to `tree` (text), `dot` and `svg`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import networkx as nx

from linit.definitions import Definitions
from linit.graph.edges import connect
from linit.model.service import Dependency, EdgeKind, Kind, Plan
from linit.planning.world import UnknownName

STARTS: Final = "starts"  # the kind of an edge that is no dependency: from a trigger to its service


class Standing(enum.Enum):
    """Is an edge in force?"""

    KEPT = "kept"
    CUT = "cut"  # dropped by the compiler to break a loop
    LOOP = "loop"  # one of a loop that cannot be broken: its members cannot start
    DEAD = "dead"  # of a service that is broken


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`owner` depends on `on`, or starts it."""

    owner: str
    on: str
    kind: str
    standing: Standing
    place: str


@dataclass(frozen=True, slots=True)
class Node:
    """A service. `broken`: why it can never start, "" if it can."""

    name: str
    kind: Kind
    description: str
    broken: str


@dataclass(frozen=True)
class Drawing:
    """A graph, or a part of it. `nodes` and `edges` are sorted. `centre`: what it was drawn around, "" for all."""

    nodes: dict[str, Node]
    edges: tuple[Edge, ...]
    centre: str = ""

    @cached_property
    def depths(self) -> dict[str, int]:
        """How long the longest chain of dependencies below each node is. Cut and looping edges do not count, and a
        conflict is no order."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from((edge.on, edge.owner) for edge in self.edges if is_order(edge))
        found: dict[str, int] = {}
        for name in nx.topological_sort(graph):
            found[name] = max((found[on] + 1 for on in graph.predecessors(name)), default=0)
        return found


def is_order(edge: Edge) -> bool:
    """Does the edge say what starts first?"""
    return edge.standing in (Standing.KEPT, Standing.DEAD) and edge.kind not in (EdgeKind.CONFLICTS.value, STARTS)


def of(definitions: Definitions, plan: Plan, with_implied: bool = False) -> Drawing:
    """All that was defined. `with_implied`: also the order after sysinit that every service has."""
    nodes = {
        service.name: Node(service.name, service.kind, service.description, service.broken) for service in plan.services
    }
    found = {(service.name, edge): Standing.KEPT for service in plan.services for edge in service.dependencies}
    found |= {(cut.owner, cut.dependency): Standing.CUT for cut in plan.cuts}
    for owner, edges in connect(definitions).of.items():
        for edge in edges:
            found.setdefault((owner, edge), Standing.DEAD)
    loops = _loops((owner, edge) for (owner, edge), standing in found.items() if standing is Standing.DEAD)
    drawn = [
        Edge(owner, edge.on, edge.kind.value, _standing(nodes, loops, owner, edge, standing), str(edge.place))
        for (owner, edge), standing in found.items()
        if edge.on in nodes and (with_implied or not (edge.implied and edge.kind is EdgeKind.AFTER))
    ]
    drawn += [
        Edge(service.name, service.activates, STARTS, Standing.KEPT, str(service.place))
        for service in plan.services
        if service.activates in nodes and not service.broken and service.starts
    ]
    return Drawing(nodes, tuple(sorted(set(drawn), key=lambda each: (each.owner, each.kind, each.on, each.place))))


def _loops(dead: Iterable[tuple[str, Dependency]]) -> dict[str, int]:
    """Of each member of a loop of hard edges that are not in force, the number of the loop."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((owner, edge.on) for owner, edge in dead if _can_loop(edge))
    return {name: number for number, members in enumerate(nx.strongly_connected_components(graph)) for name in members}


def _can_loop(edge: Dependency) -> bool:
    return edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY


def _standing(
    nodes: dict[str, Node], loops: dict[str, int], owner: str, edge: Dependency, standing: Standing
) -> Standing:
    if standing is not Standing.DEAD or nodes[owner].broken != "cycle" or not _can_loop(edge):
        return standing
    return Standing.LOOP if loops[owner] == loops.get(edge.on, -1) else standing


def around(whole: Drawing, name: str, depth: int) -> Drawing:
    """What is at most `depth` edges away from `name`, to both sides, and all edges among it. Raises UnknownName."""
    if name not in whole.nodes:
        raise UnknownName(f"no service is called {name!r}")
    below: dict[str, set[str]] = {}
    above: dict[str, set[str]] = {}
    for edge in whole.edges:
        below.setdefault(edge.owner, set()).add(edge.on)
        above.setdefault(edge.on, set()).add(edge.owner)
    kept = _within(below, name, depth) | _within(above, name, depth)
    edges = tuple(edge for edge in whole.edges if edge.owner in kept and edge.on in kept)
    return Drawing({each: node for each, node in whole.nodes.items() if each in kept}, edges, name)


def _within(next_to: dict[str, set[str]], name: str, depth: int) -> set[str]:
    seen, todo = {name: 0}, deque([name])
    while todo:
        here = todo.popleft()
        for there in next_to.get(here, ()):
            if there not in seen and seen[here] < depth:
                seen[there] = seen[here] + 1
                todo.append(there)
    return set(seen)
