"""Which services are desired together by a runlevel, and conflict?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from linit.model.place import Fault, Severity
from linit.model.service import Dependency, EdgeKind, Kind, Service


def faults(services: Mapping[str, Service]) -> Iterator[Fault]:
    """An error for each pair. It takes neither out: at run time the earlier in name order wins."""
    together = {name: _closure(services, name) for name in services if services[name].kind is Kind.RUNLEVEL}
    told: set[frozenset[str]] = set()
    for name in sorted(services):
        for edge in services[name].dependencies:
            pair = frozenset((name, edge.on))
            if edge.kind is not EdgeKind.CONFLICTS or pair in told:
                continue
            where = [runlevel for runlevel, members in together.items() if pair <= members]
            if where:
                told.add(pair)
                yield _fault(name, edge, _least(services, where))


def _closure(services: Mapping[str, Service], runlevel: str) -> set[str]:
    """What a runlevel pulls in, through any number of edges; of virtual names only the sole provider."""
    found, queue = {runlevel}, deque([runlevel])
    while queue:
        service = services[queue.popleft()]
        is_sole = service.kind is Kind.VIRTUAL and len(service.dependencies) == 1
        for edge in service.dependencies:
            if (edge.kind.pulls or is_sole) and edge.on not in found:
                found.add(edge.on)
                queue.append(edge.on)
    return found


def _least(services: Mapping[str, Service], runlevels: list[str]) -> list[str]:
    """Those in which the conflict arises: they do not merely stack on another one of them."""
    return [
        runlevel for runlevel in sorted(runlevels)
        if not any(edge.on in runlevels for edge in services[runlevel].dependencies)
    ]  # fmt: skip


def _fault(name: str, edge: Dependency, runlevels: list[str]) -> Fault:
    first, second = sorted((name, edge.on))
    levels = " and ".join(runlevels)
    return Fault(
        Severity.ERROR, edge.place, EdgeKind.CONFLICTS.value,
        f"'{first}' and '{second}' both wanted by runlevel {levels}", "one of them",
        f"'{first}' wins, '{second}' does not start; disable one",
    )  # fmt: skip
