"""The orders that every part of a unit's life gives: run a command, arm and disarm timers, tell a person."""

from __future__ import annotations

from linit.engine.board import Board
from linit.engine.effects import ArmTimer, DisarmTimer, Spawn, Told, UnwatchHealth, UnwatchReadiness, WatchHealth
from linit.engine.events import HEALTHY_TIMER, START_TIMER, TimerKind
from linit.engine.unit import Unit
from linit.model.service import Command
from linit.model.state import STARTING, Role


def spawn(board: Board, unit: Unit, role: Role, index: int = 0) -> None:
    """Run command number `index` of a role."""
    unit.running.add(role)
    board.effects.append(Spawn(unit.service, role, index))


def arm(board: Board, unit: Unit, kind: TimerKind, delay_s: float) -> None:
    """Arm a timer that ends the unit's present state: until then is its deadline."""
    unit.deadline_s = board.now_s + delay_s
    board.effects.append(ArmTimer(unit.name, kind, delay_s))


def disarm(board: Board, unit: Unit, kind: TimerKind) -> None:
    """Disarm such a timer, if one is armed: the state has no deadline any more."""
    if unit.deadline_s is not None:
        unit.deadline_s = None
        board.effects.append(DisarmTimer(unit.name, kind))


def tell(board: Board, unit: Unit, text: str) -> None:
    """Have a person read something that is no change of state."""
    board.emit(Told(unit.name, text, board.now_s))


def limit_step(board: Board, unit: Unit, command: Command) -> None:
    """A pre or post command begins, which may have a time of its own besides that of the whole start."""
    if command.timeout_s is not None:
        board.emit(ArmTimer(unit.name, TimerKind.STEP, command.timeout_s))


def unlimit_step(board: Board, unit: Unit) -> None:
    """A pre or post command has ended, or is not waited for any more."""
    service = unit.service
    if (service.pre or service.post) and any(one.timeout_s is not None for one in (*service.pre, *service.post)):
        board.emit(DisarmTimer(unit.name, TimerKind.STEP))


def watch_health(board: Board, unit: Unit) -> None:
    """It is up: is it well, too?"""
    if unit.service.health is not None or unit.service.watchdog_s is not None:
        board.emit(WatchHealth(unit.service))


def await_health(board: Board, unit: Unit) -> None:
    """After some time up its respawns are forgotten."""
    if unit.budget.streak:
        board.emit(ArmTimer(unit.name, HEALTHY_TIMER, unit.service.restart.healthy_after_s))


def leave(board: Board, unit: Unit) -> None:
    """It is not up any more, or not starting: what was begun for that is over. Nobody asks whether it is ready or well,
    nothing is awaited that the start would have gone on with."""
    if unit.state is STARTING:
        unit.checking = unit.searching = False
        disarm(board, unit, START_TIMER)
        board.effects.append(UnwatchReadiness(unit.name))
        unlimit_step(board, unit)
        return
    if unit.budget.streak:
        board.effects.append(DisarmTimer(unit.name, HEALTHY_TIMER))
    if unit.service.health is not None or unit.service.watchdog_s is not None:
        board.emit(UnwatchHealth(unit.name))


def limit_of(command: Command, default_s: float | None) -> float | None:
    """How long a command may run, in seconds; None: no limit."""
    return default_s if command.timeout_s is None else command.timeout_s
