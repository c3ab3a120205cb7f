"""How do the lines of the early boot come from /run to the disk, once each, whenever we may be killed?

Piece by piece: how long the target is, is written down first; who finds that note and the piece cuts the target back
and begins the piece anew; who finds the note without the piece knows that it was brought. Source: rename(2).
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from linit.logs import lines as text
from linit.logs.files import live_files, old_files

NOTE: Final = "bringing"


def bring(early: str, run: str, folder: str, boot: int, mode: int) -> None:
    """Append the files of `early` to those of `folder`, with the number of the boot, and remove them.

    Raises OSError; what was not brought is still in `early`.
    """
    _finish(run)
    for path, base in _pieces(early):
        _bring(path, os.path.join(folder, base), run, boot, mode)


def _pieces(early: str) -> list[tuple[str, str]]:
    """Each file and the name of its log; old files before the live ones."""
    try:
        old = [(each.path, each.base) for each in old_files(early)]
        return [*old, *((path, os.path.basename(path)) for path in live_files(early))]
    except FileNotFoundError:
        return []


def _bring(piece: str, target: str, run: str, boot: int, mode: int) -> None:
    with open(piece, "rb") as file:
        data = text.with_boot(file.read(), boot)
    fd = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        size = os.fstat(fd).st_size
        _write_note(run, f"{size}\n{piece}\n{target}\n")
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
    os.unlink(piece)
    _remove_note(run)


def _finish(run: str) -> None:
    """Take back what a killed log process may have brought in part."""
    try:
        with open(os.path.join(run, NOTE), encoding="utf-8", errors="surrogateescape") as file:
            size, piece, target, *_ = file.read().split("\n")
    except (FileNotFoundError, ValueError):
        return
    if os.path.exists(piece) and os.path.exists(target) and os.path.getsize(target) > int(size):
        os.truncate(target, int(size))
    _remove_note(run)


def _write_note(run: str, words: str) -> None:
    path = os.path.join(run, NOTE)
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(words)
    os.rename(f"{path}.new", path)


def _remove_note(run: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(run, NOTE))
