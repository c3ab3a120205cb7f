"""Which keys does a definition have, who reads each, and which kinds of service have it? One table.

services/README.md is the same table for administrators; a test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from linit.definitions import confinement, listening, supervision, values
from linit.definitions.commands import command, commands, run, script
from linit.definitions.destination import destination
from linit.definitions.document import List, Map, Node, Text
from linit.definitions.values import Reader, Reading, Wrong
from linit.model.service import Command, Kind, Readiness, ReadinessKind, RestartPolicy, StopStep, StopTo

ALL: Final = frozenset({Kind.PROCESS, Kind.ONESHOT, Kind.FORKING, Kind.TARGET, Kind.RUNLEVEL})
DAEMONS: Final = frozenset(kind for kind in ALL if kind.is_daemon)
RUNS: Final = frozenset(kind for kind in ALL if kind.runs)
NOT_RUNLEVEL: Final = ALL - {Kind.RUNLEVEL}
FD_MIN: Final = 3
FD_MAX: Final = 1023
UNLIMITED: Final = -1  # RLIM_INFINITY, as Python's resource module has it
LIMITS: Final = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its reader, the kinds that have it. `appends`: a drop-in's list is added to what is there."""

    reader: Reader[Any]
    kinds: frozenset[Kind] = ALL
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """A command, or the number of a signal (else 0); `notifies`: the service says itself when it has reloaded."""

    command: Command | None = None
    signal: int = 0
    notifies: bool = False


_RELOAD: Final = values.fields({"signal": values.signal_number, "notify": values.yes_or_no})


def reload(reading: Reading, node: Node, key: str) -> Reload:
    """A command, or a signal."""
    if not isinstance(node, Map) or not {"signal", "notify"} & node.items.keys():
        return Reload(command(reading, node, key))
    if "signal" not in node.items:
        raise Wrong(node, "a mapping with signal and notify", "a signal tells it to reload")
    found = _RELOAD(reading, node, key)
    return Reload(signal=found.get("signal", 0), notifies=found.get("notify", False))


def readiness(reading: Reading, node: Node, key: str) -> Readiness:
    """How a process says that it can serve."""
    if isinstance(node, Text):
        word = values.text(reading, node, key)
        if word in ("notify", "none"):
            return Readiness(ReadinessKind(word))
    if not isinstance(node, Map):
        raise Wrong(node, "notify, none, or a mapping with one of " + ", ".join(_READY))
    found = values.fields({**_READY, "interval": values.some_duration})(reading, node, key)
    interval_s = found.pop("interval", Readiness().interval_s)
    if len([each for each in node.items if each in _READY]) != 1:
        raise Wrong(node, "a mapping with one of " + ", ".join(_READY))
    if "interval" in node.items and "probe" not in node.items:
        raise Wrong(node, "interval only together with probe", found="'interval'")
    for kind, value in found.items():
        if isinstance(value, Command):
            return Readiness(ReadinessKind.PROBE, probe=value, interval_s=interval_s)
        return Readiness(ReadinessKind(kind), str(value))
    return Readiness()  # the one that was written is wrong, and has its fault


_READY: Final[dict[str, Reader[Any]]] = {
    "fd": values.whole(FD_MIN, FD_MAX, what="a descriptor"),
    "pidfile": values.absolute_path,
    "tcp": values.address,
    "unix": values.absolute_path,
    "path": values.absolute_path,
    "probe": command,
}

_RESTART: Final[dict[str, Reader[Any]]] = {
    "policy": values.choice(RestartPolicy),
    "delay": values.duration,
    "factor": values.factor,
    "delay_max": values.duration,
    "limit": values.whole(0, 1_000_000),
    "window": values.some_duration,
    "healthy_after": values.duration,
}


def restart(reading: Reading, node: Node, key: str) -> dict[str, Any]:
    """What is written of a respawn policy, by the names of the mapping."""
    if isinstance(node, Text):
        return {"policy": _RESTART["policy"](reading, node, key)}
    return values.fields(_RESTART)(reading, node, key)


def success(reading: Reading, node: Node, key: str) -> dict[str, Any]:
    """Statuses and signals that count as success."""
    statuses = values.list_of(values.whole(0, 255, what="an exit status"))
    return values.fields({"statuses": statuses, "signals": values.list_of(values.signal_number)})(reading, node, key)


def stop_steps(reading: Reading, node: Node, key: str) -> tuple[StopStep, ...]:
    """A signal, or steps. A step that does not say how long it waits has a wait of infinity here: see definition."""
    items = node.items if isinstance(node, List) else [node]
    if not items:
        raise Wrong(node, "a signal, or a list of them")
    steps = [reading.attempt(_stop_step, item, key) for item in items]
    return tuple(step for step in steps if step is not None)


def _stop_step(reading: Reading, node: Node, key: str) -> StopStep:
    if isinstance(node, Text):
        return StopStep(values.signal_number(reading, node, key), math.inf)
    found = values.fields({"signal": values.signal_number, "wait": values.duration})(reading, node, key)
    if isinstance(node, Map) and "signal" not in node.items:
        raise Wrong(node, "a mapping with signal and wait")
    return StopStep(found.get("signal", 15), found.get("wait", math.inf))


