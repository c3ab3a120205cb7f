"""What does only this machine know? Runs the generators: programs that write definitions when a plan is compiled.

A generator is an executable file in one of `Paths.generators`; one in a stronger folder replaces that of the same name,
and one of length 0 or a link to /dev/null masks it. It is called as `GENERATOR FOLDER`, with LINIT_ROOT in its
environment ("" for this machine), and writes into the empty FOLDER what could stand in a folder of definitions:
`NAME.yaml`, `NAME.d/X.yaml`, and entries `runlevels/RUNLEVEL/NAME`. On standard output it prints what it looked at, a
path on each line: when one of these changes, or the generator does, the plan is out of date. After a path in /proc or
/sys may follow the beginnings of the words that matter: `/proc/cmdline console=`.

A generator that fails, takes longer than LIMIT_S or writes nonsense is named in a warning, and all of it left out,
until something changes that it looked at.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from linit.definitions import Generated, errors_in
from linit.definitions.definition import is_name
from linit.definitions.folders import FILE_MAX_BYTES, SUFFIX, Folders, inside, recorded_time
from linit.model.paths import Paths
from linit.model.place import Fault, Place, Severity
from linit.model.reason import exit_words
from linit.model.service import KERNEL_SIZE, Source
from linit.plan.freshness import ABSENT_SIZE, digest, kernel_words

LIMIT_S: Final = 10.0  # for all of them together: they run side by side
FILES_MAX: Final = 10_000  # of one generator
INPUTS_MAX_BYTES: Final = 1 << 16  # of what one prints
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
KERNEL: Final = ("/proc/", "/sys/")
RUNLEVELS: Final = "runlevels"


class Nonsense(Exception):
    """What a generator did, so that it is left out."""


@dataclass(slots=True)
class _Run:
    """One generator at work. `folder` is where it writes; beside it, what it prints."""

    path: str
    folder: str
    process: subprocess.Popen[bytes]

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def run(paths: Paths, root: str = "") -> Generated:
    """Run the generators of the machine whose root is `root`, and read what they wrote. Raises nothing."""
    folders = Folders(root)
    found = _find(paths, folders)
    faults = list(folders.faults)
    if not found:
        return Generated(sources=tuple(folders.sources), faults=tuple(faults))
    try:
        scratch = _scratch(paths, root)
    except OSError as error:
        faults += [_fault(path, f"no folder to write to ({error.strerror})") for path in found]
        return Generated(sources=(*folders.sources, *map(_unknown, found)), faults=tuple(faults))
    files: dict[str, bytes] = {}
    sources = [*folders.sources, *(_source(path, root) for path in found)]
    try:
        deadline_s = time.monotonic() + LIMIT_S
        for each in list(_start(found, scratch, root, faults)):
            try:
                _wait(each, deadline_s)
                written = _written(each, f"{paths.generated}/{each.name}")
                sources += _inputs(each, root)
            except Nonsense as nonsense:
                faults.append(_fault(each.path, str(nonsense)))
                sources += _inputs(each, root, is_patient=True)  # a change of them may put it right
            else:
                files |= written
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Generated(files, _once(sources), tuple(faults))


def not_run(paths: Paths, root: str) -> Generated:
    """For a plan that is made on another machine: it is out of date on its own one, if there are generators."""
    folders = Folders(root)
    unknown = map(_unknown, _find(paths, folders))
    return Generated(sources=(*folders.sources, *unknown), faults=tuple(folders.faults))


def _unknown(path: str) -> Source:
    """The source of a generator that was not run: never true where that generator is."""
    return Source(path, ABSENT_SIZE, 0, "")


def keep(generated: Generated, paths: Paths, root: str = "") -> None:
    """Put what was generated where its places say, for people. It is no input of anything: errors do not matter."""
    target = inside(root, paths.generated)
    with contextlib.suppress(OSError):
        if os.path.isdir(target):
            shutil.rmtree(target)
        for path, content in generated.files.items():
            real = f"{target}{path.removeprefix(paths.generated)}"
            os.makedirs(os.path.dirname(real), exist_ok=True)
            with open(real, "wb") as file:
                file.write(content)


def _scratch(paths: Paths, root: str) -> str:
    """A folder to write in: where linit runs, or beside it, if that can be, since at the beginning of a boot nothing
    else may be writable; never below the root of another machine. Raises OSError."""
    for folder in () if root else (paths.run, os.path.dirname(paths.run)):
        with contextlib.suppress(OSError):
            return tempfile.mkdtemp(prefix="linit-generators-", dir=folder)
    return tempfile.mkdtemp(prefix="linit-generators-")


def _find(paths: Paths, folders: Folders) -> list[str]:
    """The generators, by name; the folders become sources."""
    found: dict[str, str] = {}
    for folder in paths.generators:
        for name in folders.names_in(folder):
            found.setdefault(name, f"{folder}/{name}")
    return [path for _, path in sorted(found.items()) if _is_meant(path, folders)]


def _is_meant(path: str, folders: Folders) -> bool:
    """Is it to be run? One that cannot be is told, unless it masks."""
    real = folders.real(path)
    if os.path.islink(f"{folders.root}{path}") and os.readlink(f"{folders.root}{path}") == "/dev/null":
        return False
    try:
        status = os.stat(real)
    except OSError as error:
        folders.fault(Severity.WARNING, path, f"an unreadable file ({error.strerror})", "a generator")
        return False
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
        if not stat.S_ISREG(status.st_mode) or status.st_size:
            folders.fault(Severity.WARNING, path, "no executable file", "a generator", "it is not run")
        return False
    return bool(status.st_size)


def _start(paths: Iterable[str], scratch: str, root: str, faults: list[Fault]) -> Iterator[_Run]:
    """Start them all, each in a session of its own, so that what it leaves behind can be killed with it."""
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "LINIT_ROOT": root}
    for number, path in enumerate(paths):
        folder = f"{scratch}/{number}"
        os.mkdir(folder)
        # Files, not pipes: a descendant that keeps one open holds nobody up.
        with open(f"{folder}.out", "wb") as out, open(f"{folder}.err", "wb") as err:
            try:
                process = subprocess.Popen(
                    [inside(root, path), folder], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd="/",
                    env=environment, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                faults.append(_fault(path, f"a program that cannot be run ({error.strerror})"))
                continue
        yield _Run(path, folder, process)


def _wait(run: _Run, deadline_s: float) -> None:
    """Until it has ended, and nothing of it is left. Raises Nonsense."""
    try:
        status = run.process.wait(max(deadline_s - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        raise Nonsense(f"nothing after {LIMIT_S:g} s, killed") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
    if status:
        said = _text(f"{run.folder}.err").strip().rpartition("\n")[2]
        words = exit_words(status << 8) if status > 0 else f"was {exit_words(-status)}"
        raise Nonsense(f"a program that {words}{': ' + said if said else ''}")


def _written(run: _Run, kept_in: str) -> dict[str, bytes]:
    """The files that it wrote, by the paths under which they will be known. Raises Nonsense."""
    files: dict[str, bytes] = {}
    for folder, _, names in os.walk(run.folder):
        inner = os.path.relpath(folder, run.folder)
        for name in sorted(names):
            place = name if inner == "." else f"{inner}/{name}"
            if not _is_expected(place):
                raise Nonsense(f"the file {place!r} in its output")
            files[f"{kept_in}/{place}"] = _content(f"{folder}/{name}", place)
            if len(files) > FILES_MAX:
                raise Nonsense(f"more than {FILES_MAX} files")
    errors = errors_in(files)
    if errors:
        raise Nonsense(f"what is no definition ({errors[0]})")
    return files


def _is_expected(place: str) -> bool:
    match place.split("/"):
        case [name]:
            return name.endswith(SUFFIX)
        case [service, name]:
            return service.endswith(".d") and name.endswith(SUFFIX)
        case [folder, runlevel, name]:
            is_entry = is_name(name) and not name.endswith("@")
            return folder == RUNLEVELS and is_name(runlevel) and "@" not in runlevel and is_entry
    return False


def _content(path: str, place: str) -> bytes:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise Nonsense(f"{place!r} in its output, which is no file")
    with open(path, "rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    if len(data) > FILE_MAX_BYTES:
        raise Nonsense(f"more than {FILE_MAX_BYTES} bytes in {place!r}")
    return data


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="backslashreplace") as file:
        return file.read(INPUTS_MAX_BYTES)


def _inputs(run: _Run, root: str, is_patient: bool = False) -> list[Source]:
    """What it printed that it looked at. Raises Nonsense for a line that is no path, unless patient with it."""
    found = []
    for line in _text(f"{run.folder}.out").splitlines():
        if line.startswith("/"):
            found.append(_input(line, root))
        elif line.strip() and not is_patient:
            raise Nonsense(f"the line {line!r} on its standard output")
    return found


def _input(line: str, root: str) -> Source:
    """The source that a printed line stands for."""
    path, _, beginnings = line.strip().partition(" ")
    if path.startswith(KERNEL):
        return Source(path, KERNEL_SIZE, 0, f"{beginnings}\n{kernel_words(root + path, beginnings)}")
    return _source(line, root)


def _source(path: str, root: str) -> Source:
    """What a file or folder is now."""
    try:
        status = os.stat(inside(root, path))
    except OSError:
        return Source(path, ABSENT_SIZE, 0, "")
    return Source(path, status.st_size, recorded_time(status), digest(inside(root, path), status))


def _once(sources: Iterable[Source]) -> tuple[Source, ...]:
    return tuple({(source.path, source.sha256): source for source in sources}.values())


def _fault(path: str, found: str) -> Fault:
    return Fault(Severity.WARNING, Place(path), "", found, "definitions", "all that it wrote is left out")
