"""Which services start another one when something happens? Made from its keys `listen`, `schedule` and `watch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from linit.definitions.digests import digest
from linit.definitions.document import List, Map, Node, Text
from linit.model.service import TRIGGERS, Dependency, EdgeKind, Kind, Service

KEYS: Final = {Kind.SOCKET: "listen", Kind.TIMER: "schedule", Kind.WATCH: "watch"}
DESCRIPTIONS: Final = {Kind.SOCKET: "sockets of", Kind.TIMER: "schedule of", Kind.WATCH: "paths watched for"}


def of(name: str, top: Map, found: Mapping[str, Any]) -> Iterator[Service]:
    """The triggers of a definition without errors. Sockets that start nothing close with the last that needs them."""
    for kind, key in KEYS.items():
        if not found.get(key):
            continue
        trigger = replace(
            _bare(name, kind, top),
            listen=found[key] if kind is Kind.SOCKET else (),
            schedule=found[key] if kind is Kind.TIMER else None,
            watch=found[key] if kind is Kind.WATCH else (),
        )
        trigger = replace(trigger, stop_when_unneeded=not trigger.starts)
        yield replace(trigger, digest=digest(trigger))


def broken(service: Service, top: Map) -> Iterator[Service]:
    """Those of a definition with errors, so that they can be named."""
    for kind, key in KEYS.items():
        if key in top.items and service.kind.runs and not _accepts(top):
            yield replace(_bare(service.name, kind, top), broken=service.broken, broken_by=service.broken_by)


def _bare(name: str, kind: Kind, top: Map) -> Service:
    description = f"{DESCRIPTIONS[kind]} {name}"
    return Service(name + TRIGGERS[kind], top.items[KEYS[kind]][0].place, kind, description, activates=name)


def _accepts(top: Map) -> bool:
    """Is it written that each connection gets a process of its own? Then the service is its own trigger."""
    node: Node = top.items["listen"][1] if "listen" in top.items else Text(top.place, "")
    entries = [item for item in (node.items if isinstance(node, List) else [node]) if isinstance(item, Map)]
    written = [entry.items["accept"][1] for entry in entries if "accept" in entry.items]
    return any(isinstance(each, Text) and each.value == "true" for each in written)


def needs(triggers: Iterable[Service]) -> Iterator[Dependency]:
    """A service needs its sockets."""
    for each in triggers:
        if each.kind is Kind.SOCKET:
            yield Dependency(EdgeKind.NEED, each.name, each.place, implied=True)


def named(name: str) -> Iterator[tuple[str, str]]:
    """If `name` may be that of a trigger: of which service, and the key that this must have then."""
    for kind, suffix in TRIGGERS.items():
        if name.endswith(suffix):
            yield name.removesuffix(suffix), KEYS[kind]
