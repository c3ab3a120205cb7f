"""A machine: QEMU running an image, and verbs to speak to it, as in the NixOS test driver.

    with Machine(image) as machine:
        machine.start()
        machine.wait_for_runlevel("default")
        assert machine.succeed("hostname") == "panux\\n"

Every wait is for an event and has a deadline. When it passes, the MachineError shows the last state of the services
and the end of the console.
"""

from __future__ import annotations

import http.client
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from panux.faults import MachineError
from panux.image.build import Image
from panux.machine.agent import Agent, Completed
from panux.machine.console import Console
from panux.machine.control import Control
from panux.machine.disk import RECORDINGS_FOLDER, check_file_system, copy_folder, create_overlay
from panux.machine.endpoint import Endpoint
from panux.machine.events import Loop
from panux.machine.hardware import AGENT_PORT, CONTROL_PORT, Hardware, command, free_port
from panux.machine.process import Process
from panux.machine.qmp import Qmp
from panux.machine.ssh import ssh_command
from panux.places import REPOSITORY

# Only what hangs comes to these: an emulated machine on a busy host is ten times slower than on a quiet one.
BOOT_LIMIT_S: Final = 600.0
WAIT_LIMIT_S: Final = 300.0
COMMAND_LIMIT_S: Final = 300.0
DIAGNOSIS_MARGIN_S: Final = 10.0
"""How much longer than its limit a command may take whose answer is only for the report of a failed test."""
AGENT_SERVICE: Final = "vm-agent"
STARTS: Final = 5
"""How often QEMU is started again where another process took a port that was free a moment before."""
LOGS_SCRIPT: Final = "cd /var/log/linit && grep '' *.log | sort -t : -k 2 | tail -n 60; dmesg | tail -n 20"
"""The last lines of all services in order of time: each begins with the file's name, then the time."""
RECORDING_SCRIPT: Final = "linitctl record save /run/linit/saved.rec >&2 && cat /run/linit/saved.rec"
CONTROL_ARGUMENT: Final = f"linit.control_port={CONTROL_PORT} panic=-1"


