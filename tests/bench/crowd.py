"""A thousand processes that somebody supervises: who they are, when they run, when they are gone, what it costs.

Each writes its pid into a FIFO and keeps that open until it dies: the same for whoever starts them, and no supervisor
is asked. Source: fifo(7), a reader finds the end when no writer is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

LIMIT_S: Final = 300.0  # in which nobody begins, or ends; then something is wrong
AGAIN_S: Final = 10.0


class TooLate(Exception):
    """What was waited for did not come."""


class Crowd:
    """The program `job`, and who runs it. `pids`: of those that were last seen to begin."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._fifo = fifo = str(folder / "fifo")
        os.mkfifo(fifo)
        self.job = folder / "job"
        self.job.write_text(f"#!/bin/sh\nexec 3>{fifo}\necho $$ >&3\nexec sleep 1000000\n")
        self.job.chmod(0o755)
        self.pids: list[int] = []
        self._rest = b""
        self._read_end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._own_end = os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)  # or there would be an end before there is a writer

    def fileno(self) -> int:
        """Readable when a process begins."""
        return self._read_end

    def take(self) -> int:
        """How many began that were not counted yet."""
        try:
            data = os.read(self._read_end, 65536)
        except BlockingIOError:
            return 0
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.pids += map(int, lines)
        return len(lines)

    def wait_begun(self, count: int) -> None:
        """Until so many have begun. Raises TooLate when none begins any more."""
        begun = 0
        while begun < count:
            if not select.select([self], [], [], LIMIT_S)[0]:
                raise TooLate(f"{begun} of {count} processes began, and no other one within {LIMIT_S:g} s")
            begun += self.take()

    def wait_gone(self) -> None:
        """Until none is left. Raises TooLate when none ends any more."""
        os.close(self._own_end)
        self._own_end = -1
        left = len(self.pids) + 1
        while True:
            if select.select([self], [], [], LIMIT_S)[0]:
                if not os.read(self._read_end, 65536):
                    return
            elif (living := len(self._living())) < left:
                left = living
            else:
                raise TooLate(f"{left} processes are left, and none has ended within {LIMIT_S:g} s")

    def _living(self) -> list[int]:
        return [pid for pid in self.pids if _link(f"/proc/{pid}/fd/3") == self._fifo]

    def close(self) -> None:
        """Whoever is left is killed."""
        kill(self._living())
        os.close(self._read_end)
        if self._own_end >= 0:
            os.close(self._own_end)


def kill(pids: Sequence[int]) -> None:
    """KILL to all of them."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # the process is gone


class Boss:
    """A supervisor that runs; at the end it is killed if it still lives. What it says goes to the file `log`."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=output,
            )  # fmt: skip
        self.pid = self._process.pid

    def wait_said(self, text: bytes) -> None:
        """Until it has said that on its standard output. Raises TooLate when it ends instead."""
        assert self._process.stdout is not None
        while text not in (line := self._process.stdout.readline()):
            if not line:
                raise TooLate(f"it never said {text!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal, and wait for its end. Raises TooLate."""
        until_s = time.monotonic() + LIMIT_S
        while time.monotonic() < until_s:
            self._process.send_signal(number)  # circusd loses one that comes while it still starts something
            try:
                self._process.wait(AGAIN_S)
            except subprocess.TimeoutExpired:
                continue
            return
        raise TooLate(f"it did not end within {LIMIT_S:g} s")

    def memory_bytes(self, but: Sequence[int]) -> int:
        """What it and what it keeps running, but for these pids, have for themselves. Source: proc_pid_smaps(5)."""
        family, todo = set(), [self.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(FileNotFoundError):  # it has ended since
                todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                family.add(pid)
        return sum(map(own_bytes, family - set(but)))


def own_bytes(pid: int) -> int:
    """The memory that a process shares with nobody."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended since
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024
