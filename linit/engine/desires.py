"""What should be? Turns a wish for some services into what each unit is desired to be.

A later wish replaces an earlier one, and the requests that it contradicts are answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from linit.engine.board import Board
from linit.engine.events import Verb
from linit.engine.links import Edge
from linit.engine.requests import Ledger
from linit.engine.respawn import Budget
from linit.engine.unit import Unit
from linit.engine.wishes import closure, conflict_losers, pulled_in
from linit.model.reason import Cause, Reason
from linit.model.service import PROVIDED_BY
from linit.model.state import TO_BE_DOWN, TO_BE_UP, UP, Desired

BY_OTHERS: Final = (Cause.PULLED_IN, Cause.RUNLEVEL)


class Desires:
    """Writes `Unit.desired`, and with it what stood against the unit until now."""

    def __init__(self, board: Board, ledger: Ledger) -> None:
        self.board = board
        self.ledger = ledger

    def want_all(self, names: Iterable[str], wish: Reason, verb: Verb) -> Mapping[str, Edge | None]:
        """Desire `names` and all that they pull in; what conflicts with them is stopped."""
        board = self.board
        wanted = closure(names, board.units, board.links)
        contested = board.links.contested(wanted)
        losers = conflict_losers(contested, board.units, board.links)
        units = board.units
        for name, by in wanted.items():
            unit = units[name]
            if by is not None and unit.desired is TO_BE_UP and unit.given_up is None and name not in losers:
                if unit.state is not UP:
                    board.act(unit)
                continue  # it is wanted already
            fresh = name in names or unit.desired is TO_BE_DOWN or unit.given_up is not None
            if fresh:
                unit.given_up, unit.finished = None, False
                if unit.state.is_at_rest_down:
                    unit.budget, unit.restarts = Budget(), 0
            is_past = fresh and unit.wish.cause is Cause.ACTIVATED  # what a trigger saw then is not why it starts now
            if unit.desired is TO_BE_DOWN or name in names or is_past:
                why = pulled_in(by, board.units, wish) if by is not None else wish
                self.wish(unit, TO_BE_UP, why, verb)
            if name in losers:
                unit.given_up = losers[name]
            board.look(unit)
        for name in [each for each in contested if each not in losers]:
            for foe, edge in board.links.foes(name):
                if foe in board.units and foe not in wanted and board.units[foe].desired is TO_BE_UP:
                    conflict = Reason(Cause.CONFLICT, board.now_s, of=name, by=wish.by, place=str(edge.place))
                    self.wish(board.units[foe], TO_BE_DOWN, conflict, Verb.STOP)
        return wanted

    def adopt(self, wanted: Mapping[str, Edge | None], wish: Reason) -> None:
        """Who was wanted by something that is wanted no more, and is wanted by something else now, is up because of
        that."""
        for name, by in wanted.items():
            unit = self.board.units[name]
            if by is None or unit.wish.cause not in BY_OTHERS or self._is_desired(unit.wish.of):
                continue
            why = pulled_in(by, self.board.units, wish)
            if unit.reason is unit.wish:
                unit.reason = why
            unit.wish = why

    def _is_desired(self, name: str) -> bool:
        return name in self.board.units and self.board.units[name].desired is TO_BE_UP

    def wish(self, unit: Unit, desired: Desired, why: Reason, verb: Verb | None = None) -> None:
        """A wish for one unit. `verb`: what somebody asked for, None when it follows from something else."""
        if desired is TO_BE_DOWN:
            unit.restarting = unit.bouncing = None
        if verb is not None:
            self.board.effects.extend(self.ledger.supersede(unit.name, verb, why.by or why.of or "linit"))
        unit.desired, unit.wish = desired, why
        self.board.note(unit.name)
        self.board.look(unit)

    def all_down(self, why: Reason) -> None:
        """Nothing is desired any more."""
        for unit in self.board.units.values():
            if unit.desired is TO_BE_UP:
                self.wish(unit, TO_BE_DOWN, why)

    def with_providers(self, names: Iterable[str]) -> Iterator[str]:
        """A virtual name stands for all its providers, when they are to stop."""
        for name in names:
            yield name
            for edge in self.board.links.dependencies(name):
                if edge.kind is PROVIDED_BY and edge.on in self.board.units:
                    yield edge.on
