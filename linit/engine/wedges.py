"""Does anything wait for ever? The last guard, and it says what it found.

The compiler leaves no cycle in a plan. But a definition that was replaced stays in force while its service runs, and
old and new ones together may close a loop. It is looked for as soon as it can be there, whatever else moves.
"""

from __future__ import annotations

from linit.engine import explain
from linit.engine.board import Board
from linit.engine.edges import NOTHING
from linit.engine.lifecycle import Lifecycle
from linit.engine.unit import StopPhase, Unit
from linit.model.reason import Cause, Reason
from linit.model.service import EDGE_WORDS, Kind
from linit.model.state import UnitState


class Wedges:
    """Ends waits that nothing else would end."""

    def __init__(self, board: Board, lifecycle: Lifecycle) -> None:
        self._board = board
        self._lifecycle = lifecycle

    def break_one(self) -> bool:
        """Fail what waits in a loop, or for something that will not come; was there anything?"""
        board = self._board
        is_mixed = bool(board.mixed) and self._is_mixed()
        if not board.waits or not (board.is_stuck or (is_mixed and self._may_be_closed())):
            return False
        loop = self._loop()
        board.rewired = bool(loop)  # there may be another
        text = "; ".join(self._words(name, on) for name, on in zip(loop, [*loop[1:], *loop[:1]], strict=True))
        for name in loop:
            unit = board.units[name]
            if unit.service.kind is not Kind.VIRTUAL:  # that follows its providers
                unit.given_up = Reason(Cause.CYCLE, board.now_s, text=text)
            if unit.state is UnitState.STOPPING:
                self._lifecycle.stopping.go(unit)
            board.look(unit)
        return bool(loop) or (board.is_stuck and self._fail_what_waits_for_nobody())

    def _is_mixed(self) -> bool:
        """Are definitions of different plans in force?"""
        units, mixed = self._board.units, self._board.mixed
        mixed.difference_update([name for name in self._board.changed if name in units and not _is_old(units[name])])
        return bool(mixed)

    def _may_be_closed(self) -> bool:
        """Is there perhaps a loop now that was not there before this event? It goes through something that changed."""
        done: set[str] = set()
        return self._board.rewired or any(self._leads_back(name, done) for name in self._board.changed)

    def _leads_back(self, start: str, done: set[str]) -> bool:
        """Do the waits that begin at `start` come to one that is on the way? `done`: from where they do not."""
        way = {start: iter(self._waits_of(start))} if start not in done else {}
        while way:
            name = next(reversed(way))
            for other in way[name]:
                if other in way:
                    return True
                if other not in done:
                    way[other] = iter(self._waits_of(other))
                    break
            else:
                del way[name]
                done.add(name)
        return False

    def _waits_of(self, name: str) -> list[str]:
        unit = self._board.units.get(name)
        return self._awaited(unit) if unit is not None and _waits(unit) else []

    def _loop(self) -> list[str]:
        """Units that wait for each other in a ring, or []."""
        stuck = self._stuck()
        path: list[str] = []
        name = next(iter(stuck), "")
        while name and name not in path:
            path.append(name)
            name = next((other for other in stuck[name] if other in stuck), "")
        return path[path.index(name) :] if name else []

    def _stuck(self) -> dict[str, list[str]]:
        """The waiting units that nothing will release, with what each waits for.

        From all that wait those are taken away, one after the other, whose wait something else ends: all that they wait
        for must be taken away first, but of a virtual name's providers one is enough.
        """
        waiting = {unit.name: self._awaited(unit) for unit in self._board.units.values() if _waits(unit)}
        waiters: dict[str, list[str]] = {}
        for name, awaited in waiting.items():
            for other in awaited:
                waiters.setdefault(other, []).append(name)
        open_waits = {name: sum(other in waiting for other in awaited) for name, awaited in waiting.items()}
        free = [name for name in waiting if self._is_free(name, open_waits[name], len(waiting[name]))]
        while free:
            name = free.pop()
            if waiting.pop(name, None) is None:
                continue
            for waiter in waiters.get(name, ()):
                if waiter in waiting:
                    open_waits[waiter] -= 1
                    if self._is_free(waiter, open_waits[waiter], len(waiting[waiter])):
                        free.append(waiter)
        return waiting

    def _is_free(self, name: str, open_waits: int, all_waits: int) -> bool:
        unit = self._board.units[name]
        one_is_enough = unit.service.kind is Kind.VIRTUAL and unit.state is not UnitState.STOPPING
        return open_waits < max(all_waits, 1) if one_is_enough else not open_waits

    def _awaited(self, unit: Unit) -> list[str]:
        return [other for other in explain.awaited(self._board, unit) if other in self._board.units]

    def _words(self, name: str, on: str) -> str:
        links, unit = self._board.links, self._board.units[name]
        edge = next((edge for edge in links.dependencies(name) if edge.on == on), None)
        if edge is not None and (unit.state is not UnitState.STOPPING or explain.is_kept(unit)):
            return f"{name} {EDGE_WORDS[edge.kind]} {on} ({edge.place})"
        back = next((edge for other, edge in links.dependents(name) if other == on), None)
        why = f", which {EDGE_WORDS[back.kind]} {name} ({back.place})" if back is not None else ""
        return f"{name} waits until {on} is down{why}"

    def _fail_what_waits_for_nobody(self) -> bool:
        """The last rung: there is no loop, so something waits for a unit that rests."""
        board = self._board
        for unit in board.units.values():
            waiting = explain.waited_for(board, unit)
            if waiting and unit.state is UnitState.WAITING and not _moves(board, waiting[0][0]):
                unit.given_up = Reason(Cause.CONFLICT, board.now_s, of=waiting[0][0])
                board.look(unit)
                return True
        return False


def _moves(board: Board, name: str) -> bool:
    state, _, _ = board.units[name].view if name in board.units else NOTHING
    return state.is_moving


def _waits(unit: Unit) -> bool:
    """Is it others that it waits for, rather than a process or a timer?

    One at rest does, too, when it is to start as soon as what it is bound to is back.
    """
    if unit.state.is_at_rest_down:
        return unit.hope and not unit.goal
    if unit.state is UnitState.STOPPING:
        return unit.stop_phase is StopPhase.HELD
    return unit.state is UnitState.WAITING or (unit.state is UnitState.BACKOFF and unit.service.kind is Kind.VIRTUAL)


def _is_old(unit: Unit) -> bool:
    """Is a definition in force that the plan does not have?"""
    return unit.next_service is not None or unit.removed
