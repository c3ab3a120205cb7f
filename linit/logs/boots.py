"""Which boot is this? The boots that the logs know are numbered in the file `boots` of their folder."""

from __future__ import annotations

import os
import time
from typing import Final

NAME: Final = "boots"
MODE: Final = 0o640
KEPT: Final = 1000
READ_BYTES: Final = 1 << 20


def number_of(folder: str, key: str) -> int:
    """The number of the boot that `key` names: that of the last line, or a new one. A line is `NUMBER KEY TIME`, with
    the time in seconds since the epoch at which the logs of the boot began. Raises OSError."""
    path = os.path.join(folder, NAME)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        text = os.read(fd, READ_BYTES).decode("ascii", "replace")
        rows = [words for line in text.splitlines() if len(words := line.split()) == 3 and words[0].isdecimal()]
        if rows and rows[-1][1] == key:
            return int(rows[-1][0])
        number = int(rows[-1][0]) + 1 if rows else 1
        row = f"{number} {key} {time.time():.6f}\n"
        # A line that a power failure cut off is no row; the new one must not join it.
        _append(fd, row if text.endswith("\n") or not text else f"\n{row}")
        if len(rows) > 2 * KEPT:
            _shorten(path, [*rows[-KEPT:], row.split()])
        return number
    finally:
        os.close(fd)


def _append(fd: int, row: str) -> None:
    end = os.lseek(fd, 0, os.SEEK_END)
    data = row.encode()
    if os.write(fd, data) != len(data):
        os.ftruncate(fd, end)
        raise OSError(28, "no space left on device")


def _shorten(path: str, rows: list[list[str]]) -> None:
    new = f"{path}.new"
    with open(new, "w", encoding="ascii") as file:
        file.write("".join(f"{' '.join(words)}\n" for words in rows))
    os.chmod(new, MODE)
    os.replace(new, path)
