"""Where are things: the repository, the download cache, the images of this clone.

Downloads are shared by all clones of a user (they are named by their SHA-256, so they cannot be confused); images
and disks belong to one clone, below `.cache/panux` at its top, so that removing a clone removes its disks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
VM_TESTS: Final = REPOSITORY / "vm-tests"

DOWNLOADS_VARIABLE: Final = "PANUX_CACHE"
"""Environment variable that moves the download cache; without it `${XDG_CACHE_HOME:-~/.cache}/panux` is used."""

WORK_VARIABLE: Final = "PANUX_WORK"
"""Environment variable that moves the images and disks; without it `.cache/panux` at the top of the clone."""


def downloads() -> Path:
    """The directory of the download cache (packages by SHA-256, apt's signed indexes). Not created here."""
    if named := os.environ.get(DOWNLOADS_VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "panux"


def work() -> Path:
    """The directory of this clone's images, disks and stages. Not created here."""
    named = os.environ.get(WORK_VARIABLE)
    return Path(named) if named else REPOSITORY / ".cache" / "panux"
