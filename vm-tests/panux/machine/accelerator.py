"""Do guests really run under KVM here?

That /dev/kvm exists proves nothing: where nested virtualisation is half there, guests hang on it. So a guest is booted
once, which says a word and powers off; the answer is kept until the host itself boots again.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

MARKER: Final = b"panux: guests run here"
LIMIT_S: Final = 8.0
"""A guest under KVM needs about one second to say it."""

CPU: Final = {"kvm": "host", "tcg": "max,-erms,-fsrm"}
"""TCG runs the string instructions that ERMS and FSRM promise to be fast a byte at a time; without the promise, libc
and kernel choose loops of wide moves, and Python runs about twice as fast."""
ACCELERATION: Final = {"kvm": "kvm", "tcg": "tcg,thread=multi"}


def accelerator(kernel: Path, probe: Path, remembered: Path) -> str:
    """ "kvm" or "tcg"; `remembered` is a file that keeps the answer for this boot of the host."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        known = json.loads(remembered.read_text())
    except (OSError, ValueError):
        known = {}
    if known.get("boot_id") != boot_id:
        known = {"boot_id": boot_id, "accelerator": "kvm" if guests_run(kernel, probe) else "tcg"}
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(known))
    return str(known["accelerator"])


def guests_run(kernel: Path, probe: Path) -> bool:
    """Does a guest under KVM get as far as to run a program, within LIMIT_S?"""
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "kvm", "-cpu", "host",
        "-m", "256", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(kernel),
        "-initrd", str(probe), "-append", "console=ttyS0 quiet panic=-1",
    ]  # fmt: skip
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return MARKER in ended.stdout
