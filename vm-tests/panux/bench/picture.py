"""The results as a picture: a panel for each comparison, a bar for each peer, in SVG that follows light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

from panux.bench.results import QUANTITIES, Comparison, Figure, Series, ranked
from panux.bench.table import MODE_TITLES

WIDTH: Final = 1040
MARGIN: Final = 28
NAMES: Final = 96
"""Room for the names, left of the bars."""
Column = tuple[str, int, Callable[[Series], str]]
COLUMNS: Final[tuple[Column, ...]] = (
    ("PID 1", 72, lambda series: megabytes(series, "pid1_pss_kib")),
    ("resident", 142, lambda series: megabytes(series, "pid1_rss_kib")),
    ("its others", 212, lambda series: megabytes(series, "others_pss_kib")),
    ("on disk", 278, lambda series: f"{series.size_bytes / 1e6:.1f} MB"),
    ("status", 344, lambda series: shown(series, "status_s", 1000, 0, "ms")),
    ("switch off", 414, lambda series: shown(series, "shutdown_s", 1, 2, "s")),
)
"""What a peer costs, right of the bars: title, where the column ends, and its text."""
FACTS: Final = 414
ROW: Final = 30
BAR: Final = 18
HEAD: Final = 92
FOOT: Final = 40
TICKS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
OWN: Final = "linit"
STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #2b2d33 }
.title { font-size: 17px; font-weight: 600 }
.quiet { fill: #7b808c; font-size: 11.5px }
.number { font-variant-numeric: tabular-nums }
.own text, text.own { font-weight: 600 }
.page { fill: #fdfdfb } .bar { fill: #b9c2cf } .said { fill: #d9dee6 } .own .bar { fill: #2f7d6d }
.own .said { fill: #9cc7bd } .grid { stroke: #e6e7ea } .spread { stroke: #50545e; stroke-width: 1.4 }
.bound { stroke: #c4572e; stroke-width: 1.5; stroke-dasharray: 5 4 } .boundname { fill: #c4572e; font-size: 11.5px }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e5e9 } .quiet { fill: #9096a3 } .page { fill: #17191e } .bar { fill: #566072 }
  .said { fill: #3a4150 } .own .bar { fill: #4fb39d } .own .said { fill: #2b5f55 } .grid { stroke: #2a2d35 }
  .spread { stroke: #c9ccd4 } .bound { stroke: #e58a62 } .boundname { fill: #e58a62 }
}"""


def picture(comparisons: Sequence[Comparison]) -> str:
    """The whole picture."""
    panels: list[str] = []
    top = 0.0
    for comparison in comparisons:
        panels += panel(comparison, top)
        top += HEAD + ROW * len(comparison.series) + FOOT
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}" width="{WIDTH}" height="{top:g}">',
        f"<title>Boots of linit and other inits</title>\n<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{WIDTH}" height="{top:g}"/>',
        *panels,
        "</svg>\n",
    ])  # fmt: skip


def panel(comparison: Comparison, top: float) -> Iterator[str]:
    """One comparison, the quickest first."""
    rows = ranked(comparison)
    figures = [series.figure(lambda run: run.up_s) for series in rows]
    longest = max([figure.most for figure in figures if figure] + [comparison.bound_s, 0.001])
    left, right = MARGIN + NAMES, WIDTH - MARGIN - FACTS
    scale = (right - left) / longest
    floor = top + HEAD + ROW * len(rows)
    yield text(
        MARGIN, top + 34, f"Set {comparison.set_name}, {comparison.boot} boot: exec of init to everything up", "title"
    )
    yield text(MARGIN, top + 54, MODE_TITLES[comparison.mode], "quiet")
    for title, end, _ in COLUMNS:
        yield text(right + end, top + HEAD - 10, title, "quiet", "end")
    step = next((tick for tick in TICKS if longest / tick <= 8), TICKS[-1])
    for number in range(int(longest / step) + 1):
        at = left + number * step * scale
        yield f'<line class="grid" x1="{at:.1f}" y1="{top + HEAD:g}" x2="{at:.1f}" y2="{floor + 4:g}"/>'
        yield text(at, floor + 18, f"{number * step:g} s", "quiet", "middle")
    for number, (series, figure) in enumerate(zip(rows, figures, strict=True)):
        yield from row(series, figure, top + HEAD + ROW * number, (left, right, scale))
    if comparison.bound_s:
        at = left + comparison.bound_s * scale
        yield f'<line class="bound" x1="{at:.1f}" y1="{top + HEAD - 6:g}" x2="{at:.1f}" y2="{floor + 4:g}"/>'
        yield text(at, top + HEAD - 10, f"no init can do better: {comparison.bound_s:.2f} s", "boundname", "middle")


def row(series: Series, figure: Figure | None, top: float, place: tuple[float, float, float]) -> Iterator[str]:
    """A peer: its name, the bar (paler from where the init thought that it was done), the spread, what it costs."""
    left, right, scale = place
    middle = top + ROW / 2
    yield f'<g class="{"own" if series.peer == OWN else "peer"}">'
    yield text(left - 10, middle + 4.5, series.peer, "", "end")
    if figure is None:
        yield text(left + 6, middle + 4.5, "does not boot", "quiet")
    else:
        said = series.figure(lambda run: run.said_s) or figure
        width, solid = figure.median * scale, min(said.median, figure.median) * scale
        yield f'<rect class="said" x="{left:g}" y="{middle - BAR / 2:g}" width="{width:.1f}" height="{BAR}" rx="3"/>'
        yield f'<rect class="bar" x="{left:g}" y="{middle - BAR / 2:g}" width="{solid:.1f}" height="{BAR}" rx="3"/>'
        if len(series.good) > 1:
            ends = (left + figure.least * scale, left + figure.most * scale)
            yield f'<line class="spread" x1="{ends[0]:.1f}" y1="{middle:g}" x2="{ends[1]:.1f}" y2="{middle:g}"/>'
        beyond = left + figure.most * scale + 6
        inside = beyond > right - 40
        yield text(left + width - 8 if inside else beyond, middle + 4.5, f"{figure.median:.2f}", "number",
                   "end" if inside else "start")  # fmt: skip
    for title, end, cell in COLUMNS:
        if figure is not None or title == "on disk":
            yield text(right + end, middle + 4.5, cell(series), "quiet number", "end")
    yield "</g>"


def megabytes(series: Series, quantity: str) -> str:
    """A quantity in KiB, as MB of 10^6 bytes."""
    return shown(series, quantity, 1.024e-3, 1, "MB")


def shown(series: Series, quantity: str, scale: float, digits: int, unit: str) -> str:
    """The median of a quantity for a person, "-" where it was not measured."""
    figure = series.figure(QUANTITIES[quantity])
    return f"{figure.median * scale:.{digits}f} {unit}" if figure else "-"


def text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    """A line of text."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
