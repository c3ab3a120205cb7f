"""Who keeps the log process running, and how is it given what there is to write?

It is a child like any other, but of no unit: it is there as long as linit is. What is said to it, and what it promises:
linit/logs/README.md. Source: unix(7) for SOCK_SEQPACKET and SCM_RIGHTS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from linit import messagepack
from linit.model.reason import exit_words
from linit.model.service import Execution
from linit.record.recorder import Recorder
from linit.runtime import interpreter
from linit.runtime.failure import errno_words
from linit.runtime.loop import Handle, Loop
from linit.runtime.output import Output
from linit.runtime.processes import Processes
from linit.runtime.spawn import Launch

RESTART_DELAY_S: Final = 0.2
RESTART_DELAY_MAX_S: Final = 30.0
HEALTHY_AFTER_S: Final = 10.0
CLOSE_LIMIT_S: Final = 10.0  # on a busy machine it may not have begun by then
SOCKET_FD: Final = 3
MODULE: Final = "linit.logs.process"
EXECUTION: Final = Execution(umask=0o027)


class Logger:
    """The log process. `tell(text)` says what goes wrong with it; `stderr` is as `Launch.output`. `environment`: where
    it finds its folders, see linit/logs/README.md. Until it is started what services write waits in their pipes."""

    def __init__(
        self,
        loop: Loop,
        processes: Processes,
        output: Output,
        *,
        environment: Mapping[str, str],
        stderr: int | str,
        tell: Callable[[str], None],
    ) -> None:
        self.pid = 0
        self.restarts = 0
        self._loop = loop
        self._processes = processes
        self._output = output
        self._environment = environment
        self._stderr = stderr
        self._tell = tell
        self._socket: socket.socket | None = None
        self._waits_for_room = False
        self._delay_s = RESTART_DELAY_S
        self._started_at_s = 0.0
        self._timer: Handle | None = None
        self._on_closed: Callable[[], None] | None = None

    def start(self) -> None:
        """Start it; it is started again whenever it ends."""
        self._timer = None
        self._started_at_s = self._loop.time()
        self._output.on_waiting = self._flush
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            self.failed(0, f"socket: {errno_words(error.errno or 0)}")
            return
        ours.setblocking(False)
        self._socket = ours
        self._output.unsent = deque(self._output.to_send())
        if self._output.recorder is not None:
            self._begin_recording(self._output.recorder)
        launch = Launch(
            interpreter.command(MODULE),
            EXECUTION,
            self._environment,
            self._stderr,
            keep=((theirs.fileno(), SOCKET_FD),),
        )
        self.pid = self._processes.start(launch, self)
        theirs.close()
        self._flush()

    def _begin_recording(self, recorder: Recorder) -> None:
        try:
            recorder.pack()
            recorder.begin_again()
        except Exception as bug:  # the log goes on without
            self._output.recorder = None
            self._tell(f"this boot is not recorded: {bug!r}")

    def close(self, on_closed: Callable[[], None]) -> None:
        """Let it write what is in the pipes, and end it; then call back. At most CLOSE_LIMIT_S."""
        self.make_sure()
        self._on_closed = on_closed
        if not self.pid:
            self._loop.call_soon(on_closed)
            return
        self._timer = self._loop.call_at(self._loop.time() + CLOSE_LIMIT_S, self._kill)
        self._output.say("close")

    def make_sure(self) -> None:
        """Do not wait any longer before starting it again: its last chance to write what is in the pipes."""
        self._disarm()
        if not self.pid:
            self.start()

    def hang_up(self) -> None:
        """End the conversation: it writes what is in the pipes and ends. What it could not be told is lost."""
        self._flush()
        self._disconnect()

    # -- as the owner of the process

    def executing(self, _pid: int) -> None:
        """What was sent waits in its socket."""

    def exited(self, _pid: int, status: int) -> None:
        """It ended: unasked, unless we are closing."""
        if self._on_closed is None:
            self._tell(f"the log process {exit_words(status)}; it starts again after {self._next_delay_s():g} s")
        self._ended()

    def failed(self, _pid: int, text: str) -> None:
        """It could not be run."""
        self._tell(f"the log process could not be run: {text}")
        self._ended()

    def _ended(self) -> None:
        self.pid = 0
        self._disconnect()
        self._disarm()
        if self._on_closed is not None:
            self._on_closed()
            return
        self.restarts += 1
        delay_s = self._next_delay_s()
        self._delay_s = min(2 * delay_s, RESTART_DELAY_MAX_S)
        self._timer = self._loop.call_at(self._loop.time() + delay_s, self.start)

    def _next_delay_s(self) -> float:
        is_healthy = self._loop.time() - self._started_at_s > HEALTHY_AFTER_S
        return RESTART_DELAY_S if is_healthy else self._delay_s

    def _kill(self) -> None:
        self._timer = None
        self._tell(f"the log process did not end within {CLOSE_LIMIT_S:g} s, killed")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- sending

    def _flush(self) -> None:
        """Send what waits: pipes first, then lines in their order. Stops, without waiting, when there is no room."""
        if self._socket is None or self._waits_for_room:
            return
        output = self._output
        try:
            while output.unsent:
                pipe = output.unsent[0]
                message = messagepack.packb(output.message_of(pipe), unicode_errors="surrogateescape")
                socket.send_fds(self._socket, [message], [output.reading_end(pipe)])
                output.unsent.popleft()
            while output.messages:
                message = messagepack.packb(output.messages[0], unicode_errors="surrogateescape")
                self._socket.send(message)
                output.messages.popleft()
            self._flush_recorder(self._socket)
        except BlockingIOError:
            self._waits_for_room = True
            self._loop.add_writer(self._socket.fileno(), self._has_room)
        except OSError:
            self._disconnect()  # it is dying: the reaper will say so, and what waits is for its successor

    def _flush_recorder(self, to: socket.socket) -> None:
        """Send what waits of the recording. Raises OSError as the socket does."""
        while (recorder := self._output.recorder) is not None and recorder.is_waiting:
            try:
                message, content = recorder.message()
                file = -1 if content is None else memory_file(content)
            except (OSError, ValueError, TypeError) as bug:
                self._output.recorder = None
                self._tell(f"this boot is not recorded: {bug!r}")
                return
            try:
                socket.send_fds(to, [message], [] if file < 0 else [file])
            finally:
                if file >= 0:
                    os.close(file)
            recorder.sent()

    def _has_room(self) -> None:
        assert self._socket is not None
        self._waits_for_room = False
        self._loop.remove_writer(self._socket.fileno())
        self._flush()

    def _disconnect(self) -> None:
        if self._socket is None:
            return
        if self._waits_for_room:
            self._waits_for_room = False
            self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._socket = None


def memory_file(data: bytes) -> int:
    """A descriptor of a file without a name that holds `data`. Source: memfd_create(2). Raises OSError."""
    file = os.memfd_create("linit", os.MFD_CLOEXEC)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(file, data[written:], written)
    except OSError:
        os.close(file)
        raise
    return file
