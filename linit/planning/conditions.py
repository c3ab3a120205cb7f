"""How will the conditions of a service come out? As on the last boot that was recorded, else they are taken as met.

Only where the definition still has the conditions that it had then. The next boot is not the first one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from linit.engine.events import ConditionsChecked
from linit.model.service import ConditionKind, Service
from linit.record import ring
from linit.record.recording import RecordingError, load

FIRST_BOOT: Final = "this is not the first boot"
IS_FIRST_BOOT: Final = "this is the first boot"  # as linit.runtime.conditions says it


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the conditions of a service were, and which of them was not met; "" if all were."""

    conditions: tuple[str, ...]
    unmet: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is known, by service. `has_boot`: is there a boot that was recorded?"""

    recorded: Mapping[str, Recorded] = field(default_factory=dict)
    has_boot: bool = False

    def unmet(self, service: Service) -> str | None:
        """Which condition of `service` will not be met; "" if all will be, None if that is not known."""
        kinds = {each.kind: each.negated for each in service.when}
        if self.has_boot and kinds.get(ConditionKind.FIRST_BOOT) is False:
            return FIRST_BOOT
        known = self.recorded.get(service.name)
        if known is None or known.conditions != _words(service):
            return None
        return None if known.unmet == IS_FIRST_BOOT else known.unmet


def of(logs: str) -> Conditions:
    """How they came out on the last boot whose recording is below the folder `logs`, each at its first start."""
    try:
        kept = ring.recordings(os.path.join(logs, ring.FOLDER))
        recording = load(*kept[-1].paths) if kept else None
    except (OSError, RecordingError):
        return Conditions()  # the durations, which are read there too, say so
    if recording is None:
        return Conditions()
    conditions = {each.name: _words(each) for each in recording.plan.services if each.when}
    found: dict[str, Recorded] = {}
    for entry in recording.entries:
        event = entry.event
        if isinstance(event, ConditionsChecked) and event.name in conditions:
            found.setdefault(event.name, Recorded(conditions[event.name], event.text))
    return Conditions(found, has_boot=True)


def _words(service: Service) -> tuple[str, ...]:
    return tuple(map(str, service.when))
