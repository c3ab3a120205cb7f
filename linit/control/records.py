"""How is a value of linit said in a message? Maps of plain values, the same for every method and notification."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from linit.engine import explain
from linit.engine.effects import Answer, Transition
from linit.engine.engine import Engine
from linit.engine.unit import Unit
from linit.model.place import Fault
from linit.model.reason import Reason, exit_words
from linit.model.runlevel import wanted_for
from linit.model.service import Command, CutEdge, Dependency, Health, ReadinessKind, Service
from linit.model.state import Role, UnitState

if TYPE_CHECKING:
    from linit.control.messages import EdgeRecord, ServiceRecord, WishResult


def reason(value: Reason, now_s: float) -> dict[str, Any]:
    """A reason as data. `since_s`: how long ago it came to be, in seconds."""
    return {
        "cause": value.cause.value,
        "since_s": max(0.0, now_s - value.at_s),
        "of": value.of,
        "by": value.by,
        "text": value.text,
        "place": value.place,
        "status": value.status,
        "limit_s": value.limit_s,
    }


def _text(engine: Engine, unit: Unit, now_s: float) -> str:
    if unit.state in (UnitState.WAITING, UnitState.STARTING, UnitState.STOPPING):
        return explain.words(engine, explain.present_reason(engine, unit))  # what is waited for now, not when it began
    return explain.words(engine, unit.reason)


def coming(unit: Unit) -> Service:
    """The definition of its next start."""
    return unit.next_service or unit.service


Value = Callable[[Engine, Unit, float], Any]  # of a unit, now (seconds)
# What `list` shows of a service, by key: each value is found without the others.
SERVICE: Final[dict[str, Value]] = {
    "name": lambda engine, unit, now_s: unit.name,
    "kind": lambda engine, unit, now_s: unit.service.kind.value,
    "state": lambda engine, unit, now_s: unit.state.value,
    "desired": lambda engine, unit, now_s: unit.desired.value,
    "description": lambda engine, unit, now_s: unit.service.description,
    "text": _text,
    "reason": lambda engine, unit, now_s: reason(unit.reason, now_s),
    "pid": lambda engine, unit, now_s: unit.pids.get(Role.MAIN),
    "pids": lambda engine, unit, now_s: {role.value: pid for role, pid in unit.pids.items()},
    "since_s": lambda engine, unit, now_s: max(0.0, now_s - unit.changed_at_s),
    "duration_s": lambda engine, unit, now_s: unit.start_duration_s,
    "restarts": lambda engine, unit, now_s: unit.restarts,
    "runlevels": lambda engine, unit, now_s: list(unit.service.runlevels),
    "outdated": lambda engine, unit, now_s: unit.is_outdated,
    "broken": lambda engine, unit, now_s: coming(unit).broken,
    "transient": lambda engine, unit, now_s: unit.service.transient,
    "activates": lambda engine, unit, now_s: unit.service.activates,
    "waits_for": lambda engine, unit, now_s: [],
}
# What may be asked for besides: part of a value.
PARTS: Final[dict[str, Value]] = {
    "cause": lambda engine, unit, now_s: unit.reason.cause.value,
}


def service(engine: Engine, unit: Unit, now_s: float) -> ServiceRecord:
    """One service, as `list` shows it."""
    record: dict[str, Any] = {key: value(engine, unit, now_s) for key, value in SERVICE.items()}
    return record  # type: ignore[return-value]


def details(engine: Engine, unit: Unit, now_s: float) -> dict[str, Any]:
    """One service with everything that `status` shows."""
    definition = unit.service
    readiness = definition.readiness
    return {
        **service(engine, unit, now_s),
        "place": str(definition.place),
        "finished": unit.finished,
        "wish": {"text": str(unit.wish), "reason": reason(unit.wish, now_s)},
        "deadline_s": max(0.0, unit.deadline_s - now_s) if unit.deadline_s is not None else None,
        "last_exit": unit.last_exit_note or (exit_words(unit.last_exit) if unit.last_exit is not None else ""),
        "run": command(definition.run),
        "readiness": " ".join(filter(None, (readiness.kind.value, readiness.value)))
        if readiness.kind is not ReadinessKind.NONE
        else "",
        "restart": definition.restart.policy.value,
        "start_timeout_s": definition.start_timeout_s,
        "stop_timeout_s": definition.stop_timeout_s,
        "user": definition.execution.user,
        "output": definition.execution.output.value,
        "can_reload": definition.reload is not None or bool(definition.reload_signal),
        "faults": list(coming(unit).broken_by),
        "has_process": definition.kind.runs,
        "pidfile": definition.pidfile,
        "conditions": [str(each) for each in definition.when],
        "health": health(definition.health),
        "watchdog_s": definition.watchdog_s,
        "enabled_as": list(wanted_for(definition)),
        "triggers": [explain.trigger(each) for each in explain.triggers_of(engine, unit.name)],
    }


def health(check: Health | None) -> dict[str, Any] | None:
    """How it is found out whether a service is well."""
    if check is None:
        return None
    return {
        "run": command(check.probe),
        "interval_s": check.interval_s,
        "timeout_s": check.timeout_s,
        "retries": check.retries,
        "grace_s": check.grace_s,
    }


def command(value: Command | None) -> list[str]:
    """The argument vector, empty if there is no command."""
    return list(value.argv) if value is not None else []


def edge(owner: str, dependency: Dependency, state: str) -> EdgeRecord:
    """One edge; `state` is that of the end that was walked to, "" if nothing is known of it."""
    return {
        "owner": owner,
        "on": dependency.on,
        "kind": dependency.kind.value,
        "place": str(dependency.place),
        "implied": dependency.implied,
        "learned": dependency.learned,
        "state": state,
    }


def fault(value: Fault) -> dict[str, Any]:
    """A fault as data, and as the text that people know from `linitctl verify`."""
    return {
        "severity": value.severity.value,
        "place": str(value.place),
        "key": value.key,
        "found": value.found,
        "expected": value.expected,
        "hint": value.hint,
        "service": value.service,
        "text": str(value),
    }


def cut(value: CutEdge) -> dict[str, Any]:
    """An edge that the compiler dropped to break a cycle."""
    return {
        "owner": value.owner,
        "on": value.dependency.on,
        "kind": value.dependency.kind.value,
        "place": str(value.dependency.place),
        "cycle": list(value.cycle),
    }


def wish_result(answer: Answer) -> WishResult:
    """What became of a wish."""
    return {
        "outcome": answer.outcome.value,
        "results": [{"name": name, "outcome": outcome.value, "text": text} for name, outcome, text in answer.results],
    }


def transition(noted: Transition, unit: Unit | None) -> dict[str, Any]:
    """A change of state, as subscribers get it."""
    return {
        "name": noted.name,
        "before": noted.before.value,
        "after": noted.after.value,
        "text": str(noted.reason),
        "reason": reason(noted.reason, noted.at_s),
        "at_s": noted.at_s,
        "duration_s": noted.duration_s,
        "pid": unit.pids.get(Role.MAIN) if unit is not None else None,
    }
