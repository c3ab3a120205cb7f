"""What does a unit do next? Its way towards its goal, and what an exit leads to.

How it gets up is `starting`'s, how it gets down `stopping`'s.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Final

from linit.engine import events
from linit.engine.board import Board
from linit.engine.course import Course
from linit.engine.edges import RUNNING, waits
from linit.engine.effects import ArmTimer, Disarm, DisarmTimer, Signal, To
from linit.engine.events import HEALTHY_TIMER, RELOAD_TIMER, RESPAWN_TIMER, START_TIMER, STOP_TIMER, TimerKind
from linit.engine.learning import give_way, learn, learned
from linit.engine.obstacles import broken_reason, is_failure, remains_reason, why_not
from linit.engine.orders import arm, await_health, disarm, leave, limit_of, spawn, tell, watch_health
from linit.engine.respawn import AGAIN, Budget, Next, Verdict, is_success, judge
from linit.engine.starting import Starting, step_of
from linit.engine.stopping import Stopping
from linit.engine.transitions import ENDED, GAVE_UP, RETRY, UNWANTED, WANTED, Step
from linit.engine.unit import HELD, NO_STOP, Unit
from linit.engine.wishes import choose_provider, part_foes
from linit.model.reason import EXITED, STOP_TIMEOUT, WAITS_FOR, Cause, Reason, exit_words
from linit.model.service import TRIGGERS, VIRTUAL, Kind
from linit.model.state import (
    BACKOFF,
    DOWN,
    FAILED,
    MAIN,
    RELOAD,
    STARTING,
    STOPPING,
    TO_BE_DOWN,
    TO_BE_UP,
    UP,
    WAITING,
    Role,
    UnitState,
)

RELOAD_TIMEOUT_S: Final = 60.0
EXTENSION_MAX_S: Final = 3600.0  # at a time
STEPS: Final = frozenset({Role.PRE, Role.POST})
LOST: Final = frozenset({Cause.DEPENDENCY_DOWN, Cause.DEPENDENCY_FAILED})
# Why something is down although desired, or is desired at all: no reason any more once it is not desired.
OF_DESIRED: Final = LOST | {Cause.REQUESTED, Cause.RUNLEVEL, Cause.PULLED_IN, Cause.ACTIVATED, Cause.RESTARTED}


class Lifecycle:
    """Drives units between states. Every method may order effects and move the unit; none loops over other units."""

    def __init__(self, board: Board, would_wedge: Callable[[str, str], bool], course: Course) -> None:
        self.board = board
        self.starting = Starting(board, would_wedge, self._fail_start, self._finish, course)
        self.stopping = Stopping(board, self._on_stopped, self.close_triggers)
        self.ways: Final[Mapping[UnitState, Callable[[Unit], None]]] = {
            DOWN: self._advance_resting,
            FAILED: self._advance_resting,
            WAITING: self._advance_waiting,
            STARTING: self._advance_running,
            UP: self._advance_running,
            STOPPING: self._advance_stopping,
            BACKOFF: self._advance_backoff,
        }
        self._due: Final[Mapping[tuple[TimerKind, UnitState], Callable[[Unit], None]]] = {
            (START_TIMER, STARTING): self._start_took_too_long,
            (TimerKind.STEP, STARTING): self._step_took_too_long,
            (STOP_TIMER, STOPPING): self.stopping.took_too_long,
            (RESPAWN_TIMER, BACKOFF): self._respawn,
            (HEALTHY_TIMER, UP): self._forget_respawns,
            (TimerKind.IDLE, WAITING): self.starting.has_idled,
        }

    # -- towards the goal ----------------------------------------------------------------------------------------

    def advance(self, unit: Unit) -> None:
        """Do what the unit's state and goal call for now; nothing when it is where it should be."""
        if unit.next_service is not None and unit.state not in RUNNING:
            self._change_definition(unit)
        else:
            self.ways[unit.state](unit)

    def _advance_backoff(self, unit: Unit) -> None:
        if not unit.goal:
            self._leave_backoff(unit)
        elif unit.service.kind is VIRTUAL and unit.ready:
            self.board.move(unit, WANTED, Reason(Cause.STARTING, self.board.now_s, text="provided again"))
        elif unit.service.kind is not VIRTUAL and unit.reason.cause is Cause.WAITS_FOR:
            self._want(unit)  # a new plan made a service of what was a name that lacked a provider

    def _change_definition(self, unit: Unit) -> None:
        """Nothing of it runs: its next start, a respawn as well, is by the definition that a plan brought meanwhile."""
        assert unit.next_service is not None
        service, unit.next_service, unit.is_outdated = unit.next_service, None, False
        found = learned(unit.service)
        self.board.swap(unit, service)
        part_foes((unit.name,), self.board)
        give_way(self.board, unit)
        learn(self.board, unit, found)

    def _advance_resting(self, unit: Unit) -> None:
        if unit.restarting or unit.bouncing:
            unit.restarting = unit.bouncing = None
            self.board.look(unit)
            return
        if unit.removed or unit.service.transient:
            self.board.leaving[unit.name] = None
        if unit.goal and (unit.running or unit.left):
            unit.given_up = remains_reason(self.board.now_s)
            self.close_triggers(unit)
            self.board.look(unit)
        elif unit.goal:
            self._want(unit)
        elif unit.state is FAILED and (unit.running or unit.left):
            return  # it could not be killed: that remains its reason until its processes are gone
        elif unit.service.broken or (unit.desired is TO_BE_UP and not unit.finished):
            self._explain_rest(unit)
        elif unit.state is FAILED:
            self.board.move(unit, UNWANTED, unit.wish)
        elif unit.desired is TO_BE_DOWN and unit.reason.cause in OF_DESIRED:
            self._explain_unwanted(unit)

    def _explain_rest(self, unit: Unit) -> None:
        """Down although desired: failed when a failure is behind it, else down for the reason found."""
        board = self.board
        reason = broken_reason(unit.service, board.now_s) if unit.service.broken else why_not(board, unit)
        has_failed = is_failure(unit, reason)
        if has_failed and unit.state is DOWN:
            board.move(unit, GAVE_UP, reason)
        elif not has_failed and unit.state is FAILED:
            board.move(unit, UNWANTED, reason)
        elif unit.reason.cause is not reason.cause or unit.reason.of != reason.of:
            unit.reason = reason

    def _explain_unwanted(self, unit: Unit) -> None:
        """Down and not desired. A virtual name is down because of its providers, wished for or not."""
        is_unprovided = unit.service.kind is VIRTUAL and unit.reason.cause in LOST
        reason = why_not(self.board, unit) if is_unprovided else unit.wish
        if (unit.reason.cause, unit.reason.of) != (reason.cause, reason.of):
            unit.reason = reason

    def _want(self, unit: Unit) -> None:
        is_free = not unit.unmet and not self.board.goals  # by a goal that is still to be judged more may be in the way
        if is_free and unit.next_service is None and not self.starting.is_put_off(unit):
            self.starting.begin(unit)
            return
        waits_for = self._first_unmet(unit) if unit.unmet else ""
        cause = Reason(WAITS_FOR, self.board.now_s, waits_for) if waits_for else unit.wish
        self.board.step(unit, WANTED, cause)
        if self.board.defers(unit):
            return
        if unit.next_service is not None:
            self.board.act(unit)
        elif not unit.unmet:
            self._advance_waiting(unit)  # put off by what is no dependency

    def _first_unmet(self, unit: Unit) -> str:
        for edge in self.board.links.dependencies(unit.name):
            on = self.board.units.get(edge.on)
            if on is not None and waits(edge.kind, on.view):
                return edge.on
        return next((foe for foe, _ in self.board.links.foes(unit.name)), "")

    def _advance_waiting(self, unit: Unit) -> None:
        if not unit.goal:
            self.starting.stop_idling(unit)
            reason = why_not(self.board, unit)
            has_failed = unit.desired is TO_BE_UP and is_failure(unit, reason)
            self.board.move(unit, GAVE_UP if has_failed else UNWANTED, reason)
        elif not unit.unmet and (unit.service.kind is not VIRTUAL or unit.ready):
            self.starting.go(unit)

    def _advance_running(self, unit: Unit) -> None:
        if not unit.goal:
            self.stopping.begin(unit, why_not(self.board, unit))
        elif unit.service.kind is VIRTUAL and not unit.ready:
            self.board.move(unit, RETRY, Reason(Cause.WAITS_FOR, self.board.now_s, of="a provider"))
        elif unit.bouncing:
            self.stopping.begin(unit, unit.bouncing)

    def _advance_stopping(self, unit: Unit) -> None:
        if not unit.goal and unit.reason.cause in LOST:
            on = self.board.units.get(unit.reason.of)
            if on is not None and on.goal:  # it came back in the same event; something else stands against the unit
                unit.reason = why_not(self.board, unit)
        if unit.stop_phase is not HELD:
            return
        if self._may_stay(unit):
            self.board.release(unit)
            self.board.move(unit, Step.KEPT, self.starting.up_reason(unit))
            await_health(self.board, unit)
            watch_health(self.board, unit)
        elif unit.goal and not unit.bouncing and (unit.index or _has_died(unit)):
            unit.bouncing = unit.wish  # it was starting, or died, so it cannot simply stay; its dependents may
            self.stopping.go(unit)
        elif not unit.holders or unit.bouncing:
            self.stopping.go(unit)

    def _may_stay(self, unit: Unit) -> bool:
        """Wanted again before anything was done to stop it, and all that it depends on is still there?"""
        is_provided = unit.service.kind is not VIRTUAL or unit.ready > 0
        is_whole = unit.index == 0 and not _has_died(unit)
        return unit.goal and not unit.bouncing and is_whole and not unit.unmet and is_provided

    def _leave_backoff(self, unit: Unit) -> None:
        self.board.emit(DisarmTimer(unit.name, RESPAWN_TIMER))
        unit.deadline_s = None
        reason = why_not(self.board, unit)
        has_failed = unit.desired is TO_BE_UP and is_failure(unit, reason)
        self.board.move(unit, GAVE_UP if has_failed else UNWANTED, reason)

    def respawn_now(self, unit: Unit) -> None:
        """Somebody does not want to wait for the end of its backoff."""
        self.board.emit(DisarmTimer(unit.name, RESPAWN_TIMER))
        self._respawn(unit)

    # -- what processes do ---------------------------------------------------------------------------------------

    def on_readiness_failed(self, unit: Unit, event: events.ReadinessFailed) -> None:
        """The main process will never be ready."""
        if Role.POST not in unit.running:
            self._fail_start(unit, Reason(Cause.READINESS_FAILED, self.board.now_s, text=event.text))

    def on_spawn_failed(self, unit: Unit, event: events.SpawnFailed) -> None:
        """A command could not be executed."""
        is_rearmed = unit.service.kind.is_trigger and unit.state is UP  # by a reload, with a definition that cannot be
        if event.role not in unit.running and not is_rearmed:
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
        if event.role is MAIN:
            unit.last_exit, unit.last_exit_note = event.status, event.note
            if unit.state is STOPPING:
                self.stopping.on_main_end(unit)  # as it should, whatever its status
                return
        note, succeeded = event.note, is_success(unit.service, event.status)
        if event.role is not MAIN:
            succeeded = event.status == 0  # `success` is said of the service
        if event.role in STEPS:
            note = f"its {event.role.value} command {note or exit_words(event.status)}"
        reason = Reason(EXITED, self.board.now_s, "", "", "", "", event.status, None, note)
        self._on_end(unit, event.role, reason, succeeded)

    def on_emptied(self, unit: Unit, _event: events.Emptied) -> None:
        """Nothing of the unit is left."""
        unit.left = False
        if unit.state is STOPPING:
            self.stopping.end_if_empty(unit)

    def _on_end(self, unit: Unit, role: Role, reason: Reason, succeeded: bool) -> None:
        if role is RELOAD:
            self.board.emit(DisarmTimer(unit.name, RELOAD_TIMER))
            if unit.state is STOPPING:
                self.stopping.end_if_empty(unit)
        elif unit.state is STARTING:
            self.starting.on_end(unit, role, reason, succeeded)
        elif unit.state is UP and role is MAIN and (unit.service.kind.is_daemon or unit.service.kind.is_trigger):
            self._end(unit, judge(unit.service, reason, succeeded, unit.budget, self.board.now_s), reason)
        elif unit.state is STOPPING:
            self.stopping.on_end(unit, role, reason, succeeded)

    def on_unhealthy(self, unit: Unit, event: events.Unhealthy) -> None:
        """It runs, but does not do its work any more: as if it had crashed. Only who is looked after can be unwell."""
        if unit.service.health is None and unit.service.watchdog_s is None:
            return
        why = Reason(Cause.UNHEALTHY, self.board.now_s, text=event.text)
        self._end(unit, judge(unit.service, why, False, unit.budget, self.board.now_s), why)

    def on_extended(self, unit: Unit, event: events.Extended) -> None:
        """It needs more time, and says so; as often as it likes."""
        delay_s = min(event.delay_s, EXTENSION_MAX_S)
        if unit.deadline_s is None or self.board.now_s + delay_s <= unit.deadline_s:
            return  # it has that time anyway
        if unit.state is STARTING:
            arm(self.board, unit, START_TIMER, delay_s)
        else:
            self.stopping.extend(unit, delay_s)

    def _finish(self, unit: Unit, why: Reason) -> None:
        """It goes down, and that is as it should be."""
        self._end(unit, Verdict(Next.FINISH, why), why)

    def _fail_start(self, unit: Unit, why: Reason) -> None:
        self._end(unit, judge(unit.service, why, False, unit.budget, self.board.now_s), why)

    def _end(self, unit: Unit, verdict: Verdict, why: Reason) -> None:
        """A start failed or a main process ended: clean up what is left, then do as the verdict says."""
        if self.board.is_ending and verdict.next is AGAIN:
            verdict = Verdict(Next.GIVE_UP, why)  # a shutdown ends: what has failed to do its part then is left out
        leave(self.board, unit)
        if unit.service.kind.is_trigger:
            self.board.emit(Disarm(unit.name))
        unit.verdict = verdict
        if unit.running or unit.left:
            self.stopping.clean_up(unit, verdict.reason)
        else:
            self._apply_verdict(unit)

    def _apply_verdict(self, unit: Unit) -> None:
        verdict, unit.verdict = unit.verdict, None
        assert verdict is not None, f"linit bug: {unit.name} ended without a verdict"
        if verdict.next is AGAIN:
            unit.budget = verdict.budget
            unit.restarts += 1
            unit.deadline_s = self.board.now_s + verdict.delay_s
            self.board.move(unit, RETRY, verdict.reason)
            self.board.emit(ArmTimer(unit.name, RESPAWN_TIMER, verdict.delay_s))
            return
        finished = verdict.next is Next.FINISH
        self._fail_over(unit)
        if not finished:
            self.close_triggers(unit)
        unit.given_up, unit.finished = verdict.reason, finished
        self.board.look(unit)
        self.board.move(unit, ENDED if finished else GAVE_UP, verdict.reason)

    def _on_stopped(self, unit: Unit) -> None:
        """Nothing of it is left: down as asked for, or what the verdict on a failure says."""
        disarm(self.board, unit, STOP_TIMER)
        unit.stop_phase = NO_STOP
        unit.pids.clear()
        if unit.verdict is not None and unit.goal:
            self._apply_verdict(unit)
            return
        unit.verdict = None
        unit.budget = Budget()
        reason = why_not(self.board, unit) if not unit.goal else unit.wish
        if unit.stop_reason is not None and unit.stop_reason.cause is STOP_TIMEOUT:
            reason = unit.stop_reason
        self.board.step(unit, ENDED, reason, self.board.now_s - unit.began_at_s)
        if not self.board.defers(unit) and (unit.goal or _is_unsettled(unit, reason)):
            self.board.act(unit)

    def close_triggers(self, unit: Unit) -> None:
        """What it was to serve is refused from now on: clients would wait for ever, or start it again and again."""
        for suffix in (TRIGGERS[Kind.SOCKET], TRIGGERS[Kind.WATCH]):
            trigger = self.board.units.get(unit.name + suffix)
            if trigger is None or trigger.service.activates != unit.name or trigger.desired is TO_BE_DOWN:
                continue
            if trigger.given_up is None:
                trigger.given_up = Reason(Cause.ACTIVATES_FAILED, self.board.now_s, of=unit.name)
                self.board.look(trigger)

    def _fail_over(self, unit: Unit) -> None:
        """Another provider takes over a virtual name whose provider gives up."""
        for name, edge in self.board.links.dependents(unit.name):
            virtual = self.board.units.get(name)
            if virtual is None or virtual.service.kind is not VIRTUAL or virtual.desired is TO_BE_DOWN:
                continue
            if virtual.alive > unit.goal:
                continue
            unit.given_up = unit.given_up or Reason(EXITED)  # so that it is not chosen again
            chosen = choose_provider(name, self.board.units, self.board.links, {})
            other = self.board.units[chosen.on] if chosen else unit
            was_stopped = other.wish.cause is Cause.STOPPED  # by somebody who meant it
            is_fit = other.given_up is None and not other.service.broken and not self._has_live_foe(other)
            if other is not unit and is_fit and not was_stopped:
                other.desired = TO_BE_UP
                other.wish = Reason(Cause.PULLED_IN, self.board.now_s, of=name, place=str(edge.place))
                self.board.look(other)

    def _has_live_foe(self, unit: Unit) -> bool:
        foes = (self.board.units.get(name) for name, _ in self.board.links.foes(unit.name))
        return any(foe is not None and foe.desired is TO_BE_UP for foe in foes)

    # -- reload --------------------------------------------------------------------------------------------------

    def reload(self, unit: Unit) -> str:
        """Tell an up service to read its configuration again; "" or why that cannot be."""
        service = unit.service
        if unit.state is not UP or not unit.goal:
            return f"it is {unit.state.value}, only a service that is up can reload"
        if service.reload is not None:
            if RELOAD not in unit.running:
                limit_s = limit_of(service.reload, RELOAD_TIMEOUT_S)
                if limit_s is not None:
                    self.board.emit(ArmTimer(unit.name, RELOAD_TIMER, limit_s))
                spawn(self.board, unit, RELOAD)
            return ""
        if service.reload_signal:
            self.board.emit(Signal(unit.name, service.reload_signal, To.MAIN))
            if service.reload_notifies:
                self.board.emit(ArmTimer(unit.name, RELOAD_TIMER, RELOAD_TIMEOUT_S))
            return ""
        return "its definition says no way to reload (key: reload)"

    # -- timers --------------------------------------------------------------------------------------------------

    def on_timer(self, unit: Unit, event: events.TimerFired) -> None:
        """A timer is due. One whose purpose is gone is ignored."""
        due = self._due.get((event.kind, unit.state))
        if due is not None:
            due(unit)
        elif event.kind is RELOAD_TIMER and RELOAD in unit.running:
            self._reload_took_too_long(unit)

    def _respawn(self, unit: Unit) -> None:
        unit.deadline_s = None
        self._want(unit)

    def _forget_respawns(self, unit: Unit) -> None:
        if unit.budget.streak:  # a trigger counts something else
            unit.budget = Budget()

    def _reload_took_too_long(self, unit: Unit) -> None:
        limit_s = limit_of(unit.service.reload, RELOAD_TIMEOUT_S) if unit.service.reload else RELOAD_TIMEOUT_S
        tell(self.board, unit, f"its reload command has not ended after {limit_s:g} s, killed")
        self.board.emit(Signal(unit.name, signal.SIGKILL, To.RELOAD))

    def _step_took_too_long(self, unit: Unit) -> None:
        for role in STEPS & unit.running:
            limit_s = step_of(unit, role, unit.index).timeout_s
            if limit_s is not None:
                self._fail_start(unit, Reason(Cause.STEP_TIMEOUT, self.board.now_s, text=role.value, limit_s=limit_s))

    def _start_took_too_long(self, unit: Unit) -> None:
        limit_s = unit.service.start_timeout_s
        why = Reason(Cause.START_TIMEOUT, self.board.now_s, text=unit.reason.text, limit_s=limit_s)
        self._fail_start(unit, why)


def _is_unsettled(unit: Unit, reason: Reason) -> bool:
    """May something follow for a unit that has just gone down for this reason, which is the true one?"""
    if unit.restarting or unit.bouncing or unit.next_service is not None or unit.removed or unit.service.transient:
        return True
    return reason.cause is STOP_TIMEOUT or is_failure(unit, reason)


def _has_died(unit: Unit) -> bool:
    """Is this a daemon whose main process is gone, though nobody has ended it?"""
    return unit.service.kind.is_daemon and MAIN not in unit.running
