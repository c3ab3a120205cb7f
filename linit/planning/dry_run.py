"""What would a start, stop, restart or a change of the runlevel do now? Every step in its order; nothing is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from linit.engine import events
from linit.engine.effects import Transition
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.engine.simulator import Simulator
from linit.engine.unit import StopPhase
from linit.model.service import Kind
from linit.model.state import UnitState
from linit.planning import world
from linit.planning.durations import Durations
from linit.planning.resumed import Resumed
from linit.planning.text import columns, durations_used, seconds

VERBS: Final = (Verb.START, Verb.STOP, Verb.RESTART, Verb.RUNLEVEL)
WORDS: Final = {
    UnitState.STARTING: "start",
    UnitState.UP: "up",
    UnitState.STOPPING: "stop",
    UnitState.DOWN: "down",
    UnitState.FAILED: "fails",
    UnitState.BACKOFF: "waits",
    UnitState.WAITING: "waits",
}
SILENT: Final = (Kind.RUNLEVEL, Kind.VIRTUAL, Kind.TARGET)  # nothing runs for them
QUIET: Final = (UnitState.WAITING,)  # what they wait for is shown by what comes before their start


@dataclass(frozen=True, slots=True)
class Step:
    """A change of state, `at_s` seconds after the request. `why`: the reason; of a start, why it is wanted."""

    at_s: float
    name: str
    kind: Kind
    before: UnitState
    after: UnitState
    why: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """What follows from a request. `outcome` and `answers` are as linit would answer; `failed`: services that fail and
    did not before; `is_over`: everything came to rest; `used`: the services whose durations counted."""

    steps: tuple[Step, ...]
    shown: tuple[Step, ...]  # the same, but a stop that waits for others where it begins in earnest
    outcome: str
    answers: tuple[tuple[str, str, str], ...]
    failed: tuple[tuple[str, str], ...]
    is_over: bool
    used: tuple[str, ...]

    @property
    def total_s(self) -> float:
        """Until the last step."""
        return self.steps[-1].at_s if self.steps else 0.0


def of(engine: Engine, now_s: float, request: tuple[Verb, tuple[str, ...]], durations: Durations, **how: Any) -> DryRun:
    """What would follow now from a request of that verb and names; `how`: `only`, `cascade`. Raises UnknownName."""
    verb, names = request
    for name in names:
        if name not in engine.units:
            raise world.UnknownName(f"no service is called {name!r}")
    before = {name for name, unit in engine.units.items() if unit.state is UnitState.FAILED}
    notes = _Notes(now_s)
    machine = Resumed(engine, durations, now_s)
    machine.on_event = notes.take
    number = machine.request(verb, *names, by="you", **how)
    is_over = world.settle(machine)
    answers = machine.answers[number]
    failed = tuple(
        (unit.name, str(unit.reason))
        for unit in engine.units.values()
        if unit.state is UnitState.FAILED and unit.name not in before
    )
    return DryRun(
        tuple(notes.steps),
        tuple(notes.shown),
        answers[0].outcome.value if answers else "",
        tuple((name, outcome.value, text) for each in answers for name, outcome, text in each.results),
        failed,
        is_over,
        tuple(dict.fromkeys(step.name for step in notes.steps if step.after is UnitState.STARTING)),
    )


class _Notes:
    """What happens in a machine, as it happens."""

    def __init__(self, began_s: float) -> None:
        self.steps: list[Step] = []
        self.shown: list[Step] = []
        self._began_s = began_s
        self._held: dict[str, Step] = {}  # stops that wait for dependents

    def take(self, machine: Simulator, _event: events.Event) -> None:
        """After each event."""
        for effect in machine.last_effects:
            if isinstance(effect, Transition):
                self._take(machine, effect)
        for name in list(self._held):
            if machine.engine.units[name].stop_phase is not StopPhase.HELD:
                self._begin_stop(name, machine.now_s)

    def _take(self, machine: Simulator, change: Transition) -> None:
        unit = machine.engine.units.get(change.name)
        kind = unit.service.kind if unit else Kind.PROCESS
        is_start = change.after is UnitState.STARTING and unit is not None
        why = str(unit.wish if is_start and unit is not None else change.reason)
        step = Step(change.at_s - self._began_s, change.name, kind, change.before, change.after, why)
        self.steps.append(step)
        if change.after is UnitState.STOPPING and unit is not None and unit.stop_phase is StopPhase.HELD:
            self._held[step.name] = step
            return
        if change.after is UnitState.UP:
            self._held.pop(step.name, None)  # it need not stop after all
        self._begin_stop(step.name, change.at_s)
        self.shown.append(step)

    def _begin_stop(self, name: str, at_s: float) -> None:
        step = self._held.pop(name, None)
        if step is not None:
            self.shown.append(replace(step, at_s=at_s - self._began_s))


def lines(found: DryRun, durations: Durations) -> Iterator[str]:
    """A table of the steps, what fails, how long it takes."""
    shown = [each for each in found.shown if each.kind not in SILENT and each.after not in QUIET]
    rows = [
        (f"+{seconds(each.at_s)}", WORDS[each.after], each.name, "" if each.after is UnitState.UP else f"({each.why})")
        for each in shown
    ]
    yield from columns(rows) if rows else ["nothing would happen"]
    if found.outcome not in ("done", ""):
        yield from (f"{name}: {outcome}: {text}" for name, outcome, text in found.answers if outcome != "done")
    if found.failed:
        yield f"would fail: {', '.join(f'{name} ({why})' for name, why in found.failed)}"
    if not found.is_over:
        yield "it would not be over after 15 minutes"
    if rows:
        used = durations_used(found.used, durations)
        yield f"in all {seconds(found.total_s)}; starts: {used}; nothing was done"


def as_data(found: DryRun) -> dict[str, Any]:
    """The same for a program: every step, also of what runs nothing."""
    return {
        "outcome": found.outcome,
        "total_s": found.total_s,
        "is_over": found.is_over,
        "failed": [{"name": name, "why": why} for name, why in found.failed],
        "results": [{"name": name, "outcome": outcome, "text": text} for name, outcome, text in found.answers],
        "steps": [
            {
                "at_s": each.at_s,
                "name": each.name,
                "before": each.before.value,
                "after": each.after.value,
                "text": each.why,
            }
            for each in found.steps
        ],
    }
