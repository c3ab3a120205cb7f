"""The QEMU process: started with the sockets that it inherits, watched until its end, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from panux.machine.events import Loop

WITH_PARENT: Final = ("setpriv", "--pdeathsig", "KILL")
"""Runs a command that the kernel ends when this process ends, however that happens: prctl(2), PR_SET_PDEATHSIG."""


class Process:
    """A running QEMU. Its own messages go to the file `log`."""

    def __init__(self, loop: Loop, argv: list[str], inherited: Iterable[int], log: Path) -> None:
        self._loop = loop
        self._log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [*WITH_PARENT, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=tuple(inherited),
                start_new_session=True,  # an interrupt typed at the tests must not reach the machine first
            )
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._loop.watch(self)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Has it not ended yet?"""
        return self._pidfd >= 0

    @property
    def messages(self) -> str:
        """What QEMU itself said."""
        return self._log.read_text(errors="backslashreplace").strip()

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._popen.returncode

    def fileno(self) -> int:
        """A descriptor that can be read when the process has ended: pidfd_open(2)."""
        return self._pidfd

    def on_readable(self) -> None:
        """It has ended."""
        self._popen.wait()
        self._loop.forget(self)
        os.close(self._pidfd)
        self._pidfd = -1

    def kill(self) -> None:
        """Ends it now, if it runs."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGKILL)
            self.on_readable()
