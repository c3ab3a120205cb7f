"""What does linit give back to the kernel when its boot is over? What it does not use of what it was given.

Sources: malloc_trim(3), madvise(2), proc_pid_maps(5). Called through _ctypes alone: the package ctypes takes 0.3 MB.
"""

from __future__ import annotations

import _ctypes
import gc
from typing import Any

MADV_NOHUGEPAGE = 15
ANONYMOUS = ("", "[heap]")


class _Address(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "P"


class _Size(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "L"


def give_back() -> None:
    """Collects garbage, returns free memory, and keeps what remains in small pages.

    With transparent huge pages the kernel makes 2 MB of what had 4 kB in use, sooner or later everywhere: for a program
    of this size a quarter more. That is told of each mapping (madvise), not of the process (prctl): a service would
    inherit that. A failure costs memory and nothing else.
    """
    gc.collect()
    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    _called(library, "malloc_trim", _Size(0))
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    for line in lines:
        words = line.split(maxsplit=5)
        if words[1] == "rw-p" and "".join(words[5:]) in ANONYMOUS:
            first, last = (int(each, 16) for each in words[0].split("-"))
            _called(library, "madvise", _Address(first), _Size(last - first), MADV_NOHUGEPAGE)


def _called(library: int, name: str, *arguments: Any) -> None:
    _ctypes.call_function(_ctypes.dlsym(library, name), arguments)
