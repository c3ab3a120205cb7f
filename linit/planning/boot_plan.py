"""What would a boot do? Its waves, what holds each service up, the critical path; what changes against another plan.

The engine decides, in virtual time; what is told here is read off its transitions. A service's start is released by
that one of its dependencies that came to rest last before it: from there follow its wave and the critical path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from linit.engine import explain
from linit.engine.effects import BootFinished
from linit.engine.simulator import Simulator
from linit.model.runlevel import DEFAULT_RUNLEVEL
from linit.model.service import EdgeKind, Kind, Plan
from linit.model.state import Desired, UnitState
from linit.planning import world
from linit.planning.durations import Durations, steps

SAME_S: Final = 0.0005  # starts that are not further apart than this are called the same time
IDLE: Final = "idle"  # why it waited: it lets the rest of the boot go first


@dataclass(slots=True)
class Planned:
    """One service in a planned boot. Times in seconds since the boot began; None: it never came so far.

    `wave`: 0 starts at once, 1 when one of wave 0 is up, and so on. `after`: what it waited for last, "" if nothing.
    """

    name: str
    kind: Kind
    starts_s: float | None = None
    ends_s: float | None = None
    outcome: str = ""  # up | failed | the state it was left in
    duration: str = ""  # known | assumed | none: it takes no time of its own
    wave: int = 0
    after: str = ""
    edge: str = ""  # the kind of that dependency, or "idle"
    why: str = ""  # what is wrong, if it did not come up
    conditions: tuple[str, ...] = ()  # of its `when`, where it came so far that they are looked at
    conditions_from: str = ""  # recorded | assumed: these are taken as met
    is_critical: bool = False


@dataclass(frozen=True, slots=True)
class BootPlan:
    """A boot as it would be. `total_s` is None when it would never be over. `services` in the order of their starts."""

    runlevel: str
    total_s: float | None
    services: tuple[Planned, ...]
    critical: tuple[str, ...]  # from the first to the last


@dataclass(frozen=True, slots=True)
class Change:
    """How the start of one service differs between two boots. `what`: new, gone, earlier, later, fails, recovers."""

    name: str
    what: str
    before_s: float | None = None
    now_s: float | None = None


def of(plan: Plan, durations: Durations, runlevel: str = DEFAULT_RUNLEVEL) -> BootPlan:
    """The boot of `runlevel` with that plan. Raises `world.UnknownName`."""
    machine = world.of(plan, durations)
    world.begin(machine, runlevel)
    world.settle(machine)
    found = _noted(machine, durations)
    order = sorted(found.values(), key=lambda each: (_last(each.starts_s), _last(each.ends_s), each.name))
    for each in order:
        if each.starts_s is not None:
            _release(machine, found, each)
    for each in order:
        each.wave = _wave(found, each.name)
    total_s = next((effect.at_s for _, effect in machine.trace if isinstance(effect, BootFinished)), None)
    return BootPlan(runlevel, total_s, tuple(order), _critical(found, runlevel))


def _last(at_s: float | None) -> float:
    return float("inf") if at_s is None else at_s


def _noted(machine: Simulator, durations: Durations) -> dict[str, Planned]:
    """Everything that the boot wanted, with its times."""
    found: dict[str, Planned] = {}
    for each in world.transitions(machine):
        service = machine.engine.units[each.name].service
        planned = found.setdefault(each.name, Planned(each.name, service.kind))
        if each.after is UnitState.STARTING and planned.starts_s is None:
            planned.starts_s = each.at_s
        is_first_up = each.after is UnitState.UP and planned.ends_s is None
        if is_first_up or each.after is UnitState.FAILED:
            planned.ends_s = each.at_s
    for planned in found.values():
        unit = machine.engine.units[planned.name]
        planned.outcome = unit.state.value
        is_known = planned.name in durations.known_s
        planned.duration = "none" if not steps(unit.service) else "known" if is_known else "assumed"
        if unit.service.when and planned.starts_s is not None:
            planned.conditions = tuple(map(str, unit.service.when))
            is_assumed = durations.conditions.unmet(unit.service) is None
            planned.conditions_from = "assumed" if is_assumed else "recorded"
        if unit.state is not UnitState.UP:
            planned.why = explain.chain(machine.engine, planned.name)[0]["text"]
    return {name: each for name, each in found.items() if not _is_a_foreign_failure(machine, each)}


def _is_a_foreign_failure(machine: Simulator, planned: Planned) -> bool:
    """A broken definition is told as failed at the beginning of every boot, also where the boot does not want it."""
    return planned.starts_s is None and machine.engine.units[planned.name].desired is Desired.DOWN


def _release(machine: Simulator, found: Mapping[str, Planned], planned: Planned) -> None:
    """Tell a service what released it: the last to come to rest of what it depends on, or of the whole boot."""
    assert planned.starts_s is not None
    best = (0.0, False, "", "")  # when, is it a hard edge, on whom, its kind
    for edge in machine.engine.links.dependencies(planned.name):
        other = found.get(edge.on)
        if other is not None and edge.kind is not EdgeKind.CONFLICTS and 0.0 < _last(other.ends_s) <= planned.starts_s:
            best = max(best, (_last(other.ends_s), edge.kind.is_hard, other.name, edge.kind.value))
    _, _, planned.after, planned.edge = best
    if machine.engine.units[planned.name].service.idle_s and planned.starts_s - best[0] > SAME_S:
        planned.after, planned.edge = _rest_of_the_boot(planned, found), IDLE


def _wave(found: Mapping[str, Planned], name: str) -> int:
    """How many services in a row must come up before this one starts."""
    count, seen = 0, {name}
    while (name := found[name].after) and name not in seen:
        seen.add(name)
        count += found[name].kind in world.RUNNING_KINDS
    return count


def _rest_of_the_boot(planned: Planned, found: Mapping[str, Planned]) -> str:
    """What came up last before an idle service started."""
    assert planned.starts_s is not None
    earlier = [each for each in found.values() if _last(each.ends_s) <= planned.starts_s and each is not planned]
    return max(earlier, key=lambda each: (_last(each.ends_s), each.name)).name if earlier else ""


def _critical(found: Mapping[str, Planned], runlevel: str) -> tuple[str, ...]:
    """From the end of the boot back to its beginning, by what released each; runlevels and virtual names left out."""
    path: list[str] = []
    current = runlevel
    while current and current in found and current not in path:
        path.append(current)
        current = found[current].after
    for name in path:
        found[name].is_critical = True
    return tuple(name for name in reversed(path) if found[name].kind not in world.NAMING_KINDS)


def difference(before: BootPlan, now: BootPlan) -> tuple[Change, ...]:
    """What starts earlier, later, no more, newly, and what begins or ceases to fail; by name."""
    old = {each.name: each for each in before.services if each.kind is not Kind.VIRTUAL}
    new = {each.name: each for each in now.services if each.kind is not Kind.VIRTUAL}
    changes = [_change(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]
    return tuple(each for each in changes if each is not None)


def _change(name: str, old: Planned | None, new: Planned | None) -> Change | None:
    if new is None:
        return Change(name, "gone", before_s=old.starts_s if old is not None else None)
    if old is None:
        return Change(name, "new" if new.outcome != "failed" else "fails", now_s=new.starts_s)
    times = (old.starts_s, new.starts_s)
    if (old.outcome == "failed") is not (new.outcome == "failed"):
        return Change(name, "fails" if new.outcome == "failed" else "recovers", *times)
    if old.starts_s is None or new.starts_s is None or abs(new.starts_s - old.starts_s) <= SAME_S:
        return None
    return Change(name, "earlier" if new.starts_s < old.starts_s else "later", *times)
