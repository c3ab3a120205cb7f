"""What is a peer: an init, the packages that bring it, and how a set of services is said in its words."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.bench.job import Job, JobSet

PROGRAM_FOLDERS: Final = ("usr/sbin", "usr/bin")


@dataclass(frozen=True, slots=True)
class Tree:
    """The root file system of a peer while it is made."""

    root: Path

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Writes a file, with the folders above it; a link that was there is replaced, not followed."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            file.unlink()
        file.write_text(text)
        file.chmod(mode)

    def program(self, path: str, text: str) -> None:
        """Writes a file that can be run."""
        self.write(path, text, 0o755)

    def link(self, path: str, target: str) -> None:
        """Makes a symbolic link, in the place of what was there."""
        link = self.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def folder(self, path: str) -> None:
        """Makes a folder."""
        (self.root / path).mkdir(parents=True, exist_ok=True)

    def applet(self, *names: str) -> None:
        """Makes commands of busybox that the image leaves out, where no package brought them."""
        for name in names:
            if not any(os.path.lexists(self.root / folder / name) for folder in PROGRAM_FOLDERS):
                self.link(f"usr/sbin/{name}", "../bin/busybox")

    def find(self, name: str) -> str:
        """The path of a program, from the root. Raises KeyError if there is none."""
        if name.startswith("/"):
            return name
        for folder in PROGRAM_FOLDERS:
            if os.path.lexists(self.root / folder / name):
                return f"/{folder}/{name}"
        raise KeyError(f"no program {name} in the image")


@dataclass(frozen=True, slots=True)
class Peer:
    """An init. `init` is what stage 0 becomes; `configure` writes its files.

    `packages` are unpacked whole, of what they depend on only shared libraries enter. `status` is the command that
    tells the state of one service, with `{job}` for its name; "" where there is none. `poweroff` switches off.
    """

    name: str
    packages: tuple[str, ...]
    init: tuple[str, ...]
    configure: Callable[[Tree, JobSet], None]
    status: str
    poweroff: str
    beside: tuple[str, ...] = ()
    """Further packages, which its own do not ask for; they enter as those that these do."""
    files: tuple[str, ...] = ()
    """Beginnings of paths of what enters, besides libraries, from the packages that it depends on."""
    is_own: bool = False
    """linit: the image as it is, with its interpreter; nothing is taken out."""


def run_as(job: Job, command: tuple[str, ...], *, become: tuple[str, ...] = ()) -> str:
    """Lines of shell that end in becoming a job's command, with its surroundings.

    `become` are the words that change to the job's user, which follow.
    """
    lines = [shlex.join(job.pre)] if job.pre else []
    lines += [f"umask {job.umask}"] if job.umask else []
    lines += [f"ulimit -n {job.open_files}"] if job.open_files else []
    lines += [f"cd {job.directory}"] if job.directory else []
    words = (*become, job.user, *command) if job.user else command
    return "\n".join([*lines, f"exec {shlex.join(words)}"]) + "\n"
