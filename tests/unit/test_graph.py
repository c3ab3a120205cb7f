"""What order follows from definitions, and what happens to a loop: DESIGN.md section 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from linit import graph
from linit.definitions import Definitions
from linit.definitions.definition import Definition, read
from linit.definitions.document import parse
from linit.graph import Resolution, loops
from linit.model.place import Place, Severity
from linit.model.service import Dependency, EdgeKind, Kind, Service


def definitions(enabled: dict[str, tuple[str, ...]] | None = None, **written: str) -> Definitions:
    """Services of these keys, one line each, in files named like them; `kind` is a oneshot's."""
    made = []
    for name, lines in written.items():
        text = lines.replace("; ", "\n")
        if "kind:" not in text:
            text += "\nrun: /bin/true"
        (document,) = parse(f"{name}.yaml", text)
        assert document.top is not None
        made.append(read(name.replace("_", "-"), document.top, tuple(document.faults)))
    services = tuple(sorted(made, key=lambda each: each.name))
    faults = tuple(fault for each in services for fault in each.faults)
    return Definitions(services, faults, enabled=enabled or {})


def resolve(**written: str) -> Resolution:
    return graph.resolve(definitions(None, **written))


def edges(found: Resolution, name: str) -> list[tuple[str, str]]:
    (service,) = [each for each in found.services if each.name == name]
    return [(edge.kind.value, edge.on) for edge in service.dependencies]


def broken(found: Resolution) -> dict[str, str]:
    return {service.name: service.broken for service in found.services if service.broken}


def told(found: Resolution) -> list[str]:
    return [f"{fault.severity.value}: {fault}" for fault in found.faults]


def cuts(found: Resolution) -> list[tuple[str, str, str]]:
    return [(each.owner, each.dependency.kind.value, each.dependency.on) for each in found.cuts]


# names


def test_before_is_an_after_edge_of_the_other_with_the_place_that_wrote_it() -> None:
    found = resolve(a="before: b", b="description: x")
    (service,) = [each for each in found.services if each.name == "b"]
    assert service.dependencies == (Dependency(EdgeKind.AFTER, "a", Place("a.yaml", 1, 9)),)


def test_a_provided_name_is_a_service_that_depends_on_its_providers() -> None:
    found = resolve(b="provide: mta", a="provide: [mta, x]", c="need: mta; prefer: [b, zebra]")
    virtual = {each.name: each for each in found.services if each.kind is Kind.VIRTUAL}
    assert edges(found, "mta") == [("provided_by", "a"), ("provided_by", "b")]
    assert (virtual["mta"].description, virtual["mta"].prefer) == ("provided by a, b", ("b",))
    assert edges(found, "c") == [("need", "mta")]
    assert told(found) == []


def test_before_and_conflicts_of_a_virtual_name_mean_its_other_providers() -> None:
    found = resolve(a="provide: mta; conflicts: mta; before: mta", b="provide: mta", c="provide: mta")
    assert edges(found, "a") == [("conflicts", "b"), ("conflicts", "c")]
    assert edges(found, "b") == [("after", "a")]
    assert edges(found, "mta") == [("provided_by", "a"), ("provided_by", "b"), ("provided_by", "c")]


def test_a_need_of_nothing_breaks_a_service_and_any_other_edge_is_left_out() -> None:
    soft = "use: netwrok; before: nobody; want: nil"
    found = resolve(network="description: x", a="need: netwrok", b=soft, c="need: a")
    assert told(found) == [
        "error: a.yaml:1:7: need: found 'netwrok', expected a defined service; did you mean 'network'?",
        "note: b.yaml:3:7: want: found 'nil', expected a defined service; it is left out",
        "note: b.yaml:1:6: use: found 'netwrok', expected a defined service; it is left out; did you mean 'network'?",
        "note: b.yaml:2:9: before: found 'nobody', expected a defined service; it is left out",
    ]
    assert broken(found) == {"a": "definition"}
    assert (edges(found, "b"), edges(found, "c")) == ([], [("need", "a")])


