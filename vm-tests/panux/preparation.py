"""From nothing to an image: what `vm-tests/boot` and the tests both do before a machine can start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from panux import places
from panux.faults import FetchError
from panux.image.archive import Archive, open_archive
from panux.image.build import Image, Sources, build_image
from panux.image.daemons_disk import build_daemons_disk
from panux.image.mirror import Mirror, machine_mirror
from panux.image.progress import Progress
from panux.machine.accelerator import accelerator
from panux.machine.ssh import machine_key, public_key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a machine is started from."""

    image: Image
    accelerator: str
    key: Path


def prepare(
    progress: Progress, mirror: str = "", offline: bool = False, fresh: bool = False, work: Path | None = None
) -> Prepared:
    """Builds the image of this clone if that is needed, and finds out how guests run here.

    `mirror` is the base address of a Debian archive to use in place of the machine's; `fresh` fetches the package
    indexes and builds everything anew; `offline` uses only what earlier builds kept. Raises BuildError.
    """
    work = work or places.work()
    key = machine_key(work)
    archive = chosen_archive(mirror, offline)
    sources = Sources(places.REPOSITORY, public_key(key))
    image = from_packages(archive, lambda: build_image(archive, sources, work, progress, fresh), progress, fresh)
    return Prepared(image, accelerator(image.kernel, image.probe, work / "accelerator.json"), key)


def prepare_daemons_disk(progress: Progress) -> Path:
    """The second disk with more daemons (panux.image.daemons_disk), built if that is needed. Raises BuildError."""
    archive = chosen_archive()
    return from_packages(archive, lambda: build_daemons_disk(archive, places.work(), progress), progress)


def chosen_archive(mirror: str = "", offline: bool = False) -> Archive:
    """The Debian archive at this address, or the one that this machine uses."""
    chosen = Mirror(mirror.rstrip("/")) if mirror else machine_mirror()
    return open_archive(places.downloads(), chosen, offline)


def from_packages(archive: Archive, build: Callable[[], T], progress: Progress, fresh: bool = False) -> T:
    """What `build` makes of packages; the indexes are fetched where that is needed, or if `fresh`."""
    refreshed = not archive.has_index or (fresh and not archive.offline)
    if refreshed:
        with progress.step("fetch the package indexes"):
            archive.refresh()
    try:
        return build()
    except FetchError:
        if refreshed or archive.offline:
            raise
        # a mirror removes a package when it has a newer one; the index that we kept may still name the old one
        with progress.step("fetch the package indexes again"):
            archive.refresh()
        return build()
