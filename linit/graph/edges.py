"""Which edges does each service have, once every name is known?

`before` becomes an AFTER edge of the other, `provide` a virtual name with PROVIDED_BY edges, the implicit order an
implied edge on sysinit. Names that nobody defines, and edges that make no sense by themselves, become faults here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from linit.definitions import Definitions
from linit.definitions.definition import Definition
from linit.definitions.nearest import suggestion
from linit.model.place import Fault, Place, Severity
from linit.model.service import Condition, ConditionKind, Dependency, EdgeKind, Kind, Service

SYSINIT: Final = "sysinit"
LOCALMOUNT: Final = "localmount"
KERNEL_FOLDERS: Final = ("/run/", "/dev/", "/proc/", "/sys/")  # there before anything is mounted by linit
SUGGESTIONS_MAX: Final = 200  # comparing a name with all others is slow where there are thousands
NOT_EARLY: Final = Place("implied: starts after sysinit unless early: true")
ON_DISK: Final = Place("implied: a trigger with a path on a disk starts after localmount")


@dataclass(slots=True)
class Edges:
    """What was connected. `virtual`: each virtual name with its providers; `broken`: the faults of services that their
    own edges take out."""

    of: dict[str, list[Dependency]] = field(default_factory=dict)
    virtual: dict[str, list[tuple[str, Place]]] = field(default_factory=dict)
    broken: dict[str, list[Fault]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def connect(definitions: Definitions) -> Edges:
    """The edges of every service. A service that is broken has none."""
    return _Connection(definitions).made


class _Connection:
    """The steps from what is written to `Edges`."""

    def __init__(self, definitions: Definitions) -> None:
        self.masks = definitions.masks
        self.defined = {each.name: each for each in definitions.services}
        self.made = Edges()
        self.suggestions = SUGGESTIONS_MAX
        for each in definitions.services:
            self.add_providers(each)
        self.names = self.defined.keys() | self.made.virtual.keys()
        usable = [each for each in definitions.services if not each.service.broken]
        for each in usable:
            self.add_own(each)
        for each in usable:
            self.add_before(each)
        self.add_virtual()
        self.add_implied_order(usable)

    def add_providers(self, definition: Definition) -> None:
        """A broken provider is one too: what needs the name then fails at run time, naming it."""
        for name, place in dict(definition.provides).items():
            if name in self.defined:
                what = "itself" if name == definition.name else f"a service ({self.defined[name].service.place})"
                found = f"'{name}', which is {what}"
                self.left_out(Severity.WARNING, place, "provide", found, "a name of its own", definition.name)
            else:
                self.made.virtual.setdefault(name, []).append((definition.name, place))

    def add_own(self, definition: Definition) -> None:
        """What the service itself says. Of two equal edges the first is kept, but a written one before an implied."""
        kept: dict[tuple[EdgeKind, str], Dependency] = {}
        for edge in definition.service.dependencies:
            for each in self.expanded(definition.name, edge):
                if self.is_sound(definition.name, each):
                    there = kept.get((each.kind, each.on))
                    if there is None or (there.implied and not each.implied):
                        kept[each.kind, each.on] = each
        for kind in (EdgeKind.NEED, EdgeKind.BIND):
            self.check_contradiction(definition.name, kind, kept)
        self.made.of.setdefault(definition.name, []).extend(kept.values())

    def expanded(self, owner: str, edge: Dependency) -> Iterator[Dependency]:
        """A conflict with a virtual name is one with each other provider."""
        if edge.kind is not EdgeKind.CONFLICTS or edge.on not in self.made.virtual:
            yield edge
            return
        for provider, _ in self.made.virtual[edge.on]:
            if provider != owner:
                yield Dependency(edge.kind, provider, edge.place, edge.implied)

    def is_sound(self, owner: str, edge: Dependency) -> bool:
        """Does the edge lead to something else that exists? If not, says so."""
        word = edge.kind.value
        if edge.on == owner:
            if edge.kind.is_hard:
                self.take_out(owner, edge, f"'{owner}', the service itself", "another service")
            else:
                found = f"'{owner}', the service itself"
                self.left_out(Severity.WARNING, edge.place, word, found, "another service", owner)
            return False
        if edge.on in self.names:
            return True
        hint = self.hint(edge.on)
        if edge.kind.is_hard:
            self.take_out(owner, edge, f"'{edge.on}'", "a defined service", hint)
        else:
            key = "" if edge.implied else word
            self.left_out(Severity.NOTE, edge.place, key, f"'{edge.on}'", "a defined service", owner, hint)
        return False

    def hint(self, name: str) -> str:
        if name in self.masks:
            return f"it is masked by {self.masks[name]}"
        if self.suggestions <= 0:
            return ""
        self.suggestions -= 1
        return suggestion(name, self.names)

    def check_contradiction(self, owner: str, kind: EdgeKind, kept: dict[tuple[EdgeKind, str], Dependency]) -> None:
        """What needs another one and conflicts with it can never be up."""
        for edge in [each for each in kept.values() if each.kind is kind]:
            conflict = kept.get((EdgeKind.CONFLICTS, edge.on))
            if conflict is not None:
                found = f"'{edge.on}', with which it conflicts ({conflict.place})"
                self.take_out(owner, edge, found, "one or the other")

    def take_out(self, owner: str, edge: Dependency, found: str, expected: str, hint: str = "") -> None:
        """An error that breaks a service. A runlevel only loses the edge: with it, all its members would be lost."""
        if self.defined[owner].service.kind is Kind.RUNLEVEL:
            self.left_out(Severity.ERROR, edge.place, edge.kind.value, found, expected, owner, hint)
            return
        fault = Fault(Severity.ERROR, edge.place, edge.kind.value, found, expected, hint, owner)
        self.made.broken.setdefault(owner, []).append(fault)
        self.made.faults.append(fault)

    def left_out(self, severity: Severity, place: Place, *words: str) -> None:
        """`words`: key, found, expected, service, and a hint."""
        key, found, expected, service, *near = words
        hint = "; ".join(["it is left out", *(each for each in near if each)])
        self.made.faults.append(Fault(severity, place, key, found, expected, hint, service))

    def add_before(self, definition: Definition) -> None:
        """`before: x` is an AFTER edge of x; before a virtual name: of each of its other providers."""
        for edge in definition.before:
            if edge.on == definition.name or edge.on not in self.names:
                self.unsound_before(definition.name, edge)
                continue
            others = [provider for provider, _ in self.made.virtual.get(edge.on, ())] or [edge.on]
            for other in others:
                if other != definition.name and not self.defined[other].service.broken:
                    self.add(other, Dependency(EdgeKind.AFTER, definition.name, edge.place))

    def unsound_before(self, owner: str, edge: Dependency) -> None:
        is_self = edge.on == owner
        found = f"'{edge.on}', the service itself" if is_self else f"'{edge.on}'"
        expected = "another service" if is_self else "a defined service"
        severity, near = (Severity.WARNING, "") if is_self else (Severity.NOTE, self.hint(edge.on))
        self.left_out(severity, edge.place, "before", found, expected, owner, near)

    def add(self, owner: str, edge: Dependency) -> None:
        there = self.made.of.setdefault(owner, [])
        if not any(each.kind is edge.kind and each.on == edge.on for each in there):
            there.append(edge)

    def add_virtual(self) -> None:
        """A virtual name depends on its providers, in the order of their names."""
        for name, providers in self.made.virtual.items():
            providers.sort()
            for provider, place in providers:
                self.add(name, Dependency(EdgeKind.PROVIDED_BY, provider, place))

    def add_implied_order(self, usable: Iterable[Definition]) -> None:
        """What runs or starts something starts after sysinit, unless it is early; a trigger with a path on a disk after
        that is mounted; a service with a condition on another one after that."""
        for definition in usable:
            service = definition.service
            is_late = (service.kind.runs or service.kind.is_trigger) and not definition.is_early
            if is_late and SYSINIT in self.defined:
                self.add(service.name, Dependency(EdgeKind.AFTER, SYSINIT, NOT_EARLY, implied=True))
            if LOCALMOUNT in self.defined and any(not path.startswith(KERNEL_FOLDERS) for path in _paths(service)):
                self.add(service.name, Dependency(EdgeKind.AFTER, LOCALMOUNT, ON_DISK, implied=True))
            for condition in service.when:
                if condition.kind is ConditionKind.SERVICE:
                    self.add_condition(service.name, condition)

    def add_condition(self, owner: str, condition: Condition) -> None:
        """What is looked at must have been decided, if it is being started, too."""
        on = condition.value
        if on == owner or on not in self.names:
            found = f"'{on}', the service itself" if on == owner else f"'{on}'"
            met = "always" if condition.negated else "never"
            hint = "; ".join(
                each for each in (f"the condition is {met} met", "" if on == owner else self.hint(on)) if each
            )
            expected = "another service" if on == owner else "a defined service"
            self.made.faults.append(Fault(Severity.NOTE, condition.place, "when", found, expected, hint, owner))
        else:
            self.add(owner, Dependency(EdgeKind.AFTER, on, condition.place, implied=True))


def _paths(service: Service) -> Iterator[str]:
    """Where a trigger makes sockets, looks, or keeps its stamp."""
    if not service.kind.is_trigger:
        return
    yield from (each.address for each in service.listen if each.address.startswith("/"))
    yield from (each.path for each in service.watch)
    if service.schedule is not None and service.schedule.persistent:
        yield "/var/"
