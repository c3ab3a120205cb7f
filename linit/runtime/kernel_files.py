"""How is a file of the kernel's, in /proc or of a cgroup, read and written? In one read(2) or write(2)."""

from __future__ import annotations

import os


def write(path: str, text: str) -> None:
    """Write to a file that exists. Raises OSError with the path."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)


def read(path: str) -> str:
    """What is in a file; "" if it cannot be read: it is not there, its process has gone, it is somebody else's."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def numbers(path: str) -> dict[str, int]:
    """The lines of a file such as `cpu.stat`: a word and a number."""
    pairs = (line.split() for line in read(path).splitlines())
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def number(path: str) -> int | None:
    """The one number in a file; None if there is none, also for the word `max`."""
    text = read(path).strip()
    return int(text) if text.isdigit() else None
