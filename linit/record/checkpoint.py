"""What is the engine's whole state, as plain data? Taken at one moment and put together again at another.

The engine that `restore` gives does from then on what the other one would have done: same events, same effects.
A re-exec travels so, and a recording that has dropped its beginning starts with one. Whatever is not listed here as
saved or as made anew is a fault that tests/unit/test_checkpoint.py finds. PID 1 uses this: it looks at values only.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from linit import VERSION, messagepack
from linit.engine import effects
from linit.engine.board import Board
from linit.engine.course import Course
from linit.engine.engine import Engine
from linit.engine.locks import Claim
from linit.engine.requests import Ledger, Pending
from linit.engine.unit import StopPhase, Unit
from linit.model.service import Kind, Plan, Service
from linit.record.codec import BYTES_OF_NAMES, CodecError, hints_of, plain, value_of

MAGIC: Final = "linit-checkpoint"
FORMAT_VERSION: Final = 1

# Of the board: attribute -> its type, of what is saved as it is.
BOARD_SAVED: Final[Mapping[str, Any]] = {
    "now_s": float,
    "changed": dict[str, None],
    "idlers": dict[str, None],
    "leaving": dict[str, None],
    "terminals": dict[str, str],
    "_queued": dict[str, dict[str, None]],
    "mixed": set[str],
    "rewired": bool,
    "is_ending": bool,
}
# What is saved in a form of its own, or made anew from what is saved.
ENGINE_DERIVED: Final = {"plan", "locks", "_course", "_board", "_ledger"}
ENGINE_STATELESS: Final = {
    "_waits", "_desires", "_lifecycle", "_asking", "_wedges", "_renewal", "_handlers", "_unit_handlers",
}  # fmt: skip
BOARD_DERIVED: Final = {"units", "links", "effects", "counts", "held", "goals", "rising", "acts"}
LEDGER_DERIVED: Final = {"_pending", "_by_service", "_reloads"}
LOCKS_DERIVED: Final = {"_queues", "_claims"}
LINKS_DERIVED: Final = {
    "learning", "frugal", "_forward", "_reverse", "_hostile", "_provided", "_preferring",
    "_kinds_from", "_forward_by",
}  # fmt: skip
UNIT_DERIVED: Final = {"name", "service", "next_service"}
UNIT_NEIGHBOURS: Final = {"owners", "others", "listed"}  # found when they are asked for
UNIT_COUNTS: Final = {"blockers", "doomed", "unmet", "holders", "alive", "hopeful", "ready"}  # kept by the edges

EFFECTS: Final[Mapping[str, Any]] = {each.__name__: each for each in typing.get_args(effects.Effect)}


class CheckpointError(Exception):
    """Data that no engine can be made of; the text says why."""


# -- out -----------------------------------------------------------------------------------------------------------


def take(engine: Engine) -> bytes:
    """The state of `engine` as it is between two events, without its plan. Costs some microseconds a service."""
    board = engine._board
    planned = {service.name: service for service in engine.plan.services}
    state = {
        "format": [MAGIC, FORMAT_VERSION],
        "linit": VERSION,
        "compiled_at": engine.plan.compiled_at,
        "course": _said(engine._course, hints_of(Course)),
        "board": _said(board, BOARD_SAVED) | _lists(board),
        "units": [_unit(unit, planned.get(unit.name)) for unit in board.units.values()],
        "order": _order(board),
        "effects": [[type(each).__name__, plain(each)] for each in board.effects],
        "requests": [plain(pending) for pending in engine._ledger],
        **_reloads(engine._ledger),
        "locks": [plain(claim) for claim in engine.locks],
    }
    packed: bytes = messagepack.packb(state, unicode_errors=BYTES_OF_NAMES)
    return packed


def _said(owner: object, saved: Iterable[str]) -> dict[str, Any]:
    return {name: plain(getattr(owner, name)) for name in saved}


def _unit(unit: Unit, planned: Service | None) -> list[Any]:
    """The name, the definition and the next one (nil: none; 0: the plan's), and all that is not as in a new unit."""
    said = {}
    for name, default in _DEFAULTS.items():
        value = getattr(unit, name)
        if value is not default and value != default:
            said[name] = plain(value)
    return [unit.name, _service(unit.service, planned), _service(unit.next_service, planned), said]


def _service(service: Service | None, planned: Service | None) -> Any:
    if service is not None and (service is planned or service == planned):
        return 0
    return plain(service)


def _lists(board: Board) -> dict[str, list[str]]:
    """Who is to be judged and to act: somebody after an exception only."""
    goals = [unit.name for unit in (*board.goals, *board.rising)]
    return {"goals": goals, "acts": [unit.name for unit in board.acts]}


def _order(board: Board) -> list[str]:
    """In which order the units' edges were joined, if that is not the units' own: dependents are told in it."""
    joined = list(board.links._forward)
    return [] if joined == list(board.units) else joined


def _reloads(ledger: Ledger) -> dict[str, Any]:
    """Requests that wait for reload commands: one that waits for several stands with each of their names."""
    known: dict[int, Pending] = {id(each): each for waiting in ledger._reloads.values() for each in waiting}
    numbers = {identity: number for number, identity in enumerate(known)}
    by_name = {name: [numbers[id(each)] for each in waiting] for name, waiting in ledger._reloads.items()}
    return {"reloads": [plain(each) for each in known.values()], "reloading": by_name}


# -- in ------------------------------------------------------------------------------------------------------------


def restore(plan: Plan, data: bytes) -> Engine:
    """The engine in that state; `plan` is the one it had. Raises CheckpointError."""
    state = _read(data)
    if state.get("compiled_at") != plan.compiled_at:
        raise CheckpointError(
            f"the checkpoint is of a plan compiled at {state.get('compiled_at')}, not at {plan.compiled_at}"
        )
    try:
        return _restored(plan, state)
    except (CodecError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint of linit {state.get('linit')} is damaged: {error!r}") from error


def _read(data: bytes) -> dict[str, Any]:
    try:
        state = messagepack.unpackb(data, unicode_errors=BYTES_OF_NAMES)
    except (ValueError, TypeError, messagepack.UnpackException) as error:
        raise CheckpointError(f"no checkpoint: {error!r}") from error
    found = state.get("format") if isinstance(state, dict) else None
    if found != [MAGIC, FORMAT_VERSION]:
        raise CheckpointError(f"found format {found!r}, expected {[MAGIC, FORMAT_VERSION]!r}")
    return dict(state)


def _restored(plan: Plan, state: dict[str, Any]) -> Engine:
    engine = Engine(Plan(()))
    engine.plan = plan
    _put(engine._course, hints_of(Course), state["course"])
    _restore_board(engine._board, {service.name: service for service in plan.services}, state)
    _restore_requests(engine._ledger, state)
    for raw in state["locks"]:
        engine.locks.add(value_of(Claim, raw, None, "lock"))
    return engine


def _put(owner: object, saved: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    for name, hint in saved.items():
        setattr(owner, name, value_of(hint, said[name], None, name))


def _restore_board(board: Board, planned: Mapping[str, Service], state: dict[str, Any]) -> None:
    for name, service, next_service, said in state["units"]:
        definition = _service_of(service, planned.get(name))
        if definition is None:
            raise CodecError(f"{name} has no definition")
        unit = board.units[name] = Unit(name, definition)
        unit.next_service = _service_of(next_service, planned.get(name))
        _put(unit, {each: _HINTS[each] for each in said}, said)
        if definition.kind is not Kind.VIRTUAL:
            board.counts[unit.state] += 1
            board.held += unit.stop_phase is StopPhase.HELD
    for name in state["order"] or board.units:
        board.links.add(board.units[name].service)
    board._recount()
    board.goals.clear()  # nobody has to look again but those that had to
    said = state["board"]
    _put(board, BOARD_SAVED, said)
    board.goals.extend(board.units[name] for name in said["goals"])
    for name in said["acts"]:
        board.units[name].listed = True
        board.acts.append(board.units[name])
    board.effects = [value_of(EFFECTS[name], raw, None, name) for name, raw in state["effects"]]


def _service_of(raw: Any, planned: Service | None) -> Service | None:
    return planned if raw == 0 else value_of(Service | None, raw, None, "service")


def _restore_requests(ledger: Ledger, state: dict[str, Any]) -> None:
    for raw in state["requests"]:
        ledger.open(value_of(Pending, raw, None, "request"))
    waiting = [value_of(Pending, raw, None, "request") for raw in state["reloads"]]
    for name, numbers in state["reloading"].items():
        for number in numbers:
            ledger.open_reload(name, waiting[number])


def _default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


_HINTS: Final = hints_of(Unit)
_DEFAULTS: Final[dict[str, Any]] = {
    each.name: _default_of(each)
    for each in fields(Unit)
    if each.name not in UNIT_DERIVED | UNIT_COUNTS | UNIT_NEIGHBOURS
}
