"""Which processes have left the sessions of their service, where there are no cgroups?

What daemon(3) or setsid(1) puts into the background becomes our child when its parent ends: we are PID 1, or a
subreaper. Whose it was is told by its environment, as it was at its last execve(2): every command bears a mark in it
that its service has been given for this run, and that no other user can read or guess. A program that clears its
environment, or writes its title over it, is lost to its service unless a pidfile names it or it was known before; it is
reaped when it dies.

Sources: PR_SET_CHILD_SUBREAPER(2const), proc_pid_environ(5), proc_pid_stat(5) for env_end, which is 0 from the moment
that execve(2) puts the new memory in place until the program is laid out in it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from linit.runtime import sessions

VARIABLE: Final = "LINIT_RUN"
MARK_BYTES: Final = 16


def new_mark() -> str:
    """A mark that nobody else has."""
    return os.urandom(MARK_BYTES).hex()


def bears(pid: int, mark: str, proc: str = "/proc") -> bool | None:
    """Was a process given this mark, or did it inherit it? None: it does not tell now, as it is about to execute, or
    about to end: then its memory is gone already, while its files may still be open."""
    found = sessions.stat(pid, proc)
    if found is None or not found.is_alive:
        return False
    try:
        environment = _environment(f"{proc}/{pid}")
    except OSError:
        return False
    if environment:
        return f"{VARIABLE}={mark}".encode() in environment.split(b"\0")
    # It has cleared its environment, if it was the same program before and after that was read.
    after = sessions.stat(pid, proc)
    is_same = after is not None and found.environment_end == after.environment_end != 0
    return False if is_same or after is None else None


def _environment(process: str) -> bytes:
    """That of a process; of another of its threads, if its first one has ended. Raises OSError."""
    for folder in (process, *(f"{process}/task/{thread}" for thread in os.listdir(f"{process}/task"))):
        # Of a thread without memory it is empty; newer kernels say that there is no such process.
        with contextlib.suppress(ProcessLookupError), open(f"{folder}/environ", "rb") as file:
            if text := file.read():
                return text
    return b""
