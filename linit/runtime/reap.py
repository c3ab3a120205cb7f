"""Which signals reach us, and which children have ended?

One wake-up pipe for every signal (signal.set_wakeup_fd): the C handler writes the signal's number, the loop reads it.
Before the hand-over to asyncio the numbers simply wait in the pipe. Source: signal(7), waitpid(2).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from linit.runtime.loop import Loop


def reap_all() -> Iterator[tuple[int, int]]:
    """Every child that has exited by now, orphans included, as (pid, wait status). Source: waitpid(2)."""
    with contextlib.suppress(ChildProcessError):
        while (reaped := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            yield reaped


class Signals:
    """Signals as calls from the loop. At most one in a process: the wake-up descriptor is the process's."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._end, self._far_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started us may have blocked some
        # A full pipe is no loss: its numbers are still to be read, and signals of one kind coalesce anyway.
        signal.set_wakeup_fd(self._far_end, warn_on_full_buffer=False)
        # No service may inherit these: what is handled here, and what is ignored, perhaps by who started us (nohup).
        self.handled: set[int] = set()
        self.ignored = {one for one in signal.valid_signals() if signal.getsignal(one) is signal.SIG_IGN}
        loop.add_reader(self._end, self._read)

    def on(self, number: int, callback: Callable[[], None]) -> None:
        """Call back, from the loop, when signal `number` has come; several that came together are one call."""
        self._callbacks[number] = callback
        signal.signal(number, _handled)
        self.handled.add(number)
        self.ignored.discard(number)

    def close(self) -> None:
        """Give the signals back: their dispositions become the default."""
        for number in self._callbacks:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._loop.remove_reader(self._end)
        os.close(self._end)
        os.close(self._far_end)

    def _read(self) -> None:
        came = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._end, 4096):
                came += chunk
        for number in sorted(set(came)):
            callback = self._callbacks.get(number)
            if callback:
                callback()


def _handled(_number: int, _frame: object) -> None:
    """Python's half of a handler: the loop hears of the signal through the wake-up pipe."""
