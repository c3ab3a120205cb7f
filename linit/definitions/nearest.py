"""Which known name did a person probably mean?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

CLOSE_ENOUGH: Final = 0.7
LENGTH_APART_MAX: Final = 4


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, "" if none is close."""
    candidates = sorted(each for each in known if abs(len(each) - len(name)) <= LENGTH_APART_MAX)
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=CLOSE_ENOUGH)
    return close[0] if close else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """The hint of a fault: `did you mean 'need'?`, or ""."""
    close = nearest(name, known)
    return f"did you mean '{close}'?" if close else ""
