"""What is the engine's whole state, as plain data? Taken at one moment, put together again by `restoring` at another.

A re-exec travels so, and a recording that has dropped its beginning starts with one. Whatever is not listed here as
saved or as made anew is a fault that tests/unit/test_checkpoint.py finds. PID 1 uses this: it looks at values only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from linit import VERSION, messagepack
from linit.engine.board import Board
from linit.engine.course import Course
from linit.engine.engine import Engine
from linit.engine.requests import Ledger, Pending
from linit.engine.unit import Unit
from linit.model.place import Place
from linit.model.service import Service
from linit.record.codec import BYTES_OF_NAMES, plain

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
BOARD_DERIVED: Final = {"units", "links", "effects", "counts", "held", "holding", "goals", "rising", "acts", "rested"}
LEDGER_DERIVED: Final = {"owed", "_by_service", "reloading"}
LOCKS_DERIVED: Final = {"_queues", "_claims"}
LINKS_DERIVED: Final = {
    "learning", "frugal", "_forward", "_reverse", "_hostile", "_provided", "_preferring",
    "_kinds_from", "_forward_by", "_pulled",
}  # fmt: skip
UNIT_DERIVED: Final = {"name", "service", "next_service"}
UNIT_NEIGHBOURS: Final = {"owners", "others", "listed"}  # found when they are asked for
UNIT_COUNTS: Final = {"blockers", "doomed", "unmet", "holders", "alive", "hopeful", "ready"}  # kept by the edges

_NEW: Final = Unit("", Service("", Place("")))
UNIT_SAVED: Final = tuple(name for name in Unit.__slots__ if name not in UNIT_DERIVED | UNIT_COUNTS | UNIT_NEIGHBOURS)


def take(engine: Engine) -> bytes:
    """The state of `engine` as it is between two events, without its plan. Costs some microseconds a service."""
    board = engine._board
    planned = {service.name: service for service in engine.plan.services}
    state = {
        "format": [MAGIC, FORMAT_VERSION],
        "linit": VERSION,
        "compiled_at": engine.plan.compiled_at,
        "course": _said(engine._course, Course.__slots__),
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
    for name in UNIT_SAVED:
        value, default = getattr(unit, name), getattr(_NEW, name)
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
    known: dict[int, Pending] = {id(each): each for waiting in ledger.reloading.values() for each in waiting}
    numbers = {identity: number for number, identity in enumerate(known)}
    by_name = {name: [numbers[id(each)] for each in waiting] for name, waiting in ledger.reloading.items()}
    return {"reloads": [plain(each) for each in known.values()], "reloading": by_name}
