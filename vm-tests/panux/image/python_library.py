"""Which part of Python enters the image, and how does it lie there?

linit has a Python of its own, below /usr/lib/linit: the interpreter in bin/, and in lib/python3.13 one directory with
all that may be imported, as bytecode: what linit, linitctl and the tables of panux.image.selection need of the standard
library, the packages, linit itself. /usr/bin/python3 is a link to that interpreter.

The image's own interpreter does the work, through its own dynamic linker, with the whole library as Debian brings it;
the build keeps that beside the tree. What was kept is then imported for a test, so that a cut too many stops the build
and not a boot.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from panux.faults import BuildError
from panux.image.selection import PYTHON_ALSO, PYTHON_CUT, PYTHON_ROOTS

INTERPRETER: Final = "usr/lib/linit/bin/python3.13"
OWN: Final = "usr/lib/linit/lib/python3.13"
"""The one directory of linit's Python, below the root; it is found from the interpreter's own place."""
SOURCES: Final = "usr/lib/linit/source"
"""Where linit's own sources are, as tracebacks have it; they lie packed beside that name, to be unpacked by who wants
to see their lines."""
DEBIAN: Final = ("usr/lib/python3.13", "usr/lib/python3.13/lib-dynload", "usr/lib/python3/dist-packages")
"""Where Debian's packages have modules."""
REDUCED: Final = "networkx"
HERE: Final = Path(__file__).parent
PROGRAM: Final = "import sys; sys.path.append(sys.argv[1]); __import__(sys.argv[2]).main()"
REPLACED: Final = {
    "importlib.metadata": HERE / "guest_metadata.py",
    "bz2": HERE / "guest_absent.py",
    "gzip": HERE / "guest_absent.py",
    "uuid": HERE / "guest_absent.py",
}
"""Modules of the standard library of which the image has another form: networkx imports them without need."""
LOOKING: Final = '''\
"""Reduced by the builder of the image: names are looked up in their modules when they are asked for."""

from importlib import import_module

_HOMES = {homes!r}


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"{{__name__}}.{{name}}: this image has only what linit uses")
    module, _, attribute = _HOMES[name].partition(":")
    value = import_module(module)
    value = globals()[name] = getattr(value, attribute) if attribute else value
    return value
'''


@dataclass(frozen=True, slots=True)
class GuestPython:
    """The interpreter of the image, run on this machine with the modules of `path`."""

    tree: Path
    path: tuple[Path, ...]

    def command(self, *arguments: str) -> list[str]:
        """The command that runs it with these arguments."""
        libraries = self.tree / "usr/lib/x86_64-linux-gnu"
        return [
            str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), "--argv0", "python3.13",
            str(self.tree / INTERPRETER), "-S", "-s", "-P", "-B", *arguments,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Its environment: nothing of the builder's Python."""
        return {
            "PYTHONHOME": str(self.tree / INTERPRETER).removesuffix("/bin/python3.13"),
            "PYTHONPATH": ":".join(map(str, self.path)),
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Its end, with what it said; `text` is what it reads."""
        command, environment = self.command(*arguments), self.environment()
        return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)

    def ask(self, module: str, **wish: Any) -> dict[str, Any]:
        """The answer of a module beside this one. Raises BuildError with what it said when it fails."""
        ended = self.run("-c", PROGRAM, str(HERE), module, text=json.dumps(wish))
        if ended.returncode:
            raise BuildError(f"python3.13 of the image: {module}: {ended.stderr.strip()}")
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer


def builder(tree: Path, library: Path) -> GuestPython:
    """The image's interpreter with the whole library that was taken out of the tree."""
    return GuestPython(tree, tuple(library / part for part in DEBIAN))


def take_out(tree: Path, library: Path) -> None:
    """Moves Debian's Python out of the tree to `library`, all but the interpreter, which gets its place."""
    for part in ("usr/lib/python3.13", "usr/lib/python3"):
        (library / part).parent.mkdir(parents=True, exist_ok=True)
        (tree / part).rename(library / part)
    (tree / INTERPRETER).parent.mkdir(parents=True)
    (tree / "usr/bin/python3.13").rename(tree / INTERPRETER)
    (tree / "usr/bin/python3.13").symlink_to("../" + INTERPRETER.removeprefix("usr/"))
    (tree / OWN / "lib-dynload").mkdir(parents=True)  # empty: without it the interpreter complains


def install_library(tree: Path, library: Path, imports: Iterable[str]) -> None:
    """Puts into `tree` what `imports` and the tables may need of the library that was taken out, compiled.

    `imports` are modules, and names of the package REDUCED as `networkx.NAME`. Raises BuildError for a module that is
    not there, and for one that cannot be imported in the trimmed library.
    """
    python = builder(tree, library)
    wanted = {*PYTHON_ROOTS, *imports}
    names = sorted(name.partition(".")[2] for name in wanted if name.startswith(f"{REDUCED}."))
    package = python.ask("guest_reduction", package=REDUCED, names=names)
    roots = sorted({name for name in wanted if name.split(".")[0] != REDUCED} | set(package["imports"]))
    path = [str(entry) for entry in python.path]
    cut = sorted({*PYTHON_CUT, *REPLACED, REDUCED})
    found = python.ask("guest_python", verb="closure", path=path, roots=[*roots, *PYTHON_ALSO], cut=cut)
    if unknown := found["unknown"]:
        raise BuildError(f"no such Python modules in the image's packages: {', '.join(unknown)}")
    files: dict[str, str] = {**found["files"], **package["files"]}
    files |= {name: str(file) for name, file in REPLACED.items()}
    with_homes(library, package["homes"], files)
    install_modules(tree, python, files)
    try_imports(tree, sorted(files))


def with_homes(library: Path, homes: Mapping[str, Mapping[str, str]], files: dict[str, str]) -> None:
    """Writes the packages' own modules that look names up, and adds them to `files`."""
    for name, public in homes.items():
        source = library / "reduced" / name.replace(".", "/") / "__init__.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(LOOKING.format(homes=dict(public)))
        files[name] = str(source)


def install_modules(tree: Path, python: GuestPython, files: Mapping[str, str]) -> None:
    """Writes the bytecode of sources, and copies what is machine code; by the modules' names."""
    sources = []
    for name, file in files.items():
        written = tree / OWN / name.replace(".", "/")
        if not file.endswith(".py"):
            written.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, written.with_name(Path(file).name))
            continue
        is_package = Path(file).name == "__init__.py"
        written = written / "__init__.pyc" if is_package else written.with_name(f"{written.name}.pyc")
        sources.append((file, str(written), f"/{written.relative_to(tree).with_suffix('.py')}"))
    python.ask("guest_python", verb="compile", files=sources)


