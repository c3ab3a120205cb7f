"""Does a command end with success? Run once, among the processes of a service, with a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from linit.model.reason import exit_words
from linit.model.service import Command, Service
from linit.runtime import sessions
from linit.runtime.loop import Handle
from linit.runtime.means import Means

PROBE_TIMEOUT_S: Final = 10.0  # of a command that does not say another


class Probe:
    """One run of a command. `on_end` is called once with what went wrong, "" if nothing; never after `stop`.

    `on_failed` is called instead, if there is one, when the command could not be run at all.
    """

    def __init__(
        self,
        means: Means,
        service: Service,
        command: Command,
        on_end: Callable[[str], None],
        limit_s: float | None = None,
        *,
        on_failed: Callable[[str], None] | None = None,
    ) -> None:
        """Runs it. `limit_s`: how long it may take, where the command does not say. Raises OSError."""
        self._loop = means.loop
        self._on_end = on_end
        self._on_failed = on_failed or on_end
        self._limit_s = command.timeout_s or limit_s or PROBE_TIMEOUT_S
        self._is_over = False
        self._is_late = False
        self._timer: Handle | None = None
        self._pid = 0
        pid = means.members.spawn_probe(service.name, means.launch_probe(service, command), self)
        if pid and not self._is_over:
            self._pid = pid
            self._timer = self._loop.call_at(self._loop.time() + self._limit_s, self._too_late)

    def stop(self) -> None:
        """Nobody is interested any more; it is killed."""
        self._is_over = True
        self._kill()

    def executing(self, _pid: int) -> None:
        """It runs; its end is what matters."""

    def exited(self, _pid: int, status: int) -> None:
        """It has ended."""
        self._end("" if status == 0 else exit_words(status))

    def failed(self, _pid: int, text: str) -> None:
        """It could not be run."""
        self._on_end = self._on_failed
        self._end(text)

    def _too_late(self) -> None:
        self._is_late = True
        self._kill()

    def _kill(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._pid:
            sessions.send(self._pid, signal.SIGKILL)  # with its children, unless it was forked just now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGKILL)

    def _end(self, text: str) -> None:
        self._pid = 0
        if self._timer:
            self._timer.cancel()
        if not self._is_over:
            self._is_over = True
            self._on_end(f"has not ended within {self._limit_s:g} s" if self._is_late else text)
