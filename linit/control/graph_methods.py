"""Who depends on whom? Edges are told once each, whatever the number of ways that lead to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from linit.control import records
from linit.control.calls import Call
from linit.engine.links import Links
from linit.engine.unit import Unit
from linit.model.service import EdgeKind, Kind

if TYPE_CHECKING:
    from linit.control.messages import EdgeRecord


def deps(call: Call, params: dict[str, Any]) -> None:
    """The edges from a service to what it depends on, and on from there."""
    unit = call.unit(params["name"])
    units = call.engine.units
    call.answer({"name": unit.name, "edges": _forward(unit.name, units)})


def rdeps(call: Call, params: dict[str, Any]) -> None:
    """The edges to a service from those that depend on it, and on from there; and which services would stop with it."""
    unit = call.unit(params["name"])
    engine = call.engine
    edges = _reverse(unit.name, engine.units, engine.links)
    gone = would_stop(unit.name, engine.units, engine.links)
    services = [each for each in gone if engine.units[each].service.kind is not Kind.VIRTUAL]
    call.answer({"name": unit.name, "edges": edges, "stops": services})


def _forward(name: str, units: Mapping[str, Unit]) -> list[EdgeRecord]:
    edges = []
    seen, todo = {name}, deque([name])
    while todo:
        owner = todo.popleft()
        for dependency in units[owner].service.dependencies:
            other = units.get(dependency.on)
            edges.append(records.edge(owner, dependency, other.state.value if other else ""))
            if other and other.name not in seen and dependency.kind is not EdgeKind.CONFLICTS:
                seen.add(other.name)
                todo.append(other.name)
    return edges


def _reverse(name: str, units: Mapping[str, Unit], links: Links) -> list[EdgeRecord]:
    edges = []
    seen, todo = {name}, deque([name])
    while todo:
        on = todo.popleft()
        for owner, dependency in sorted(links.dependents(on), key=lambda pair: (pair[0], pair[1].kind.value)):
            state = units[owner].state.value if owner in units else ""
            edges.append(records.edge(owner, dependency, state))
            if owner not in seen and dependency.kind is not EdgeKind.CONFLICTS:
                seen.add(owner)
                todo.append(owner)
    return edges


def would_stop(name: str, units: Mapping[str, Unit], links: Links) -> list[str]:
    """Which units, besides itself, a stop of `name` takes down: those that need it, and so on. Nearest first.

    A virtual name goes with its last provider.
    """
    gone, todo = {name: None}, deque([name])
    while todo:
        on = todo.popleft()
        for owner, dependency in sorted(links.dependents(on), key=lambda pair: pair[0]):
            unit = units.get(owner)
            if unit is None or owner in gone or not unit.goal:
                continue
            if dependency.kind.is_hard or (
                dependency.kind is EdgeKind.PROVIDED_BY and _has_no_provider_but(gone, unit, units)
            ):
                gone[owner] = None
                todo.append(owner)
    return [each for each in gone if each != name]


def _has_no_provider_but(gone: Mapping[str, None], virtual: Unit, units: Mapping[str, Unit]) -> bool:
    providers = (each.on for each in virtual.service.dependencies if each.kind is EdgeKind.PROVIDED_BY)
    return all(each in gone or each not in units or not units[each].goal for each in providers)
