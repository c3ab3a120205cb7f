"""Whose start gets more of a processor than another's during a boot? The one that most still waits for.

A start's remaining path is how long it takes, at least, from its beginning until the last that waits for it is up. Its
weight (cpu.weight of its cgroup) is the third power of that path's share of the longest; ten times as much for what is
`urgent`, and for what that waits for. What starts took is measured at each boot; where nobody has, all count the same,
so that the deepest goes first. Nothing is held back: whoever is ready runs, and where processors are scarce the kernel
gives most to the path that the boot waits for. Which rule is best was looked for on thousands of graphs:
tests/bench/README.md.

The file is made by the compiler and by a child of PID 1 after each boot; PID 1 reads the weights in it, and does
without what is not there or makes no sense. Sources: the kernel's admin-guide/cgroup-v2; to rank by the remaining path
is from Hu, Parallel sequencing and assembly line problems, 1961.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from linit import messagepack
from linit.model.service import CONFLICTS, Kind, Service

FILE: Final = "weights.msgpack"  # in the folder of linit's state
MAGIC: Final = "linit-weights"
FORMAT_VERSION: Final = 1
FILE_MAX_BYTES: Final = 8 << 20
MODE: Final = 0o644

WEIGHT_MAX: Final = 10_000  # of cgroup v2; 1 is the least
POWER: Final = 3
URGENCY: Final = 10  # times as much for what a person waits for, and for what that waits for
LEAST: Final = 0.05  # shorter paths count as this share of the longest
ASSUMED_S: Final = 0.1  # a start of which nothing is known, where nothing is known of any
KEPT: Final = 5  # boots of which is kept what a start took
TAKES_MAX_US: Final = 3_600_000_000
NOT_BOOTED: Final = ("shutdown", "single")  # runlevels that are no goal of a boot

Taken = tuple[int, int]  # by a start: us of a processor, us that it waited for something else


def load(path: str) -> dict[str, int]:
    """The weights in a file; {} if there is none that makes sense."""
    with contextlib.suppress(OSError, ValueError, TypeError, messagepack.UnpackException):
        return _weights(messagepack.unpackb(_parts(path)[0]))
    return {}


def history(path: str) -> dict[str, tuple[Taken, ...]]:
    """What the starts of the last boots took by a file, the youngest last; {} if there is none that makes sense."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, messagepack.UnpackException):
        found = messagepack.unpackb(_parts(path)[1])
        return {name: rows for name, each in found.items() if (rows := _rows(each))}
    return {}


def keep(path: str, services: Iterable[Service], taken: Mapping[str, Taken] | None = None) -> None:
    """Write anew what the file at `path` shall say of `services`, after a boot in which their starts have `taken` so
    much. Raises OSError."""
    known = history(path)
    services = tuple(services)
    names = {service.name for service in services}
    rows = {name: found for name, found in known.items() if name in names}
    for name, row in (taken or {}).items():
        if name in names:
            rows[name] = (*rows.get(name, ()), row)[-KEPT:]
    lengths_s = {name: length_s(found) for name, found in rows.items()}
    _write(path, weights_of(remaining_s(services, lengths_s), urgent(services)), rows)


