"""Which processes have left the sessions of their service, where there are no cgroups?

What daemon(3) or setsid(1) puts into the background becomes our child when its parent ends: we are PID 1, or a
subreaper. Whose it was is told by its environment, as it was at its last execve(2): every command bears a mark in it
that its service has been given for this run, and that no other user can read or guess. A program that clears its
environment, or writes its title over it, is lost to its service unless a pidfile names it; it is reaped when it dies.

Sources: PR_SET_CHILD_SUBREAPER(2const), proc_pid_environ(5), proc_tid_children(5).
"""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "LINIT_RUN"
MARK_BYTES: Final = 16


def new_mark() -> str:
    """A mark that nobody else has."""
    return os.urandom(MARK_BYTES).hex()


def bears(pid: int, mark: str) -> bool:
    """Was a process given this mark, or did it inherit it?"""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{VARIABLE}={mark}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def children() -> list[int]:
    """Our children, those that we adopted too, dead or alive; [] where the kernel does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # /proc is not mounted yet, or a kernel without CONFIG_PROC_CHILDREN
        return []
