"""Whose is each file of the image, and what are its permissions?

A table beside the tree, since the builder may be an ordinary user whose files cannot belong to anybody else. What is
not in the table belongs to root and has the permissions that it has in the tree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Owners:
    """Entries by path below the root, without a leading slash: user id, group id, permission bits."""

    entries: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def note(self, path: str, uid: int, gid: int, mode: int) -> None:
        """Notes what differs from root's ownership and from permissions that any builder can set on his files."""
        if (uid, gid) != (0, 0) or mode & 0o7000:
            self.entries[path] = (uid, gid, mode & 0o7777)

    def save(self, file: Path) -> None:
        """Writes the table, in order of paths."""
        file.write_text(json.dumps(dict(sorted(self.entries.items()))))


def load_owners(file: Path) -> Owners:
    """The table that `save` wrote."""
    return Owners({path: (uid, gid, mode) for path, (uid, gid, mode) in json.loads(file.read_text()).items()})
