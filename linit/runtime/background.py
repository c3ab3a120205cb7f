"""Which process is the main one, where it is not the command that was spawned?

Of a forking service it is the daemon that its command has put into the background: the one that its pidfile names,
that it named itself (MAINPID= of sd_notify(3)), or else the oldest that is left. Others name theirs when they hand
their work over to another process. Nobody tells when a pidfile appears: it is looked for at growing intervals, while
the service is starting.
"""

from __future__ import annotations

import os
from typing import Final

from linit.engine.events import MainFound, ReadinessFailed
from linit.model.service import Kind, Service
from linit.model.state import Role, UnitState
from linit.runtime import sessions
from linit.runtime.looking import Look, pid_in
from linit.runtime.means import Means

# A daemon that forks twice is left by its first child a moment after it was left by its command, which tells nobody
# which of the two it is. A guess that ends with success within this time was the first one.
SETTLING_S: Final = 5.0
STAYING: Final = (UnitState.STARTING, UnitState.UP)
NONE_LEFT: Final = "its command ended and left no process"


class Background:
    """Finds main processes, and tells the engine and `Members` of them."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._searches: dict[str, Look] = {}
        self._named: dict[str, int] = {}  # by forking services whose command has not ended yet
        self._guessed: dict[str, tuple[int, float]] = {}  # pid, and when that was

    def find(self, service: Service) -> None:
        """The command of a forking service has ended: report MainFound, or ReadinessFailed."""
        self._stop(service.name)
        look = self._searches[service.name] = Look(self.means.loop, lambda: self._look(service))
        look.start()

    def give_up(self, name: str) -> None:
        """Its start is over, one way or the other."""
        self._stop(name)
        self._named.pop(name, None)

    def said(self, name: str, pid: int) -> None:
        """A service has named its main process. One that is none of its processes is not believed."""
        unit = self.means.engine.units.get(name)
        if unit is None or not unit.service.kind.is_daemon or not self.means.members.has(name, pid):
            return
        if unit.service.kind is Kind.FORKING and not unit.found:
            self._named[name] = pid  # its command may still run, and has an end of its own
        elif Role.MAIN in unit.running:
            self._guessed.pop(name, None)
            self._is(name, pid)

    def look_behind(self, name: str, pid: int, status: int) -> None:
        """A main process has ended. If it was a guess, and one on the way to the daemon: that one takes its place."""
        guess, at_s = self._guessed.pop(name, (0, 0.0))
        unit = self.means.engine.units.get(name)
        if unit is None or unit.state not in STAYING or guess != pid or status:
            return
        if self.means.loop.time() - at_s < SETTLING_S:
            self._guess(name)

    def _look(self, service: Service) -> bool:
        """Is the search over?"""
        name = service.name
        named = self._named.pop(name, 0)
        if named and self._is(name, named):
            is_found = True
        elif service.pidfile:
            pid = pid_in(service.pidfile)
            is_found = self._is_of(name, pid, service.pidfile) and self._is(name, pid)
        else:
            is_found = self._guess(name)
        if not is_found and self.means.members.is_empty(name):
            self._stop(name)
            self.means.report(ReadinessFailed(name, NONE_LEFT))
            return True
        return is_found

    def _is_of(self, name: str, pid: int, pidfile: str) -> bool:
        """Is it a live process of the service? An orphan that nothing tells of is believed to be where the file says so
        that only root, or we ourselves, could write."""
        found = sessions.stat(pid) if pid else None
        if found is None or not found.is_alive:
            return False
        members = self.means.members
        return members.has(name, pid) or (_is_trusted(pidfile) and members.is_nobodys(pid))

    def _guess(self, name: str) -> bool:
        """Take the oldest of those that are left, and not the child of another one of them."""
        found = {pid: stat for pid in self.means.members.others(name) if (stat := sessions.stat(pid)) is not None}
        alive = {pid: stat for pid, stat in found.items() if stat.is_alive}
        first = [pid for pid, stat in alive.items() if stat.parent not in alive]
        pid = min(first, key=lambda each: (alive[each].started_ticks, each), default=0)
        if not pid or not self._is(name, pid):
            return False
        self._guessed[name] = pid, self.means.loop.time()
        return True

    def _is(self, name: str, pid: int) -> bool:
        """Take it for the main process; False if it cannot be."""
        if not self.means.members.adopt(name, pid):
            return False
        self._stop(name)
        self.means.members.report(MainFound(name, pid))
        return True

    def _stop(self, name: str) -> None:
        search = self._searches.pop(name, None)
        if search is not None:
            search.stop()


def _is_trusted(path: str) -> bool:
    try:
        return os.stat(path).st_uid in (0, os.geteuid())
    except OSError:
        return False
