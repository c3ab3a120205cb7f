"""Which definitions are right by themselves, but not beside each other? Two that listen on one address, and a service
with the name of another one's trigger.

Services that conflict may have one address: they are never up together, and then their sockets must not be either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from linit.definitions import listening
from linit.definitions.definition import Definition, taken_out
from linit.definitions.document import quoted
from linit.definitions.triggers import KEYS
from linit.definitions.values import NAME_MAX
from linit.model.place import Fault, Severity
from linit.model.service import TRIGGERS, Dependency, EdgeKind, Kind, Listen, Service


def with_triggers(
    defined: Mapping[str, Definition], templates: Collection[str], masks: Collection[str]
) -> dict[str, Definition]:
    """All definitions, their triggers among them; those that cannot be beside others are taken out. `templates`: their
    names, which end in @."""
    faults: dict[str, list[Fault]] = {}
    shared = [users for users in _by_address(defined).values() if len(users) > 1]
    for fault in (*_names(defined, templates), *_addresses(defined, shared)):
        faults.setdefault(fault.service, []).append(fault)
    made: dict[str, Definition] = {}
    for name, each in defined.items():
        definition = taken_out(each, tuple(faults[name])) if name in faults else each
        made[name] = definition
        for trigger in definition.triggers:
            if trigger.name not in masks and trigger.name not in defined:
                made[trigger.name] = Definition(trigger, is_early=each.is_early)
    for users in shared:
        for number, (name, socket) in enumerate(users):
            others = [other for other, _ in users[number + 1 :] if _conflict(made[name], made[other])]
            _keep_apart(made, name, others, socket)
    return made


def _names(defined: Mapping[str, Definition], templates: Collection[str]) -> Iterator[Fault]:
    for definition in defined.values():
        service = definition.service
        for trigger in definition.triggers:
            other = defined.get(trigger.name)
            if other is not None:
                found = f"{quoted(trigger.name)}, which {other.service.place} defines"
                yield _error(trigger, KEYS[trigger.kind], found, "a name of its own", "rename that service")
            elif len(trigger.name) > NAME_MAX:
                found = f"{quoted(trigger.name)}, a name of {len(trigger.name)} characters"
                yield _error(trigger, KEYS[trigger.kind], found, f"at most {NAME_MAX}", "rename the service")
        if service.kind is Kind.SOCKET and not service.broken and f"{service.name}@" in templates:
            found = f"a service beside the template {quoted(service.name + '@')}"
            hint = f"the processes of connections are named {service.name}@1 and so on"
            place = service.listen[0].place
            yield Fault(Severity.ERROR, place, "listen.accept", found, "one of them", hint, service.name)


def _error(trigger: Service, key: str, found: str, expected: str, hint: str) -> Fault:
    return Fault(Severity.ERROR, trigger.place, key, found, expected, hint, trigger.activates)


def _by_address(defined: Mapping[str, Definition]) -> dict[str, list[tuple[str, Listen]]]:
    found: dict[str, list[tuple[str, Listen]]] = {}
    for name in sorted(defined):
        for socket in defined[name].service.listen:
            found.setdefault(listening.identity(socket), []).append((name, socket))
    return found


def _addresses(defined: Mapping[str, Definition], shared: Iterable[list[tuple[str, Listen]]]) -> Iterator[Fault]:
    """Each of two services with one address is told of the other: neither has more right to it."""
    for users in shared:
        for name, socket in users:
            others = (each for each in users if each[0] != name and not _conflict(defined[name], defined[each[0]]))
            for other, theirs in islice(others, 1):
                words = f"{quoted(socket.address)}, on which {other} listens, too ({theirs.place})"
                hint = "services that conflict may have the same"
                yield Fault(Severity.ERROR, socket.place, "listen", words, "each address once", hint, name)


def _conflict(one: Definition, other: Definition) -> bool:
    """Does one of them say so, perhaps by a name that the other provides?"""
    for owner, foe in ((one, other), (other, one)):
        names = {foe.name, *(name for name, _ in foe.provides)}
        if any(edge.kind is EdgeKind.CONFLICTS and edge.on in names for edge in owner.service.dependencies):
            return True
    return False


def _keep_apart(made: dict[str, Definition], name: str, others: Iterable[str], socket: Listen) -> None:
    """The sockets conflict as their services do."""
    trigger = made.get(name + TRIGGERS[Kind.SOCKET])
    if trigger is None:
        return
    edges = tuple(
        Dependency(EdgeKind.CONFLICTS, each if made[each].service.kind is Kind.SOCKET else sockets, socket.place, True)
        for each in others
        for sockets in [each + TRIGGERS[Kind.SOCKET]]
    )
    service = replace(trigger.service, dependencies=(*trigger.service.dependencies, *edges))
    made[trigger.name] = replace(trigger, service=service)
