"""Did the campaign meet everything? What can happen, from the tables of the engine itself, and how often it did."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, get_args

from linit.engine import events
from linit.engine.events import TimerKind, Verb
from linit.engine.transitions import IGNORED, NEXT
from linit.model.reason import Cause
from linit.model.state import Outcome, UnitState

UNIT_EVENTS: Final = (*dict.fromkeys(event for _, event in IGNORED), events.Triggered)

Thing = tuple[str, str]  # what kind of thing, and which

NEVER: Final[Mapping[Thing, str]] = {
    ("cause", Cause.READY.value): "the engine gives the wish as the reason of what is up",
}


def everything() -> Iterator[Thing]:
    """All that a run can meet."""
    for (before, _), after in NEXT.items():
        yield "transition", f"{before.value} -> {after.value}"
    for cause in Cause:
        yield "cause", cause.value
    for outcome in Outcome:
        yield "outcome", outcome.value
    for event in get_args(events.Event):
        yield "event", event.__name__
    for state, event in itertools.product(UnitState, UNIT_EVENTS):
        yield "pair", f"{state.value} {event.__name__}"
    for verb in Verb:
        yield "verb", verb.value
    for kind in TimerKind:
        yield "timer", kind.value


def missed(met: Counter[Thing]) -> list[str]:
    """What was never met, though it can be; and what was, though it is said here that it cannot be."""
    lost = [f"never met: {kind} {which}" for kind, which in everything() if not met[kind, which]]
    excused = [f"never met: {kind} {which}" for kind, which in NEVER]
    wrong = [f"met, against what tests/simulation/coverage.py says: {' '.join(each)}" for each in NEVER if met[each]]
    return [each for each in lost if each not in excused] + wrong


def figures(met: Counter[Thing]) -> str:
    """How often everything was met, as a table."""
    lines = []
    for thing in dict.fromkeys(everything()):
        kind, which = thing
        why = f"   ({NEVER[thing]})" if thing in NEVER else ""
        lines.append(f"{kind:11} {which:24} {met[thing]:12,}{why}")
    return "\n".join(lines)
