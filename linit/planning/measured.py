"""How long did starts take on the last boots? Read from the recordings that linit keeps, each replayed.

Of each boot the first start that succeeded counts for a service; of several boots the median. A boot that is over does
not change any more: what was found in it is kept in a file, where that can be written.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from linit.model.state import UnitState
from linit.record import ring
from linit.record.recording import RecordingError, load
from linit.replay.stepper import Stepper

CACHE: Final = "start-durations.json"  # in the folder of linit's state
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds by service, from so many boots; `problem`: why there are none, or fewer than are kept."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    boots: int = 0
    problem: str = ""


def of(logs: str, state: str = "") -> Measured:
    """What the recordings below the folder `logs` tell; `state`: a folder to remember it in."""
    folder = os.path.join(logs, ring.FOLDER)
    try:
        kept = ring.recordings(folder)
    except OSError as error:
        return Measured(problem=f"{folder}: cannot be read ({error.strerror})")
    cache = os.path.join(state, CACHE) if state else ""
    known = _remembered(cache)
    found: dict[str, Any] = {}
    problems = []
    for boot in kept:
        try:
            size = sum(map(os.path.getsize, boot.paths))
            before = known.get(boot.key, {})
            starts = before["starts"] if before.get("bytes") == size else starts_of(*boot.paths)
        except (RecordingError, OSError) as error:
            problems.append(str(error))
            continue
        found[boot.key] = {"bytes": size, "starts": starts}
    if cache and found != known:
        _remember(cache, found)
    boots = [each["starts"] for each in found.values() if each["starts"]]
    names = sorted({name for starts in boots for name in starts})
    seconds = {name: median(starts[name] for starts in boots if name in starts) for name in names}
    return Measured(seconds, len(boots), "; ".join(problems))


def starts_of(*paths: str) -> dict[str, float]:
    """How long the first start of each service took in a recorded boot, in seconds. Raises RecordingError."""
    stepper = Stepper(load(*paths))
    found: dict[str, float] = {}
    while (step := stepper.forward()) is not None:
        for each in step.transitions:
            if each.after is UnitState.UP and each.before is UnitState.STARTING and each.duration_s is not None:
                found.setdefault(each.name, round(each.duration_s, 6))
    return found


def _remembered(path: str) -> dict[str, Any]:
    """What was found at an earlier time: boot -> bytes of its files, starts. Nothing where that makes no sense."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
        if value["format"] == FORMAT_VERSION and all(_is_sound(each) for each in value["boots"].values()):
            return dict(value["boots"])
    return {}


def _is_sound(boot: Any) -> bool:
    numbers = boot["starts"].values()
    return isinstance(boot["bytes"], int) and all(isinstance(each, int | float) and each >= 0 for each in numbers)


def _remember(path: str, boots: Mapping[str, Any]) -> None:
    """For the next time; whoever may not write it measures again."""
    with contextlib.suppress(OSError):
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT_VERSION, "boots": boots}, file)
        os.replace(f"{path}.new", path)


def median(values: Iterable[float]) -> float:
    """The middle one, or what lies halfway between the two. Not statistics': that imports decimal and more."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
