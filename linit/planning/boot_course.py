"""How did a boot go? From the events of a recording: when each service was wanted, waited, started and came up, for
what it waited, and on which path the time went.

The engine handles the events once more; what is told here is read off its transitions, as `boot_plan` does it for a
boot that has not been. All times are seconds since the boot's origin: the kernel's beginning for PID 1, the start of
linit for one that a person runs. Words and pictures are left to others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from linit.engine.effects import BootFinished, Spawn, Transition
from linit.engine.engine import Engine
from linit.engine.events import Request, Verb
from linit.engine.unit import Unit
from linit.model.service import EDGE_WORDS, EdgeKind, Kind, Service
from linit.model.state import UnitState
from linit.planning.world import NAMING_KINDS
from linit.record.recorder import Mark
from linit.record.recording import Load, Recording
from linit.replay.stepper import Step, Stepper

SAME_S: Final = 0.0005  # moments that are not further apart than this are called the same
SLICE_MIN_S: Final = 0.02  # of the load: the kernel counts hundredths of a second
# What something that was waited for is to who waited, where no edge says it; the name follows.
IDLE_WORDS: Final = "lets the rest go first, here"
ASKED_WORDS: Final = "had asked for"
ASKED_BY_WORDS: Final = "was asked for by"


class CourseError(Exception):
    """There is no boot to be told of in a recording; the text says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """A service was in this state for so long."""

    state: UnitState
    from_s: float
    until_s: float


@dataclass(slots=True)
class Run:
    """How one service came up. None: it never got there. `ends_s`: when it was up for the first time, or had failed.

    `after`: what its start waited for last, "" if nothing; `edge`: in words what that is to it ("needs").
    """

    name: str
    kind: Kind
    description: str = ""
    wanted_s: float | None = None
    starts_s: float | None = None
    ends_s: float | None = None
    outcome: str = ""  # up | failed | the state it is left in
    wanted_by: str = ""  # the service that pulled it in
    why_wanted: str = ""
    after: str = ""
    edge: str = ""
    why: str = ""  # it is not up
    attempts: int = 0  # how often its start was begun
    cpu_s: float | None = None  # used by the end of its start
    queued_s: float | None = None  # for so long it could have run until then, and had no processor
    is_critical: bool = False
    spans: list[Span] = field(default_factory=list)

    @property
    def took_s(self) -> float | None:
        """How long its start took."""
        return self.ends_s - self.starts_s if self.ends_s is not None and self.starts_s is not None else None

    @property
    def waited_s(self) -> float | None:
        """How long it waited for others."""
        return self.starts_s - self.wanted_s if self.starts_s is not None and self.wanted_s is not None else None


@dataclass(frozen=True, slots=True)
class Link:
    """A stretch of a path: `name` was at its start from `from_s` until `until_s`. Before that it had waited for
    `after`, which was there `waited_s` earlier; `edge` says in words what that is to it."""

    name: str
    from_s: float
    until_s: float
    after: str = ""
    edge: str = ""
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Slice:
    """What the CPUs did meanwhile: shares between 0 and 1. `waiting`: idle, but for a disk."""

    from_s: float
    until_s: float
    busy: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Course:
    """A boot. `moments`: of linit's own start, those that are known. `reached_s` is None when the runlevel was not
    reached by `ends_s`: that is the present if the boot is under way, else the last event. `runs` in the order of their
    starts."""

    runlevel: str
    version: str
    wall_s: float  # of the origin, since the epoch
    moments: Mapping[Mark, float]
    plan_s: float  # the plan was there
    first_spawn_s: float | None
    reached_s: float | None
    ends_s: float
    is_under_way: bool
    failed: tuple[str, ...]
    runs: tuple[Run, ...]
    critical: tuple[Link, ...]
    load: tuple[Slice, ...]
    cpus: int  # 0: not known
    learned: Mapping[str, tuple[str, ...]]  # service -> what it needs, found out at run time
    note: str = ""  # what is missing, if the beginning of the recording is

    @property
    def is_machine(self) -> bool:
        """Is it a boot of PID 1, with a kernel's part?"""
        return Mark.KERNEL in self.moments

    @property
    def by_name(self) -> dict[str, Run]:
        """The runs of all services, names of several and runlevels."""
        return {run.name: run for run in self.runs}

    @property
    def services(self) -> list[Run]:
        """Those that are more than a name for others."""
        return [run for run in self.runs if run.kind not in NAMING_KINDS]

    def path_to(self, name: str) -> tuple[Link, ...]:
        """The chain on which the time went until `name` was up, from the first to the last. Raises KeyError."""
        return _path(self.by_name, self.learned, name, self.ends_s)


