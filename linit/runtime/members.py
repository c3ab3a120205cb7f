"""What runs for each service? Its commands are spawned and signalled here, and their ends become events.

Everything that is left of a service when its commands have ended is found by its cgroup, else by its kin. Only then,
and after a kill, does anybody look: a service that runs costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from linit.engine.effects import Signal, To
from linit.engine.events import Emptied, Event, Exited, Spawned, SpawnFailed
from linit.model.reason import exit_words
from linit.model.service import Limits
from linit.model.state import Role
from linit.runtime import sessions
from linit.runtime.cgroups import FOLDER, Cgroups, cgroup_of
from linit.runtime.failure import error_words
from linit.runtime.loop import Handle, Loop
from linit.runtime.out_of_memory import Kills, counted
from linit.runtime.out_of_memory import exit_note as note_of
from linit.runtime.processes import Owner, Processes
from linit.runtime.rooms import Rooms
from linit.runtime.spawn import Launch

if TYPE_CHECKING:
    from linit.runtime.kin import Kin

# After a kill without cgroups, nobody says when the last process is gone if it was not ours to reap.
LOOK_AGAIN_S: Final = 0.01
LOOK_AGAIN_MAX_S: Final = 0.5
# A stopped process (SIGSTOP, job control) gets these only when it runs again.
NEEDS_CONT: Final = frozenset({signal.SIGTERM, signal.SIGHUP})
NO_LIMITS: Final = Limits()
NO_KILLS: Final = Kills()
UNSEEN: Final = "ended; with which status is not known, as it was not a child of linit"


@dataclass(slots=True)
class _Group:
    """The processes of one service."""

    children: dict[int, Role | None] = field(default_factory=dict)  # by pid; None: a probe, or a former main process
    mains: set[int] = field(default_factory=set)  # those that are or were the main process
    told_main_s: float = 0.0  # when its main process was last sent a signal
    kin: Kin | None = None  # of those spawned without a cgroup
    cgroup: str = ""  # its directory, "" if there is none
    began_s: float = 0.0  # when the first of its commands was run
    room: str = ""  # what its commands share unseen, "" if nothing
    limits: Limits = NO_LIMITS
    kills: Kills = NO_KILLS  # before its main process began
    owes_emptied: bool = False
    is_over: bool = False  # was nothing left of it when that was last asked, and nothing started since?
    is_killed: bool = False
    looks_again: Handle | None = None
    look_delay_s: float = LOOK_AGAIN_S


class Members:
    """The processes of all services, by service name. `report` takes the events; `rooms` is a folder for rooms, `proc`
    that in which processes tell whose they are.

    `before_end(name, pid, status)`: a main process has ended, which is not reported yet. What it said is heard now, or
    another one takes its place; the answer is what it said of its failure, "" if nothing.
    """

    def __init__(
        self,
        loop: Loop,
        processes: Processes,
        cgroup_root: str,
        report: Callable[[Event], None],
        rooms: str = "",
        *,
        proc: str = "/proc",
    ) -> None:
        self.report = report
        self.before_end: Callable[[str, int, int], str] = lambda _name, _pid, _status: ""
        self._loop = loop
        self._processes = processes
        self.cgroups = self._cgroups = Cgroups(cgroup_root, loop, self._check)
        self._rooms = Rooms(rooms, processes)
        self._proc = proc
        self._groups: dict[str, _Group] = {}
        self._unsettled: set[str] = set()  # owe Emptied, or have kin of which no child of ours is left
        processes.after_reap(self._look_at_unsettled)

    # -- commands

    def spawn(self, name: str, role: Role, launch: Callable[[str], Launch]) -> None:
        """Run a command of a service; `launch` is given the cgroup. Reports Spawned, then Exited; or SpawnFailed."""
        self._start(name, role, launch, _Command(self, name, role))

    def spawn_probe(self, name: str, launch: Callable[[str], Launch], owner: Owner) -> int:
        """Run a readiness probe among the processes of a service; its pid, 0 if it could not be run."""
        return self._start(name, None, launch, _Probe(self, name, owner))

    def _start(self, name: str, role: Role | None, launch: Callable[[str], Launch], owner: Owner) -> int:
        group = self._groups.setdefault(name, _Group())
        try:
            cgroup = self._cgroups.create(name)
        except OSError as error:
            owner.failed(0, f"cgroup {error_words(error)}")
            return 0
        group.is_over = False
        group.began_s = group.began_s or self._loop.time()
        group.cgroup = cgroup or group.cgroup
        made = launch(cgroup)
        if not cgroup:
            from linit.runtime.kin import Kin  # on PID 1 hardly ever

            group.kin = group.kin or Kin(self._processes, group.children, group.mains, self._loop.time, proc=self._proc)
            made = group.kin.marked(made)
        if made.execution.private_tmp or made.execution.private_network:
            group.room = group.room or self._rooms.new(name)
            made = replace(made, room=group.room)
        if role is Role.MAIN:
            group.limits = made.execution.limits
            group.kills = NO_KILLS if self._cgroups.is_new else counted(cgroup)
        pid = self._processes.start(made, owner)
        if pid:
            group.children[pid] = role
            if role is Role.MAIN:
                group.mains.add(pid)
            if group.kin and not cgroup:
                group.kin.born(pid)
        return pid

    def adopt(self, name: str, pid: int) -> bool:
        """Take a process for the main process of a service from now on: its end is Exited(Role.MAIN). The one that was,
        if it still runs, is one of its processes like others. False if there is no such process, or it has another
        part to play."""
        group = self._groups.get(name)
        if group is None or (pid in group.children and pid not in group.mains):
            return False
        if not self._processes.adopt(pid, _Command(self, name, Role.MAIN)):
            return False
        group.is_over = False
        for other, role in group.children.items():
            group.children[other] = None if role is Role.MAIN else role
        group.children[pid] = Role.MAIN
        group.mains.add(pid)
        if group.kin:
            group.kin.adopted(pid)
        return True

    # -- who is there

    def names(self) -> list[str]:
        """The services of which a process may be left."""
        return [name for name in self._groups if not self.is_empty(name)]

    def main_pid(self, name: str) -> int:
        """The main process of a service; 0 if none runs."""
        group = self._groups.get(name)
        return next((pid for pid, role in group.children.items() if role is Role.MAIN), 0) if group else 0

    def pids(self, name: str) -> list[int]:
        """Every process of a service. Reads its cgroup, or all of /proc: for people who ask."""
        group = self._groups.get(name)
        if group is None:
            return []
        found = set(group.children)
        if group.cgroup:
            found.update(self._cgroups.pids(group.cgroup))
        if group.kin:
            with contextlib.suppress(OSError):
                found.update(group.kin.pids())
        return sorted(found)

    def others(self, name: str) -> list[int]:
        """Its processes that linit did not start itself. As expensive as `pids`."""
        group = self._groups.get(name)
        return [pid for pid in self.pids(name) if group is None or pid not in group.children]

    def cgroup(self, name: str) -> str:
        """The directory of a service's cgroup; "" if it has none, or nothing runs."""
        group = self._groups.get(name)
        return group.cgroup if group else ""

    def began_s(self, name: str) -> float:
        """When the first command of a service that has processes, or just had some, was run."""
        group = self._groups.get(name)
        return group.began_s if group else 0.0

    def has(self, name: str, pid: int) -> bool:
        """Is `pid` a process of the service? 0 is none."""
        group = self._groups.get(name)
        if group is None or not pid:
            return False
        if pid in group.children:
            return True
        if group.cgroup and pid in self._cgroups.pids(group.cgroup):
            return True
        return group.kin is not None and group.kin.has(pid)

    def is_nobodys(self, pid: int) -> bool:
        """Is it an orphan of which nothing tells whose it was?"""
        return pid in self._processes.orphans() and not self.owner_of(pid)

    def owner_of(self, pid: int) -> str:
        """The service that a process belongs to, by its cgroup, session or ancestors; "" if it is nobody's."""
        family = set(sessions.lineage(pid))
        if not family:
            return ""
        inside = f"{cgroup_of(pid)}/"
        session = sessions.session_of(pid)
        for name, group in self._groups.items():
            if not family.isdisjoint(group.children):
                return name
            if group.kin and (group.kin.is_known(family, session) or group.kin.bears(pid)):
                return name
            if group.cgroup and f"/{FOLDER}/{name}/" in inside:
                return name
        return ""

    def is_empty(self, name: str) -> bool:
        """Is no process of the service left?"""
        group = self._groups.get(name)
        if group is None:
            return True
        if group.children or (group.cgroup and self._cgroups.is_populated(group.cgroup)):
            return False
        return group.kin is None or group.kin.is_over()

    # -- signals

    def signal(self, effect: Signal) -> None:
        """Send a signal. Nothing to send it to is no error.

        Without cgroups TO ALL is to the first process group of each session: a shell's background jobs, if it has job
        control, get KILL only.
        """
        group = self._groups.get(effect.name)
        if group is None:
            return
        if effect.to is not To.ALL:
            wanted = Role.MAIN if effect.to is To.MAIN else Role.RELOAD
            group.told_main_s = self._loop.time() if wanted is Role.MAIN else group.told_main_s
            pids = {pid for pid, role in group.children.items() if role is wanted}
            process_groups: set[int] = {pid for pid in pids if wanted is Role.RELOAD and _leads(pid)}
        else:
            # Our own children by pid, too: one forked just now has not entered its cgroup or session yet.
            theirs = group.kin.numbers() if group.kin else set()
            process_groups = {one for one in theirs if one not in group.children or _leads(one)}
            pids = {pid for pid in group.children if _process_group(pid) not in process_groups}
            if group.cgroup:
                pids |= set(self._cgroups.pids(group.cgroup))
        numbers = (effect.signal, signal.SIGCONT) if effect.signal in NEEDS_CONT else (effect.signal,)
        for number in numbers:
            _kill(pids, number)
            for one in process_groups:
                sessions.send(one, number)

    def told_main_s(self, name: str) -> float:
        """When the main process of a service was last sent a signal that was for it alone; 0.0 if never."""
        group = self._groups.get(name)
        return group.told_main_s if group else 0.0

    def kill_all(self, name: str) -> None:
        """SIGKILL every process of a service. Reports Emptied when none is left, at once if none was there.

        Raises OSError when the cgroup cannot be killed.
        """
        group = self._groups.setdefault(name, _Group())
        group.is_killed = True
        self._owe(name, group)
        self._kill(group)
        self._check(name)

    def _kill(self, group: _Group) -> None:
        _kill(group.children, signal.SIGKILL)
        if group.cgroup:
            self._cgroups.kill(group.cgroup)
        if group.kin:
            group.kin.kill()

    # -- ends

    def child_ended(self, name: str, pid: int) -> bool:
        """One of our children was reaped. Is anything left of the service? If so, Emptied is owed from now on."""
        group = self._groups[name]
        self._drop(name, group, pid)
        left = not self.is_empty(name)
        group.is_over = not left
        if left:
            self._owe(name, group)  # paid at the end of this round of reaping at the earliest: after Exited
        elif not group.is_killed:
            group.owes_emptied = False  # owed since the end of another command, and said by this Exited
        return left

    def exit_note(self, name: str, status: int) -> str:
        """What the kernel knows of an end that its status does not tell; "" if nothing."""
        group = self._groups[name]
        if not group.cgroup or group.is_killed:
            return ""
        return note_of(status, group.kills, counted(group.cgroup), group.limits)

    def probe_ended(self, name: str, pid: int) -> None:
        """A probe was reaped, or a command that never executed: nothing is owed for it."""
        self._drop(name, self._groups[name], pid)

    def retire(self, name: str) -> None:
        """A service came to rest: its cgroup is given back if nothing runs in it."""
        group = self._groups.get(name)
        if group is not None and not group.owes_emptied and (group.is_over or self.is_empty(name)):
            if group.cgroup:
                self._cgroups.remove(name, group.cgroup)
            if group.room:
                self._rooms.give_back(group.room)
            del self._groups[name]
            self._unsettled.discard(name)

    def close(self) -> None:
        """Let go of all descriptors."""
        self._cgroups.close()
        self._rooms.close()

    def _drop(self, name: str, group: _Group, pid: int) -> None:
        group.children.pop(pid, None)
        group.mains.discard(pid)
        if group.kin and group.kin.ended(pid):
            self._unsettled.add(name)

    def _owe(self, name: str, group: _Group) -> None:
        group.owes_emptied = True
        group.look_delay_s = LOOK_AGAIN_S
        self._unsettled.add(name)
        if group.cgroup and (group.is_killed or not group.children):
            with contextlib.suppress(OSError):  # no descriptor left, or the cgroup is gone: each reaping looks
                self._cgroups.watch(name, group.cgroup)

    def _look_at_unsettled(self) -> None:
        for name in list(self._unsettled):
            self._check(name)

    def _check(self, name: str) -> None:
        """Report Emptied if it is owed and true; after a kill without cgroups, look again later."""
        group = self._groups.get(name)
        if group is None:
            self._unsettled.discard(name)
        elif self.is_empty(name):
            self._unsettled.discard(name)
            if group.looks_again:
                group.looks_again.cancel()
                group.looks_again = None
            if group.owes_emptied:
                group.owes_emptied = group.is_killed = False
                group.is_over = True
                self.report(Emptied(name))
        elif group.looks_again is None and group.kin and self._may_end_unheard(group, group.kin):
            when = self._loop.time() + group.look_delay_s
            group.looks_again = self._loop.call_at(when, self._look_again, name)

    @staticmethod
    def _may_end_unheard(group: _Group, kin: Kin) -> bool:
        """Nobody tells whose an orphan is, nor of the end of others' children, which may fork while they are killed."""
        if group.is_killed:
            return bool(kin.is_untold or kin.numbers() - group.children.keys())
        return kin.is_untold and not group.children

    def _look_again(self, name: str) -> None:
        group = self._groups.get(name)
        if group is None:
            return
        group.looks_again = None
        group.look_delay_s = min(2 * group.look_delay_s, LOOK_AGAIN_MAX_S)
        if group.is_killed:
            self._kill(group)
        self._check(name)


