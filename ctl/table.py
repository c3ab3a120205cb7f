"""Columns that line up, whatever colours their cells have."""

from __future__ import annotations

from linitctl.style import BOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from linitctl.style import Style

    Cell = str | tuple[str, str]  # a text, or a text and its colour

GAP: Final = "  "


def render(
    header: Sequence[str], rows: Sequence[Sequence[Cell]], style: Style, width: int = 0, right: Sequence[int] = ()
) -> list[str]:
    """The lines of a table. Columns in `right` (numbers, from 0) are aligned to the right.

    `width` (0: any) cuts the last column, so that a row is a line of the terminal. An empty `header` is left out.
    """
    titles: list[Sequence[Cell]] = [[(title, BOLD) for title in header]] if header else []
    lines = [*titles, *rows]
    if not lines:
        return []
    texts = [[cell if isinstance(cell, str) else cell[0] for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    if width:
        _cut_last(texts, width - sum(widths[:-1]) - len(GAP) * (len(widths) - 1))
        widths[-1] = max(len(line[-1]) for line in texts)
    if style.has_colour:
        return [_painted(line, shown, widths, style, right) for line, shown in zip(lines, texts, strict=True)]
    template = GAP.join(f"%{'' if number in right else '-'}{size}s" for number, size in enumerate(widths))
    return [(template % tuple(line)).rstrip() for line in texts]


def _cut_last(texts: list[list[str]], width: int) -> None:
    for line in texts:
        if len(line[-1]) > width:
            line[-1] = f"{line[-1][: max(0, width - 1)]}…"


def _painted(line: Sequence[Cell], texts: list[str], widths: list[int], style: Style, right: Sequence[int]) -> str:
    """Colours have no width: what is painted is padded by hand."""
    parts = []
    for number, (cell, text) in enumerate(zip(line, texts, strict=True)):
        painted = text if isinstance(cell, str) else style.paint(text, cell[1])
        padding = " " * (widths[number] - len(text))
        parts.append(padding + painted if number in right else painted + padding)
    return GAP.join(parts).rstrip()
