"""How do bytes from a pipe become lines of a log? Pure functions; the format is described in README.md."""

from __future__ import annotations

import time
from typing import Final

LINE_MAX_BYTES: Final = 64 * 1024
CONTINUES: Final = b" [continues]"  # ends every piece but the last of a line longer than LINE_MAX_BYTES
OWN: Final = b"linit: "  # begins a line that linit wrote about the service

_second: tuple[int, bytes] = (-1, b"")  # gmtime(3) is asked once a second, not once a line


def split(tail: bytes, data: bytes, line_max_bytes: int = LINE_MAX_BYTES) -> tuple[list[bytes], bytes]:
    """The complete lines of `tail + data` without their newline, and what is left: the beginning of the next line.

    What is left is never longer than `line_max_bytes`: a longer line is cut into pieces of that length, each
    but the last marked with CONTINUES.
    """
    *complete, rest = (tail + data).split(b"\n")
    lines: list[bytes] = []
    for line in complete:
        pieces, last = _cut(line, line_max_bytes)
        lines += [*pieces, last]
    pieces, rest = _cut(rest, line_max_bytes)
    return lines + pieces, rest


def _cut(line: bytes, line_max_bytes: int) -> tuple[list[bytes], bytes]:
    """The marked pieces of an overlong line and its last piece, which may be the whole line."""
    pieces: list[bytes] = []
    while len(line) > line_max_bytes:
        pieces.append(line[:line_max_bytes] + CONTINUES)
        line = line[line_max_bytes:]
    return pieces, line


def stamp(now_ns: int) -> bytes:
    """Nanoseconds since the epoch as `2026-11-22T14:50:01.123456Z`: RFC 3339, UTC, cut, not rounded."""
    global _second
    second, rest_ns = divmod(now_ns, 1_000_000_000)
    if second != _second[0]:
        _second = (second, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode())
    return b"%s%06dZ" % (_second[1], rest_ns // 1000)


def format_lines(lines: list[bytes], now_ns: int) -> bytes:
    """The bytes that go into the file for lines that were read at one moment."""
    start = stamp(now_ns) + b" "
    return b"".join(start + line + b"\n" for line in lines)


def own_lines(text: str) -> list[bytes]:
    """linit's own lines about a service: each line of the text is marked, so that none passes as the service's."""
    return [OWN + line.encode(errors="replace") for line in text.splitlines() or [""]]


def dropped_text(count: int) -> str:
    """What is told about lines that could not be written."""
    return f"dropped {count} line{'' if count == 1 else 's'}"
