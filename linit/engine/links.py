"""Who is joined to whom? The edges of all live definitions, from both ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from linit.model.service import Dependency, EdgeKind, Kind, Service


class Links:
    """An index of edges that follows definitions as they come, change and go. Each call costs the service's degree."""

    def __init__(self) -> None:
        self._forward: dict[str, tuple[Dependency, ...]] = {}
        self._reverse: dict[str, list[tuple[str, Dependency]]] = {}

    def add(self, service: Service) -> None:
        """Join `service` to what it depends on. A conflict is joined from both ends."""
        self._forward[service.name] = service.dependencies
        for dependency in service.dependencies:
            self._reverse.setdefault(dependency.on, []).append((service.name, dependency))

    def remove(self, name: str) -> None:
        """Take away the edges that `name` wrote; those that point at it stay."""
        for dependency in self._forward.pop(name, ()):
            back = self._reverse[dependency.on]
            back.remove((name, dependency))

    def dependencies(self, name: str) -> tuple[Dependency, ...]:
        """What `name` depends on, conflicts among them, in the order written."""
        return self._forward.get(name, ())

    def dependents(self, name: str) -> Iterable[tuple[str, Dependency]]:
        """Who depends on `name`, and by which edge."""
        return self._reverse.get(name, ())

    def foes(self, name: str) -> Iterator[tuple[str, Dependency]]:
        """Who conflicts with `name`, whichever of the two said so."""
        for dependency in self.dependencies(name):
            if dependency.kind is EdgeKind.CONFLICTS:
                yield dependency.on, dependency
        for other, dependency in self.dependents(name):
            if dependency.kind is EdgeKind.CONFLICTS:
                yield other, dependency

    def pulled(self, name: str) -> Iterator[Dependency]:
        """The edges by which a wish for `name` becomes a wish for others."""
        return (dependency for dependency in self.dependencies(name) if dependency.kind.pulls)


PROCESSLESS = frozenset({Kind.TARGET, Kind.RUNLEVEL, Kind.VIRTUAL})
