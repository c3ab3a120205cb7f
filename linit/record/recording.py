"""What is in a recording? Reads a file of the ring, or one that `linitctl record save` made of it, which holds its
plans too. Never part of PID 1.

A recording is read up to the first thing that is wrong with it; `fault` names that, with file and byte.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from linit.engine.events import Event
from linit.model.service import Plan
from linit.plan import codec as plan_codec
from linit.record import codec
from linit.record.recorder import BEGIN, CLOCK, FORMAT_VERSION, LOST, MAGIC, PLAN
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


@dataclass(slots=True)
class Recording:
    """A boot. `began_s` is the engine's clock at its beginning, `version` the linit that ran; `fault`: why it ends
    before the boot did, "" if nothing is wrong."""

    path: str
    version: str = ""
    began_s: float = 0.0
    plan: Plan = field(default_factory=lambda: Plan(()))
    entries: list[Entry] = field(default_factory=list)
    clocks: list[tuple[float, float]] = field(default_factory=list)  # (engine's clock, seconds since the epoch)
    plans: dict[str, bytes] = field(default_factory=dict)  # digest -> compressed, of those that it names
    has_its_plans: bool = False  # in the same file
    fault: str = ""
    rows: int = 0

    @property
    def ended_s(self) -> float:
        """When the last event was, on the engine's clock."""
        return self.entries[-1].at_s if self.entries else self.began_s

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
        return self.began_s + wall_s - starts[0]


def load(path: str) -> Recording:
    """The recording in a file. Raises RecordingError when not even its beginning and its plan can be read."""
    data = _content(path)
    recording = Recording(path)
    reader = _Reader(recording)
    for number, rows in _frames(data, recording):
        if not reader.take(number, rows):
            break
    if not recording.clocks:
        raise RecordingError(recording.fault or f"{path}: this is no recording of linit")
    if not reader.has_plan:
        raise RecordingError(recording.fault or f"{path}: it ends before its plan")
    return recording


def save(path: str, target: str) -> Recording:
    """Make one file of a recording and its plans. Raises RecordingError, and OSError about `target`."""
    recording = load(path)
    data = _content(path)
    beside = {} if recording.has_its_plans else recording.plans
    heads = [frame(UNNUMBERED, codec.pack_row([PLAN_DATA, 0.0, *item])) for item in beside.items()]
    with open(target, "wb") as file:
        file.write(b"".join(heads) + data)
    return recording


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from None


def _frames(data: bytes, recording: Recording) -> Iterator[tuple[int, bytes]]:
    """The frames of a file; ends at a wrong one, which becomes the recording's fault."""
    unpacker = msgpack.Unpacker(max_buffer_size=FILE_MAX_BYTES)
    unpacker.feed(data)
    good = 0
    while good < len(data):
        try:
            read = unpacker.unpack()
        except msgpack.OutOfData:
            recording.fault = f"{recording.path}: truncated at byte {good}"
            return
        except (ValueError, msgpack.UnpackException):
            read = None
        match read:
            case [int(number), int(found), bytes(rows)] if checksum(number, rows) == found:
                yield number, rows
            case _:
                is_ours = bool(recording.clocks or recording.plans)
                what = f"corrupt at byte {good}" if is_ours else "this is no recording of linit"
                recording.fault = f"{recording.path}: {what}"
                return
        good = unpacker.tell()


class _Reader:
    """Puts rows into a recording."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.has_plan = False
        self._plan: Plan | None = None

    def take(self, number: int, rows: bytes) -> bool:
        """The rows of a frame; False when nothing after it is of use: then the fault is noted."""
        recording = self.recording
        if number > recording.rows:
            what = f"records missing after {len(recording.entries)} events: {number - recording.rows}"
            return self._fault(f"{what} (the log process was killed?)")
        unpacker = msgpack.Unpacker(unicode_errors=codec.BYTES_OF_NAMES, max_buffer_size=FILE_MAX_BYTES)
        unpacker.feed(rows)
        known = 0 if number == UNNUMBERED else recording.rows - number  # told again after a log process was killed
        try:
            for index, row in enumerate(unpacker):
                if index < known:
                    continue
                if not self._row(row):
                    return False
                recording.rows += number != UNNUMBERED
        except (codec.CodecError, plan_codec.PlanError, ValueError, LookupError, TypeError, zlib.error) as error:
            made = f"made by linit {recording.version}: " if recording.version else ""
            return self._fault(f"{made}{error}")
        return True

    def _fault(self, text: str) -> bool:
        self.recording.fault = f"{self.recording.path}: {text}"
        return False

    def _row(self, row: list[Any]) -> bool:
        recording = self.recording
        match row:
            case [str(kind), float(at_s), *rest] if kind == BEGIN:
                magic, version, recording.version, wall_s = rest
                if magic != MAGIC or version != FORMAT_VERSION:
                    return self._fault(f"format {magic} {version}, expected {MAGIC} {FORMAT_VERSION}")
                recording.began_s = at_s
                recording.clocks.append((at_s, wall_s))
            case [str(kind), float(at_s), float(wall_s)] if kind == CLOCK:
                recording.clocks.append((at_s, wall_s))
            case [str(kind), _, str(digest), bytes(packed)] if kind == PLAN_DATA:
                recording.plans[digest] = packed
                recording.has_its_plans = True
            case [str(kind), _, str(digest)] if kind == PLAN:
                self._take_plan(digest)
            case [str(kind), _, str(why)] if kind == LOST:
                return self._fault(f"it ends after {len(recording.entries)} events: {why}")
            case [str(), float(at_s), *_]:
                recording.entries.append(Entry(at_s, codec.event_of(row, self._plan)))
            case _:
                raise codec.CodecError(f"{row!r} is no row of a recording")
        return True

    def _take_plan(self, digest: str) -> None:
        recording = self.recording
        if digest not in recording.plans:
            recording.plans[digest] = _content(os.path.join(os.path.dirname(recording.path), f"{digest}.plan"))
        self._plan = plan_codec.decode(zlib.decompress(recording.plans[digest]))
        if not self.has_plan:
            self.has_plan, recording.plan = True, self._plan
