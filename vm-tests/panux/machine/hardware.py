"""What is a machine made of, as QEMU's command line."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.image.build import Image
from panux.image.linit_files import CONSOLE
from panux.machine.accelerator import ACCELERATION, CPU

QEMU: Final = "qemu-system-x86_64"
CONTROL_PORT: Final = "org.panux.linit.control"
AGENT_PORT: Final = "org.panux.agent"
KERNEL_ARGUMENTS: Final = (f"console={CONSOLE}", "root=/dev/vda", "rootfstype=ext4", "quiet", "loglevel=4")
TCG_KERNEL_ARGUMENTS: Final = ("mitigations=off",)
"""Mitigations guard against flaws of real processors, and cost time under emulation. (Others that are often named,
such as no_timer_check and tsc=reliable, made no difference that could be measured.)"""


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine's parts: memory in MiB, processors, host ports that lead to ssh and http in the guest."""

    accelerator: str
    memory_mib: int = 512
    cpus: int = 2
    ssh_port: int = 0
    http_port: int = 0
    watchdog: bool = False


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def default_cpus() -> int:
    """Two processors, or one where the host has no more."""
    return min(2, os.cpu_count() or 1)


def command(
    hardware: Hardware, image: Image, disk: Path, arguments: str, *, snapshot: bool = False, cache: str = "writeback"
) -> list[str]:
    """QEMU's command line without serial ports and control channels; `arguments` go to the kernel.

    With `snapshot` what the guest writes is thrown away; otherwise it is on the host's disk when the guest asked for
    that. (Power is cut with QEMU's own `quit`, which keeps what the guest had written: see Machine.crash.)
    """
    forwards = [
        f",hostfwd=tcp:127.0.0.1:{port}-:{guest_port}"
        for port, guest_port in ((hardware.ssh_port, 22), (hardware.http_port, 80))
        if port
    ]
    extra = TCG_KERNEL_ARGUMENTS if hardware.accelerator == "tcg" else ()
    line = " ".join([*KERNEL_ARGUMENTS, *extra, arguments]).strip()
    argv = [
        QEMU, "-nodefaults", "-no-user-config", "-name", "panux", "-machine", "q35,usb=off,sata=off,smbus=off,hpet=off",
        "-accel", ACCELERATION[hardware.accelerator], "-cpu", CPU[hardware.accelerator],
        "-smp", str(hardware.cpus), "-m", str(hardware.memory_mib), "-display", "none", "-rtc", "base=utc",
        "-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", line,
        "-drive", f"file={escaped(disk)},if=none,id=root,format=qcow2,discard=unmap"
                  f",cache={'unsafe' if snapshot else cache},snapshot={'on' if snapshot else 'off'}",
        "-device", "virtio-blk-pci,drive=root",
        "-netdev", "user,id=net0" + "".join(forwards),
        "-device", "virtio-net-pci,netdev=net0,romfile=",
        "-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0",
    ]  # fmt: skip
    if hardware.watchdog:
        argv += ["-device", "i6300esb", "-action", "watchdog=reset"]
    return argv


def escaped(path: Path) -> str:
    """A path inside a list of options, where a comma is written twice."""
    return str(path).replace(",", ",,")
