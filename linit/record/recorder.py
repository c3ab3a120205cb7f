"""What does PID 1 note of each event, and where does it wait? In memory, with a bound, until the log process takes it.

Nothing here waits, writes or can fail the boot. A recording is cut into segments, each of which begins with the whole
state of the engine: what came before may be dropped, or lost, and the rest can still be replayed.
"""

from __future__ import annotations

import enum
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from linit import VERSION, messagepack
from linit.engine.engine import Engine
from linit.engine.events import Event
from linit.model.service import Plan
from linit.plan import codec as plan_codec
from linit.record.codec import pack_event, pack_row

MAGIC: Final = "linit-recording"
FORMAT_VERSION: Final = 2
SEGMENT_BYTES: Final = 1 << 20  # of rows; then a new segment begins
WAITING_MAX_BYTES: Final = 1 << 20  # of rows
KEPT_MAX_BYTES: Final = 128 * 1024  # of what was sent: a log process may be killed before it has written it
BATCH_BYTES: Final = 32 * 1024  # of rows in one message: below linit.logs.process.MESSAGE_MAX_BYTES
FRAME_BYTES: Final = 16  # that a row costs in a file besides its own: linit.record.ring.frame
PLAN_BYTES: Final = 32  # that a service of a plan takes on the disk, compressed
LATER_MAX: Final = 2000  # of what is noted before rows are made of it
CLOCK_STEP_S: Final = 1.0  # the wall clock is noted again when it has moved so far against the monotonic one

BEGIN: Final = "begin"  # [BEGIN, at_s, MAGIC, FORMAT_VERSION, VERSION, wall_s, boot_began_s, events before it]
CLOCK: Final = "clock"  # [CLOCK, at_s, wall_s]
PLAN: Final = "plan"  # [PLAN, at_s, digest]: written by the log process
STATE: Final = "state"  # [STATE, at_s, compressed checkpoint]: written by the log process
LOST: Final = "lost"  # [LOST, at_s, why]: right after BEGIN, why events before it are missing
MARK: Final = "mark"  # [MARK, at_s, which]: linit's own start
LOAD: Final = "load"  # [LOAD, at_s, busy_ms, waiting_ms, idle_ms, cpus]: of all CPUs, since the machine was started
CPU: Final = "cpu"  # [CPU, at_s, service, used_us, stalled_us]: by a service that has just come up, or failed


class Mark(enum.Enum):
    """Moments of linit's own start."""

    KERNEL = "kernel"  # the engine's clock begins with the kernel
    EXEC = "exec"  # execve(2) of linit
    LINIT = "linit"  # its first line
    LOOP = "loop"  # the event loop runs


@dataclass(frozen=True, slots=True)
class Item:
    """What waits to be sent: a row, or what the log process makes one of. `word` is that of its message."""

    number: int
    word: str
    content: bytes | Plan
    is_event: bool = False

    @property
    def size_bytes(self) -> int:
        """What it counts; a plan is in memory anyway, and of states at most one or two wait."""
        return len(self.content) if isinstance(self.content, bytes) and self.word != "state" else 0