def length_s(rows: Iterable[Taken]) -> float:
    """How long a start takes that has a processor to itself, in seconds: the processor's part is the median of the
    boots; of the waits the shortest, since whoever else kept it waiting only makes them longer."""
    used, waited = zip(*rows, strict=True)
    return float(sorted(used)[len(used) // 2] + min(waited)) / 1_000_000


def remaining_s(services: Iterable[Service], lengths_s: Mapping[str, float]) -> dict[str, float]:
    """The remaining path of each service that a boot starts, in seconds. Linear in services and edges; what waits for
    itself in a circle has none."""
    booted = _booted({service.name: service for service in services})
    runs = [service.name for service in booted.values() if service.kind.runs and not service.idle_s]
    known = sorted(lengths_s[name] for name in runs if name in lengths_s)
    assumed_s = known[len(known) // 2] if known else ASSUMED_S
    own_s = dict.fromkeys(booted, 0.0) | {name: lengths_s.get(name, assumed_s) for name in runs}
    waiting = dict.fromkeys(booted, 0)  # edges from services whose path is not known yet
    for service in booted.values():
        for name in _awaited(service, booted):
            waiting[name] += 1
    found: dict[str, float] = {}
    after_s = dict.fromkeys(booted, 0.0)
    free = [name for name, count in waiting.items() if not count]
    while free:
        name = free.pop()
        found[name] = own_s[name] + after_s[name]
        for other in _awaited(booted[name], booted):
            after_s[other] = max(after_s[other], found[name])
            waiting[other] -= 1
            if not waiting[other]:
                free.append(other)
    return {name: found[name] for name in runs if name in found}


def urgent(services: Iterable[Service]) -> set[str]:
    """What a person waits for, and all that this waits for."""
    known = {service.name: service for service in services}
    found: set[str] = set()
    stack = [service.name for service in known.values() if service.urgent]
    while stack:
        name = stack.pop()
        if name not in found and name in known:
            found.add(name)
            stack += _awaited(known[name], known)
    return found


def weights_of(paths_s: Mapping[str, float], favoured: Collection[str] = ()) -> dict[str, int]:
    """The weight of each remaining path, from 1 to WEIGHT_MAX. Those `favoured` get URGENCY times as much."""
    longest_s = max(paths_s.values(), default=0.0)
    if longest_s <= 0.0:
        return {}
    most = WEIGHT_MAX // URGENCY if any(name in favoured for name in paths_s) else WEIGHT_MAX
    powers = {name: most * max(path_s / longest_s, LEAST) ** POWER for name, path_s in paths_s.items()}
    return {name: max(1, round(each * URGENCY if name in favoured else each)) for name, each in powers.items()}


def _booted(services: Mapping[str, Service]) -> dict[str, Service]:
    """What the runlevels pull in."""
    found: dict[str, Service] = {}
    stack = [each.name for each in services.values() if each.kind is Kind.RUNLEVEL and each.name not in NOT_BOOTED]
    while stack:
        name = stack.pop()
        if name in found or name not in services:
            continue
        service = found[name] = services[name]
        stack += [edge.on for edge in service.dependencies if edge.kind.pulls or service.kind is Kind.VIRTUAL]
    return found


def _awaited(service: Service, booted: Mapping[str, Service]) -> set[str]:
    return {edge.on for edge in service.dependencies if edge.kind is not CONFLICTS and edge.on in booted}


def _parts(path: str) -> tuple[bytes, bytes]:
    """Weights and what starts took, packed. Raises OSError and ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_MAX_BYTES:
            raise ValueError(path)
        data = os.read(descriptor, status.st_size)
    finally:
        os.close(descriptor)
    match messagepack.unpackb(data):
        case [magic, version, checksum, bytes(weights), bytes(taken)] if (magic, version) == (MAGIC, FORMAT_VERSION):
            if _checksum(weights, taken) == checksum:
                return weights, taken
    raise ValueError(path)


def _checksum(weights: bytes, taken: bytes) -> int:
    return binascii.crc32(taken, binascii.crc32(weights))


def _weights(found: Any) -> dict[str, int]:
    if not isinstance(found, dict):
        raise TypeError(found)
    return {name: each for name, each in found.items() if type(each) is int and 1 <= each <= WEIGHT_MAX}


def _rows(found: Any) -> tuple[Taken, ...]:
    """The sound ones of what a start took."""
    rows = [tuple(row) for row in found if isinstance(row, list) and len(row) == 2 and all(map(_is_time, row))]
    return tuple(rows[-KEPT:])


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= TAKES_MAX_US


def _write(path: str, found: Mapping[str, int], rows: Mapping[str, tuple[Taken, ...]]) -> None:
    """As a whole or not at all. Raises OSError."""
    weights, taken = messagepack.packb(found), messagepack.packb(rows)
    new = f"{path}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        with open(descriptor, "wb") as file:
            file.write(messagepack.packb([MAGIC, FORMAT_VERSION, _checksum(weights, taken), weights, taken]))
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
