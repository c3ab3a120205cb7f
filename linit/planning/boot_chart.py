"""A boot as a picture that any browser shows: a row for each service with bars for waiting, starting and up, the
critical path drawn through them, and below it what the CPUs did. Light or dark as the reader's desktop is; what has no
room as text is in the titles that appear under the pointer. Lengths are in pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from linit.model.service import Kind
from linit.model.state import UnitState
from linit.planning.boot_chart_look import BOLD_SHARE, SMALL, TEXT, cut, style, width_of
from linit.planning.boot_course import Course, Link, Run, Slice
from linit.planning.markup import escape
from linit.record.recorder import Mark

WIDTH: Final = 1240.0
MARGIN: Final = 28.0
HEADER: Final = 92.0  # title, subtitle, legend
ROW: Final = 21.0
BAR: Final = 12.0
WAIT: Final = 4.0
CPU_BAR: Final = 4.0
LANE: Final = 16.0  # of the names of runlevels
AXIS: Final = 24.0
LOAD: Final = 84.0
NAMES_MIN: Final = 90.0
NAMES_MAX: Final = 230.0
TICKS_MAX: Final = 14
LANES_MAX: Final = 3
SEEN: Final = 2.0  # a bar is at least so wide
BEYOND: Final = 1.05  # the picture goes on after the end
ALMOST: Final = 0.9999

STATE_CLASSES: Final = {UnitState.UP: "up", UnitState.BACKOFF: "back", UnitState.STOPPING: "back"}
LEGEND: Final = (
    ("wait", "waiting"), ("start", "starting"), ("path", "starting, on the critical path"), ("cpu", "CPU time of it"),
    ("up", "up"), ("back", "to be started again"), ("fail", "failed"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things are. `ends_s`: the right edge."""

    left: float
    top: float  # of the rows
    rows: int
    ends_s: float
    load: float  # the height of the load; 0: not drawn

    @property
    def right(self) -> float:
        """The right edge."""
        return WIDTH - MARGIN

    @property
    def bottom(self) -> float:
        """Below the last row."""
        return self.top + self.rows * ROW

    @property
    def load_top(self) -> float:
        """The line of full load."""
        return self.bottom + AXIS + 18

    @property
    def height(self) -> float:
        """Of the whole picture."""
        return self.load_top + max(self.load, 14) + AXIS + 10

    def x(self, at_s: float) -> float:
        """Where a moment is."""
        return self.left + (self.right - self.left) * min(max(at_s, 0.0), self.ends_s) / self.ends_s

    def y(self, row: int) -> float:
        """The middle of a row."""
        return self.top + (row + 0.5) * ROW


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of what was before the services, or is linit's own."""

    row: str
    name: str
    from_s: float
    until_s: float
    look: str


def lines(course: Course) -> Iterator[str]:
    """The text of the file."""
    runs = [run for run in course.services if run.starts_s is not None or run.wanted_s is not None]
    phases = list(_phases(course))
    heads = list(dict.fromkeys(phase.row for phase in phases))
    levels = _levels(course)
    names = [*heads, *(run.name for run in runs)]
    longest = max((width_of(name, TEXT) for name in names), default=0.0) * BOLD_SHARE
    left = MARGIN + min(max(longest, NAMES_MIN), NAMES_MAX) + 10
    ends_s = max(course.ends_s, 0.001) * BEYOND
    bare = Frame(left, 0.0, 0, ends_s, 0.0)
    lanes = _lanes([(bare.x(at_s), name) for name, at_s in levels], bare.right)
    top = HEADER + LANE * (max(lanes, default=0) + 1) + AXIS
    frame = Frame(left, top, len(heads) + len(runs), ends_s, LOAD if course.load else 0.0)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {frame.height:.0f}" '
        f'width="{WIDTH:.0f}" height="{frame.height:.0f}">'
    )
    yield f"<title>{escape(_title(course))}</title>"
    yield f"<style>\n{style()}</style>"
    yield f'<rect class="paper" width="{WIDTH:.0f}" height="{frame.height:.0f}" />'
    yield from _header(course, runs)
    yield from _grid(frame)
    rows = {run.name: len(heads) + number for number, run in enumerate(runs)}
    for run in runs:
        yield from _ups(frame, run, frame.y(rows[run.name]))
    yield from _load(frame, course)
    yield from _level_lines(frame, levels, lanes)
    yield from _ticks(frame, levels[-1][1] if levels else frame.ends_s)
    yield from _links(frame, course.critical, rows)
    for row, name in enumerate(heads):
        yield from _phase_row(frame, name, [phase for phase in phases if phase.row == name], row)
    for run in runs:
        yield from _run(frame, run, rows[run.name])
    yield "</svg>"


