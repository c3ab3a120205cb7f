"""Which programs is the log process compared with, and how is each of them run?

A peer is looked for on this machine, then fetched with the machine's own package manager into a folder of the run
(nothing is installed). One that cannot be had is left out, with a note.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROTATE_BYTES: Final = 10 << 20
FETCH_LIMIT_S: Final = 120


@dataclass(frozen=True, slots=True)
class Peer:
    """A logger that reads its standard input. `prepare` makes its folder; `argv` takes program and folder."""

    name: str
    program: str
    package: str
    argv: Callable[[str, Path], list[str]]
    prepare: Callable[[Path], object] = lambda _folder: None


def _svlogd_folder(folder: Path) -> None:
    (folder / "config").write_text(f"s{ROTATE_BYTES}\nn0\n")


# Each writes a time before every line, and throws nothing away.
PEERS: Final = (
    Peer("svlogd (runit)", "svlogd", "runit", lambda it, to: [it, "-ttt", str(to)], _svlogd_folder),
    Peer("svlogd (busybox)", "busybox", "busybox", lambda it, to: [it, "svlogd", "-tt", str(to)], _svlogd_folder),
    Peer("s6-log", "s6-log", "s6", lambda it, to: [it, "T", "n1000", f"s{ROTATE_BYTES}", str(to)]),
    Peer("multilog", "multilog", "daemontools", lambda it, to: [it, "t", "n1000", f"s{ROTATE_BYTES}", str(to)]),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A program that can be run, with the environment that it needs."""

    path: str
    environment: Mapping[str, str] = field(default_factory=dict)


def find(peer: Peer, folder: Path) -> Found | str:
    """The program, fetched if need be; else why it cannot be had."""
    if path := shutil.which(peer.program):
        return _checked(peer, Found(path))
    problem = fetch(peer.package, folder)
    if problem:
        return problem
    paths = [path for path in folder.rglob(peer.program) if path.is_file() and os.access(path, os.X_OK)]
    if not paths:
        return f"the package {peer.package} has no program {peer.program}"
    libraries = ":".join(sorted({str(path.parent) for path in folder.rglob("lib*.so.*")}))
    return _checked(peer, Found(str(min(paths)), {"LD_LIBRARY_PATH": libraries}))


def _checked(peer: Peer, found: Found) -> Found | str:
    if peer.program == "busybox":
        applets = subprocess.run([found.path, "--list"], capture_output=True, text=True, check=False).stdout.split()
        if "svlogd" not in applets:
            return "this busybox is built without svlogd"
    return found


def fetch(package: str, folder: Path) -> str:
    """Unpack a package and the libraries that it names; what went wrong, or ""."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return f"{package} is not installed, and there is no apt-get"
    problem = _fetch_one(package, folder)
    if problem:
        return problem
    fields = _run("dpkg-deb", "-f", str(next(folder.glob(f"{package}_*.deb"))), "Depends", cwd=folder)
    wanted = re.findall(r"\b(lib[a-z0-9.+-]+)", fields.stdout)
    here = _run("dpkg-query", "-W", "-f", "${Package} ${Status}\n", *wanted, cwd=folder).stdout if wanted else ""
    missing = [name for name in wanted if f"{name} install ok installed" not in here]
    return next((problem for name in missing if (problem := _fetch_one(name, folder))), "")


def _fetch_one(package: str, folder: Path) -> str:
    try:
        got = _run("apt-get", "download", package, cwd=folder)
    except subprocess.TimeoutExpired:
        return f"{package} is not installed, and apt-get does not get it in {FETCH_LIMIT_S} s"
    files = list(folder.glob(f"{package}_*.deb"))
    if got.returncode or not files:
        return f"{package} is not installed, and apt-get says: {got.stderr.strip().splitlines()[-1:] or 'nothing'}"
    _run("dpkg", "-x", str(files[0]), str(folder), cwd=folder)
    return ""


def _run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False)


def log_process(*, packs: bool) -> tuple[list[str], str]:
    """The argv of linit's own, and the limits under which it drops and removes nothing."""
    limits = f"rotate {ROTATE_BYTES}\ntotal 0\nkeep_age 0\nflood 0\npack {6 if packs else 0}\n"
    return [sys.executable, "-m", "linit.logs"], limits
