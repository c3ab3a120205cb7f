"""When has a clock of the kernel come to a point in time? timerfd_create(2).

Two clocks: BOOT goes on while the machine sleeps and is never set; WALL is the time of day, and who waits for a time of
day is told when it is set. The loop's own clock (CLOCK_MONOTONIC) does neither. Python has names for these calls since
3.13; until then they are made through ctypes.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

from linit.runtime.loop import Handle, Loop
from linit.runtime.stamps import began_ticks

BOOT: Final = time.CLOCK_BOOTTIME
WALL: Final = time.CLOCK_REALTIME
TFD_TIMER_ABSTIME: Final = 1
TFD_TIMER_CANCEL_ON_SET: Final = 2
FLAGS: Final = os.O_CLOEXEC | os.O_NONBLOCK  # as TFD_CLOEXEC and TFD_NONBLOCK are

if sys.version_info >= (3, 13):

    def _create(clock: int) -> int:
        return os.timerfd_create(clock, flags=FLAGS)

    def _settime(fd: int, flags: int, at_ns: int) -> None:
        os.timerfd_settime_ns(fd, flags=flags, initial=at_ns)

else:
    import ctypes

    _libc = ctypes.CDLL(None, use_errno=True)

    def _create(clock: int) -> int:
        return _check(_libc.timerfd_create(ctypes.c_int(clock), ctypes.c_int(FLAGS)))

    def _settime(fd: int, flags: int, at_ns: int) -> None:
        value = struct.pack("@llll", 0, 0, *divmod(at_ns, 1_000_000_000))
        _check(_libc.timerfd_settime(ctypes.c_int(fd), ctypes.c_int(flags), value, None))

    def _check(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


class Alarm:
    """One point in time on one clock. `on_due(was_set)` is called when it has come, or when the clock was set."""

    def __init__(self, loop: Loop, clock: int, on_due: Callable[[bool], None]) -> None:
        """Raises OSError."""
        self._loop = loop
        self._clock = clock
        self._on_due = on_due
        self._soon: Handle | None = None
        self._fd = _create(clock)
        loop.add_reader(self._fd, self._read)

    def set(self, at_s: float | None) -> None:
        """The point in time; one that has passed is due at once. None: never."""
        flags = TFD_TIMER_ABSTIME | (TFD_TIMER_CANCEL_ON_SET if self._clock == WALL else 0)
        try:
            _settime(self._fd, flags, max(1, int(at_s * 1e9)) if at_s is not None else 0)
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            # Set since it was last looked at, though the alarm is armed now: timerfd_settime(2).
            self._soon = self._loop.call_soon(self._on_due, True)

    def close(self) -> None:
        """Let go of it."""
        if self._soon is not None:
            self._soon.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            self._on_due(True)
        else:
            self._on_due(False)


class Times:
    """The clocks. A test has its own."""

    def now_s(self, clock: int) -> float:
        """What a clock shows, in seconds."""
        return time.clock_gettime(clock)

    def alarm(self, loop: Loop, clock: int, on_due: Callable[[bool], None]) -> Alarm:
        """An alarm on a clock. Raises OSError."""
        return Alarm(loop, clock, on_due)

    def began_s(self) -> float:
        """When linit began, on BOOT."""
        return began_ticks() / os.sysconf("SC_CLK_TCK")
