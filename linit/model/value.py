"""How is a value made that is made often? The engine makes several with every event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass with slots. That nobody writes its fields is left to the type checker.

    `dataclass(frozen=True)` would forbid it at run time as well, but then makes each value four times as slowly: its
    own `__init__` has to get around that, field by field.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
