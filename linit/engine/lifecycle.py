"""What does a unit do next? Its way towards its goal, the steps of a start, and what an exit leads to.

A start runs `pre`, the main command, waits for readiness, runs `post`. How it gets down is `stopping`'s.
"""

from __future__ import annotations

from typing import Final

from linit.engine import events
from linit.engine.board import Board
from linit.engine.edges import provides, waits
from linit.engine.effects import (
    ArmTimer,
    DisarmTimer,
    Signal,
    To,
    UnwatchReadiness,
    WatchReadiness,
)
from linit.engine.events import TimerKind
from linit.engine.links import PROCESSLESS
from linit.engine.orders import arm, disarm, limit_of, spawn, tell
from linit.engine.respawn import Budget, Next, Verdict, is_success, judge
from linit.engine.stopping import Stopping
from linit.engine.transitions import Step
from linit.engine.unit import StopPhase, Unit
from linit.engine.wishes import choose_provider
from linit.model.reason import Cause, Reason
from linit.model.service import EdgeKind, Kind, ReadinessKind
from linit.model.state import Desired, Role, UnitState

RELOAD_TIMEOUT_S: Final = 60.0


class Lifecycle:
    """Drives units between states. Every method may order effects and move the unit; none loops over other units."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.stopping = Stopping(board, self._on_stopped)

    # -- towards the goal ----------------------------------------------------------------------------------------

    def advance(self, unit: Unit) -> None:
        """Do what the unit's state and goal call for now; nothing when it is where it should be."""
        if unit.state is UnitState.WAITING:
            self._advance_waiting(unit)
        elif unit.state.is_at_rest_down:
            self._advance_resting(unit)
        elif unit.state in (UnitState.STARTING, UnitState.UP):
            self._advance_running(unit)
        elif unit.state is UnitState.STOPPING:
            self._advance_stopping(unit)
        elif not unit.goal:
            self._leave_backoff(unit)
        elif unit.service.kind is Kind.VIRTUAL and unit.ready:
            self.board.move(unit, Step.WANTED, Reason(Cause.STARTING, self.board.now_s, text="provided again"))

    def _advance_resting(self, unit: Unit) -> None:
        if unit.next_service is not None:
            service, unit.next_service, unit.is_outdated = unit.next_service, None, False
            self.board.swap(unit, service)
            return
        if unit.restarting or unit.bouncing:
            unit.restarting = unit.bouncing = False
            self.board.look(unit)
            return
        if unit.removed:
            self.board.forget(unit)
        elif unit.goal and (unit.running or unit.left):
            text = "processes of its last run cannot be killed"
            unit.given_up = Reason(Cause.SPAWN_FAILED, self.board.now_s, text=text)
            self.board.look(unit)
        elif unit.goal:
            self._want(unit)
        elif unit.state is UnitState.FAILED:
            if unit.desired is Desired.DOWN and not unit.service.broken and not (unit.running or unit.left):
                self.board.move(unit, Step.UNWANTED, unit.wish)
        elif unit.desired is Desired.UP and not unit.finished:
            self._explain_rest(unit)

    def _explain_rest(self, unit: Unit) -> None:
        """Down although desired: failed when a failure is behind it, else down for the reason found."""
        reason = self.board.why_not(unit)
        if self.board.is_lost(unit.name):
            self.board.move(unit, Step.GAVE_UP, reason)
        elif unit.reason.cause is not reason.cause or unit.reason.of != reason.of:
            unit.reason = reason

    def _want(self, unit: Unit) -> None:
        waits_for = self._first_unmet(unit)
        cause = Reason(Cause.WAITS_FOR, self.board.now_s, of=waits_for) if waits_for else unit.wish
        self.board.move(unit, Step.WANTED, cause)

    def _first_unmet(self, unit: Unit) -> str:
        if not unit.unmet:
            return ""
        for edge in self.board.links.dependencies(unit.name):
            on = self.board.units.get(edge.on)
            if on is not None and waits(edge.kind, on.view):
                return edge.on
        return next((foe for foe, _ in self.board.links.foes(unit.name)), "")

    def _advance_waiting(self, unit: Unit) -> None:
        if not unit.goal:
            if unit.name in self.board.idlers:
                self._stop_idling(unit)
            reason = self.board.why_not(unit)
            lost = unit.desired is Desired.UP and self.board.is_lost(unit.name)
            self.board.move(unit, Step.GAVE_UP if lost else Step.UNWANTED, reason)
        elif not unit.unmet and (unit.service.kind is not Kind.VIRTUAL or unit.ready):
            if unit.service.idle_s and self.board.is_booting:
                self._idle(unit)
            else:
                self._begin_start(unit)

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
        self.board.idlers.clear()
        for unit in idlers:
            self._stop_idling(unit)
            if unit.state is UnitState.WAITING and unit.goal and not unit.unmet:
                self._begin_start(unit)
        return bool(idlers)

    def _stop_idling(self, unit: Unit) -> None:
        self.board.idlers.pop(unit.name, None)
        disarm(self.board, unit, TimerKind.IDLE)

    def _advance_running(self, unit: Unit) -> None:
        if unit.service.kind is Kind.VIRTUAL and unit.goal and not unit.ready:
            self.board.move(unit, Step.RETRY, Reason(Cause.WAITS_FOR, self.board.now_s, of="a provider"))
        elif not unit.goal or unit.bouncing:
            self.stopping.begin(unit, self.board.why_not(unit) if not unit.goal else unit.wish)

    def _advance_stopping(self, unit: Unit) -> None:
        if unit.stop_phase is not StopPhase.HELD:
            return
        if self._may_stay(unit):
            self.board.release(unit)
            self.board.move(unit, Step.KEPT, unit.wish)
        elif not unit.holders or unit.bouncing:
            self.stopping.go(unit)

    def _may_stay(self, unit: Unit) -> bool:
        """Wanted again before anything was done to stop it, and all that it depends on is still there?"""
        is_provided = unit.service.kind is not Kind.VIRTUAL or unit.ready > 0
        return unit.goal and not unit.bouncing and unit.index == 0 and not unit.unmet and is_provided

    def _leave_backoff(self, unit: Unit) -> None:
        self.board.emit(DisarmTimer(unit.name, TimerKind.RESPAWN))
        lost = unit.desired is Desired.UP and self.board.is_lost(unit.name)
        self.board.move(unit, Step.GAVE_UP if lost else Step.UNWANTED, self.board.why_not(unit))

    # -- start ---------------------------------------------------------------------------------------------------

    def _begin_start(self, unit: Unit) -> None:
        unit.began_at_s = self.board.now_s
        unit.index = 0
        unit.left = False
        unit.verdict = None
        unit.deadline_s = None
        self.board.move(unit, Step.MET, self._step_reason("starting"))
        if unit.service.kind in PROCESSLESS:
            self._is_up(unit)
            return
        if unit.service.start_timeout_s is not None:
            arm(self.board, unit, TimerKind.START, unit.service.start_timeout_s)
        self._run_pre(unit)

    def _run_pre(self, unit: Unit) -> None:
        if unit.index < len(unit.service.pre):
            self._spawn(unit, Role.PRE, unit.index)
        elif unit.service.run is not None:
            self._spawn(unit, Role.MAIN, 0)
        else:
            self._run_post(unit)

    def _run_post(self, unit: Unit, index: int = 0) -> None:
        unit.index = index
        if index < len(unit.service.post):
            self._spawn(unit, Role.POST, index)
        else:
            self._is_up(unit)

    def _spawn(self, unit: Unit, role: Role, index: int) -> None:
        if unit.state is UnitState.STARTING:
            unit.reason = self._step_reason(f"runs its {role.value} command" if role is not Role.MAIN else "starting")
        spawn(self.board, unit, role, index)

    def _is_up(self, unit: Unit) -> None:
        disarm(self.board, unit, TimerKind.START)
        unit.start_duration_s = self.board.now_s - unit.began_at_s
        if unit.budget.streak:
            self.board.emit(ArmTimer(unit.name, TimerKind.HEALTHY, unit.service.restart.healthy_after_s))
        reason = self._provided_reason(unit) if unit.service.kind is Kind.VIRTUAL else unit.wish
        self.board.move(unit, Step.READY, reason, unit.start_duration_s)

    def _provided_reason(self, unit: Unit) -> Reason:
        providers = (edge for edge in self.board.links.dependencies(unit.name) if edge.kind is EdgeKind.PROVIDED_BY)
        up = next((edge for edge in providers if provides(self.board.units[edge.on].view)), None)
        return Reason(Cause.PROVIDED, self.board.now_s, of=up.on if up else "")

    def _step_reason(self, text: str) -> Reason:
        return Reason(Cause.STARTING, self.board.now_s, text=text)

    # -- what processes do ---------------------------------------------------------------------------------------

    def on_spawned(self, unit: Unit, event: events.Spawned) -> None:
        """A command is executing."""
        if event.role not in unit.running:
            return
        unit.pids[event.role] = event.pid
        if unit.state is not UnitState.STARTING or event.role is not Role.MAIN:
            return
        if unit.service.kind is Kind.PROCESS:
            if unit.service.readiness.kind is ReadinessKind.NONE:
                self._run_post(unit)
            else:
                how = unit.service.readiness.kind.value
                unit.reason = self._step_reason(f"runs, not ready yet ({how})")
                self.board.emit(WatchReadiness(unit.service))

    def on_ready(self, unit: Unit, _event: events.Ready) -> None:
        """The main process can serve."""
        if Role.MAIN in unit.running and Role.POST not in unit.running:
            self._run_post(unit)

    def on_readiness_failed(self, unit: Unit, event: events.ReadinessFailed) -> None:
        """The main process will never be ready."""
        if Role.POST not in unit.running:
            self._fail_start(unit, Reason(Cause.READINESS_FAILED, self.board.now_s, text=event.text))

    def on_spawn_failed(self, unit: Unit, event: events.SpawnFailed) -> None:
        """A command could not be executed."""
        if event.role not in unit.running:
            return
        unit.running.discard(event.role)
        reason = Reason(Cause.SPAWN_FAILED, self.board.now_s, text=event.text)
        self._on_end(unit, event.role, reason, succeeded=False)

    def on_exited(self, unit: Unit, event: events.Exited) -> None:
        """A command ended."""
        if event.role not in unit.running:
            return
        unit.running.discard(event.role)
        unit.pids.pop(event.role, None)
        unit.left = event.left
        if event.role is Role.MAIN:
            unit.last_exit = event.status
        reason = Reason(Cause.EXITED, self.board.now_s, status=event.status)
        self._on_end(unit, event.role, reason, is_success(unit.service, event.status))

    def on_emptied(self, unit: Unit, _event: events.Emptied) -> None:
        """Nothing of the unit is left."""
        unit.left = False
        if unit.state is UnitState.STOPPING:
            self.stopping.end_if_empty(unit)

    def _on_end(self, unit: Unit, role: Role, reason: Reason, succeeded: bool) -> None:
        if role is Role.RELOAD:
            self.board.emit(DisarmTimer(unit.name, TimerKind.RELOAD))
            if unit.state is UnitState.STOPPING:
                self.stopping.end_if_empty(unit)
        elif unit.state is UnitState.STARTING:
            self._on_end_while_starting(unit, role, reason, succeeded)
        elif unit.state is UnitState.UP and role is Role.MAIN and unit.service.kind is Kind.PROCESS:
            self._end(unit, judge(unit.service, reason, succeeded, unit.budget, self.board.now_s))
        elif unit.state is UnitState.STOPPING:
            self.stopping.on_end(unit, role, reason, succeeded)

    def _on_end_while_starting(self, unit: Unit, role: Role, reason: Reason, succeeded: bool) -> None:
        is_process_main = role is Role.MAIN and unit.service.kind is Kind.PROCESS
        if not succeeded or is_process_main:
            self._fail_start(unit, reason)
        elif role is Role.PRE:
            unit.index += 1
            self._run_pre(unit)
        elif role is Role.MAIN:
            self._run_post(unit)
        else:
            self._run_post(unit, unit.index + 1)

    def _fail_start(self, unit: Unit, why: Reason) -> None:
        self._end(unit, judge(unit.service, why, False, unit.budget, self.board.now_s))

    def _end(self, unit: Unit, verdict: Verdict) -> None:
        """A start failed or a main process ended: clean up what is left, then do as the verdict says."""
        disarm(self.board, unit, TimerKind.START)
        disarm(self.board, unit, TimerKind.HEALTHY)
        self.board.emit(UnwatchReadiness(unit.name))
        unit.verdict = verdict
        if unit.running or unit.left:
            self.stopping.clean_up(unit, verdict.reason)
        else:
            self._apply_verdict(unit)

    def _apply_verdict(self, unit: Unit) -> None:
        verdict, unit.verdict = unit.verdict, None
        assert verdict is not None, f"linit bug: {unit.name} ended without a verdict"
        if verdict.next is Next.RESPAWN:
            unit.budget = verdict.budget
            unit.restarts += 1
            unit.deadline_s = self.board.now_s + verdict.delay_s
            self.board.move(unit, Step.RETRY, verdict.reason)
            self.board.emit(ArmTimer(unit.name, TimerKind.RESPAWN, verdict.delay_s))
            return
        finished = verdict.next is Next.FINISH
        self._fail_over(unit)
        unit.given_up, unit.finished = verdict.reason, finished
        self.board.move(unit, Step.ENDED if finished else Step.GAVE_UP, verdict.reason)

    def _on_stopped(self, unit: Unit) -> None:
        """Nothing of it is left: down as asked for, or what the verdict on a failure says."""
        disarm(self.board, unit, TimerKind.STOP)
        unit.stop_phase = StopPhase.NONE
        unit.pids.clear()
        if unit.verdict is not None and unit.goal:
            self._apply_verdict(unit)
            return
        unit.verdict = None
        unit.budget = Budget()
        reason = self.board.why_not(unit) if not unit.goal else unit.wish
        if unit.stop_reason is not None and unit.stop_reason.cause is Cause.STOP_TIMEOUT:
            reason = unit.stop_reason
        self.board.move(unit, Step.ENDED, reason, self.board.now_s - unit.began_at_s)

    def _fail_over(self, unit: Unit) -> None:
        """Another provider takes over a virtual name whose provider gives up."""
        for name, edge in self.board.links.dependents(unit.name):
            virtual = self.board.units.get(name)
            if virtual is None or virtual.service.kind is not Kind.VIRTUAL or virtual.desired is Desired.DOWN:
                continue
            if virtual.alive > unit.goal:
                continue
            unit.given_up = unit.given_up or Reason(Cause.EXITED)  # so that it is not chosen again
            chosen = choose_provider(name, self.board.units, self.board.links, {})
            other = self.board.units[chosen.on] if chosen else unit
            was_stopped = other.wish.cause is Cause.STOPPED  # by somebody who meant it
            is_fit = other.given_up is None and not other.service.broken and not self._has_live_foe(other)
            if other is not unit and is_fit and not was_stopped:
                other.desired = Desired.UP
                other.wish = Reason(Cause.PULLED_IN, self.board.now_s, of=name, place=str(edge.place))
                self.board.look(other)

    def _has_live_foe(self, unit: Unit) -> bool:
        foes = (self.board.units.get(name) for name, _ in self.board.links.foes(unit.name))
        return any(foe is not None and foe.desired is Desired.UP for foe in foes)

    # -- reload --------------------------------------------------------------------------------------------------

    def reload(self, unit: Unit) -> str:
        """Tell an up service to read its configuration again; "" or why that cannot be."""
        service = unit.service
        if unit.state is not UnitState.UP or not unit.goal:
            return f"it is {unit.state.value}, only a service that is up can reload"
        if service.reload is not None:
            if Role.RELOAD not in unit.running:
                self.board.emit(
                    ArmTimer(unit.name, TimerKind.RELOAD, limit_of(service.reload, RELOAD_TIMEOUT_S) or 0.0)
                )
                self._spawn(unit, Role.RELOAD, 0)
            return ""
        if service.reload_signal:
            self.board.emit(Signal(unit.name, service.reload_signal, To.MAIN))
            return ""
        return "its definition says no way to reload (key: reload)"

    # -- timers --------------------------------------------------------------------------------------------------

    def on_timer(self, unit: Unit, event: events.TimerFired) -> None:
        """A timer is due. One whose purpose is gone is ignored."""
        if event.kind is TimerKind.START and unit.state is UnitState.STARTING:
            self._start_took_too_long(unit)
        elif event.kind is TimerKind.STOP and unit.state is UnitState.STOPPING:
            self.stopping.took_too_long(unit)
        elif event.kind is TimerKind.RESPAWN and unit.state is UnitState.BACKOFF:
            unit.deadline_s = None
            self._want(unit)
        elif event.kind is TimerKind.HEALTHY and unit.state is UnitState.UP:
            unit.budget = Budget()
        elif event.kind is TimerKind.IDLE and unit.state is UnitState.WAITING:
            self._stop_idling(unit)
            if unit.goal and not unit.unmet:
                self._begin_start(unit)
        elif event.kind is TimerKind.RELOAD and Role.RELOAD in unit.running:
            tell(self.board, unit, f"its reload command has not ended after {RELOAD_TIMEOUT_S:g} s")

    def _start_took_too_long(self, unit: Unit) -> None:
        limit_s = unit.service.start_timeout_s
        why = Reason(Cause.START_TIMEOUT, self.board.now_s, text=unit.reason.text, limit_s=limit_s)
        self._fail_start(unit, why)
