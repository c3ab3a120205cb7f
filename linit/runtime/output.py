"""Where do the lines of services wait? In pipes, until the log process or a logger command takes them.

PID 1 keeps both ends of every pipe: the log process may die, and a service may be started again, without a line being
lost or a writer being killed by SIGPIPE. What linit itself has to say about a service waits here, too. Source: pipe(7).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linit.engine.events import Event
from linit.model.paths import Paths
from linit.model.service import Output as To
from linit.model.service import Service
from linit.record.recorder import Recorder

PIPE_BYTES: Final = 256 * 1024  # lines that wait for a log process, or for a file system that can be written
LINES_MAX: Final = 10_000  # of linit's own; older ones give way
LINE_MAX: Final = 8192  # characters of such a line
OUT: Final = "out"  # the words of the protocol: linit/logs/README.md
ERR: Final = "err"

Message = list[str | int]  # to the log process: linit/logs/README.md


@dataclass(frozen=True, slots=True)
class Pipe:
    """One of a service. `stream`: out, err, file, syslog or command; `value`: more about these."""

    name: str
    stream: str
    value: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ends:
    """The descriptors of a pipe."""

    reading: int
    writing: int


def log_environment(paths: Paths, mode: str, recorder: Recorder | None) -> dict[str, str]:
    """What the log process is told about its surroundings: linit/logs/README.md. A boot of a user's linit is a run of
    it, and has the name of its recording; that of the machine is named by the kernel."""
    found = {
        "LINIT_LOG_DIR": paths.log,
        "LINIT_RUN_DIR": paths.run,
        "LINIT_LOG_LIMITS": f"{paths.services[0].rpartition('/')[0]}/log.conf",
    }
    if mode == "system":
        return found | {"LINIT_LOG_KERNEL": "1"}
    return found | ({"LINIT_LOG_BOOT": recorder.key} if recorder else {})


class Output:
    """The pipes of services and linit's lines about them. `on_waiting` is called when something waits to be sent,
    `on_command` when a pipe is there that a logger command reads, `on_dropped` when it is there no more."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=LINES_MAX)
        self.unsent: deque[Pipe] = deque()  # pipes that the log process has not been given
        self.on_waiting: Callable[[], None] = lambda: None
        self.on_command: Callable[[Pipe], None] = lambda _pipe: None
        self.on_dropped: Callable[[Pipe], None] = lambda _pipe: None
        self.recorder: Recorder | None = None  # set when the plan is put to use
        self._pipes: dict[Pipe, Ends] = {}
        self._mains: dict[str, int] = {}
        self._shared: dict[str, str] = {}  # service -> the one in whose log its lines are

    def log_as(self, name: str, other: str) -> None:
        """Until `drop`, the lines of a service are in the log of another. Who asks for that tells of its state, too."""
        self._shared[name] = other

    def is_shared(self, name: str) -> bool:
        """Are a service's lines in the log of another?"""
        return name in self._shared

    def writing_ends(self, service: Service) -> tuple[int, int]:
        """What a service writes standard output and standard error to; made at its first start. Raises OSError."""
        execution, name = service.execution, self._shared.get(service.name, service.name)
        if execution.output is To.LOG:
            out, err = Pipe(name, OUT), Pipe(name, ERR)
        else:
            out = err = Pipe(name, execution.output.value, execution.output_to)
        return self._end(out), self._end(err)

    def log_end(self, name: str) -> int:
        """What ends up as a service's standard error in the log. Raises OSError."""
        return self._end(Pipe(name, ERR))

    def _end(self, pipe: Pipe) -> int:
        if pipe not in self._pipes:
            end, far_end = os.pipe2(os.O_CLOEXEC)
            # Refused to users who have much in pipes already: the default size does, too.
            with contextlib.suppress(OSError):
                fcntl.fcntl(far_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._pipes[pipe] = Ends(end, far_end)
            if pipe.stream == To.COMMAND.value:
                self.on_command(pipe)
            else:
                self.unsent.append(pipe)
                self.on_waiting()
        return self._pipes[pipe].writing

    def reading_end(self, pipe: Pipe) -> int:
        """What the log process, or a logger command, reads from."""
        return self._pipes[pipe].reading

    def to_send(self) -> list[Pipe]:
        """The pipes that a log process has to be given."""
        return [pipe for pipe in self._pipes if pipe.stream != To.COMMAND.value]

    def message_of(self, pipe: Pipe) -> Message:
        """What goes with the descriptor."""
        value = pipe.value[0] if pipe.value else ""
        return ["pipe", pipe.name, pipe.stream, value, self._mains.get(pipe.name, 0)]

    def drop(self, name: str) -> None:
        """The service is no more: the reader of each of its pipes finds the end."""
        self._shared.pop(name, None)
        if any(pipe.name == name for pipe in self.unsent):
            return
        for pipe in [pipe for pipe in self._pipes if pipe.name == name]:
            ends = self._pipes.pop(pipe)
            os.close(ends.reading)
            os.close(ends.writing)
            if pipe.stream == To.COMMAND.value:
                self.on_dropped(pipe)
        self._mains.pop(name, None)

    def has_main(self, name: str, pid: int) -> None:
        """The lines of a service come from this process now."""
        self._mains[name] = pid
        if any(pipe.name == name for pipe in self._pipes):
            self.messages.append(["main", name, pid])
            self.on_waiting()

    def line(self, name: str, text: str) -> None:
        """What linit has to say about a service, into its log."""
        if name in self._shared:
            name, text = self._shared[name], f"{name}: {text}"
        self.messages.append(["line", name, text[:LINE_MAX], time.time_ns()])
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
        for ends in self._pipes.values():
            os.close(ends.reading)
            os.close(ends.writing)
        self._pipes.clear()
