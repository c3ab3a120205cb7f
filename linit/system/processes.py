"""Which processes are there, and which hold a file system? From /proc: proc_pid_stat(5), proc_pid_fd(5)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PF_KTHREAD: Final = 0x0020_0000  # include/linux/sched.h: a thread of the kernel, which nobody can end


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a program."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def parse_stat(text: str) -> Process | None:
    """What /proc/PID/stat says. None for a thread of the kernel and for what has ended and is only not yet reaped."""
    start, _, rest = text.rpartition(")")
    pid, _, name = start.partition(" (")
    fields = rest.split()
    if len(fields) < 7 or fields[0] in "ZX" or int(fields[6]) & PF_KTHREAD:
        return None
    return Process(int(pid), name)


def others() -> list[Process]:
    """Every process but this one and the kernel's threads, by pid. Nothing when /proc is not there."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            process = parse_stat(file.read())
            if process is not None and process.pid != os.getpid():
                found.append(process)
    return found


def holders(target: str) -> list[str]:
    """Who keeps the file system at `target` busy, and with what: `vi (pid 412): cwd`. This process is among them."""
    found = []
    for pid in _pids():
        kept = sorted({what for what, path in _paths_of(pid) if path == target or path.startswith(f"{target}/")})
        if kept:
            found.append(f"{_name_of(pid)} (pid {pid}): {', '.join(kept)}")
    return found


def _pids() -> list[int]:
    try:
        return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    except OSError:
        return []


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return "?"


def _paths_of(pid: int) -> Iterator[tuple[str, str]]:
    """What the process has open or stands in. readlink(2) in /proc asks no file system, so none can hang it."""
    folder = f"/proc/{pid}/fd"
    numbers: list[str] = []
    with contextlib.suppress(OSError):
        numbers = os.listdir(folder)
    links = [("cwd", f"/proc/{pid}/cwd"), ("root", f"/proc/{pid}/root"), ("exe", f"/proc/{pid}/exe")]
    links += [("an open file", f"{folder}/{number}") for number in numbers]
    for what, link in links:
        with contextlib.suppress(OSError):
            yield what, os.readlink(link)
