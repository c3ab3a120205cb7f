"""How does linit lie in the image?

linit and linitctl lie in linit's own Python below /usr/lib/linit (panux.image.python_library); small launchers run them
there, isolated from environment and site files (python -IS), since PID 1 must not depend on either. Runlevels become
symbolic links in /etc/linit/runlevels, which is where an administrator changes them. At last the plan is compiled into
the image, for the machine that QEMU will be: generators look at that, and the plan holds at the first boot if it is as
they were told.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from panux.faults import BuildError
from panux.image.owners import Owners
from panux.image.python_library import INTERPRETER, OWN, SOURCES, GuestPython, builder, install_own

SERVICES: Final = "usr/lib/linit/services"
GENERATORS: Final = "usr/lib/linit/generators"
RUNLEVELS: Final = "etc/linit/runlevels"
BUNDLE: Final = "usr/lib/linit/bundle"
LOGS: Final = f"{OWN}/linit/logs/process.bundle"
PLAN: Final = "var/lib/linit/plan.msgpack"
CONSOLE: Final = "ttyS0"
"""The kernel's console in every machine of ours."""
MACHINE: Final = {
    "proc/cmdline": f"console={CONSOLE}\n",
    "sys/class/tty/console/active": f"{CONSOLE}\n",
    f"sys/class/tty/{CONSOLE}/uevent": "",
}
"""What generators find of the machine that is not the image: files below its root, while the plan is compiled."""
LAUNCHER: Final = f"""\
#!/{INTERPRETER} -IS
import sys

sys.path[:] = ["/{OWN}"]
{{first}}from {{module}} import main

sys.exit(main())
"""
UNBUNDLED: Final = """\
import gc
import marshal
import posix

gc.disable()  # what is made now stays: looking for garbage in it would take 10 ms of a boot; the assembly enables it
try:  # the modules in one file: linit/bundling/README.md; without it they are there one by one
    file = posix.open("/usr/lib/linit/bundle", posix.O_RDONLY | posix.O_CLOEXEC)
    _, version, size = posix.read(file, 64).split()
    if int(version, 16) == sys.hexversion:
        loader, *parts = marshal.loads(posix.read(file, int(size)))
        names = {"__name__": "linit.lean.bundle"}
        exec(loader, names)
        names["load"](file, 64 + int(size), *parts)
        del loader, parts, names  # code that has run
except Exception as fault:
    print("linit: the bundle cannot be used:", repr(fault), file=sys.stderr)
"""
LAUNCHERS: Final = {"usr/sbin/linit": ("linit.__main__", UNBUNDLED), "usr/bin/linitctl": ("linitctl.main", "")}
LINKS: Final = {
    "usr/sbin/init": "linit",
    "usr/sbin/poweroff": "../bin/linitctl",
    "usr/sbin/reboot": "../bin/linitctl",
    "usr/sbin/halt": "../bin/linitctl",
    "usr/sbin/shutdown": "../bin/linitctl",
}


def install_linit(repository: Path, tree: Path, library: Path) -> None:
    """Puts linit, linitctl and the service definitions of `repository` into `tree`; `library`: Python's, whole."""
    install_own(tree, library, {"linit": repository / "linit", "linitctl": repository / "ctl"})
    make_bundle(repository, tree, library)
    for name, (module, first) in LAUNCHERS.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(LAUNCHER.format(module=module, first=first))
        (tree / name).chmod(0o755)
    for name, target in LINKS.items():
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(target)
    install_services(repository / "services", tree)


def make_bundle(repository: Path, tree: Path, library: Path) -> None:
    """Writes the files that PID 1 and the log process get their modules from, with the image's own interpreter.
    Raises BuildError."""
    python = GuestPython(tree, (*builder(tree, library).path, repository))
    for program, file in (("init", BUNDLE), ("logs", LOGS)):
        ended = python.run("-m", "linit.bundling", str(tree / file), "--of", program, "--shown", f"/{SOURCES}")
        if ended.returncode:
            raise BuildError(f"linit's modules cannot be bundled:\n{ended.stderr}".rstrip())