def _title(course: Course) -> str:
    if course.reached_s is None:
        return f"Boot to {course.runlevel}: not there after {course.ends_s:.2f} s"
    return f"Boot to {course.runlevel} in {course.reached_s:.2f} s"


def _text(x: float, y: float, words: str, look: str) -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, look: str, *, radius: int = 0) -> str:
    round_ = f' rx="{radius}"' if radius else ""
    return f'<rect class="{look}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{round_} />'


# -- around the rows


def _header(course: Course, runs: Sequence[Run]) -> Iterator[str]:
    yield _text(MARGIN, 36, _title(course), "ink title")
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(course.wall_s))
    failed = f", {len(course.failed)} failed: {', '.join(course.failed)}" if course.failed else ""
    cpus = f", {course.cpus} CPU{'s' if course.cpus != 1 else ''}" if course.cpus else ""
    words = f"{day}, linit {course.version}, {len(runs)} services{cpus}{failed}"
    yield _text(MARGIN, 57, cut(words, WIDTH - 2 * MARGIN), "faint")
    shown = _shown(runs)
    x = MARGIN
    for look, word in LEGEND:
        if look in shown:
            height = {"wait": WAIT, "cpu": CPU_BAR}.get(look, BAR - 2)
            yield _rect(x, 79 - height / 2, 18, height, look, radius=2)
            yield _text(x + 24, 83, word, "faint small")
            x += 24 + width_of(word, SMALL) + 18


def _shown(runs: Sequence[Run]) -> set[str]:
    """Which words the legend needs."""
    states = {span.state for run in runs for span in run.spans}
    found = {STATE_CLASSES[state] for state in states & STATE_CLASSES.keys()}
    found |= {"start"} | ({"wait"} if any((run.waited_s or 0.0) > 0.0 for run in runs) else set())
    found |= {"path"} if any(run.is_critical for run in runs) else set()
    found |= {"cpu"} if any(run.cpu_s is not None for run in runs) else set()
    return found | ({"fail"} if any(run.outcome == "failed" for run in runs) else set())


def step_s(ends_s: float) -> float:
    """Between two ticks of an axis so long: 1, 2 or 5 of some power of ten."""
    power = 0.0001
    while True:
        for factor in (1, 2, 5):
            if ends_s / (power * factor) <= TICKS_MAX:
                return power * factor
        power *= 10


def _tick_times(frame: Frame) -> tuple[list[float], int]:
    """Where ticks are, and how many digits they need."""
    between_s = step_s(frame.ends_s)
    digits = next((digits for digits in range(4) if between_s >= 10**-digits * 0.9999), 4)
    return [number * between_s for number in range(int(frame.ends_s / between_s) + 1)], digits


def _grid(frame: Frame) -> Iterator[str]:
    for row in range(0, frame.rows, 2):
        yield _rect(MARGIN - 6, frame.top + row * ROW, frame.right - MARGIN + 6, ROW, "stripe")
    bottom = frame.load_top + frame.load if frame.load else frame.bottom
    for at_s in _tick_times(frame)[0]:
        x = frame.x(at_s)
        yield f'<line class="grid" x1="{x:.1f}" y1="{frame.top - 4:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" />'


