"""How is a step of a replay told?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from linit.control import records
from linit.engine import events
from linit.engine.effects import Answer, BootFinished, Told, Transition
from linit.model.place import Place
from linit.model.reason import exit_words
from linit.record.recording import Recording
from linit.replay.stepper import Step, Stepper


def clock(wall_s: float) -> str:
    """A moment, in the local time of who reads."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_s))


def event(value: events.Event) -> str:
    """An event in a few words."""
    match value:
        case events.Request():
            by = f", asked by {value.by}" if value.by else ""
            return f"request {value.id}: {value.verb.value} {' '.join(value.names)}{by}"
        case events.Exited():
            left = ", others remain" if value.left else ""
            return f"{value.name}: {value.role.value} {value.note or exit_words(value.status)}{left}"
        case events.PlanLoaded():
            return f"plan of {len(value.plan.services)} services, by {value.by or 'nobody known'}"
    fields = [_word(getattr(value, name)) for name in type(value).__dataclass_fields__]
    kind = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type(value).__name__).strip()
    return f"{kind}: {' '.join(filter(None, fields))}"


def _word(value: Any) -> str:
    if isinstance(value, str | Place):
        return str(value)
    if isinstance(value, tuple | frozenset):
        return " ".join(map(_word, value))
    return str(getattr(value, "value", value))


def step(found: Step, began_s: float) -> Iterator[str]:
    """The event, then each thing that a person would have been told."""
    yield f"{found.number:6}  {found.entry.at_s - began_s:10.3f} s  {event(found.entry.event)}"
    for effect in found.effects:
        match effect:
            case Transition():
                change = f"{effect.name}: {effect.before.value} -> {effect.after.value} ({effect.reason})"
                yield f"{'':21}{change}{_asker(found, effect)}"
            case Told():
                yield f"{'':21}{effect.name}: {effect.text}"
            case Answer():
                yield f"{'':21}request {effect.id}: {effect.outcome.value}"
            case BootFinished():
                yield f"{'':21}runlevel {effect.runlevel} reached"
    if found.bug:
        yield f"{'':21}a fault of linit's: {found.bug}"


def _asker(found: Step, change: Transition) -> str:
    """Who asked for what led to a change, where neither the event nor the reason tells."""
    asker = found.askers.get(change.name, "")
    is_told = asker in str(change.reason) or asker == getattr(found.entry.event, "by", "")
    return "" if is_told else f"; asked by {asker}"


def step_data(found: Step, recording: Recording) -> dict[str, Any]:
    """A step for programs."""
    return {
        "number": found.number,
        "at_s": found.entry.at_s - recording.began_s,
        "wall_s": recording.wall_s(found.entry.at_s),
        "event": event(found.entry.event),
        "transitions": [
            {
                "name": each.name,
                "before": each.before.value,
                "after": each.after.value,
                "text": str(each.reason),
                "reason": records.reason(each.reason, each.at_s),
                "duration_s": each.duration_s,
                "asked_by": found.askers.get(each.name, ""),
            }
            for each in found.transitions
        ],
        "bug": found.bug,
    }


def head(recording: Recording) -> str:
    """What is replayed."""
    began = clock(recording.wall_s(recording.began_s))
    lasted_s = recording.ended_s - recording.began_s
    count = len(recording.entries)
    return f"recording of linit {recording.version}, begun {began}: {count} events in {lasted_s:.3f} s"


def remarks(recording: Recording) -> Iterator[str]:
    """What is not in the recording, and what is wrong with it."""
    if recording.dropped:
        begins = clock(recording.wall_s(recording.kept_from_s))
        earlier = _count(recording.dropped, "earlier event")
        yield f"the recording begins at {begins}, {earlier} no longer kept"
    for each in recording.losses:
        moment = clock(recording.wall_s(each.at_s))
        yield f"{_count(each.lost, 'event')} missing before {moment}: {each.why}"
    if recording.fault:
        yield recording.fault


def _count(number: int, noun: str) -> str:
    return f"1 {noun} is" if number == 1 else f"{number} {noun}s are"


def states(stepper: Stepper) -> Iterator[str]:
    """Where every unit is."""
    for name, unit in sorted(stepper.engine.units.items()):
        yield f"{name}: {unit.state.value} ({unit.reason})"
