"""The ext4 file system of the image, made without loop devices and without being root.

mke2fs(8) copies a tree into a new file system. Owners and permissions come from the table of panux.image.owners: they
are applied to the tree by a process that is root, or that fakeroot(1) makes believe so, in which mke2fs then runs.
Equal trees give equal images: identifiers are fixed, and all times of files are one time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from panux.faults import BuildError
from panux.image.owners import Owners, load_owners

SIZE_BYTES: Final = 512 * 1024 * 1024
UUID: Final = "b5a1c3f2-6c1e-4f0a-9d5e-70616e757801"
FILE_TIME_S: Final = 1_767_225_600
"""The modification time of every file of the image, in seconds since 1970: 2026-01-01. A whole number of seconds, since
mke2fs drops the fraction, and the plan records the times of definitions."""


def make_file_system(tree: Path, owners: Owners, target: Path) -> None:
    """Writes a raw, sparse image of `tree` to `target`. Raises BuildError with what mke2fs said."""
    table = target.with_suffix(".owners")
    owners.save(table)
    command = [sys.executable, "-m", "panux.image.filesystem", str(tree), str(table), str(target)]
    if os.geteuid() != 0:
        if not shutil.which("fakeroot"):
            raise BuildError("fakeroot is not installed: needed to make the file system as an ordinary user")
        command = ["fakeroot", "--", *command]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "E2FSPROGS_FAKE_TIME": str(FILE_TIME_S),
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    table.unlink()
    if ended.returncode:
        raise BuildError(f"the file system cannot be made: {ended.stderr.strip()}")


def set_times(tree: Path) -> None:
    """Gives every file of `tree` the image's one time."""
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (FILE_TIME_S, FILE_TIME_S), follow_symlinks=False)


def apply_owners(tree: Path, owners: Owners) -> None:
    """Gives every file its owner and permissions; in a tree of root's, or under fakeroot."""
    for path in [tree, *tree.rglob("*")]:
        uid, gid, mode = owners.entries.get(str(path.relative_to(tree)), (0, 0, -1))
        os.chown(path, uid, gid, follow_symlinks=False)
        if mode >= 0 and not path.is_symlink():
            path.chmod(mode)  # after chown, which clears set-id bits


def run_mke2fs(tree: Path, target: Path) -> None:
    """Runs mke2fs; only as root or under fakeroot are the owners right."""
    target.unlink(missing_ok=True)
    with target.open("wb") as created:
        created.truncate(SIZE_BYTES)
    command = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-L", "panux", "-U", UUID,
        "-E", f"hash_seed={UUID},root_owner=0:0,lazy_itable_init=1", "-d", str(tree), str(target),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"mke2fs: {ended.stderr.strip()}")


if __name__ == "__main__":
    tree_argument, table_argument, target_argument = map(Path, sys.argv[1:])
    apply_owners(tree_argument, load_owners(table_argument))
    set_times(tree_argument)
    run_mke2fs(tree_argument, target_argument)