class Machine:
    """A machine with a disk of its own over `image`; nothing runs before `start`.

    `disk` is an existing overlay of the image to use; without one the machine gets a new one, which goes with it.
    `arguments` are added to the kernel command line. `directory` is where the logs stay; without one they go too.
    `key` is the private key that the image lets in by ssh. `devices` are further arguments of QEMU.
    """

    def __init__(
        self,
        image: Image,
        accelerator: str,
        *,
        disk: Path | None = None,
        directory: Path | None = None,
        key: Path | None = None,
        arguments: str = "",
        memory_mib: int = 512,
        cpus: int = 2,
        watchdog: bool = False,
        devices: Sequence[str] = (),
    ) -> None:
        self.image = image
        self.key = key
        self.devices = devices
        self.arguments = arguments
        self.hardware = Hardware(accelerator, memory_mib, cpus, watchdog=watchdog)
        self._scratch = Path(tempfile.mkdtemp(prefix="panux-"))  # short: a Unix socket's path has 107 bytes at most
        self.directory = directory or self._scratch
        self.directory.mkdir(parents=True, exist_ok=True)
        self.disk = disk or self._scratch / "disk.qcow2"
        if disk is None:
            create_overlay(self.disk, image)
        self.loop = Loop()
        self.boots = 0
        self._process: Process | None = None
        self._starts = 0
        self._silent_at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- power

    def start(self, extra_arguments: str = "") -> None:
        """Switches the machine on. Raises MachineError if QEMU does not run."""
        assert not self.is_running, "the machine runs already"
        for attempt in range(STARTS):
            self.hardware = Hardware(
                self.hardware.accelerator, self.hardware.memory_mib, self.hardware.cpus, free_port(), free_port(),
                self.hardware.watchdog,
            )  # fmt: skip
            self._launch(f"{CONTROL_ARGUMENT} {self.arguments} {extra_arguments}".strip())
            try:
                self.qmp.negotiate()
                return
            except MachineError:
                self.process.kill()
                self._close_channels()
                if attempt == STARTS - 1 or "forwarding" not in self.process.messages:
                    raise MachineError(f"QEMU does not run: {self.process.messages}") from None

    def _launch(self, arguments: str) -> None:
        """Starts QEMU with its channels."""
        self._starts += 1
        sockets = self._scratch / str(self._starts)
        sockets.mkdir()
        self.console = Console(self.loop, sockets / "console", self.directory / "console.log")
        self.qmp = Qmp(self.loop, sockets / "qmp")
        self.control = Control(self.loop, sockets / "control")
        self.agent = Agent(self.loop, sockets / "agent")
        argv = command(self.hardware, self.image, self.disk, arguments, cache="unsafe")
        argv += ["-device", "virtio-serial-pci"]
        inherited: list[int] = []
        for name, channel in self._channels.items():
            assert channel.listener is not None
            number = channel.listener.fileno()
            inherited.append(number)
            argv += ["-chardev", f"socket,id={name},fd={number},server=on,wait=off"]
        argv += ["-serial", "chardev:console", "-mon", "chardev=qmp,mode=control"]
        argv += ["-device", f"virtserialport,chardev=control,name={CONTROL_PORT}"]
        argv += ["-device", f"virtserialport,chardev=agent,name={AGENT_PORT}", *self.devices]
        self._process = Process(self.loop, argv, inherited, self.directory / "qemu.log")
        self.console.connect()
        self.qmp.on_event = self._on_qemu_event
        self.qmp.connect()
        self._begin_boot()
        for channel in self._channels.values():
            channel.release_listener()

    @property
    def _channels(self) -> dict[str, Endpoint]:
        """The sockets to QEMU by the name of their character device."""
        return {"console": self.console, "qmp": self.qmp, "control": self.control, "agent": self.agent}

    def _on_qemu_event(self, event: str) -> None:
        """The guest restarts: whoever answered before is gone.

        A guest asks for a reset until it gets it, and QEMU tells of each: where the machine has said nothing since the
        last one, it is still the same.
        """
        if event == "RESET" and (self.control.hello or len(self.console.text) != self._silent_at):
            self._begin_boot()

    def _begin_boot(self) -> None:
        """Connects to what will answer in the guest, and has linit start the agent, as soon as it listens."""
        self.boots += 1
        self._silent_at = len(self.console.text)
        self.control.begin()
        self.control.ask("start", {"names": [AGENT_SERVICE], "wait": False})
        self.agent.begin()

    @property
    def process(self) -> Process:
        """The QEMU process of the last start."""
        assert self._process is not None, "the machine was never started"
        return self._process

    @property
    def is_running(self) -> bool:
        """Is the machine on?"""
        return self._process is not None and self._process.is_running

    def crash(self) -> None:
        """Cuts the power: the guest runs no further instruction; what it had written to the disk stays."""
        if self.is_running:
            self.qmp.send(b'{"execute": "quit"}\n')
            self.wait_for_shutdown()

    def shutdown(self, timeout_s: float = WAIT_LIMIT_S) -> None:
        """Asks linit to power off, and waits until the machine is off."""
        self.execute("poweroff", check_answer=False)
        self.wait_for_shutdown(timeout_s)

    def wait_for_shutdown(self, timeout_s: float = WAIT_LIMIT_S) -> None:
        """Waits until the machine is off."""
        self._wait(lambda: not self.is_running, timeout_s, "the power to go off", ends=False)

    def reboot(self, timeout_s: float = BOOT_LIMIT_S) -> None:
        """Asks linit to reboot, and waits until the new boot has finished."""
        before = self.boots
        self.execute("reboot", check_answer=False)
        self.wait_for_boots(before + 1, timeout_s)
        self.wait_for_runlevel(timeout_s=timeout_s)

    def check_file_system(self) -> str:
        """What e2fsck says of the disk of this machine, which must be off. Raises MachineError if it is not clean."""
        assert not self.is_running, "the disk is in use"
        return check_file_system(self.disk)

    def wait_for_boots(self, count: int, timeout_s: float = BOOT_LIMIT_S) -> None:
        """Waits until the machine was reset so often that this is its boot number `count`; the first is 1."""
        self._wait(lambda: self.boots >= count, timeout_s, f"boot {count}")

    def ctrl_alt_del(self) -> None:
        """Presses these keys."""
        keys = [{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")]
        self.qmp.command("send-key", keys=keys)

    def power_button(self) -> None:
        """Presses the power button."""
        self.qmp.command("system_powerdown")

    def close(self) -> None:
        """Switches the machine off without a word to the guest, and removes what was its own."""
        if self._process is not None:
            self._process.kill()
            self._close_channels()
        self.loop.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _close_channels(self) -> None:
        for channel in self._channels.values():
            channel.disconnect()
            channel.release_listener()
        self.console.close()

    # --- waiting

    def wait_for_linit(self, timeout_s: float = BOOT_LIMIT_S) -> dict[str, Any]:
        """Waits until PID 1 answers; what it says of itself."""
        self._wait(lambda: self.control.is_subscribed, timeout_s, "linit to answer on its control port")
        return self.control.hello

    def wait_for_runlevel(self, name: str = "", timeout_s: float = BOOT_LIMIT_S) -> dict[str, Any]:
        """Waits until the boot has finished, in the runlevel `name` if one is given; the boot_finished notification.

        It is empty where the boot had finished before we asked.
        """
        finished = lambda: self.control.boot_state == "running" and name in ("", self.control.runlevel)  # noqa: E731
        self._wait(finished, timeout_s, f"the boot into runlevel {name or '(any)'} to finish")
        return self.control.boot

    def wait_for_service(self, name: str, state: str = "up", timeout_s: float = WAIT_LIMIT_S) -> None:
        """Waits until a service is in a state. Raises MachineError also if it is `failed`, when that is not awaited."""
        self._wait(lambda: self.control.states.get(name) in (state, "failed"), timeout_s, f"{name} to be {state}")
        if (found := self.control.states.get(name)) != state:
            raise MachineError(self._explained(f"{name} is {found}, not {state}"))

    def wait_for_transition(
        self, name: str, after: str, since: int = 0, timeout_s: float = WAIT_LIMIT_S
    ) -> dict[str, Any]:
        """Waits for a change of a service to the state `after`, and returns it.

        The first counts that is at or after number `since` in `control.transitions`, so that a state which lasts only
        a moment is not missed.
        """

        def found() -> dict[str, Any] | None:
            seen = self.control.transitions[since:]
            return next((change for change in seen if (change["name"], change["after"]) == (name, after)), None)

        self._wait(lambda: found() is not None, timeout_s, f"{name} to become {after}")
        return found() or {}

    def wait_for_console(self, pattern: str, begin: int = 0, timeout_s: float = WAIT_LIMIT_S) -> re.Match[str]:
        """Waits until the console shows what matches a regular expression (`^` and `$` at line ends)."""
        self._wait(lambda: self.console.has(pattern, begin) is not None, timeout_s, f"/{pattern}/ on the console")
        match = self.console.has(pattern, begin)
        assert match is not None
        return match

    def pause(self, duration_s: float) -> None:
        """Lets the machine run for a time while taking in what it says: for tests that nothing happens."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            self.loop.turn(left_s)

    def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str, ends: bool = True) -> None:
        """Waits; an error is explained. With `ends`, the end of QEMU ends the wait."""
        begun_s = time.monotonic()
        try:
            self.loop.wait(lambda: condition() or (ends and not self.is_running), timeout_s, lambda: what)
        except MachineError as error:
            raise MachineError(self._explained(str(error))) from None
        if not condition():
            waited_s = time.monotonic() - begun_s
            raise MachineError(self._explained(f"the machine went off after {waited_s:.1f} s of waiting for {what}"))

    def _explained(self, what: str) -> str:
        """An error's text with the last state and the end of the console."""
        return f"{what}\n{self.describe()}"

    def describe(self) -> str:
        """The state of the machine as last seen, without asking it anything."""
        not_up = {name: state for name, state in sorted(self.control.states.items()) if state not in ("up", "down")}
        lines = [
            f"machine: {'on' if self.is_running else 'off'}, boot {self.boots}, "
            f"linit {self.control.boot_state or 'silent'}, runlevel {self.control.runlevel or '(none)'}",
            *(f"  {name}: {state}  {self.control.services[name].get('text', '')}" for name, state in not_up.items()),
        ]
        if self.process.messages:
            lines.append(f"QEMU: {self.process.messages}")
        return "\n".join([*lines, "--- the console's end", self.console.end()])

    # --- speaking to the guest

    def call(self, method: str, params: dict[str, Any] | None = None, timeout_s: float = WAIT_LIMIT_S) -> Any:
        """What PID 1 answers to a request of its own protocol. Raises ControlError where that is an error."""
        self.wait_for_linit()
        return self.control.call(method, params or {}, timeout_s)

    def execute(
        self, script: str, timeout_s: float = COMMAND_LIMIT_S, standard_input: bytes = b"", check_answer: bool = True
    ) -> Completed:
        """Runs a shell script as root and waits for its end, which is forced after `timeout_s`.

        Without `check_answer` no answer is a status of -1, as for a command that stops the machine.
        """
        try:
            return self.agent.run(script, timeout_s, standard_input)
        except MachineError as error:
            if not check_answer:
                return Completed(-1, "", str(error), b"")
            raise MachineError(self._explained(str(error))) from None

    def succeed(self, *scripts: str, timeout_s: float = COMMAND_LIMIT_S) -> str:
        """Runs scripts one after another, each of which must end with status 0; their output."""
        output = ""
        for script in scripts:
            done = self.execute(script, timeout_s)
            if done.status:
                raise MachineError(f"{script}: status {done.status}, expected 0\n{done.output}{done.errors}")
            output += done.output
        return output

    def fail(self, *scripts: str, timeout_s: float = COMMAND_LIMIT_S) -> str:
        """Runs scripts, each of which must end with another status than 0; their output and errors."""
        output = ""
        for script in scripts:
            done = self.execute(script, timeout_s)
            if not done.status:
                raise MachineError(f"{script}: status 0, expected another\n{done.output}{done.errors}")
            output += done.output + done.errors
        return output

    def copy_in(self, source: Path | bytes, target: str, mode: int = 0o644) -> None:
        """Writes a file of the host, or bytes, to the path `target` in the guest; its directory is made."""
        content = source if isinstance(source, bytes) else source.read_bytes()
        path = shlex.quote(target)
        script = f'mkdir -p "$(dirname {path})" && cat > {path} && chmod {mode:o} {path}'
        done = self.execute(script, COMMAND_LIMIT_S * 2, content)
        if done.status:
            raise MachineError(f"{target}: {done.errors.strip()}")

    def copy_out(self, source: str) -> bytes:
        """The content of a file in the guest."""
        done = self.execute(f"cat {shlex.quote(source)}", COMMAND_LIMIT_S * 2)
        if done.status:
            raise MachineError(f"{source}: {done.errors.strip()}")
        return done.raw_output

    def ssh(self, script: str, timeout_s: float = COMMAND_LIMIT_S) -> str:
        """Runs a script over ssh, which must end with status 0; its output."""
        assert self.key is not None, "ssh needs the key that the image lets in"
        argv = [*ssh_command(self.key, self.hardware.ssh_port), "-o", "BatchMode=yes", script]
        try:
            ended = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise MachineError(self._explained(f"ssh: no end of '{script}' after {timeout_s:g} s")) from None
        if ended.returncode:
            raise MachineError(f"ssh: {script}: status {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def http_get(self, path: str = "/", timeout_s: float = COMMAND_LIMIT_S) -> tuple[int, str]:
        """Status and text of what the web server of the guest answers. Raises MachineError if it does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.hardware.http_port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "backslashreplace")
        except (OSError, http.client.HTTPException) as error:
            raise MachineError(f"http: GET {path}: {error!r}") from error
        finally:
            connection.close()

    def boot_report(self) -> Any:
        """linit's report of the boot."""
        return self.call("report")

    def recording(self) -> bytes:
        """linit's recording of this boot, for `linitctl replay`; b"" where it has none.

        Raises MachineError where the guest does not answer.
        """
        return self.agent.run(RECORDING_SCRIPT, limit_s=20, margin_s=DIAGNOSIS_MARGIN_S).raw_output

    def salvaged_recording(self) -> bytes:
        """The last recording that reached the disk of a machine which no longer answers; b"" if none did.

        Its power is cut first.
        """
        if self.is_running:
            try:
                self.qmp.send(b'{"execute": "quit"}\n')
                self._wait(lambda: not self.is_running, DIAGNOSIS_MARGIN_S, "QEMU to end", ends=False)
            except MachineError:
                self.process.kill()
        with tempfile.TemporaryDirectory() as scratch:
            copy_folder(self.disk, RECORDINGS_FOLDER, Path(scratch))
            saved = Path(scratch) / "saved.rec"
            command = [sys.executable, "-m", "linit.replay", "record", "save", str(saved), "--log", scratch]
            subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
            return saved.read_bytes() if saved.is_file() else b""

    def diagnosis(self) -> str:
        """For the report of a failed test: state, console, and the service logs as far as the guest still answers."""
        logs = "the machine is off"
        if self.is_running:
            try:
                logs = self.agent.run(LOGS_SCRIPT, limit_s=10, margin_s=DIAGNOSIS_MARGIN_S).output
            except MachineError as error:
                logs = str(error)
        return f"{self.describe()}\n--- service logs\n{logs}"
