"""Why is a unit where it is? The chain from a unit to the root of its state, as data and words.

Each link is a map: `name`, `state`, `text` (the reason in words), `since_s` (seconds in that state), `until_s`
(seconds left, or None), `reason` (the data). The first is the unit asked about, the last the root cause. Who wants it
is another chain, of wishes: from the unit to a runlevel that was entered, or to the person who asked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from linit.engine.board import Board
from linit.engine.edges import holds, waits
from linit.engine.obstacles import against
from linit.engine.starting import CHECKS, SEARCHES
from linit.engine.unit import StopPhase, Unit
from linit.model.reason import Cause, Reason
from linit.model.service import TRIGGERS, EdgeKind, Kind, ReadinessKind, RestartPolicy
from linit.model.state import Desired, Role, UnitState

if TYPE_CHECKING:
    from linit.engine.engine import Engine

LONGEST_CHAIN = 64
FOLLOWED = frozenset(
    {
        Cause.WAITS_FOR,
        Cause.WAITS_FOR_STOP,
        Cause.WAITS_FOR_TERMINAL,
        Cause.WAITS_FOR_LOCK,
        Cause.DEPENDENCY_FAILED,
        Cause.DEPENDENCY_DOWN,
        Cause.CONFLICT,
        Cause.PROVIDED,
        Cause.UNNEEDED,
        Cause.RUNLEVEL_LEFT,
        Cause.ACTIVATES_FAILED,
    }
)
WAITS_TOLD = 100  # of each link of a chain, the others are counted in its text
LOST = frozenset({Cause.DEPENDENCY_FAILED, Cause.DEPENDENCY_DOWN})  # what these name need not exist
WISHED = frozenset({Cause.PULLED_IN, Cause.RUNLEVEL, Cause.ACTIVATED})  # by another service


def waited_for(board: Board, unit: Unit) -> list[tuple[str, str]]:
    """What a unit waits for now, as (service, edge kind): dependencies of a start, dependents of a stop."""
    if unit.state is UnitState.BACKOFF and unit.service.kind is Kind.VIRTUAL:
        return _hopeful_providers(board, unit)
    if unit.state is UnitState.WAITING:
        found = _unmet(board, unit)
        if unit.service.kind is Kind.VIRTUAL:
            found += _hopeful_providers(board, unit)
        return found + [
            (name, edge.kind.value)
            for name, edge in board.links.dependents(unit.name)
            if edge.kind is EdgeKind.CONFLICTS and name in board.units and waits(edge.kind, board.units[name].view)
        ]
    if unit.state is UnitState.STOPPING and unit.stop_phase is StopPhase.HELD:
        if is_kept(unit):
            return _hopeful_providers(board, unit) if unit.service.kind is Kind.VIRTUAL else _unmet(board, unit)
        return [
            (name, edge.kind.value)
            for name, edge in board.links.dependents(unit.name)
            if (other := board.units.get(name)) is not None and holds(edge.kind, other.view)
        ]
    return []


def awaited(board: Board, unit: Unit) -> list[str]:
    """Whom a unit waits for now. One at rest does, too: to start as soon as what it is bound to is back."""
    if unit.state.is_at_rest_down:
        return [edge.on for edge, _ in against(board, unit)] if unit.hope and not unit.goal else []
    return [name for name, _ in waited_for(board, unit)]


def is_kept(unit: Unit) -> bool:
    """Is its stop about to be undone? It is wanted again, and waits for what it depends on to be back."""
    return unit.goal and not unit.bouncing


def _unmet(board: Board, unit: Unit) -> list[tuple[str, str]]:
    return [
        (edge.on, edge.kind.value)
        for edge in board.links.dependencies(unit.name)
        if (on := board.units.get(edge.on)) is not None and waits(edge.kind, on.view)
    ]


def _hopeful_providers(board: Board, unit: Unit) -> list[tuple[str, str]]:
    return [
        (edge.on, edge.kind.value)
        for edge in board.links.dependencies(unit.name)
        if edge.kind is EdgeKind.PROVIDED_BY and edge.on in board.units and board.units[edge.on].hope
    ]


def present_reason(
    engine: Engine, unit: Unit, told: Collection[str] = (), waiting: list[tuple[str, str]] | None = None
) -> Reason:
    """The reason of the state with what is waited for as of now; rather somebody who is not among the `told`.

    `waiting`: what `waited_for` says, if that is known.
    """
    if unit.state is UnitState.STARTING:
        return _present_step(engine, unit)
    terminal = unit.service.execution.tty
    if unit.state is UnitState.WAITING and not unit.unmet and engine.terminals.get(terminal, unit.name) != unit.name:
        holder = engine.terminals[terminal]
        return Reason(Cause.WAITS_FOR_TERMINAL, unit.reason.at_s, of=holder, text=terminal)
    if waiting is None:
        waiting = waited_for(engine._board, unit)
    if not waiting:
        return unit.reason
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    is_stop = unit.state is UnitState.STOPPING and not is_kept(unit)
    cause = Cause.WAITS_FOR_STOP if is_stop else Cause.WAITS_FOR
    others = [name for name, _ in waiting if name not in told] or [waiting[0][0]]
    on = next(
        (name for name in others if len(others) == 1 or not _waits_back(engine._board, name, unit.name)), others[0]
    )
    return Reason(cause, unit.changed_at_s, of=on, text=more)


def words(engine: Engine, reason: Reason) -> str:
    """A reason in words that are true now: what is needed may not be down yet, or no longer."""
    on = engine.units.get(reason.of)
    if reason.cause is not Cause.DEPENDENCY_DOWN or on is None or on.state.is_at_rest_down:
        return str(reason)
    if on.state is UnitState.UP:
        now = "was down" if on.goal else "is to stop"
    else:
        now = "is to be started again" if on.state is UnitState.BACKOFF else f"is {on.state.value}"
    return str(reason).replace("which is down", f"which {now}", 1)


def _waits_back(board: Board, name: str, to: str) -> bool:
    """Does `name` wait, by way of others or not, for `to`? Then it is no help in explaining `to`."""
    seen, todo = {name}, [name]
    while todo:
        unit = board.units.get(todo.pop())
        for other in awaited(board, unit) if unit is not None else ():
            if other == to:
                return True
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return False


def _present_step(engine: Engine, unit: Unit) -> Reason:
    """What its script waits for, else which step of the start this is."""
    for request in engine.open_requests:
        if request.caller == unit.name and request.open:
            more = f" and {len(request.open) - 1} more" if len(request.open) > 1 else ""
            text = f"{more}, which its script asked for (linitctl {request.verb.value})"
            return Reason(Cause.WAITS_FOR, unit.reason.at_s, of=next(iter(request.open)), text=text)
    for claim, holder in engine.locks.waiting():
        if claim.caller == unit.name:
            return Reason(Cause.WAITS_FOR_LOCK, unit.reason.at_s, of=holder.caller, by=holder.by, text=claim.lock)
    if unit.reason.text not in (CHECKS, SEARCHES) and unit.reason.cause in (Cause.STARTING, Cause.WAITS_FOR):
        return Reason(Cause.STARTING, unit.reason.at_s, text=_step_words(unit))
    return unit.reason


def _step_words(unit: Unit) -> str:
    service = unit.service
    for role, commands in ((Role.PRE, service.pre), (Role.POST, service.post)):
        if role in unit.running:
            which = f" {unit.index + 1} of {len(commands)}" if len(commands) > 1 else ""
            return f"runs its {role.value} command{which}"
    if service.kind is Kind.ONESHOT:
        return "runs its command"
    if Role.MAIN in unit.pids and service.readiness.kind is not ReadinessKind.NONE:
        return f"runs, not ready yet ({service.readiness.kind.value})"
    return "starting"


def account(engine: Engine, name: str, now_s: float) -> dict[str, Any]:
    """Everything that `why` tells of a unit, as of `now_s` (the engine's own time is that of the last event).

    `chain`, `wishes` (who wants it, and who wants that), `faults` of its definition, `triggers` (what starts it).
    Raises KeyError for a service that does not exist.
    """
    links = chain(engine, name, now_s)
    faults = list(engine.units[name].service.broken_by)
    found = [trigger(each) for each in triggers_of(engine, name)]
    return {
        "name": name, "now_s": now_s, "chain": links, "wishes": wishes(engine, name), "faults": faults,
        "triggers": found,
    }  # fmt: skip


def triggers_of(engine: Engine, name: str) -> list[Unit]:
    """The triggers of a service."""
    there = (engine.units.get(name + suffix) for suffix in TRIGGERS.values())
    return [unit for unit in there if unit is not None and unit.service.activates == name]


def trigger(unit: Unit) -> dict[str, Any]:
    """What starts a service. `starts`: not only kept open for it; `waits_for`: filled by who knows what."""
    return {
        "name": unit.name,
        "kind": unit.service.kind.value,
        "state": unit.state.value,
        "text": str(unit.reason),
        "starts": unit.service.starts,
        "waits_for": [],
    }


def chain(engine: Engine, name: str, now_s: float | None = None) -> list[dict[str, Any]]:
    """The links from `name` to the root cause. Raises KeyError for a service that does not exist."""
    links: list[dict[str, Any]] = []
    seen: set[str] = set()
    current, is_by_wish = name, False
    while current and current not in seen and len(links) < LONGEST_CHAIN:
        seen.add(current)
        unit = engine.units.get(current)
        if unit is None:
            if not links:
                raise KeyError(current)
            if Cause(links[-1]["reason"]["cause"]) in LOST:
                links.append({"name": current, "state": "missing", "text": "no such service", "reason": {}})
            return links
        waiting = waited_for(engine._board, unit)  # a runlevel may wait for a thousand
        reason = unit.wish if is_by_wish else present_reason(engine, unit, seen, waiting)
        is_by_wish = is_by_wish and unit.desired is Desired.UP  # else it tells why it is wanted no more
        if reason.cause is Cause.PROVIDED and reason.of in seen:
            reason = unit.wish  # asked about its provider: who wants it leads on
        links.append(_link(engine, unit, reason, engine.now_s if now_s is None else now_s, waiting))
        # What is up is explained by who wants it, not by what that waits for.
        is_by_wish = is_by_wish or _is_up_as_wished(unit, reason)
        current = _wisher(unit) if is_by_wish else _next(reason)
        is_by_wish = is_by_wish or reason.cause is Cause.RUNLEVEL_LEFT  # who asked for that runlevel, not what it does
    return _to_the_root(links, current) if current in seen else links


def _to_the_root(links: list[dict[str, Any]], again: str) -> list[dict[str, Any]]:
    """The chain comes back to `again`. A trigger failed because its service did, which cannot start again without it:
    the trigger is the root then. It tells of an earlier failure, of which the service itself no longer knows."""
    begin = next(index for index, link in enumerate(links) if link["name"] == again)
    failed = Cause.ACTIVATES_FAILED.value
    root = next((at for at in range(begin, len(links)) if links[at]["reason"]["cause"] == failed), len(links) - 1)
    return links[: root + 1]


def wishes(engine: Engine, name: str) -> list[dict[str, Any]]:
    """Why each is wanted (or not), from `name` to a wish that no other service made. Raises KeyError."""
    found: dict[str, dict[str, Any]] = {}
    current = name
    while current not in found and len(found) < LONGEST_CHAIN:
        unit = engine.units[current]
        found[current] = {
            "name": current,
            "state": unit.state.value,
            "desired": unit.desired.value,
            "text": str(unit.wish),
            "reason": as_data(unit.wish),
        }
        if unit.wish.cause not in WISHED or unit.wish.of not in engine.units:
            break
        current = unit.wish.of
    return list(found.values())


def _next(reason: Reason) -> str:
    """Whose state explains this one's."""
    return reason.of if reason.cause in FOLLOWED else ""


def _is_up_as_wished(unit: Unit, reason: Reason) -> bool:
    is_wanted = unit.desired is Desired.UP or unit.service.kind is Kind.VIRTUAL
    return unit.state is UnitState.UP and is_wanted and unit.goal and reason.cause not in FOLLOWED


def _wisher(unit: Unit) -> str:
    """Who wants it, if that is another service."""
    return unit.wish.of if unit.wish.cause in WISHED else ""


def _link(engine: Engine, unit: Unit, reason: Reason, now_s: float, waiting: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "name": unit.name,
        "kind": unit.service.kind.value,
        "state": unit.state.value,
        "desired": unit.desired.value,
        "finished": unit.finished,
        "text": words(engine, reason),
        "wish": str(unit.wish),
        "wish_reason": as_data(unit.wish),
        "since_s": max(now_s - unit.changed_at_s, 0.0),
        "until_s": None if unit.deadline_s is None else max(unit.deadline_s - now_s, 0.0),
        "run_s": None if unit.run_at_s is None else max(now_s - unit.run_at_s, 0.0),
        "output": "its terminal" if unit.service.execution.tty else unit.service.execution.output.value,
        "stop_phase": unit.stop_phase.value,
        "restart": unit.service.restart.policy.value,
        "respawns": respawns(unit, now_s),
        "reason": as_data(reason),
        "waits_for": [{"name": other, "kind": kind} for other, kind in waiting[:WAITS_TOLD]],
        "place": str(unit.service.place),
    }


def respawns(unit: Unit, now_s: float) -> dict[str, Any] | None:
    """How much of the respawn budget is used; None for what never respawns. `limit` and `left` None: no limit."""
    restart = unit.service.restart
    if restart.policy is RestartPolicy.NEVER or not unit.service.kind.runs:
        return None
    used = sum(now_s - at_s < restart.window_s for at_s in unit.budget.at_s)
    left = max(restart.limit - used, 0) if restart.limit else None
    return {"used": used, "limit": restart.limit or None, "left": left, "window_s": restart.window_s}


def as_data(reason: Reason) -> dict[str, Any]:
    """A reason as a map of plain values; fields that say nothing are left out."""
    data: dict[str, Any] = {"cause": reason.cause.value, "at_s": reason.at_s}
    for key in ("of", "by", "text", "place", "status", "limit_s"):
        value = getattr(reason, key)
        if value not in ("", None):
            data[key] = value
    return data
