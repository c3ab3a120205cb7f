"""Which processes belong to a service where there are no cgroups? Those of the sessions that linit opened for it.

Every command of a service is spawned as the leader of a session and process group of its own. A process that leaves
the session (daemon(3), setsid(1)) is found by `linit.runtime.strays`. Source: credentials(7), kill(2),
proc_pid_stat(5).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

DEAD_STATES: Final = "ZX"


class Stat(NamedTuple):
    """What the kernel says of a process. `started_ticks` since the machine began; `environment_end`: an address, 0 if
    it has no environment, or nobody may know."""

    state: str
    parent: int
    group: int
    session: int
    started_ticks: int
    threads: int
    environment_end: int

    @property
    def is_alive(self) -> bool:
        """Is it more than an exit status that nobody has read yet? The first of its threads may end before others."""
        return self.state not in DEAD_STATES or self.threads > 1


def exists(session: int) -> bool:
    """Is there still a process, dead or alive, in the session's first process group?"""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def send(session: int, number: int) -> None:
    """Send a signal to the session's first process group; an empty one is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, number)


def members(sessions: Collection[int]) -> list[int]:
    """The live processes of the sessions. Reads all of /proc, so only for a kill, never again and again."""
    stats = ((int(entry), stat(int(entry))) for entry in os.listdir("/proc") if entry.isdigit())
    return [
        pid
        for pid, found in stats
        if found is not None and found.is_alive and (found.session in sessions or found.group in sessions)
    ]


def kill(sessions: Collection[int]) -> list[int]:
    """SIGKILL every process of the sessions, those in other process groups of them too; who that was."""
    try:
        found = members(sessions)
    except OSError:  # /proc is not mounted yet
        for session in sessions:
            send(session, signal.SIGKILL)
        return [session for session in sessions if exists(session)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return found


def session_of(pid: int) -> int:
    """The session that a process is in; 0 if there is no such process."""
    found = stat(pid)
    return found.session if found else 0


def is_child(pid: int) -> bool:
    """Are we the parent of a process? Then its end, and its status, will be told to us and to nobody else."""
    found = stat(pid)
    return found is not None and found.parent == os.getpid()


def lineage(pid: int) -> list[int]:
    """A process and its ancestors below PID 1, itself first; [] if there is no such process."""
    family: list[int] = []
    while pid > 1 and pid not in family:
        found = stat(pid)
        if found is None:
            break
        family.append(pid)
        pid = found.parent
    return family


def children(pid: int) -> set[int]:
    """The children of a process, those that it adopted too, dead or alive; none where the kernel does not tell.

    Nobody is missing among our own, who leave only when we reap them. Source: proc_tid_children(5).
    """
    found: set[int] = set()
    # /proc is not mounted yet, the process has gone, or a kernel without CONFIG_PROC_CHILDREN
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found.update(int(child) for child in file.read().split())
    return found


def descendants(pids: Iterable[int]) -> set[int]:
    """The children of processes, and theirs, but not they themselves."""
    above, below = set(pids), set[int]()
    todo = list(above)
    while todo:
        new = children(todo.pop()) - above - below
        below |= new
        todo += new
    return below


def stat(pid: int, proc: str = "/proc") -> Stat | None:
    """What the kernel says of a process; None if there is none."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name, in parentheses, may hold anything: the fields begin after the last parenthesis.
    fields = text[text.rindex(b")") + 2 :].split()
    state, (parent, group, session) = fields[0].decode(), (int(field) for field in fields[1:4])
    return Stat(state, parent, group, session, int(fields[19]), int(fields[17]), int(fields[48]))
