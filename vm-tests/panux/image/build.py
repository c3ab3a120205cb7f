"""The build of an image, step by step.

Two stages, so that a change of linit costs seconds. The base (everything from Debian, trimmed and compiled) depends on
the packages, the builder and the names of the modules that linit imports. The image adds this repository's sources
and configuration. Each lies in a directory that is named by the hash of all that enters it: what is there is never
changed, and what is not there is made beside it and renamed into place, so that an interrupted build leaves nothing
that looks finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from panux.faults import BuildError
from panux.image import linit_files, skeleton
from panux.image.archive import Archive
from panux.image.elf import needed_libraries
from panux.image.filesystem import make_file_system, set_times
from panux.image.fingerprint import fingerprint
from panux.image.initramfs import initramfs
from panux.image.kernel import keep_modules, modules_in_load_order, unpack_kernel
from panux.image.owners import Owners, load_owners
from panux.image.package_files import keeps_file, unpack
from panux.image.progress import Progress
from panux.image.python_library import external_imports, install_library, take_out
from panux.image.release import Package
from panux.image.selection import DLOPENED, DROPPED, INITRAMFS_MODULES, WANTED
from panux.image.sizes import sizes_by_part

BUILDER: Final = Path(__file__).parent
LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
KEPT_IMAGES: Final = 3
"""How many images of a clone are kept; the oldest go."""


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image: a directory that is never written to again."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """An ELF kernel that QEMU starts directly."""
        return self.directory / "vmlinux"

    @property
    def initramfs(self) -> Path:
        """The archive that mounts the root."""
        return self.directory / "initramfs.cpio"

    @property
    def probe(self) -> Path:
        """The initramfs of the probe boot."""
        return self.directory / "probe.cpio"

    @property
    def root_disk(self) -> Path:
        """The root file system, a raw ext4 image; boot an overlay of it."""
        return self.directory / "root.img"

    @property
    def manifest(self) -> Path:
        """Every package with version and SHA-256, and the sizes of the parts, as JSON."""
        return self.directory / "manifest.json"

    @property
    def fingerprint(self) -> str:
        """The hash of all that entered."""
        return self.directory.name

    def sizes(self) -> dict[str, int]:
        """Bytes by part."""
        found: dict[str, int] = json.loads(self.manifest.read_text())["sizes"]
        return found


@dataclass(frozen=True, slots=True)
class Sources:
    """What of a clone enters the image, and the key that may log in."""

    repository: Path
    authorized_key: Path

    @property
    def builder_files(self) -> list[Path]:
        """What decides the base, besides the packages."""
        return [BUILDER]

    @property
    def own_files(self) -> list[Path]:
        """What is added to the base."""
        own = [self.repository / name for name in ("linit", "ctl", "services", "vm-tests/image")]
        return [*own, self.authorized_key]


def build_image(archive: Archive, sources: Sources, work: Path, progress: Progress, fresh: bool = False) -> Image:
    """The image of these packages and sources; it is made only if there is none of the same content, or if `fresh`.

    Raises BuildError, and VerificationError where a package or an index is not what was signed.
    """
    packages = archive.resolve(WANTED, DROPPED)
    described = json.dumps([asdict(package) for package in packages])
    imports = external_imports(sources.repository / "linit", sources.repository / "ctl")
    base_name = fingerprint(sources.builder_files, described, *sorted(imports))
    image = Image(work / "images" / fingerprint(sources.own_files, base_name))
    with locked(work):
        if fresh:
            for made in (image.directory, work / "stages" / base_name):
                shutil.rmtree(made, ignore_errors=True)
        if image.manifest.is_file():
            os.utime(image.directory)
            return image
        base = work / "stages" / base_name
        if not (base / "owners.json").is_file():
            make_base(archive, packages, imports, base, progress)
        make_image(base, sources, packages, image, progress)
        forget_old(work / "images", KEPT_IMAGES)
        forget_old(work / "stages", 1)
    return image


def make_base(archive: Archive, packages: list[Package], imports: set[str], base: Path, progress: Progress) -> None:
    """Unpacks and trims what comes from Debian: `tree`, the boot files, the table of owners, Python's `library`."""
    with progress.step("verify the signed package index"):
        archive.verify(packages)
    archive.fetch(packages, progress)
    with growing(base) as new:
        tree, owners = new / "tree", Owners()
        with progress.step(f"verify and unpack {len(packages)} packages"):
            (tree / "usr").mkdir(parents=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(partial(unpack_verified, archive, tree, owners), packages))
        with progress.step("choose kernel modules, unpack the kernel"):
            take_kernel(tree, new)
        with progress.step("trim Python to what is imported, compile it"):
            take_out(tree, new / "library")
            install_library(tree, new / "library", imports)
        with progress.step("choose shared libraries, lay out the root tree"):
            trim_libraries(tree)
            skeleton.write_skeleton(tree, owners)
            applets = subprocess.run(
                [str(tree / "usr/bin/busybox"), "--list"], capture_output=True, text=True, check=True
            ).stdout.split()
            skeleton.link_applets(tree, applets)
        owners.save(new / "owners.json")


