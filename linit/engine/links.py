"""Who is joined to whom? The edges of all live definitions, from both ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from linit.model.service import Dependency, EdgeKind, Kind, Service

Edge = tuple[str, Dependency]  # its owner, and what the owner wrote
Kinds = frozenset[EdgeKind]


class Links:
    """An index of edges that follows definitions as they come, change and go. Each call costs the service's degree."""

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self._forward: dict[str, tuple[Dependency, ...]] = {}
        self._reverse: dict[str, dict[tuple[str, int], Edge]] = {}  # by owner and the edge's number there
        self._hostile: dict[str, dict[tuple[str, int], Edge]] = {}  # the conflicts among them, from both ends
        self._provided: dict[str, dict[str, None]] = {}  # the virtual names that a service provides
        self._preferring: dict[str, dict[str, None]] = {}  # who depends on a name and has a `prefer`
        self._forward_by: dict[str, dict[Kinds, tuple[Dependency, ...]]] = {}  # what was asked for once: most events
        self._reverse_by: dict[str, dict[Kinds, tuple[Edge, ...]]] = {}  # mean something to few kinds of edges only
        for service in services:
            self.add(service)

    def add(self, service: Service) -> None:
        """Join `service` to what it depends on. A conflict is joined from both ends."""
        name = service.name
        self._forward[name] = service.dependencies
        self._forward_by.pop(name, None)
        for number, dependency in enumerate(service.dependencies):
            self._reverse_by.pop(dependency.on, None)
            self._reverse.setdefault(dependency.on, {})[name, number] = (name, dependency)
            if dependency.kind is EdgeKind.CONFLICTS:
                self._hostile.setdefault(dependency.on, {})[name, number] = (name, dependency)
            elif dependency.kind is EdgeKind.PROVIDED_BY:
                self._provided.setdefault(dependency.on, {})[name] = None
            if service.prefer:
                self._preferring.setdefault(dependency.on, {})[name] = None

    def remove(self, name: str) -> None:
        """Take away the edges that `name` wrote; those that point at it stay."""
        self._forward_by.pop(name, None)
        for number, dependency in enumerate(self._forward.pop(name, ())):
            self._reverse_by.pop(dependency.on, None)
            del self._reverse[dependency.on][name, number]
            if dependency.kind is EdgeKind.CONFLICTS:
                del self._hostile[dependency.on][name, number]
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

    def dependencies_by(self, name: str, kinds: Kinds) -> tuple[Dependency, ...]:
        """Those of `dependencies` that are of such a kind."""
        known = self._forward_by.get(name) or self._forward_by.setdefault(name, {})
        found = known.get(kinds)
        if found is None:
            found = known[kinds] = tuple(edge for edge in self.dependencies(name) if edge.kind in kinds)
        return found

    def dependents_by(self, name: str, kinds: Kinds) -> tuple[Edge, ...]:
        """Those of `dependents` that are so by such an edge."""
        known = self._reverse_by.get(name) or self._reverse_by.setdefault(name, {})
        found = known.get(kinds)
        if found is None:
            found = known[kinds] = tuple(each for each in self.dependents(name) if each[1].kind in kinds)
        return found

    def foes(self, name: str) -> Iterator[Edge]:
        """Who conflicts with `name`, whichever of the two said so."""
        for dependency in self.dependencies(name):
            if dependency.kind is EdgeKind.CONFLICTS:
                yield dependency.on, dependency
        yield from self._hostile.get(name, {}).values()

    def provided(self, name: str) -> Iterable[str]:
        """The virtual names that `name` provides."""
        return self._provided.get(name, ())

    def preferring(self, name: str) -> Iterable[str]:
        """Who depends on `name` and prefers some providers to others."""
        return self._preferring.get(name, ())

    def pulled(self, name: str) -> Iterator[Dependency]:
        """The edges by which a wish for `name` becomes a wish for others."""
        return (dependency for dependency in self.dependencies(name) if dependency.kind.pulls)


PROCESSLESS = frozenset({Kind.TARGET, Kind.RUNLEVEL, Kind.VIRTUAL})
