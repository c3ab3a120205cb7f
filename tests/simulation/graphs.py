"""Service graphs for tests: written by hand in a line, or drawn at random from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from linit.model.place import Place
from linit.model.service import (
    Command,
    Dependency,
    EdgeKind,
    Kind,
    Plan,
    Readiness,
    ReadinessKind,
    Restart,
    RestartPolicy,
    Service,
)

WRITTEN = Place("test.yaml", 1, 1)
EDGES = {kind.value: kind for kind in EdgeKind}
RUN = Command(("/bin/daemon",), WRITTEN)


def service(name: str, **keys: Any) -> Service:
    """A definition from short keys: the edges by name, `kind`, `ready=True`, `restart="always"`, fields by their own
    names. A virtual name is made by `kind="virtual", provided_by=[...]`."""
    edges = tuple(Dependency(EDGES[key], on, WRITTEN) for key in list(keys) if key in EDGES for on in keys.pop(key))
    kind = Kind(keys.pop("kind", "process"))
    restart = keys.pop("restart", "never")
    if isinstance(restart, str):
        restart = Restart(RestartPolicy(restart), delay_s=1.0, limit=3, window_s=60.0)
    readiness = Readiness(ReadinessKind.NOTIFY) if keys.pop("ready", False) else Readiness()
    has_run = kind in (Kind.PROCESS, Kind.ONESHOT)
    keys.setdefault("run", RUN if has_run else None)
    keys.setdefault("digest", f"{kind}{edges}{restart}")
    return Service(name, WRITTEN, kind=kind, dependencies=edges, restart=restart, readiness=readiness, **keys)


def plan(services: Mapping[str, Any]) -> Plan:
    """A plan of services written as `service` takes them."""
    return Plan(tuple(service(name, **dict(keys)) for name, keys in sorted(services.items())))


def random_plan(rng: random.Random, size: int) -> Plan:
    """Services with every kind of edge, acyclic by construction: an edge points at an earlier number, and those that
    need a virtual name come after all that provide it."""
    names = [f"s{number:02}" for number in range(size)]
    third = size // 3 + 1
    services = [_random_service(rng, name, names[:number], number > third) for number, name in enumerate(names)]
    providers = sorted(rng.sample(names[:third], min(third, rng.randint(1, 3))))
    virtual = service("virtual", kind="virtual", provided_by=providers)
    runlevel = service("default", kind="runlevel", want=[name for name in names if rng.random() < 0.7])
    return Plan(tuple(sorted([*services, virtual, runlevel], key=lambda each: each.name)))


def _random_service(rng: random.Random, name: str, earlier: list[str], may_use_virtual: bool) -> Service:
    edges: dict[str, list[str]] = {}
    for key, chance in (("need", 0.5), ("bind", 0.15), ("want", 0.2), ("use", 0.2), ("after", 0.3)):
        if earlier and rng.random() < chance:
            edges[key] = rng.sample(earlier, min(len(earlier), rng.randint(1, 2)))
    hard = set(edges.get("need", [])) | set(edges.get("bind", []))
    if earlier and rng.random() < 0.08:
        edges["conflicts"] = [other for other in rng.sample(earlier, 1) if other not in hard]
    if may_use_virtual and rng.random() < 0.4:
        edges.setdefault(rng.choice(["need", "need", "bind", "want", "use"]), []).append("virtual")
    kind = rng.choice(["process", "process", "process", "oneshot", "target"])
    return service(
        name,
        kind=kind,
        ready=rng.random() < 0.6,
        restart=rng.choice(["never", "on_failure", "always"]),
        pre=(RUN,) if kind != "target" and rng.random() < 0.2 else (),
        post=(RUN,) if kind != "target" and rng.random() < 0.1 else (),
        stop=(RUN,) if kind == "oneshot" and rng.random() < 0.5 else (),
        start_timeout_s=rng.choice([5.0, 20.0]),
        stop_timeout_s=rng.choice([1.0, 5.0]),
        stop_when_unneeded=rng.random() < 0.1,
        idle_s=rng.choice([0.0, 0.0, 0.0, 0.0, 2.0]) if kind == "process" else 0.0,
        **edges,
    )
