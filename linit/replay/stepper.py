"""How did the engine get there? Gives it the events of a recording again, one at a time, forward and back.

It is the real engine: the same events give the same effects. Back is forward from the beginning, which costs some
microseconds an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from linit.engine import explain
from linit.engine.effects import Effect, Transition
from linit.engine.engine import Engine
from linit.record.recording import Entry, Recording


@dataclass(frozen=True, slots=True)
class Step:
    """An event and what followed. `number` counts from 1; `bug` is what the engine raised, "" if nothing."""

    number: int
    entry: Entry
    effects: tuple[Effect, ...]
    bug: str = ""

    @property
    def transitions(self) -> list[Transition]:
        """The changes of state among the effects."""
        return [effect for effect in self.effects if isinstance(effect, Transition)]


class Stepper:
    """The engine after `number` events of the recording."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.engine = Engine(recording.plan)
        self.number = 0

    def forward(self) -> Step | None:
        """Handle the next event; None at the end."""
        if self.number == len(self.recording.entries):
            return None
        entry = self.recording.entries[self.number]
        self.number += 1
        try:
            return Step(self.number, entry, self.engine.handle(entry.event, entry.at_s))
        except Exception as bug:  # PID 1 told of it and went on; so do we
            return Step(self.number, entry, (), repr(bug))

    def back(self) -> Step | None:
        """Undo the last event; the step that is now the last one, None at the beginning."""
        return self.go_to(max(self.number - 1, 0))

    def go_to(self, number: int) -> Step | None:
        """Be after event `number` (the last, where there are not so many); the step that led there."""
        number = min(max(number, 0), len(self.recording.entries))
        if number <= self.number:
            self.engine, self.number = Engine(self.recording.plan), 0
        step = None
        while self.number < number:
            step = self.forward()
        return step

    def number_at(self, at_s: float) -> int:
        """How many events had happened by a moment of the engine's clock."""
        return sum(entry.at_s <= at_s for entry in self.recording.entries)


def why(stepper: Stepper, name: str, at_s: float) -> dict[str, Any]:
    """Why `name` is where it is, as of `at_s`: as the method `why` of the control protocol answers.

    Raises KeyError for a service that does not exist then.
    """
    chain = explain.chain(stepper.engine, name)
    later_s = at_s - stepper.engine.now_s
    for link in chain:
        if "since_s" in link:
            link["since_s"] += later_s
        if link.get("until_s") is not None:
            link["until_s"] = max(link["until_s"] - later_s, 0.0)
    unit = stepper.engine.units[name]
    return {"name": name, "chain": chain, "faults": list(unit.service.broken_by)}
