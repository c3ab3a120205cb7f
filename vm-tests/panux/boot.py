"""The command `vm-tests/boot`: builds the image if that is needed and boots it on this terminal."""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from panux import places
from panux.faults import PanuxError
from panux.image.progress import Progress
from panux.image.sizes import size_table
from panux.machine.disk import RECORDINGS_FOLDER, copy_folder, lasting_overlay, scratch_overlay
from panux.machine.hardware import Hardware, command, default_cpus, free_port
from panux.machine.ssh import ssh_command
from panux.preparation import Prepared, prepare

DESCRIPTION = """\
Builds a Panux image, unless the one that is there is still right, and boots it on this terminal with linit as PID 1.
The disk keeps what you change in the machine; --snapshot and --fresh tell otherwise."""
EPILOG = f"""\
environment:
  {places.DOWNLOADS_VARIABLE:12}  the cache of downloads (${{XDG_CACHE_HOME:-~/.cache}}/panux)
  {places.WORK_VARIABLE:12}  images and disks (.cache/panux of this clone)"""


CLOCK_S: Final = 5.0
"""How far the guest's clock may be behind ours while it boots: it is set from one that counts seconds."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        "vm-tests/boot", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    machine = made.add_argument_group("the machine")
    machine.add_argument("--memory", type=int, default=512, metavar="MIB", help="memory in MiB (%(default)s)")
    machine.add_argument("--cpus", type=int, default=default_cpus(), metavar="N", help="processors (%(default)s)")
    machine.add_argument("--ssh-port", type=int, metavar="P", help="port of 127.0.0.1 that leads to ssh (a free one)")
    machine.add_argument("--http-port", type=int, metavar="P", help="port that leads to the web server (a free one)")
    boot = made.add_argument_group("the boot")
    boot.add_argument("--target", default="", metavar="RUNLEVEL", help="boot into this runlevel (default)")
    boot.add_argument("--append", default="", metavar="ARGUMENTS", help="more for the kernel command line")
    boot.add_argument("--snapshot", action="store_true", help="throw away what this boot writes to the disk")
    boot.add_argument("--plot", default="", metavar="FILE", help="when it is off, draw how the boot went (SVG)")
    image = made.add_argument_group("the image")
    image.add_argument("--fresh", action="store_true", help="build anew from new packages; drop your changes")
    image.add_argument("--mirror", default="", metavar="URL", help="Debian archive (the one apt uses on this machine)")
    image.add_argument("--offline", action="store_true", help="build from the cache of downloads alone")
    image.add_argument("--build-only", action="store_true", help="build the image, show its sizes, do not boot it")
    return made


def main() -> int:
    """Exit status 0, 1 for an error, 2 for a wrong option; QEMU's once that runs."""
    options = parser().parse_args()
    progress = Progress()
    try:
        prepared = prepare(progress, options.mirror, options.offline, options.fresh)
        if options.build_only:
            print(f"image: {prepared.image.directory}\n{size_table(prepared.image.sizes())}")
            return 0
        if options.plot:
            return plotted(prepared, options)
        boot(prepared, options)
    except PanuxError as error:
        print(f"vm-tests/boot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def boot(prepared: Prepared, options: argparse.Namespace) -> None:
    """Becomes QEMU, after telling how to reach the machine and how to leave it."""
    disk, note = held_disk(prepared, options)
    argv = machine(prepared, options, disk, "changes are thrown away" if options.snapshot else note)
    os.execvp(argv[0], argv)


def plotted(prepared: Prepared, options: argparse.Namespace) -> int:
    """Waits for the end of QEMU, then draws the boot from linit's recording on the disk; QEMU's exit status, or 1."""
    plot = Path(options.plot).absolute()
    begun_s = time.time() - CLOCK_S
    disk, note = held_disk(prepared, options)
    with tempfile.TemporaryDirectory(prefix="panux-") as scratch:
        if options.snapshot:  # what is thrown away is looked at before
            disk, note = scratch_overlay(Path(scratch) / "disk.qcow2", disk), "changes are thrown away"
            options.snapshot = False
        status = subprocess.run(machine(prepared, options, disk, note), check=False).returncode
        copy_folder(disk, RECORDINGS_FOLDER, Path(scratch))
        if not any(began_s(file) >= begun_s for file in Path(scratch).rglob("*.rec")):
            raise PanuxError("the boot cannot be drawn: linit had not written its recording when the machine went off")
        draw(Path(scratch), plot)
    print(f"the boot: {plot}")
    return status


def began_s(recording: Path) -> float:
    """When the boot of a recording began, as its name tells: linit/record/README.md."""
    return int(recording.name.split("-")[1], 16) / 1e9


def draw(log: Path, plot: Path) -> None:
    """Draws the last boot whose recording is below `log`. Raises PanuxError with what was wrong."""
    argv = [sys.executable, "-m", "linit.planning.analyze", "plot", "--log", str(log), "--output", str(plot)]
    environment = {**os.environ, "PYTHONPATH": str(places.REPOSITORY)}
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise PanuxError(f"the boot cannot be drawn: {ended.stderr.strip()}")


def held_disk(prepared: Prepared, options: argparse.Namespace) -> tuple[Path, str]:
    """The disk of this clone, held until we end, and what is to be said of it. Raises PanuxError."""
    work = places.work()
    hold(work / "disk.lock")
    disk = work / "disk.qcow2"
    return disk, lasting_overlay(disk, prepared.image, options.fresh)


def machine(prepared: Prepared, options: argparse.Namespace, disk: Path, note: str) -> list[str]:
    """QEMU's command line, after telling how to reach the machine and how to leave it."""
    hardware = Hardware(
        prepared.accelerator, options.memory, options.cpus, options.ssh_port or free_port(),
        options.http_port or free_port(),
    )  # fmt: skip
    target = f"linit.runlevel={options.target}" if options.target else ""
    arguments = " ".join(filter(None, (target, options.append)))
    argv = command(hardware, prepared.image, disk, arguments, snapshot=options.snapshot)
    argv += ["-chardev", "stdio,id=terminal,mux=on,signal=off"]
    argv += ["-serial", "chardev:terminal", "-mon", "chardev=terminal,mode=readline"]
    print(introduction(prepared, hardware, disk, note), flush=True)
    return argv


def hold(lock: Path) -> None:
    """Holds the disk until this process, or QEMU, has ended. Raises PanuxError if another machine has it."""
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PanuxError(f"this clone's machine runs already (it holds {lock})") from None


def introduction(prepared: Prepared, hardware: Hardware, disk: Path, note: str) -> str:
    """What the person is told before the machine takes the terminal."""
    ssh = shlex.join(ssh_command(prepared.key, hardware.ssh_port))
    speed = "KVM" if hardware.accelerator == "kvm" else "emulation (TCG): guests do not run under KVM here"
    return (
        f"\nPanux in QEMU: {hardware.memory_mib} MiB, {hardware.cpus} processors, {speed}\n"
        f"  disk   {disk} ({note})\n"
        f"  login  root, no password\n"
        f"  ssh    {ssh}\n"
        f"  http   http://127.0.0.1:{hardware.http_port}/\n"
        f"  leave  type poweroff in the machine; ctrl-a x cuts its power; ctrl-a h shows more keys\n"
    )


if __name__ == "__main__":
    sys.exit(main())
