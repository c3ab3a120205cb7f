"""Where are downloaded files kept, and are they still what they were?

A content-addressed store: a file is named by the SHA-256 of its content, so a name that came from a signed index is
all that is needed to know whether a file is genuine, whoever put it there.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from panux.faults import VerificationError


@dataclass(frozen=True, slots=True)
class Store:
    """Files below `root`, at `sha256/AB/ABCDEF...`."""

    root: Path

    def path(self, sha256: str) -> Path:
        """Where the content with this hash is or would be."""
        return self.root / "sha256" / sha256[:2] / sha256

    def holds(self, sha256: str) -> bool:
        """Is there a file for this hash? Its content is looked at only by `verified`."""
        return self.path(sha256).is_file()

    def take_in(self, file: Path, sha256: str, name: str) -> Path:
        """Moves `file` in if its content has this hash; raises VerificationError, naming `name`, if it has not."""
        check(file, sha256, name)
        kept = self.path(sha256)
        kept.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, kept)
        return kept

    def verified(self, sha256: str, name: str) -> Path:
        """The kept file, its content hashed again just now. Raises VerificationError, naming `name` and the file."""
        kept = self.path(sha256)
        check(kept, sha256, name)
        return kept


def check(file: Path, sha256: str, name: str) -> None:
    """Raises VerificationError unless the content of `file` has this SHA-256."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256:
        raise VerificationError(
            f"{name}: not what the signed index says; the build stops here\n"
            f"  file      {file}\n  SHA-256   {found}\n  expected  {sha256}\n"
            f"  remove the file to have it fetched again"
        )
