"""Is it true what a unit's state is said to be due to? Each cause judged by what was seen in the simulated world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from linit.engine import explain
from linit.engine.asking import ACTIVATIONS_MAX
from linit.engine.events import TimerKind, Verb
from linit.engine.starting import CHECKS, SEARCHES
from linit.engine.unit import Unit
from linit.model.reason import Cause, Reason
from linit.model.service import Kind
from linit.model.state import Desired, UnitState
from tests.simulation.moment import Moment
from tests.simulation.seen import CAUSES
from tests.simulation.waiting import has_timer

SLACK_S: Final = 1e-6
GONE: Final = frozenset({UnitState.DOWN, UnitState.FAILED, UnitState.STOPPING, UnitState.BACKOFF, UnitState.WAITING})
UPWARDS: Final = frozenset({UnitState.WAITING, UnitState.STARTING, UnitState.UP, UnitState.BACKOFF})
DOWNWARDS: Final = frozenset({UnitState.DOWN, UnitState.STOPPING})

# In which states a cause can be what the state is due to.
STATES: Final[Mapping[Cause, frozenset[UnitState]]] = {
    Cause.NEVER_WANTED: frozenset({UnitState.DOWN}),
    Cause.WAITS_FOR: frozenset({UnitState.WAITING, UnitState.STARTING, UnitState.BACKOFF, UnitState.STOPPING}),
    Cause.WAITS_FOR_STOP: frozenset({UnitState.STOPPING}),
    Cause.WAITS_FOR_TERMINAL: frozenset({UnitState.WAITING}),
    Cause.WAITS_FOR_LOCK: frozenset({UnitState.STARTING, UnitState.STOPPING}),
    Cause.STARTING: frozenset({UnitState.STARTING}),
    Cause.RESPAWN: frozenset({UnitState.BACKOFF, UnitState.STOPPING}),
    Cause.REQUESTED: frozenset({UnitState.UP}),
    Cause.PULLED_IN: frozenset({UnitState.UP}),
    Cause.RUNLEVEL: frozenset({UnitState.UP}),
    Cause.PROVIDED: frozenset({UnitState.UP}),
    Cause.ACTIVATED: frozenset({UnitState.UP}),
    Cause.CONDITION: frozenset({UnitState.DOWN}),
    Cause.UNHEALTHY: frozenset({UnitState.STOPPING, UnitState.FAILED}),
    Cause.ACTIVATES_FAILED: frozenset({UnitState.STOPPING, UnitState.FAILED}),
}


OF_ITS_TIME: Final = frozenset(
    {Cause.DEPENDENCY_FAILED, Cause.DEPENDENCY_DOWN, Cause.CONFLICT, Cause.BROKEN, Cause.ACTIVATES_FAILED}
)
LOST: Final = (UnitState.FAILED, UnitState.STOPPING, UnitState.BACKOFF)


def reason_is_true(moment: Moment, unit: Unit) -> None:
    """The reason of a unit's state, as `why` would give it now."""
    reason = explain.present_reason(moment.engine, unit)
    moment.seen.met[CAUSES[reason.cause]] += 1
    allowed = STATES.get(reason.cause)
    assert allowed is None or unit.state in allowed, f"{unit.name} is {unit.state.value}: {reason}: no reason for that"
    if reason.cause in OF_ITS_TIME and not any(each.reason is reason for each in moment.transitions):
        return  # it was so when it happened
    judge = JUDGES.get(reason.cause)
    assert judge is None or judge(moment, unit, reason), f"{unit.name} is {unit.state.value}: {reason}"


def chain_ends(moment: Moment, name: str) -> None:
    """The chain of reasons from `name` ends in a cause that needs no other: not in a wait or in somebody's failure."""
    links = explain.chain(moment.engine, name)
    last = links[-1]
    if last["state"] == "missing":
        return
    words = " <- ".join(f"{link['name']} ({link['state']}: {link['text']})" for link in links)
    is_root = Cause(last["reason"]["cause"]) not in explain.FOLLOWED or last["reason"].get("of", "") not in moment.units
    is_held = any(has_timer(moment, moment.units[link["name"]]) for link in links)
    is_contradiction = any(link["reason"]["cause"] == Cause.CONFLICT.value for link in links)
    is_failed_trigger = last["reason"]["cause"] == Cause.ACTIVATES_FAILED.value
    is_past = not is_root and is_failed_trigger and _keeps_its_service_down(moment, last)
    assert is_root or is_held or is_contradiction or is_past, f"the chain of {name} ends in no root cause: {words}"
    first = links[0]["reason"]
    is_fresh = any(each.name == name and each.reason.cause is Cause.DEPENDENCY_FAILED for each in moment.transitions)
    names = {link["name"] for link in links}
    failed_now = any(each.name in names and each.after is UnitState.FAILED for each in moment.transitions)
    if first["cause"] == Cause.DEPENDENCY_FAILED.value and is_fresh and not failed_now:
        causes = (link for link in links if link["reason"]["cause"] != Cause.DEPENDENCY_FAILED.value)
        assert UnitState(next(causes, last)["state"]) in LOST, f"nothing failed at the root of {words}"


