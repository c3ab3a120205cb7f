"""Disks that keep a machine's changes apart from the image.

A qcow2 overlay holds only what differs from the image below it. It is of use with exactly that image, so a file beside
it names the image, and another image means a new overlay.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from panux.faults import BuildError, MachineError
from panux.image.build import Image

RECORDINGS_FOLDER: Final = "/var/log/linit/record"
"""Where a machine's disk has what linit recorded of its boots."""


def create_overlay(disk: Path, image: Image) -> None:
    """Makes an overlay without changes. Raises BuildError with what qemu-img said."""
    disk.parent.mkdir(parents=True, exist_ok=True)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.root_disk.absolute()), str(disk)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BuildError(f"{disk}: {ended.stderr.strip()}")


def scratch_overlay(scratch: Path, disk: Path) -> Path:
    """Makes an overlay of another overlay, for changes that are not to stay. Raises BuildError."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(disk.absolute()), str(scratch)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BuildError(f"{scratch}: {ended.stderr.strip()}")
    return scratch


def check_file_system(disk: Path) -> str:
    """What e2fsck says of the file system on the disk of a machine that is off, without changing anything.

    Raises MachineError with that if the file system is not clean: also if only the journal has to be replayed, as
    after a power cut.
    """
    with raw_copy(disk) as raw:
        shown = subprocess.run(
            ["dumpe2fs", "-h", str(raw)], env=tools(), capture_output=True, text=True, check=True
        )  # fmt: skip
        checked = subprocess.run(
            ["e2fsck", "-f", "-n", str(raw)], env=tools(), capture_output=True, text=True, check=False
        )  # fmt: skip
    said = checked.stdout + checked.stderr
    if checked.returncode or "needs_recovery" in shown.stdout or "Filesystem state:         clean" not in shown.stdout:
        raise MachineError(f"the file system was not left clean (e2fsck: status {checked.returncode})\n{said}")
    return said


def copy_folder(disk: Path, source: str, target: Path) -> None:
    """Copies the folder `source` of a disk whose machine is off into the folder `target`, as after a replay of its
    journal. What is not there is not copied."""
    with raw_copy(disk) as raw:
        subprocess.run(["e2fsck", "-f", "-y", str(raw)], env=tools(), capture_output=True, check=False)
        command = ["debugfs", "-R", f"rdump {source} {target}", str(raw)]
        subprocess.run(command, env=tools(), capture_output=True, check=False)


@contextlib.contextmanager
def raw_copy(disk: Path) -> Iterator[Path]:
    """The whole disk as a file of its own, for as long as this lasts."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk), str(raw)], check=True)
        yield raw


def tools() -> dict[str, str]:
    """The environment in which the tools of e2fsprogs are found, and speak English."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def lasting_overlay(disk: Path, image: Image, fresh: bool) -> str:
    """Makes sure that `disk` is an overlay of `image`, kept from earlier boots unless `fresh`; what was done."""
    note = disk.with_suffix(".image")
    of_image = note.read_text().strip() if note.is_file() and disk.is_file() else ""
    if of_image == image.fingerprint and not fresh:
        return "with the changes of earlier boots"
    create_overlay(disk, image)
    note.write_text(f"{image.fingerprint}\n")
    if not of_image:
        return "new"
    return "new, as asked" if fresh else "new: the image has changed, so the changes of earlier boots are gone"
