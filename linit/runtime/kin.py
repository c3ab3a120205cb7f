"""Which processes are of a service where there is no cgroup? Those of its sessions, those that bear its mark, and those
that descend from either.

Whoever was once known to be of the service is so until it is reaped: what a process tells of itself may change or
vanish (it executes another program, clears its environment, or is about to end), and its end is told by the kernel to
its parent alone. Nobody looks while a service runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from linit.runtime import sessions, strays
from linit.runtime.processes import Processes
from linit.runtime.spawn import Launch

# An orphan that does not tell whose it is keeps a service from being over for so long; a hanging disk may keep one for
# ever on its way to its program, or to its end.
UNTOLD_LIMIT_S: Final = 5.0
PASSES_MAX: Final = 10  # of one kill: whoever forks faster than that is looked for again later


class Kin:
    """The processes of one service that have no cgroup. `children`: those that are our children, or were adopted;
    `mains`: those of them that are or were its main process. Both are kept up by the caller.
    """

    def __init__(
        self,
        processes: Processes,
        children: Mapping[int, object],
        mains: Collection[int],
        now_s: Callable[[], float],
        *,
        proc: str = "/proc",
    ) -> None:
        self.is_untold = False  # was there an orphan, when it was last asked, that may be ours or not?
        self._mark = strays.new_mark()
        self._processes = processes
        self._children = children
        self._mains = mains
        self._now_s = now_s
        self._proc = proc
        self._sessions: set[int] = set()  # of those spawned, and of strays; process groups, too
        self._opened: dict[int, int] = {}  # the sessions of those that were adopted, by pid
        self._strays: set[int] = set()  # who left the sessions and is not among the children
        self._untold_s: dict[int, float] = {}  # since when an orphan has not told, by pid

    # -- what becomes of them

    def marked(self, launch: Launch) -> Launch:
        """What is to be launched, with the mark that all who descend from it inherit."""
        return replace(launch, environment={**launch.environment, strays.VARIABLE: self._mark})

    def born(self, pid: int) -> None:
        """A command was spawned: it leads a session."""
        self._sessions.add(pid)

    def adopted(self, pid: int) -> None:
        """One has become the main process."""
        self._strays.discard(pid)
        self._opened[pid] = sessions.session_of(pid)

    def ended(self, pid: int) -> bool:
        """One of the children has ended, and is not among them any more. Is somebody left in its session?"""
        self._sessions.add(self._opened.pop(pid, 0))  # who is left in it may have written a title over the mark
        self._forget_ended()
        return bool(self._sessions)

    # -- who they are

    def has(self, pid: int) -> bool:
        """Is a process one of them? For whoever asks: nobody is followed for that."""
        return self.is_known((pid,), sessions.session_of(pid)) or self.bears(pid) or pid in self._away()

    def is_known(self, family: Collection[int], session: int) -> bool:
        """Is a process one of them that has these ancestors and this session? Nobody is looked for."""
        return session in self._sessions or not self._strays.isdisjoint(family)

    def bears(self, pid: int) -> bool:
        """Does it bear their mark?"""
        return bool(strays.bears(pid, self._mark, self._proc))

    def pids(self) -> set[int]:
        """All of them that live, but for children that have not entered their session yet. Reads all of /proc. For
        whoever asks: nobody is followed for that."""
        return set(sessions.members(self._numbers())) | self._strays | self._away()

    def numbers(self) -> set[int]:
        """The sessions and process groups that they are in now."""
        self._gather()
        return self._numbers()

    def is_over(self) -> bool:
        """Is nobody left? Children are not asked for. If it `is_untold` whose an orphan is, then not yet."""
        self._gather()
        self._forget_ended()
        return not (self._sessions or self._strays or self.is_untold)

    def kill(self) -> bool:
        """SIGKILL to all, those that they fork meanwhile too. Was anybody there?"""
        killed: set[int] = set()
        for _ in range(PASSES_MAX):
            numbers = self.numbers()
            found = set(sessions.kill(numbers)) if numbers else set()
            if found <= killed:
                break
            killed |= found
        if not killed:
            # What is left, if anything, are zombies whose parents, gone to other sessions, do not reap them.
            self._sessions.intersection_update(self._children)
        return bool(killed)

    # -- how

    def _numbers(self) -> set[int]:
        opened = {sessions.session_of(pid) for pid in self._mains}
        return (self._sessions | opened) - {0, os.getsid(0), os.getpgrp()}

    def _gather(self) -> None:
        """Take in those who left the sessions, and the sessions that those are in now."""
        for pid in self._away():
            self._follow(pid)
        for pid in self._strays:
            found = sessions.stat(pid)
            if found is not None and found.is_alive:
                self._sessions |= {found.group, found.session} - {0, os.getsid(0), os.getpgrp()}

    def _away(self) -> set[int]:
        """Who left the sessions, as far as they can be found now."""
        asked = {pid: self._answer(pid, found) for pid, found in self._orphans().items()}
        now_s = self._now_s()
        self._untold_s = {pid: self._untold_s.get(pid, now_s) for pid, is_ours in asked.items() if is_ours is None}
        self.is_untold = any(now_s - since_s < UNTOLD_LIMIT_S for since_s in self._untold_s.values())
        away = {pid for pid, is_ours in asked.items() if is_ours}
        below = sessions.descendants({*self._children, *self._strays, *away}) - self._children.keys()
        stats = {pid: sessions.stat(pid) for pid in below - away}
        return away | {
            pid for pid, each in stats.items() if each and each.is_alive and each.session not in self._sessions
        }

    def _orphans(self) -> dict[int, sessions.Stat | None]:
        """All of them; also those that one has left behind which died just now."""
        found = {pid: sessions.stat(pid) for pid in self._processes.orphans()}
        if all(each is not None and each.is_alive for each in found.values()):
            return found
        return {pid: sessions.stat(pid) for pid in self._processes.orphans(anew=True)}

    def _answer(self, pid: int, found: sessions.Stat | None) -> bool | None:
        """Is an orphan one of ours? None: it cannot be told now."""
        if found is not None and found.is_alive and not self._sessions.isdisjoint((found.session, found.group)):
            return True
        return strays.bears(pid, self._mark, self._proc)

    def _follow(self, pid: int) -> None:
        # One that cannot be followed, as no descriptor is left, is found again by the next look if it still can be.
        if pid not in self._strays and self._processes.adopt(pid, _Stray(self._strays)):
            self._strays.add(pid)

    def _forget_ended(self) -> None:
        """A number that is free again may soon be somebody else's."""
        kept = {one for one in self._sessions if one in self._children or (one and sessions.exists(one))}
        self._sessions = kept - {os.getsid(0), os.getpgrp()}


class _Stray:
    """The guardian of one that left the sessions."""

    def __init__(self, followed: set[int]) -> None:
        self._followed = followed

    def executing(self, _pid: int) -> None:
        raise AssertionError("linit bug: not spawned here")

    def failed(self, _pid: int, _text: str) -> None:
        raise AssertionError("linit bug: not spawned here")

    def exited(self, pid: int, _status: int) -> None:
        self._followed.discard(pid)

    def vanished(self, pid: int) -> None:
        self._followed.discard(pid)