def _keeps_its_service_down(moment: Moment, trigger: dict[str, Any]) -> bool:
    """Did its service fail before, and cannot start now because of it?"""
    service = explain.chain(moment.engine, trigger["reason"]["of"])
    return any(link["name"] == trigger["name"] for link in service)


# -- by cause ----------------------------------------------------------------------------------------------------


def _waits_for(moment: Moment, unit: Unit, reason: Reason) -> bool:
    on = moment.units.get(reason.of)
    if on is None:
        return moment.world.is_armed(unit.name, TimerKind.IDLE)  # the boot
    return on.state is not UnitState.UP or on.bouncing is not None or not on.goal


def _waits_for_stop(moment: Moment, _unit: Unit, reason: Reason) -> bool:
    on = moment.units.get(reason.of)
    return on is not None and (on.state is UnitState.STOPPING or (on.state is UnitState.STARTING and on.goal))


def _waits_for_terminal(moment: Moment, unit: Unit, reason: Reason) -> bool:
    on = moment.units.get(reason.of)
    return on is not None and on.state is UnitState.STARTING and on.service.execution.tty == unit.service.execution.tty


def _has_process_or_order(moment: Moment, unit: Unit, reason: Reason) -> bool:
    steps = {CHECKS: unit.checking, SEARCHES: unit.searching}
    is_so = steps.get(reason.text, bool(unit.running))
    return is_so and moment.world.is_armed(unit.name, TimerKind.START)