class Recorder:
    """The recording of this boot. `resumes`: `engine` has a state already that no event of this recording made.
    `packs_later`: rows are made when `pack` is called, or there is much; a boot has other things to do."""

    def __init__(self, engine: Engine, at_s: float, *, resumes: bool = False, packs_later: bool = False) -> None:
        self.key = f"{time.time_ns():x}-{os.getpid()}"
        self.rows = 0  # so many were noted
        self._events = 0
        self._later: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = [] if packs_later else None
        self._engine = engine
        self._began_s = at_s
        self._waiting: deque[Item] = deque()
        self._waiting_bytes = 0
        self._kept: deque[Item] = deque()  # the last that was sent
        self._kept_bytes = 0
        self._told_plan: Plan | None = None  # that the log process knows
        self._segment_bytes = 0
        self._wants_segment = False
        self._wall_offset_s = 0.0
        self._begin_segment(at_s, has_state=resumes)

    def note(self, event: Event, at_s: float) -> None:
        """`event` is about to be handled at `at_s`."""
        if self._later is None:  # what was noted then is not as much, and a segment begins with the state of now
            if self._waiting_bytes > WAITING_MAX_BYTES:
                self._drop_waiting(at_s)
            elif self._wants_segment or self._segment_bytes > SEGMENT_BYTES:
                self._begin_segment(at_s)
        self.later(self._note, event, at_s, time.time() - at_s)

    def later(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call, now or when rows are made: after all that was noted before, and before what will be."""
        if self._later is None:
            call(*arguments)
            return
        self._later.append((call, arguments))
        if len(self._later) >= LATER_MAX:
            self.pack()

    def pack(self) -> None:
        """Make rows of what was noted, and from now on at once."""
        noted, self._later = self._later or (), None
        for call, arguments in noted:
            call(*arguments)

    def _note(self, event: Event, at_s: float, offset_s: float) -> None:
        if abs(offset_s - self._wall_offset_s) > CLOCK_STEP_S:
            self._wall_offset_s = offset_s
            self._append("record", pack_row([CLOCK, at_s, at_s + offset_s]))
        plan = getattr(event, "plan", None)
        if isinstance(plan, Plan):
            self._append("plan", plan)
            self._segment_bytes += PLAN_BYTES * len(plan.services)
        self._append("record", pack_event(event, at_s), is_event=True)
        self._events += 1

    def note_mark(self, mark: Mark, at_s: float) -> None:
        """linit was so far at `at_s`."""
        self.later(self._append_row, [MARK, at_s, mark.value])

    def note_load(self, at_s: float, busy_ms: int, waiting_ms: int, idle_ms: int, *, cpus: int) -> None:
        """What the CPUs have done since the machine was started; `waiting`: idle, but for a disk."""
        self.later(self._append_row, [LOAD, at_s, busy_ms, waiting_ms, idle_ms, cpus])

    def note_cpu(self, at_s: float, name: str, used_us: int, stalled_us: int | None = None) -> None:
        """The CPU time that a service has used by now, and for how long it had to wait for a processor."""
        more = [] if stalled_us is None else [stalled_us]
        self.later(self._append_row, [CPU, at_s, name, used_us, *more])

    @property
    def is_waiting(self) -> bool:
        """Is there something to send?"""
        return bool(self._waiting)

    def message(self) -> tuple[bytes, bytes | None]:
        """What to send next: a message, and what goes with it as a file. The next one until `sent`."""
        head = self._waiting[0]
        words = [head.word, self.key, head.number]
        if isinstance(head.content, Plan):
            known = head.content is self._told_plan
            return messagepack.packb(words), None if known else plan_codec.encode(head.content)
        if head.word == "state" or len(head.content) > BATCH_BYTES:
            return messagepack.packb(words), head.content
        rows = b"".join(each.content for each in self._batch() if isinstance(each.content, bytes))
        return messagepack.packb([*words, rows]), None

    def sent(self) -> None:
        """The log process has what `message` gave."""
        for item in self._batch():
            self._waiting.popleft()
            self._waiting_bytes -= item.size_bytes
            self._kept.append(item)
            self._kept_bytes += _kept_bytes(item)
            if isinstance(item.content, Plan):
                self._told_plan = item.content
        while self._kept_bytes > KEPT_MAX_BYTES:
            self._kept_bytes -= _kept_bytes(self._kept.popleft())

    def begin_again(self) -> None:
        """Another log process: tell it once more what the last one may not have written. It knows by the numbers.

        Of what came before that, something may be lost: so the next event begins a segment.
        """
        self._wants_segment |= bool(self._kept)
        self._told_plan = None
        self._waiting.extendleft(reversed(self._kept))
        self._waiting_bytes += sum(item.size_bytes for item in self._kept)
        self._kept.clear()
        self._kept_bytes = 0

    def _begin_segment(self, at_s: float, *, has_state: bool = True, lost: str = "") -> None:
        """From here on the recording can be replayed without what came before."""
        self._wants_segment, self._segment_bytes = False, 0
        wall_s = time.time()
        self._wall_offset_s = wall_s - at_s
        begin = [BEGIN, at_s, MAGIC, FORMAT_VERSION, VERSION, wall_s, self._began_s, self._events]
        self._append("segment", pack_row(begin))
        if lost:
            self._append("record", pack_row([LOST, at_s, lost]))
        self._append("plan", self._engine.plan)
        if has_state:
            from linit.record import checkpoint  # never in the boot

            self._append("state", checkpoint.take(self._engine))

    def _drop_waiting(self, at_s: float) -> None:
        """Nobody has taken it: what is newer is worth more."""
        count = sum(item.is_event for item in self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        why = f"{count} events waited for the log process, more than {WAITING_MAX_BYTES >> 10} KiB"
        self._begin_segment(at_s, lost=why)

    def _batch(self) -> list[Item]:
        """What goes in one message: rows that follow each other, or one thing of another kind."""
        batch: list[Item] = []
        size = 0
        for item in self._waiting:
            size += item.size_bytes
            if batch and (item.word != "record" or size > BATCH_BYTES):
                break
            batch.append(item)
            if item.word != "record":
                break
        return batch

    def _append_row(self, row: list[Any]) -> None:
        self._append("record", pack_row(row))

    def _append(self, word: str, content: bytes | Plan, *, is_event: bool = False) -> None:
        item = Item(self.rows, word, content, is_event)
        self._waiting.append(item)
        self.rows += 1
        self._waiting_bytes += item.size_bytes
        self._segment_bytes += item.size_bytes + FRAME_BYTES


def _kept_bytes(item: Item) -> int:
    return 0 if isinstance(item.content, Plan) else len(item.content)
