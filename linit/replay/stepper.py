"""How did the engine get there? Gives it the events of a recording again, one at a time, forward and back.

It is the real engine: the same events give the same effects. Back is forward from the last place before it where the
whole state was noted, which costs some microseconds an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linit.engine import explain
from linit.engine.effects import Effect, Transition
from linit.record.recording import Entry, Recording
from linit.replay.causes import asked_by


@dataclass(frozen=True, slots=True)
class Step:
    """An event and what followed. `number` counts from 1; `bug` is what the engine raised, "" if nothing. `askers`: of
    each service that changed its state, who asked for what led to it."""

    number: int
    entry: Entry
    effects: tuple[Effect, ...]
    bug: str = ""
    askers: Mapping[str, str] = field(default_factory=dict)

    @property
    def transitions(self) -> list[Transition]:
        """The changes of state among the effects."""
        return [effect for effect in self.effects if isinstance(effect, Transition)]


class Stepper:
    """The engine after `number` events of the recording. Raises RecordingError where a state cannot be restored."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._jumps = {each.index: each for each in recording.losses}
        self.engine, self.number = recording.starts[0].engine(), 0
        self._jump_at_end()

    def forward(self) -> Step | None:
        """Handle the next event; None at the end. After a loss the state that was noted after it counts."""
        if self.number == len(self.recording.entries):
            return None
        if self.number in self._jumps:
            self.engine = self._jumps[self.number].engine()
        entry = self.recording.entries[self.number]
        self.number += 1
        try:
            effects = self.engine.handle(entry.event, entry.at_s)
            changes = [effect for effect in effects if isinstance(effect, Transition)]
            askers = {change.name: asked_by(self.engine.units, change) for change in changes}
            step = Step(self.number, entry, effects, askers=askers)
        except Exception as bug:  # PID 1 told of it and went on; so do we
            step = Step(self.number, entry, (), repr(bug))
        self._jump_at_end()
        return step

    def _jump_at_end(self) -> None:
        """Nothing came after the last loss: then its end is the end."""
        if self.number == len(self.recording.entries) and self.number in self._jumps:
            self.engine = self._jumps[self.number].engine()

    def back(self) -> Step | None:
        """Undo the last event; the step that is now the last one, None at the beginning."""
        return self.go_to(max(self.number - 1, 0))

    def go_to(self, number: int) -> Step | None:
        """Be after event `number` (the last, where there are not so many); the step that led there."""
        number = min(max(number, 0), len(self.recording.entries))
        if number <= self.number:
            # One event is handled in any case, so that the step can be told.
            start = [each for each in self.recording.starts if each.index < number or not each.index][-1]
            self.engine, self.number = start.engine(), start.index
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
    return explain.account(stepper.engine, name, at_s)
