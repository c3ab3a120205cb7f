"""How is an engine put together again from a checkpoint? It does from then on what the other one would have done: same
events, same effects. Never in PID 1, which only takes them.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Final

from linit import messagepack
from linit.engine import effects
from linit.engine.board import Board
from linit.engine.course import Course
from linit.engine.engine import Engine
from linit.engine.locks import Claim
from linit.engine.requests import Ledger, Pending
from linit.engine.unit import Unit
from linit.model.service import Kind, Plan, Service
from linit.record.checkpoint import BOARD_SAVED, FORMAT_VERSION, MAGIC
from linit.record.codec import BYTES_OF_NAMES
from linit.record.reading import CodecError, hints_of, value_of

EFFECTS: Final[Mapping[str, Any]] = {each.__name__: each for each in typing.get_args(effects.Effect)}
UNIT_HINTS: Final = hints_of(Unit)


class CheckpointError(Exception):
    """Data that no engine can be made of; the text says why."""


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
        _put(unit, {each: UNIT_HINTS[each] for each in said}, said)
        if definition.kind is not Kind.VIRTUAL:
            board.counts[unit.state] += 1
    for name in state["order"] or board.units:
        board.links.add(board.units[name].service)
    board._recount()
    board.goals.clear()  # nobody has to look again but those that had to
    said = state["board"]
    _put(board, BOARD_SAVED, said)
    board.rested = bool(board.changed)  # who changed may be at rest
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