def of(recording: Recording, now_s: float | None = None) -> Course:
    """The first boot in a recording. `now_s`, on the engine's clock: the present, if that linit still runs.

    Where its beginning is no longer kept, what the state of the engine tells that stands in its place: when the last
    start of each service began, and how long it took. Raises CourseError, and RecordingError for a state that cannot be
    restored.
    """
    return _Reader(recording).course(now_s)


class _Reader:
    """Steps through a recording until the boot is over."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        marks = recording.marks
        first = marks.get(Mark.LINIT, recording.began_s)
        self._origin_s = marks.get(Mark.KERNEL, marks.get(Mark.EXEC, first))
        self._stepper = Stepper(recording)
        self._found: dict[str, Run] = {}
        self._open: dict[str, tuple[UnitState, float]] = {}  # states that last
        self._runlevel = ""
        self._first_spawn_s: float | None = None
        self._finished: BootFinished | None = None

    def course(self, now_s: float | None) -> Course:
        """Read it all."""
        ends_s, note = 0.0, ""
        if self._recording.dropped:
            ends_s, note = self._resume()
        while self._finished is None and (step := self._stepper.forward()) is not None:
            ends_s = step.entry.at_s - self._origin_s
            self._take(step)
        is_under_way = self._finished is None and now_s is not None
        if self._finished is None and now_s is not None:
            ends_s = max(ends_s, now_s - self._origin_s)
        if not self._runlevel:
            raise CourseError(f"{self._recording.path}: no boot of a runlevel is in this recording")
        for name, (state, from_s) in self._open.items():
            self._found[name].spans.append(Span(state, from_s, ends_s))
        engine = self._stepper.engine
        runs = self._settled(engine)
        by_name = {run.name: run for run in runs}
        learned = {name: _learned(engine, name) for name in by_name}
        critical = _path(by_name, learned, self._runlevel, ends_s) if self._runlevel in by_name else ()
        for link in critical:
            by_name[link.name].is_critical = True
        loads = self._recording.loads
        return Course(
            self._runlevel,
            self._recording.version,
            self._recording.wall_s(self._origin_s),
            {mark: at_s - self._origin_s for mark, at_s in self._recording.marks.items()},
            self._recording.began_s - self._origin_s,
            self._first_spawn_s,
            None if self._finished is None else self._finished.at_s - self._origin_s,
            ends_s,
            is_under_way,
            self._finished.failed if self._finished else _failed(runs),
            runs,
            critical,
            tuple(_slices(loads, self._origin_s, ends_s, Mark.KERNEL in self._recording.marks)),
            loads[-1].cpus if loads else 0,
            learned,
            note,
        )

    def _resume(self) -> tuple[float, str]:
        """What the state tells of the boot before it: when that ended, and what it does not tell."""
        engine, start = self._stepper.engine, self._recording.starts[0]
        top = engine.units.get(engine.runlevel)
        is_over = engine.boot_state == "running"
        if top is None or engine.boot_state == "stopping" or (is_over and top.state is not UnitState.UP):
            lacks = f"its beginning, {self._recording.dropped} events, is no longer kept"
            raise CourseError(f"{self._recording.path}: {lacks}, and nothing tells any more how the boot went")
        self._runlevel = engine.runlevel
        reached_s = top.changed_at_s if is_over else start.at_s
        again = []
        for unit in engine.units.values():
            if unit.run_at_s is not None and unit.run_at_s > reached_s:
                again.append(unit.name)
            elif unit.run_at_s is not None or (unit.changed_at_s <= reached_s and unit.state is not UnitState.DOWN):
                self._remember(unit, reached_s)
        if is_over:
            names = tuple(name for name, run in self._found.items() if run.outcome == "failed")
            self._finished = BootFinished(self._runlevel, reached_s, names)
            self._open.clear()
        told = "of the boot before that the state of the services tells, and their definitions what they waited for"
        more = f"; started again since, and left out: {', '.join(sorted(again))}" if again else ""
        return reached_s - self._origin_s, told + more

    def _remember(self, unit: Unit, reached_s: float) -> None:
        """The last start of a unit, of which no event is kept."""
        run = self._found.setdefault(unit.name, Run(unit.name, unit.service.kind, unit.service.description))
        run.wanted_by, run.why_wanted = unit.wish.of, str(unit.wish)
        run.attempts = int(unit.run_at_s is not None)
        began_s = unit.changed_at_s if unit.run_at_s is None else unit.run_at_s
        wanted_s = min(unit.wish.at_s, began_s)
        run.wanted_s = wanted_s - self._origin_s
        if unit.state is not UnitState.WAITING:
            run.starts_s = began_s - self._origin_s
            run.spans.append(Span(UnitState.WAITING, run.wanted_s, run.starts_s))
        if unit.state is UnitState.FAILED:
            run.outcome, run.ends_s, run.why = "failed", unit.changed_at_s - self._origin_s, str(unit.reason)
        elif unit.start_duration_s is not None and not unit.state.is_moving:
            run.outcome, run.ends_s = "up", began_s + unit.start_duration_s - self._origin_s
            run.spans.append(Span(UnitState.STARTING, began_s - self._origin_s, run.ends_s))
            run.spans.append(Span(UnitState.UP, run.ends_s, reached_s - self._origin_s))
        elif unit.state.is_moving:
            self._open[unit.name] = (unit.state, unit.changed_at_s - self._origin_s)

    def _take(self, step: Step) -> None:
        event = step.entry.event
        if not self._runlevel and isinstance(event, Request) and event.verb in (Verb.START, Verb.RUNLEVEL):
            units = self._stepper.engine.units
            levels = (name for name in event.names if name in units and units[name].service.kind is Kind.RUNLEVEL)
            self._runlevel = next(levels, "")
        for effect in step.effects:
            if isinstance(effect, Transition):
                self._move(effect)
            elif isinstance(effect, Spawn) and self._first_spawn_s is None:
                self._first_spawn_s = step.entry.at_s - self._origin_s
            elif isinstance(effect, BootFinished) and self._finished is None:
                self._finished = effect

    def _move(self, change: Transition) -> None:
        unit = self._stepper.engine.units.get(change.name)
        if unit is None:
            return
        at_s = change.at_s - self._origin_s
        service = unit.service
        run = self._found.setdefault(change.name, Run(change.name, service.kind, service.description))
        if change.name in self._open:
            state, from_s = self._open.pop(change.name)
            run.spans.append(Span(state, from_s, at_s))
        if change.after not in (UnitState.DOWN, UnitState.FAILED):
            self._open[change.name] = (change.after, at_s)
        if change.after in (UnitState.WAITING, UnitState.STARTING) and run.wanted_s is None:
            run.wanted_s, run.wanted_by, run.why_wanted = at_s, unit.wish.of, str(unit.wish)
        if change.after is UnitState.STARTING:
            run.attempts += 1
            if run.starts_s is None:
                run.starts_s = at_s
        if run.outcome != "up" and change.after in (UnitState.UP, UnitState.FAILED):
            run.ends_s, run.outcome = at_s, change.after.value
            run.why = "" if run.outcome == "up" else str(change.reason)

    def _settled(self, engine: Engine) -> tuple[Run, ...]:
        """What is known of each only at the end."""
        for run in self._found.values():
            unit = engine.units.get(run.name)
            if not run.outcome:
                run.outcome, run.why = (unit.state.value, str(unit.reason)) if unit else ("gone", "")
            run.cpu_s = self._recording.cpu_s.get(run.name)
            run.queued_s = self._recording.stalled_s.get(run.name)
        wanted = {name: run for name, run in self._found.items() if run.wanted_s is not None or run.outcome == "failed"}
        for run in wanted.values():
            unit = engine.units.get(run.name)
            if unit is not None and run.starts_s is not None:
                _release(engine, wanted, run, unit.service)
        return tuple(sorted(wanted.values(), key=lambda run: (_last(run.starts_s), _last(run.ends_s), run.name)))


def _last(at_s: float | None) -> float:
    return float("inf") if at_s is None else at_s


def _failed(runs: tuple[Run, ...]) -> tuple[str, ...]:
    return tuple(sorted(run.name for run in runs if run.outcome == "failed"))


def _learned(engine: Engine, name: str) -> tuple[str, ...]:
    if name not in engine.units:
        return ()
    return tuple(edge.on for edge in engine.links.dependencies(name) if edge.learned)


def _release(engine: Engine, found: Mapping[str, Run], run: Run, service: Service) -> None:
    """Tell a service what released it: the last to come to rest of what it depends on, while it waited."""
    assert run.starts_s is not None
    since_s = run.starts_s if run.wanted_s is None else run.wanted_s
    best: tuple[float, bool, str, str] = (since_s, False, "", "")  # when, is it a hard edge, on whom, in words
    for edge in engine.links.dependencies(run.name):
        other = found.get(edge.on)
        is_order = edge.kind is not EdgeKind.CONFLICTS and not edge.learned
        if other is not None and is_order and since_s < _last(other.ends_s) <= run.starts_s:
            best = max(best, (_last(other.ends_s), edge.kind.is_hard, other.name, EDGE_WORDS[edge.kind]))
    at_s, _, run.after, run.edge = best
    if service.idle_s and run.starts_s - at_s > SAME_S:
        earlier = [each for each in found.values() if _last(each.ends_s) <= run.starts_s and each is not run]
        if earlier:
            run.after = max(earlier, key=lambda each: (_last(each.ends_s), each.name)).name
            run.edge = IDLE_WORDS


def _path(runs: Mapping[str, Run], learned: Mapping[str, tuple[str, ...]], name: str, end_s: float) -> tuple[Link, ...]:
    """From the end back to the beginning, by what released each; names of others are passed through."""
    if name not in runs:
        raise KeyError(name)
    links: list[Link] = []
    seen: set[tuple[str, float]] = set()
    current: tuple[str, float] | None = _latest_below(runs, learned, name, end_s)
    while current is not None and current not in seen:
        seen.add(current)
        link, current = _back(runs, learned, *current)
        if link is not None and runs[link.name].kind not in NAMING_KINDS:
            links.append(link)
    return tuple(reversed(links))


def _latest_below(
    runs: Mapping[str, Run], learned: Mapping[str, tuple[str, ...]], name: str, end_s: float
) -> tuple[str, float]:
    """Where a path begins to be looked for: at the end of `name`'s start, or at what is under way for it."""
    run = runs[name]
    if run.ends_s is not None:
        return name, run.ends_s
    if run.starts_s is not None and run.kind not in NAMING_KINDS:
        return name, end_s
    busy = [each for each in runs.values() if each.ends_s is None and each.starts_s is not None]
    moving = [each for each in busy if each.kind not in NAMING_KINDS]
    if moving:
        return min(moving, key=lambda each: (_last(each.starts_s), each.name)).name, end_s
    ended = [each for each in runs.values() if each.ends_s is not None]
    last = max(ended, key=lambda each: (each.ends_s or 0.0, each.name), default=run)
    return last.name, _last(last.ends_s) if last.ends_s is not None else end_s


