"""What does PID 1 get? Definitions in, services with all their edges out: no undefined names, no loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from linit.definitions import Definitions
from linit.graph import conflicts, loops
from linit.graph.edges import Edges, connect
from linit.model.place import Fault, Severity
from linit.model.service import EDGE_WORDS, CutEdge, Dependency, EdgeKind, Kind, Service

LOOP_SHOWN_MAX: Final = 40  # edges of a loop that each of its members is told; the fault names all
ORDER: Final = tuple(EdgeKind)  # of the kinds, in which a service's edges are listed and a pair is named


class Resolution(NamedTuple):
    """The services of a plan, sorted by name; what was wrong with the graph; what was cut."""

    services: tuple[Service, ...]
    faults: tuple[Fault, ...]
    cuts: tuple[CutEdge, ...]


def resolve(definitions: Definitions) -> Resolution:
    """Connect, find loops, cut what may be cut, mark what may not. Raises nothing: every problem is a fault."""
    return _Resolving(definitions).result()


class _Resolving:
    """The steps of `resolve`. `edges` shrinks while loops are cut."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.connected: Edges = connect(definitions)
        self.edges = self.connected.of
        self.faults = list(self.connected.faults)
        self.cuts: list[CutEdge] = []
        self.broken: dict[str, tuple[str, tuple[str, ...]]] = {
            name: ("definition", tuple(str(fault) for fault in faults))
            for name, faults in self.connected.broken.items()
        }
        for name in self.broken:
            self.edges.pop(name, None)
        self.places = {each.name: each.service.place for each in definitions.services}
        self.written = {owner: list(each) for owner, each in self.edges.items()}  # loops are told with every edge

    def result(self) -> Resolution:
        if loops.core(loops.ordering_pairs(self.edges)):
            self.cut_loops()
        services = dict(sorted(self.services()))
        self.faults.extend(conflicts.faults(services))
        return Resolution(tuple(services.values()), tuple(self.faults), tuple(self.cuts))

    def cut_loops(self) -> None:
        """Those of needs first, then level by level the softer ones that are left."""
        kept = self.cut_hard_loops()
        for level in loops.soft_levels(self.edges):
            for pair, loop in sorted(loops.cut(kept, level).items()):
                self.drop(pair, loop, level[pair])

    def cut_hard_loops(self) -> set[loops.Pair]:
        """Loops of edges that a start depends on: cut where another provider remains, else their members are broken.
        Gives the edges that are left."""
        pairs = loops.hard_pairs(self.edges)
        providers = {name: [each for each, _ in there] for name, there in self.connected.virtual.items()}
        runlevels = {each.name for each in self.definitions.services if each.service.kind is Kind.RUNLEVEL}
        for pair, loop in sorted(loops.cut_alternatives(pairs, providers, runlevels).items()):
            there = [edge for edge in self.edges[pair[0]] if edge.on == pair[1] and loops.is_hard(edge)]
            self.drop(pair, loop, there)
        graph = loops.graph_of(loops.core(pairs))
        for members in loops.components(graph):
            self.break_members(graph, members)
            inside = set(members)
            pairs -= {pair for pair in pairs if pair[0] in inside and pair[1] in inside}
            for name in members:
                self.edges[name] = [edge for edge in self.edges[name] if edge.on not in inside]
        return pairs

    def break_members(self, graph: loops.Graph, members: list[str]) -> None:
        """Each member is told with a loop that it is in; of one loop there is one fault. Where very many wait for each
        other, some of the loops stand for all."""
        told: set[frozenset[str]] = set()
        for name, loop in loops.each_with_loop(graph, members):
            if loop:
                short = self.loop_text(name, loop[:LOOP_SHOWN_MAX])
                left = len(loop) - LOOP_SHOWN_MAX
                self.broken[name] = ("cycle", (short if left <= 0 else f"{short}, and {left} more back to {name}",))
            else:
                first = self.broken[members[0]][1][0]
                text = f"one of {len(members)} services that wait for each other, as in: {first}"
                self.broken[name] = ("cycle", (text,))
            if loop and frozenset(loop) not in told:
                told.add(frozenset(loop))
                self.faults.append(self.cycle_fault(name, loop))

    def cycle_fault(self, name: str, loop: list[str]) -> Fault:
        text = self.loop_text(name, loop)
        edge = self.edge(name, loop[0])
        assert edge is not None, "a loop of hard edges is made of edges"
        hint = f"{', '.join(sorted(set(loop)))} cannot start: turn one of these edges into want, use or after"
        return Fault(Severity.ERROR, edge.place, edge.kind.value, f"the loop {text}", "no loop", hint, name)

    def drop(self, pair: loops.Pair, loop: list[str], there: Iterable[Dependency]) -> None:
        """Cut the edges `there` of `pair`, and say so: implied order as a note, what a person wrote as a warning."""
        owner, on = pair
        dropped = list(there)
        self.edges[owner] = [edge for edge in self.edges[owner] if edge not in dropped]
        text = self.loop_text(owner, loop, first=dropped[0])
        for edge in dropped:
            is_quiet = edge.implied and edge.kind is EdgeKind.AFTER
            self.cuts.append(CutEdge(owner, edge, (owner, *loop)))
            self.faults.append(
                Fault(
                    severity=Severity.NOTE if is_quiet else Severity.WARNING,
                    place=self.places.get(owner, edge.place) if edge.implied else edge.place,
                    key=edge.kind.value,
                    found=f"the loop {text}",
                    expected="no loop",
                    hint=f"cut here: it is ignored that {owner} {EDGE_WORDS[edge.kind]} {on}",
                    service=owner,
                )
            )

    def loop_text(self, owner: str, loop: list[str], first: Dependency | None = None) -> str:
        """`a needs b (a.yaml:3:7), b starts after a (b.yaml:2:8)`. `loop`: from what `owner` depends on to itself."""
        parts: list[str] = []
        for here, on in zip([owner, *loop], loop, strict=False):
            edge = first if first is not None and not parts else self.edge(here, on)
            words = f"{EDGE_WORDS[edge.kind]} {on} ({edge.place})" if edge else f"waits through others for {on}"
            parts.append(f"{here} {words}")
        return ", ".join(parts)

    def edge(self, owner: str, on: str) -> Dependency | None:
        """The strongest edge that waits between two names."""
        there = [each for each in self.written[owner] if each.on == on and each.kind is not EdgeKind.CONFLICTS]
        return min(there, key=lambda each: ORDER.index(each.kind), default=None)

    def services(self) -> Iterable[tuple[str, Service]]:
        """Every service with the edges that are left, and the virtual names."""
        prefer = self.preferred()
        for definition in self.definitions.services:
            service = definition.service
            why = self.broken.get(service.name) or self.broken.get(service.activates)
            kind, texts = why or (service.broken, service.broken_by)
            yield (
                service.name,
                replace(
                    service,
                    dependencies=self.sorted_edges(service.name),
                    runlevels=self.definitions.enabled.get(service.name, ()),
                    broken=kind,
                    broken_by=texts,
                ),
            )
        for name, providers in self.connected.virtual.items():
            kind, texts = self.broken.get(name, ("", ()))
            yield (
                name,
                Service(
                    name,
                    providers[0][1],
                    Kind.VIRTUAL,
                    description="provided by " + ", ".join(provider for provider, _ in providers),
                    dependencies=self.sorted_edges(name),
                    prefer=tuple(each for each in prefer if each in {provider for provider, _ in providers}),
                    runlevels=self.definitions.enabled.get(name, ()),
                    broken=kind,
                    broken_by=texts,
                ),
            )

    def preferred(self) -> list[str]:
        """What services prefer, in the order of their names."""
        chosen = (other for each in self.definitions.services for other in each.service.prefer)
        return list(dict.fromkeys(chosen))

    def sorted_edges(self, name: str) -> tuple[Dependency, ...]:
        return tuple(sorted(self.edges.get(name, ()), key=lambda edge: (ORDER.index(edge.kind), edge.on)))
