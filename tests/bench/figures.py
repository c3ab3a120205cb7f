"""What was measured: figures, shown as a table for people or as JSON for programs."""

from __future__ import annotations

import gc
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final

COLUMNS: Final = ("what", "size", "figure", "aim", "remarks")
DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `size`: how many services (or edges) it was measured with; `aim`: what the project wants, "" if it
    says nothing; `more`: what else there is to know about it."""

    what: str
    size: int
    value: float
    unit: str
    aim: str = ""
    more: str = ""


def best_of(times: int, act: Callable[[], object]) -> float:
    """Seconds of the processor that `act` takes, whoever else is busy: the best of some runs.

    As in PID 1, what is there before is kept away from the collector of garbage.
    """
    best_s = float("inf")
    for _ in range(times):
        gc.freeze()
        began_s = time.process_time()
        act()
        best_s = min(best_s, time.process_time() - began_s)
        gc.unfreeze()
    return best_s


def table(figures: Iterable[Figure]) -> str:
    """Lines of columns; a blank line where another subject begins."""
    rows = [(each.what, f"{each.size:,}", _shown(each), each.aim, each.more) for each in figures]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [_line(COLUMNS, widths), _line(["-" * width for width in widths], widths)]
    before = ""
    for row in rows:
        subject = row[0].partition(":")[0]
        lines += [""] * (bool(before) and subject != before) + [_line(row, widths)]
        before = subject
    return "\n".join(lines)


def as_json(figures: Iterable[Figure]) -> str:
    """The figures with the machine that they are true of."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "processors": os.cpu_count()}
    return json.dumps(machine | {"figures": [asdict(each) for each in figures]}, indent=2)


def _shown(figure: Figure) -> str:
    whole = figure.value >= 10**DIGITS
    return f"{figure.value:,.0f} {figure.unit}" if whole else f"{figure.value:.{DIGITS}g} {figure.unit}"


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    """Numbers to the right, words to the left."""
    aligned = [
        cell.rjust(width) if index in (1, 2) else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()
