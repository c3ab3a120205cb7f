"""How do bytes from a pipe become lines of a log? Pure functions; the format is described in README.md.

A chunk is treated as a whole: what is done for each line is done by bytes.replace(), not by a loop.
"""

from __future__ import annotations

import os
import re
import time
from typing import Final, NamedTuple

LINE_MAX_BYTES: Final = 64 * 1024
CONTINUES: Final = b" [continues]"  # ends every piece but the last of a line longer than LINE_MAX_BYTES
STAMP_BYTES: Final = 27  # 2026-11-22T14:50:01.123456Z

OUT: Final = "out"  # standard output
ERR: Final = "err"  # standard error
OWN: Final = "linit"  # what linit says about the service
NO_BOOT: Final = 0  # of a line whose boot has no number yet


class Batch(NamedTuple):
    """Complete lines that were read at one moment. `pid`: of the service's main process then, 0 if nobody knows."""

    lines: bytes
    now_ns: int
    stream: str = OUT
    pid: int = 0


_OF_NO_BOOT: Final = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) 0 ", re.MULTILINE)

_second: tuple[int, bytes] = (-1, b"")  # gmtime(3) is asked once a second, not once a chunk


def split(tail: bytes, data: bytes, line_max_bytes: int = LINE_MAX_BYTES) -> tuple[bytes, bytes]:
    """The complete lines of `tail + data` with their newlines, and what is left: the beginning of the next line.

    What is left is never longer than `line_max_bytes`: a longer line is cut into pieces of that length, each
    but the last marked with CONTINUES.
    """
    if tail:
        data = tail + data
    if _has_overlong(data, line_max_bytes):
        data = _cut(data, line_max_bytes)
    end = data.rfind(b"\n") + 1
    return (data, b"") if end == len(data) else (data[:end], data[end:])


def _has_overlong(data: bytes, line_max_bytes: int) -> bool:
    """Looks at one newline in each `line_max_bytes`."""
    position = 0
    while len(data) - position > line_max_bytes:
        newline = data.rfind(b"\n", position, position + line_max_bytes + 1)
        if newline < 0:
            return True
        position = newline + 1
    return False


def _cut(data: bytes, line_max_bytes: int) -> bytes:
    """The same with every overlong line in pieces."""
    pieces: list[bytes] = []
    position = 0
    while len(data) - position > line_max_bytes:
        newline = data.rfind(b"\n", position, position + line_max_bytes + 1)
        if newline < 0:
            pieces += (data[position : position + line_max_bytes], CONTINUES, b"\n")
            position += line_max_bytes
        else:
            pieces.append(data[position : newline + 1])
            position = newline + 1
    pieces.append(data[position:])
    return b"".join(pieces)


def stamp(now_ns: int) -> bytes:
    """Nanoseconds since the epoch as `2026-11-22T14:50:01.123456Z`: RFC 3339, UTC, cut, not rounded."""
    global _second
    second, rest_ns = divmod(now_ns, 1_000_000_000)
    if second != _second[0]:
        _second = (second, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode())
    return b"%s%06dZ" % (_second[1], rest_ns // 1000)


def prefix(batch: Batch, boot: int) -> bytes:
    """What stands before the text of each line."""
    return b"%s %d %s %d " % (stamp(batch.now_ns), boot, batch.stream.encode(), batch.pid)


def prefixed(lines: bytes, start: bytes) -> bytes:
    """Complete lines, each with `start` before it. The last newline is only there once, so `start` is cut off again."""
    return b"".join((start, memoryview(lines.replace(b"\n", b"\n" + start))[: -len(start)]))


def own(text: str, now_ns: int) -> Batch:
    """What linit says. The log process is linit's child, but in tests."""
    lines = b"".join(line.encode(errors="replace") + b"\n" for line in text.splitlines() or [""])
    return Batch(lines, now_ns, OWN, os.getppid())


def with_boot(lines: bytes, boot: int) -> bytes:
    """Lines that were kept before their boot had a number, with this number."""
    return _OF_NO_BOOT.sub(rb"\1 %d " % boot, lines)


def dropped_text(count: int, why: str = "") -> str:
    """What is told about lines that were not kept."""
    return f"dropped {count} line{'' if count == 1 else 's'}{f': {why}' if why else ''}"