def _back(
    runs: Mapping[str, Run], learned: Mapping[str, tuple[str, ...]], name: str, until_s: float
) -> tuple[Link | None, tuple[str, float] | None]:
    """One stretch, and what it waited for and when that was there."""
    run = runs[name]
    if run.starts_s is None or run.starts_s > until_s:
        return None, None
    asked = [runs[each] for each in learned.get(name, ()) if each in runs]
    inner = [each for each in asked if run.starts_s < _last(each.ends_s) <= until_s]
    if inner:
        last = max(inner, key=lambda each: (_last(each.ends_s), each.name))
        link = Link(name, _last(last.ends_s), until_s, last.name, ASKED_WORDS)
        return link if link.until_s > link.from_s else None, (last.name, link.from_s)
    before: tuple[str, float] | None = None
    if run.after:
        before = (run.after, _last(runs[run.after].ends_s))
    elif run.wanted_s is not None and _was_starting(runs.get(run.wanted_by), run.wanted_s):
        before = (run.wanted_by, run.wanted_s)
    waited_s = run.starts_s - (before[1] if before else _last(run.wanted_s))
    edge = run.edge if run.after else ASKED_BY_WORDS if before else ""
    link = Link(name, run.starts_s, until_s, before[0] if before else "", edge, max(waited_s, 0.0))
    return link, before


def _was_starting(run: Run | None, at_s: float) -> bool:
    """Did it start then? So it may have asked for something."""
    return run is not None and run.starts_s is not None and run.starts_s < at_s <= _last(run.ends_s)


def _slices(loads: list[Load], origin_s: float, ends_s: float, has_kernel: bool) -> Iterator[Slice]:
    """The shares between readings. Before the first reading of a machine there was its zero."""
    readings = ([Load(origin_s, 0.0, 0.0, 0.0)] if has_kernel else []) + loads
    before = readings[0] if readings else None
    for each in readings[1:]:
        assert before is not None
        busy_s, waiting_s = each.busy_s - before.busy_s, each.waiting_s - before.waiting_s
        total_s = busy_s + waiting_s + each.idle_s - before.idle_s
        if each.at_s - before.at_s < SLICE_MIN_S or total_s <= 0:
            continue
        until_s = min(each.at_s - origin_s, ends_s)
        if until_s > before.at_s - origin_s:
            yield Slice(before.at_s - origin_s, until_s, busy_s / total_s, waiting_s / total_s)
        before = each
