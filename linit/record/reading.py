"""What does a row of a recording say? The way back from `codec`: by the annotated types of the events, and nothing
else is taken. Whoever replays a recording reads; PID 1 never does.
"""

from __future__ import annotations

import collections.abc
import enum
import functools
import types
import typing
from dataclasses import is_dataclass
from typing import Any, Final

from linit.engine import events
from linit.model.service import Plan

CLASSES: Final[dict[str, Any]] = {each.__name__: each for each in typing.get_args(events.Event)}


class CodecError(Exception):
    """A row that is no event of this linit; the text says what is wrong with it."""


def event_of(row: list[Any], plan: Plan | None) -> events.Event:
    """The event in a row, with `plan` where it has one. Raises CodecError."""
    cls = CLASSES.get(row[0])
    if cls is None:
        raise CodecError(f"{row[0]!r} is no event of this linit")
    event: events.Event = _made(cls, row[2:], plan)
    return event


@functools.cache
def hints_of(cls: Any) -> dict[str, Any]:
    """The annotations of a class's fields, by name."""
    return typing.get_type_hints(cls)


def _made(cls: Any, raw: Any, plan: Plan | None) -> Any:
    names = list(cls.__dataclass_fields__)
    if not isinstance(raw, list) or len(raw) > len(names):
        raise CodecError(f"{cls.__name__}: found {raw!r}, expected {', '.join(names)}")
    hints = hints_of(cls)
    values = {
        name: value_of(hints[name], each, plan, f"{cls.__name__}.{name}")
        for name, each in zip(names, raw, strict=False)  # a field that a younger linit added has its default
    }
    try:
        return cls(**values)
    except TypeError as error:  # a field without a default that an older linit did not write
        raise CodecError(f"{cls.__name__}: {error}") from None


def value_of(hint: Any, raw: Any, plan: Plan | None, where: str) -> Any:
    """`raw` as the annotation `hint` says; `where` begins the text of a CodecError that this raises."""
    if hint is Plan:
        if plan is None:
            raise CodecError(f"{where}: its plan is missing")
        return plan
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _one_of(typing.get_args(hint), raw, plan, where)
    if origin is not None:
        return _collection(origin, typing.get_args(hint), raw, plan, where)
    if is_dataclass(hint):
        return _made(hint, raw, plan)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(raw)
        except ValueError:
            raise CodecError(f"{where}: {raw!r} is no {hint.__name__}") from None
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if (hint is None and raw is None) or (hint in (str, int, float, bool, bytes) and type(raw) is hint):
        return raw
    raise CodecError(f"{where}: found {raw!r}, expected {getattr(hint, '__name__', hint)}")


def _one_of(hints: tuple[Any, ...], raw: Any, plan: Plan | None, where: str) -> Any:
    if raw is None and type(None) in hints:
        return None
    faults = []
    for hint in hints:
        if hint is not type(None):
            try:
                return value_of(hint, raw, plan, where)
            except CodecError as fault:
                faults.append(str(fault))
    raise CodecError("; ".join(faults))


def _collection(origin: Any, of: tuple[Any, ...], raw: Any, plan: Plan | None, where: str) -> Any:
    if issubclass(origin, collections.abc.Mapping):
        if not isinstance(raw, dict):
            raise CodecError(f"{where}: found {raw!r}, expected a map")
        return {value_of(of[0], key, plan, where): value_of(of[1], each, plan, where) for key, each in raw.items()}
    if not isinstance(raw, list):
        raise CodecError(f"{where}: found {raw!r}, expected a list")
    if origin is tuple and of[-1] is not ...:
        if len(raw) != len(of):
            raise CodecError(f"{where}: found {len(raw)} values, expected {len(of)}")
        return tuple(value_of(hint, each, plan, where) for hint, each in zip(of, raw, strict=True))
    values = [value_of(of[0], each, plan, where) for each in raw]
    return tuple(values) if origin is tuple else origin(values)
