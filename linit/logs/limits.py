"""How much is kept, and how much may come? A value; the numbers of a machine are in LIMITS_FILE."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import Final

FILE: Final = "LINIT_LOG_LIMITS"  # names the file, in the environment
_UNITS: Final = {
    "": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "s": 1, "min": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_VALUE: Final = re.compile(r"(\d+)\s*([KMGsdh]|min|)")
SHARE_OF_DISK: Final = 10  # the total is at most a tenth of the file system


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and ages. 0 is no limit."""

    rotate_bytes: int = 10 << 20  # a file that would grow larger becomes an old one
    rotate_age_s: int = 7 * 86400  # or whose first line is older
    keep_age_s: int = 90 * 86400  # old files whose last line is older go
    total_bytes: int = 512 << 20  # of all files of all services; the old files of who has most go first
    flood_bytes: int = 64 << 20  # of one service in `flood_window_s`; what is more is dropped and counted
    flood_window_s: int = 10
    pack_level: int = 6  # of the compression of old files, 1 to 9; 0: they stay as they are


# Below /run, while there is no other place: memory is dear.
EARLY: Final = Limits(rotate_bytes=512 << 10, rotate_age_s=0, keep_age_s=0, total_bytes=16 << 20)


def read(path: str) -> tuple[Limits, list[str]]:
    """The limits in a file of lines `KEY VALUE` (`total 1G`, `keep_age 30d`; `#` begins a comment), and what is wrong
    with it. No file: the defaults."""
    known = {name.rpartition("_")[0]: name for name in Limits.__slots__}
    limits = Limits()
    faults: list[str] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = file.read().splitlines()
    except FileNotFoundError:
        return limits, faults
    except OSError as failure:
        return limits, [f"{path}: {failure.strerror}"]
    for number, row in enumerate(rows, 1):
        key, _, value = row.partition("#")[0].strip().partition(" ")
        match = _VALUE.fullmatch(value.strip())
        if key and key not in known:
            faults.append(f"{path}:{number}: found {key!r}, expected one of {', '.join(known)}")
        elif key and match is None:
            expected = "a number, and K, M, G or s, min, h, d"
            faults.append(f"{path}:{number}: {key}: found {value.strip()!r}, expected {expected}")
        elif match is not None:
            limits = replace(limits, **{known[key]: int(match[1]) * _UNITS[match[2]]})
    return limits, faults


def total_bytes(limits: Limits, folder: str) -> int:
    """The budget of a folder: no more than a share of its file system. 0: none."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return limits.total_bytes
    share = disk.f_blocks * disk.f_frsize // SHARE_OF_DISK
    return min(limits.total_bytes, share) if limits.total_bytes else 0