def test_a_masked_service_is_named_with_what_masks_it() -> None:
    read = replace(definitions(a="need: b"), masks={"b": "/etc/linit/services/b.yaml"})
    (fault,) = graph.resolve(read).faults
    assert str(fault) == (
        "a.yaml:1:7: need: found 'b', expected a defined service; it is masked by /etc/linit/services/b.yaml"
    )


def test_a_need_of_a_broken_service_is_no_fault() -> None:
    """The engine fails it at run time, naming the one that is broken."""
    found = resolve(a="nice: x", b="need: a")
    assert (told(found), broken(found), edges(found, "b")) == ([], {"a": "definition"}, [("need", "a")])


def test_what_a_broken_service_provides_still_has_a_provider() -> None:
    found = resolve(a="nice: x; provide: dns", b="need: dns")
    assert (broken(found), edges(found, "dns")) == ({"a": "definition"}, [("provided_by", "a")])


def test_edges_that_make_no_sense_by_themselves_are_told() -> None:
    found = resolve(a="need: a", b="after: b; before: b", c="need: d; conflicts: d", d="provide: [d, a]")
    assert told(found) == [
        "warning: d.yaml:1:11: provide: found 'd', which is itself, expected a name of its own; it is left out",
        "warning: d.yaml:1:14: provide: found 'a', which is a service (a.yaml:1:1), expected a name of its own; "
        "it is left out",
        "error: a.yaml:1:7: need: found 'a', the service itself, expected another service",
        "warning: b.yaml:1:8: after: found 'b', the service itself, expected another service; it is left out",
        "error: c.yaml:1:7: need: found 'd', with which it conflicts (c.yaml:2:12), expected one or the other",
        "warning: b.yaml:2:9: before: found 'b', the service itself, expected another service; it is left out",
    ]
    assert broken(found) == {"a": "definition", "c": "definition"}


def test_what_runs_something_starts_after_sysinit_unless_it_is_early() -> None:
    found = resolve(sysinit="kind: runlevel", a="description: x", b="early: true", t="kind: target")
    assert {name: edges(found, name) for name in ("a", "b", "t")} == {"a": [("after", "sysinit")], "b": [], "t": []}
    assert edges(resolve(a="description: x"), "a") == []


# loops


def test_a_loop_is_cut_at_its_weakest_edge_with_a_warning_that_names_all_of_it() -> None:
    found = resolve(a="need: b", b="want: c", c="use: a")
    assert cuts(found) == [("c", "use", "a")]
    assert told(found) == [
        "warning: c.yaml:1:6: use: found the loop c uses a (c.yaml:1:6), a needs b (a.yaml:1:7), "
        "b wants c (b.yaml:1:7), expected no loop; cut here: it is ignored that c uses a"
    ]
    assert found.cuts[0].cycle == ("c", "a", "b", "c")
    assert (edges(found, "c"), broken(found)) == ([], {})


def test_order_is_given_up_before_want_and_want_before_need() -> None:
    assert cuts(resolve(a="want: b", b="after: a")) == [("b", "after", "a")]
    assert cuts(resolve(a="need: b", b="want: a")) == [("b", "want", "a")]
    assert cuts(resolve(a="after: b", b="use: a")) == [("b", "use", "a")]


def test_before_and_after_of_the_same_service_are_a_loop() -> None:
    found = resolve(a="before: b; after: b", b="description: x")
    assert told(found) == [
        "warning: a.yaml:2:8: after: found the loop a starts after b (a.yaml:2:8), b starts after a (a.yaml:1:9), "
        "expected no loop; cut here: it is ignored that a starts after b"
    ]


def test_one_cut_is_made_where_one_is_enough() -> None:
    """Three loops that share the edge from x to y."""
    found = resolve(x="after: y", y="after: [a, b, c]", a="after: x", b="after: x", c="after: x")
    assert cuts(found) == [("x", "after", "y")]


