"""Which files are read? Folders in their order of precedence, masks, drop-ins; and what each file was, for the plan.

Paths are as the machine that boots sees them; `root` is the folder in which that machine's root lies ("" for this
machine). Nothing is opened that could block: only regular files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from linit.model.place import Fault, Place, Severity
from linit.model.service import Source
from linit.plan.freshness import ABSENT_SIZE, RACY_NS, entries_digest

FILE_MAX_BYTES: Final = 1 << 20
SUFFIX: Final = ".yaml"
DROP_IN_SUFFIX: Final = ".d"
LINKS_MAX: Final = 40  # as path_resolution(7)
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


def inside(root: str, path: str) -> str:
    """The path, on this machine, of what `path` is on the machine below `root`: links stay below it."""
    if not root:
        return path
    done, rest, links = "", path.split("/"), 0
    while rest:
        part = rest.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        try:
            target = os.readlink(f"{root}{done}/{part}")
        except OSError:
            done = f"{done}/{part}"
            continue
        links += 1
        if links > LINKS_MAX:
            return f"{root}{done}/{part}"
        done = "" if target.startswith("/") else done
        rest = target.split("/") + rest
    return root + done


@dataclass(frozen=True, slots=True)
class File:
    """The text of a file, or the faults for which there is none."""

    path: str
    text: str = ""
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class Folders:
    """What was found: definitions by file name, drop-ins by service and file name, masks; strongest folder first."""

    root: str = ""
    files: dict[str, str] = field(default_factory=dict)
    drop_ins: dict[str, dict[str, str]] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)  # service: the file that masks it
    sources: list[Source] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    generated: dict[str, bytes] = field(default_factory=dict)  # what is on no disk: path to content

    def real(self, path: str) -> str:
        """Where `path` is on this machine."""
        return inside(self.root, path)

    def names_in(self, folder: str) -> list[str]:
        """The entries of a folder, sorted, hidden ones left out; the folder becomes a source."""
        real = self.real(folder)
        try:
            status = os.stat(real)
            names = sorted(name for name in os.listdir(real) if not name.startswith("."))
        except OSError as error:
            self._folder_failed(folder, error)
            return []
        self.sources.append(Source(folder, status.st_size, recorded_time(status), entries_digest(names)))
        return names

    def _folder_failed(self, folder: str, error: OSError) -> None:
        self.sources.append(_unread(folder, self.real(folder)))
        if error.errno != errno.ENOENT:
            found = f"an unreadable folder ({error.strerror})"
            self.fault(Severity.WARNING, folder, found, "a folder that can be read")

    def fault(self, severity: Severity, path: str, found: str, expected: str, hint: str = "") -> None:
        """Keep a fault about a file as a whole."""
        self.faults.append(Fault(severity, Place(path), "", found, expected, hint))

    def add_services(self, folder: str) -> None:
        """One folder of definitions, weaker than those added before."""
        for name in self.names_in(folder):
            path = f"{folder}/{name}"
            if name.endswith(SUFFIX):
                self.files.setdefault(name, path)
            elif name.endswith(DROP_IN_SUFFIX) and os.path.isdir(self.real(path)):
                self.add_drop_ins(name.removesuffix(DROP_IN_SUFFIX), path)
            elif name.endswith(".yml"):
                expected = f"one ending in {SUFFIX}"
                self.fault(Severity.WARNING, path, "a name ending in .yml", expected, "the file is not read")

    def add_drop_ins(self, service: str, folder: str) -> None:
        """The drop-ins of one service."""
        there = self.drop_ins.setdefault(service, {})
        for name in self.names_in(folder):
            if name.endswith(SUFFIX):
                there.setdefault(name, f"{folder}/{name}")

    def add_generated(self, files: Mapping[str, bytes]) -> None:
        """Definitions and drop-ins that generators wrote: weaker than every folder."""
        for path in sorted(files):
            folder, _, name = path.rpartition("/")
            if not name.endswith(SUFFIX):
                continue
            self.generated[path] = files[path]
            if folder.endswith(DROP_IN_SUFFIX):
                service = folder.rpartition("/")[2].removesuffix(DROP_IN_SUFFIX)
                self.drop_ins.setdefault(service, {}).setdefault(name, path)
            else:
                self.files.setdefault(name, path)

    def read(self, path: str) -> File | None:
        """A file's text; None for one of length 0 or a link to /dev/null, which mask. It becomes a source."""
        if path in self.generated:
            return _decoded(path, self.generated[path])
        real = f"{self.root}{path}"
        if os.path.islink(real):
            if os.readlink(real) == "/dev/null":
                self.sources.append(Source(path, 0, 0, EMPTY_SHA256))
                return None
            real = self.real(path)
        try:
            data, source = _content(path, real)
        except OSError as error:
            self.sources.append(_unread(path, real))
            found = f"an unreadable file ({error.strerror or error})"
            return File(path, faults=(_whole(path, found, "a file that can be read"),))
        self.sources.append(source)
        if source.size > FILE_MAX_BYTES:
            fault = _whole(path, f"{source.size} bytes", f"at most {FILE_MAX_BYTES}")
            return File(path, faults=(fault,))
        if not source.size:
            return None
        return _decoded(path, data)


def _unread(path: str, real: str) -> Source:
    """The source of what could not be read: any change of it makes the plan stale."""
    try:
        status = os.stat(real)
    except OSError:
        return Source(path, ABSENT_SIZE, 0, "")
    return Source(path, status.st_size, status.st_mtime_ns, "")


def _whole(path: str, found: str, expected: str) -> Fault:
    return Fault(Severity.ERROR, Place(path), "", found, expected)


def recorded_time(status: os.stat_result) -> int:
    """0, which never matches, where a later write could leave the same time: then the hash decides."""
    return 0 if time.time_ns() - status.st_mtime_ns < RACY_NS else status.st_mtime_ns


def _content(path: str, real: str) -> tuple[bytes, Source]:
    """The bytes of a regular file and what it was before they were read. Raises OSError."""
    descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = file.read(FILE_MAX_BYTES + 1)
    size = max(status.st_size, len(data))
    sha256 = hashlib.sha256(data).hexdigest() if len(data) <= FILE_MAX_BYTES else ""
    return data, Source(path, size, recorded_time(status), sha256)


def _decoded(path: str, data: bytes) -> File:
    try:
        return File(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        found = f"byte 0x{data[error.start]:02x}, which is not UTF-8"
        return File(path, faults=(Fault(Severity.ERROR, Place(path, line, column), "", found, "UTF-8 text"),))


def scan(folders: Iterable[str], root: str) -> Folders:
    """Everything that is in the folders of definitions, `folders` strongest first."""
    found = Folders(root)
    for folder in folders:
        found.add_services(folder)
    return found
