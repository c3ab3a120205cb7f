"""Which plan is to be used? The one on disk, if it is true; a child makes a new one if it is not.

PID 1 reads plans and stats their sources, and nothing else: what a person wrote is parsed by the compiler, a program of
its own that may fail, hang or be killed without anything happening here.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linit import VERSION
from linit.model.paths import Paths
from linit.model.reason import exit_words
from linit.model.service import Execution, Plan
from linit.plan import codec, freshness
from linit.runtime import interpreter
from linit.runtime.failure import errno_words
from linit.runtime.loop import Handle, Loop
from linit.runtime.processes import Processes
from linit.runtime.programs import PATH
from linit.runtime.spawn import Launch

LIMIT_S: Final = 60.0
TEXT_MAX_BYTES: Final = 8192  # of what the compiler says, its end
WRITTEN: Final = (0, 1)  # exit statuses of `compile` after which there is a plan: linit/compiler.py


@dataclass(frozen=True, slots=True)
class Found:
    """What is on disk. `problem`: why it should not be used as it is, "" if it should."""

    plan: Plan | None
    problem: str = ""


def find(paths: Paths) -> Found:
    """The plan on disk, the fresh one if there are several. Costs a read and a stat for each source."""
    best: Found | None = None
    problems = []
    for path in dict.fromkeys((paths.plan, paths.plan_fallback)):
        try:
            stored = codec.load_stored(path)
            plan = stored.plan(with_sources=False)
            trusted_ns = os.stat(path).st_ctime_ns + freshness.COPIED_NS
        except codec.PlanError as error:
            problems.append(str(error))
            continue
        except OSError as error:
            problems.append(f"{path}: {errno_words(error.errno or 0)}")
            continue
        stale = freshness.examine_rows(zip(*stored.sources, strict=True), "", trusted_ns).stale
        if not stale and plan.compiler == VERSION:
            return Found(plan)
        why = f"{stale[0]} changed" if stale else f"it was made by linit {plan.compiler}"
        best = best or Found(plan, f"{path} is out of date: {why}")
    return best or Found(None, "; ".join(problems))


class Compiler:
    """Runs the compiler, one at a time. `arguments`: whose definitions (`--user DIR`)."""

    def __init__(self, loop: Loop, processes: Processes, arguments: tuple[str, ...] = ()) -> None:
        self._loop = loop
        self._processes = processes
        self._arguments = arguments
        self._waiting: deque[Callable[[str], None]] = deque()
        self._run: _Run | None = None

    def compile(self, on_done: Callable[[str], None]) -> None:
        """Have the plan made anew, if it needs to be; `on_done` is given what went wrong, "" if there is a plan.

        Whoever asks while one is being made gets another: the definitions may have changed since it began.
        """
        self._waiting.append(on_done)
        self._next()

    def _next(self) -> None:
        if self._run is None and self._waiting:
            self._run = _Run(self._loop, self._processes, self._arguments, self._done)
            self._run.start()

    def _done(self, problem: str) -> None:
        self._run = None
        on_done = self._waiting.popleft()
        self._next()
        on_done(problem)


class _Run:
    """One run of the compiler."""

    def __init__(
        self, loop: Loop, processes: Processes, arguments: tuple[str, ...], on_done: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._processes = processes
        self._arguments = arguments
        self._on_done = on_done
        self._text = b""
        self._end = -1
        self._timer: Handle | None = None
        self._is_late = False

    def start(self) -> None:
        try:
            self._end, far_end = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            self._loop.call_soon(self._on_done, f"the compiler could not be run: {errno_words(error.errno or 0)}")
            return
        os.set_blocking(self._end, False)
        self._loop.add_reader(self._end, self._read)
        launch = Launch(
            interpreter.command("linit.compiler", "compile", *self._arguments),
            Execution(),
            {"PATH": PATH, "LANG": "C.UTF-8"},
            far_end,
        )
        pid = self._processes.start(launch, self)
        os.close(far_end)
        if pid:
            self._timer = self._loop.call_at(self._loop.time() + LIMIT_S, self._kill, pid)

    def executing(self, _pid: int) -> None:
        """Its end is what matters."""

    def exited(self, _pid: int, status: int) -> None:
        self._read()
        if self._is_late:
            self._finish(f"the compiler took longer than {LIMIT_S:g} s, killed")
        elif os.WIFEXITED(status) and os.WEXITSTATUS(status) in WRITTEN:
            self._finish("")
        else:
            said = self._text.decode("utf-8", "replace").strip()
            self._finish(f"the compiler {exit_words(status)}{': ' + said if said else ''}")

    def failed(self, _pid: int, text: str) -> None:
        self._finish(f"the compiler could not be run: {text}")

    def _finish(self, problem: str) -> None:
        if self._timer:
            self._timer.cancel()
        self._close()
        # Not from here: with no process to be had this is still within `start`.
        self._loop.call_soon(self._on_done, problem)

    def _kill(self, pid: int) -> None:
        self._is_late = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _read(self) -> None:
        if self._end < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._end, TEXT_MAX_BYTES):
                self._text = (self._text + chunk)[-TEXT_MAX_BYTES:]
            self._close()

    def _close(self) -> None:
        if self._end >= 0:
            self._loop.remove_reader(self._end)
            os.close(self._end)
            self._end = -1
