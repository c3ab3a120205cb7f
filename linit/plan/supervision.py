"""How do the rarer parts of a definition travel: health, activation, schedules, conditions? One row, or nil.

Most services have none of these: their row costs a byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from linit.model.place import Place
from linit.model.service import (
    Command,
    Condition,
    ConditionKind,
    Health,
    Listen,
    ListenKind,
    Schedule,
    Service,
    WatchedPath,
    WatchKind,
)

FIELDS: Final = (
    "pidfile", "remains", "reload_notifies", "health", "watchdog_s", "fd_store", "listen", "schedule", "watch",
    "activates", "when", "urgent",
)  # fmt: skip
CLASSES: Final = (Health, Listen, Schedule, WatchedPath, Condition)
_DEFAULTS: Final = Service("", Place(""))
_LISTEN: Final = {each.value: each for each in ListenKind}
_WATCH: Final = {each.value: each for each in WatchKind}
_CONDITIONS: Final = {each.value: each for each in ConditionKind}

Coded = Callable[[Any], Any]


def encoded(service: Service, place: Coded, command: Coded) -> list[Any] | None:
    """These fields of a service; None when all are as in any service. `place` and `command` encode such."""
    if all(getattr(service, name) == getattr(_DEFAULTS, name) for name in FIELDS):
        return None
    health, schedule = service.health, service.schedule
    return [
        service.pidfile,
        service.remains,
        service.reload_notifies,
        health and [command(health.probe), health.interval_s, health.timeout_s, health.retries, health.grace_s],
        service.watchdog_s,
        service.fd_store,
        [_listen(each, place) for each in service.listen],
        schedule and _schedule(schedule, place),
        [[each.path, each.on.value, place(each.place)] for each in service.watch],
        service.activates,
        [_condition(each, place, command) for each in service.when],
        service.urgent,
    ]


def _listen(each: Listen, place: Coded) -> list[Any]:
    return [
        each.kind.value, each.address, place(each.place), each.name, each.owner, each.group, each.mode, each.backlog,
        each.on_demand, each.accept, each.most,
    ]  # fmt: skip


def _schedule(schedule: Schedule, place: Coded) -> list[Any]:
    return [place(schedule.place), schedule.every_s, schedule.after_boot_s, schedule.calendar, schedule.persistent]


def _condition(each: Condition, place: Coded, command: Coded) -> list[Any]:
    return [each.kind.value, each.value, place(each.place), each.negated, command(each.command)]


def decoded(row: Any, place: Coded, command: Callable[[Any], Command]) -> dict[str, Any]:
    """The fields in a row, by name. Raises TypeError, ValueError or LookupError for a row of another shape."""
    values = dict(zip(FIELDS, row, strict=True))
    health, schedule = values["health"], values["schedule"]
    if health is not None:
        values["health"] = Health(command(health[0]), *health[1:])
    if schedule is not None:
        values["schedule"] = Schedule(place(schedule[0]), *schedule[1:])
    values["listen"] = tuple(
        Listen(_LISTEN[kind], address, place(where), *rest) for kind, address, where, *rest in values["listen"]
    )
    values["watch"] = tuple(WatchedPath(path, _WATCH[on], place(where)) for path, on, where in values["watch"])
    values["when"] = tuple(
        Condition(_CONDITIONS[kind], value, place(where), negated, run and command(run))
        for kind, value, where, negated, run in values["when"]
    )
    return values
