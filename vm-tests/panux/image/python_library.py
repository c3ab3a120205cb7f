"""Which part of Python enters the image?

What linit, linitctl and the roots named in panux.image.selection may import, found by reading their sources with the
image's own interpreter, which runs here through its own dynamic linker. What was kept is then imported for a test, so
that a cut too many stops the build and not a boot.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from panux.faults import BuildError
from panux.image.selection import PYTHON_ALSO, PYTHON_CUT, PYTHON_ROOTS

LIBRARY: Final = "usr/lib/python3.13"
DIST_PACKAGES: Final = "usr/lib/python3/dist-packages"
OWN: Final = "usr/lib/linit/python"
SCRIPT: Final = Path(__file__).with_name("guest_python.py")


@dataclass(frozen=True, slots=True)
class GuestPython:
    """The interpreter below `tree`, run on this machine."""

    tree: Path

    @property
    def path(self) -> list[Path]:
        """Its sys.path, as directories of this machine."""
        return [self.tree / part for part in (LIBRARY, f"{LIBRARY}/lib-dynload", DIST_PACKAGES)]

    def command(self, *arguments: str) -> list[str]:
        """The command that runs it with these arguments."""
        libraries = self.tree / "usr/lib/x86_64-linux-gnu"
        return [
            str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), "--argv0", "python3.13",
            str(self.tree / "usr/bin/python3.13"), "-S", "-s", "-P", "-B", *arguments,
        ]  # fmt: skip

    def environment(self, *more: Path) -> dict[str, str]:
        """Its environment: nothing of the builder's Python; `more` stands last on its path."""
        return {
            "PYTHONHOME": str(self.tree / "usr"),
            "PYTHONPATH": ":".join(map(str, [*self.path, *more])),
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
        }

    def ask(self, **wish: Any) -> dict[str, Any]:
        """The answer of guest_python.py. Raises BuildError with what it said when it fails."""
        ended = subprocess.run(
            self.command(str(SCRIPT)), input=json.dumps(wish), env=self.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if ended.returncode:
            raise BuildError(f"python3.13 of the image: {wish['verb']}: {ended.stderr.strip()}")
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer


def trim(tree: Path, imports: Iterable[str]) -> None:
    """Removes from `tree` every module that neither `imports` nor the tables may need, and compiles the rest.

    Raises BuildError for a root that is not there, and for one that the trimmed library cannot import.
    """
    python = GuestPython(tree)
    wanted = sorted({*PYTHON_ROOTS, *imports})
    also = [name for name in PYTHON_ALSO if name != "sitecustomize"]
    found = python.ask(
        verb="closure", path=[str(entry) for entry in python.path], roots=[*wanted, *also], cut=sorted(PYTHON_CUT)
    )
    if found["unknown"]:
        raise BuildError(f"no such Python modules in the image's packages: {', '.join(found['unknown'])}")
    kept = {Path(file) for file in found["files"]}
    for top in (LIBRARY, DIST_PACKAGES):
        remove_others(tree / top, kept)
    failed = python.ask(verb="imports", names=wanted)["failed"]
    if failed:
        texts = "\n  ".join(f"{name}: {why}" for name, why in failed.items())
        raise BuildError(f"trimmed too much of Python (see PYTHON_CUT):\n  {texts}")
    compile_sources(tree, [LIBRARY, DIST_PACKAGES])


def compile_sources(tree: Path, directories: Iterable[str]) -> None:
    """Writes the bytecode of the sources below these directories of `tree`."""
    names = [str(tree / directory) for directory in directories]
    GuestPython(tree).ask(verb="compile", prefix=str(tree), directories=names)


def remove_others(top: Path, kept: set[Path]) -> None:
    """Removes each file below `top` that is not in `kept`, and the directories that this leaves empty."""
    for name, _, files in os.walk(top, topdown=False):
        directory = Path(name)
        for file in files:
            if directory / file not in kept:
                (directory / file).unlink()
        if not any(directory.iterdir()):
            directory.rmdir()


def external_imports(*packages: Path) -> set[str]:
    """The modules from outside that the sources below `packages` import, each by its full name.

    Names of these packages themselves, relative imports, and what PYTHON_CUT names are not among them.
    """
    own = {package.name for package in packages} | {"linit", "linitctl"}
    found: set[str] = set()
    for file in sorted(file for package in packages for file in package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] not in own and name not in PYTHON_CUT}


def copy_sources(source: Path, target: Path) -> None:
    """Copies the *.py files of a package, nothing else."""
    for file in sorted(source.rglob("*.py")):
        copied = target / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)
