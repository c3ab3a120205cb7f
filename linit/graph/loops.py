"""Where do dependencies form a loop, and which of them is given up?

Strongly connected components (networkx) find the loops. Edges are joined to the graph strongest first, and of those
that would close a loop as few as possible are cut: so a loop is always cut at its weakest edge. A loop of which no edge
may be cut takes out its members. Everything is deterministic: names decide between equals.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, TypeAlias

import networkx as nx

from linit.model.service import Dependency, EdgeKind

Pair = tuple[str, str]  # (owner, on)
Graph: TypeAlias = "nx.DiGraph[str]"  # of names: an edge from who depends to what it depends on

SEARCH_MAX: Final = 400_000  # edges looked at before fewest cuts become few cuts
PATHS_MAX: Final = 4_000_000  # edges looked at to name loops before only their ends are named

_HARD: Final = (EdgeKind.NEED, EdgeKind.BIND, EdgeKind.PROVIDED_BY)
_SOFT_LEVELS: Final = ((EdgeKind.WANT, True), (EdgeKind.WANT, False), (EdgeKind.AFTER, False), (EdgeKind.USE, False),
                       (EdgeKind.USE, True), (EdgeKind.AFTER, True))  # fmt: skip


def components(graph: Graph) -> list[list[str]]:
    """The strongly connected components that hold a loop, each sorted, sorted."""
    return sorted(sorted(each) for each in nx.strongly_connected_components(graph) if len(each) > 1)


def graph_of(pairs: Iterable[Pair]) -> Graph:
    """A graph of these edges, in sorted order, so that every search in it takes the same way."""
    graph: Graph = nx.DiGraph()
    graph.add_edges_from(sorted(pairs))
    return graph


def core(pairs: Collection[Pair]) -> set[Pair]:
    """The edges that can be part of a loop: what is left when, again and again, names are taken away on which nobody
    depends, or which depend on nobody. Of most machines nothing is left, and networkx has nothing to do."""
    return _without_ends(_without_ends(pairs, 1), 0)


def _without_ends(pairs: Collection[Pair], end: int) -> set[Pair]:
    """Without the edges that lead, on the side `end` (0: the owner, 1: the other), to names where no further begins."""
    further = Counter(pair[1 - end] for pair in pairs)
    behind: dict[str, list[str]] = {}
    for pair in pairs:
        behind.setdefault(pair[end], []).append(pair[1 - end])
    ready = [name for name in behind if name not in further]
    while ready:
        for name in behind.pop(ready.pop(), ()):
            further[name] -= 1
            if not further[name]:
                ready.append(name)
    return {pair for pair in pairs if further[pair[end]] and further[pair[1 - end]]}


def ordering_pairs(edges: Mapping[str, Iterable[Dependency]]) -> set[Pair]:
    """All edges by which one waits for another."""
    none = EdgeKind.CONFLICTS
    return {(owner, edge.on) for owner, each in edges.items() for edge in each if edge.kind is not none}


def is_hard(edge: Dependency) -> bool:
    """Does the owner's start depend on the other end?"""
    return edge.kind in _HARD


def hard_pairs(edges: Mapping[str, Iterable[Dependency]]) -> set[Pair]:
    """The edges that cannot be cut, or (to providers) only sometimes."""
    return {(owner, edge.on) for owner, each in edges.items() for edge in each if is_hard(edge)}


def cut_alternatives(
    pairs: set[Pair], providers: Mapping[str, Collection[str]], runlevels: Collection[str]
) -> dict[Pair, list[str]]:
    """The hard edges that are cut all the same: from virtual names to providers in a loop with them, where a provider
    outside of the loop remains; and those of runlevels, whose members must not be lost with them.

    `providers`: of each virtual name. Gives each cut edge with its loop, and takes it from `pairs`.
    """
    cuts: dict[Pair, list[str]] = {}
    while True:
        graph = graph_of(core(pairs))
        found: list[Pair] = []
        looped = components(graph)
        ways = _ways({name for component in looped for name in component}, pairs)
        for component in looped:
            members = set(component)
            for name in component:
                there = [each for each in ways[name] if each in providers.get(name, ()) or name in runlevels]
                inside = [each for each in there if each in members]
                if inside and (len(inside) < len(there) or name in runlevels):
                    found += [(name, each) for each in inside]
                    cuts.update(((name, each), path(graph, each, name, members)) for each in inside)
        if not found:
            return cuts
        pairs.difference_update(found)


