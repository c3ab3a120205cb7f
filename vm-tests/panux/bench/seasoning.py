"""Disks that were booted before: what an init keeps from one boot for the next is there.

OpenRC keeps its tree of dependencies, linit how long starts took, systemd its random seed and journal. A seasoned disk
is a copy of a peer's disk after one boot with a clean end, on two processors, at a time before that of every other
boot: nothing on it is of the future.
"""

from __future__ import annotations

import os
import subprocess
from typing import Final

from panux.bench.disk import Disk
from panux.bench.guest import Guest
from panux.bench.job import JobSet
from panux.bench.peers.peer import Peer
from panux.image.build import Image, growing
from panux.image.progress import Progress

BOOTS: Final = ("first", "second")
SETTLE_S: Final = 3
CLOCK: Final = "base=2026-01-15T11:00:00"
"""Before that of guest.ICOUNT_CLOCK, and after the time of all files."""
SHARED: Final = ("vmlinux", "initramfs.cpio", "manifest.json")


def seasoned(peer: Peer, disk: Disk, jobs: JobSet, progress: Progress) -> Disk:
    """The disk after one boot, made if it is not there. Raises MachineError where the peer does not boot and end."""
    fresh = disk.image.directory
    made = Image(fresh.with_name(f"{fresh.name}-seasoned"))
    if not made.root_disk.is_file():
        with progress.step(f"boot {peer.name} once, set {jobs.name}"), growing(made.directory) as new:
            overlay = new / "overlay.qcow2"
            with Guest(disk.image, "wall", jobs.writable_root, disk=overlay, clock=CLOCK) as guest:
                guest.wait_for("up")
                guest.ask(f"sleep {SETTLE_S}")
                guest.shut_down(peer.poweroff)
            subprocess.run(["qemu-img", "convert", "-O", "raw", str(overlay), str(new / "root.img")], check=True)
            overlay.unlink()
            for name in SHARED:
                os.link(fresh / name, new / name)
    return Disk(made, disk.size_bytes)
