"""How long does the start of a service take? Given by hand, measured on earlier boots, reported of this, or assumed.

A report is what `linitctl report --json` writes: of each service that came up its name and `start_s`. By hand: one
JSON map of names to seconds. Measured ones: `linit.planning.measured`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final

from linit.engine.simulator import SPAWN_S, Behaviour
from linit.model.service import Kind, ReadinessKind, Service
from linit.planning.conditions import Conditions
from linit.planning.measured import Measured

ASSUMED_S: Final = 0.1  # of a start that nobody has measured


class DurationsError(Exception):
    """A file of durations that cannot be used: which, and what is wrong with it."""


class Origin(enum.Enum):
    """Where a duration is from. The first of these that knows one counts."""

    GIVEN = "given"
    MEASURED = "measured"
    REPORTED = "reported"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds from the first step of a start until the service is up, by name. `origins`: of those that are known and
    not given by hand. `boots`: so many were measured. `problem`: why there are no better ones. `conditions`: what is
    known of those of a service."""

    known_s: Mapping[str, float] = field(default_factory=dict)
    assumed_s: float = ASSUMED_S
    origins: Mapping[str, Origin] = field(default_factory=dict)
    boots: int = 0
    problem: str = ""
    conditions: Conditions = field(default_factory=Conditions)

    def origin(self, name: str) -> Origin:
        """Where that of a service is from."""
        return self.origins.get(name, Origin.GIVEN) if name in self.known_s else Origin.ASSUMED

    def of(self, name: str) -> float:
        """What is known, else what is assumed."""
        return self.known_s.get(name, self.assumed_s)

    def behaviour(self, service: Service) -> Behaviour:
        """Processes of `service` that are up after this time. Its commands share the time evenly."""
        count = steps(service)
        condition = (self.conditions.unmet(service) or "") if service.when else ""
        if not count:
            return Behaviour(condition=condition)
        return Behaviour(takes_s=max(self.of(service.name) / count - SPAWN_S, 0.0), condition=condition)


def joined(
    given_s: Mapping[str, float], measured: Measured, reported_s: Mapping[str, float], assumed_s: float = ASSUMED_S
) -> Durations:
    """The best that is known of each service."""
    origins = dict.fromkeys(reported_s, Origin.REPORTED) | dict.fromkeys(measured.seconds, Origin.MEASURED)
    for name in given_s:
        origins.pop(name, None)
    known_s = {**reported_s, **measured.seconds, **given_s}
    return Durations(known_s, assumed_s, origins, measured.boots, measured.problem)


def failing(service: Service, behaviour: Behaviour, status: int) -> Behaviour:
    """The same processes with a start that fails: commands end with `status`, a daemon before it is ready; a trigger
    cannot be armed.

    A process without `ready` is up as soon as it runs; it ends at once.
    """
    if service.kind.is_trigger:
        return replace(behaviour, spawn_error=f"it failed with status {status}")
    if service.kind in (Kind.ONESHOT, Kind.FORKING) or service.pre:
        return replace(behaviour, status=status << 8)
    lives_s = behaviour.takes_s if says_when_ready(service) else 0.0
    return replace(behaviour, never_ready=True, dies_after_s=lives_s, death=status << 8)


def steps(service: Service) -> int:
    """How many steps of a start take time. A process without `ready` is up as soon as it runs."""
    if not service.kind.runs:
        return 0
    ends = service.kind in (Kind.ONESHOT, Kind.FORKING)
    is_awaited = service.kind is not Kind.ONESHOT and says_when_ready(service)
    return len(service.pre) + ends + is_awaited + len(service.post)


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
