"""What follows from a request? Each verb turned into wishes, and into the answer that is owed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from linit.engine import events, learning
from linit.engine.course import Course
from linit.engine.desires import Desires
from linit.engine.effects import DisarmTimer
from linit.engine.events import TimerKind, Verb
from linit.engine.lifecycle import Lifecycle
from linit.engine.obstacles import broken_reason, why_not
from linit.engine.requests import Pending, answer, refusal
from linit.engine.respawn import Budget
from linit.engine.unit import Unit
from linit.engine.wait_loops import WaitGraph
from linit.engine.wishes import closure, live_needers
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import Dependency, EdgeKind, Kind
from linit.model.state import Desired, Outcome, Role, UnitState

ACTIVATIONS_MAX: Final = 20  # of a service by one trigger, within the window
ACTIVATION_WINDOW_S: Final = 10.0
IS_STOPPING: Final = "the system is shutting down"


class Asking:
    """Takes the requests about services."""

    def __init__(self, desires: Desires, lifecycle: Lifecycle, course: Course, waits: WaitGraph) -> None:
        self._board = desires.board
        self._ledger = desires.ledger
        self._desires = desires
        self._lifecycle = lifecycle
        self._course = course
        self._waits = waits
        self._handlers: Mapping[Verb, Callable[[events.Request], None]] = {
            Verb.NEED: self._depend,
            Verb.WANT: self._depend,
            Verb.START: self._start,
            Verb.STOP: self._stop,
            Verb.RESTART: self._restart,
            Verb.RELOAD: self._reload,
            Verb.RESET: self._reset,
            Verb.RUNLEVEL: self._enter_runlevel,
        }

    def on_request(self, request: events.Request) -> None:
        """Do what is asked, or say why not."""
        unknown = [name for name in request.names if not self._is_known(name, request.verb)]
        if unknown:
            self._board.emit(refusal(request.id, request.names, f"no service is named {unknown[0]!r}"))
        elif self._course.boot_state == "stopping":
            self._board.emit(refusal(request.id, request.names, IS_STOPPING))
        elif (loop := self._waits.loop_of(request, request.verb, request.names)) is not None:
            name, text = loop
            self._board.emit(answer(request.id, {name: (Outcome.REFUSED, text)}))
        else:
            self._handlers[request.verb](request)

    def _is_known(self, name: str, verb: Verb) -> bool:
        """One whose definition was removed can only be stopped any more."""
        unit = self._board.units.get(name)
        return unit is not None and (verb is Verb.STOP or not unit.removed)

    def on_reload_ended(self, unit: Unit, event: events.Exited | events.SpawnFailed) -> None:
        """The reload command of a service ended: who asked for it is answered."""
        if isinstance(event, events.Exited):
            outcome = Outcome.DONE if event.status == 0 else Outcome.FAILED
            text = "reloaded" if event.status == 0 else f"its reload command {_exit_text(event.status)}"
        else:
            outcome, text = Outcome.FAILED, f"its reload command could not be run: {event.text}"
        self._board.emit(*self._ledger.reload_ended(unit.name, outcome, text))

    def on_reloaded(self, unit: Unit) -> None:
        """The service said itself that it has reloaded. Where a reload command runs, the end of that counts."""
        if Role.RELOAD in unit.running:
            return
        self._board.emit(DisarmTimer(unit.name, TimerKind.RELOAD))
        self._board.emit(*self._ledger.reload_ended(unit.name, Outcome.DONE, "reloaded"))

    def on_reload_over(self, unit: Unit, text: str) -> None:
        """The service will not say it any more."""
        if Role.RELOAD not in unit.running:
            self._board.emit(*self._ledger.reload_ended(unit.name, Outcome.FAILED, text))

    def on_triggered(self, event: events.Triggered) -> None:
        """A trigger starts its service; one that is up, on its way, or about to be needs nothing."""
        trigger = self._board.units.get(event.name)
        if trigger is None or trigger.state is not UnitState.UP or not trigger.service.activates:
            return
        target = self._board.units.get(trigger.service.activates)
        if target is None or target.removed:
            self._give_up(trigger, f"{trigger.service.activates}, which it starts, is gone")
            return
        if target.hope or self._course.boot_state == "stopping" or self._is_too_often(trigger):
            return
        why = Reason(Cause.ACTIVATED, self._board.now_s, of=event.name, text=event.text)
        self._desires.want_all((target.name,), why, Verb.START)

    def close_if_vain(self, name: str) -> None:
        """Close a trigger when all that followed leaves its service at rest: nothing would come of another client."""
        trigger = self._board.units.get(name)
        target = self._board.units.get(trigger.service.activates) if trigger is not None else None
        if trigger is None or target is None or trigger.state is not UnitState.UP:
            return
        if target.hope or target.finished or not target.state.is_at_rest_down or target.desired is Desired.DOWN:
            return
        if target.given_up is not None:
            self._lifecycle.close_triggers(target)  # it has lost a conflict
        else:
            self._give_up(trigger, f"{target.name} cannot be started: {why_not(self._board, target)}")

    def _is_too_often(self, trigger: Unit) -> bool:
        """What a service leaves as it was (a client not served, a path not taken away) would start it for ever."""
        now_s = self._board.now_s
        recent = tuple(at_s for at_s in trigger.budget.at_s if now_s - at_s < ACTIVATION_WINDOW_S)
        if len(recent) < ACTIVATIONS_MAX or trigger.service.kind is Kind.TIMER:
            trigger.budget = Budget((*recent, now_s))
            return False
        text = f"it started {trigger.service.activates} {len(recent)} times within {ACTIVATION_WINDOW_S:g} s"
        self._give_up(trigger, text)
        return True

    def _give_up(self, trigger: Unit, text: str) -> None:
        """Close it: what it saw is told only once, and nothing would come of that. A clock goes on."""
        if trigger.service.kind is not Kind.TIMER:
            trigger.given_up = Reason(Cause.RESPAWN_LIMIT, self._board.now_s, text=text)
            self._board.look(trigger)

    def open(self, request: events.Request | events.RunTransient, verb: Verb, parts: dict[str, Verb]) -> None:
        """Owe an answer about `parts`: service -> what is awaited of it."""
        if not parts:
            self._board.emit(answer(request.id, {}))
            return
        names = request.names if isinstance(request, events.Request) else tuple(parts)
        caller, held = (request.caller, request.held) if request.waits else ("", ())
        self._ledger.open(Pending(request.id, verb, request.by, parts, names, caller, held))
        for name in parts:
            self._board.note(name)

    # -- one verb each -------------------------------------------------------------------------------------------

    def _depend(self, request: events.Request) -> None:
        """A running service found out that it needs or wants others."""
        board = self._board
        unit = board.units.get(request.caller)
        if unit is None or unit.state not in (UnitState.STARTING, UnitState.UP) or not unit.goal:
            text = "only a service that is starting or up can ask for this, from one of its own processes"
            board.emit(refusal(request.id, request.names, text))
            return
        if unit.name in request.names:
            board.emit(refusal(request.id, request.names, f"{unit.name} cannot {request.verb.value} itself"))
            return
        kind = EdgeKind.NEED if request.verb is Verb.NEED else EdgeKind.WANT
        place = Place(f"at run time, by {request.by}")
        wish = Reason(Cause.PULLED_IN, board.now_s, of=unit.name, by=request.by, place=str(place))
        self._desires.want_all(request.names, wish, Verb.START)
        learning.learn(board, unit, (Dependency(kind, name, place, learned=True) for name in request.names))
        self.open(request, request.verb, dict.fromkeys(request.names, request.verb))

    def _start(self, request: events.Request) -> None:
        wish = Reason(Cause.REQUESTED, self._board.now_s, by=request.by)
        self._desires.want_all(request.names, wish, Verb.START)
        self._begin_anew(request)
        for name in request.names:
            if self._board.units[name].service.kind is Kind.RUNLEVEL and not self._course.runlevel:
                self._course.runlevel = self._course.booting = name
        self.open(request, request.verb, dict.fromkeys(request.names, Verb.START))

    def _begin_anew(self, request: events.Request) -> None:
        """What is between two respawns does not wait for the next one, and has the limit and the delay of a first one
        again, as what rests has: whoever asks has changed something. The script of a service, which may respawn itself,
        has not."""
        for name in request.names if not request.caller else ():
            unit = self._board.units[name]
            if unit.state is UnitState.BACKOFF and unit.service.kind is not Kind.VIRTUAL:
                unit.budget, unit.restarts = Budget(), 0
                if request.verb is Verb.START and unit.goal:
                    self._lifecycle.respawn_now(unit)

    def _stop(self, request: events.Request) -> None:
        if not request.cascade:
            for name in request.names:
                needers = live_needers(name, request.names, self._board.units, self._board.links)
                if needers:
                    text = f"{', '.join(needers)} would stop with it"
                    self._board.emit(refusal(request.id, request.names, text))
                    return
        wish = Reason(Cause.STOPPED, self._board.now_s, by=request.by)
        for name in self._desires.with_providers(request.names):
            self._desires.wish(self._board.units[name], Desired.DOWN, wish, Verb.STOP)
        self.open(request, request.verb, dict.fromkeys(request.names, Verb.STOP))

    def _restart(self, request: events.Request) -> None:
        for name in request.names:
            later = self._board.units[name].next_service
            if later is not None and later.broken:  # it would only stop
                text = f"its new definition is broken, so it is left as it is: {broken_reason(later, 0.0).text}"
                self._board.emit(refusal(request.id, (name,), text))
                return
        wish = Reason(Cause.RESTARTED, self._board.now_s, by=request.by)
        self._begin_anew(request)
        self._desires.want_all(request.names, wish, Verb.RESTART)
        for name in self._desires.with_providers(request.names):
            unit = self._board.units[name]
            if unit.state.is_at_rest_down or unit.service.kind is Kind.VIRTUAL:
                continue
            if request.only and unit.state is UnitState.UP:
                unit.bouncing = wish
            else:
                unit.restarting = wish
            self._board.look(unit)
        self.open(request, request.verb, dict.fromkeys(request.names, Verb.RESTART))

    def _reload(self, request: events.Request) -> None:
        pending = Pending(request.id, Verb.RELOAD, request.by, {}, request.names)
        for name in request.names:
            unit = self._board.units[name]
            problem = self._lifecycle.reload(unit)
            if problem:
                pending.results[name] = (Outcome.FAILED, problem)
            elif unit.service.reload is None and not unit.service.reload_notifies:
                pending.results[name] = (Outcome.DONE, "told to reload")
            else:
                pending.open[name] = Verb.RELOAD
                self._ledger.open_reload(name, pending)
        if not pending.open:
            self._board.emit(answer(pending.id, pending.results))

    def _reset(self, request: events.Request) -> None:
        for name in request.names:
            unit = self._board.units[name]
            if unit.budget.streak:
                self._board.emit(DisarmTimer(unit.name, TimerKind.HEALTHY))
            unit.budget, unit.restarts = Budget(), 0
            if unit.given_up is not None:
                unit.given_up, unit.finished = None, False
                why = Reason(Cause.STOPPED, self._board.now_s, by=request.by)
                self._desires.wish(unit, Desired.DOWN, why)
        results = dict.fromkeys(request.names, (Outcome.DONE, "forgotten"))
        self._board.emit(answer(request.id, results))

    def _started_by(self, names: Iterable[str]) -> Iterator[str]:
        """The services that triggers among these have started."""
        for name in names:
            target = self._board.units.get(self._board.units[name].service.activates)
            if target is not None and target.desired is Desired.UP and target.wish.cause is Cause.ACTIVATED:
                yield target.name

    def _enter_runlevel(self, request: events.Request) -> None:
        (name,) = request.names
        if self._board.units[name].service.kind is not Kind.RUNLEVEL:
            self._board.emit(refusal(request.id, request.names, f"{name} is not a runlevel"))
            return
        wish = Reason(Cause.REQUESTED, self._board.now_s, by=request.by)
        wanted = self._desires.want_all(request.names, wish, Verb.START)
        why = Reason(Cause.RUNLEVEL_LEFT, self._board.now_s, of=name, by=request.by)
        kept = closure(self._started_by(wanted), self._board.units, self._board.links)
        leaving = [
            unit
            for unit in self._board.units.values()
            if unit.desired is Desired.UP and unit.name not in wanted and unit.name not in kept
        ]
        for unit in leaving:
            self._desires.wish(unit, Desired.DOWN, why, Verb.STOP)
        self._desires.adopt(wanted, wish)
        self._course.runlevel = self._course.booting = name
        self.open(request, request.verb, {name: Verb.START, **{unit.name: Verb.STOP for unit in leaving}})


def _exit_text(status: int) -> str:
    return str(Reason(Cause.EXITED, status=status))
