"""How does the picture of a boot look? Its colours, by day and by night, and how wide its texts are."""

from __future__ import annotations

from typing import Final

TEXT: Final = 12.0  # height of letters
SMALL: Final = 11.0
NARROW: Final = frozenset("fijlrt.,:;'|()[]/- ")
NARROW_SHARE: Final = 0.4  # of the height: how wide a letter is in the widest of the usual fonts
WIDE_SHARE: Final = 0.66
BOLD_SHARE: Final = 1.12
LIGHT: Final = {
    "paper": "#ffffff", "ink": "#1d2330", "faint": "#667085", "line": "#e5e8ef", "stripe": "#f7f8fb",
    "wait": "#c3cad6", "start": "#4c86d6", "cpu": "#1f4f94", "up": "#dcefe2", "fail": "#cf2f3e", "back": "#e2ad35",
    "path": "#df6420", "pathcpu": "#9c3d0a", "level": "#7a52c7", "phase": "#a7b0c0", "linit": "#b8a3e0",
    "busy": "#7fa9e3", "disk": "#e9c46f",
}  # fmt: skip
DARK: Final = {
    "paper": "#12151c", "ink": "#e8ebf2", "faint": "#98a2b5", "line": "#2a303d", "stripe": "#181c25",
    "wait": "#465063", "start": "#4d8be0", "cpu": "#b5d2fb", "up": "#1b3a29", "fail": "#f0606d", "back": "#d9a634",
    "path": "#f08a45", "pathcpu": "#ffd9bd", "level": "#b394f2", "phase": "#5a6478", "linit": "#6f5ba3",
    "busy": "#3c6db3", "disk": "#8f742f",
}  # fmt: skip
FILLED: Final = (
    "paper", "stripe", "wait", "start", "cpu", "up", "fail", "back", "pathcpu", "phase", "linit", "busy", "disk",
)  # fmt: skip
SHAPE: Final = """\
text { font: 12px system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif }
text.title { font-size: 20px; font-weight: 600 } text.small { font-size: 11px }
text.right { text-anchor: end } text.middle { text-anchor: middle } text.bold { font-weight: 600 }
.hit { fill: transparent } .row:hover .hit { fill: #8888; fill-opacity: .18 }
.halo { paint-order: stroke; stroke-width: 3px; stroke-linejoin: round }
path.link { fill: none; stroke-width: 1.5 } .slice rect { shape-rendering: crispEdges }
line.level { stroke-dasharray: 3 3 } line.end { stroke-width: 1.5 }
"""


def style() -> str:
    """The rules of the picture. Those for a dark desktop come last and win there."""
    return f"{SHAPE}{_colours(LIGHT)}@media (prefers-color-scheme: dark) {{\n{_colours(DARK)}}}\n"


def width_of(words: str, height: float) -> float:
    """About how wide a text is. Nobody knows the reader's font: rather too much than too little."""
    return sum(NARROW_SHARE if letter in NARROW else WIDE_SHARE for letter in words) * height


def cut(words: str, room: float) -> str:
    """As much of a text as has room. What is left out is its middle: names often differ at the end."""
    if width_of(words, TEXT) <= room:
        return words
    kept = len(words) - 1
    while kept and width_of(f"{words[: (kept + 1) // 2]}…{words[len(words) - kept // 2 :]}", TEXT) > room:
        kept -= 1
    return f"{words[: (kept + 1) // 2]}…{words[len(words) - kept // 2 :]}"


def _colours(palette: dict[str, str]) -> str:
    """What differs between light and dark. Written out: not every viewer knows var()."""
    rules = [f".{name} {{ fill: {palette[name]} }}" for name in FILLED]
    rules += [f"text.{name}, .{name} {{ fill: {palette[name]} }}" for name in ("ink", "faint", "path", "level")]
    rules += [f"line.grid {{ stroke: {palette['line']} }}", f"line.level, line.end {{ stroke: {palette['level']} }}"]
    rules += [f"path.link {{ stroke: {palette['path']} }}", f"text.failed {{ fill: {palette['fail']} }}"]
    rules += [f".halo {{ stroke: {palette['paper']} }}"]
    return "".join(f"{rule}\n" for rule in rules)
