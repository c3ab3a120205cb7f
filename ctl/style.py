"""How does output look? Colours, and the words for times."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TextIO

# Source: ECMA-48, Select Graphic Rendition.
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
BOLD: Final = "1"
DIM: Final = "2"

COLOUR_OF_STATE: Final = {
    "up": GREEN,
    "failed": RED,
    "waiting": YELLOW,
    "starting": YELLOW,
    "stopping": YELLOW,
    "backoff": YELLOW,
    "down": DIM,
}

OUTDATED: Final = "its definition changed: a restart puts the new one to use"
KEPT: Final = "its new definition is broken: it goes on by the old one"
AGE_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))  # in seconds


class Style:
    """Paints when `has_colour`, else returns texts as they are."""

    def __init__(self, has_colour: bool) -> None:
        self.has_colour = has_colour

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour; colour "" is none."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.has_colour and colour and text else text

    def state(self, state: str, text: str = "") -> str:
        """A state (or another text) in the colour of the state."""
        return self.paint(text or state, COLOUR_OF_STATE.get(state, ""))


def wants_colour(when: str, stream: TextIO, environment: Callable[[str], str]) -> bool:
    """`when` is always, never or auto: on a terminal that is not dumb, unless NO_COLOR is set (no-color.org)."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not environment("NO_COLOR") and environment("TERM") != "dumb"


def duration(seconds: float | None) -> str:
    """How long something took: `0.21 s`, `12.3 s`, `2 min 5 s`; "" for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return age(seconds)


def age(seconds: float) -> str:
    """How long ago something was, in its two largest units: `8 s`, `2 min 5 s`, `3 h 1 min`, `12 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, smaller, smaller_unit in AGE_UNITS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {smaller_unit}" if rest else f"{whole // size} {unit}"
    raise AssertionError(f"{seconds} s have no unit")


def clock(wall_s: float) -> str:
    """A moment, in local time: `2026-11-22 14:50:01`."""
    import time  # only here: linitctl starts faster without

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_s))


def printable(text: str) -> str:
    """Text of a service, fit for a terminal: an escape sequence in it must not act."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in text)
