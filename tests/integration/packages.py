"""Debian's packages for the tests of real daemons, unpacked below a folder: nothing is installed, nothing is started.

apt knows what a package needs that this machine lacks, from where to get it and how to tell that it is genuine; all of
it as this machine is configured. What is fetched is kept beside vm-tests' downloads. Source: apt-get(8), dpkg(1).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

FETCH_LIMIT_S: Final = 300.0
PATIENCE: Final = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20")
MACHINE_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STATE: Final = (Path("/var/lib/dpkg/status"), Path("/var/lib/apt/lists"))
"""What changes when another package is installed, or an index is fetched."""


class Unavailable(Exception):
    """A package cannot be had; the reason in words."""


class Packages:
    """What the machine has, and below `root` what it lacks."""

    def __init__(self, cache: Path, root: Path) -> None:
        self.root = root
        self._cache = cache
        self._had: set[str] = set()
        self._lacking: dict[str, str] = {}  # with the reason
        self._unpacked: set[str] = set()
        self._has_updated = False

    def need(self, *names: str) -> None:
        """Have these packages and all they depend on; skips the test, with the reason, where one is not to be had."""
        for name in names:
            if name in self._had:
                continue
            try:
                if name not in self._lacking:
                    self._unpack(self._files(name))
            except Unavailable as error:
                self._lacking[name] = str(error)
            if name in self._lacking:
                pytest.skip(f"Debian's package {name} is not to be had: {self._lacking[name]}")
            self._had.add(name)

    def environment(self, *paths: Path) -> dict[str, str]:
        """How their programs are found, after those in `paths`, and how these find their libraries."""
        libraries = [*self.root.glob("usr/lib/*-linux-gnu*"), *self.root.glob("lib/*-linux-gnu*")]
        programs = [self.root / folder for folder in ("usr/sbin", "usr/bin", "sbin", "bin")]
        return {
            "PATH": ":".join([*map(str, (*paths, *programs)), MACHINE_PATH]),
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        }

    def program(self, name: str) -> str:
        """Where a program is."""
        found = shutil.which(name, path=self.environment()["PATH"])
        assert found is not None, f"{name} is in none of {sorted(self._had)}"
        return found

    def file(self, pattern: str) -> Path:
        """The last file or folder that is like this pattern below `/`, of the package or of the machine."""
        return sorted([*self.root.glob(pattern), *Path("/").glob(pattern)])[-1]

    def _unpack(self, files: list[str]) -> None:
        for file in files:
            if file not in self._unpacked:
                _run("dpkg", "-x", str(self._cache / file), str(self.root))
                self._unpacked.add(file)

    def _files(self, name: str) -> list[str]:
        """The files of this package and of what it needs, kept in the cache."""
        state = ",".join(str(path.stat().st_mtime_ns) for path in STATE if path.exists())
        note = self._cache / f"{name}.json"
        known = json.loads(note.read_text()) if note.exists() else {}
        if known.get("state") == state and all((self._cache / file).exists() for file in known["files"]):
            return list(known["files"])
        try:
            files = self._fetch(name)
        except Unavailable:
            # The index that the machine has may be none, or name what the mirror has replaced.
            if self._has_updated or os.geteuid() != 0:
                raise
            self._has_updated = True
            _run("apt-get", "-q=2", *PATIENCE, "update")
            files = self._fetch(name)
            state = ",".join(str(path.stat().st_mtime_ns) for path in STATE if path.exists())
        whole = note.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps({"state": state, "files": files}))
        whole.replace(note)
        return files

    def _fetch(self, name: str) -> list[str]:
        lacking = [word[1] for word in self._simulated(name) if word[0] == "Inst" and not word[2].startswith("[")]
        self._cache.mkdir(parents=True, exist_ok=True)
        if not lacking:
            return []
        wanted = _run("apt-get", "-q=2", "--print-uris", "download", *lacking)
        files = [line.split()[1] for line in wanted.splitlines()]
        missing = [package for package, file in zip(lacking, files, strict=True) if not (self._cache / file).exists()]
        if missing:
            # Another session may do the same: whole files are moved into place.
            with tempfile.TemporaryDirectory(dir=self._cache) as folder:
                _run("apt-get", "-q=2", *PATIENCE, "-o", "APT::Sandbox::User=root", "download", *missing, folder=folder)
                for file in Path(folder).iterdir():
                    file.replace(self._cache / file.name)
        return files

    @staticmethod
    def _simulated(name: str) -> list[list[str]]:
        """What apt would do: `Inst NAME (NEW …)`, or `Inst NAME [OLD] (NEW …)` for what is there already."""
        return [line.split() for line in _run("apt-get", "-s", "--no-install-recommends", "install", name).splitlines()
                if line.startswith("Inst ")]  # fmt: skip


def _run(*argv: str, folder: str | None = None) -> str:
    """What a program prints. Raises Unavailable with the last that it said."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ended = subprocess.run(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=FETCH_LIMIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if ended.returncode:
        raise Unavailable((ended.stderr.strip() or ended.stdout.strip()).split("\n")[-1])
    return ended.stdout
