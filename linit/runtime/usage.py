"""What does a service use? Read from its cgroup when somebody asks, never before.

What its cgroup does not count, for lack of a controller or of a cgroup, is added up from its processes as far as they
can still be found; `lost` says so. Source: the kernel's admin-guide/cgroup-v2; proc_pid_stat(5), proc_pid_io(5).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from linit.model.service import Limits, Service
from linit.runtime import kernel_files
from linit.runtime.members import Members

NO_CGROUP: Final = "no cgroup: added up from {processes}; what has ended or cannot be found is not in it"
NO_CONTROLLER: Final = "its cgroup has no {controllers}: added up from {processes}; what has ended is not in it"


@dataclass(frozen=True, slots=True)
class Usage:
    """Figures of a service; None for what is not known. `tasks` are processes and threads. `lost`: what they lack."""

    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_max_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    tasks: int | None = None
    tasks_peak: int | None = None
    tasks_max: int | None = None
    lost: str = ""


def record(members: Members, service: Service) -> dict[str, Any]:
    """The figures of a service by the names of `Usage`, and `unenforced`: why its limits are not in force, "" if they
    are; {} if nothing of it runs."""
    pids = members.pids(service.name)
    if not pids:
        return {}
    folder = members.cgroup(service.name)
    has_limits = service.execution.limits != Limits()
    return {**asdict(usage(folder, pids)), "unenforced": "no cgroup v2" if has_limits and not folder else ""}


def usage(folder: str, pids: Collection[int]) -> Usage:
    """Of the cgroup `folder` ("" for none), whose known processes are `pids`."""
    added = of_processes(pids)
    processes = f"{len(pids)} process{'' if len(pids) == 1 else 'es'}"
    if not folder:
        return replace(added, lost=NO_CGROUP.format(processes=processes))
    counted = of_cgroup(folder)
    fallbacks = {
        "memory": ("memory_bytes",),
        "io": ("read_bytes", "written_bytes"),
        "pids": ("tasks",),
    }
    lacking = [each for each, names in fallbacks.items() if getattr(counted, names[0]) is None]
    if not lacking:
        return counted
    filled = {name: getattr(added, name) for each in lacking for name in fallbacks[each]}
    text = NO_CONTROLLER.format(controllers=_listed(lacking), processes=processes)
    return replace(counted, **filled, lost=text)


def _listed(names: list[str]) -> str:
    word = "controller" if len(names) == 1 else "controllers"
    return f"{word} {', '.join(names[:-1])}{' and ' if names[1:] else ''}{names[-1]}"


def of_cgroup(folder: str) -> Usage:
    """What the kernel has counted, for the cgroup and those below it, since it was made."""
    cpu_us = kernel_files.numbers(f"{folder}/cpu.stat").get("usage_usec")
    read_bytes, written_bytes = _io(kernel_files.read(f"{folder}/io.stat"))
    has_io = os.path.exists(f"{folder}/io.stat")
    return Usage(
        cpu_s=None if cpu_us is None else cpu_us / 1_000_000,
        memory_bytes=kernel_files.number(f"{folder}/memory.current"),
        memory_peak_bytes=kernel_files.number(f"{folder}/memory.peak"),
        memory_max_bytes=kernel_files.number(f"{folder}/memory.max"),
        read_bytes=read_bytes if has_io else None,
        written_bytes=written_bytes if has_io else None,
        tasks=kernel_files.number(f"{folder}/pids.current"),
        tasks_peak=kernel_files.number(f"{folder}/pids.peak"),
        tasks_max=kernel_files.number(f"{folder}/pids.max"),
    )


def _io(text: str) -> tuple[int, int]:
    """Bytes read and written on all devices: lines such as `8:0 rbytes=1 wbytes=2 rios=3 …`."""
    pairs = [word.split("=") for word in text.split() if "bytes=" in word]
    return (
        sum(int(value) for name, value in pairs if name == "rbytes"),
        sum(int(value) for name, value in pairs if name == "wbytes"),
    )


def of_processes(pids: Collection[int]) -> Usage:
    """The sum over processes that are there now. Time of children that they have waited for is in it."""
    ticks = pages = tasks = read_bytes = written_bytes = 0
    for pid in pids:
        text = kernel_files.read(f"/proc/{pid}/stat")
        if not text:
            continue
        fields = text[text.rindex(")") + 2 :].split()  # from the third on, `state`
        ticks += sum(int(each) for each in fields[11:15])
        tasks += int(fields[17])
        pages += int(fields[21])
        io = kernel_files.numbers(f"/proc/{pid}/io")
        read_bytes += io.get("read_bytes", 0)
        written_bytes += io.get("write_bytes", 0)
    return Usage(
        cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        read_bytes=read_bytes,
        written_bytes=written_bytes,
        tasks=tasks,
    )
