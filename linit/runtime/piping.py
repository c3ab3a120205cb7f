"""Who keeps the logger commands of services running (`output: {command: [svlogd, ...]}`)?

The pipe is PID 1's: it stays when the service ends, and when its logger does, so nothing that was written is lost and
no writer is killed by SIGPIPE. A logger belongs to no service: stopping one does not stop the other. It ends when the
service is no more, at the end of its input. What a logger itself writes is in the log of the service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from linit.model.reason import exit_words
from linit.runtime.failure import error_words
from linit.runtime.loop import Handle, Loop
from linit.runtime.output import Output, Pipe
from linit.runtime.processes import Processes
from linit.runtime.spawn import Launch

RESTART_DELAY_S: Final = 0.2
RESTART_DELAY_MAX_S: Final = 30.0
HEALTHY_AFTER_S: Final = 10.0
CLOSE_LIMIT_S: Final = 10.0


class Loggers:
    """One process for each pipe that has a command. `tell(text, name)` says what goes wrong with one."""

    def __init__(
        self,
        loop: Loop,
        processes: Processes,
        output: Output,
        environment: Callable[[str], dict[str, str]],
        tell: Callable[[str, str], None],
    ) -> None:
        self.loop = loop
        self.processes = processes
        self.output = output
        self.environment = environment
        self.tell = tell
        self._loggers: dict[Pipe, _Logger] = {}
        self._left: set[_Logger] = set()  # that are waited for at the end
        self._on_closed: Callable[[], None] | None = None
        output.on_command = self._start
        output.on_dropped = self._drop

    def pids(self) -> dict[str, int]:
        """The process that reads what a service writes."""
        return {pipe.name: logger.pid for pipe, logger in self._loggers.items()}

    def close(self, on_closed: Callable[[], None]) -> None:
        """All services are down: let each logger write what is in its pipe, and end; then call back. At most
        CLOSE_LIMIT_S seconds."""
        self._left = {logger for logger in self._loggers.values() if logger.pid}
        for pipe in list(self._loggers):
            self.output.drop(pipe.name)
        if not self._left:
            self.loop.call_soon(on_closed)
            return
        limit = self.loop.call_at(self.loop.time() + CLOSE_LIMIT_S, on_closed)

        def on_ended() -> None:
            limit.cancel()
            on_closed()

        self._on_closed = on_ended

    def ended(self, logger: _Logger) -> None:
        """A logger's process is no more."""
        if logger in self._left:
            self._left.remove(logger)
            if not self._left and self._on_closed is not None:
                self._on_closed()

    def _start(self, pipe: Pipe) -> None:
        self._loggers[pipe] = _Logger(self, pipe)
        self._loggers[pipe].start()

    def _drop(self, pipe: Pipe) -> None:
        if logger := self._loggers.pop(pipe, None):
            logger.is_over = True


class _Logger:
    """The logger of one pipe, started again whenever it ends."""

    def __init__(self, loggers: Loggers, pipe: Pipe) -> None:
        self.pid = 0
        self.is_over = False
        self._all = loggers
        self._pipe = pipe
        self._delay_s = RESTART_DELAY_S
        self._started_at_s = 0.0
        self._timer: Handle | None = None

    def start(self) -> None:
        """Run it, with the pipe as its standard input."""
        self._timer = None
        if self.is_over:
            return
        self._started_at_s = self._all.loop.time()
        name, output = self._pipe.name, self._all.output
        try:
            end = output.log_end(name)
        except OSError as error:
            self.failed(0, f"pipe: {error_words(error)}")
            return
        keep = ((output.reading_end(self._pipe), 0),)
        launch = Launch(self._pipe.value, environment=self._all.environment(name), output=end, keep=keep)
        self.pid = self._all.processes.start(launch, self)

    # -- as the owner of the process

    def executing(self, _pid: int) -> None:
        """What was written waits in its input."""

    def exited(self, _pid: int, status: int) -> None:
        """It ended, unasked unless its pipe is no more."""
        if not self.is_over:
            words = f"its logger {exit_words(status)}; it starts again after {self._next_delay_s():g} s"
            self._all.tell(words, self._name)
        self._ended()

    def failed(self, _pid: int, text: str) -> None:
        """It could not be run."""
        self._all.tell(f"its logger could not be run: {text}", self._name)
        self._ended()

    @property
    def _name(self) -> str:
        return self._pipe.name

    def _ended(self) -> None:
        self.pid = 0
        self._all.ended(self)
        if self.is_over:
            return
        delay_s = self._next_delay_s()
        self._delay_s = min(2 * delay_s, RESTART_DELAY_MAX_S)
        self._timer = self._all.loop.call_at(self._all.loop.time() + delay_s, self.start)

    def _next_delay_s(self) -> float:
        is_healthy = self._all.loop.time() - self._started_at_s > HEALTHY_AFTER_S
        return RESTART_DELAY_S if is_healthy else self._delay_s
