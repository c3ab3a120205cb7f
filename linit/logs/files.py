"""Which files belong to a log? `SERVICE.log`, which is written to, and old ones: `SERVICE.log.000012[.gz]`, higher
numbers are younger. linitctl.logs reads the same names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

PACKED: Final = ".gz"
_NAME: Final = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,199}")
_OLD: Final = re.compile(r"(.+\.log)\.(\d{6,})(\.gz)?")


def file_name(service: str) -> str:
    """The log's file name for a service. A name that no definition can have is made harmless, not trusted."""
    if not _NAME.fullmatch(service):
        service = re.sub(r"[^A-Za-z0-9_@-]", "_", service)[:200] or "_"
    return f"{service}.log"


@dataclass(frozen=True, slots=True)
class Old:
    """A file that is no longer written to. `ended_s`: when it was, for the last time."""

    base: str
    number: int
    path: str
    size_bytes: int
    ended_s: float

    @property
    def is_packed(self) -> bool:
        return self.path.endswith(PACKED)


def old_files(folder: str) -> list[Old]:
    """All old files of a folder, by name and number. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if match := _OLD.fullmatch(entry.name):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found.append(Old(match[1], int(match[2]), entry.path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda old: (old.base, old.number, old.path))


def next_old_path(folder: str, base: str) -> str:
    """What SERVICE.log becomes when it is rotated. Raises OSError."""
    number = 0
    for name in os.listdir(folder):
        if name.startswith(base) and (match := _OLD.fullmatch(name)) and match[1] == base:
            number = max(number, int(match[2]))
    return os.path.join(folder, f"{base}.{number + 1:06}")


def live_files(folder: str) -> list[str]:
    """The paths of the files that are written to. Raises OSError."""
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".log"))