def test_the_order_after_sysinit_is_cut_with_no_more_than_a_note() -> None:
    early = Dependency(EdgeKind.WANT, "a", Place("runlevels/sysinit/a"), implied=True)
    read = definitions(sysinit="kind: runlevel", a="need: b", b="description: x", c="description: x")
    services = tuple(
        replace(each, service=replace(each.service, dependencies=(early,))) if each.name == "sysinit" else each
        for each in read.services
    )
    found = graph.resolve(replace(read, services=services))
    assert cuts(found) == [("a", "after", "sysinit"), ("b", "after", "sysinit")]
    assert told(found)[1] == (
        "note: b.yaml:1:1: after: found the loop b starts after sysinit (implied: starts after sysinit unless "
        "early: true), sysinit wants a (runlevels/sysinit/a), a needs b (a.yaml:1:7), expected no loop; "
        "cut here: it is ignored that b starts after sysinit"
    )
    assert edges(found, "c") == [("after", "sysinit")]


def test_a_runlevel_keeps_its_member_when_the_member_wants_to_be_after_it() -> None:
    member = Dependency(EdgeKind.WANT, "a", Place("runlevels/default/a"), implied=True)
    read = definitions(a="after: default", default="kind: runlevel")
    (a, default) = read.services
    changed = replace(default, service=replace(default.service, dependencies=(member,)))
    assert cuts(graph.resolve(replace(read, services=(a, changed)))) == [("a", "after", "default")]


def test_a_loop_of_needs_breaks_exactly_its_members() -> None:
    found = resolve(a="need: b", b="bind: c", c="need: [a, e]", d="need: a", e="description: x; after: d")
    text = "a needs b (a.yaml:1:7), b is bound to c (b.yaml:1:7), c needs a (c.yaml:1:8)"
    assert broken(found) == {"a": "cycle", "b": "cycle", "c": "cycle"}
    assert told(found) == [
        f"error: a.yaml:1:7: need: found the loop {text}, expected no loop; "
        "a, b, c cannot start: turn one of these edges into want, use or after"
    ]
    assert [each.broken_by for each in found.services if each.name == "a"] == [(text,)]
    assert [each.broken_by for each in found.services if each.name == "b"] == [
        ("b is bound to c (b.yaml:1:7), c needs a (c.yaml:1:8), a needs b (a.yaml:1:7)",)
    ]
    assert (edges(found, "c"), edges(found, "d"), found.cuts) == ([("need", "e")], [("need", "a")], ())


def test_a_provider_that_needs_its_own_name_is_left_to_the_other_providers() -> None:
    found = resolve(a="need: dns; provide: dns", b="provide: dns", c="need: dns")
    assert (cuts(found), broken(found)) == ([("dns", "provided_by", "a")], {})
    assert (edges(found, "dns"), edges(found, "a")) == ([("provided_by", "b")], [("need", "dns")])
    assert told(found) == [
        "warning: a.yaml:2:10: provided_by: found the loop dns is provided by a (a.yaml:2:10), "
        "a needs dns (a.yaml:1:7), expected no loop; cut here: it is ignored that dns is provided by a"
    ]


def test_a_sole_provider_that_needs_its_own_name_cannot_start() -> None:
    found = resolve(a="need: dns; provide: dns", c="need: dns")
    assert broken(found) == {"a": "cycle", "dns": "cycle"}
    assert told(found) == [
        "error: a.yaml:1:7: need: found the loop a needs dns (a.yaml:1:7), dns is provided by a (a.yaml:2:10), "
        "expected no loop; a, dns cannot start: turn one of these edges into want, use or after"
    ]


def test_a_runlevel_is_never_taken_out() -> None:
    """With it all its members would be lost: its needs are cut, and those of nothing are left out."""
    found = resolve(default="kind: runlevel; need: [a, nil]", a="need: default")
    assert told(found) == [
        "error: default.yaml:2:11: need: found 'nil', expected a defined service; it is left out",
        "warning: default.yaml:2:8: need: found the loop default needs a (default.yaml:2:8), "
        "a needs default (a.yaml:1:7), expected no loop; cut here: it is ignored that default needs a",
    ]
    assert (broken(found), edges(found, "default"), edges(found, "a")) == ({}, [], [("need", "default")])


def test_each_loop_of_needs_is_told_once() -> None:
    found = resolve(a="need: [b, c]", b="need: a", c="need: a", x="need: y", y="need: x")
    assert [fault.place.file for fault in found.faults] == ["a.yaml", "c.yaml", "x.yaml"]
    assert set(broken(found).values()) == {"cycle"}


