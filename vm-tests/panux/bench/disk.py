"""What is on a peer's disk?

The files of the Panux image, so that every peer starts the same programs; where the peer is not linit, without linit,
its Python and the libraries that only these need, and with the peer's packages instead. Shared libraries enter as they
do in the image: where an ELF file asks for them. What this adds to a root without any init is the peer's size.

The work is done by a process of its own (`python -m panux.bench.disk`), under fakeroot where the builder is not root:
debugfs takes the image apart and mke2fs makes the new one, both with the files' owners.
"""

from __future__ import annotations

import json
import lzma
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from panux.bench.job import LAST, SCRIPTS, Job, JobSet
from panux.bench.peers import ALL
from panux.bench.peers.peer import Peer, Tree
from panux.bench.sets import job_set
from panux.faults import BuildError
from panux.image import filesystem, selection
from panux.image.archive import Archive
from panux.image.build import LIBRARIES, Image, growing
from panux.image.elf import needed_libraries
from panux.image.fingerprint import fingerprint
from panux.image.initramfs import initramfs
from panux.image.kernel import modules_in_load_order
from panux.image.linit_files import LINKS, PLAN, compile_plan
from panux.image.owners import Owners
from panux.image.package_files import unpack
from panux.image.progress import Progress
from panux.image.release import Package
from panux.places import REPOSITORY, work

HERE: Final = Path(__file__).parent
FILES: Final = HERE / "files"
SIZE_BYTES: Final = 256 * 1024 * 1024
"""Small enough to be copied into the guest's memory with instructions counted."""
DOCUMENTATION: Final = (
    "usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/",
    "usr/share/bug/", "usr/share/bash-completion/", "usr/share/zsh/", "usr/include/", "usr/share/polkit-1/",
    "usr/share/dbus-1/", "usr/share/doc-base/",
)  # fmt: skip
"""Beginnings of paths that do not enter: nothing that runs reads them."""
DECISIVE: Final = ("disk.py", "files", "graph.py", "job.py", "peers/peer.py", "real.py")
"""What of the benchmark decides a disk, besides the peer's own module."""
LINIT_PARTS: Final = ("linit", "python", "python packages")
"""The parts of the image's size table that other inits do without."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A finished disk with all that QEMU needs beside it, as an Image has it."""

    image: Image
    size_bytes: int
    """What the init and what only it needs take on the disk."""


def disk_of(peer: Peer, set_name: str, image: Image, archive: Archive, progress: Progress) -> Disk:
    """The disk of a peer with a set; made only if there is none of the same content. Raises BuildError."""
    packages = peer_packages(peer, archive)
    kernel = kernel_package(image)
    described = json.dumps([[package.name, package.sha256] for package in packages])
    decisive = [HERE / part for part in DECISIVE] + [HERE / "peers" / f"{peer.name}.py", REPOSITORY / "services"]
    name = fingerprint(decisive, image.fingerprint, peer.name, set_name, described)
    made = Image(work() / "bench" / "disks" / f"{peer.name}-{set_name}-{name[:12]}")
    if not made.manifest.is_file():
        archive.fetch([*packages, kernel], progress)
        for older in made.directory.parent.glob(f"{peer.name}-{set_name}-*"):
            shutil.rmtree(older)
        with progress.step(f"make the disk of {peer.name}, set {set_name}"), growing(made.directory) as new:
            files = {package.name: archive.store.verified(package.sha256, package.name) for package in packages}
            brd = archive.store.verified(kernel.sha256, kernel.name)
            make_in_child(Request(peer.name, set_name, str(image.directory), str(brd), str(new), texts(files)))
    return Disk(made, int(json.loads(made.manifest.read_text())["size_bytes"]))


def peer_packages(peer: Peer, archive: Archive) -> list[Package]:
    """The packages of a peer and those that bring the libraries it asks for."""
    if not peer.packages:
        return []
    found = archive.resolve((*peer.packages, *peer.beside), ())
    return [package for package in found if package.name in peer.packages or package.name.startswith("lib")]