def _ticks(frame: Frame, end_s: float) -> Iterator[str]:
    """The times below and above the rows. One that the line at `end_s` would cross is left out."""
    times, digits = _tick_times(frame)
    for at_s in times:
        words = f"{at_s:.{digits}f} s"
        is_crossed = abs(frame.x(at_s) - frame.x(end_s)) < width_of(words, SMALL) / 2
        for y in () if is_crossed else (frame.top - 9, frame.bottom + 16):
            yield _text(frame.x(at_s), y, words, "faint small middle halo")


def _levels(course: Course) -> list[tuple[str, float]]:
    """Runlevels that were reached, in that order."""
    found = [(run.name, run.ends_s) for run in course.runs if run.kind is Kind.RUNLEVEL and run.outcome == "up"]
    return sorted(((name, at_s) for name, at_s in found if at_s is not None), key=lambda each: each[1])


def _lanes(marks: Sequence[tuple[float, str]], right: float) -> list[int]:
    """A lane for each name, so that none covers another."""
    ends = [0.0] * LANES_MAX
    found = []
    for x, name in marks:
        width = width_of(name, TEXT) + 10
        begins = x - width if x + width > right else x
        lane = next((number for number, end in enumerate(ends) if begins >= end), LANES_MAX - 1)
        ends[lane] = begins + width
        found.append(lane)
    return found


def _level_lines(frame: Frame, levels: Sequence[tuple[str, float]], lanes: Sequence[int]) -> Iterator[str]:
    for number, ((name, at_s), lane) in enumerate(zip(levels, lanes, strict=True)):
        x, y = frame.x(at_s), HEADER + LANE * (lane + 1)
        look = "end" if number == len(levels) - 1 else "level"
        bottom = frame.load_top + frame.load if frame.load else frame.bottom
        yield f"<g><title>{escape(f'runlevel {name}: reached after {at_s:.2f} s')}</title>"
        yield f'<line class="{look}" x1="{x:.1f}" y1="{y - 11:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" />'
        if x + width_of(name, TEXT) + 10 > frame.right:
            yield _text(x - 5, y - 2, name, "level right")
        else:
            yield _text(x + 5, y - 2, name, "level")
        yield "</g>"


# -- before the services, and linit's own part


def _phases(course: Course) -> Iterator[Phase]:
    found = course.moments
    exec_s, linit_s, loop_s = (found.get(mark) for mark in (Mark.EXEC, Mark.LINIT, Mark.LOOP))
    begin_s = exec_s if exec_s is not None else linit_s
    if course.is_machine and begin_s is not None:
        name = "kernel and initramfs" if exec_s is not None else "kernel, initramfs and interpreter"
        yield Phase("kernel", name, 0.0, begin_s, "phase")
    if exec_s is not None and linit_s is not None:
        yield Phase("linit", "interpreter", exec_s, linit_s, "phase")
    if linit_s is not None:
        yield Phase("linit", "modules and plan", linit_s, course.plan_s, "linit")
    if loop_s is not None and course.first_spawn_s is not None:
        yield Phase("linit", "loop and control", course.plan_s, loop_s, "linit")


def _phase_row(frame: Frame, name: str, phases: Sequence[Phase], row: int) -> Iterator[str]:
    """The phases of one row; what does not fit into its bar is told after the last."""
    yield _text(frame.left - 8, frame.y(row) + 4, name, "faint right")
    left_out = []
    for phase in phases:
        words = f"{phase.name} {_ms(phase.until_s - phase.from_s)}"
        fits = width_of(words, SMALL) + 10 <= frame.x(phase.until_s) - frame.x(phase.from_s)
        yield _phase(frame, phase, frame.y(row), words if fits else "")
        left_out += [] if fits else [words]
    if left_out:
        yield _text(frame.x(phases[-1].until_s) + 6, frame.y(row) + 4, ", ".join(left_out), "faint small halo")


