"""How did the boot go, and how does PID 1 do? Durations, memory, wake-ups."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from linit import VERSION
from linit.control.boot_record import BootRecord, Times
from linit.control.calls import Call

# Lines of /proc/self/smaps_rollup, proc_pid_smaps(5), in kB, and what they are called here.
MEMORY: Final = {"Rss": "rss_bytes", "Pss": "pss_bytes", "Private_Dirty": "private_dirty_bytes"}


def report(call: Call, params: dict[str, Any]) -> None:
    """The boot report."""
    record = call.server.record
    now_s = call.now_s
    began_s = record.began_s
    finished = record.finished
    call.answer(
        {
            "runlevel": finished.runlevel if finished else call.engine.runlevel,
            "is_finished": finished is not None,
            "total_s": (finished.at_s if finished else now_s) - began_s if began_s is not None else None,
            "failed": list(finished.failed) if finished else _failed(record),
            "services": [
                {"name": name, **_times(times, began_s or 0.0)} for name, times in sorted(record.times.items())
            ],
            "version": VERSION,
            "interpreter": sys.version.split()[0],
            "executable": sys.executable,
            "pid": os.getpid(),
            "modules": len(sys.modules),
            "memory": memory(),
            **call.server.supervisor.figures(),
        }
    )


def _failed(record: BootRecord) -> list[str]:
    return sorted(name for name, times in record.times.items() if times.outcome == "failed")


def _times(times: Times, began_s: float) -> dict[str, Any]:
    """`at_s`: from the beginning of the boot until it was up or had failed. `wait_s`: for what it depends on."""
    began = times.began_s if times.began_s is not None else times.ended_s
    return {
        "outcome": times.outcome,
        "wait_s": _between(times.wanted_s, began),
        "start_s": _between(times.began_s, times.ended_s),
        "at_s": times.ended_s - began_s if times.ended_s is not None else None,
    }


def _between(early: float | None, late: float | None) -> float | None:
    return late - early if early is not None and late is not None else None


def memory() -> dict[str, int]:
    """Bytes that this process occupies; {} when the kernel does not say."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        key, _, rest = line.partition(":")
        if key in MEMORY:
            found[MEMORY[key]] = int(rest.split()[0]) * 1024
    return found
