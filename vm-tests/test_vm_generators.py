"""What only the machine knows becomes services: its kernel command line, consoles and fstab. services/README.md."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from panux.machine.disk import tools
from panux.machine.machine import WAIT_LIMIT_S, Machine

pytestmark = pytest.mark.vm

FOLDER: Final = "/etc/linit/generators"
BAD: Final = {
    "fails": "echo no such bus >&2\nexit 3\n",
    "hangs": 'echo "run: [/bin/sh]" > "$1/hung.yaml"\nsleep 1000\n',
    "nonsense": 'echo "run: [" > "$1/garbled.yaml"\n',
}
FAULTS: Final = (
    f"{FOLDER}/fails: found a program that exited with status 3: no such bus",
    f"{FOLDER}/hangs: found nothing after 10 s, killed",
    f"{FOLDER}/nonsense: found what is no definition (",
)
FSTAB: Final = "/dev/vdb /srv ext4 defaults 0 2\ntmpfs /srv/fast tmpfs size=1m 0 0\n"
ARGUMENTS: Final = "linit.want=redis,reddis console=ttyS1,115200 console=ttyS0"  # the last is the kernel's own


def test_consoles_wanted_services_and_fstab_become_services_and_bad_generators_are_left_out(
    new_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """In three boots: as the image is, with all that changed, and with nothing changed since."""
    disk, terminal = ext4_disk(tmp_path / "second.img"), tmp_path / "ttyS1"
    machine = new_machine(
        devices=(
            "-drive", f"file={disk},if=none,id=second,format=raw", "-device", "virtio-blk-pci,drive=second",
            "-serial", f"file:{terminal}",
        )
    )  # fmt: skip
    machine.start()
    machine.wait_for_runlevel("default")
    assert "compiling" not in machine.console.text, "the image's plan is made for this machine"
    for name, script in BAD.items():
        machine.copy_in(f"#!/bin/sh\n{script}".encode(), f"{FOLDER}/{name}", 0o755)
    machine.succeed(f"printf '{FSTAB}' >> /etc/fstab; linitctl disable redis")
    machine.shutdown()

    machine.start(ARGUMENTS)
    machine.wait_for_runlevel("default")
    shown = machine.console.text
    assert "/proc/cmdline changed" in shown
    assert "linit.want=reddis: no such service" in shown
    told = [fault["text"] for fault in machine.call("faults")["faults"]]
    for text in FAULTS:
        assert text in shown
        assert any(each.startswith(text) for each in told)
    assert {"hung", "garbled"}.isdisjoint(machine.control.states), "all that they wrote is left out"
    assert machine.boot_report()["failed"] == []
    the_wanted_service_runs(machine)
    the_second_console_has_a_login(machine, terminal)
    the_file_systems_are_mounted_in_order(machine)
    machine.shutdown()

    machine.start(ARGUMENTS)
    machine.wait_for_runlevel("default")
    assert "compiling" not in machine.console.text[len(shown) :], "while nothing changes no generator is run"
    the_wanted_service_runs(machine)


def ext4_disk(path: Path) -> Path:
    """An empty file system."""
    with path.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(path)], env=tools(), check=True)
    return path


def the_wanted_service_runs(machine: Machine) -> None:
    """And says why: nothing on the disk enables it."""
    assert machine.control.states["redis"] == "up"
    assert "linit.want=redis on the kernel command line" in machine.succeed("linitctl why redis")


def the_second_console_has_a_login(machine: Machine, terminal: Path) -> None:
    """Without any definition for it; the first one has its own still."""
    machine.wait_for_service("getty@ttyS1")
    assert "console=ttyS1,115200 on the kernel command line" in machine.succeed("linitctl why getty@ttyS1")
    limit_s = time.monotonic() + WAIT_LIMIT_S
    while b"panux login:" not in terminal.read_bytes() and time.monotonic() < limit_s:
        machine.pause(0.1)  # nothing tells the harness of what is written to a file
    assert b"panux login:" in terminal.read_bytes()


def the_file_systems_are_mounted_in_order(machine: Machine) -> None:
    """A disk is checked first, what is mounted below another comes after it, and localmount after both."""
    mounts = [line.split()[:3] for line in machine.succeed("grep ' /srv' /proc/mounts").splitlines()]
    assert mounts == [["/dev/vdb", "/srv", "ext4"], ["tmpfs", "/srv/fast", "tmpfs"]]
    assert needs(machine, "mount-srv") == {"root", "fsck"}
    assert needs(machine, "mount-srv-fast") == {"root", "mount-srv"}
    at_s = {each["name"]: each["at_s"] for each in machine.boot_report()["services"]}
    assert at_s["fsck"] < at_s["mount-srv"] < at_s["mount-srv-fast"] < at_s["localmount"]


def needs(machine: Machine, name: str) -> set[str]:
    """What a service needs, as linit has it."""
    edges = machine.call("deps", {"name": name})["edges"]
    return {edge["on"] for edge in edges if (edge["owner"], edge["kind"]) == (name, "need")}
