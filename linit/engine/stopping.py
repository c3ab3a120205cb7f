"""How does a unit get down? The stop commands, the stop signals with their delays, SIGKILL.

Each step has a timer, so each ends: nothing outlives SIGKILL but what the kernel holds, and that is said and left
behind. What follows when nothing is left is `lifecycle`'s.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

from linit.engine.board import Board
from linit.engine.effects import Disarm, KillAll, Signal, To
from linit.engine.events import STOP_TIMER
from linit.engine.orders import arm, disarm, leave, limit_of, spawn, tell
from linit.engine.transitions import GAVE_UP, STOP
from linit.engine.unit import HELD, NO_STOP, SIGNALS, StopPhase, Unit
from linit.model.reason import STOP_TIMEOUT, Reason
from linit.model.service import StopStep, StopTo
from linit.model.state import MAIN, UP, Role

KILL_WAIT_S: Final = 5.0  # after SIGKILL only the kernel can be in the way: an uninterruptible sleep
FOREVER_S: Final = 1e9
MOMENT_S: Final = 1e-6  # less than this is left by rounding only
UNDO_NOTHING: Final = 1 << 30  # as `index` of a stop: what never was up runs no stop command
ONLY_MAIN, TO_ALL = StopTo.MAIN, To.ALL
BY_SIGNALS: Final = (SIGNALS, StopPhase.KILL)
TERM_ONCE: Final = (StopStep(signal.SIGTERM, FOREVER_S),)


class Stopping:
    """Takes units down. `on_stopped` is called when nothing of one is left, `on_abandoned` when something stays."""

    def __init__(self, board: Board, on_stopped: Callable[[Unit], None], on_abandoned: Callable[[Unit], None]) -> None:
        self.board = board
        self._on_stopped = on_stopped
        self._on_abandoned = on_abandoned

    def begin(self, unit: Unit, reason: Reason) -> None:
        """The stop begins, with waiting for dependents."""
        unit.stop_reason = reason
        was_up = unit.state is UP
        leave(self.board, unit)
        unit.began_at_s = self.board.now_s
        unit.index = 0 if was_up else UNDO_NOTHING
        self.board.step(unit, STOP, reason)
        if not self.board.hold(unit):
            self._undo(unit)  # at once: there is nobody to wait for
        elif not self.board.defers(unit) and unit.bouncing:
            self.go(unit)

    def clean_up(self, unit: Unit, reason: Reason) -> None:
        """A start failed, or a main process ended: end what is left of it, whoever depends on the unit."""
        unit.stop_reason = reason
        self.board.move(unit, STOP, reason)
        unit.began_at_s = self.board.now_s
        self._signal(unit, 0)

    def go(self, unit: Unit) -> None:
        """That wait is over: no dependent is left, or these wait for it in turn."""
        self.board.release(unit)
        self._undo(unit)

    def _undo(self, unit: Unit) -> None:
        unit.began_at_s = self.board.now_s
        if unit.index < len(unit.service.stop):
            self._run_stop_command(unit)
        else:
            self._signal(unit, 0)

    def _run_stop_command(self, unit: Unit) -> None:
        command = unit.service.stop[unit.index]
        unit.stop_phase = StopPhase.COMMAND
        self._limit(unit, limit_of(command, unit.service.stop_timeout_s))
        spawn(self.board, unit, Role.STOP, unit.index)

    def on_end(self, unit: Unit, role: Role, reason: Reason, succeeded: bool) -> None:
        """A command of a stopping unit ended."""
        if role is Role.STOP and unit.stop_phase is StopPhase.COMMAND:
            if not succeeded:
                tell(self.board, unit, f"its stop command {reason}")
            unit.index += 1
            self._undo(unit)
        elif role is MAIN:
            self.on_main_end(unit)
        else:
            self.end_if_empty(unit)

    def on_main_end(self, unit: Unit) -> None:
        """The main process of a stopping unit ended."""
        if unit.left and unit.service.stop_to is ONLY_MAIN and unit.stop_phase is not HELD:
            self._kill(unit)
        self.end_if_empty(unit)

    def _signal(self, unit: Unit, index: int) -> None:
        """Step `index` of the stop signals, or SIGKILL after the last one."""
        if unit.service.kind.is_trigger:
            unit.running.clear()
            self.board.emit(Disarm(unit.name))
        if not (unit.running or unit.left):
            self._on_stopped(unit)
            return
        steps = unit.service.stop_steps or TERM_ONCE
        left_s = self._left_s(unit)
        if index >= len(steps) or (index and left_s < MOMENT_S):
            self._kill(unit)
            return
        unit.stop_phase = SIGNALS
        unit.index = index
        to = To.MAIN if unit.service.stop_to is ONLY_MAIN and unit.running == {MAIN} else TO_ALL
        self.board.effects.append(Signal(unit.name, steps[index].signal, to))
        wait_s = min(steps[index].wait_s, left_s)
        self._limit(unit, wait_s if wait_s < FOREVER_S else None)

    def _left_s(self, unit: Unit) -> float:
        """How long all the stop signals together may still take."""
        timeout_s = unit.service.stop_timeout_s
        return FOREVER_S if timeout_s is None else max(timeout_s - (self.board.now_s - unit.began_at_s), 0.0)

    def _kill(self, unit: Unit) -> None:
        if unit.stop_phase is not StopPhase.KILL:
            unit.stop_phase = StopPhase.KILL
            self._limit(unit, KILL_WAIT_S)
            self.board.emit(KillAll(unit.name))

    def end_if_empty(self, unit: Unit) -> None:
        """The stop is over when nothing of the unit is left."""
        if unit.stop_phase in BY_SIGNALS and not (unit.running or unit.left):
            self._on_stopped(unit)

    def _abandon(self, unit: Unit) -> None:
        """Not even SIGKILL ended it: the kernel holds it. Said, and given up, so that nothing waits for ever."""
        tell(self.board, unit, f"does not end {KILL_WAIT_S:g} s after SIGKILL (uninterruptible); left behind")
        unit.stop_phase = NO_STOP
        unit.verdict = None
        limit_s = self.board.now_s - unit.began_at_s
        unit.given_up = Reason(STOP_TIMEOUT, self.board.now_s, limit_s=limit_s)
        self._on_abandoned(unit)
        self.board.look(unit)
        self.board.move(unit, GAVE_UP, unit.given_up)

    def took_too_long(self, unit: Unit) -> None:
        """The present step of the stop has had its time."""
        if unit.stop_phase is StopPhase.COMMAND:
            tell(self.board, unit, "its stop command takes too long; signals follow")
            unit.index = UNDO_NOTHING
            unit.began_at_s = self.board.now_s  # the signals have their own time
            self._signal(unit, 0)
        elif unit.stop_phase is SIGNALS:
            steps = unit.service.stop_steps or TERM_ONCE
            if unit.index + 1 >= len(steps) or self._left_s(unit) < MOMENT_S:
                waited_s = self.board.now_s - unit.began_at_s
                name = signal.Signals(steps[unit.index].signal).name.removeprefix("SIG")
                tell(self.board, unit, f"ignored {name} for {waited_s:.3g} s, killed")
                if unit.verdict is None:
                    unit.stop_reason = Reason(STOP_TIMEOUT, self.board.now_s, limit_s=waited_s)
            self._signal(unit, unit.index + 1)
        elif unit.stop_phase is StopPhase.KILL:
            self._abandon(unit)

    def extend(self, unit: Unit, delay_s: float) -> None:
        """It asked for more time."""
        if unit.stop_phase in (StopPhase.COMMAND, SIGNALS):
            self._limit(unit, delay_s)

    def _limit(self, unit: Unit, limit_s: float | None) -> None:
        if limit_s is None:
            disarm(self.board, unit, STOP_TIMER)
        else:
            arm(self.board, unit, STOP_TIMER, limit_s)
