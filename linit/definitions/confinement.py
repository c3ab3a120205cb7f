"""What do the keys mean that say how much a service may use, with what priority, and what it can see and do?

Readers for `linit.definitions.keys`. Source: the kernel's admin-guide/cgroup-v2, ionice(1), sched(7), capabilities(7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from linit.definitions import values
from linit.definitions.document import List, Map, Node, quoted
from linit.definitions.nearest import suggestion
from linit.definitions.values import Reader, Reading, Wrong
from linit.model.capabilities import NUMBERS, OF_DEVICES
from linit.model.service import Kind, Limits, ReadinessKind

UNLIMITED: Final = ("max", "unlimited")
SIZE: Final = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
SIZE_UNITS_BYTES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SIZE_FORMS: Final = "a size such as 1048576, 512K, 64M, 1.5G or 1T, or max"
SIZE_MAX_BYTES: Final = 1 << 62

CPU_PERIOD_US: Final = 100_000  # the kernel's default
CPU_PERIODS_US: Final = (1_000, 1_000_000)  # the shortest and the longest that it takes
CPU_QUOTA_MIN_US: Final = 1_000
PERCENT: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*%")
CPU_FORMS: Final = "a share of one CPU such as 50% or 150%, a time in a period such as 20ms/100ms, or max"

PIDS_MAX: Final = 4_194_304  # PID_MAX_LIMIT of the kernel
CPU_MAX: Final = 8191  # the largest number of a CPU in any kernel

IO_CLASSES: Final = ("idle", "best-effort", "realtime")
IO_FORMS: Final = "idle, or best-effort or realtime with a level from 0 to 7 such as best-effort:4"
IO_LEVEL: Final = 4  # as ionice(1) takes it where none is given

SCHEDULERS: Final = ("other", "batch", "idle")
UNREACHABLE: Final = {
    ReadinessKind.TCP: "with private_network nobody but the service itself reaches its ports",
    ReadinessKind.NOTIFY: "with private_network and chroot it does not reach the socket for that",
}
REALTIME: Final = ("fifo", "rr")
SCHEDULER_FORMS: Final = "one of other, batch, idle, or fifo or rr with a priority from 1 to 99 such as rr:10"


def _size(reading: Reading, node: Node, key: str) -> int | None:
    """Bytes; None for no limit."""
    written = values.text(reading, node, key)
    if written in UNLIMITED:
        return None
    match = SIZE.fullmatch(written)
    size = float(match[1]) * SIZE_UNITS_BYTES[match[2].upper()] if match else 0.0
    if match is None or not 1 <= size <= SIZE_MAX_BYTES:
        raise Wrong(node, SIZE_FORMS)
    return int(size)


def _cpu_max(reading: Reading, node: Node, key: str) -> tuple[int, int] | None:
    """(microseconds, in each period of so many microseconds); None for no limit."""
    written = values.text(reading, node, key)
    if written in UNLIMITED:
        return None
    if match := PERCENT.fullmatch(written):
        found = round(float(match[1]) * CPU_PERIOD_US / 100), CPU_PERIOD_US
    else:
        quota, slash, period = written.partition("/")
        try:
            found = _microseconds(quota), _microseconds(period) if slash else CPU_PERIOD_US
        except ValueError:
            raise Wrong(node, CPU_FORMS) from None
    if found[0] < CPU_QUOTA_MIN_US or not CPU_PERIODS_US[0] <= found[1] <= CPU_PERIODS_US[1]:
        raise Wrong(node, "at least 1ms (or 1%), in a period from 1ms to 1s")
    return found


def _microseconds(written: str) -> int:
    if written.isdigit():
        raise ValueError("a number without a unit: of what?")
    return round(values.parse_duration(written.strip()) * 1_000_000)


def _pids_max(reading: Reading, node: Node, key: str) -> int | None:
    """How many processes and threads; None for no limit."""
    if values.text(reading, node, key) in UNLIMITED:
        return None
    try:
        return _PIDS(reading, node, key)
    except Wrong as wrong:
        raise Wrong(node, f"{wrong.expected}, or max") from None


_PIDS: Final = values.whole(1, PIDS_MAX)
_WEIGHT: Final = values.whole(1, 10_000, what="a weight (100 is everybody's)")
_LIMITS: Final[dict[str, tuple[str, Reader[Any]]]] = {  # by key: the field of the model
    "memory_max": ("memory_max_bytes", _size),
    "memory_high": ("memory_high_bytes", _size),
    "cpu_weight": ("cpu_weight", _WEIGHT),
    "cpu_max": ("cpu_max_us", _cpu_max),
    "pids_max": ("pids_max", _pids_max),
    "io_weight": ("io_weight", _WEIGHT),
}
_LIMIT_FIELDS: Final = values.fields({key: reader for key, (_, reader) in _LIMITS.items()})


def limits(reading: Reading, node: Node, key: str) -> Limits:
    """What the cgroup of a service may use."""
    return Limits(**{_LIMITS[each][0]: value for each, value in _LIMIT_FIELDS(reading, node, key).items()})


def ionice(reading: Reading, node: Node, key: str) -> str:
    """`idle`, or a class with its level."""
    word, colon, level = values.text(reading, node, key).partition(":")
    if word == "idle" and not colon:
        return word
    if word not in IO_CLASSES or word == "idle" or not (level in tuple("01234567") or not colon):
        raise Wrong(node, IO_FORMS, suggestion(word, IO_CLASSES) if word not in IO_CLASSES else "")
    return f"{word}:{level or IO_LEVEL}"


def scheduler(reading: Reading, node: Node, key: str) -> tuple[str, int]:
    """A policy and its priority, 0 where it has none."""
    word, colon, priority = values.text(reading, node, key).partition(":")
    if word in SCHEDULERS and not colon:
        return word, 0
    if word in REALTIME and priority.isascii() and priority.isdigit() and 1 <= int(priority) <= 99:
        return word, int(priority)
    known = (*SCHEDULERS, *REALTIME)
    raise Wrong(node, SCHEDULER_FORMS, suggestion(word, known) if word not in known else "")


def cpu_affinity(reading: Reading, node: Node, key: str) -> tuple[int, ...]:
    """Numbers of CPUs, from `0-3,5` or a list of such texts."""
    found: set[int] = set()
    for item in node.items if isinstance(node, List) else [node]:
        for part in values.text(reading, item, key).split(","):
            match = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", part)
            low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if low > high or high > CPU_MAX:
                raise Wrong(item, "numbers of CPUs such as 0-3,5")
            found.update(range(low, high + 1))
    if not found:
        raise Wrong(node, "numbers of CPUs such as 0-3,5", found="none")
    return tuple(sorted(found))


def environment_file(reading: Reading, node: Node, key: str) -> tuple[str, bool]:
    """A path, and whether the file may be missing."""
    written = values.some_text(reading, node, key)
    path = written.removeprefix("-")
    if not path.startswith("/"):
        raise Wrong(node, "a path that begins with /, or with -/ where the file may be missing")
    return path, path != written


def capability(reading: Reading, node: Node, key: str) -> str:
    """The name of a capability, with or without CAP_, in capitals or not."""
    name = values.text(reading, node, key).lower().removeprefix("cap_")
    if name not in NUMBERS:
        raise Wrong(node, "a capability such as net_bind_service (see capabilities(7))", suggestion(name, NUMBERS))
    return name


CAPABILITIES: Final = values.list_of(values.placed(capability))
ENVIRONMENT_FILES: Final = values.list_of(environment_file)
PATHS: Final = values.list_of(values.absolute_path)


def check(reading: Reading, top: Map, _kind: Kind, found: Mapping[str, Any]) -> None:
    """What each key allows by itself, and all of them together do not."""
    bounding = {name for name, _ in found["capabilities"]} if "capabilities" in found else set(NUMBERS)
    key = "ambient_capabilities"
    for name, place in found.get(key, ()):
        if found.get("private_devices") and name in OF_DEVICES:
            reading.error(place, key, quoted(name), "another capability", "private_devices takes this one away")
        elif name not in bounding:
            reading.error(place, key, quoted(name), "one that is in capabilities, too")
    readiness = found.get("ready")
    is_heard = readiness is not None and readiness.kind is ReadinessKind.NOTIFY and not found.get("chroot")
    if found.get("private_network") and readiness is not None and readiness.kind in UNREACHABLE and not is_heard:
        hint = UNREACHABLE[readiness.kind]
        reading.error(top.items["ready"][1].place, "ready", readiness.kind.value, "another readiness", hint)