def _exited(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return reason.status in moment.seen.statuses.get(unit.name, ())


def _had_trouble(moment: Moment, unit: Unit, reason: Reason) -> bool:
    if "cannot be killed" in reason.text:
        return unit.name in moment.seen.survivors
    return reason.text in moment.seen.troubles.get(unit.name, ())


def _took_too_long_to_start(moment: Moment, unit: Unit, reason: Reason) -> bool:
    began_at_s = moment.seen.entered_at_s(unit.name, UnitState.STARTING)
    return reason.limit_s is not None and reason.at_s - began_at_s >= reason.limit_s - SLACK_S


def _took_too_long_to_stop(moment: Moment, unit: Unit, reason: Reason) -> bool:
    began_at_s = moment.seen.entered_at_s(unit.name, UnitState.STOPPING)
    return reason.limit_s is not None and reason.at_s - began_at_s >= reason.limit_s - SLACK_S


def _will_respawn(moment: Moment, unit: Unit, reason: Reason) -> bool:
    ended = reason.status is None or _exited(moment, unit, reason)
    return ended and (unit.state is not UnitState.BACKOFF or moment.world.is_armed(unit.name, TimerKind.RESPAWN))


def _reached_limit(moment: Moment, unit: Unit, reason: Reason) -> bool:
    if unit.service.activates and not unit.service.kind.runs:
        service = unit.service.activates
        words = (
            f"it started {service} {ACTIVATIONS_MAX} times within 10 s",
            f"{service} cannot be started: ",
            f"{service}, which it starts, is gone",
        )
        return reason.text.startswith(words)
    return reason.status is None or _exited(moment, unit, reason)


def _is_unmet(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return bool(reason.text) and reason.text in moment.seen.conditions.get(unit.name, ())


def _was_activated(moment: Moment, unit: Unit, reason: Reason) -> bool:
    is_its = (reason.of, unit.name) in moment.seen.activates
    return is_its and reason.text in moment.seen.sights.get(reason.of, ())


def _has_lost_its_service(moment: Moment, unit: Unit, reason: Reason) -> bool:
    """That failed when the reason was given, or had failed before."""
    has_failed = moment.seen.entered_at_s(reason.of, UnitState.FAILED) >= reason.at_s
    is_failed = moment.state(reason.of) is UnitState.FAILED
    return (unit.name, reason.of) in moment.seen.activates and (has_failed or is_failed)


def _is_joined(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return (unit.name, reason.of) in moment.seen.edges


def _dependency_failed(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return _is_joined(moment, unit, reason) and _is_or_was_gone(moment, reason.of)


def _dependency_down(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return _is_joined(moment, unit, reason) and _is_or_was_gone(moment, reason.of)


def _is_or_was_gone(moment: Moment, name: str) -> bool:
    """Is it not there for those that need it, or was it so while this event was handled?"""
    on = moment.units.get(name)
    passed = {state for each in moment.transitions if each.name == name for state in (each.before, each.after)}
    return on is None or on.restarting is not None or not GONE.isdisjoint({on.state, *passed})


def _conflicts(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return (unit.name, reason.of) in moment.seen.edges or (reason.of, unit.name) in moment.seen.edges


def _is_in_cycle(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return unit.service.broken == "cycle" or unit.name in reason.text  # the loop


def _was_never_wanted(moment: Moment, unit: Unit, _reason: Reason) -> bool:
    return unit.desired is Desired.DOWN or unit.service.kind is Kind.VIRTUAL


def _was_asked(*verbs: Verb) -> Callable[[Moment, Unit, Reason], bool]:
    def judge(moment: Moment, unit: Unit, reason: Reason) -> bool:
        return moment.seen.was_asked(unit.name, *verbs, by=reason.by)

    return judge


def _was_pulled_in(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return (reason.of, unit.name) in moment.seen.edges


def _was_needed(moment: Moment, unit: Unit, reason: Reason) -> bool:
    """By whoever let go of it, if only as a provider of a virtual name."""
    edges = moment.seen.edges
    names = (on for owner, on in edges if owner == reason.of)
    return _was_pulled_in(moment, unit, reason) or any((name, unit.name) in edges for name in names)


def _is_provided(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return (unit.name, reason.of) in moment.seen.edges


def _is_shut_down(moment: Moment, _unit: Unit, reason: Reason) -> bool:
    return moment.seen.shutdown_at_s is not None and bool(reason.by)


def _was_removed(moment: Moment, unit: Unit, reason: Reason) -> bool:
    return reason.by in moment.seen.loaders


def _left_runlevel(moment: Moment, _unit: Unit, reason: Reason) -> bool:
    return moment.seen.was_asked(reason.of, Verb.RUNLEVEL, by=reason.by)


def _is_broken(_moment: Moment, unit: Unit, _reason: Reason) -> bool:
    return bool(unit.service.broken)


JUDGES: Final[Mapping[Cause, Callable[[Moment, Unit, Reason], bool]]] = {
    Cause.NEVER_WANTED: _was_never_wanted,
    Cause.REQUESTED: _was_asked(Verb.START, Verb.RUNLEVEL),
    Cause.RESTARTED: _was_asked(Verb.RESTART),
    Cause.STOPPED: _was_asked(Verb.STOP, Verb.RESET),
    Cause.RUNLEVEL: _was_pulled_in,
    Cause.PULLED_IN: _was_pulled_in,
    Cause.UNNEEDED: _was_needed,
    Cause.PROVIDED: _is_provided,
    Cause.WAITS_FOR: _waits_for,
    Cause.WAITS_FOR_STOP: _waits_for_stop,
    Cause.WAITS_FOR_TERMINAL: _waits_for_terminal,
    Cause.STARTING: _has_process_or_order,
    Cause.EXITED: _exited,
    Cause.SPAWN_FAILED: _had_trouble,
    Cause.UNHEALTHY: _had_trouble,
    Cause.CONDITION: _is_unmet,
    Cause.ACTIVATED: _was_activated,
    Cause.ACTIVATES_FAILED: _has_lost_its_service,
    Cause.READINESS_FAILED: _had_trouble,
    Cause.START_TIMEOUT: _took_too_long_to_start,
    Cause.STEP_TIMEOUT: _took_too_long_to_start,
    Cause.STOP_TIMEOUT: _took_too_long_to_stop,
    Cause.RESPAWN: _will_respawn,
    Cause.RESPAWN_LIMIT: _reached_limit,
    Cause.DEPENDENCY_FAILED: _dependency_failed,
    Cause.DEPENDENCY_DOWN: _dependency_down,
    Cause.CONFLICT: _conflicts,
    Cause.CYCLE: _is_in_cycle,
    Cause.BROKEN: _is_broken,
    Cause.RUNLEVEL_LEFT: _left_runlevel,
    Cause.SHUTDOWN: _is_shut_down,
    Cause.REMOVED: _was_removed,
}
