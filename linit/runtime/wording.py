"""How is it said what happened to a service? One line, to follow its name, for the log and for who runs `--user`."""

from __future__ import annotations

from collections.abc import Mapping

from linit.engine.effects import BootFinished, Transition
from linit.engine.unit import Unit
from linit.model.service import Kind
from linit.model.state import Role, UnitState


def transition_words(transition: Transition, unit: Unit | None) -> str:
    """`up (pid 412, ready after 0.8 s)`, `failed: exited with status 1`."""
    reason = str(transition.reason)
    match transition.after:
        case UnitState.UP:
            return f"up{_up_details(transition, unit)}"
        case UnitState.DOWN:
            took = f", after {seconds(transition.duration_s)}" if transition.duration_s is not None else ""
            return f"down ({reason}{took})"
        case UnitState.BACKOFF:
            return reason
        case UnitState.FAILED:
            return f"failed: {reason}"
        case UnitState.WAITING | UnitState.STOPPING | UnitState.STARTING:
            state = transition.after.value
            return state if reason == state else f"{state} ({reason})"


def runlevel_words(finished: BootFinished, units: Mapping[str, Unit]) -> str:
    """`runlevel default reached: 12 up, failed: mail`. What runs nothing is not counted."""
    counted = (unit for unit in units.values() if unit.service.runs)
    up = sum(unit.state is UnitState.UP for unit in counted)
    failed = f", failed: {', '.join(finished.failed)}" if finished.failed else ""
    return f"runlevel {finished.runlevel} reached: {up} up{failed}"


def _up_details(transition: Transition, unit: Unit | None) -> str:
    details = []
    if unit is not None and unit.service.kind.is_trigger:
        return ""  # it is armed, and that took no time
    pid = unit.pids.get(Role.MAIN) if unit else None
    if pid:
        details.append(f"pid {pid}")
    if transition.duration_s is not None:
        is_oneshot = unit is not None and unit.service.kind is Kind.ONESHOT
        details.append(f"{'done' if is_oneshot else 'ready'} after {seconds(transition.duration_s)}")
    return f" ({', '.join(details)})" if details else ""


def seconds(duration_s: float) -> str:
    """`0.03 s`, `0.8 s`, `12.4 s`."""
    return f"{duration_s:.2f} s" if duration_s < 0.1 else f"{duration_s:.1f} s"