def install_services(source: Path, tree: Path) -> None:
    """Copies definitions with their drop-ins, and turns `runlevels/RUNLEVEL/NAME` links into those of the image.

    Those in `daemons/` stay out: the image has not their programs, and each would be a warning at every compilation.
    """
    services = tree / SERVICES
    services.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*.yaml")):
        shutil.copyfile(file, services / file.name)
    for folder in sorted(source.glob("*.d")):
        (services / folder.name).mkdir(exist_ok=True)
        for file in sorted(folder.iterdir()):
            shutil.copy(file, services / folder.name / file.name)
    for file in sorted((source / "generators").iterdir()):
        (tree / GENERATORS).mkdir(exist_ok=True)
        shutil.copyfile(file, tree / GENERATORS / file.name)
        (tree / GENERATORS / file.name).chmod(0o755)
    for link in sorted((source / "runlevels").glob("*/*")):
        enable(tree, link.parent.name, link.name, Path(os.readlink(link)).name)


def enable(tree: Path, runlevel: str, name: str, file: str) -> None:
    """Makes the link by which the service `name`, defined in `file`, is in a runlevel."""
    link = tree / RUNLEVELS / runlevel / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"/{SERVICES}/{file}")


def compile_plan(tree: Path) -> None:
    """Compiles the plan into `tree` with the image's own interpreter; this machine's shell runs the generators.

    Raises BuildError with the compiler's message where it fails.
    """
    plan = tree / PLAN
    plan.parent.mkdir(parents=True, exist_ok=True)
    python = GuestPython(tree, (tree / OWN,))
    arguments = ("compile", "--generators", "--root", str(tree), "--output", str(plan))
    with looking_like_the_machine(tree):
        ended = python.run("-m", "linit.compiler", *arguments)
    if ended.returncode or not plan.is_file():
        raise BuildError(f"the service definitions cannot be compiled:\n{ended.stdout}{ended.stderr}".rstrip())


@contextlib.contextmanager
def looking_like_the_machine(tree: Path) -> Iterator[None]:
    """For as long as this lasts `tree` has what generators look at of the machine (MACHINE)."""
    made: list[Path] = []
    try:
        for name, text in MACHINE.items():
            file = tree / name
            made += [folder for folder in reversed(file.parents) if not folder.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            made.append(file)
        yield
    finally:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()


def overlay(source: Path, modes: Path, tree: Path, owners: Owners) -> None:
    """Copies the folder `source` over `tree`, with owners and permissions from the table in the file `modes`.

    A file that the table does not name belongs to root and is 644, or 755 if it is executable in `source`. Lines of
    the table: `PATH MODE USER GROUP`, users and groups by name; `#` begins a comment. Raises BuildError for a line
    that is otherwise, or that names what is not there.
    """
    for file in sorted(source.rglob("*")):
        target = tree / file.relative_to(source)
        if file.is_symlink():
            target.unlink(missing_ok=True)
            target.symlink_to(os.readlink(file))
        elif file.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif file.name != ".gitkeep":
            target.unlink(missing_ok=True)
            shutil.copyfile(file, target)
            target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    users, groups = numbers(tree / "etc/passwd"), numbers(tree / "etc/group")
    for number, line in enumerate(modes.read_text().splitlines() if modes.is_file() else (), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            path, mode, user, group = words
            owner, permissions = (users[user], groups[group]), int(mode, 8)
            (tree / path.lstrip("/")).chmod(permissions & 0o777)
        except (ValueError, KeyError, OSError) as error:
            raise BuildError(f"{modes}:{number}: found '{line}', expected PATH MODE USER GROUP ({error!r})") from error
        owners.entries[path.lstrip("/")] = (*owner, permissions)


def numbers(file: Path) -> dict[str, int]:
    """Names and numbers of a passwd(5) or group(5) file."""
    return {line.split(":")[0]: int(line.split(":")[2]) for line in file.read_text().splitlines()}
