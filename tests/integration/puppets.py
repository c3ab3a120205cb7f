"""A service that does what a test tells it to, one line of Python at a time: nothing happens by the clock."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from tests.integration.running import Running, is_alive

PROGRAM: Final = """
import array, os, signal, socket, sys, time
folder = sys.argv[1]
address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\\0", 1)
def say(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        speaking.sendmsg([text.encode()], rights, 0, address)
def barrier():
    end, far_end = os.pipe()
    say("BARRIER=1", far_end)
    os.close(far_end)
    assert os.read(end, 1) == b""
    os.close(end)
def tell(text):
    with open(folder + "/told.new", "w") as file:
        file.write(str(text))
    os.rename(folder + "/told.new", folder + "/told")
orders = open(folder + "/orders")
for line in orders:
    exec(line)
"""
PYTHON: Final = [sys.executable, "-I", "-c"]


class Puppet:
    """A service `puppet` of a supervisor. `do` has it do something, `tell(x)` in that is for `told`."""

    def __init__(self, linit: Running, folder: Path) -> None:
        self.linit = linit
        self._folder = folder
        folder.mkdir()
        os.mkfifo(folder / "orders")
        # Both ends are held here, so nobody finds its end: fifo(7).
        self._orders = os.open(folder / "orders", os.O_RDWR | os.O_CLOEXEC)
        self.define()

    def define(self, program: str = PROGRAM, **keys: Any) -> None:
        """As it is to be, besides what it runs."""
        run = [*PYTHON, program, str(self._folder)]
        usual = {"run": run, "ready": "notify", "restart": {"policy": "always", "delay": "10ms"}}
        self.linit.define("puppet", **usual | keys)

    def boot(self, *options: str) -> None:
        """Start linit, and have the puppet say that it is ready; up it has been then, whatever came after that."""
        self.linit.start(*options)
        self.do("say('READY=1')")  # not before its changes are heard
        self.linit.wait_for_transition("puppet", "up")
        self.linit.wait(lambda: self.linit.has_booted, "the end of the boot")

    def do(self, line: str) -> None:
        """Have it do this next, whenever that is."""
        os.write(self._orders, line.encode() + b"\n")

    def ask(self, expression: str) -> str:
        """What it answers."""
        (self._folder / "told").unlink(missing_ok=True)
        self.do(f"tell({expression})")
        return self.told()

    def told(self) -> str:
        """What it tells next."""
        told = self._folder / "told"
        self.linit.ask_until(told.exists, "what the puppet tells")
        text = told.read_text()
        told.unlink()
        return text

    def say(self, words: str) -> None:
        """Have it say something to linit; returns when linit has heard it."""
        self.ask(f"(say({words!r}), barrier())")

    def status(self) -> dict[str, Any]:
        """What linit knows of it."""
        return dict(self.linit.call("status", name="puppet"))

    @property
    def pid(self) -> int:
        """Its main process."""
        return self.linit.pid("puppet")

    def renew(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Kill its process, and have the next one say that it is ready."""
        ups = sum(seen[:2] == ("puppet", "up") for seen in self.linit.transitions)
        os.kill(pid, number)
        # Until then it may take orders that are for the next one.
        self.linit.ask_until(lambda: not is_alive(pid), "its end")
        self.do("say('READY=1')")
        self.linit.wait_for_transition("puppet", "up", ups + 1)

    def restart(self) -> None:
        """As an operator does."""
        pid = self.pid
        number = self.linit.ask("restart", names=["puppet"])
        self.linit.ask_until(lambda: not is_alive(pid), "its end")
        self.do("say('READY=1')")
        self.linit.answer(number)

    def close(self) -> None:
        """The end of the test."""
        os.close(self._orders)
