"""How does a unit get up? Its turn on a terminal, `pre`, the main command, readiness, `post`.

What follows when one of these fails is `lifecycle`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from linit.engine import events
from linit.engine.board import Board
from linit.engine.course import Course
from linit.engine.edges import provides
from linit.engine.effects import Arm, CheckConditions, FindMain, WatchReadiness
from linit.engine.events import START_TIMER, TimerKind
from linit.engine.links import PROCESSLESS
from linit.engine.orders import arm, await_health, disarm, limit_step, spawn, tell, unlimit_step, watch_health
from linit.engine.transitions import MET, READY
from linit.engine.unit import Unit
from linit.model.reason import EXITED, IS_STARTING, Cause, Reason
from linit.model.service import AT_ONCE, ONESHOT, PROCESS, PROVIDED_BY, VIRTUAL, Command, Kind, ReadinessKind
from linit.model.state import MAIN, STARTING, WAITING, Role

STARTS: Final = "starting"
CHECKS: Final = "checks its conditions"
AWAITS: Final = {kind: f"runs, not ready yet ({kind.value})" for kind in ReadinessKind}
SEARCHES: Final = "its command has ended, its daemon is looked for"


class Starting:
    """Brings units up. `fail` is called when a start has failed."""

    def __init__(
        self,
        board: Board,
        would_wedge: Callable[[str, str], bool],
        fail: Callable[[Unit, Reason], None],
        finish: Callable[[Unit, Reason], None],
        course: Course,
    ) -> None:
        """`would_wedge`: does the second service, which has a terminal, wait for the first, which wants it?
        `finish`: called when a unit is to be down again, which is no failure."""
        self.board = board
        self._would_wedge = would_wedge
        self._fail = fail
        self._finish = finish
        self._course = course

    def go(self, unit: Unit) -> None:
        """Nothing that it depends on is in the way any more."""
        if unit.service.idle_s and self._course.booting is not None:
            self._idle(unit)
        else:
            if self.board.idlers:
                self.stop_idling(unit)  # the boot it let go first may have ended without being reached
            self.start_on_free_terminal(unit)

    def is_put_off(self, unit: Unit) -> bool:
        """Must it wait for something, though for nothing that it depends on?"""
        service = unit.service
        if service.idle_s and self._course.booting is not None:
            return True
        return service.execution.tty in self.board.terminals or (service.kind is VIRTUAL and not unit.ready)

    def start_on_free_terminal(self, unit: Unit) -> None:
        """What asks a person something has the terminal to itself while it does: until its start is over."""
        board = self.board
        terminal = unit.service.execution.tty
        holder = board.terminals.get(terminal) if terminal else None
        if holder is not None and not self._would_wedge(unit.name, holder):
            board.queue_for_terminal(unit)
            unit.reason = Reason(Cause.WAITS_FOR_TERMINAL, board.now_s, of=holder, text=terminal)
            return
        if holder is not None:
            tell(
                board, unit, f"does not wait for the terminal {terminal}: {holder}, which has it, waits for {unit.name}"
            )
        self.begin(unit)

    def _idle(self, unit: Unit) -> None:
        """Let the rest of the boot go first, for a while."""
        if unit.name not in self.board.idlers:
            self.board.idlers[unit.name] = None
            text = " and all else that starts"
            unit.reason = Reason(Cause.WAITS_FOR, self.board.now_s, of="the boot", text=text)
            arm(self.board, unit, TimerKind.IDLE, unit.service.idle_s)

    def end_idling(self) -> bool:
        """The rest of the boot is over, or has had its time: who let it go first starts now. Was there anybody?"""
        idlers = [self.board.units[name] for name in self.board.idlers if name in self.board.units]
        for unit in idlers:
            self.stop_idling(unit)
            if unit.state is WAITING and unit.goal and not unit.unmet:
                self.start_on_free_terminal(unit)
        return bool(idlers)

    def has_idled(self, unit: Unit) -> None:
        """It has let the rest of the boot go first for long enough."""
        self.stop_idling(unit)
        if unit.goal and not unit.unmet:
            self.start_on_free_terminal(unit)

    def stop_idling(self, unit: Unit) -> None:
        """It lets nobody go first any more."""
        if unit.name in self.board.idlers:
            del self.board.idlers[unit.name]
            disarm(self.board, unit, TimerKind.IDLE)

    def begin(self, unit: Unit) -> None:
        """Start now: the first step of the definition."""
        board, service = self.board, unit.service
        if service.execution.tty:
            board.take_terminal(unit)
        unit.began_at_s = unit.run_at_s = board.now_s
        unit.index = 0
        unit.left = unit.found = unit.checking = unit.searching = False
        unit.verdict = unit.deadline_s = None
        if unit.state is WAITING:
            board.step(unit, MET, self._step_reason(STARTS))
        else:
            board.step(unit, MET, unit.wish)  # nobody was told yet why it starts
            unit.reason = self._step_reason(STARTS)
        if service.kind in PROCESSLESS:
            self._is_up(unit)
            return
        if service.start_timeout_s is not None:
            arm(board, unit, START_TIMER, service.start_timeout_s)
        if service.kind.is_trigger:
            unit.running.add(MAIN)  # until it is armed
            board.emit(Arm(service))
        elif service.when:
            unit.reason = self._step_reason(CHECKS)
            unit.checking = True
            board.emit(CheckConditions(service))
        else:
            self._run_pre(unit)

    def on_conditions(self, unit: Unit, event: events.ConditionsChecked) -> None:
        """It is known whether the conditions are met. If not, it is no failure that the unit is down."""
        if not unit.checking:
            return  # it is under way already: an answer too many
        unit.checking = False
        if event.text:
            self._finish(unit, Reason(Cause.CONDITION, self.board.now_s, text=event.text))
        else:
            self._run_pre(unit)

    def _run_pre(self, unit: Unit) -> None:
        if unit.index < len(unit.service.pre):
            self._spawn(unit, Role.PRE, unit.index)
        elif unit.service.run is not None:
            self._spawn(unit, MAIN, 0)
        else:
            self._run_post(unit)

    def _run_post(self, unit: Unit, index: int = 0) -> None:
        unit.index = index
        if index < len(unit.service.post):
            self._spawn(unit, Role.POST, index)
        else:
            self._is_up(unit)

    def _spawn(self, unit: Unit, role: Role, index: int) -> None:
        if unit.state is STARTING:
            text = f"runs its {role.value} command" if role is not MAIN else STARTS
            if unit.reason.text != text:
                unit.reason = self._step_reason(text)
        spawn(self.board, unit, role, index)
        if role is not MAIN:
            limit_step(self.board, unit, step_of(unit, role, index))

    def _is_up(self, unit: Unit) -> None:
        board = self.board
        disarm(board, unit, START_TIMER)
        unit.start_duration_s = board.now_s - unit.began_at_s
        await_health(board, unit)
        watch_health(board, unit)
        reason = self.up_reason(unit) if unit.service.kind is VIRTUAL else unit.wish
        board.step(unit, READY, reason, unit.start_duration_s)
        board.act(unit)
        if unit.service.kind is ONESHOT and not unit.service.remains:
            self._finish(unit, Reason(EXITED, self.board.now_s, status=0))

    def up_reason(self, unit: Unit) -> Reason:
        """Why it is up: who wanted it, or of a virtual name who provides it."""
        if unit.service.kind is not VIRTUAL:
            return unit.wish
        providers = (edge for edge in self.board.links.dependencies(unit.name) if edge.kind is PROVIDED_BY)
        up = next((edge for edge in providers if provides(self.board.units[edge.on].view)), None)
        return Reason(Cause.PROVIDED, self.board.now_s, of=up.on if up else "")

    def _step_reason(self, text: str) -> Reason:
        return Reason(IS_STARTING, self.board.now_s, "", "", text)  # by position, here and elsewhere: often

    def on_spawned(self, unit: Unit, event: events.Spawned) -> None:
        """A command is executing."""
        if event.role not in unit.running:
            return
        unit.pids[event.role] = event.pid
        if unit.state is not STARTING or event.role is not MAIN:
            return
        if unit.service.kind is PROCESS:
            self._await_readiness(unit)

    def on_main_found(self, unit: Unit, event: events.MainFound) -> None:
        """The main process is another one than the command that was spawned."""
        if unit.searching:
            unit.searching = False
            unit.found = True
            unit.running.add(MAIN)
            unit.pids[MAIN] = event.pid
            self._await_readiness(unit)
        elif MAIN in unit.running and not _is_launcher(unit):
            unit.pids[MAIN] = event.pid

    def _await_readiness(self, unit: Unit) -> None:
        if unit.service.readiness.kind is AT_ONCE:
            self._run_post(unit)
        else:
            unit.reason = self._step_reason(AWAITS[unit.service.readiness.kind])
            self.board.emit(WatchReadiness(unit.service))

    def on_ready(self, unit: Unit, _event: events.Ready) -> None:
        """The main process can serve; a trigger is armed."""
        if unit.service.kind.is_trigger and MAIN in unit.running:
            unit.running.discard(MAIN)
            self._is_up(unit)
        elif MAIN in unit.pids and Role.POST not in unit.running and not _is_launcher(unit):
            self._run_post(unit)  # without a pid yet: said by the trigger that had this name before a reload

    def on_end(self, unit: Unit, role: Role, reason: Reason, succeeded: bool) -> None:
        """A command of a starting unit ended."""
        if role is not MAIN:
            unlimit_step(self.board, unit)
        is_daemon = role is MAIN and (unit.service.kind is PROCESS or unit.found)
        if not succeeded or is_daemon:
            self._fail(unit, reason)
        elif role is MAIN and unit.service.kind is Kind.FORKING:
            unit.reason = self._step_reason(SEARCHES)
            unit.searching = True
            self.board.emit(FindMain(unit.service))
        elif role is Role.PRE:
            unit.index += 1
            self._run_pre(unit)
        elif role is MAIN:
            self._run_post(unit)
        else:
            self._run_post(unit, unit.index + 1)


def step_of(unit: Unit, role: Role, index: int) -> Command:
    """The pre or post command with this index."""
    return (unit.service.pre if role is Role.PRE else unit.service.post)[index]


def _is_launcher(unit: Unit) -> bool:
    """Is its main process the command of a forking service, which is to end?"""
    return unit.service.kind is Kind.FORKING and not unit.found
