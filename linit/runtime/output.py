"""Where do the lines of services wait? In one pipe for each service, until the log process takes them.

PID 1 keeps both ends of every pipe: the log process may die, and a service may be started again, without a line being
lost or a writer being killed by SIGPIPE. What linit itself has to say about a service waits here, too. Source: pipe(7).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from linit.engine.events import Event
from linit.record.recorder import Recorder

PIPE_BYTES: Final = 256 * 1024  # lines that wait for a log process, or for a file system that can be written
LINES_MAX: Final = 10_000  # of linit's own; older ones give way
LINE_MAX: Final = 8192  # characters of such a line

Message = list[str]  # to the log process: linit/logs/README.md


class Output:
    """The pipes of services and linit's lines about them. `on_waiting` is called when something waits to be sent."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=LINES_MAX)
        self.unsent: deque[str] = deque()  # services whose pipe the log process has not been given
        self.on_waiting: Callable[[], None] = lambda: None
        self.recorder: Recorder | None = None  # set when the plan is put to use
        self._pipes: dict[str, tuple[int, int]] = {}

    def writing_end(self, name: str) -> int:
        """What a service writes to; the pipe is made at its first start. Raises OSError."""
        if name not in self._pipes:
            end, far_end = os.pipe2(os.O_CLOEXEC)
            # Refused to users who have much in pipes already: the default size does, too.
            with contextlib.suppress(OSError):
                fcntl.fcntl(far_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._pipes[name] = (end, far_end)
            self.unsent.append(name)
            self.on_waiting()
        return self._pipes[name][1]

    def reading_end(self, name: str) -> int:
        """What the log process reads from."""
        return self._pipes[name][0]

    def names(self) -> list[str]:
        """The services that have a pipe."""
        return list(self._pipes)

    def drop(self, name: str) -> None:
        """The service is no more: the log process finds the end of its pipe."""
        if name in self._pipes and name not in self.unsent:
            for fd in self._pipes.pop(name):
                os.close(fd)

    def line(self, name: str, text: str) -> None:
        """What linit has to say about a service, into its log."""
        self.messages.append(["line", name, text[:LINE_MAX]])
        self.on_waiting()

    def record(self, event: Event, at_s: float) -> None:
        """An event that is about to be handled, into the recording of this boot."""
        if self.recorder is not None:
            self.recorder.note(event, at_s)
            self.on_waiting()

    def say(self, word: str) -> None:
        """A message of one word: `writable`, `close`."""
        self.messages.append([word])
        self.on_waiting()

    def close(self) -> None:
        """Let go of all descriptors."""
        for name in list(self._pipes):
            for fd in self._pipes.pop(name):
                os.close(fd)
