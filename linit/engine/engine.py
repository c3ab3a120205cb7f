"""What follows from an event? The pure core of linit.

`Engine.handle(event, now_s)` returns the effects to perform, in order. It is level-triggered: requests and failures
change what is desired or what stands against it (`asking`, `desires`, `board`), and every unit then moves towards its
goal (`lifecycle`), until nothing more follows. No I/O, no clock, no randomness: the same events give the same effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from linit.engine import events
from linit.engine.asking import IS_STOPPING, Asking
from linit.engine.board import Board
from linit.engine.course import Course
from linit.engine.desires import Desires
from linit.engine.effects import AllDown, Answer, BootFinished, Effect
from linit.engine.events import RELOAD_TIMER, Verb
from linit.engine.lifecycle import Lifecycle
from linit.engine.links import Links
from linit.engine.locks import Claim, Locks
from linit.engine.obstacles import broken_reason
from linit.engine.renewal import Renewal
from linit.engine.requests import Ledger, Pending, answer, refusal
from linit.engine.transitions import GAVE_UP, IGNORED
from linit.engine.unit import Unit
from linit.engine.wait_loops import WaitGraph
from linit.engine.wedges import Wedges
from linit.engine.wishes import is_of_use, unneeded_after
from linit.model.reason import Cause, Reason
from linit.model.service import Plan
from linit.model.state import (
    FAILED,
    RELOAD,
    STARTING,
    TO_BE_DOWN,
    TO_BE_UP,
    UP,
    Finish,
    Outcome,
    UnitState,
)

SHUTDOWN_RUNLEVEL: Final = "shutdown"
ENDS: Final = (events.Exited, events.SpawnFailed)
STEADY: Final = (STARTING, UP)  # nothing follows for who stays in such a state


class Engine:
    """The state of all services, moved by events."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.locks = Locks()
        self._course = Course()
        self._board = Board(plan.services)
        self._ledger = Ledger()
        self._waits = WaitGraph(self._board, self._ledger, self.locks)
        self._desires = Desires(self._board, self._ledger)
        self._lifecycle = Lifecycle(self._board, self._waits.closes_by_terminal, self._course)
        self._asking = Asking(self._desires, self._lifecycle, self._course, self._waits)
        self._wedges = Wedges(self._board, self._lifecycle)
        self._renewal = Renewal(self._desires, self._course)
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            events.Request: self._asking.on_request,
            events.RunTransient: self._on_run,
            events.LockAsked: self._on_lock_asked,
            events.LockReleased: self._on_lock_released,
            events.Triggered: self._on_triggered,
            events.Shutdown: self._on_shutdown,
            events.PlanLoaded: self._on_plan,
        }
        handlers: dict[type, Callable[[Unit, Any], None]] = {
            events.Spawned: self._lifecycle.starting.on_spawned,
            events.SpawnFailed: self._on_spawn_failed,
            events.Exited: self._on_exited,
            events.Emptied: self._lifecycle.on_emptied,
            events.Ready: self._lifecycle.starting.on_ready,
            events.ReadinessFailed: self._lifecycle.on_readiness_failed,
            events.TimerFired: self._on_timer,
            events.MainFound: self._lifecycle.starting.on_main_found,
            events.ConditionsChecked: self._lifecycle.starting.on_conditions,
            events.Unhealthy: self._lifecycle.on_unhealthy,
            events.Extended: self._lifecycle.on_extended,
            events.Reloaded: lambda unit, _event: self._asking.on_reloaded(unit),
        }
        self._unit_handlers: Mapping[type, Mapping[UnitState, Callable[[Unit, Any], None]]] = {
            event: {state: self._on_late if (state, event) in IGNORED else handler for state in UnitState}
            for event, handler in handlers.items()
        }

    @property
    def runlevel(self) -> str:
        """The runlevel that was last asked for."""
        return self._course.runlevel

    @property
    def boot_state(self) -> str:
        """ "booting", "running" or "stopping"."""
        return self._course.boot_state

    @property
    def units(self) -> Mapping[str, Unit]:
        """The live records by service name, for reading."""
        return self._board.units

    @property
    def links(self) -> Links:
        """The edges in force, for reading."""
        return self._board.links

    @property
    def finish(self) -> Finish | None:
        """What a shutdown that is under way will finish with; None while there is none."""
        return self._course.finish

    @property
    def open_requests(self) -> Iterable[Pending]:
        """The requests that are still owed an answer, for reading."""
        return self._ledger

    @property
    def reloading(self) -> Iterable[str]:
        """The services of which somebody waits for the end of a reload, for reading."""
        return self._ledger.reloading

    @property
    def terminals(self) -> Mapping[str, str]:
        """Which unit has a terminal to itself now, for reading."""
        return self._board.terminals

    @property
    def waits(self) -> WaitGraph:
        """Who waits for whom, for reading."""
        return self._waits

    @property
    def now_s(self) -> float:
        """The time of the last event."""
        return self._board.now_s

    def handle(self, event: events.Event, now_s: float) -> tuple[Effect, ...]:
        """Everything that follows from `event`, which happened at `now_s` (seconds on a monotonic clock)."""
        board = self._board
        board.now_s = now_s
        if self._course.is_first:
            self._course.is_first = False
            self._announce_broken()
        kind = type(event)
        by_state = self._unit_handlers.get(kind)
        if by_state is None:
            self._handlers[kind](event)
            self._settle()
        elif (unit := board.units.get(event.name)) is not None:  # type: ignore[union-attr]
            state = unit.state
            by_state[state](unit, event)
            if unit.state is state and state not in STEADY:
                board.act(unit)
            if board.goals or board.acts:
                self._move()
            if board.changed or board.leaving:
                self._conclude()
        # else removed by a reload; what its last process did concerns nobody
        effects, board.effects = tuple(board.effects), []
        return effects

    # -- events about one unit -----------------------------------------------------------------------------------

    def _on_exited(self, unit: Unit, event: events.Exited) -> None:
        self._lifecycle.on_exited(unit, event)
        if event.role is RELOAD:
            self._asking.on_reload_ended(unit, event)

    def _on_spawn_failed(self, unit: Unit, event: events.SpawnFailed) -> None:
        self._lifecycle.on_spawn_failed(unit, event)
        if event.role is RELOAD:
            self._asking.on_reload_ended(unit, event)

    def _on_timer(self, unit: Unit, event: events.TimerFired) -> None:
        self._lifecycle.on_timer(unit, event)
        if event.kind is RELOAD_TIMER:
            self._asking.on_reload_over(unit, "it has not said that it is ready again")

    def _on_late(self, unit: Unit, event: Any) -> None:
        """Nothing follows from it (`IGNORED` says why); but what ended has ended."""
        if isinstance(event, ENDS):
            unit.running.discard(event.role)
            unit.pids.pop(event.role, None)
            unit.left = unit.left or (isinstance(event, events.Exited) and event.left)
            if event.role is RELOAD:
                self._asking.on_reload_ended(unit, event)
        elif isinstance(event, events.Emptied):
            unit.left = False
        elif isinstance(event, events.TimerFired) and event.kind is RELOAD_TIMER:
            self._asking.on_reload_over(unit, "it has not said that it is ready again")

    # -- what follows --------------------------------------------------------------------------------------------

    def _move(self) -> None:
        """Let every unit act that has something to do."""
        board, lifecycle = self._board, self._lifecycle
        acts, ways = board.acts, lifecycle.ways
        while True:
            if board.goals:
                board.judge()  # all of them, before anything acts
            if not acts:
                return
            unit = acts.popleft()
            unit.listed = False
            if unit.next_service is None:
                ways[unit.state](unit)
            else:
                lifecycle.advance(unit)

    def _settle(self) -> None:
        self._move()
        self._conclude()

    def _conclude(self) -> None:
        """All have moved: what follows for the whole, and what is decided by it?"""
        board = self._board
        if board.rested or board.idlers or board.mixed or board.is_stuck:
            self._move_on()
        ledger = self._ledger
        if ledger.owed or ledger.reloading:
            self._answer_decided()
        else:
            board.changed.clear()
        board.rested = False
        while board.leaving and self._renewal.forget_leavers():
            self._move()
            self._move_on()
            self._answer_decided()
        if self._course.booting is not None:
            self._tell_runlevel_reached(self._course.booting)
        if self._course.finish is not None:
            self._continue_shutdown()

    def _move_on(self) -> None:
        """Go on as long as something follows from where all have come to."""
        board = self._board
        while (
            (board.idlers and board.is_calm and self._lifecycle.starting.end_idling())
            or (board.rested and board.links.frugal and self._let_go_of_unneeded())
            or ((board.mixed or board.is_stuck) and self._wedges.break_one())
        ):
            self._move()

    def _answer_decided(self) -> None:
        board, ledger = self._board, self._ledger
        for name in ledger.concerned_by(board.changed):
            unit = board.units.get(name)
            if unit is not None:
                board.effects.extend(ledger.settle(name, unit))
                if unit.state is not UP and name in ledger.reloading:
                    self._asking.on_reload_over(unit, f"it is {unit.state.value}")
        board.changed.clear()

    def _let_go_of_unneeded(self) -> bool:
        board = self._board
        units = board.units
        freed = False
        spent = [
            unit
            for name in board.changed
            if (unit := units.get(name)) is not None and unit.state.is_at_rest_down and not is_of_use(unit)
        ]
        for unit in spent:
            for other in unneeded_after(unit.name, units, board.links):
                reason = Reason(Cause.UNNEEDED, board.now_s, of=unit.name)
                self._desires.wish(units[other], TO_BE_DOWN, reason)
                freed = True
        return freed

    # -- services made at run time, locks, plans -----------------------------------------------------------------

    def _on_run(self, event: events.RunTransient) -> None:
        name = event.service.name
        names = (name,)
        loop = self._waits.loop_of_run(event)
        if loop:
            self._board.emit(answer(event.id, {name: (Outcome.REFUSED, loop)}))
            return
        problem = IS_STOPPING if self.boot_state == "stopping" else self._renewal.add(event.service)
        if problem:
            self._board.emit(refusal(event.id, names, problem))
            return
        self._desires.want_all(names, Reason(Cause.REQUESTED, self._board.now_s, by=event.by), Verb.START)
        self._asking.open(event, Verb.START, {name: Verb.START})

    def _on_lock_asked(self, event: events.LockAsked) -> None:
        holder = self.locks.holder(event.lock)
        if holder is not None and not event.waits:
            self._answer_lock(event.id, event.lock, Outcome.FAILED, f"{holder.who} holds it")
        elif holder is not None and (loop := self._waits.loop_of_lock(event)):
            self._answer_lock(event.id, event.lock, Outcome.REFUSED, loop)
        elif self.locks.add(Claim(event.id, event.lock, event.by, event.caller, event.held)):
            self._answer_lock(event.id, event.lock, Outcome.DONE, "held")

    def _on_lock_released(self, event: events.LockReleased) -> None:
        given_up, holder = self.locks.remove(event.id)
        if given_up is not None:
            self._answer_lock(given_up.id, given_up.lock, Outcome.SUPERSEDED, "given up")
        if holder is not None:
            self._answer_lock(holder.id, holder.lock, Outcome.DONE, "held")

    def _give_up_waits_for_locks(self) -> None:
        """A shutdown begins or ends. In between its scripts may take locks."""
        for claim, _ in tuple(self.locks.waiting()):
            self.locks.remove(claim.id)
            text = f"superseded by shutdown of {self._course.ended_by}"
            self._answer_lock(claim.id, claim.lock, Outcome.SUPERSEDED, text)

    def _answer_lock(self, number: int, lock: str, outcome: Outcome, text: str) -> None:
        self._board.emit(Answer(number, outcome, ((lock, outcome, text),)))

    def _on_plan(self, event: events.PlanLoaded) -> None:
        self.plan = event.plan
        self._renewal.on_plan(event)
        self._refuse_what_waits_for_itself()

    def _refuse_what_waits_for_itself(self) -> None:
        """By the new definitions a script may wait for what, in turn, waits for it: it is told, as if it asked now."""
        for pending in tuple(self._ledger):
            asking = events.Request(
                pending.id, pending.verb, pending.shown, pending.by, caller=pending.caller, held=pending.held
            )
            for name, verb in tuple(pending.open.items()):
                loop = self._waits.loop_of(asking, verb, (name,)) if pending.caller or pending.held else None
                due = self._ledger.decide(pending, name, Outcome.REFUSED, loop[1]) if loop is not None else None
                if due is not None:
                    self._board.emit(due)

    # -- runlevels and the end -----------------------------------------------------------------------------------

    def _announce_broken(self) -> None:
        for unit in tuple(self._board.units.values()):
            unit.changed_at_s = self._board.now_s
            if unit.service.broken:
                self._board.move(unit, GAVE_UP, broken_reason(unit.service, self._board.now_s))

    def _tell_runlevel_reached(self, name: str) -> None:
        runlevel = self._board.units.get(name)  # None: a reload has removed it
        if runlevel is not None and (runlevel.state.is_moving or (runlevel.goal and runlevel.state is not UP)):
            return
        failed = tuple(
            sorted(
                unit.name
                for unit in self._board.units.values()
                if unit.state is FAILED and (unit.desired is TO_BE_UP or unit.service.broken)
            )
        )
        self._board.emit(BootFinished(name, self._board.now_s, failed))
        self._course.booting = None
        if self.boot_state == "booting":
            self._course.boot_state = "running"

    def _on_triggered(self, event: events.Triggered) -> None:
        self._asking.on_triggered(event)
        self._settle()
        self._asking.close_if_vain(event.name)

    def _on_shutdown(self, event: events.Shutdown) -> None:
        self._course.finish = event.finish
        if self.boot_state == "stopping":
            return
        self._course.boot_state = "stopping"
        self._course.ended_by = event.by
        self._board.is_ending = True
        self._course.booting = None
        self._board.emit(*self._ledger.abandon_all(f"superseded by shutdown of {event.by}"))
        self._give_up_waits_for_locks()
        self._desires.all_down(Reason(Cause.SHUTDOWN, self._board.now_s, by=event.by))

    def _continue_shutdown(self) -> None:
        """Everything down; then the hooks of runlevel `shutdown`; then these down; then the end."""
        board = self._board
        hooks = board.units.get(SHUTDOWN_RUNLEVEL)
        if self._course.hooks_run and hooks is not None and hooks.desired is TO_BE_UP:
            if hooks.state is UP or hooks.state.is_at_rest_down:
                self._desires.all_down(Reason(Cause.SHUTDOWN, board.now_s, by=self._course.ended_by))
                self._settle()
            return
        if board.is_anything_left or any(not unit.state.is_at_rest_down for unit in board.units.values()):
            return
        if not self._course.hooks_run:
            self._course.hooks_run = True
            if hooks is not None and any(True for _ in board.links.pulled(SHUTDOWN_RUNLEVEL)):
                wish = Reason(Cause.SHUTDOWN, board.now_s, by=self._course.ended_by)
                self._desires.want_all((SHUTDOWN_RUNLEVEL,), wish, Verb.START)
                self._settle()
                return
        finish, self._course.finish = self._course.finish, None
        assert finish is not None, "linit bug: the end of a shutdown that nobody asked for"
        self._give_up_waits_for_locks()
        board.emit(AllDown(finish))


__all__ = ["Answer", "Engine"]
