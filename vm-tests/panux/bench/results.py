"""What came out: the runs of every peer, their medians and spread, and how they compare; as JSON too."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from panux.bench.measure import Run

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured quantity over several boots."""

    median: float
    least: float
    most: float


@dataclass(slots=True)
class Series:
    """All boots of one peer with one set in one mode."""

    peer: str
    size_bytes: int
    runs: list[Run] = field(default_factory=list)

    @property
    def good(self) -> list[Run]:
        """The runs that came to the end of the boot."""
        return [run for run in self.runs if not run.error]

    @property
    def error(self) -> str:
        """Why there is nothing to show; "" where at least one boot succeeded."""
        return "" if self.good or not self.runs else self.runs[-1].error

    def figure(self, of: Callable[[Run], float | None]) -> Figure | None:
        """Median, least and most of a quantity over the good runs that have it."""
        values = [value for value in map(of, self.good) if value is not None]
        return Figure(statistics.median(values), min(values), max(values)) if values else None


@dataclass(slots=True)
class Comparison:
    """One set in one mode: what every peer did, and the least time that any init could need (0: not known).

    `boot`: of a new disk ("first"), or of one that was booted before ("second")."""

    set_name: str
    mode: str
    series: list[Series]
    bound_s: float = 0.0
    chain: tuple[str, ...] = ()
    chain_s: float = 0.0
    work_s: float = 0.0
    cores: int = 1
    boot: str = "first"


QUANTITIES: Final[Mapping[str, Callable[[Run], float | None]]] = {
    "up_s": lambda run: run.up_s,
    "said_s": lambda run: run.said_s,
    "pid1_pss_kib": lambda run: run.pid1_pss_kib,
    "pid1_rss_kib": lambda run: run.pid1_rss_kib,
    "others_pss_kib": lambda run: run.others_pss_kib,
    "status_s": lambda run: run.status_s,
    "shutdown_s": lambda run: run.shutdown_s,
}
"""What each boot has measured."""


def ratios(comparison: Comparison, quantity: str) -> dict[str, float]:
    """How many times the least median of all peers each peer's is; without those that have none, or where it is 0."""
    figures = {series.peer: series.figure(QUANTITIES[quantity]) for series in comparison.series}
    medians = {peer: figure.median for peer, figure in figures.items() if figure}
    least = min(medians.values(), default=0.0)
    return {peer: median / least for peer, median in medians.items()} if least else {}


def ranked(comparison: Comparison) -> list[Series]:
    """The series, quickest boot first; those that failed last."""

    def key(series: Series) -> float:
        figure = series.figure(lambda run: run.up_s)
        return figure.median if figure else float("inf")

    return sorted(comparison.series, key=key)


def as_json(comparisons: Sequence[Comparison], facts: Mapping[str, Any]) -> str:
    """Everything, down to each run; medians, spread and ratios beside the runs that they follow from."""
    return json.dumps({"format": FORMAT, **facts, "comparisons": [entry_of(each) for each in comparisons]}, indent=1)


def entry_of(comparison: Comparison) -> dict[str, Any]:
    """A comparison for JSON."""
    entry = asdict(comparison)
    for series, each in zip(comparison.series, entry["series"], strict=True):
        each["figures"] = {
            quantity: {**asdict(figure), "ratio": ratios(comparison, quantity).get(series.peer)}
            for quantity, of in QUANTITIES.items()
            if (figure := series.figure(of)) is not None
        }
    return entry


def from_json(file: Path) -> list[Comparison]:
    """The comparisons that `as_json` wrote."""
    return [
        Comparison(**{**entry, "series": [series_of(each) for each in entry["series"]], "chain": tuple(entry["chain"])})
        for entry in json.loads(file.read_text())["comparisons"]
    ]


def series_of(entry: Mapping[str, Any]) -> Series:
    """A series as `asdict` wrote it."""
    runs = [
        Run(**{**run, "others": tuple(map(tuple, run["others"])), "notes": tuple(run["notes"])})
        for run in entry["runs"]
    ]
    return Series(entry["peer"], entry["size_bytes"], runs)