# conflicts


def test_services_of_one_runlevel_that_conflict_are_an_error_that_takes_neither_out() -> None:
    def wants(name: str, *others: str) -> Definition:
        edges = tuple(Dependency(EdgeKind.WANT, other, Place(f"runlevels/{name}/{other}"), True) for other in others)
        return Definition(Service(name, Place(name), Kind.RUNLEVEL, dependencies=edges))

    read = definitions(a="conflicts: c", b="need: c", c="description: x", d="conflicts: c")
    levels = (wants("boot", "b"), wants("default", "boot", "a"), wants("other", "default"))
    found = graph.resolve(replace(read, services=(*read.services, *levels)))
    assert told(found) == [
        "error: a.yaml:1:12: conflicts: found 'a' and 'c' both wanted by runlevel default, expected one of them; "
        "'a' wins, 'c' does not start; disable one"
    ]
    assert (found.faults[0].service, broken(found)) == ("", {})


# any graph

KINDS = st.sampled_from([EdgeKind.NEED, EdgeKind.BIND, EdgeKind.WANT, EdgeKind.USE, EdgeKind.AFTER])
NAMES = st.sampled_from([*(f"s{number}" for number in range(8)), "s0.socket"])
WITH_SOCKETS = ("s0", "s1")

Draw = Callable[[st.SearchStrategy[object]], object]


@st.composite
def any_definitions(draw: Draw, kinds: st.SearchStrategy[EdgeKind] = KINDS) -> Definitions:
    """Up to eight services with any edges among them, some to virtual names, some broken; two of them with sockets."""
    made = []
    for number in range(8):
        edges = draw(st.lists(st.tuples(kinds, NAMES | st.sampled_from(["v", "w"])), max_size=4))
        provides = draw(st.lists(st.sampled_from(["v", "w"]), unique=True, max_size=1))
        assert isinstance(edges, list)
        assert isinstance(provides, list)
        place = Place(f"s{number}.yaml", 1)
        dependencies = tuple(Dependency(kind, on, place) for kind, on in edges)
        service = Service(f"s{number}", place, dependencies=dependencies)
        made.append(Definition(service, provides=tuple((name, place) for name in provides)))
    return Definitions(tuple(each for one in made for each in with_socket(one)))


def with_socket(made: Definition) -> tuple[Definition, ...]:
    """As `linit.definitions` leaves a service that has the key `listen`."""
    service = made.service
    if service.name not in WITH_SOCKETS:
        return (made,)
    socket = Service(f"{service.name}.socket", service.place, Kind.SOCKET, activates=service.name)
    need = Dependency(EdgeKind.NEED, socket.name, service.place, implied=True)
    return replace(made, service=replace(service, dependencies=(*service.dependencies, need))), Definition(socket)


def waits(found: Resolution) -> loops.Graph:
    whole: loops.Graph = nx.DiGraph()
    whole.add_nodes_from(each.name for each in found.services)
    whole.add_edges_from(
        (each.name, edge.on)
        for each in found.services
        for edge in each.dependencies
        if edge.kind is not EdgeKind.CONFLICTS
    )
    return whole


@given(any_definitions())
@settings(max_examples=100, deadline=None)
def test_what_is_left_has_no_loop_and_no_unknown_name(read: Definitions) -> None:
    """The promise of model.service.Plan."""
    found = graph.resolve(read)
    names = {each.name for each in found.services}
    assert nx.is_directed_acyclic_graph(waits(found))
    assert all(edge.on in names for each in found.services for edge in each.dependencies)
    assert [each.name for each in found.services] == sorted(names)


@given(any_definitions())
@settings(max_examples=100, deadline=None)
def test_every_cut_edge_closed_a_loop_and_none_is_cut_in_vain(read: Definitions) -> None:
    found = graph.resolve(read)
    for cut in found.cuts:
        assert cut.cycle[0] == cut.cycle[-1] == cut.owner
        assert cut.cycle[1] == cut.dependency.on
        left = waits(found)
        assert cut.dependency.kind is EdgeKind.PROVIDED_BY or nx.has_path(left, cut.dependency.on, cut.owner)


