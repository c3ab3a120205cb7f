"""What follows from an event? The pure core of linit.

`Engine.handle(event, now_s)` returns the effects to perform, in order. It is level-triggered: requests and failures
change what is desired or what stands against it (`wishes`, `board`), and every unit then moves towards its goal
(`lifecycle`), until nothing more follows. No I/O, no clock, no randomness: the same events give the same effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from linit.engine import events, explain, wait_loops
from linit.engine.board import Board, broken_reason
from linit.engine.effects import AllDown, Answer, BootFinished, Effect
from linit.engine.events import Verb
from linit.engine.lifecycle import Lifecycle
from linit.engine.links import PROCESSLESS, Links
from linit.engine.requests import Ledger, Pending, answer, refusal
from linit.engine.respawn import Budget
from linit.engine.transitions import IGNORED, Step
from linit.engine.unit import Unit
from linit.engine.wishes import closure, conflict_losers, live_needers, unneeded_after
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import Dependency, EdgeKind, Kind, Plan, Service
from linit.model.state import Desired, Finish, Outcome, Role, UnitState

SHUTDOWN_RUNLEVEL: Final = "shutdown"


class Engine:
    """The state of all services, moved by events. `boot_state` is "booting", "running" or "stopping"."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.runlevel = ""
        self.boot_state = "booting"
        self._board = Board(plan.services)
        self._lifecycle = Lifecycle(self._board)
        self._ledger = Ledger()
        self._finish: Finish | None = None
        self._hooks_run = False
        self._booting: str | None = None  # the runlevel whose reaching is still to be told
        self._reloads: dict[str, list[Pending]] = {}
        self._is_first = True
        self._handlers: dict[type, Callable[[Unit, Any], None]] = {
            events.Spawned: self._lifecycle.on_spawned,
            events.SpawnFailed: self._lifecycle.on_spawn_failed,
            events.Exited: self._lifecycle.on_exited,
            events.Emptied: self._lifecycle.on_emptied,
            events.Ready: self._lifecycle.on_ready,
            events.ReadinessFailed: self._lifecycle.on_readiness_failed,
            events.TimerFired: self._lifecycle.on_timer,
        }

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
        return self._finish

    @property
    def open_requests(self) -> Iterable[Pending]:
        """The requests that are still owed an answer, for reading."""
        return self._ledger

    @property
    def now_s(self) -> float:
        """The time of the last event."""
        return self._board.now_s

    def handle(self, event: events.Event, now_s: float) -> tuple[Effect, ...]:
        """Everything that follows from `event`, which happened at `now_s` (seconds on a monotonic clock)."""
        self._board.now_s = now_s
        if self._is_first:
            self._is_first = False
            self._announce_broken()
        if isinstance(event, events.Request):
            self._on_request(event)
        elif isinstance(event, events.Shutdown):
            self._on_shutdown(event)
        elif isinstance(event, events.PlanLoaded):
            self._on_plan(event)
        else:
            self._on_unit_event(event)
        self._settle()
        effects, self._board.effects = tuple(self._board.effects), []
        return effects

    # -- events about one unit -----------------------------------------------------------------------------------

    def _on_unit_event(
        self,
        event: events.Spawned
        | events.SpawnFailed
        | events.Exited
        | events.Emptied
        | events.Ready
        | events.ReadinessFailed
        | events.TimerFired,
    ) -> None:
        unit = self._board.units.get(event.name)
        if unit is None:
            return  # removed by a reload; what its last process did concerns nobody
        if (unit.state, type(event)) not in IGNORED:
            self._handlers[type(event)](unit, event)
            self._board.look(unit)
        elif isinstance(event, events.Exited | events.SpawnFailed):
            unit.running.discard(event.role)
            unit.pids.pop(event.role, None)
        elif isinstance(event, events.Emptied):
            unit.left = False
        if isinstance(event, events.Exited | events.SpawnFailed) and event.role is Role.RELOAD:
            self._answer_reload(unit, event)

    def _settle(self) -> None:
        """Let every unit act that has something to do, then answer what is decided by it."""
        self._board.is_booting = self._booting is not None
        while True:
            while (unit := self._board.next_to_act()) is not None:
                self._lifecycle.advance(unit)
            is_over = self._board.is_calm and self._lifecycle.end_idling()
            if not (is_over or self._let_go_of_unneeded() or self._break_wedge()):
                break
        for name in self._board.changed:
            if name in self._board.units:
                self._board.emit(*self._ledger.settle(name, self._board.units[name]))
        self._board.changed.clear()
        self._tell_runlevel_reached()
        if self._finish is not None:
            self._continue_shutdown()

    def _let_go_of_unneeded(self) -> bool:
        freed = False
        for name in tuple(self._board.changed):
            unit = self._board.units.get(name)
            if unit is None or unit.desired is Desired.UP or not unit.state.is_at_rest_down:
                continue
            for other in unneeded_after(name, self._board.units, self._board.links):
                reason = Reason(Cause.UNNEEDED, self._board.now_s, of=name)
                self._wish(self._board.units[other], Desired.DOWN, reason)
                freed = True
        return freed

    def _break_wedge(self) -> bool:
        """The last guard: if everything that moves waits for something else that waits, fail the loop and say so.

        The compiler leaves no cycle in a plan; definitions replaced while old ones run could still close one.
        """
        if not self._board.is_stuck:
            return False
        board = self._board
        loop = explain.waiting_loop(board)
        for name in loop:
            unit = board.units[name]
            unit.given_up = Reason(Cause.CYCLE, board.now_s, text=" -> ".join([*loop, loop[0]]))
            if unit.state is UnitState.STOPPING:
                self._lifecycle.stopping.go(unit)
            board.look(unit)
        return bool(loop) or self._fail_what_waits_for_nobody()

    def _fail_what_waits_for_nobody(self) -> bool:
        """The guard's last rung: there is no loop, so something waits for a unit that rests."""
        board = self._board
        for unit in board.units.values():
            waiting = explain.waited_for(board, unit)
            if waiting and unit.state is UnitState.WAITING and not board.units[waiting[0][0]].state.is_moving:
                unit.given_up = Reason(Cause.CONFLICT, board.now_s, of=waiting[0][0])
                board.look(unit)
                return True
        return False

    # -- requests ------------------------------------------------------------------------------------------------

    def _on_request(self, request: events.Request) -> None:
        unknown = [name for name in request.names if name not in self._board.units]
        if unknown:
            self._board.emit(refusal(request.id, request.names, f"no service is named {unknown[0]!r}"))
        elif self.boot_state == "stopping":
            self._board.emit(refusal(request.id, request.names, "the system is shutting down"))
        elif (loop := wait_loops.loop_of(self._board, self._ledger, request)) is not None:
            name, text = loop
            self._board.emit(answer(request.id, {name: (Outcome.REFUSED, text)}))
        else:
            {
                Verb.NEED: self._depend,
                Verb.WANT: self._depend,
                Verb.START: self._start,
                Verb.STOP: self._stop,
                Verb.RESTART: self._restart,
                Verb.RELOAD: self._reload,
                Verb.RESET: self._reset,
                Verb.RUNLEVEL: self._enter_runlevel,
            }[request.verb](request)

    def _depend(self, request: events.Request) -> None:
        """A running service found out that it needs or wants others: an edge for as long as its definition stays."""
        board = self._board
        unit = board.units.get(request.caller)
        if unit is None or unit.state not in (UnitState.STARTING, UnitState.UP) or not unit.goal:
            text = "only a service that is starting or up can ask for this, from one of its own processes"
            board.emit(refusal(request.id, request.names, text))
            return
        kind = EdgeKind.NEED if request.verb is Verb.NEED else EdgeKind.WANT
        place = Place(f"at run time, by {request.by}")
        known = {(edge.kind, edge.on) for edge in unit.service.dependencies}
        new = [Dependency(kind, name, place) for name in request.names if (kind, name) not in known]
        wish = Reason(Cause.PULLED_IN, board.now_s, of=unit.name, by=request.by, place=str(place))
        self._want_all(request.names, wish, Verb.START)
        for edge in new:
            if wait_loops.make_way(board, unit, edge):
                board.swap(unit, replace(unit.service, dependencies=(*unit.service.dependencies, edge)))
        waited_for = [name for name in request.names if board.units[name].state is not UnitState.UP]
        if waited_for and unit.state is UnitState.STARTING:
            unit.reason = Reason(Cause.WAITS_FOR, board.now_s, of=waited_for[0], text=", which its script asked for")
        self._open(request, dict.fromkeys(request.names, request.verb))

    def _start(self, request: events.Request) -> None:
        wish = Reason(Cause.REQUESTED, self._board.now_s, by=request.by)
        self._want_all(request.names, wish, Verb.START)
        for name in request.names:
            if self._board.units[name].service.kind is Kind.RUNLEVEL and not self.runlevel:
                self.runlevel = self._booting = name
        self._open(request, dict.fromkeys(request.names, Verb.START))

    def _want_all(self, names: Iterable[str], wish: Reason, verb: Verb) -> dict[str, Reason]:
        """Desire `names` and all that they pull in; what conflicts with them is stopped."""
        board = self._board
        wanted = closure(names, board.units, board.links, wish)
        losers = conflict_losers(wanted, board.units, board.links)
        for name, why in wanted.items():
            unit = board.units[name]
            fresh = name in names or unit.desired is Desired.DOWN or unit.given_up is not None
            if fresh:
                unit.given_up, unit.finished = None, False
                if unit.state.is_at_rest_down:
                    unit.budget, unit.restarts = Budget(), 0
            if unit.desired is Desired.DOWN or name in names:
                self._wish(unit, Desired.UP, why, verb)
            if name in losers:
                unit.given_up = losers[name]
            board.look(unit)
        for name in wanted.keys() - losers.keys():
            for foe, edge in board.links.foes(name):
                if foe in board.units and foe not in wanted and board.units[foe].desired is Desired.UP:
                    conflict = Reason(Cause.CONFLICT, board.now_s, of=name, by=wish.by, place=str(edge.place))
                    self._wish(board.units[foe], Desired.DOWN, conflict, Verb.STOP)
        return wanted

    def _wish(self, unit: Unit, desired: Desired, why: Reason, verb: Verb | None = None) -> None:
        """A wish replaces an earlier one; requests that it contradicts are answered."""
        if desired is Desired.DOWN:
            unit.restarting = unit.bouncing = False
        if verb is not None:
            self._board.emit(*self._ledger.supersede(unit.name, verb, why.by or why.of or "linit"))
        unit.desired, unit.wish = desired, why
        self._board.changed[unit.name] = None
        self._board.look(unit)

    def _stop(self, request: events.Request) -> None:
        if not request.cascade:
            for name in request.names:
                needers = live_needers(name, request.names, self._board.units, self._board.links)
                if needers:
                    text = f"{', '.join(needers)} would stop with it"
                    self._board.emit(refusal(request.id, request.names, text))
                    return
        wish = Reason(Cause.STOPPED, self._board.now_s, by=request.by)
        for name in self._with_providers(request.names):
            self._wish(self._board.units[name], Desired.DOWN, wish, Verb.STOP)
        self._open(request, dict.fromkeys(request.names, Verb.STOP))

    def _with_providers(self, names: Iterable[str]) -> Iterator[str]:
        """A virtual name stands for all its providers, when they are to stop."""
        for name in names:
            yield name
            for edge in self._board.links.dependencies(name):
                if edge.kind is EdgeKind.PROVIDED_BY and edge.on in self._board.units:
                    yield edge.on

    def _restart(self, request: events.Request) -> None:
        wish = Reason(Cause.RESTARTED, self._board.now_s, by=request.by)
        self._want_all(request.names, wish, Verb.RESTART)
        for name in self._with_providers(request.names):
            unit = self._board.units[name]
            if unit.state.is_at_rest_down or unit.service.kind is Kind.VIRTUAL:
                continue
            if request.only and unit.state is UnitState.UP:
                unit.bouncing = True
            else:
                unit.restarting = True
            self._board.look(unit)
        self._open(request, dict.fromkeys(request.names, Verb.RESTART))

    def _reload(self, request: events.Request) -> None:
        pending = Pending(request.id, Verb.RELOAD, request.by, {}, request.names)
        for name in request.names:
            unit = self._board.units[name]
            problem = self._lifecycle.reload(unit)
            if problem:
                pending.results[name] = (Outcome.FAILED, problem)
            elif unit.service.reload is None:
                pending.results[name] = (Outcome.DONE, "told to reload")
            else:
                pending.open[name] = Verb.RELOAD
                self._reloads.setdefault(name, []).append(pending)
        if not pending.open:
            self._board.emit(answer(pending.id, pending.results))

    def _answer_reload(self, unit: Unit, event: events.Exited | events.SpawnFailed) -> None:
        if isinstance(event, events.Exited):
            outcome = Outcome.DONE if event.status == 0 else Outcome.FAILED
            text = "reloaded" if event.status == 0 else f"its reload command {_exit_text(event.status)}"
        else:
            outcome, text = Outcome.FAILED, f"its reload command could not be run: {event.text}"
        for pending in self._reloads.pop(unit.name, []):
            pending.open.pop(unit.name, None)
            pending.results[unit.name] = (outcome, text)
            if not pending.open:
                self._board.emit(answer(pending.id, pending.results))

    def _reset(self, request: events.Request) -> None:
        for name in request.names:
            unit = self._board.units[name]
            unit.budget, unit.restarts = Budget(), 0
            if unit.given_up is not None:
                unit.given_up, unit.finished = None, False
                why = Reason(Cause.STOPPED, self._board.now_s, by=request.by)
                self._wish(unit, Desired.DOWN, why)
        results = dict.fromkeys(request.names, (Outcome.DONE, "forgotten"))
        self._board.emit(answer(request.id, results))

    def _enter_runlevel(self, request: events.Request) -> None:
        (name,) = request.names
        if self._board.units[name].service.kind is not Kind.RUNLEVEL:
            self._board.emit(refusal(request.id, request.names, f"{name} is not a runlevel"))
            return
        wish = Reason(Cause.REQUESTED, self._board.now_s, by=request.by)
        wanted = self._want_all(request.names, wish, Verb.START)
        why = Reason(Cause.RUNLEVEL_LEFT, self._board.now_s, of=name, by=request.by)
        leaving = [
            unit for unit in self._board.units.values() if unit.desired is Desired.UP and unit.name not in wanted
        ]
        for unit in leaving:
            self._wish(unit, Desired.DOWN, why, Verb.STOP)
        self.runlevel = self._booting = name
        self._open(request, {name: Verb.START, **{unit.name: Verb.STOP for unit in leaving}})

    def _open(self, request: events.Request, parts: dict[str, Verb]) -> None:
        if not parts:
            self._board.emit(answer(request.id, {}))
            return
        caller = request.caller if request.waits else ""
        self._ledger.open(Pending(request.id, request.verb, request.by, parts, request.names, caller))
        for name in parts:
            self._board.changed[name] = None

    # -- runlevels and the end -----------------------------------------------------------------------------------

    def _announce_broken(self) -> None:
        for unit in tuple(self._board.units.values()):
            if unit.service.broken:
                self._board.move(unit, Step.GAVE_UP, broken_reason(unit.service, self._board.now_s))

    def _tell_runlevel_reached(self) -> None:
        if self._booting is None or self._board.units[self._booting].state is not UnitState.UP:
            return
        failed = tuple(
            sorted(
                unit.name
                for unit in self._board.units.values()
                if unit.state is UnitState.FAILED and (unit.desired is Desired.UP or unit.service.broken)
            )
        )
        self._board.emit(BootFinished(self._booting, self._board.now_s, failed))
        self._booting = None
        if self.boot_state == "booting":
            self.boot_state = "running"

    def _on_shutdown(self, event: events.Shutdown) -> None:
        self._finish = event.finish
        if self.boot_state == "stopping":
            return
        self.boot_state = "stopping"
        self._booting = None
        self._board.emit(*self._ledger.abandon_all(f"superseded by shutdown of {event.by}"))
        self._desire_all_down(Reason(Cause.SHUTDOWN, self._board.now_s, by=event.by))

    def _desire_all_down(self, why: Reason) -> None:
        for unit in self._board.units.values():
            if unit.desired is Desired.UP:
                self._wish(unit, Desired.DOWN, why)

    def _continue_shutdown(self) -> None:
        """Everything down; then the hooks of runlevel `shutdown`; then these down; then the end."""
        board = self._board
        hooks = board.units.get(SHUTDOWN_RUNLEVEL)
        if self._hooks_run and hooks is not None and hooks.desired is Desired.UP:
            if hooks.state is UnitState.UP or hooks.state.is_at_rest_down:
                self._desire_all_down(Reason(Cause.SHUTDOWN, board.now_s))
                self._settle()
            return
        if any(not unit.state.is_at_rest_down for unit in board.units.values()):
            return
        if not self._hooks_run:
            self._hooks_run = True
            if hooks is not None and any(True for _ in board.links.pulled(SHUTDOWN_RUNLEVEL)):
                wish = Reason(Cause.SHUTDOWN, board.now_s)
                self._want_all((SHUTDOWN_RUNLEVEL,), wish, Verb.START)
                self._settle()
                return
        finish, self._finish = self._finish, None
        assert finish is not None, "linit bug: the end of a shutdown that nobody asked for"
        board.emit(AllDown(finish))

    # -- a new plan ----------------------------------------------------------------------------------------------

    def _on_plan(self, event: events.PlanLoaded) -> None:
        """Apply a plan whole: new services appear, changed ones are used from their next start, removed ones stop."""
        old = {unit.name: unit.next_service or unit.service for unit in self._board.units.values()}
        new = {service.name: service for service in event.plan.services}
        results: dict[str, tuple[Outcome, str]] = {}
        for name in sorted(old.keys() | new.keys()):
            text = self._change(name, old.get(name), new.get(name), event)
            if text:
                results[name] = (Outcome.DONE, text)
        self.plan = event.plan
        self._board.replace(new)
        for name in sorted(new.keys() - old.keys()):
            if new[name].broken:
                unit = self._board.units[name]
                self._board.move(unit, Step.GAVE_UP, broken_reason(unit.service, self._board.now_s))
        if event.start_enabled and self.runlevel in new and self._finish is None:
            self._start_newly_enabled(old, event)
        self._board.emit(answer(event.id, results))

    def _change(self, name: str, old: Service | None, new: Service | None, event: events.PlanLoaded) -> str:
        if old is None:
            return "added"
        unit = self._board.units[name]
        if new is None:
            unit.removed = True
            self._wish(unit, Desired.DOWN, Reason(Cause.REMOVED, self._board.now_s, by=event.by), Verb.STOP)
            return "removed"
        unit.removed = False
        if unit.state.is_at_rest_down or new.kind in PROCESSLESS or new.digest == unit.service.digest:
            unit.service, unit.next_service, unit.is_outdated = new, None, False
            if old.broken != new.broken and unit.state.is_at_rest_down:
                if new.broken:
                    self._board.set_at_rest(unit, UnitState.FAILED, broken_reason(new, self._board.now_s))
                else:
                    self._board.set_at_rest(unit, UnitState.DOWN, unit.wish)
        elif old.digest != new.digest:
            unit.next_service, unit.is_outdated = new, True
        if old.digest == new.digest:
            return ""
        return "changed; takes effect at its next start" if unit.is_outdated else "changed"

    def _start_newly_enabled(self, old: Mapping[str, Service], event: events.PlanLoaded) -> None:
        """Start what the active runlevel, or one that it stacks on, wants now and did not want before."""
        board = self._board
        wish = Reason(Cause.RUNLEVEL, board.now_s, of=self.runlevel, by=event.by)
        active = [
            name
            for name in closure((self.runlevel,), board.units, board.links, wish)
            if board.units[name].service.kind is Kind.RUNLEVEL
        ]
        for name in active:
            before = {edge.on for edge in old[name].dependencies} if name in old else set()
            fresh = [
                edge.on
                for edge in board.links.dependencies(name)
                if edge.kind is EdgeKind.WANT and edge.on not in before and edge.on in board.units
            ]
            if fresh:
                self._want_all(fresh, Reason(Cause.RUNLEVEL, board.now_s, of=name, by=event.by), Verb.START)


def _exit_text(status: int) -> str:
    return str(Reason(Cause.EXITED, status=status))


__all__ = ["Answer", "Engine"]
