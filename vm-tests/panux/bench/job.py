"""What is started in a benchmark, in words that belong to no init."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

LAST: Final = "bench-up"
"""The job that comes last in every set: it tells the host that everything is up."""


@dataclass(frozen=True, slots=True)
class Job:
    """One service. `after` names the jobs that must be up before it starts.

    A job without `daemon` is up when its command has ended with success. A daemon's `command` stays in the foreground;
    `background` is the form of it that goes into the background by itself, the traditional one, which then writes
    `pidfile`. `ready` and `ready_value` say how it tells that it can serve: "", pidfile, tcp, unix, fd, notify.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    daemon: bool = False
    background: tuple[str, ...] = ()
    pidfile: str = ""
    ready: str = ""
    ready_value: str = ""
    pre: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    stop_signal: str = "TERM"
    user: str = ""
    umask: str = ""
    directory: str = ""
    open_files: int = 0
    tty: str = ""
    early: bool = False
    """Does it belong to the first part of the boot, before services proper? (sysinit, rcS, a first runlevel.)"""


@dataclass(frozen=True, slots=True)
class JobSet:
    """The services of one benchmark, each after those that it comes after; the last one is LAST.

    `writable_root`: the root file system is writable when the init starts (else a job makes it so).
    """

    name: str
    jobs: tuple[Job, ...]
    scripts: tuple[tuple[str, str], ...] = ()
    """Programs of the set, by name: text for /bin/sh, put below SCRIPTS."""
    writable_root: bool = True

    def job(self, name: str) -> Job:
        """The job of this name."""
        return next(job for job in self.jobs if job.name == name)


SCRIPTS: Final = "usr/lib/bench/services"
"""Where the scripts of jobs lie, below the root."""


def in_order(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """The jobs, each behind those that it comes after; otherwise in the order in which they were given.

    Raises ValueError where that cannot be, naming those in the loop.
    """
    left = list(jobs)
    placed: dict[str, Job] = {}
    while left:
        ready = next((job for job in left if placed.keys() >= set(job.after)), None)
        if ready is None:
            raise ValueError(f"these wait for each other, or for what is not there: {[job.name for job in left]}")
        placed[ready.name] = ready
        left.remove(ready)
    return tuple(placed.values())


def ends(jobs: Iterable[Job]) -> tuple[str, ...]:
    """The names of the jobs that no other comes after: who waits for these waits for all."""
    known = tuple(jobs)
    waited_for = {name for job in known for name in job.after}
    return tuple(job.name for job in known if job.name not in waited_for)


def reduced(ordered: Iterable[Job]) -> tuple[Job, ...]:
    """The same order with the fewest words: what follows from another edge is left out, as a person would write it.

    Each job must stand behind those that it comes after.
    """
    before: dict[str, frozenset[str]] = {}
    shorter = []
    for job in ordered:
        implied = frozenset(one for name in job.after for one in before[name])
        before[job.name] = implied | set(job.after)
        shorter.append(replace(job, after=tuple(name for name in job.after if name not in implied)))
    return tuple(shorter)
