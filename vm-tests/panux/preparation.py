"""From nothing to an image: what `vm-tests/boot` and the tests both do before a machine can start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from panux import places
from panux.faults import FetchError
from panux.image.archive import open_archive
from panux.image.build import Image, Sources, build_image
from panux.image.mirror import Mirror, machine_mirror
from panux.image.progress import Progress
from panux.machine.accelerator import accelerator
from panux.machine.ssh import machine_key, public_key


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
    chosen = Mirror(mirror.rstrip("/")) if mirror else machine_mirror()
    archive = open_archive(places.downloads(), chosen, offline)
    refreshed = not archive.has_index or (fresh and not offline)
    if refreshed:
        with progress.step("fetch the package indexes"):
            archive.refresh()
    sources = Sources(places.REPOSITORY, public_key(key))
    try:
        image = build_image(archive, sources, work, progress, fresh)
    except FetchError:
        if refreshed or offline:
            raise
        # a mirror removes a package when it has a newer one; the index that we kept may still name the old one
        with progress.step("fetch the package indexes again"):
            archive.refresh()
        image = build_image(archive, sources, work, progress, fresh)
    return Prepared(image, accelerator(image.kernel, image.probe, work / "accelerator.json"), key)
