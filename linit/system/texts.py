"""What does a person read on the console? Pure functions from values to whole lines; console.py prints them.

A line begins with the seconds since the kernel started, as the kernel's own lines do. `paint` False leaves out the
colours: SGR parameters of ECMA-48, as every terminal since the VT220 knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from linit.engine.unit import StopPhase, Unit
from linit.model.place import Place
from linit.model.reason import Reason
from linit.model.service import Kind
from linit.model.state import Finish, UnitState
from linit.system.words import count, seconds

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
BOLD: Final = "1"

NAME_WIDTH_MIN: Final = 16
NAME_WIDTH_MAX: Final = 28
WAITED_FOR_MAX: Final = 6  # lines at once; the rest is counted
WAITED_FOR: Final = frozenset({UnitState.STARTING, UnitState.STOPPING, UnitState.BACKOFF})  # others wait for them

FINISH_WORDS: Final = {
    Finish.POWEROFF: "powering off",
    Finish.REBOOT: "rebooting",
    Finish.HALT: "halting",
    Finish.EXIT: "ending",
}


def painted(text: str, colour: str, paint: bool) -> str:
    """The text in a colour, if there are colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if paint else text


@dataclass(frozen=True, slots=True)
class Form:
    """How lines look on this console: with colours or without, and how wide the column of names is."""

    paint: bool = False
    name_width: int = NAME_WIDTH_MIN

    @staticmethod
    def fitting(names: Sequence[str], paint: bool) -> Form:
        """Wide enough for these names, within reason."""
        longest = max(map(len, names), default=0)
        return Form(paint, max(NAME_WIDTH_MIN, min(longest, NAME_WIDTH_MAX)))


def said(at_s: float, text: str) -> str:
    """`[  1.234] text`."""
    return f"[{at_s:7.3f}] {text}"


def banner(version: str, python: str, kernel: str) -> str:
    """The first line of all."""
    return f"linit {version} (Python {python}, Linux {kernel})"


def up(form: Form, at_s: float, name: str, duration_s: float | None) -> str:
    """`[  1.234] nginx            up      0.31 s`."""
    took = f"{seconds(duration_s):>9}" if duration_s is not None else ""
    return said(at_s, f"{name:<{form.name_width}} {painted('up', GREEN, form.paint)}     {took}".rstrip())


def failed(form: Form, at_s: float, name: str, reason: Reason, place: Place) -> tuple[str, str]:
    """Why, where it is written, and what to do. A reason that knows its place names it; others get the service's."""
    where = "" if reason.place else f" ({place.file}:{place.line})" if place.line else f" ({place.file})"
    first = said(at_s, f"{name:<{form.name_width}} {painted('failed', RED, form.paint)}  {reason}{where}")
    return first, " " * (form.name_width + 19) + f"see: linitctl why {name}"


def respawning(form: Form, at_s: float, name: str, reason: str) -> str:
    """Not up, not given up."""
    return said(at_s, f"{name:<{form.name_width}} {painted('again', YELLOW, form.paint)}   {reason}")


def moved(form: Form, at_s: float, name: str, state: UnitState, reason: Reason) -> str:
    """`[  1.234] nginx            waiting  waits for network`, for who asked for everything."""
    return said(at_s, f"{name:<{form.name_width}} {state.value:<8} {reason}")


def told(form: Form, at_s: float, name: str, text: str) -> str:
    """What an operator should know that is no change of state."""
    return said(at_s, f"{name:<{form.name_width}} {painted(text, YELLOW, form.paint)}")


def down(form: Form, at_s: float, name: str, duration_s: float | None) -> str:
    """`[ 61.234] nginx            down    0.31 s`, during the shutdown."""
    took = f"{seconds(duration_s):>9}" if duration_s is not None else ""
    return said(at_s, f"{name:<{form.name_width}} down   {took}".rstrip())


def waiting(form: Form, now_s: float, units: Sequence[Unit], after_s: float) -> list[str]:
    """Who is being waited for: those that have moved for `after_s` seconds and wait for nobody else."""
    late = [
        unit
        for unit in units
        if unit.state in WAITED_FOR and unit.stop_phase is not StopPhase.HELD and now_s - unit.changed_at_s >= after_s
    ]
    late.sort(key=lambda unit: (unit.changed_at_s, unit.name))
    lines = [said(now_s, f"waiting for {_waited_for(form, now_s, unit)}") for unit in late[:WAITED_FOR_MAX]]
    if len(late) > WAITED_FOR_MAX:
        lines.append(said(now_s, f"waiting for {len(late) - WAITED_FOR_MAX} more"))
    return lines


def _waited_for(form: Form, now_s: float, unit: Unit) -> str:
    since = f"{unit.state.value} for {seconds(now_s - unit.changed_at_s)}"
    what = "next try" if unit.state is UnitState.BACKOFF else "limit"
    left = f"{what} in {seconds(max(0.0, unit.deadline_s - now_s))}" if unit.deadline_s is not None else "no limit"
    return f"{painted(unit.name, BOLD, form.paint)}: {since}, {left}: {unit.reason}"


def reached(form: Form, at_s: float, took_s: float, runlevel: str, units: Sequence[Unit]) -> str:
    """`default reached in 6.2 s: 34 services up, 1 failed (sshd)`. Only what runs something counts as up."""
    real = [unit for unit in units if unit.service.runs]
    ups = sum(unit.state is UnitState.UP for unit in real)
    failures = sorted(
        unit.name for unit in units if unit.state is UnitState.FAILED and unit.service.kind is not Kind.VIRTUAL
    )
    text = f"{painted(runlevel, BOLD, form.paint)} reached in {seconds(took_s)}: {count(ups, 'service')} up"
    if failures:
        names = ", ".join(failures[:8]) + (f" and {len(failures) - 8} more" if len(failures) > 8 else "")
        text += ", " + painted(f"{len(failures)} failed ({names})", RED, form.paint)
    return said(at_s, text)


def shutting_down(at_s: float, by: str) -> str:
    """The first line of a shutdown."""
    return said(at_s, f"shutting down: asked for by {by}" if by else "shutting down")


def not_shown(number: int) -> str:
    """Said once the console takes text again."""
    return f"linit: {count(number, 'line')} not shown, the console took no text"