def kernel_package(image: Image) -> Package:
    """The package that the image's kernel came from: of its modules the benchmark needs one more."""
    packages = [Package(**entry) for entry in json.loads(image.manifest.read_text())["packages"]]
    return next(package for package in packages if package.name.startswith("linux-image-6"))


@dataclass(frozen=True, slots=True)
class Request:
    """What a disk is made from: names of peer and set, paths of the image, the kernel's package, the new folder, and of
    the peer's packages by name."""

    peer: str
    jobs: str
    image: str
    kernel: str
    new: str
    packages: dict[str, str]


def texts(files: Mapping[str, Path]) -> dict[str, str]:
    """Paths as text."""
    return {name: str(file) for name, file in files.items()}


def make_in_child(request: Request) -> None:
    """Runs `make` in a process that is root, or believes so."""
    command = [sys.executable, "-m", "panux.bench.disk"]
    if os.geteuid() != 0:
        command = ["fakeroot", "--", *command]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parents[1]),
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "E2FSPROGS_FAKE_TIME": str(filesystem.FILE_TIME_S),
    }
    ended = subprocess.run(
        command, input=json.dumps(asdict(request)), env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise BuildError(f"the disk of {request.peer} cannot be made: {ended.stderr.strip()}")


def make(request: Request) -> None:
    """Writes the disk, kernel and initramfs."""
    peer = next(peer for peer in ALL if peer.name == request.peer)
    image, new = Image(Path(request.image)), Path(request.new)
    with tempfile.TemporaryDirectory(dir=new) as scratch:
        tree = Tree(Path(scratch))
        take_apart(image, tree.root)
        full_bytes = total_bytes(tree.root)
        remove_linit(tree)
        bare_bytes = total_bytes(tree.root)
        if peer.is_own:
            shutil.rmtree(tree.root)
            tree.root.mkdir()
            take_apart(image, tree.root)
            size_bytes = full_bytes - bare_bytes
        else:
            size_bytes = unpack_packages(peer, request.packages, tree) - bare_bytes
        jobs = job_set(request.jobs, tree.find)
        install_common(peer, jobs, tree)
        peer.configure(tree, jobs)
        brd = take_brd(Path(request.kernel), new)
        packed = initramfs(tree.root / "usr/bin/busybox", [*boot_modules(tree.root), brd], FILES / "initramfs-init")
        brd.unlink()
        (new / "initramfs.cpio").write_bytes(packed)
        os.link(image.kernel, new / "vmlinux")
        filesystem.set_times(tree.root)
        if peer.is_own:
            (tree.root / PLAN).unlink()  # files have one time: the compiler would take folders for what they were
            compile_plan(tree.root)
            filesystem.set_times(tree.root)
        run_mke2fs(tree.root, new / "root.img")
    (new / "manifest.json").write_text(json.dumps({"peer": peer.name, "size_bytes": size_bytes}))


def take_apart(image: Image, tree: Path) -> None:
    """Writes the files of the image's disk below `tree`."""
    tree.chmod(0o755)
    subprocess.run(["debugfs", "-R", f"rdump / {tree}", str(image.root_disk)], capture_output=True, check=True)
    shutil.rmtree(tree / "lost+found", ignore_errors=True)


def remove_linit(tree: Tree) -> None:
    """Leaves a root without an init: what the services need, and busybox."""
    beginnings = tuple(start for name, starts in selection.PARTS if name in LINIT_PARTS for start in starts)
    for file in [path for path in tree.root.rglob("*") if path.is_symlink() or not path.is_dir()]:
        name = str(file.relative_to(tree.root))
        if name.startswith(beginnings) or name in LINKS:
            file.unlink()
    trim_libraries(tree.root)


def unpack_packages(peer: Peer, packages: Mapping[str, str], tree: Tree) -> int:
    """Adds the peer's packages; the bytes of the tree with them."""
    for name, deb in packages.items():
        unpack(Path(deb), tree.root, Owners(), partial(enters, peer, name))
    trim_libraries(tree.root)
    return total_bytes(tree.root)


def enters(peer: Peer, package: str, path: str) -> bool:
    """Does a file of a package enter? Of one that is not taken whole only shared libraries."""
    if package in peer.packages:
        return not path.startswith(DOCUMENTATION)
    return (str(Path(path).parent) == LIBRARIES and ".so" in path) or path.startswith(peer.files or (" ",))


def trim_libraries(tree: Path) -> None:
    """Leaves those shared libraries that some ELF file asks for.

    As the image's own build does, but a program may bring libraries in a folder of its own (systemd does).
    """
    folder = tree / LIBRARIES
    available = {file.name: file for file in folder.iterdir() if ".so" in file.name}
    programs = [
        file
        for file in tree.rglob("*")
        if file.is_file() and not file.is_symlink() and file.parent != folder and file.suffix != ".go"
    ]  # .go: compiled Scheme, in ELF without any library
    todo = [name for file in programs for name in needed_libraries(file)] + list(selection.DLOPENED)
    kept: set[str] = set()
    while todo:
        name = todo.pop()
        if name in kept or name not in available:
            continue
        kept.add(name)
        if available[name].is_symlink():
            kept.add(os.readlink(available[name]))
        todo += needed_libraries(available[name])
    for name, file in available.items():
        if name not in kept:
            file.unlink()


def install_common(peer: Peer, jobs: JobSet, tree: Tree) -> None:
    """What every disk has besides its init: stage 0, the agent, the scripts of the set, its last service."""
    stage0 = (FILES / "stage0").read_text().replace("@INIT@", " ".join(peer.init))
    tree.program("usr/lib/bench/stage0", stage0)
    tree.write("usr/lib/bench/agent", (FILES / "agent").read_text())
    tree.write("usr/lib/bench/api-filesystems.fstab", (FILES / "api-filesystems.fstab").read_text())
    tree.program("usr/lib/bench/up", (FILES / f"up-{jobs.name}").read_text())
    for name, file in (("memory", "memory"), ("missing", f"missing-{jobs.name}")):
        tree.write(f"usr/lib/bench/{name}", (FILES / file).read_text())
    if jobs.name == "graph":
        tree.write("usr/lib/bench/alone", "".join(map(alone_lines, jobs.jobs)))
    for name, text in jobs.scripts:
        tree.program(f"{SCRIPTS}/{name}", text)


def alone_lines(job: Job) -> str:
    """Shell that runs a job with nothing beside it, between two stamps."""
    if job.name == LAST:
        return ""
    stamp = f'echo "<7>bench: {{word}}_{job.name}" >/dev/kmsg'
    return f"{stamp.format(word='begin')}\n{shlex.join(job.command)}\n{stamp.format(word='end')}\n"


def boot_modules(tree: Path) -> list[Path]:
    """The modules that the initramfs loads."""
    release = next((tree / "usr/lib/modules").iterdir())
    return modules_in_load_order(release, selection.INITRAMFS_MODULES)


def take_brd(kernel: Path, folder: Path) -> Path:
    """The module of the disk in memory, from the kernel's package."""
    with tempfile.TemporaryDirectory() as scratch:
        unpack(kernel, Path(scratch), Owners(), lambda path: path.endswith("/brd.ko.xz"))
        packed = next(Path(scratch).rglob("brd.ko.xz"))
        module = folder / "brd.ko"
        module.write_bytes(lzma.decompress(packed.read_bytes()))
    return module


def total_bytes(tree: Path) -> int:
    """Bytes of all files; links count nothing."""
    return sum(file.lstat().st_size for file in tree.rglob("*") if file.is_file() and not file.is_symlink())


def run_mke2fs(tree: Path, target: Path) -> None:
    """Writes the file system. Raises BuildError with what mke2fs said."""
    with target.open("wb") as created:
        created.truncate(SIZE_BYTES)
    command = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-L", "bench", "-U", filesystem.UUID,
        "-E", f"hash_seed={filesystem.UUID},root_owner=0:0,lazy_itable_init=1", "-d", str(tree), str(target),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BuildError(f"mke2fs: {ended.stderr.strip()}")


if __name__ == "__main__":
    make(Request(**json.load(sys.stdin)))
