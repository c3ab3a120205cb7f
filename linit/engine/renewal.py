"""Which definitions are in force? A new plan, services made at run time, and the end of those that nobody defines."""

from __future__ import annotations

from collections.abc import Mapping

from linit.engine import events, learning
from linit.engine.course import Course
from linit.engine.desires import Desires
from linit.engine.edges import RUNNING
from linit.engine.effects import Arm, Told
from linit.engine.events import Verb
from linit.engine.links import PROCESSLESS
from linit.engine.obstacles import broken_reason, remains_reason
from linit.engine.requests import answer
from linit.engine.transitions import Step
from linit.engine.unit import Unit
from linit.engine.wishes import closure, part_foes
from linit.model.reason import Cause, Reason
from linit.model.service import Dependency, EdgeKind, Kind, Service
from linit.model.state import Desired, Outcome, UnitState


class Renewal:
    """Adds, changes and forgets units."""

    def __init__(self, desires: Desires, course: Course) -> None:
        self._board = desires.board
        self._ledger = desires.ledger
        self._desires = desires
        self._course = course

    # -- services made at run time -------------------------------------------------------------------------------

    def add(self, service: Service) -> str:
        """Take in a transient service; "" or why that cannot be."""
        board = self._board
        missing = [edge.on for edge in service.dependencies if edge.on not in board.units]
        if missing:
            return f"no service is named {missing[0]!r}"
        unit = board.units.get(service.name)
        if unit is None:
            board.add(service)
        elif unit.service.transient and unit.state.is_at_rest_down and not (unit.running or unit.left):
            board.swap(unit, service)
        else:
            return f"the name is taken: {service.name} is {unit.state.value}"
        return ""

    def forget_leavers(self) -> bool:
        """Forget the units that rest and have no definition any more; was there one?

        A transient service that failed is kept, so that people can see it.
        """
        board = self._board
        leavers = [unit for name in board.leaving if (unit := board.units.get(name)) is not None]
        board.leaving.clear()
        gone = [unit for unit in leavers if is_over(unit)]
        for unit in gone:
            board.emit(*self._ledger.settle(unit.name, unit))
            board.emit(*self._ledger.abandon(unit.name, f"superseded: {unit.reason}"))
            for name, edge in tuple(board.links.dependents(unit.name)):
                if edge.learned:
                    learning.unlearn(board, board.units[name], unit.name)
            board.forget(unit)
        return bool(gone)

    # -- a new plan ----------------------------------------------------------------------------------------------

    def on_plan(self, event: events.PlanLoaded) -> None:
        """Apply a plan whole: new services appear, changed ones are used from their next start, removed ones stop."""
        board = self._board
        old = {
            unit.name: unit.next_service or unit.service
            for unit in board.units.values()
            if not unit.service.transient or unit.next_service is not None
        }
        new = {service.name: service for service in event.plan.services}
        found = {unit.name: learning.learned(unit.service) for unit in board.units.values()}
        results: dict[str, tuple[Outcome, str]] = {}
        for name in sorted(old.keys() | new.keys()):
            text = self._change(name, old.get(name), new.get(name), event)
            if text:
                results[name] = (Outcome.DONE, text)
        board.replace(new)
        board.mixed = {unit.name for unit in board.units.values() if unit.next_service is not None or unit.removed}
        part_foes(board.units, board)
        self._learn_again(found)
        for name in sorted(new.keys() - old.keys()):
            unit = board.units[name]
            if new[name].broken and unit.service is new[name]:
                board.move(unit, Step.GAVE_UP, broken_reason(unit.service, board.now_s))
        if event.start_enabled and self._course.runlevel in new and self._course.boot_state != "stopping":
            self._start_newly_enabled(old, event)
        board.emit(answer(event.id, results))

    def _change(self, name: str, old: Service | None, new: Service | None, event: events.PlanLoaded) -> str:
        unit = self._board.units.get(name)
        if unit is None:
            return "added"
        if new is None:
            unit.removed = True
            why = Reason(Cause.REMOVED, self._board.now_s, by=event.by)
            self._desires.wish(unit, Desired.DOWN, why, Verb.STOP)
            return "removed"
        unit.removed = False
        before = old or unit.service  # a transient service of that name may be there
        is_processless = new.kind in PROCESSLESS and unit.service.kind in PROCESSLESS
        is_rearmed = new.digest != unit.service.digest and _is_changed_while_armed(unit, new)
        if is_rearmed:
            self._board.emit(Arm(new))
        if unit.state not in RUNNING or is_processless or is_rearmed or new.digest == unit.service.digest:
            unit.service, unit.next_service, unit.is_outdated = new, None, False
            if before.broken != new.broken and unit.state.is_at_rest_down:
                if new.broken:
                    self._board.set_at_rest(unit, UnitState.FAILED, broken_reason(new, self._board.now_s))
                elif unit.running or unit.left:
                    self._board.set_at_rest(unit, UnitState.FAILED, remains_reason(self._board.now_s))
                else:
                    is_failed = unit.given_up is not None and not unit.finished
                    state = UnitState.FAILED if is_failed else UnitState.DOWN
                    self._board.set_at_rest(unit, state, unit.given_up or unit.wish)
        elif before.digest != new.digest:
            unit.next_service, unit.is_outdated = new, True
        if old is None:
            return "added"
        if old.digest == new.digest:
            return ""
        return "changed; takes effect at its next start" if unit.is_outdated else "changed"

    def _learn_again(self, found: Mapping[str, tuple[Dependency, ...]]) -> None:
        """The new definitions know nothing of what was found at run time."""
        board = self._board
        for name, edges in found.items():
            unit = board.units.get(name)
            if unit is None or not edges:
                continue
            for edge in edges:
                if edge.on in board.units and not board.units[edge.on].removed:
                    if learning.weakest_of_loop(board, name, edge.on) is not None:
                        learning.unlearn(board, unit, edge.on)  # of one that runs: it closes a loop with what is new
                    learning.learn(board, unit, (edge,))
                else:
                    learning.unlearn(board, unit, edge.on)
                    text = f"no longer {edge.kind.value} {edge.on} ({edge.place}): its definition was removed"
                    board.emit(Told(name, text, board.now_s))

    def _start_newly_enabled(self, old: Mapping[str, Service], event: events.PlanLoaded) -> None:
        """Start what the active runlevel, or one that it stacks on, wants now and did not want before."""
        board = self._board
        active = [
            name
            for name in closure((self._course.runlevel,), board.units, board.links)
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
                why = Reason(Cause.RUNLEVEL, board.now_s, of=name, by=event.by)
                self._desires.want_all(fresh, why, Verb.START)


def _is_changed_while_armed(unit: Unit, new: Service) -> bool:
    """Can a trigger that is armed take another definition as it is? A clock and a watch can. A socket would have to be
    closed, and refuse its clients meanwhile, but where it listens just there: owner, mode and queue can be changed.
    """
    old = unit.service
    if new.broken or new.kind is not old.kind or unit.state not in (UnitState.STARTING, UnitState.UP):
        return False
    if new.kind is Kind.SOCKET:
        is_there = [(each.kind, each.address) for each in new.listen] == [(e.kind, e.address) for e in old.listen]
        return is_there and bool(old.activates) and old.activates == new.activates
    return new.kind.is_trigger


def is_over(unit: Unit) -> bool:
    """Is this a unit at rest that nobody defines any more, and that nobody has reason to look at?

    One whose processes outlived SIGKILL is remembered until they are gone: a new one of its name must not start then.
    """
    if not unit.state.is_at_rest_down or unit.goal or unit.next_service is not None or unit.running or unit.left:
        return False
    if unit.removed:
        return True
    is_spent = unit.desired is Desired.DOWN or unit.finished
    return unit.service.transient and unit.state is UnitState.DOWN and is_spent and not unit.restarting