def _ways(names: Collection[str], pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """What each of these depends on, in the order of names."""
    ways: dict[str, list[str]] = {name: [] for name in names}
    for owner, on in pairs:
        if owner in ways:
            ways[owner].append(on)
    return {name: sorted(there) for name, there in ways.items()}


def each_with_loop(graph: Graph, members: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each member of a component with a shortest loop through it, from what it depends on to itself; [] for the rest
    when that has become too much work."""
    part = graph_of(graph.subgraph(members).edges)
    budget = PATHS_MAX
    for name in members:
        if budget <= 0:
            yield name, []
            continue
        budget -= part.number_of_edges()
        ways = [path(part, on, name, part) for on in sorted(part[name])]
        yield name, min((way for way in ways if way), key=len)


def soft_levels(edges: Mapping[str, Iterable[Dependency]]) -> Iterator[dict[Pair, list[Dependency]]]:
    """The edges that may be cut, one level after the other, strongest first."""
    levels: dict[tuple[EdgeKind, bool], dict[Pair, list[Dependency]]] = {each: {} for each in _SOFT_LEVELS}
    for owner in sorted(edges):
        for edge in edges[owner]:
            level = levels.get((edge.kind, edge.implied))
            if level is not None:
                level.setdefault((owner, edge.on), []).append(edge)
    return iter(levels.values())


def cut(kept: set[Pair], level: Iterable[Pair]) -> dict[Pair, list[str]]:
    """Join the edges of one level to the loop-free `kept`, but for those that are cut, each given with its loop: the
    names from the edge's `on` back to its owner."""
    new = {pair for pair in level if pair not in kept}
    graph = graph_of(core(kept | new))
    cuts: set[Pair] = set()
    loops = components(graph)
    for component in loops:
        members = set(component)
        inside = [pair for pair in sorted(new) if pair[0] in members and pair[1] in members]
        strong = {(owner, on) for owner, on in graph.subgraph(members).edges if (owner, on) not in new}
        cuts |= _cuts(strong, inside)
    kept |= new - cuts
    return _named(graph, cuts, loops)


def _cuts(strong: set[Pair], candidates: list[Pair]) -> set[Pair]:
    """As few of the candidates as possible, so that the rest with `strong` has no loop."""
    forced = _forced(strong, candidates)
    rest = [pair for pair in candidates if pair not in forced]
    graph = graph_of(strong | set(rest))
    chosen = set(forced)
    for component in components(graph):
        members = set(component)
        inside = [pair for pair in rest if pair[0] in members and pair[1] in members]
        part = graph_of(graph.subgraph(members).edges)
        chosen |= _fewest(part, set(inside)) or _few(part, inside)
    return chosen


def _forced(strong: set[Pair], candidates: list[Pair]) -> set[Pair]:
    """The candidates that close a loop with strong edges alone. What each name reaches is a set of bits."""
    graph = graph_of(strong)
    graph.add_nodes_from(sorted({name for pair in candidates for name in pair} - set(graph)))
    bit = {name: 1 << number for number, name in enumerate(graph)}
    reach: dict[str, int] = {}
    for name in reversed(list(nx.topological_sort(graph))):
        bits = bit[name]
        for on in graph[name]:
            bits |= reach[on]
        reach[name] = bits
    return {(owner, on) for owner, on in candidates if reach[on] & bit[owner]}


def _fewest(graph: Graph, candidates: set[Pair]) -> set[Pair] | None:
    """A smallest set of candidates that hits every loop, by trying sizes; None when the search grows too long."""
    budget = [SEARCH_MAX]
    for size in range(1, len(candidates) + 1):
        found = _hitting(graph, candidates, size, budget)
        if found is not None or budget[0] <= 0:
            return found
    raise AssertionError("strong edges alone form a loop")


def _hitting(graph: Graph, candidates: set[Pair], size: int, budget: list[int]) -> set[Pair] | None:
    """At most `size` candidates that hit every loop: one of each loop's candidates must be among them."""
    budget[0] -= graph.number_of_edges()
    if budget[0] <= 0:
        return None
    loop = _short_loop(graph)
    if not loop:
        return set()
    if not size:
        return None
    for pair in sorted(set(loop) & candidates):
        graph.remove_edge(*pair)
        found = _hitting(graph, candidates, size - 1, budget)
        graph.add_edge(*pair)
        if found is not None:
            return found | {pair}
    return None


def _short_loop(graph: Graph) -> list[Pair]:
    """Some loop as its edges, [] if there is none: a shortest one through the first name that is in any."""
    found = components(graph)
    if not found:
        return []
    members = set(found[0])
    first = found[0][0]
    back = min((path(graph, on, first, members) for on in sorted(graph[first]) if on in members), key=len)
    names = [first, *back]
    return list(pairwise(names))


def _few(graph: Graph, candidates: list[Pair]) -> set[Pair]:
    """Few candidates, in time near the size of the graph: names are put in an order that the strong edges ask for and
    that breaks few others; what goes against it is cut."""
    weak = set(candidates)
    strong_left = {name: sum((name, on) not in weak for on in graph[name]) for name in graph}
    weak_left = {name: sum((name, on) in weak for on in graph[name]) for name in graph}
    ready = [(weak_left[name], name) for name in graph if not strong_left[name]]
    heapq.heapify(ready)
    position: dict[str, int] = {}
    while ready:
        left, name = heapq.heappop(ready)
        if name in position or left != weak_left[name]:
            continue  # an entry from before one of its edges was met
        position[name] = len(position)
        for owner in graph.predecessors(name):
            if (owner, name) in weak:
                weak_left[owner] -= 1
            else:
                strong_left[owner] -= 1
            if not strong_left[owner] and owner not in position:
                heapq.heappush(ready, (weak_left[owner], owner))
    against = [(owner, on) for owner, on in candidates if position[owner] < position[on]]
    return set(_needed(graph, against))


def _needed(graph: Graph, cuts: list[Pair]) -> Iterator[Pair]:
    """The cuts without those that close no loop any more, given the others; all of them when that is much work."""
    if len(cuts) * graph.number_of_edges() > PATHS_MAX:
        yield from cuts
        return
    without = set(cuts)
    left = graph_of(pair for pair in graph.edges if pair not in without)
    for owner, on in cuts:
        if on in left and owner in left and nx.has_path(left, on, owner):
            yield owner, on
        else:
            left.add_edge(owner, on)


def _named(graph: Graph, cuts: set[Pair], loops: list[list[str]]) -> dict[Pair, list[str]]:
    """Each cut edge with a loop that it closed, if possible one that no other cut opens."""
    component_of = {name: index for index, members in enumerate(loops) for name in members}
    sets = [set(members) for members in loops]
    without = graph_of(pair for pair in graph.edges if pair not in cuts)
    named: dict[Pair, list[str]] = {}
    budget = PATHS_MAX
    for owner, on in sorted(cuts):
        members = sets[component_of[owner]]
        if budget <= 0:
            named[owner, on] = [on, owner]
            continue
        budget -= len(members)
        is_there = on in without and owner in without
        back = path(without, on, owner, members) if is_there else []
        named[owner, on] = back or path(graph, on, owner, members)
    return named


def path(graph: Graph, start: str, end: str, members: Collection[str]) -> list[str]:
    """The names on a shortest way from `start` to `end` that stays among `members`; [] if there is none."""
    before: dict[str, str] = {start: ""}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        if name == end:
            names = [name]
            while before[names[-1]]:
                names.append(before[names[-1]])
            return names[::-1]
        for on in graph[name]:
            if on in members and on not in before:
                before[on] = name
                queue.append(on)
    return []
