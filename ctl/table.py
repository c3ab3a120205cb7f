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
    widths = [max(len(_text(line[column])) for line in lines) for column in range(len(lines[0]))]
    return [_line(line, widths, style, width, right) for line in lines]


def _line(cells: Sequence[Cell], widths: list[int], style: Style, width: int, right: Sequence[int]) -> str:
    parts = []
    used = 0
    for column, cell in enumerate(cells):
        text, colour = (cell, "") if isinstance(cell, str) else cell
        is_last = column == len(cells) - 1
        if is_last and width and used + len(text) > width:
            text = f"{text[: max(0, width - used - 1)]}…"
        padding = " " * (widths[column] - len(text)) if not is_last or column in right else ""
        painted = style.paint(text, colour)
        parts.append(padding + painted if column in right else painted + padding)
        used += widths[column] + len(GAP)
    return GAP.join(parts).rstrip()


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]
