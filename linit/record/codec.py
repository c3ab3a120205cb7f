"""How is an event said in a record? By a table made from the events themselves: an array of the class's name, the time
and the fields in their order.

A new event class in `linit.engine.events.Event` needs nothing here. Writing looks at values only, since PID 1 does it;
`reading` goes by the annotated types. A plan is too big for a row: its field is nil, and the plan stands right before
the event.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from linit import messagepack
from linit.engine import events
from linit.model.service import Plan

BYTES_OF_NAMES: Final = "surrogateescape"  # a file name need not be UTF-8
SAME: Final = (str, int, float, bytes)  # made once: `str | int` is a new type each time
LISTS: Final = (tuple, list)
SETS: Final = (frozenset, set)


def pack_event(event: events.Event, at_s: float) -> bytes:
    """An event with its time, in bytes."""
    return pack_row([type(event).__name__, at_s, *_fields(event)])


def pack_row(row: list[Any]) -> bytes:
    """A row that is no event: its first word says what it is."""
    packed: bytes = messagepack.packb(row, unicode_errors=BYTES_OF_NAMES)
    return packed


def _fields(value: Any) -> list[Any]:
    return [plain(getattr(value, name)) for name in type(value).__match_args__]


def plain(value: Any) -> Any:
    """A value of linit in what MessagePack knows. A plan becomes nil."""
    if value is None or isinstance(value, SAME):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Plan):
        return None
    if isinstance(value, LISTS):
        return [plain(each) for each in value]
    if isinstance(value, SETS):
        return sorted(plain(each) for each in value)
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    return _fields(value)
