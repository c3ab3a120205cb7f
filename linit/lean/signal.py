"""Signals as numbers. The library's `signal` makes enumerations of them all, which takes it ten times as long."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from _signal import *  # noqa: F403 the same names, and the functions behind the library's


class Signals(int):
    """A signal: its number, with its `name`. The library's, as far as linit looks."""

    name: str
    value: int
    __members__: dict[str, Signals] = {}  # noqa: RUF012 as the library's

    def __new__(cls, number: int) -> Signals:
        """Raises ValueError for a number that is none."""
        for member in cls.__members__.values():
            if member == number:
                return member
        raise ValueError(f"{number} is not a valid Signals")


for _name in sorted(name for name in vars(_signal) if name.startswith("SIG") and not name.startswith("SIG_")):
    _member = int.__new__(Signals, getattr(_signal, _name))
    _member.name, _member.value = _name, int(_member)
    Signals.__members__[_name] = _member
