"""Who else is wanted when something is? From a wish for some services to the wishes that it implies."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterable, Mapping

from linit.engine.board import Board
from linit.engine.edges import provides
from linit.engine.links import Edge, Links
from linit.engine.unit import Unit
from linit.model.reason import Cause, Reason
from linit.model.service import PROVIDED_BY, VIRTUAL, Dependency, EdgeKind, Kind
from linit.model.state import TO_BE_DOWN, TO_BE_UP


def closure(names: Iterable[str], units: Mapping[str, Unit], links: Links) -> dict[str, Edge | None]:
    """Everything that `names` pull in (need, bind, want; of a virtual name one provider), each with who does so, by
    which edge; None for `names` themselves.

    A unit that is already on its way up is kept as it is, and what it pulled in too: the walk goes through it, so
    that a dependency which had failed or was stopped is wanted again.
    """
    found: dict[str, Edge | None] = {name: None for name in names if name in units and not units[name].removed}
    reached = [units[name] for name in found]
    for unit in reached:  # it grows
        name = unit.name
        edges: Iterable[Dependency] = links.pulled(name)
        if unit.service.kind is VIRTUAL:
            chosen = choose_provider(name, units, links, found)
            edges = () if chosen is None else (chosen,)
        for edge in edges:
            on = edge.on
            if on in found:
                continue
            other = units.get(on)
            if other is not None and not other.removed:
                found[on] = (name, edge)
                reached.append(other)
    return found


def pulled_in(by: Edge, units: Mapping[str, Unit], wish: Reason) -> Reason:
    """Why something is wanted that is so by this edge, because of `wish`."""
    name, edge = by
    cause = Cause.RUNLEVEL if units[name].service.kind is Kind.RUNLEVEL else Cause.PULLED_IN
    return Reason(cause, wish.at_s, of=name, by=wish.by, place=str(edge.place))


def hopeful_with(names: Iterable[str], units: Mapping[str, Unit], links: Links) -> set[str]:
    """Who has no hope now, and will have when `names` are wanted: they, what they pull in, and who needs that."""
    wanted = closure(names, units, links)
    found: set[str] = set()
    todo = deque(wanted)
    while todo:
        name = todo.popleft()
        unit = units[name]
        if name in found or unit.hope or not _would_hope(unit, wanted, found, units, links):
            continue
        found.add(name)
        todo.extend(other for other, edge in links.dependents(name) if other in units and _carries_hope(edge.kind))
    return found


def _would_hope(unit: Unit, wanted: Collection[str], found: set[str], units: Mapping[str, Unit], links: Links) -> bool:
    if unit.removed or unit.service.broken:
        return False
    hopes = (
        edge.on in found or (edge.on in units and units[edge.on].hope)
        for edge in links.dependencies(unit.name)
        if _carries_hope(edge.kind)
    )
    if unit.service.kind is VIRTUAL:
        return any(hopes)
    is_wanted = unit.name in wanted or (unit.desired is TO_BE_UP and unit.given_up is None)
    return is_wanted and all(hopes)


def _carries_hope(kind: EdgeKind) -> bool:
    return kind.is_hard or kind is PROVIDED_BY


def choose_provider(virtual: str, units: Mapping[str, Unit], links: Links, wanted: Container[str]) -> Dependency | None:
    """The edge to the provider that a wish for a virtual name falls on; None when there is none.

    An active one, else one that is wanted anyway or enabled, else in the order of `prefer:` and then of names. One that
    gave up comes last.
    """
    candidates = [edge for edge in links.dependencies(virtual) if edge.kind is PROVIDED_BY and edge.on in units]
    active = [edge for edge in candidates if _is_active(units[edge.on])]
    if len(active) == 1:
        return active[0]  # so it is nearly always: no preference is looked at
    preferred = _preferences(virtual, units, links)

    def rank(dependency: Dependency) -> tuple[bool, bool, bool, bool, int, str]:
        unit = units[dependency.on]
        return (
            bool(unit.service.broken or unit.removed),
            unit.given_up is not None,
            not unit.goal,
            not (dependency.on in wanted or unit.is_enabled),
            preferred.index(dependency.on) if dependency.on in preferred else len(preferred),
            dependency.on,
        )

    return min(candidates, key=rank, default=None)


def _is_active(unit: Unit) -> bool:
    """Is it up or on its way, with nothing against it?"""
    return unit.goal and unit.given_up is None and not (unit.service.broken or unit.removed)


def _preferences(virtual: str, units: Mapping[str, Unit], links: Links) -> list[str]:
    dependents = sorted(name for name in links.preferring(virtual) if name in units)
    return [preferred for name in (virtual, *dependents) for preferred in units[name].service.prefer]


def conflict_losers(wanted: Iterable[str], units: Mapping[str, Unit], links: Links) -> dict[str, Reason]:
    """Among services with foes that are wanted together, those that are kept out: the earlier in name order wins."""
    losers: dict[str, Reason] = {}
    accepted: set[str] = set()
    for name in sorted(wanted):
        if units[name].service.broken:
            continue
        for foe, edge in links.foes(name):
            if foe in accepted:
                losers[name] = Reason(Cause.CONFLICT, of=foe, place=str(edge.place))
                break
        else:
            accepted.add(name)
    return losers


def part_foes(names: Iterable[str], board: Board) -> None:
    """A new definition may have made foes of services that are desired together: the earlier in name order stays."""
    for name in names:
        for foe, edge in board.links.foes(name):
            both = [board.units[each] for each in (name, foe) if each in board.units]
            if len(both) == 2 and all(unit.desired is TO_BE_UP and unit.given_up is None for unit in both):
                winner, loser = sorted(both, key=lambda unit: (bool(unit.service.broken), unit.name))
                loser.given_up = Reason(Cause.CONFLICT, board.now_s, of=winner.name, place=str(edge.place))
                board.look(loser)


def live_needers(name: str, besides: Iterable[str], units: Mapping[str, Unit], links: Links) -> list[str]:
    """Who would stop with `name`; through a virtual name when it is the last provider of that."""
    needers: set[str] = set()
    for other, edge in links.dependents(name):
        if other not in units or not units[other].goal or other in besides:
            continue
        if edge.kind.is_hard:
            needers.add(other)
        elif edge.kind is PROVIDED_BY and units[name].goal and units[other].alive == 1:
            needers.update(live_needers(other, besides, units, links))
    return sorted(needers)


def unneeded_after(name: str, units: Mapping[str, Unit], links: Links) -> list[str]:
    """What `name` had pulled in, asked to be let go of (`stop_when_unneeded`), and nobody else pulls in."""
    free: list[str] = []
    frugal = links.frugal
    for on in _pulled_by(name, units, links):
        if on not in frugal:
            continue
        unit = units.get(on)
        if unit is None or not unit.service.stop_when_unneeded or unit.desired is TO_BE_DOWN:
            continue
        if unit.wish.cause is Cause.PULLED_IN and not _is_pulled(on, units, links):
            free.append(on)
    return free


def is_of_use(unit: Unit) -> bool:
    """Is it desired, and has it not done its work already? What has done it needs nothing any more."""
    return unit.desired is TO_BE_UP and not unit.finished


def _pulled_by(name: str, units: Mapping[str, Unit], links: Links) -> list[str]:
    """What a wish for `name` can have become a wish for: of a virtual name any provider."""
    found: list[str] = []
    for dependency in links.pulled(name):
        on = dependency.on
        found.append(on)
        unit = units.get(on)
        if unit is not None and unit.service.kind is VIRTUAL:
            found.extend(edge.on for edge in links.dependencies(on) if edge.kind is PROVIDED_BY)
    return found


def _is_pulled(name: str, units: Mapping[str, Unit], links: Links) -> bool:
    """Does anything that is desired pull it in, if only by a virtual name that no other provider gives?"""
    for other, edge in links.dependents(name):
        if other not in units:
            continue
        if edge.kind.pulls and is_of_use(units[other]):
            return True
        if edge.kind is PROVIDED_BY and units[other].ready == provides(units[name].view):
            is_asked_for = units[other].desired is TO_BE_UP and units[other].wish.cause is not Cause.PULLED_IN
            if is_asked_for or _is_pulled(other, units, links):
                return True
    return False
