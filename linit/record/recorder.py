"""What does PID 1 note of each event, and where does it wait? In memory, with a bound, until the log process takes it.

Nothing here waits, writes or can fail the boot. What cannot be recorded ends the recording, never anything else: a
replay needs every event from the first on, so one with a hole in it is not continued.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Final

import msgpack

from linit import VERSION
from linit.engine.events import Event
from linit.model.service import Plan
from linit.plan import codec as plan_codec
from linit.record.codec import pack_event, pack_row

MAGIC: Final = "linit-recording"
FORMAT_VERSION: Final = 1
WAITING_MAX_BYTES: Final = 1 << 20
KEPT_MAX_BYTES: Final = 128 * 1024  # of what was sent: a log process may be killed before it has written it
BATCH_BYTES: Final = 32 * 1024  # of rows in one message: below linit.logs.process.MESSAGE_MAX_BYTES
CLOCK_STEP_S: Final = 1.0  # the wall clock is noted again when it has moved so far against the monotonic one

BEGIN: Final = "begin"  # [BEGIN, at_s, MAGIC, FORMAT_VERSION, VERSION, wall_s]
CLOCK: Final = "clock"  # [CLOCK, at_s, wall_s]
PLAN: Final = "plan"  # [PLAN, at_s, digest]: written by the log process
LOST: Final = "lost"  # [LOST, at_s, why]: the last row; events after it are missing


class Recorder:
    """The recording of this boot."""

    def __init__(self, plan: Plan, at_s: float) -> None:
        wall_s = time.time()
        self.key = f"{time.time_ns():x}-{os.getpid()}"
        self.rows = 0  # so many were noted
        self.is_over = False
        self._sent = 0
        self._waiting: deque[bytes | Plan] = deque()
        self._waiting_bytes = 0
        self._kept: deque[bytes | Plan] = deque()  # the last that was sent
        self._kept_bytes = 0
        self._wall_offset_s = wall_s - at_s
        self._append(pack_row([BEGIN, at_s, MAGIC, FORMAT_VERSION, VERSION, wall_s]))
        self._append(plan)

    def note(self, event: Event, at_s: float) -> None:
        """`event` is about to be handled at `at_s`."""
        if self.is_over:
            return
        if self._waiting_bytes > WAITING_MAX_BYTES:
            self.end(at_s, f"more than {WAITING_MAX_BYTES >> 10} KiB waited for the log process")
            return
        offset_s = time.time() - at_s
        if abs(offset_s - self._wall_offset_s) > CLOCK_STEP_S:
            self._wall_offset_s = offset_s
            self._append(pack_row([CLOCK, at_s, at_s + offset_s]))
        plan = getattr(event, "plan", None)
        if isinstance(plan, Plan):
            self._append(plan)
        self._append(pack_event(event, at_s))

    def end(self, at_s: float, why: str) -> None:
        """Record nothing more; the recording will say why."""
        if not self.is_over:
            self.is_over = True
            self._append(pack_row([LOST, at_s, why]))

    @property
    def is_waiting(self) -> bool:
        """Is there something to send?"""
        return bool(self._waiting)

    def message(self) -> tuple[bytes, bytes | None]:
        """What to send next: a message, and the plan that goes with it as a file. The next one until `sent`."""
        head = self._waiting[0]
        if isinstance(head, Plan):
            return msgpack.packb(["plan", self.key, self._sent]), plan_codec.encode(head)
        return msgpack.packb(["record", self.key, self._sent, b"".join(self._batch())]), None

    def sent(self) -> None:
        """The log process has what `message` gave."""
        for _ in range(1 if isinstance(self._waiting[0], Plan) else len(self._batch())):
            item = self._waiting.popleft()
            self._waiting_bytes -= _size(item)
            self._kept.append(item)
            self._kept_bytes += _size(item)
            self._sent += 1
        while self._kept_bytes > KEPT_MAX_BYTES:
            self._kept_bytes -= _size(self._kept.popleft())

    def begin_again(self) -> None:
        """Another log process: tell it once more what the last one may not have written. It knows by the numbers."""
        self._sent -= len(self._kept)
        self._waiting.extendleft(reversed(self._kept))
        self._waiting_bytes += self._kept_bytes
        self._kept.clear()
        self._kept_bytes = 0

    def _batch(self) -> list[bytes]:
        rows: list[bytes] = []
        size = 0
        for row in self._waiting:
            if isinstance(row, Plan) or (rows and size + len(row) > BATCH_BYTES):
                break
            rows.append(row)
            size += len(row)
        return rows

    def _append(self, item: bytes | Plan) -> None:
        self._waiting.append(item)
        self.rows += 1
        self._waiting_bytes += _size(item)


def _size(item: bytes | Plan) -> int:
    """Bytes that wait; a plan is in memory anyway."""
    return 0 if isinstance(item, Plan) else len(item)
