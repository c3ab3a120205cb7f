"""What is different between two boots? Which starts got slower or faster, what is new or gone, and the phases of
linit's own start; by effect, the largest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from linit.planning.boot_course import Course, Run
from linit.record.recorder import Mark

SAME_S: Final = 0.01  # two boots are never alike: what differs by less is called the same
SAME_SHARE: Final = 0.05  # and by less than this part of it

PHASES: Final = ((Mark.KERNEL, Mark.EXEC, "kernel"), (Mark.EXEC, Mark.LINIT, "interpreter"))
PLAN_PHASE: Final = "linit until its plan"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `what`: slower, faster, new, gone, fails, recovers. `effect_s`: how much time that is.

    `is_phase`: it is no service, but a part of linit's own start. `is_critical`: on the critical path of either boot.
    """

    what: str
    name: str
    before_s: float | None
    now_s: float | None
    effect_s: float
    is_phase: bool = False
    is_critical: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """`same`: so many services took as long as before."""

    changes: tuple[Change, ...]
    same: int


def of(before: Course, now: Course) -> Comparison:
    """What changed from one boot to another."""
    phases = [each for each in _phases(before, now) if each is not None]
    old = {run.name: run for run in before.services}
    new = {run.name: run for run in now.services}
    found = [_service(old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]
    changes = [*phases, *(each for each in found if each is not None)]
    changes.sort(key=lambda each: (-abs(each.effect_s), each.name))
    return Comparison(tuple(changes), found.count(None))


def _phases(before: Course, now: Course) -> Iterator[Change | None]:
    for first, last, name in PHASES:
        yield _phase(name, _between(before, first, last), _between(now, first, last))
    yield _phase(PLAN_PHASE, _until_plan(before), _until_plan(now))


def _between(course: Course, first: Mark, last: Mark) -> float | None:
    moments = course.moments
    return moments[last] - moments[first] if first in moments and last in moments else None


def _until_plan(course: Course) -> float | None:
    return course.plan_s - course.moments[Mark.LINIT] if Mark.LINIT in course.moments else None


def _phase(name: str, before_s: float | None, now_s: float | None) -> Change | None:
    if before_s is None or now_s is None or _is_same(before_s, now_s):
        return None
    what = "slower" if now_s > before_s else "faster"
    return Change(what, name, before_s, now_s, now_s - before_s, is_phase=True, is_critical=True)


def _service(old: Run | None, new: Run | None) -> Change | None:
    is_critical = any(run.is_critical for run in (old, new) if run is not None)
    if new is None:
        assert old is not None
        return Change("gone", old.name, old.took_s, None, -(old.took_s or 0.0), is_critical=is_critical)
    if old is None:
        what = "fails" if new.outcome == "failed" else "new"
        return Change(what, new.name, None, new.took_s, new.took_s or 0.0, is_critical=is_critical)
    before_s, now_s = old.took_s, new.took_s
    effect_s = (now_s or 0.0) - (before_s or 0.0)
    if (old.outcome == "failed") is not (new.outcome == "failed"):
        what = "fails" if new.outcome == "failed" else "recovers"
        return Change(what, new.name, before_s, now_s, effect_s, is_critical=is_critical)
    if before_s is None or now_s is None or _is_same(before_s, now_s):
        return None
    return Change("slower" if effect_s > 0 else "faster", new.name, before_s, now_s, effect_s, is_critical=is_critical)


def _is_same(before_s: float, now_s: float) -> bool:
    return abs(now_s - before_s) < max(SAME_S, SAME_SHARE * before_s)
