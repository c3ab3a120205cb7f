"""Which file systems does the kernel's own interface need, and which are still missing when linit starts?

The initramfs of Panux mounts those without which there is no PID 1; others may not. Terminals and shared memory no
initramfs has, nor the links in /dev that devtmpfs lacks. Everything further (fstab) is a service's; one for these would
be a shell and five programs. The table is read from /proc/self/mountinfo: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linit.runtime.failure import error_words

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8


@dataclass(frozen=True, slots=True)
class ApiMount:
    """One file system of the kernel's interface, as mount(2) takes it. `is_told`: somebody else usually mounts it."""

    kind: str
    target: str
    flags: int
    options: str = ""
    is_told: bool = True


API_MOUNTS: Final = (
    ApiMount("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC),
    ApiMount("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC),
    ApiMount("devtmpfs", "/dev", MS_NOSUID, "mode=0755"),
    ApiMount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"),
    ApiMount("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate"),
    ApiMount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666", is_told=False),
    ApiMount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", is_told=False),
)
"""The group 5 is tty on every Linux: Filesystem Hierarchy Standard, devpts(4)."""
DEVICE_LINKS: Final = {
    "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
}  # fmt: skip
"""Shells' <(...) and many programs want them in /dev."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """One line of mountinfo. `id` and `parent` tell what is mounted on what."""

    id: int
    parent: int
    target: str
    kind: str
    source: str
    is_read_only: bool


def parse_mountinfo(text: str) -> tuple[Mounted, ...]:
    """The mounts in the order in which the kernel lists them. A line that is none is left out."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, after = left.split(), right.split()
        if len(fields) < 6 or len(after) < 2:
            continue
        found.append(
            Mounted(
                id=int(fields[0]),
                parent=int(fields[1]),
                target=plain(fields[4]),
                kind=after[0],
                source=plain(after[1]),
                is_read_only="ro" in fields[5].split(",") or (len(after) > 2 and "ro" in after[2].split(",")),
            )
        )
    return tuple(found)


def plain(text: str) -> str:
    """Space, tab, newline and backslash are written as octal numbers: `\\040`."""
    if "\\" not in text:
        return text
    import re  # which is dear, and few paths have a blank

    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def missing(mounted: tuple[Mounted, ...]) -> tuple[ApiMount, ...]:
    """What of the kernel's interface is mounted nowhere it should be."""
    there = {(mount.target, mount.kind) for mount in mounted}
    return tuple(api for api in API_MOUNTS if (api.target, api.kind) not in there)


def read_mountinfo() -> tuple[Mounted, ...]:
    """What is mounted now; nothing when /proc is not mounted."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return parse_mountinfo(file.read())
    except OSError:
        return ()


def mount_missing(tell: Callable[[str], None]) -> None:
    """Mount what is missing, and make the links. A failure is told and the boot goes on: a kernel without cgroups still
    boots."""
    mounted = read_mountinfo()
    for api in API_MOUNTS:
        if api not in missing(mounted):
            continue
        from linit.system.kernel import mount  # where there is something to mount

        try:
            os.makedirs(api.target, exist_ok=True)
            mount(api.kind, api.target, api.kind, api.flags, api.options)
            if api.is_told:
                tell(f"mounted {api.target} ({api.kind}), which the initramfs had not")
        except OSError as failure:
            tell(f"cannot mount {api.target} ({api.kind}): {error_words(failure)}")
        if api.kind == "proc":
            mounted = read_mountinfo()  # only now it tells
    make_links("/dev")


def make_links(folder: str) -> None:
    """The links that a folder of devices lacks. What is in their place stays; where none can be made there are none."""
    for name, target in DEVICE_LINKS.items():
        with contextlib.suppress(OSError):
            os.symlink(target, f"{folder}/{name}")
