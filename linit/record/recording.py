"""What is in a recording? Reads the segments of a boot from the ring, or one file that `linitctl record save` made of
them, which holds its plans too. Never part of PID 1.

Each segment begins with the whole state of the engine, so that a recording can begin in the middle of a boot, and goes
on after events that were lost. What is wrong with a file is named with its byte.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from linit import messagepack
from linit.engine.engine import Engine
from linit.engine.events import Event
from linit.model.service import Plan
from linit.plan import codec as plan_codec
from linit.record import codec, reading, restoring
from linit.record.recorder import BEGIN, CLOCK, CPU, FORMAT_VERSION, LOAD, LOST, MAGIC, MARK, PLAN, STATE, Mark
from linit.record.ring import checksum, frame

PLAN_DATA: Final = "plan_data"  # [PLAN_DATA, 0.0, digest, compressed plan]: only in saved files, before all others
UNNUMBERED: Final = -1  # of frames that are no rows of the boot
FILE_MAX_BYTES: Final = 256 << 20


class RecordingError(Exception):
    """There is nothing to be had from a file; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it was given to the engine."""

    at_s: float  # on the engine's clock
    event: Event


@dataclass(frozen=True, slots=True)
class Load:
    """What all CPUs together had done since the machine was started; `waiting_s`: idle, but for a disk."""

    at_s: float  # on the engine's clock
    busy_s: float
    waiting_s: float
    idle_s: float
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Start:
    """A place from which the engine can be replayed: before entry number `index`.

    `state` is a checkpoint, None for a new engine. `lost`: so many events right before it are missing, and `why`.
    """

    index: int
    at_s: float
    plan: Plan
    state: bytes | None = None
    lost: int = 0
    why: str = ""

    def engine(self) -> Engine:
        """The engine as it was then. Raises RecordingError."""
        if self.state is None:
            return Engine(self.plan)
        try:
            return restoring.restore(self.plan, self.state)
        except restoring.CheckpointError as error:
            raise RecordingError(str(error)) from error


@dataclass(slots=True)
class Recording:
    """A boot. `began_s` is the engine's clock at the boot's beginning, `version` the linit that ran; `dropped`: so many
    events at its beginning are no longer kept; `fault`: why it ends before the boot did, "" if nothing is wrong."""

    path: str
    version: str = ""
    began_s: float = 0.0
    dropped: int = 0
    starts: list[Start] = field(default_factory=list)  # the first has index 0
    entries: list[Entry] = field(default_factory=list)
    clocks: list[tuple[float, float]] = field(default_factory=list)  # (engine's clock, seconds since the epoch)
    marks: dict[Mark, float] = field(default_factory=dict)  # linit's own start, on the engine's clock
    loads: list[Load] = field(default_factory=list)  # during the boot
    cpu_s: dict[str, float] = field(default_factory=dict)  # that the first start of a service had used at its end
    stalled_s: dict[str, float] = field(default_factory=dict)  # for so long it could have run, and had no processor
    plans: dict[str, bytes] = field(default_factory=dict)  # digest -> compressed, of those that it names
    has_its_plans: bool = False  # in the same file
    fault: str = ""
    rows: int = 0  # number of the last row, and one

    @property
    def plan(self) -> Plan:
        """That of the engine at the first event."""
        return self.starts[0].plan

    @property
    def kept_from_s(self) -> float:
        """When what is kept begins, on the engine's clock."""
        return self.starts[0].at_s if self.starts else self.began_s

    @property
    def ended_s(self) -> float:
        """When the last event was, on the engine's clock."""
        return self.entries[-1].at_s if self.entries else self.kept_from_s

    @property
    def losses(self) -> list[Start]:
        """Where events are missing."""
        return [each for each in self.starts if each.lost]

    def wall_s(self, at_s: float) -> float:
        """Seconds since the epoch at a moment of the engine's clock, by the machine's clock as it was then."""
        known = [(mono_s, wall_s) for mono_s, wall_s in self.clocks if mono_s <= at_s] or self.clocks[:1]
        mono_s, wall_s = known[-1]
        return wall_s + at_s - mono_s

    def at_s(self, wall_s: float) -> float:
        """The last moment of the engine's clock at which the machine's clock said so; earlier than all: the first."""
        starts = [wall for _, wall in self.clocks]
        for index in range(len(starts) - 1, -1, -1):
            if wall_s >= starts[index]:
                return self.clocks[index][0] + wall_s - starts[index]
        return self.clocks[0][0] + wall_s - starts[0]


