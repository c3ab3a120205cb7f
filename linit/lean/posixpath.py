"""What linit asks of `os.path`, without what else the library's module imports. Source: posixpath."""

from __future__ import annotations

import _stat
from posix import _path_normpath, lstat, stat  # type: ignore[attr-defined]


def exists(path: str) -> bool:
    """Is there something? What a symbolic link points to counts."""
    try:
        stat(path)
    except (OSError, ValueError):
        return False
    return True


def lexists(path: str) -> bool:
    """Is there something, if only a symbolic link to nothing?"""
    try:
        lstat(path)
    except (OSError, ValueError):
        return False
    return True


def isdir(path: str) -> bool:
    """Is there a folder?"""
    try:
        return _stat.S_ISDIR(stat(path).st_mode)
    except (OSError, ValueError):
        return False


def isfile(path: str) -> bool:
    """Is there a regular file?"""
    try:
        return _stat.S_ISREG(stat(path).st_mode)
    except (OSError, ValueError):
        return False


def ismount(path: str) -> bool:
    """Is a file system mounted there? Source: posixpath, for which a bind mount within one file system is none."""
    try:
        here, above = lstat(path), lstat(f"{path}/..")
    except (OSError, ValueError):
        return False
    return not _stat.S_ISLNK(here.st_mode) and (here.st_dev != above.st_dev or here.st_ino == above.st_ino)


def getsize(path: str) -> int:
    """In bytes. Raises OSError."""
    return stat(path).st_size


def split(path: str) -> tuple[str, str]:
    """What is before the last slash, and what behind it."""
    head, _, tail = path.rpartition("/")
    if len(head) == len(path) - len(tail):
        return head, tail
    head = path[: len(path) - len(tail)]
    return head.rstrip("/") or head, tail


def dirname(path: str) -> str:
    """The folder that holds it."""
    return split(path)[0]


def basename(path: str) -> str:
    """Its name in that folder."""
    return path.rpartition("/")[2]


def join(path: str, *more: str) -> str:
    """One below the other; what begins with a slash begins anew."""
    for each in more:
        if each.startswith("/"):
            path = each
        elif not path or path.endswith("/"):
            path += each
        else:
            path = f"{path}/{each}"
    return path


def normpath(path: str) -> str:
    """Without `.`, `..` and doubled slashes."""
    return _path_normpath(path) or "."
