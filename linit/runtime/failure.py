"""How is a failure put in words? One place, so that every text names errno the same way."""

from __future__ import annotations

import errno
import os


class StepFailed(Exception):
    """A step of a child's set-up cannot be done; the text names it."""


def errno_words(number: int) -> str:
    """`ENOENT (no such file or directory)`. Source: errno(3), strerror(3)."""
    text = os.strerror(number)
    # "No such file" reads badly in the middle of a sentence; "RPC: ..." and the like keep their capitals.
    if text[1:2].islower():
        text = text[0].lower() + text[1:]
    return f"{errno.errorcode.get(number, f'errno {number}')} ({text})"


def error_words(error: OSError) -> str:
    """`/etc/x: ENOENT (no such file or directory)`: with the path when the error knows it."""
    words = errno_words(error.errno) if error.errno else str(error)
    if error.filename is None:
        return words
    path = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return f"{path}: {words}"
