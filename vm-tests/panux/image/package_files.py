"""Which files of a package enter the tree, and whose are they?

Maintainer scripts do not run; files are written straight from the archive inside the .deb. The builder need not be
root: owners are noted in a table, which the making of the file system applies (panux.image.filesystem).
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from panux.faults import BuildError
from panux.image.owners import Owners
from panux.image.selection import KEPT_FILES, LEFT_OUT


def unpack(deb: Path, tree: Path, owners: Owners, keeps: Callable[[str], bool]) -> None:
    """Writes the files of `deb` for which `keeps` is true below `tree`.

    Raises BuildError if dpkg-deb cannot read the file.
    """
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        with tarfile.open(fileobj=reading.stdout, mode="r|") as archive:
            for member in archive:
                path = member.name.removeprefix("./").rstrip("/")
                if path and not member.isdir() and keeps(path):
                    _write(archive, member, tree, path)
                    owners.note(path, member.uid, member.gid, member.mode)
    if reading.returncode:
        raise BuildError(f"{deb}: dpkg-deb cannot read it (exit status {reading.returncode})")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, tree: Path, path: str) -> None:
    """One file, symbolic link or hard link; a package's devices and fifos do not enter."""
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        os.link(tree / member.linkname.removeprefix("./"), target)
    elif member.isfile() and (content := archive.extractfile(member)):
        target.write_bytes(content.read())
        target.chmod(member.mode & 0o777)


def keeps_file(package: str, path: str) -> bool:
    """Does this file of this package enter the image, as far as the tables of panux.image.selection say?"""
    if package in KEPT_FILES:
        return any(path == kept or (kept.endswith("/") and path.startswith(kept)) for kept in KEPT_FILES[package])
    return not path.startswith(LEFT_OUT)
