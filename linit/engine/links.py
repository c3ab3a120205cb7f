"""Who is joined to whom? The edges of all live definitions, from both ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cache
from typing import Final

from linit.engine.edges import Kinds
from linit.model.service import Dependency, EdgeKind, Kind, Service

Edge = tuple[str, Dependency]  # its owner, and what the owner wrote
NONE: Final[Kinds] = frozenset()
PULLING: Final[Kinds] = frozenset(kind for kind in EdgeKind if kind.pulls)


class Links:
    """An index of edges that follows definitions as they come, change and go. Each call costs the service's degree."""

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self._forward: dict[str, tuple[Dependency, ...]] = {}
        self._reverse: dict[str, dict[tuple[str, int], Edge]] = {}  # by owner and the edge's number there
        self._hostile: dict[str, dict[tuple[str, int], Edge]] = {}  # with whom a name conflicts, from both ends
        self._provided: dict[str, dict[str, None]] = {}  # the virtual names that a service provides
        self._preferring: dict[str, dict[str, None]] = {}  # who depends on a name and has a `prefer`
        self._kinds_from: dict[str, Kinds] = {}  # of the edges of a name
        self._forward_by: defaultdict[str, dict[Kinds, Collection[Dependency]]] = defaultdict(dict)  # asked for before
        self._pulled: dict[str, Collection[Dependency]] = {}  # asked for most often
        self.learning: set[str] = set()  # who has edges that were found at run time
        self.frugal: set[str] = set()  # who stops when nobody needs it
        for service in services:
            self.add(service)

    def add(self, service: Service) -> None:
        """Join `service` to what it depends on. A conflict is joined from both ends."""
        name = service.name
        self._forward[name] = service.dependencies
        self._kinds_from[name] = NONE
        self._forward_by.pop(name, None)
        self._pulled.pop(name, None)
        if service.stop_when_unneeded:
            self.frugal.add(name)
        for number, dependency in enumerate(service.dependencies):
            if dependency.learned:
                self.learning.add(name)
            self._kinds_from[name] = _with(self._kinds_from[name], dependency.kind)
            self._reverse.setdefault(dependency.on, {})[name, number] = (name, dependency)
            if dependency.kind is EdgeKind.CONFLICTS:
                self._hostile.setdefault(name, {})[name, number] = (dependency.on, dependency)
                self._hostile.setdefault(dependency.on, {})[name, number] = (name, dependency)
            elif dependency.kind is EdgeKind.PROVIDED_BY:
                self._provided.setdefault(dependency.on, {})[name] = None
            if service.prefer:
                self._preferring.setdefault(dependency.on, {})[name] = None

    def remove(self, name: str) -> None:
        """Take away the edges that `name` wrote; those that point at it stay."""
        self.learning.discard(name)
        self.frugal.discard(name)
        self._kinds_from.pop(name, None)
        self._forward_by.pop(name, None)
        self._pulled.pop(name, None)
        for number, dependency in enumerate(self._forward.pop(name, ())):
            del self._reverse[dependency.on][name, number]
            if dependency.kind is EdgeKind.CONFLICTS:
                self._hostile[name].pop((name, number), None)
                self._hostile[dependency.on].pop((name, number), None)
            elif dependency.kind is EdgeKind.PROVIDED_BY:
                self._provided[dependency.on].pop(name, None)
            self._preferring.get(dependency.on, {}).pop(name, None)

    def dependencies(self, name: str) -> tuple[Dependency, ...]:
        """What `name` depends on, conflicts among them, in the order written."""
        return self._forward.get(name, ())

    def dependents(self, name: str) -> Collection[Edge]:
        """Who depends on `name`, and by which edge."""
        found = self._reverse.get(name)
        return found.values() if found else ()

    def dependencies_by(self, name: str, kinds: Kinds) -> Collection[Dependency]:
        """Those of `dependencies` that are of such a kind."""
        found = self._forward_by[name].get(kinds)
        if found is None:
            found, present = self.dependencies(name), self._kinds_from.get(name, NONE)
            if not present <= kinds:
                found = [edge for edge in found if edge.kind in kinds] if present & kinds else ()
            self._forward_by[name][kinds] = found
        return found

    def foes(self, name: str) -> Collection[Edge]:
        """Who conflicts with `name`, whichever of the two said so."""
        found = self._hostile.get(name)
        return found.values() if found else ()

    def contested(self, names: Iterable[str]) -> list[str]:
        """Those of these names that have foes."""
        hostile = self._hostile
        return [name for name in names if hostile.get(name)]

    def provided(self, name: str) -> Iterable[str]:
        """The virtual names that `name` provides."""
        return self._provided.get(name, ())

    def preferring(self, name: str) -> Iterable[str]:
        """Who depends on `name` and prefers some providers to others."""
        return self._preferring.get(name, ())

    def pulled(self, name: str) -> Collection[Dependency]:
        """The edges by which a wish for `name` becomes a wish for others."""
        found = self._pulled.get(name)
        if found is None:
            found = self._pulled[name] = self.dependencies_by(name, PULLING)
        return found


@cache
def _with(kinds: Kinds, kind: EdgeKind) -> Kinds:
    """One set for all services that have the same kinds of edges: there are some dozen."""
    return kinds | {kind}


PROCESSLESS = frozenset({Kind.TARGET, Kind.RUNLEVEL, Kind.VIRTUAL})
