"""A machine of the benchmark: QEMU with a peer's disk, what it tells on its console, and what its agent answers.

The guest's own clock, the kernel's time stamps in microseconds, is what everything is measured by. In the mode
`icount` that clock counts instructions: one processor, two nanoseconds each, and where the guest waits the clock jumps
to the end of the wait. So a run is the same on any host, however busy. In the mode `wall` it is the host's.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from panux.faults import MachineError
from panux.image.build import Image
from panux.machine.console import Console
from panux.machine.disk import check_file_system, create_overlay
from panux.machine.endpoint import Endpoint
from panux.machine.events import Loop
from panux.machine.hardware import Hardware, command
from panux.machine.process import Process
from panux.machine.qmp import Qmp

MODES: Final = ("icount", "wall")
PORT: Final = "org.panux.bench"
MEMORY_MIB: Final = 1024
WALL_CPUS: Final = 2
MIB: Final = 1024 * 1024
SMALL_GAP_MIB: Final = 4
BOOT_LIMIT_S: Final = 600.0
"""Of the host's time."""
ANSWER_LIMIT_S: Final = 300.0
STAMP: Final = re.compile(r"\[ *(\d+\.\d+)\] bench: (\w+)$", re.MULTILINE)
POWER_DOWN: Final = re.compile(r"\[ *(\d+\.\d+)\] reboot: Power down$", re.MULTILINE)
DONE: Final = re.compile(r"^bench-done (\d+)\n", re.MULTILINE)
ICOUNT: Final = ("-icount", "shift=1,sleep=off")
ICOUNT_CLOCK: Final = "base=2026-01-15T12:00:00,clock=vm"
"""The hardware clock too must not look at the host's."""


class Agent(Endpoint):
    """What came from the agent in the guest."""

    def __init__(self, loop: Loop, path: Path) -> None:
        super().__init__(loop, path)
        self.text = ""

    def on_bytes(self, data: bytes) -> None:
        """Keeps it."""
        self.text += data.decode("utf-8", "backslashreplace").replace("\r", "")


