"""When did each service wait, start and come up during the boot? Noted from the transitions, kept for `report`.

Cheap to import: whoever composes PID 1 makes one before the first service starts, and hands it to the server.
"""

from __future__ import annotations

from linit.engine.effects import BootFinished, Effect, Transition
from linit.engine.engine import Engine
from linit.model.state import UnitState


class Times:
    """Of one service, on the engine's clock, in seconds; None: not seen."""

    __slots__ = ("began_s", "ended_s", "outcome", "wanted_s")

    def __init__(self) -> None:
        self.wanted_s: float | None = None
        self.began_s: float | None = None
        self.ended_s: float | None = None
        self.outcome = ""  # up | failed


class BootRecord:
    """What happened until the boot was finished. Pass `note` to the supervisor's `observe`."""

    def __init__(self) -> None:
        self.began_s: float | None = None  # of the first transition
        self.finished: BootFinished | None = None
        self.times: dict[str, Times] = {}

    @staticmethod
    def of(engine: Engine) -> BootRecord:
        """What can still be told of a boot that has begun: how long services waited is not known any more."""
        record = BootRecord()
        for unit in engine.units.values():
            if unit.state in (UnitState.UP, UnitState.FAILED):
                times = record.times[unit.name] = Times()
                times.ended_s = unit.changed_at_s
                times.outcome = unit.state.value
                if unit.start_duration_s is not None:
                    times.began_s = unit.changed_at_s - unit.start_duration_s
            elif unit.state in (UnitState.WAITING, UnitState.STARTING):
                times = record.times[unit.name] = Times()
                times.wanted_s = times.began_s = unit.began_at_s or unit.changed_at_s
        began = [times.began_s for times in record.times.values() if times.began_s is not None]
        record.began_s = min(began, default=None)
        return record

    def note(self, noted: Effect) -> None:
        """Something happened. After the boot nothing more is noted: memory stays bounded by the number of services."""
        if self.finished is not None:
            return
        if isinstance(noted, BootFinished):
            self.finished = noted
        elif isinstance(noted, Transition):
            self._note(noted)

    def _note(self, noted: Transition) -> None:
        if self.began_s is None:
            self.began_s = noted.at_s
        times = self.times.setdefault(noted.name, Times())
        if noted.after in (UnitState.WAITING, UnitState.STARTING) and times.wanted_s is None:
            times.wanted_s = noted.at_s
        if noted.after is UnitState.STARTING:
            times.began_s = noted.at_s
        elif noted.after in (UnitState.UP, UnitState.FAILED):
            times.ended_s = noted.at_s
            times.outcome = noted.after.value
