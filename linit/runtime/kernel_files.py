"""How is a file of the kernel's, in /proc or of a cgroup, read and written? Without the layers of a Python file, which
take longer than the kernel; written in one write(2)."""

from __future__ import annotations

import os
from typing import Final

IN_MEMORY: Final = ("/dev/", "/proc/", "/run/", "/sys/")
CHUNK_BYTES: Final = 16 * 1024


def is_in_memory(path: str) -> bool:
    """Is a path in one of the kernel's own file systems, for which nobody waits?"""
    return os.path.normpath(path).startswith(IN_MEMORY)


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
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    found = b""
    try:
        while chunk := os.read(fd, CHUNK_BYTES):
            found += chunk
    except OSError:
        return ""
    finally:
        os.close(fd)
    return found.decode("utf-8", "surrogateescape")


def numbers(path: str) -> dict[str, int]:
    """The lines of a file such as `cpu.stat`: a word and a number."""
    pairs = (line.split() for line in read(path).splitlines())
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def number(path: str) -> int | None:
    """The one number in a file; None if there is none, also for the word `max`."""
    text = read(path).strip()
    return int(text) if text.isdigit() else None
