"""Is the plan still true of the files that it was made from?

Costs one stat a source. A hash is computed only where size or time moved: a file that was touched, or restored from a
backup, makes no plan stale. A new file shows in its folder's entries. Runs in PID 1: nothing is imported for a tree
that did not change, and nothing is opened that could block.

A time can be set, as by whoever gives all files of an image the same one: what was changed later than the plan was
written (st_ctime, which nobody sets: inode(7)) is compared by its hash, too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from linit.model.service import KERNEL_SIZE, Source

ABSENT_SIZE: Final = -1  # of a source that was not there, or could not be read, when the plan was made
CHUNK_BYTES: Final = 1 << 16
KERNEL_TEXT_MAX: Final = 1 << 16  # letters of a file of the kernel that are looked at

NOTHING: Final = -1  # as `trusted_ns`: sizes and times say nothing
EVERYTHING: Final = 1 << 63
RACY_NS: Final = 20_000_000  # what is written one after the other in so long may have one time
COPIED_NS: Final = 3_600_000_000_000  # a machine's files may have been copied here in any order, in so long

Row = tuple[str, int, int, str]  # path, size, mtime_ns, sha256: the fields of a Source


@dataclass(frozen=True, slots=True)
class Freshness:
    """`stale`: the paths of sources that say something else now. `moved`: those that only have another size or time,
    as they are now."""

    stale: tuple[str, ...] = ()
    moved: tuple[Source, ...] = ()


def stale(sources: Iterable[Source], root: str = "") -> tuple[str, ...]:
    """The paths of the sources that changed. Empty: the plan is fresh."""
    return examine(sources, root).stale


def examine(sources: Iterable[Source], root: str = "") -> Freshness:
    """Compare each source with what is there now. `root` is the folder in which the machine's root lies."""
    return examine_rows(((each.path, each.size, each.mtime_ns, each.sha256) for each in sources), root)


def examine_rows(rows: Iterable[Row], root: str = "", trusted_ns: int = EVERYTHING) -> Freshness:
    """The same for sources as a stored plan has them: nothing is made of one that is as it was. Size and time decide of
    what was last changed before `trusted_ns` (st_ctime_ns) only; `moved` has the others, too, but with NOTHING."""
    changed: list[str] = []
    moved: list[Source] = []
    for path, size, mtime_ns, sha256 in rows:
        if size == KERNEL_SIZE:
            beginnings, _, words = sha256.partition("\n")
            if kernel_words(root + path, beginnings) != words:
                changed.append(path)
            continue
        try:
            status = os.stat(root + path)
        except OSError:
            if size != ABSENT_SIZE:
                changed.append(path)
            continue
        is_same = status.st_mtime_ns == mtime_ns and status.st_size == size
        if is_same and status.st_ctime_ns <= trusted_ns:
            continue
        if is_same and not sha256 and trusted_ns != NOTHING:
            continue  # it could not be read then, and is as it was
        if not sha256 or digest(root + path, status) != sha256:
            changed.append(path)
        elif not is_same or trusted_ns != NOTHING:
            moved.append(Source(path, status.st_size, status.st_mtime_ns, sha256))
    return Freshness(tuple(changed), tuple(moved))


def kernel_words(path: str, beginnings: str = "") -> str:
    """What a file of /proc or /sys says: its words with one blank between them; of a folder the names in it; "" when
    it cannot be read. With `beginnings` (words, too) only words that begin with one of them: what else stands on
    the kernel command line is of no interest to who asks for `console=`."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found = file.read(KERNEL_TEXT_MAX).split()
    except IsADirectoryError:
        found = sorted(os.listdir(path))
    except OSError:
        return ""
    wanted = tuple(beginnings.split())
    return " ".join(word for word in found if not wanted or word.startswith(wanted))


def digest(path: str, status: os.stat_result) -> str:
    """SHA-256 of a file's bytes or a folder's entries; "" when it cannot be read; a device counts as empty."""
    from hashlib import sha256

    hasher = sha256()
    try:
        if stat.S_ISDIR(status.st_mode):
            return entries_digest(name for name in os.listdir(path) if not name.startswith("."))
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    hasher.update(chunk)
    except OSError:
        return ""
    return hasher.hexdigest()


def entries_digest(names: Iterable[str]) -> str:
    """SHA-256 of the names of a folder's entries, in sorted order."""
    from hashlib import sha256

    return sha256("\0".join(sorted(names)).encode("utf-8", "surrogateescape")).hexdigest()
