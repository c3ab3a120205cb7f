"""How long does the start of a service take? Measured on an earlier boot, given by hand, or assumed.

Measured ones are what `linitctl report --json` writes: of each service that came up its name and `start_s`. By hand:
one JSON map of names to seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final

from linit.engine.simulator import SPAWN_S, Behaviour
from linit.model.service import Kind, ReadinessKind, Service

ASSUMED_S: Final = 0.1  # of a start that nobody has measured


class DurationsError(Exception):
    """A file of durations that cannot be used: which, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds from the first step of a start until the service is up, by name."""

    known_s: Mapping[str, float] = field(default_factory=dict)
    assumed_s: float = ASSUMED_S

    def of(self, name: str) -> float:
        """What is known, else what is assumed."""
        return self.known_s.get(name, self.assumed_s)

    def behaviour(self, service: Service) -> Behaviour:
        """Processes of `service` that are up after this time. Its commands share the time evenly."""
        count = steps(service)
        if not count:
            return Behaviour()
        return Behaviour(takes_s=max(self.of(service.name) / count - SPAWN_S, 0.0))


def failing(service: Service, behaviour: Behaviour, status: int) -> Behaviour:
    """The same processes with a start that fails: commands end with `status`, a daemon before it is ready.

    A process without `ready` is up as soon as it runs; it ends at once.
    """
    if service.kind is Kind.ONESHOT or service.pre:
        return replace(behaviour, status=status << 8)
    lives_s = behaviour.takes_s if says_when_ready(service) else 0.0
    return replace(behaviour, never_ready=True, dies_after_s=lives_s, death=status << 8)


def steps(service: Service) -> int:
    """How many steps of a start take time. A process without `ready` is up as soon as it runs."""
    if service.kind not in (Kind.PROCESS, Kind.ONESHOT):
        return 0
    waits_for_main = service.kind is Kind.ONESHOT or says_when_ready(service)
    return len(service.pre) + len(service.post) + waits_for_main


def says_when_ready(service: Service) -> bool:
    """Has its definition a `ready`?"""
    return service.readiness.kind is not ReadinessKind.NONE


def load(path: str) -> dict[str, float]:
    """The durations in a file, in seconds by name. Raises DurationsError."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except OSError as error:
        raise DurationsError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DurationsError(f"{path}: not JSON ({error})") from error
    return read(value, path)


def read(value: Any, where: str) -> dict[str, float]:
    """The durations in a report or a map, in seconds by name. Raises DurationsError that begins with `where`."""
    if isinstance(value, dict) and isinstance(value.get("services"), list):
        value = {each.get("name"): each.get("start_s") for each in value["services"] if _was_up(each)}
    if not isinstance(value, dict):
        raise DurationsError(f"{where}: found neither a report (linitctl report --json) nor a map of names to seconds")
    for name, seconds in value.items():
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not isinstance(name, str) or not is_number or not isfinite(seconds) or seconds < 0:
            raise DurationsError(f"{where}: {name}: found {json.dumps(seconds)}, expected seconds")
    return {name: float(seconds) for name, seconds in value.items()}


def _was_up(record: Any) -> bool:
    """A start that failed says nothing of how long one takes that succeeds."""
    return isinstance(record, dict) and record.get("outcome") == "up" and record.get("start_s") is not None