@dataclass(slots=True)
class _Command:
    """A command of a service, as the owner of its process."""

    members: Members
    name: str
    role: Role

    def executing(self, pid: int) -> None:
        self.members.report(Spawned(self.name, self.role, pid))

    def exited(self, pid: int, status: int) -> None:
        said = self._before_end(pid, status)
        note = self.members.exit_note(self.name, status) if status else ""
        self._end(pid, status, note or (f"{exit_words(status)}; it said: {said}" if said and status else ""))

    def vanished(self, pid: int) -> None:
        self._before_end(pid, 0)
        self._end(pid, 0, UNSEEN)

    def _before_end(self, pid: int, status: int) -> str:
        is_main = self.role is Role.MAIN and self.members.main_pid(self.name) == pid
        return self.members.before_end(self.name, pid, status) if is_main else ""

    def _end(self, pid: int, status: int, note: str) -> None:
        if self.role is Role.MAIN and self.members.main_pid(self.name) != pid:
            self.members.probe_ended(self.name, pid)  # another one has taken its place
            return
        left = self.members.child_ended(self.name, pid)
        self.members.report(Exited(self.name, self.role, status, left, note))

    def failed(self, pid: int, text: str) -> None:
        self.members.probe_ended(self.name, pid)
        self.members.report(SpawnFailed(self.name, self.role, text))


@dataclass(slots=True)
class _Probe:
    """A probe: not reported, but one of the service's processes as long as it runs."""

    members: Members
    name: str
    owner: Owner

    def executing(self, pid: int) -> None:
        self.owner.executing(pid)

    def exited(self, pid: int, status: int) -> None:
        self.members.probe_ended(self.name, pid)
        self.owner.exited(pid, status)

    def failed(self, pid: int, text: str) -> None:
        self.members.probe_ended(self.name, pid)
        self.owner.failed(pid, text)


def _leads(pid: int) -> bool:
    """Has our child become the leader of its group, which it does before it executes?"""
    return _process_group(pid) == pid


def _process_group(pid: int) -> int:
    """0 if there is no such process."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _kill(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