def unpack_verified(archive: Archive, tree: Path, owners: Owners, package: Package) -> None:
    """Unpacks a package whose content was hashed just before."""
    deb = archive.store.verified(package.sha256, Path(package.filename).name)
    unpack(deb, tree, owners, partial(keeps_file, package.name))


def take_kernel(tree: Path, new: Path) -> None:
    """Moves the kernel out of the tree, and leaves the modules that are wanted. Raises BuildError without a kernel."""
    packed = sorted(tree.glob("boot/vmlinuz-*"))
    releases = sorted(tree.glob("usr/lib/modules/*"))
    if not packed or not releases:
        raise BuildError("the kernel package holds no boot/vmlinuz-* or no modules")
    unpack_kernel(packed[-1], new / "vmlinux")
    shutil.rmtree(tree / "boot")
    keep_modules(releases[-1])
    modules = modules_in_load_order(releases[-1], INITRAMFS_MODULES)
    (new / "modules.json").write_text(json.dumps([str(module.relative_to(tree)) for module in modules]))


def trim_libraries(tree: Path) -> None:
    """Leaves those shared libraries that some ELF file of the tree asks for.

    Raises BuildError for one that is asked for and not there.
    """
    available = {file.name: file for file in (tree / LIBRARIES).iterdir() if ".so" in file.name}
    programs = [
        file
        for file in tree.rglob("*")
        if file.is_file() and not file.is_symlink() and not file.parent.samefile(tree / LIBRARIES)
    ]
    todo = [(name, file) for file in programs for name in needed_libraries(file)]
    todo += [(name, tree) for name in DLOPENED if name in available]
    kept: set[str] = set()
    while todo:
        name, asked_by = todo.pop()
        if name in kept:
            continue
        if name not in available:
            raise BuildError(f"{asked_by.relative_to(tree)} needs {name}, which no package of the image brings")
        kept.add(name)
        if available[name].is_symlink():
            kept.add(os.readlink(available[name]))
        todo += [(needed, available[name]) for needed in needed_libraries(available[name])]
    for name, file in available.items():
        if name not in kept:
            file.unlink()


def make_image(base: Path, sources: Sources, packages: list[Package], image: Image, progress: Progress) -> None:
    """Adds linit and the configuration to a copy of the base, and makes the disk."""
    own = sources.repository / "vm-tests" / "image"
    with growing(image.directory) as new:
        tree, owners = new / "tree", load_owners(base / "owners.json")
        with progress.step("copy linit, its services and the configuration"):
            shutil.copytree(base / "tree", tree, symlinks=True)
            linit_files.overlay(own / "root", own / "modes", tree, owners)
            linit_files.install_linit(sources.repository, tree, base / "library")
            install_image_services(own / "services", tree)
            (tree / "root/.ssh/authorized_keys").write_bytes(sources.authorized_key.read_bytes())
            set_times(tree)
        with progress.step("compile the plan"):
            linit_files.compile_plan(tree)
        with progress.step("make the file system and the initramfs"):
            shutil.copyfile(base / "vmlinux", new / "vmlinux")
            modules = [base / "tree" / module for module in json.loads((base / "modules.json").read_text())]
            packed = initramfs(base / "tree/usr/bin/busybox", modules, own / "initramfs-init")
            (new / "initramfs.cpio").write_bytes(packed)
            probe = initramfs(base / "tree/usr/bin/busybox", (), own / "probe-init")
            (new / "probe.cpio").write_bytes(probe)
            sizes = sizes_by_part(tree, {"kernel": (new / "vmlinux").stat().st_size, "initramfs": len(packed)})
            make_file_system(tree, owners, new / "root.img")
        shutil.rmtree(tree)
        manifest = {"packages": [asdict(package) for package in packages], "sizes": sizes}
        (new / "manifest.json").write_text(json.dumps(manifest, indent=1))


def install_image_services(source: Path, tree: Path) -> None:
    """Adds the definitions of the test facilities, `NAME.yaml`. They are in no runlevel: the harness starts them."""
    for file in sorted(source.glob("*.yaml")):
        shutil.copyfile(file, tree / linit_files.SERVICES / file.name)


@contextlib.contextmanager
def growing(final: Path) -> Iterator[Path]:
    """A directory to fill; it takes the name `final` only when all went well, and else is removed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
    try:
        new.chmod(0o755)
        yield new
        shutil.rmtree(final, ignore_errors=True)
        new.rename(final)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


@contextlib.contextmanager
def locked(work: Path) -> Iterator[None]:
    """Holds the lock by which builds of one clone wait for each other."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def forget_old(directory: Path, kept: int) -> None:
    """Removes all but the newest `kept` directories, and what an interrupted build left."""
    made = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    left = [path for path in made if path.name.startswith(".new-")]
    for path in [*left, *[path for path in made if path not in left][kept:]]:
        shutil.rmtree(path, ignore_errors=True)