def limit(reading: Reading, node: Node, key: str) -> tuple[int, int]:
    """Soft and hard value of a limit: a number or `unlimited`, or two of them."""
    if isinstance(node, List):
        if len(node.items) != 2:
            raise Wrong(node, "[soft, hard]", found=f"a list of {len(node.items)}")
        soft, hard = (_limit(reading, item, key) for item in node.items)
        if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
            raise Wrong(node, "a soft limit that is not above the hard one", found="[soft, hard]")
        return soft, hard
    value = _limit(reading, node, key)
    return value, value


def _limit(reading: Reading, node: Node, key: str) -> int:
    written = values.text(reading, node, key)
    if written == "unlimited":
        return UNLIMITED
    if not (written.isascii() and written.isdigit() and int(written) < 2**63):
        raise Wrong(node, "a number, unlimited, or [soft, hard]")
    return int(written)


def _limit_name(sub: str) -> str:
    return "" if sub in LIMITS else "one of " + ", ".join(LIMITS)


def _variable_name(sub: str) -> str:
    return "" if values.VARIABLE.fullmatch(sub) else "a name of letters, digits and '_'"


NAMES: Final = values.list_of(values.placed(values.name))
EDGE_KEYS: Final = ("need", "bind", "want", "use", "after", "before", "conflicts")

KEYS: Final[dict[str, Key]] = {
    "name": Key(values.name),
    "description": Key(values.text),
    "kind": Key(values.choice(Kind, *(kind for kind in Kind if kind not in ALL))),  # the others the compiler makes
    "vars": Key(values.mapping_of(values.text, _variable_name)),
    "instances": Key(values.list_of(values.placed(values.some_text)), appends=True),
    "stack": Key(NAMES, frozenset({Kind.RUNLEVEL}), appends=True),
    "run": Key(run, RUNS),
    "script": Key(script, RUNS),
    "pre": Key(commands, RUNS),
    "post": Key(commands, RUNS),
    "stop": Key(commands, RUNS),
    "reload": Key(reload, RUNS),
    "need": Key(NAMES, appends=True),
    "bind": Key(NAMES, appends=True),
    "want": Key(NAMES, appends=True),
    "use": Key(NAMES, appends=True),
    "after": Key(NAMES, appends=True),
    "before": Key(NAMES, appends=True),
    "provide": Key(NAMES, NOT_RUNLEVEL, appends=True),
    "conflicts": Key(NAMES, NOT_RUNLEVEL, appends=True),
    "prefer": Key(NAMES, appends=True),
    "early": Key(values.yes_or_no, RUNS),
    "idle": Key(values.duration, RUNS),
    "urgent": Key(values.yes_or_no, RUNS),
    "stop_when_unneeded": Key(values.yes_or_no, NOT_RUNLEVEL),
    "ready": Key(readiness, DAEMONS),
    "pidfile": Key(values.absolute_path, frozenset({Kind.FORKING})),
    "health": Key(supervision.health, RUNS),
    "watchdog": Key(values.some_duration, DAEMONS),
    "fd_store": Key(values.whole(0, supervision.FD_STORE_MAX, what="a number of descriptors"), DAEMONS),
    "listen": Key(listening.listen, RUNS, appends=True),
    "schedule": Key(supervision.schedule, RUNS),
    "watch": Key(supervision.watch, RUNS, appends=True),
    "when": Key(supervision.when, RUNS, appends=True),
    "restart": Key(restart, RUNS),
    "success": Key(success, RUNS),
    "start_timeout": Key(values.duration_or_never, RUNS),
    "stop_timeout": Key(values.duration_or_never, RUNS),
    "stop_signal": Key(stop_steps, RUNS),
    "stop_to": Key(values.choice(StopTo), RUNS),
    "user": Key(values.placed(values.account), RUNS),
    "group": Key(values.placed(values.account), RUNS),
    "groups": Key(values.list_of(values.placed(values.account)), RUNS),
    "directory": Key(values.absolute_path, RUNS),
    "umask": Key(listening.octal, RUNS),
    "environment": Key(values.mapping_of(values.text, _variable_name), RUNS),
    "tty": Key(values.absolute_path, RUNS),
    "output": Key(destination, RUNS),
    "nice": Key(values.whole(-20, 19), RUNS),
    "oom_score_adj": Key(values.whole(-1000, 1000), RUNS),
    "rlimits": Key(values.mapping_of(limit, _limit_name), RUNS),
    "env_file": Key(confinement.ENVIRONMENT_FILES, RUNS),
    "limits": Key(confinement.limits, RUNS),
    "ionice": Key(confinement.ionice, RUNS),
    "scheduler": Key(confinement.scheduler, RUNS),
    "cpu_affinity": Key(confinement.cpu_affinity, RUNS),
    "chroot": Key(values.absolute_path, RUNS),
    "no_new_privs": Key(values.yes_or_no, RUNS),
    "capabilities": Key(confinement.CAPABILITIES, RUNS),
    "ambient_capabilities": Key(confinement.CAPABILITIES, RUNS),
    "private_tmp": Key(values.yes_or_no, RUNS),
    "private_network": Key(values.yes_or_no, RUNS),
    "private_devices": Key(values.yes_or_no, RUNS),
    "read_only_paths": Key(confinement.PATHS, RUNS),
    "hidden_paths": Key(confinement.PATHS, RUNS),
}