def install_own(tree: Path, library: Path, packages: Mapping[str, Path]) -> None:
    """Adds linit's own packages by name: their sources, packed, and their bytecode.

    Raises BuildError where one of their modules cannot be imported in the image.
    """
    compiled, names, sources = [], [], dict[str, Path]()
    for package, source in packages.items():
        for file in sorted(source.rglob("*.py")):
            relative = Path(package) / file.relative_to(source)
            if is_builders(relative):
                continue
            sources[str(relative)] = file
            written = tree / OWN / relative.with_suffix(".pyc")
            compiled.append((str(file), str(written), f"/{SOURCES}/{relative}"))
            names.append(".".join(relative.with_suffix("").parts).removesuffix(".__init__"))
    pack_sources(sources, tree / f"{SOURCES}.tar.xz")
    builder(tree, library).ask("guest_python", verb="compile", files=compiled)
    try_imports(tree, [name for name in names if not name.endswith("__main__")])


def pack_sources(sources: Mapping[str, Path], target: Path) -> None:
    """Writes files by their names into an archive that says nothing of who made it, and when."""
    with tarfile.open(target, "w:xz", preset=9, format=tarfile.GNU_FORMAT) as packed:
        for name, file in sorted(sources.items()):
            member = tarfile.TarInfo(name)
            member.size = file.stat().st_size
            with file.open("rb") as opened:
                packed.addfile(member, opened)


def is_builders(file: Path) -> bool:
    """Is it a module that only the build runs?"""
    return file.parent.name == "bundling"


def try_imports(tree: Path, names: Iterable[str]) -> None:
    """Imports each of these modules with nothing but what the image has. Raises BuildError."""
    program = "import sys\nfor name in sys.argv[1:]:\n __import__(name)"
    ended = GuestPython(tree, (tree / OWN,)).run("-c", program, *names)
    if ended.returncode:
        raise BuildError(f"trimmed too much of Python (see PYTHON_CUT):\n{ended.stderr.strip()}")


def external_imports(*packages: Path) -> set[str]:
    """The modules from outside that the sources below `packages` import, each by its full name, also in functions.

    Of the package REDUCED what is used of it too, as `networkx.NAME`. Names of these packages themselves, relative
    imports, and what PYTHON_CUT names are not among them.
    """
    own = {package.name for package in packages} | {"linit", "linitctl"}
    found: set[str] = set()
    for file in sorted(file for package in packages for file in package.rglob("*.py")):
        if is_builders(file):
            continue
        tree = ast.parse(file.read_bytes(), str(file))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
                found.update(used(tree, node))
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] not in own and name not in PYTHON_CUT}


def used(tree: ast.Module, imported: ast.Import) -> set[str]:
    """The attributes of the package REDUCED that a program uses which imports it so."""
    aliases = {alias.asname or alias.name for alias in imported.names if alias.name == REDUCED}
    return {
        f"{REDUCED}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases
    }