def _phase(frame: Frame, phase: Phase, y: float, words: str) -> str:
    x, until = frame.x(phase.from_s), frame.x(phase.until_s)
    width = max(until - x - 1, SEEN)  # a gap of one pixel between phases
    title = f"{phase.name}: {_ms(phase.until_s - phase.from_s)}, from {phase.from_s:.3f} s to {phase.until_s:.3f} s"
    label = _text(x + 6, y + 4, words, "ink small") if words else ""
    bar = _rect(x, y - 8, width, 16, phase.look, radius=2)
    return f"<g><title>{escape(title)}</title>{bar}{label}</g>"


# -- rows


def _run(frame: Frame, run: Run, row: int) -> Iterator[str]:
    y = frame.y(row)
    yield f'<g class="row"><title>{escape(_told(run))}</title>'
    yield _rect(MARGIN - 6, y - ROW / 2, frame.right - MARGIN + 6, ROW, "hit")
    look = "failed bold" if run.outcome == "failed" else "path bold" if run.is_critical else "ink"
    yield _text(frame.left - 8, y + 4, cut(run.name, (frame.left - MARGIN - 8) / BOLD_SHARE), f"{look} right")
    for span in run.spans:
        x, width = frame.x(span.from_s), frame.x(span.until_s) - frame.x(span.from_s)
        match span.state:
            case UnitState.WAITING if width >= 0.5:
                yield _rect(x, y - WAIT / 2, width, WAIT, "wait", radius=2)
            case UnitState.STARTING:
                yield _rect(x, y - BAR / 2, max(width, SEEN), BAR, "path" if run.is_critical else "start", radius=2)
            case UnitState.BACKOFF | UnitState.STOPPING if width >= 0.5:
                yield _rect(x, y - BAR / 2, width, BAR, STATE_CLASSES[span.state], radius=2)
    yield from _marks(frame, run, y)
    yield "</g>"


def _ups(frame: Frame, run: Run, y: float) -> Iterator[str]:
    """While a service was up; what is up at the end stays so, to the edge of the picture. Below all else."""
    for span in run.spans:
        if span.state is UnitState.UP:
            x, until = frame.x(span.from_s), frame.x(span.until_s)
            until = frame.right if span.until_s * BEYOND >= frame.ends_s * ALMOST else until
            yield _rect(x, y - BAR / 2, max(until - x, 0.0), BAR, "up", radius=2)


def _last_s(run: Run) -> float:
    """When the last that is known of a service was."""
    return run.spans[-1].until_s if run.spans else 0.0


def _marks(frame: Frame, run: Run, y: float) -> Iterator[str]:
    """What stands on a row's bars: the CPU time, the cross of a failure, the seconds."""
    if run.starts_s is not None and run.ends_s is not None:
        x, until = frame.x(run.starts_s), frame.x(run.ends_s)
        if run.cpu_s is not None and run.took_s and until - x > SEEN:
            width = (until - x) * min(run.cpu_s / run.took_s, 1.0)
            yield _rect(x, y + BAR / 2 - CPU_BAR, width, CPU_BAR, "pathcpu" if run.is_critical else "cpu", radius=1)
    end = frame.x(run.ends_s if run.ends_s is not None else _last_s(run))
    if run.outcome == "failed":
        yield _rect(end - 1, y - BAR / 2 - 1, 4, BAR + 2, "fail", radius=1)
    words = _ms(run.took_s) if run.took_s is not None else run.outcome
    if run.outcome == "failed":
        words = f"{words}  failed"
    room = width_of(words, SMALL)
    if end + room + 8 < WIDTH - 4:
        if run.outcome == "up":  # what crosses here is not to cross the words
            yield _rect(end, y - BAR / 2, min(room + 8, frame.right - end), BAR, "up")
        yield _text(end + 6, y + 4, words, f"{'failed' if run.outcome == 'failed' else 'ink'} small")
    elif run.starts_s is not None and frame.x(run.starts_s) - room - 8 > frame.left:
        yield _text(frame.x(run.starts_s) - 5, y + 4, words, "ink small right halo")


