"""How does a program behind linitctl end? With a status and one line about what went wrong; never part of PID 1."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Final

FAILED: Final = 1


def run(options: argparse.Namespace, statuses: Mapping[type[Exception], int]) -> int:
    """Call `options.run(options)`, which gives the exit status; an exception of `statuses` is told and has that one.

    Whoever read the output (head, less) may be gone before its end: that is no fault to be told.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be UTF-8
    try:
        status = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except tuple(statuses) as error:
        return complain(_words(error), next(status for kind, status in statuses.items() if isinstance(error, kind)))
    return status


def _words(error: Exception) -> str:
    """`/x/y: No such file or directory`."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def complain(what: str, status: int) -> int:
    """Tell what is wrong; `status`."""
    print(f"linitctl: {what}", file=sys.stderr)
    return status