class Guest:
    """A machine that runs from the construction on; to be closed. `clock`: QEMU's -rtc, other than the mode has it."""

    def __init__(
        self,
        image: Image,
        mode: str,
        writable_root: bool,
        arguments: str = "",
        disk: Path | None = None,
        *,
        clock: str = "",
    ) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="bench-"))
        self.disk = disk or self._scratch / "disk.qcow2"
        if not self.disk.exists():
            create_overlay(self.disk, image)
        self._loop = Loop()
        self.console = Console(self._loop, self._scratch / "console", self._scratch / "console.log")
        self._qmp = Qmp(self._loop, self._scratch / "qmp")
        self._agent = Agent(self._loop, self._scratch / "agent")
        channels: dict[str, Endpoint] = {"console": self.console, "qmp": self._qmp, "agent": self._agent}
        inherited = []
        argv = machine_command(image, mode, self.disk, writable_root, arguments)
        if clock:
            argv[argv.index("-rtc") + 1] = clock
        for name, channel in channels.items():
            assert channel.listener is not None
            inherited.append(channel.listener.fileno())
            argv += ["-chardev", f"socket,id={name},fd={channel.listener.fileno()},server=on,wait=off"]
        argv += ["-serial", "chardev:console", "-mon", "chardev=qmp,mode=control", "-device", "virtio-serial-pci"]
        argv += ["-device", f"virtserialport,chardev=agent,name={PORT}"]
        self._process = Process(self._loop, argv, inherited, self._scratch / "qemu.log")
        for channel in channels.values():
            channel.connect()
            channel.release_listener()
        self._qmp.negotiate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        for channel in (self.console, self._qmp, self._agent):
            channel.disconnect()
        self._loop.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def wait_for(self, word: str, limit_s: float = BOOT_LIMIT_S) -> float:
        """The guest's time, in seconds, at which `bench: WORD` came on the console.

        Raises MachineError with the console's end where it does not come.
        """

        def found() -> str | None:
            return next((stamp for stamp, known in STAMP.findall(self.console.text) if known == word), None)

        self._wait(lambda: found() is not None or not self._process.is_running, limit_s, f"'bench: {word}'")
        stamp = found()
        if stamp is None:
            raise MachineError(f"the machine went off before 'bench: {word}'\n{self.console.end()}")
        return float(stamp)

    def ask(self, script: str, limit_s: float = ANSWER_LIMIT_S) -> tuple[int, str]:
        """Runs a line of shell in the guest; its status and what it said. Raises MachineError if it does not end."""
        begin = len(self._agent.text)
        self._agent.send(f"{script}\n".encode())

        def found() -> re.Match[str] | None:
            return DONE.search(self._agent.text, begin)

        self._wait(lambda: found() is not None or not self._process.is_running, limit_s, f"the end of '{script[:60]}'")
        end = found()
        if end is None:
            raise MachineError(f"the machine went off during '{script[:60]}'\n{self.console.end()}")
        return int(end[1]), self._agent.text[begin : end.start()]

    def stamps(self) -> dict[str, list[float]]:
        """The guest's times of every `bench: WORD` so far, by word."""
        _, said = self.ask("dmesg | grep 'bench: '")
        found: dict[str, list[float]] = {}
        for stamp, word in STAMP.findall(said):
            found.setdefault(word, []).append(float(stamp))
        return found

    def shut_down(self, script: str, limit_s: float = ANSWER_LIMIT_S) -> float:
        """Asks the init to switch off; the guest's seconds from there to the kernel's last word."""
        self._agent.send(f'echo "<2>bench: shutdown" >/dev/kmsg; {script}\n'.encode())
        self._wait(lambda: not self._process.is_running, limit_s, "the power to go off")
        end = POWER_DOWN.search(self.console.text)
        if end is None:
            raise MachineError(f"the machine went off without a word of the kernel\n{self.console.end()}")
        return float(end[1]) - self.wait_for("shutdown")

    def check_file_system(self) -> str:
        """What e2fsck says of the disk, the machine being off. Raises MachineError if it was not left clean."""
        return check_file_system(self.disk)

    def _wait(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        try:
            self._loop.wait(condition, limit_s, lambda: what)
        except MachineError as error:
            raise MachineError(f"{error}\n--- the console's end\n{self.console.end()}") from None


def machine_command(image: Image, mode: str, disk: Path, writable_root: bool, arguments: str) -> list[str]:
    """QEMU's command line without the channels, as for any Panux machine but for what the mode asks for."""
    counted = mode == "icount"
    hardware = Hardware("tcg", MEMORY_MIB, 1 if counted else WALL_CPUS)
    words = [
        "printk.devkmsg=on",
        "panic=-1",
        f"bench.copy={used_ranges(image.root_disk)}" if counted else "",
        "bench.rw=1" if writable_root else "",
        arguments,
    ]
    argv = command(hardware, image, disk, " ".join(filter(None, words)), cache="unsafe")
    argv += ["-no-reboot"]  # a panic ends the run
    if counted:
        argv[argv.index("-accel") + 1] = "tcg"
        argv[argv.index("-rtc") + 1] = ICOUNT_CLOCK
        argv += ICOUNT
    return argv


def used_ranges(disk: Path) -> str:
    """The MiB of a file that hold anything but zeros, as `FIRST+COUNT,...`; small gaps are taken along."""
    used = []
    with disk.open("rb") as opened:
        for number in range(disk.stat().st_size // MIB):
            if opened.read(MIB).strip(b"\0"):
                used.append(number)
    ranges: list[list[int]] = []
    for number in used:
        if ranges and number - sum(ranges[-1]) < SMALL_GAP_MIB:
            ranges[-1][1] = number - ranges[-1][0] + 1
        else:
            ranges.append([number, 1])
    return ",".join(f"{first}+{count}" for first, count in ranges)
