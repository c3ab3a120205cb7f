"""The results as text in columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from panux.bench.measure import Run
from panux.bench.results import QUANTITIES, Comparison, Figure, Series, ranked

HEAD: Final = (
    "peer", "up s", "ratio", "of bound", "said s", "PID 1 PSS", "RSS", "others PSS", "size",
    "status ms", "off s",
)  # fmt: skip
LEGEND: Final = """\
up: from the exec of init until everything answers; ratio: to the quickest; all figures are medians of the boots
said: when the init had come to the last service; PSS, RSS: MB of 10^6 bytes; others: what else the init keeps running
size: MB on the disk of the init and what only it needs; status: one command; off: from the wish to the last word"""
SPREADS: Final = (
    ("up s", "up_s", 1.0, 2), ("said s", "said_s", 1.0, 2), ("PID 1 PSS", "pid1_pss_kib", 1.024e-3, 1),
    ("RSS", "pid1_rss_kib", 1.024e-3, 1), ("others PSS", "others_pss_kib", 1.024e-3, 1),
    ("status ms", "status_s", 1000.0, 0), ("off s", "shutdown_s", 1.0, 2),
)  # fmt: skip
"""Title, quantity, factor, digits."""
SHOWN_LINES: Final = 6
MODE_TITLES: Final = {
    "icount": "instructions counted, one processor of 500 million a second",
    "wall": "two emulated processors, by the clock",
}


def table(comparison: Comparison) -> str:
    """One comparison: a row each peer, the quickest first; its spread; then the bound, and what went wrong."""
    rows = ranked(comparison)
    best = rows[0].figure(lambda run: run.up_s) if rows else None
    title = f"set {comparison.set_name}, {comparison.boot} boot: {MODE_TITLES[comparison.mode]}"
    lines = in_columns([HEAD, *(row(series, best, comparison.bound_s) for series in rows)])
    return "\n".join([title, *lines, *spread_lines(rows), *bound_lines(comparison), *notes(rows)])


def in_columns(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in
                  enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]  # fmt: skip


def spread_lines(rows: list[Series]) -> list[str]:
    """Least and most of what is measured, where there are several boots."""
    if all(len(series.good) < 2 for series in rows):
        return []

    def cell(series: Series, quantity: str, scale: float, digits: int) -> str:
        figure = series.figure(QUANTITIES[quantity])
        return f"{figure.least * scale:.{digits}f}-{figure.most * scale:.{digits}f}" if figure else "-"

    lines = [("peer", "boots", *(head for head, _, _, _ in SPREADS))]
    for series in rows:
        cells = (cell(series, quantity, scale, digits) for _, quantity, scale, digits in SPREADS)
        lines.append((series.peer, str(len(series.good)), *cells))
    return ["least-most", *in_columns(lines)]


def later_boots(comparisons: list[Comparison]) -> str:
    """How much quicker the later boots of the same set are than the first, for each peer; "" for one comparison."""
    if len(comparisons) < 2:
        return ""
    first, second = comparisons
    lines = [("peer", "first s", "second s", "ratio")]
    for later in ranked(second):
        earlier = next(series for series in first.series if series.peer == later.peer)
        up, before = later.figure(QUANTITIES["up_s"]), earlier.figure(QUANTITIES["up_s"])
        if up and before:
            lines.append((later.peer, f"{before.median:.2f}", f"{up.median:.2f}", f"{up.median / before.median:.2f}"))
    return "\n".join(["", f"set {first.set_name}, second boot beside first", *in_columns(lines)])


def row(series: Series, best: Figure | None, bound_s: float) -> tuple[str, ...]:
    """The cells of a peer."""
    up = series.figure(lambda run: run.up_s)
    if up is None or best is None:
        return (series.peer, "failed", *[""] * 6, f"{series.size_bytes / 1e6:.1f}", "", "")

    def cell(of: Callable[[Run], float | None], scale: float, digits: int) -> str:
        figure = series.figure(of)
        return f"{figure.median * scale:.{digits}f}" if figure else "-"

    return (
        series.peer,
        f"{up.median:.2f}",
        f"{up.median / best.median:.2f}",
        f"{up.median / bound_s:.2f}" if bound_s else "-",
        cell(lambda run: run.said_s, 1, 2),
        cell(lambda run: run.pid1_pss_kib, 1.024e-3, 1),
        cell(lambda run: run.pid1_rss_kib, 1.024e-3, 1),
        cell(lambda run: run.others_pss_kib, 1.024e-3, 1),
        f"{series.size_bytes / 1e6:.1f}",
        cell(lambda run: run.status_s, 1000, 0),
        cell(lambda run: run.shutdown_s, 1, 2),
    )


def bound_lines(comparison: Comparison) -> list[str]:
    """The least time that any init could need."""
    if not comparison.bound_s:
        return []
    return [
        f"lower bound {comparison.bound_s:.2f} s: the longest chain takes {comparison.chain_s:.2f} s alone "
        f"({' '.join(comparison.chain)}),",
        f"  all work divided by the processors {comparison.work_s / comparison.cores:.2f} s",
    ]


def notes(rows: list[Series]) -> list[str]:
    """What failed, and what is to be known of a run."""
    lines = []
    for series in rows:
        if series.error:
            lines.append(f"{series.peer}: does not boot: {shortened(series.error)}")
        seen = dict.fromkeys(note for run in series.good for note in run.notes)
        seen |= dict.fromkeys(
            "one of its boots failed: " + run.error for run in series.runs if run.error and series.good
        )
        if any(run.is_clean is False for run in series.good):
            seen["leaves the file system unclean"] = None
        lines += [f"{series.peer}: {shortened(note)}" for note in seen]
    return lines


def shortened(report: str) -> str:
    """A report that may have the console's end in it: its first line, and the last ones. JSON has it whole."""
    first, *rest = report.splitlines() or [""]
    return "\n    ".join([first, *rest[-SHOWN_LINES:]])
