"""Would this wait ever end? The loop that a wait from inside a service's own scripts would close, or none.

A script that asks linit for something and waits for it makes its service wait. The compiler knows nothing of that, so
it is looked at when it happens: who waits for whom now, and who would have to wait on the way to what is asked for.
What is waited for is that a service gets up, or down, that its scripts end, or that a lock is let go.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import pairwise
from typing import Final

from linit.engine.board import Board
from linit.engine.edges import RUNNING, holds, waits
from linit.engine.events import LockAsked, Request, RunTransient, Verb
from linit.engine.locks import Claim, Locks
from linit.engine.requests import Ledger
from linit.engine.unit import Unit
from linit.engine.wishes import hopeful_with
from linit.model.service import EDGE_WORDS, Dependency, EdgeKind
from linit.model.state import UnitState

RUNS_SCRIPTS: Final = (UnitState.STARTING, UnitState.STOPPING)


class Awaited(enum.Enum):
    """What somebody waits for."""

    UP = "up"  # a service is up
    DOWN = "down"  # a service is down
    AGAIN = "again"  # a service is down, and up again
    SCRIPTS = "scripts"  # the scripts of a service have ended
    RELEASE = "release"  # a claim to a lock is given up


Node = tuple[Awaited, str | int]  # of which service; for RELEASE the id of the claim
Step = tuple[Node, str]  # (what is awaited, why the one before waits for it)
Asking = Request | RunTransient | LockAsked


class WaitGraph:
    """Who waits for whom, as of now. Nothing is kept: it is read off the units, the open requests and the locks."""

    def __init__(self, board: Board, ledger: Ledger, locks: Locks) -> None:
        self._board = board
        self._ledger = ledger
        self._locks = locks

    def loop_of(self, asking: Request, verb: Verb, names: Iterable[str]) -> tuple[str, str] | None:
        """A wait of whoever asks that would never end: for which service, and the loop in words."""
        waits_for_asker = self._waits_for(asking, verb)
        if waits_for_asker is None:
            return None
        for name in names:
            hopeful = self._hopeful_by(verb, (name,))
            for start in self._starts(verb, name):
                way = self._way(start, waits_for_asker, hopeful)
                if way:
                    asker = asking.caller or asking.by
                    return name, self._describe(f"{asker} would wait for {name} ({verb.value})", way)
        return None

    def loop_of_run(self, asking: RunTransient) -> str:
        """The same for a service that does not exist yet; "" when there is no loop."""
        waits_for_asker = self._waits_for(asking, Verb.START)
        if waits_for_asker is None:
            return ""
        service = asking.service
        new = Unit(service.name, service)
        hopeful = self._hopeful_by(Verb.START, (edge.on for edge in service.dependencies if edge.kind.pulls))
        for edge in service.dependencies:
            on = self._board.units.get(edge.on)
            if on is not None and _makes_wait(new, edge, on, hopeful):
                way = self._way((Awaited.UP, edge.on), waits_for_asker, hopeful)
                if way:
                    why = f"{service.name} {EDGE_WORDS[edge.kind]} {edge.on} ({edge.place})"
                    asker = asking.caller or asking.by
                    return self._describe(f"{asker} would wait for {service.name} (run); {why}", way)
        return ""

    def loop_of_lock(self, asking: LockAsked) -> str:
        """The same for a lock that somebody else holds; "" when there is no loop."""
        waits_for_asker = self._waits_for(asking, None)
        holder = self._locks.holder(asking.lock)
        if waits_for_asker is None or holder is None:
            return ""
        for claim in self._locks.queue(asking.lock):
            way = self._way((Awaited.RELEASE, claim.id), waits_for_asker)
            if way:
                asker = asking.caller or asking.by
                text = f"{asker} would wait for the lock {asking.lock}, which {holder.who} holds"
                return self._describe(text, way)
        return ""

    def closes_by_terminal(self, name: str, holder: str) -> bool:
        """Does the holder of a terminal wait, by its scripts, for the service that would wait for the terminal?"""
        return bool(self._way((Awaited.SCRIPTS, holder), lambda node: node == (Awaited.UP, name)))

    def script_waits(self, name: str) -> Iterator[Step]:
        """What the scripts of a service wait for, while it starts or stops."""
        unit = self._board.units.get(name)
        if unit is not None and unit.state in RUNS_SCRIPTS:
            yield from self._waits_where(lambda caller, _held: caller == name)

    # -- from one wait to the next -------------------------------------------------------------------------------

    def _waits_for(self, asking: Asking, verb: Verb | None) -> Callable[[Node], bool] | None:
        """Which nodes wait for whoever asks? None when nobody does.

        While a service starts or stops, it waits for its script. One that is up does not: what a login or a daemon's
        child asks for may well take its own service down, and ends with it. An edge must close no loop in any case.
        """
        if not asking.waits:
            return None
        caller = self._board.units.get(asking.caller)
        is_awaited = caller is not None and (verb in (Verb.NEED, Verb.WANT) or caller.state in RUNS_SCRIPTS)
        if not is_awaited and not asking.held:
            return None

        def waits_for_asker(node: Node) -> bool:
            what, of = node
            return of in asking.held if what is Awaited.RELEASE else is_awaited and of == asking.caller

        return waits_for_asker

    def _hopeful_by(self, verb: Verb, names: Iterable[str]) -> Set[str]:
        if verb in (Verb.STOP, Verb.RELOAD, Verb.RESET):
            return frozenset()
        return hopeful_with(names, self._board.units, self._board.links)

    def _starts(self, verb: Verb, name: str) -> Iterator[Node]:
        unit = self._board.units[name]
        if verb is Verb.STOP:
            yield Awaited.DOWN, name
        elif verb is Verb.RESTART and not unit.state.is_at_rest_down:
            yield Awaited.AGAIN, name
        elif verb is not Verb.START or unit.state is not UnitState.UP or not unit.goal or unit.bouncing:
            yield Awaited.UP, name

    def _steps(self, node: Node, hopeful: Set[str]) -> Iterator[Step]:
        what, of = node
        if isinstance(of, int):
            yield from self._waits_where(lambda _caller, held: of in held)
        elif (unit := self._board.units.get(of)) is None:
            return
        elif what is Awaited.UP:
            yield from self._waits_to_be_up(unit, hopeful)
        elif what is Awaited.DOWN:
            yield from self._waits_to_be_down(unit)
        elif what is Awaited.AGAIN:
            yield from self._waits_to_be_down(unit)
            yield from self._waits_to_be_up(unit, hopeful, again=True)
        else:
            yield from self.script_waits(of)

    def _waits_to_be_up(self, unit: Unit, hopeful: Set[str], again: bool = False) -> Iterator[Step]:
        board = self._board
        goes_down = again or unit.state is UnitState.STOPPING or bool(unit.restarting or unit.bouncing)
        later = unit.next_service.dependencies if unit.next_service is not None and goes_down else ()
        for edge in (*board.links.dependencies(unit.name), *later):
            on = board.units.get(edge.on)
            if on is not None and _makes_wait(unit, edge, on, hopeful, goes_down):
                what = Awaited.AGAIN if again and edge.kind is EdgeKind.PROVIDED_BY else Awaited.UP
                yield (what, edge.on), f"{EDGE_WORDS[edge.kind]} {edge.on} ({edge.place})"
        for foe, edge in board.links.foes(unit.name):
            if foe in board.units and waits(edge.kind, board.units[foe].view):
                yield (Awaited.DOWN, foe), f"waits until {foe} is down, with which it conflicts ({edge.place})"
        terminal = unit.service.execution.tty
        holder = board.terminals.get(terminal)
        if holder is not None and holder != unit.name:
            yield (Awaited.SCRIPTS, holder), f"waits for the terminal {terminal}, which {holder} has"
        if unit.state is UnitState.STOPPING or unit.restarting or unit.bouncing:
            yield from self._waits_to_be_down(unit)
        elif unit.state is UnitState.STARTING:
            yield from self.script_waits(unit.name)

    def _waits_to_be_down(self, unit: Unit) -> Iterator[Step]:
        for other, edge in self._board.links.dependents(unit.name):
            dependent = self._board.units.get(other)
            if dependent is not None and (holds(edge.kind, dependent.view) or _falls_with(dependent, edge, unit)):
                text = f"must wait until {other} is down, which {EDGE_WORDS[edge.kind]} {unit.name} ({edge.place})"
                yield (Awaited.DOWN, other), text
        if unit.state is UnitState.STOPPING:
            yield from self.script_waits(unit.name)

    def _waits_where(self, is_meant: Callable[[str, tuple[int, ...]], bool]) -> Iterator[Step]:
        """What the processes wait for whose service or held locks are meant."""
        for pending in self._ledger:
            if is_meant(pending.caller, pending.held):
                for name, verb in pending.open.items():
                    what = Awaited.DOWN if verb is Verb.STOP else Awaited.UP
                    yield (what, name), f"waits for {name} (linitctl {pending.verb.value})"
        for claim, holder in self._locks.waiting():
            if is_meant(claim.caller, claim.held):
                text = f"waits for the lock {claim.lock}, which {holder.who} holds"
                yield (Awaited.RELEASE, holder.id), text

    def _way(self, start: Node, is_goal: Callable[[Node], bool], hopeful: Set[str] = frozenset()) -> list[Step]:
        """The shortest way from `start` to a goal; [] if there is none."""
        came_by: dict[Node, tuple[Node, str] | None] = {start: None}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            if is_goal(node):
                return _path(node, came_by)
            for following, text in self._steps(node, hopeful):
                if following not in came_by:
                    came_by[following] = (node, text)
                    queue.append(following)
        return []

    def _describe(self, beginning: str, way: list[Step]) -> str:
        """`web would wait for db (start); db needs web (db.yaml:3:7)`"""
        words = [beginning]
        words += [f"{self._label(before)} {text}" for (before, _), (_, text) in pairwise(way)]
        return "; ".join(words)

    def _label(self, node: Node) -> str:
        _, of = node
        if isinstance(of, str):
            return of
        claim: Claim | None = self._locks.claim(of)
        return claim.who if claim is not None else "nobody known"


def _path(node: Node, came_by: dict[Node, tuple[Node, str] | None]) -> list[Step]:
    way: list[Step] = []
    while (origin := came_by[node]) is not None:
        before, text = origin
        way.append((node, text))
        node = before
    return [(node, ""), *reversed(way)]


def _makes_wait(unit: Unit, edge: Dependency, on: Unit, hopeful: Set[str], goes_down: bool = False) -> bool:
    """`hopeful`: who has hope as soon as what is asked for is wanted. `goes_down`: `unit` does before it gets up."""
    if edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY:
        return True  # whatever the states are now: the loop would close at the next start
    if edge.kind is EdgeKind.CONFLICTS or (unit.state is UnitState.UP and not goes_down):
        return False
    return waits(edge.kind, on.view) or on.name in hopeful or (edge.kind.pulls and on.state is not UnitState.UP)


def _falls_with(virtual: Unit, edge: Dependency, provider: Unit) -> bool:
    """Does the virtual name lose its last provider? Then it must be down first, as soon as that is to stop."""
    is_last = edge.kind is EdgeKind.PROVIDED_BY and provider.goal and virtual.alive == 1
    return is_last and virtual.state in RUNNING
