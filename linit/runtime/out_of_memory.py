"""Did the kernel kill processes of a service for lack of memory? The counters of its cgroup tell.

Source: the kernel's admin-guide/cgroup-v2, memory.events: `oom` counts how often the cgroup's own limit was the reason,
`oom_kill` every process killed in it, also where the whole machine had no memory left.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from linit.model.reason import exit_words
from linit.model.service import Limits
from linit.runtime import kernel_files

UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


@dataclass(frozen=True, slots=True)
class Kills:
    """The counters at one moment; zeros where there are none."""

    at_limit: int = 0
    kills: int = 0


def counted(folder: str) -> Kills:
    """The counters of the cgroup `folder`, "" for none."""
    found = kernel_files.numbers(f"{folder}/memory.events") if folder else {}
    return Kills(found.get("oom", 0), found.get("oom_kill", 0))


def exit_note(status: int, before: Kills, now: Kills, limits: Limits) -> str:
    """What is to be said of an exit instead of the plain words for `status`; "" if they are all."""
    count = now.kills - before.kills
    if count <= 0:
        return ""
    why = "out of memory"
    if now.at_limit > before.at_limit and limits.memory_max_bytes is not None:
        why += f" (memory_max {size_words(limits.memory_max_bytes)})"
    elif now.at_limit == before.at_limit:
        why += " (of the whole machine)"
    if status & 0x7F == signal.SIGKILL:
        return f"killed by the kernel: {why}"
    return f"{exit_words(status)}; since its start the kernel has killed {count} of its processes: {why}"


def size_words(size_bytes: int) -> str:
    """As a definition would have it: 64M."""
    for unit, letter in UNITS:
        if size_bytes % unit == 0:
            return f"{size_bytes // unit}{letter}"
    return str(size_bytes)