def load(*paths: str) -> Recording:
    """The recording in the files of a boot, the oldest first. Raises RecordingError when none of it can be read."""
    recording = Recording(paths[0])
    reader = _Reader(recording)
    for path in paths:
        reader.begin_file(path)
        for number, rows in _frames(_content(path), path, recording):
            reader.take(number, rows)
    if not recording.starts:
        raise RecordingError(recording.fault or f"{recording.path}: this is no recording of linit")
    return recording


def save(target: str, *paths: str) -> Recording:
    """Make one file of a recording and its plans. Raises RecordingError, and OSError about `target`."""
    recording = load(*paths)
    beside = {} if recording.has_its_plans else recording.plans
    heads = [frame(UNNUMBERED, codec.pack_row([PLAN_DATA, 0.0, *item])) for item in beside.items()]
    parts = [_content(path) for path in paths]
    for index, path in enumerate(paths[:-1]):  # what a power failure left of a frame would hide what follows
        scratch = Recording(path)
        parts[index] = b"".join(frame(*each) for each in _frames(parts[index], path, scratch))
    with open(target, "wb") as file:
        file.write(b"".join([*heads, *parts]))
    return recording


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from None


def _frames(data: bytes, path: str, recording: Recording) -> Iterator[tuple[int, bytes]]:
    """The frames of a file; ends at a wrong one, which becomes the recording's fault."""
    unpacker = messagepack.Unpacker(max_buffer_size=FILE_MAX_BYTES)
    unpacker.feed(data)
    good = 0
    while good < len(data):
        try:
            read = unpacker.unpack()
        except messagepack.OutOfData:
            recording.fault = f"{path}: truncated at byte {good}"
            return
        except (ValueError, messagepack.UnpackException):
            read = None
        match read:
            case [int(number), int(found), bytes(rows)] if checksum(number, rows) == found:
                yield number, rows
            case _:
                is_ours = bool(recording.clocks or recording.plans)
                what = f"corrupt at byte {good}" if is_ours else "this is no recording of linit"
                recording.fault = f"{path}: {what}"
                return
        good = unpacker.tell()


@dataclass(frozen=True, slots=True)
class _Begin:
    """The first row of a segment."""

    at_s: float
    events: int  # so many came before
    boot_began_s: float


