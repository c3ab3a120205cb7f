"""The initramfs: busybox, a few modules and a script that mounts the root and hands over to init.

Written in the "newc" form of cpio (Documentation/driver-api/early-userspace/buffer-format.rst in Linux) by this
module, so that neither cpio nor root's rights are needed for the console device that it holds. It is not compressed:
QEMU copies it into the guest's memory, where unpacking would cost more than the copy.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORIES: Final = ("bin", "dev", "proc", "sys", "run", "newroot", "modules")


@dataclass(frozen=True, slots=True)
class Entry:
    """One member: path without a leading slash, type and permissions, content, device number."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def pack(entries: Iterable[Entry]) -> bytes:
    """The archive of these entries; all belong to root, all times are 0, so equal entries give equal archives."""
    packed = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.path.encode() + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, *entry.device, len(name), 0)
        packed += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        packed += b"\0" * (-len(packed) % 4) + entry.content
        packed += b"\0" * (-len(packed) % 4)
    return bytes(packed)


def initramfs(busybox: Path, modules: Iterable[Path], script: Path) -> bytes:
    """The initramfs with these modules, loaded in this order, and `script` as /init."""
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES]
    entries.append(Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))  # the kernel opens it before /init runs
    entries.append(Entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    for number, module in enumerate(modules):
        entries.append(Entry(f"modules/{number:02}-{module.name}", stat.S_IFREG | 0o644, module.read_bytes()))
    entries.append(Entry("init", stat.S_IFREG | 0o755, script.read_bytes()))
    return pack(entries)