def _told(run: Run) -> str:
    """The title under the pointer."""
    parts = [f"{run.name}: {run.description}" if run.description else run.name]
    if run.wanted_s is not None:
        parts.append(f"wanted at {run.wanted_s:.3f} s ({run.why_wanted})")
    if run.after:
        parts.append(f"waited {_ms(run.waited_s)}: {run.edge} {run.after}")
    if run.starts_s is not None:
        cpu = f", CPU time {_ms(run.cpu_s)}" if run.cpu_s is not None else ""
        attempts = f", {run.attempts} attempts" if run.attempts > 1 else ""
        took = f"took {_ms(run.took_s)}" if run.took_s is not None else "not over"
        parts.append(f"start at {run.starts_s:.3f} s, {took}{cpu}{attempts}")
    if run.ends_s is not None:
        parts.append(f"{run.outcome} at {run.ends_s:.3f} s")
    if run.why:
        parts.append(run.why)
    return "\n".join(parts)


def _ms(seconds: float | None) -> str:
    """`12 ms`, `0.31 s`."""
    if seconds is None:
        return "?"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.0995 else f"{seconds:.2f} s"


def _links(frame: Frame, path: Sequence[Link], rows: dict[str, int]) -> Iterator[str]:
    """From the end of what was waited for to the start of who waited, as elbows."""
    before: Link | None = None
    for link in path:
        if before is not None and link.name in rows and before.name in rows and link.name != before.name:
            x1, x2 = frame.x(before.until_s), frame.x(link.from_s)
            y1, y2 = frame.y(rows[before.name]), frame.y(rows[link.name])
            y2 += -BAR / 2 if y2 > y1 else BAR / 2
            yield f'<path class="link" d="M{x1:.1f} {y1:.1f} V{(y1 + y2) / 2:.1f} H{x2:.1f} V{y2:.1f}" />'
        before = link


# -- below the rows


def _load(frame: Frame, course: Course) -> Iterator[str]:
    label = frame.left - 8
    if not frame.load:
        yield _text(label, frame.load_top + 10, "CPU load", "faint right")
        yield _text(frame.left + 4, frame.load_top + 10, "not recorded", "faint small")
        return
    top, bottom = frame.load_top, frame.load_top + frame.load
    for share in (1.0, 0.5, 0.0):
        y = bottom - share * frame.load
        yield f'<line class="grid" x1="{frame.left:.1f}" y1="{y:.1f}" x2="{frame.right:.1f}" y2="{y:.1f}" />'
        yield _text(label, y + 4, f"{share:.0%}", "faint small right")
    yield _text(MARGIN, top + 4, "CPU load", "ink")
    yield _text(MARGIN, top + 20, f"of {course.cpus} CPUs" if course.cpus > 1 else "of the CPU", "faint small")
    for each in course.load:
        yield _slice(frame, each)
    if any(each.waiting > 0.005 for each in course.load):
        yield _rect(MARGIN, top + 55, 10, 10, "disk", radius=2)
        yield _text(MARGIN + 15, top + 64, "waits for disk", "faint small")


def _slice(frame: Frame, each: Slice) -> str:
    x, until = frame.x(each.from_s), frame.x(each.until_s)
    bottom = frame.load_top + frame.load
    busy, disk = each.busy * frame.load, each.waiting * frame.load
    waits = f", {each.waiting:.0%} idle for a disk" if each.waiting >= 0.005 else ""
    title = f"{each.from_s:.2f} s to {each.until_s:.2f} s: {each.busy:.0%} busy{waits}"
    parts = [
        _rect(x, frame.load_top, until - x, frame.load, "hit"),
        _rect(x, bottom - busy, until - x, busy, "busy"),
        _rect(x, bottom - busy - disk, until - x, disk, "disk") if disk >= 0.5 else "",
    ]
    return f'<g class="row slice"><title>{escape(title)}</title>{"".join(parts)}</g>'
