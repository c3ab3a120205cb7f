"""Which processes belong to a service where there are no cgroups? Those of the sessions that linit opened for it.

Every command of a service is spawned as the leader of a session and process group of its own. A process that leaves
the session (daemon(3), setsid(1)) cannot be followed; it is reaped when it dies. Source: credentials(7), kill(2),
proc_pid_stat(5).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

DEAD_STATES = "ZX"


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
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            state, group, session, _ = stat
            if state not in DEAD_STATES and (session in sessions or group in sessions):
                found.append(int(entry))
    return found


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
    stat = _stat(pid)
    return stat[2] if stat else 0


def lineage(pid: int) -> list[int]:
    """A process and its ancestors below PID 1, itself first; [] if there is no such process."""
    found: list[int] = []
    while pid > 1 and pid not in found:
        stat = _stat(pid)
        if stat is None:
            break
        found.append(pid)
        pid = stat[3]
    return found


def _stat(pid: int) -> tuple[str, int, int, int] | None:
    """(state, process group, session, parent) of a process; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name, in parentheses, may hold anything: the fields begin after the last parenthesis.
    state, parent, group, session, *_ = text[text.rindex(b")") + 2 :].split(b" ", 4)
    return state.decode(), int(group), int(session), int(parent)
