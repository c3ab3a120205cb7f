"""What is measured in one boot of one peer?"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.bench.disk import Disk
from panux.bench.guest import Guest
from panux.bench.job import LAST, JobSet
from panux.bench.peers.peer import Peer
from panux.faults import MachineError

SETTLE_S: Final = 3
"""The guest's seconds between everything up and the look at memory: logins and late children are there then."""
ASKED: Final = 5
"""How often a status command is run; what it takes is the median."""
LOGIN_NAMES: Final = frozenset({"getty", "login"})


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the guest shows it: memory resident, and with what is shared divided among those who share it."""

    pid: int
    parent: int
    rss_kib: int
    pss_kib: int
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """One boot. Times are the guest's seconds; up and said begin at the exec of the init.

    `said_s` is when the init had come to the last service, `up_s` when also every server answered. An `error` says why
    there is nothing more.
    """

    error: str = ""
    exec_s: float = 0.0
    said_s: float = 0.0
    up_s: float = 0.0
    pid1_rss_kib: int = 0
    pid1_pss_kib: int = 0
    others: tuple[tuple[str, int, int], ...] = ()
    """What else the init keeps running: name, how many, KiB of PSS together."""
    status_s: float | None = None
    shutdown_s: float | None = None
    is_clean: bool | None = None
    """Was the file system left clean? None where it was in memory."""
    notes: tuple[str, ...] = ()

    @property
    def others_pss_kib(self) -> int:
        """KiB of what else the init keeps running."""
        return sum(kib for _, _, kib in self.others)


def measure(peer: Peer, disk: Disk, jobs: JobSet, mode: str) -> Run:
    """Boots a peer, asks, switches it off. What does not work becomes the run's `error`, or one of its `notes`."""
    try:
        with Guest(disk.image, mode, jobs.writable_root) as guest:
            return measured(peer, guest, jobs, mode)
    except MachineError as error:
        return Run(error=str(error))


def measured(peer: Peer, guest: Guest, jobs: JobSet, mode: str) -> Run:
    """The run of a machine that was just switched on."""
    up_s = guest.wait_for("up")
    stamps = guest.stamps()
    exec_s = stamps["exec"][0]
    _, said = guest.ask(f"sleep {SETTLE_S}; exec sh /usr/lib/bench/memory")
    processes = parsed(said)
    _, missing = guest.ask("exec sh /usr/lib/bench/missing")
    notes = [f"not as it should be: {' '.join(missing.split())}"] if missing.strip() else []
    status_s = shutdown_s = is_clean = None
    if peer.status:
        status_s, note = status_time_s(peer, guest, jobs)
        notes += [note] if note else []
    try:
        shutdown_s = guest.shut_down(peer.poweroff)
    except MachineError as error:
        notes.append(f"shutdown: {error}")
    else:
        if mode == "wall":
            is_clean = was_left_clean(guest)
    first = next(process for process in processes if process.pid == 1)
    return Run(
        "", exec_s, stamps.get("said", [up_s])[0] - exec_s, up_s - exec_s, first.rss_kib, first.pss_kib,
        kept_running(processes, jobs), status_s, shutdown_s, is_clean, tuple(notes),
    )  # fmt: skip


def was_left_clean(guest: Guest) -> bool:
    """Is nothing to be repaired or replayed on the disk?"""
    try:
        guest.check_file_system()
    except MachineError:
        return False
    return True


def status_time_s(peer: Peer, guest: Guest, jobs: JobSet) -> tuple[float, str]:
    """How long one status command takes, and what to note of it."""
    job = "redis" if jobs.name == "real" else jobs.jobs[0].name
    command = peer.status.format(job=job)
    times = " ".join(map(str, range(ASKED)))
    asked = f'echo "<7>bench: asked" >/dev/kmsg; ({command}) >/dev/null 2>&1; echo "<7>bench: answered" >/dev/kmsg'
    status, said = guest.ask(f"for i in {times}; do {asked}; done; {command}")
    stamps = guest.stamps()
    taken = [end - begin for begin, end in zip(stamps["asked"], stamps["answered"], strict=True)]
    note = f"status command: status {status}: {said.strip()[:200]}" if status not in (0, 3) else ""
    return statistics.median(taken), note


def parsed(said: str) -> list[Process]:
    """The processes that files/memory told of, without itself and the agent above it."""
    lines = [line.split(maxsplit=4) for line in said.splitlines()]
    own = next(int(words[0]) for words in lines if words[1:] == ["self"])
    processes = [
        Process(int(pid), int(parent), int(rss), int(pss), name)
        for pid, parent, rss, pss, name in (words for words in lines if len(words) == 5)
    ]
    agent = next(process.parent for process in processes if process.pid == own)
    return [process for process in processes if process.pid not in (own, agent)]


def kept_running(processes: Iterable[Process], jobs: JobSet) -> tuple[tuple[str, int, int], ...]:
    """What is neither PID 1 nor a service's own, by name: how many, and their KiB of PSS.

    A service's own is what bears the name of its program, and what such a process has started.
    """
    programs = {Path(job.command[0]).name[:15] for job in jobs.jobs if job.daemon} | LOGIN_NAMES | {"udhcpc"}
    known = {process.pid: process for process in processes}

    def is_of_service(process: Process) -> bool:
        while process.pid != 1:
            if process.name.rstrip(":") in programs:
                return True
            if process.parent not in known:
                return False
            process = known[process.parent]
        return False

    found: dict[str, tuple[int, int]] = {}
    for process in known.values():
        if process.pid != 1 and not is_of_service(process):
            count, kib = found.get(process.name, (0, 0))
            found[process.name] = (count + 1, kib + process.pss_kib)
    return tuple((name, count, kib) for name, (count, kib) in sorted(found.items()))


def alone_s(disk: Disk, jobs: JobSet, mode: str) -> dict[str, float]:
    """How long each job takes when nothing else runs, by name, in seconds. The disk is that of any peer."""
    with Guest(disk.image, mode, jobs.writable_root) as guest:
        guest.wait_for("up")
        guest.ask("sleep 1; exec sh /usr/lib/bench/alone", limit_s=300.0)
        stamps = guest.stamps()
    return {
        job.name: stamps[f"end_{job.name}"][0] - stamps[f"begin_{job.name}"][0] for job in jobs.jobs if job.name != LAST
    } | {LAST: 0.0}
