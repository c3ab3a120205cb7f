"""How does a cgroup come to have the limits of its service? Written by the child that has just entered it.

A controller is enabled in the cgroups above where a limit asks for it, and not before. Source: the kernel's
admin-guide/cgroup-v2 (Controllers, cgroup.subtree_control, and the interface files of each).
"""

from __future__ import annotations

import errno
import os
from typing import Final

from linit.model.service import Limits
from linit.runtime import kernel_files
from linit.runtime.failure import StepFailed, error_words

BFQ_WEIGHT_MAX: Final = 1000


def apply(folder: str, limits: Limits) -> None:
    """Write what is set of the limits of the cgroup `folder`. Raises StepFailed, naming key, file and errno."""
    for key, file, text in _settings(limits):
        try:
            _set(folder, file, text)
        except OSError as error:
            raise StepFailed(f"limits: {key}: {error_words(error)}{_hint(folder, file, error)}") from error


def _settings(limits: Limits) -> list[tuple[str, str, str]]:
    """(key, file, text) of each limit that is set."""
    period = limits.cpu_max_us
    found: list[tuple[str, str, int | str | None]] = [
        ("memory_max", "memory.max", limits.memory_max_bytes),
        ("memory_high", "memory.high", limits.memory_high_bytes),
        ("cpu_weight", "cpu.weight", limits.cpu_weight),
        ("cpu_max", "cpu.max", f"{period[0]} {period[1]}" if period else None),
        ("pids_max", "pids.max", limits.pids_max),
        ("io_weight", "io.weight", limits.io_weight),
    ]
    return [(key, file, str(value)) for key, file, value in found if value is not None]


def _set(folder: str, file: str, text: str) -> None:
    if not os.path.exists(f"{folder}/{file}"):
        above = os.path.dirname(folder)
        for path in (os.path.dirname(above), above):
            kernel_files.write(f"{path}/cgroup.subtree_control", f"+{file.partition('.')[0]}")
    if file == "io.weight" and not os.path.exists(f"{folder}/{file}") and os.path.exists(f"{folder}/io.bfq.weight"):
        file, text = "io.bfq.weight", str(_bfq_weight(int(text)))
    kernel_files.write(f"{folder}/{file}", text)


def _bfq_weight(weight: int) -> int:
    """What the scheduler BFQ, whose weights go to 1000, knows as that weight; 100 is everybody's in both."""
    return weight if weight <= 100 else 100 + (weight - 100) * (BFQ_WEIGHT_MAX - 100) // (10_000 - 100)


def _hint(folder: str, file: str, error: OSError) -> str:
    if error.errno != errno.ENOENT:
        return ""
    controller = file.partition(".")[0]
    path = f"{os.path.dirname(os.path.dirname(folder))}/cgroup.controllers"
    offered = kernel_files.read(path).split()
    if controller in offered or not os.path.exists(path):
        return ""
    return f"; there is no controller {controller} (cgroup.controllers: {' '.join(offered) or 'none'})"
