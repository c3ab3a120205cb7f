"""What could wait for a disk, and who waits for it? A child that is forked for it, never PID 1.

A file that people put anywhere may be on a disk that hangs, or on a network that is gone: whoever looks at it then
cannot be ended, not even by SIGKILL. The child executes no program, so it costs a fork (about a millisecond). What it
finds is a few words. Source: the state D in proc_pid_stat(5).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from linit.model.reason import exit_words
from linit.runtime import spawn
from linit.runtime.failure import error_words

if TYPE_CHECKING:
    from linit.runtime.processes import Processes

FOUND, REFUSED = "=", "!"


class Errand:
    """A child of linit's that looks, from now on. What its `work` returns (below 4,000 bytes) is for `on_answer`, the
    words of the OSError that it raises for `on_failure`: one of them is called, once, perhaps before this is made.
    """

    def __init__(
        self,
        processes: Processes,
        work: Callable[[], str],
        on_answer: Callable[[str], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self.is_over = False
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._pid = processes.begin(partial(_fork, work), self)

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        if not self.is_over:
            self.is_over = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # one that hangs is left to itself

    def executing(self, _pid: int) -> None:
        """It said nothing; its end tells why."""

    def exited(self, _pid: int, status: int) -> None:
        """It came to nothing."""
        self._end(self._on_failure, f"a child of linit's {exit_words(status)}")

    def failed(self, pid: int, text: str) -> None:
        """It said something, or there was no process to be had."""
        if pid and text[0] == FOUND:
            self._end(self._on_answer, text[1:])
        else:
            self._end(self._on_failure, text.removeprefix(REFUSED))

    def _end(self, callback: Callable[[str], None], text: str) -> None:
        if not self.is_over:
            self.is_over = True
            callback(text)


def _fork(work: Callable[[], str], handled: Collection[int], ignored: Collection[int]) -> tuple[int, int]:
    return spawn.fork(lambda gate: _look(work, gate, (*handled, *ignored)), handled)


def _look(work: Callable[[], str], gate: int, not_default: Collection[int]) -> NoReturn:
    """The child's whole life. It keeps nothing of ours open: it may take long."""
    status = spawn.CANNOT_RUN_STATUS
    try:
        spawn.default_signals(not_default)
        os.setsid()
        os.closerange(0, gate)
        os.closerange(gate + 1, os.sysconf("SC_OPEN_MAX"))
        os.write(gate, said(work).encode("utf-8", "surrogateescape")[: spawn.GATE_MAX_BYTES])
        status = 0
    finally:
        os._exit(status)


def said(work: Callable[[], str]) -> str:
    """What the child says of it, for `Errand.failed`."""
    try:
        return FOUND + work()
    except OSError as error:
        return REFUSED + error_words(error)
    except Exception as bug:  # in the child, where nobody else would tell of it
        return f"{REFUSED}a fault of linit's: {bug!r}"
