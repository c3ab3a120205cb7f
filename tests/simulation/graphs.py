"""Service graphs for tests: written by hand in a line, or drawn at random from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from linit.model.place import Place
from linit.model.service import (
    Command,
    Condition,
    ConditionKind,
    Dependency,
    EdgeKind,
    Execution,
    Health,
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
TIMED = Command(("/bin/daemon",), WRITTEN, timeout_s=2.0)


def service(name: str, **keys: Any) -> Service:
    """A definition from short keys: the edges by name, `kind`, `ready=True`, `restart="always"`, `tty="/dev/tty1"`,
    `pre`, `post`, `stop`, `reload`, `health`, `when=True` for one command each (`pre`, `post`, `stop="timed"`: of 2 s
    at most), fields by their own names. A virtual
    name is made by `kind="virtual", provided_by=[...]`, a trigger by `kind="socket", activates=...`."""
    edges = tuple(Dependency(EDGES[key], on, WRITTEN) for key in list(keys) if key in EDGES for on in keys.pop(key))
    kind = Kind(keys.pop("kind", "process"))
    restart = keys.pop("restart", "never")
    if isinstance(restart, str):
        restart = Restart(RestartPolicy(restart), delay_s=1.0, limit=3, window_s=60.0)
    readiness = Readiness(ReadinessKind.NOTIFY) if keys.pop("ready", False) else Readiness()
    for role in ("pre", "post", "stop"):
        if keys.get(role) in (True, "timed"):
            keys[role] = (RUN,) if keys[role] is True else (TIMED,)
    if keys.get("reload") is True:
        keys["reload"] = RUN
    if keys.get("health") is True:
        keys["health"] = Health(RUN)
    if keys.get("when") is True:
        keys["when"] = (Condition(ConditionKind.COMMAND, "/bin/test", WRITTEN, command=RUN),)
    if "tty" in keys:
        keys["execution"] = Execution(tty=keys.pop("tty"))
    has_run = kind.runs
    keys.setdefault("run", RUN if has_run else None)
    meaning = {key: value for key, value in keys.items() if key != "runlevels"}
    keys.setdefault("digest", f"{kind}{edges}{restart}{readiness}{meaning}")
    return Service(name, WRITTEN, kind=kind, dependencies=edges, restart=restart, readiness=readiness, **keys)


def plan(services: Mapping[str, Any]) -> Plan:
    """A plan of services written as `service` takes them."""
    return Plan(tuple(service(name, **dict(keys)) for name, keys in sorted(services.items())))


def random_plan(rng: random.Random, size: int) -> Plan:
    """What `random_services` draws, as a plan."""
    return plan(random_services(rng, [f"s{number:02}" for number in range(size)]))


def random_services(rng: random.Random, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Services with every kind of edge, acyclic by construction: an edge points at an earlier name, and those that
    need a virtual name come after all that provide it."""
    third = len(names) // 3 + 1
    services = {name: random_service(rng, names[:at], at > third) for at, name in enumerate(names)}
    providers = sorted(rng.sample(names[:third], min(third, rng.randint(1, 3))))
    services["virtual"] = {"kind": "virtual", "provided_by": providers}
    services["default"] = {"kind": "runlevel", "want": [name for name in names if rng.random() < 0.7]}
    return services


def random_service(rng: random.Random, earlier: Sequence[str], may_use_virtual: bool) -> dict[str, Any]:
    """One of them, as short keys; what goes without saying is left out."""
    keys: dict[str, Any] = {}
    for key, chance in (("need", 0.5), ("bind", 0.15), ("want", 0.2), ("use", 0.2), ("after", 0.3)):
        if earlier and rng.random() < chance:
            keys[key] = rng.sample(earlier, min(len(earlier), rng.randint(1, 2)))
    hard = {*keys.get("need", ()), *keys.get("bind", ())}
    if earlier and rng.random() < 0.08:
        keys["conflicts"] = [other for other in rng.sample(earlier, 1) if other not in hard]
    if may_use_virtual and rng.random() < 0.4:
        keys.setdefault(rng.choice(["need", "need", "bind", "want", "use"]), []).append("virtual")
    kind = rng.choice(["process", "process", "process", "oneshot", "target"])
    drawn = {
        "kind": kind,
        "ready": rng.random() < 0.6,
        "restart": rng.choice(["never", "on_failure", "always"]),
        "pre": kind != "target" and rng.random() < 0.2,
        "post": kind != "target" and rng.random() < 0.1,
        "stop": kind == "oneshot" and rng.random() < 0.5,
        "start_timeout_s": rng.choice([5.0, 20.0]),
        "stop_timeout_s": rng.choice([1.0, 5.0]),
        "stop_when_unneeded": rng.random() < 0.1,
        "idle_s": rng.choice([0.0, 0.0, 0.0, 0.0, 2.0]) if kind == "process" else 0.0,
    }
    for role in ("pre", "post"):
        if drawn[role] and drawn["start_timeout_s"] == 20.0:
            drawn[role] = "timed"
    unsaid = {"kind": "process", "restart": "never"}
    return keys | {key: value for key, value in drawn.items() if value and value != unsaid.get(key)}
