"""Which children do we have, and who wants to hear about them?

Everything that linit runs comes through here: commands of services, probes, the log process, the compiler. The order
of what an owner hears is fixed: first that the program executes (or cannot), then that it ended.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from linit.runtime import sessions
from linit.runtime.failure import errno_words
from linit.runtime.loop import Loop
from linit.runtime.plain import EXECUTES, Launcher
from linit.runtime.reap import Signals, reap_all
from linit.runtime.spawn import GATE_MAX_BYTES, Launch
from linit.runtime.turn import Turn

REAPED_AT_ONCE: Final = 16
ORPHANS_KEPT: Final = 20  # times as long as it takes to ask for them


class Owner(Protocol):
    """Who hears about a child: `executing` and later `exited`, or `failed` and nothing else."""

    def executing(self, pid: int) -> None:
        """execve(2) succeeded."""

    def exited(self, pid: int, status: int) -> None:
        """The program ended and was reaped; `status` as waitpid(2) gives it."""

    def failed(self, pid: int, text: str) -> None:
        """The program could not be run; the child that was to become it is reaped. Pid 0: there was no child."""


class Guardian(Owner, Protocol):
    """The owner of a process that somebody else started."""

    def vanished(self, pid: int) -> None:
        """It ended, as a child of another process: with which status is not known. Instead of `exited`."""


@dataclass(slots=True)
class _Child:
    owner: Owner
    gate: int  # -1: read
    failure: str = ""  # the step that failed
    guardian: Guardian | None = None  # of one that somebody else started
    pidfd: int = -1  # of one that was not our child when we adopted it


class Processes:
    """All children of this process, and the orphans that become its children.

    `confess(what, bug)` is told of a bug in an owner; while `is_held()` nobody is told of anything; of ends that are
    seen together those of services with the highest `rank` are told first. Whoever has a place for these sets them.
    """

    def __init__(self, loop: Loop, signals: Signals) -> None:
        self.confess: Callable[[str, Exception], None] = _raise
        self.is_held: Callable[[], bool] = lambda: False
        self.rank: Callable[[str], int] | None = None
        self.orphans_reaped = 0
        self._loop = loop
        self._signals = signals
        self._reaping, self._beginning = Turn(loop), Turn(loop)
        self._reaps_soon = False  # in the next turn
        self._begun: dict[int, None] = {}  # whose programs execute, which nobody was told yet
        self._tells_soon = False  # likewise
        self.launcher = Launcher()
        self._orphans: list[int] | None = None  # as the kernel told since the last that were reaped
        self._orphans_until_s = 0.0
        self._children: dict[int, _Child] = {}
        self._after_reap: list[Callable[[], None]] = []
        signals.on(signal.SIGCHLD, self._reap_in_turns)

    def start(self, launch: Launch, owner: Owner) -> int:
        """Run a program; its pid, or 0 if there is no process to be had, which `owner.failed` was told then."""
        return self.begin(partial(self.launcher.start, launch), owner)

    def begin(self, fork: Callable[[Collection[int], Collection[int]], tuple[int, int]], owner: Owner) -> int:
        """Have a child made as `Launcher.start` does, given the signals that we handle and ignore; its pid, or 0."""
        try:
            pid, gate = fork(self._signals.handled, self._signals.ignored)
        except OSError as error:
            owner.failed(0, f"fork: {errno_words(error.errno or 0)}")
            return 0
        self._children[pid] = _Child(owner, gate)
        if gate != EXECUTES:
            self._loop.add_reader(gate, self._gate_readable, pid)
            return pid
        self._begun[pid] = None
        if not self._tells_soon:  # in the loop, as of others: whoever started it knows its pid by then
            self._tells_soon = True
            self._loop.call_soon(self._tell_on)
        return pid

    def adopt(self, pid: int, guardian: Guardian) -> bool:
        """Hear of the end of a process that somebody else started; False if there is no such process.

        An orphan is our child, and so is reaped by us. Of others only their end is told, unless they become orphans.
        Who is told of one that was adopted before is the new guardian alone.
        """
        if pid in self._children:
            known = self._children[pid]
            if known.guardian is not None:
                known.owner = known.guardian = guardian
            return True
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        child = self._children[pid] = _Child(guardian, -1, guardian=guardian)
        if sessions.is_child(pid):
            os.close(pidfd)
        else:
            child.pidfd = pidfd
            self._loop.add_reader(pidfd, self._ended_elsewhere, pid)
        return True

    def orphans(self, *, anew: bool = False) -> list[int]:
        """Our children that nobody here owns: what services left behind.

        The kernel is asked again after whatever was reaped, and else so often that it takes a twentieth of the time at
        most, unless `anew`: a thousand services that are stopped at once ask as often. Who dies in between is listed
        until it is reaped, and what it leaves behind then is not: who finds a dead one in the list asks `anew`.
        """
        asked_s = self._loop.time()
        if self._orphans is None or anew or asked_s > self._orphans_until_s:
            self._orphans = [pid for pid in sessions.children(os.getpid()) if pid not in self._children]
            told_s = self._loop.time()
            self._orphans_until_s = told_s + ORPHANS_KEPT * (told_s - asked_s)
        return [pid for pid in self._orphans if pid not in self._children]

    def after_reap(self, callback: Callable[[], None]) -> None:
        """Call back after each round of reaping, when all owners have been told."""
        self._after_reap.append(callback)

    def reap(self) -> None:
        """Collect every child that has ended."""
        self._reap(lambda: False)

    def _reap_in_turns(self) -> None:
        """What is too much for one turn of the loop remains a zombie until the next, so that nobody gets its pid."""
        if self._reaps_soon:
            return
        if self.is_held() or not self._reap(self._reaping.is_over):
            self._reaps_soon = True
            self._loop.call_soon(self._reap_on)

    def _reap_on(self) -> None:
        self._reaps_soon = False
        self._reap_in_turns()

    def _reap(self, is_over: Callable[[], bool]) -> bool:
        """Collect children; were those all that have ended?"""
        is_all = False
        while not is_all and not is_over():
            # Some are collected before any is told of: who looks what is left of a service finds few zombies of ours.
            ended = list(itertools.islice(reap_all(), REAPED_AT_ONCE))
            is_all = len(ended) < REAPED_AT_ONCE
            self._orphans = None
            if self.rank is not None and len(ended) > 1:
                ended.sort(key=self._place)
            for pid, status in ended:
                try:
                    self._ended(pid, status)
                except Exception as bug:  # the statuses that follow are read and would be lost
                    self.confess(f"the end of pid {pid}, wait status {status}", bug)
        for callback in self._after_reap:
            callback()
        return is_all

    def _place(self, ended: tuple[int, int]) -> int:
        child = self._children.get(ended[0])
        name = getattr(child.owner, "name", "") if child else ""
        return -self.rank(name) if self.rank is not None else 0

    def _ended(self, pid: int, status: int) -> None:
        child = self._children.get(pid)
        if child is None:
            self.orphans_reaped += 1
            return
        if child.gate >= 0:
            self._close_gate(pid, child)
        if pid in self._begun:
            self._tell_of(pid)
        self._forget(pid, child)
        if child.failure:
            child.owner.failed(pid, child.failure)
        else:
            child.owner.exited(pid, status)

    def _ended_elsewhere(self, pid: int) -> None:
        """A process that was not our child when we adopted it has ended. If it is now, it is reaped like any other."""
        if self.is_held():
            return  # the loop says so again in its next turn
        self.reap()
        child = self._children.get(pid)
        if child is None:
            return
        assert child.guardian is not None, f"linit bug: pid {pid} was not adopted"
        self._forget(pid, child)
        child.guardian.vanished(pid)
        for callback in self._after_reap:
            callback()

    def _forget(self, pid: int, child: _Child) -> None:
        del self._children[pid]
        if child.pidfd >= 0:
            self._loop.remove_reader(child.pidfd)
            os.close(child.pidfd)

    def _gate_readable(self, pid: int) -> None:
        if not self._beginning.is_over():  # or the loop says so again in its next turn
            self._close_gate(pid, self._children[pid])
            self._tell_begun()

    def _close_gate(self, pid: int, child: _Child) -> None:
        """The gate is readable, or its process dead: closed by execve(2), or the text of the step that failed.

        It is closed before anybody may be told: thousands that can be read would each be called in each turn.
        """
        text = b""
        with contextlib.suppress(BlockingIOError):  # dead before it wrote anything: its exit status tells
            text = os.read(child.gate, GATE_MAX_BYTES)
        self._loop.remove_reader(child.gate)
        os.close(child.gate)
        child.gate = -1
        if text:
            child.failure = text.decode("utf-8", "replace")  # told when the child is reaped, which is at once
        else:
            self._begun[pid] = None

    def _tell_begun(self) -> None:
        """Tell of the programs that execute, in their order; of what is too much for this turn in the next."""
        while self._begun and not self.is_held() and not self._beginning.is_over():
            pid = next(iter(self._begun))
            try:
                self._tell_of(pid)
            except Exception as bug:  # those that follow are not told again
                self.confess(f"the start of pid {pid}", bug)
        if self._begun and not self._tells_soon:
            self._tells_soon = True
            self._loop.call_soon(self._tell_on)

    def _tell_on(self) -> None:
        self._tells_soon = False
        self._tell_begun()

    def _tell_of(self, pid: int) -> None:
        del self._begun[pid]
        self._children[pid].owner.executing(pid)


def _raise(_what: str, bug: Exception) -> None:
    raise bug