class _Reader:
    """Puts rows into a recording. After something that cannot be read it waits for the next segment."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._path = recording.path
        self._events = 0  # of the boot, up to here
        self._begin: _Begin | None = None  # of a segment whose state is not known yet
        self._is_lost = True
        self._why = ""  # by the recorder's own word
        self._plan: Plan | None = None
        self._decoded: dict[str, Plan] = {}

    def begin_file(self, path: str) -> None:
        """What follows is from another file."""
        self._path = path

    def take(self, number: int, rows: bytes) -> None:
        """The rows of a frame. What is wrong with them becomes the recording's fault."""
        recording = self.recording
        unpacker = messagepack.Unpacker(unicode_errors=codec.BYTES_OF_NAMES, max_buffer_size=FILE_MAX_BYTES)
        unpacker.feed(rows)
        try:
            for index, row in enumerate(unpacker):
                if number != UNNUMBERED:
                    if number + index < recording.rows:
                        continue  # told again after a log process was killed
                    self._follow(number + index)
                self._row(row)
        except (reading.CodecError, plan_codec.PlanError, ValueError, LookupError, TypeError, zlib.error) as error:
            made = f"made by linit {recording.version}: " if recording.version else ""
            words = str(error).removesuffix(f": {plan_codec.ADVICE}")  # that mends no recording
            self._lose(f"{made}{words}")

    def _follow(self, number: int) -> None:
        """Row `number` is next."""
        missing = number - self.recording.rows
        if missing and self.recording.starts and not self._is_lost:
            what = f"records missing after {len(self.recording.entries)} events: {missing}"
            self._lose(f"{what} (the log process was killed?)")
        self.recording.rows = number + 1

    def _lose(self, text: str) -> None:
        self._is_lost, self._begin = True, None
        self.recording.fault = f"{self._path}: {text}"

    def _row(self, row: list[Any]) -> None:
        recording = self.recording
        match row:
            case [str(kind), float(at_s), *rest] if kind == BEGIN:
                self._begin_segment(at_s, rest)
            case [str(kind), _, str(digest), bytes(packed)] if kind == PLAN_DATA:
                recording.plans[digest] = packed
                recording.has_its_plans = True
            case [str(), *_] if self._is_lost and self._begin is None:
                pass
            case [str(kind), float(at_s), float(wall_s)] if kind == CLOCK:
                recording.clocks.append((at_s, wall_s))
            case [str(kind), float(at_s), *figures] if kind in (MARK, LOAD, CPU):
                self._take_figures(kind, at_s, figures)
            case [str(kind), _, str(digest)] if kind == PLAN:
                self._take_plan(digest)
            case [str(kind), _, bytes(packed)] if kind == STATE:
                self._start(zlib.decompress(packed))
            case [str(kind), _, str(why)] if kind == LOST:
                self._why = why
            case [str(), float(at_s), *_]:
                if self._is_lost:
                    return self._lose("a segment does not say how it begins")
                recording.entries.append(Entry(at_s, reading.event_of(row, self._plan)))
                self._events += 1
            case _:
                raise reading.CodecError(f"{row!r} is no row of a recording")
        return None

    def _take_figures(self, kind: str, at_s: float, figures: list[Any]) -> None:
        """What PID 1 measured of the boot."""
        if kind == MARK:
            self.recording.marks.setdefault(Mark(figures[0]), at_s)
        elif kind == LOAD:
            busy_ms, waiting_ms, idle_ms, cpus = (int(each) for each in figures)
            self.recording.loads.append(Load(at_s, busy_ms / 1000, waiting_ms / 1000, idle_ms / 1000, cpus))
        else:
            name, used_us, *more = figures
            self.recording.cpu_s.setdefault(str(name), int(used_us) / 1_000_000)
            if more:
                self.recording.stalled_s.setdefault(str(name), int(more[0]) / 1_000_000)

    def _begin_segment(self, at_s: float, rest: list[Any]) -> None:
        magic, version, written_by, *more = rest
        if magic != MAGIC or version != FORMAT_VERSION:
            return self._lose(f"format {magic} {version}, expected {MAGIC} {FORMAT_VERSION}")
        wall_s, boot_began_s, events = more
        self.recording.version = written_by
        self.recording.clocks.append((at_s, wall_s))
        self._begin, self._why = _Begin(at_s, events, boot_began_s), ""
        return None

    def _take_plan(self, digest: str) -> None:
        plans = self.recording.plans
        if digest not in plans:
            plans[digest] = _content(os.path.join(os.path.dirname(self._path), f"{digest}.plan"))
        if digest not in self._decoded:
            self._decoded[digest] = plan_codec.decode(zlib.decompress(plans[digest]))
        self._plan = self._decoded[digest]
        if self._begin is not None and not self._begin.events:
            self._start(None)

    def _start(self, state: bytes | None) -> None:
        """The engine's state is known here."""
        begin, recording = self._begin, self.recording
        if begin is None or self._plan is None:
            return self._lose("a state without a plan")
        if not recording.starts:
            recording.began_s, recording.dropped, self._events = begin.boot_began_s, begin.events, begin.events
        lost = max(begin.events - self._events, 0)
        why = self._why or recording.fault or f"{self._path}: the log process was killed?"
        start = Start(len(recording.entries), begin.at_s, self._plan, state, lost, why if lost else "")
        if state is not None and recording.starts and recording.starts[-1].at_s == begin.at_s:
            recording.starts.pop()  # of a boot whose first segment has a state, too
        recording.starts.append(start)
        self._events, self._is_lost, recording.fault = begin.events, False, ""
        return None