@given(any_definitions())
@settings(max_examples=100, deadline=None)
def test_the_order_of_what_is_written_decides_nothing(read: Definitions) -> None:
    def turned(each: Definition) -> Definition:
        return replace(each, service=replace(each.service, dependencies=each.service.dependencies[::-1]))

    other = graph.resolve(replace(read, services=tuple(turned(each) for each in read.services[::-1])))
    found = graph.resolve(read)
    assert [told_in_order(each) for each in found.services] == [told_in_order(each) for each in other.services]
    assert set(found.cuts) == set(other.cuts)


def told_in_order(service: Service) -> Service:
    return replace(service, broken_by=tuple(sorted(service.broken_by)))


@given(any_definitions(st.sampled_from([EdgeKind.NEED, EdgeKind.BIND])))
@settings(max_examples=100, deadline=None)
def test_of_needs_alone_exactly_the_members_of_loops_are_broken(read: Definitions) -> None:
    """Without virtual names nothing can be cut, so networkx alone says who is in a loop."""
    plain = replace(read, services=tuple(replace(each, provides=()) for each in read.services))
    usable = {each.name for each in plain.services if all(
        edge.on.startswith("s") and edge.on != each.name for edge in each.service.dependencies
    )}  # fmt: skip
    whole: loops.Graph = nx.DiGraph(
        (each.name, edge.on) for each in plain.services if each.name in usable for edge in each.service.dependencies
    )
    components = nx.strongly_connected_components(whole)
    members = {name for component in components if len(component) > 1 for name in component}
    found = graph.resolve(plain)
    sockets = {f"{name}.socket" for name in members if name in WITH_SOCKETS}
    assert {name for name, why in broken(found).items() if why == "cycle"} == members | sockets
    assert found.cuts == ()


@given(any_definitions())
@settings(max_examples=100, deadline=None)
def test_sockets_are_opened_for_services_that_can_start_and_no_others(read: Definitions) -> None:
    out = broken(graph.resolve(read))
    assert [out.get(f"{name}.socket") for name in WITH_SOCKETS] == [out.get(name) for name in WITH_SOCKETS]


@given(st.sets(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]), max_size=16))
@settings(max_examples=100, deadline=None)
def test_as_few_edges_of_one_kind_are_cut_as_possible(pairs: set[tuple[str, str]]) -> None:
    """Held against trying every set of edges, smallest first."""
    cut = loops.cut(set(), sorted(pairs))
    for size in range(len(cut)):
        assert not any(_is_enough(pairs, chosen) for chosen in _subsets(sorted(pairs), size))
        if size == 2:
            break  # trying all sets of three takes too long


def _is_enough(pairs: set[tuple[str, str]], chosen: tuple[tuple[str, str], ...]) -> bool:
    return nx.is_directed_acyclic_graph(loops.graph_of(pairs - set(chosen)))


def _subsets(pairs: list[tuple[str, str]], size: int) -> list[tuple[tuple[str, str], ...]]:
    from itertools import combinations

    return list(combinations(pairs, size))


def test_a_thousand_services_in_one_tangle_are_cut_in_time() -> None:
    """Too many to search for the fewest cuts: few have to do, and no loop may be left."""
    names = [f"s{number}" for number in range(1000)]
    pairs = [(names[n], names[(n * step + step) % 1000]) for n in range(1000) for step in (7, 13, 31)]
    kept: set[loops.Pair] = set()
    cut = loops.cut(kept, [pair for pair in pairs if pair[0] != pair[1]])
    assert nx.is_directed_acyclic_graph(loops.graph_of(kept))
    assert kept | cut.keys() == {pair for pair in pairs if pair[0] != pair[1]}
    assert len(cut) < 1000


def test_severities_of_the_graph() -> None:
    """An undefined soft edge is a note, a cut a warning, what takes a service out an error."""
    found = resolve(a="need: b; use: nil", b="need: a", c="after: d", d="after: c")
    assert [fault.severity for fault in found.faults] == [Severity.NOTE, Severity.ERROR, Severity.WARNING]
