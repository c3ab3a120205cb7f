"""What does a boot cost the machine, and when was linit itself how far? Readings for the recording.

Nothing here runs on a timer: PID 1 looks when a service changes its state, at the machine at most every SPACING_S,
and after the boot never again. A reading is one pread(2) of /proc/stat, or of the cpu.stat of a service that has come
up. Sources: proc_stat(5), the kernel's admin-guide/cgroup-v2.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from linit import LOADED_S
from linit.engine.effects import Transition
from linit.model.state import UnitState
from linit.record.recorder import Mark
from linit.runtime import kernel_files
from linit.runtime.members import Members
from linit.runtime.output import Output

if TYPE_CHECKING:
    from linit.plan.weights import Taken

SPACING_S: Final = 0.05  # the kernel counts hundredths of a second
LINE_BYTES: Final = 256  # the first line of /proc/stat is what we want
IDLE: Final = 3  # fields of that line: user, nice, system, idle, iowait, irq, softirq, steal
WAITING: Final = 4
STEAL: Final = 7
PRESSURE: Final = "cpu.pressure"
SLEPT_S: Final = 0.001  # if the loop had to wait for as long, it hears at once of what happens
EXEC: Final = "LINIT_EXEC_S"  # set by who executes linit as PID 1: seconds since the kernel began, as in /proc/uptime


class BootCosts:
    """Notes in the recording of `pipes` what the boot costs, from now until `finished`. A bug in here is told to
    `confess`, and ends it: a boot that nobody measures is better than none."""

    def __init__(
        self,
        pipes: Output,
        members: Members,
        confess: Callable[[str, Exception], None],
    ) -> None:
        self.taken: dict[str, Taken] = {}  # by the first start of each service
        self._happened_s = 0.0  # not before then what the loop now hears of
        self._awake_s = 0.0
        self._pipes = pipes
        self._members = members
        self._confess = confess
        self._next_s = 0.0
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._cpus = os.cpu_count() or 1
        self._file = -1
        self._is_over = False
        with contextlib.suppress(OSError):
            self._file = os.open("/proc/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._try(self._begin)

    def note(self, transition: Transition) -> None:
        """A service has changed its state; what it has used can still be read."""
        if not self._is_over:
            self._try(self._note, transition)

    def loop_runs(self) -> None:
        """The event loop is about to run for the first time: what of linit's own start can be told now."""
        self._try(self._note_start)

    def turns(self, asleep_s: float, awake_s: float) -> None:
        """The loop has waited for something to happen. If there was something at once, that may have happened while
        PID 1 was busy with its last turn."""
        self._happened_s = awake_s if awake_s - asleep_s > SLEPT_S else self._awake_s
        self._awake_s = awake_s

    def finished(self) -> None:
        """The boot is over: the last reading."""
        if not self._is_over:
            self._try(self._read_machine, time.monotonic())
            self._close()
            self._pipes.on_waiting()

    def _try(self, read: Callable[..., None], *arguments: Any) -> None:
        try:
            read(*arguments)
        except Exception as bug:
            self._close()
            self._confess("the costs of the boot", bug)

    def _close(self) -> None:
        self._is_over = True
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _begin(self) -> None:
        self._mark(Mark.LINIT, LOADED_S)
        self._read_machine(time.monotonic())

    def _note(self, transition: Transition) -> None:
        if transition.at_s >= self._next_s:
            self._next_s = transition.at_s + SPACING_S
            self._read_machine(transition.at_s)
        if transition.after in (UnitState.UP, UnitState.FAILED):
            self._read_service(transition)
        self._pipes.on_waiting()

    def _note_start(self) -> None:
        self._mark(Mark.LOOP, time.monotonic())
        exec_s = told_exec_s(kernel_files.read("/proc/self/environ")) if os.getpid() == 1 else self._exec_s()
        if exec_s is not None:
            self._mark(Mark.EXEC, exec_s)
        if os.getpid() == 1:
            self._mark(Mark.KERNEL, 0.0)
        self._pipes.on_waiting()

    def _mark(self, mark: Mark, at_s: float) -> None:
        if self._pipes.recorder is not None:
            self._pipes.recorder.note_mark(mark, at_s)

    def _read_machine(self, at_s: float) -> None:
        if self._file < 0 or self._pipes.recorder is None:
            return
        words = os.pread(self._file, LINE_BYTES, 0).partition(b"\n")[0].split()
        ticks = [int(word) for word in words[1 : STEAL + 1]]
        busy = sum(ticks) - ticks[IDLE] - ticks[WAITING]
        milliseconds = [each * 1000 // self._ticks for each in (busy, ticks[WAITING], ticks[IDLE])]
        self._pipes.recorder.note_load(at_s, *milliseconds, cpus=self._cpus)

    def _read_service(self, transition: Transition) -> None:
        """The kernel has counted since the cgroup was made, which is when the start began."""
        name = transition.name
        folder = self._members.cgroup(name)
        if not folder or self._pipes.recorder is None:
            return
        with contextlib.suppress(FileNotFoundError):  # a service may remove its cgroup itself
            lasted_s = self._happened_s - self._members.began_s(name) if transition.after is UnitState.UP else None
            texts = _first_line(f"{folder}/cpu.stat"), _first_line(f"{folder}/{PRESSURE}")
            self._pipes.recorder.later(self._try, self._note_service, transition, lasted_s, *texts)

    def _note_service(self, transition: Transition, lasted_s: float | None, stat: bytes, pressure: bytes) -> None:
        name, used_us, stalled_us = transition.name, _used_us(stat), _stalled_us(pressure)
        if self._pipes.recorder is not None:
            self._pipes.recorder.note_cpu(transition.at_s, name, used_us, stalled_us)
        if lasted_s is not None and name not in self.taken:
            self.taken[name] = used_us, max(0, int(lasted_s * 1_000_000) - used_us - (stalled_us or 0))

    def _exec_s(self) -> float | None:
        """When this process began; a shell's fork(2) is right before its exec. As exact as a tick."""
        from linit.runtime.stamps import began_ticks  # the first services run by now

        ticks = began_ticks()
        return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / self._ticks) if ticks else None


def _first_line(path: str) -> bytes:
    """Of cpu.stat or cpu.pressure; b"" where the kernel does not count that. It is read now, and understood when PID 1
    has nothing else to do. Raises FileNotFoundError where the cgroup is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if path.endswith(PRESSURE):
            return b""
        raise
    try:
        return os.read(file, LINE_BYTES).partition(b"\n")[0]
    except OSError:  # pressure, switched off on the kernel command line
        return b""
    finally:
        os.close(file)


def _used_us(line: bytes) -> int:
    return int(line.removeprefix(b"usage_usec "))


def _stalled_us(line: bytes) -> int | None:
    """How long some process of a cgroup could have run, and had no processor; None where the kernel does not count it.
    Source: the kernel's accounting/psi."""
    total = line.rpartition(b"total=")[2]
    return int(total) if total.isdigit() else None


def told_exec_s(environ: str) -> float | None:
    """What /proc/self/environ tells, where `linit.system.surroundings` has left nothing of it in ours. Of PID 1 the
    kernel knows only when it made the process, long before that became linit."""
    words = (word.partition("=") for word in environ.split("\0"))
    told = next((value for name, _, value in words if name == EXEC), "")
    try:
        told_s = float(told)
    except ValueError:
        return None
    return told_s if 0 <= told_s <= LOADED_S else None
