"""The serial console: everything that the machine said, with the time at which it said it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import IO

from panux.machine.endpoint import Endpoint
from panux.machine.events import Loop


class Console(Endpoint):
    """Collects the output of ttyS0, and writes it to `log` with the seconds since the machine's start before a line."""

    def __init__(self, loop: Loop, path: Path, log: Path) -> None:
        super().__init__(loop, path)
        self.text = ""
        self.started_s = time.monotonic()
        self._log: IO[str] = log.open("a", encoding="utf-8", errors="backslashreplace")
        self._at_line_start = True

    def on_bytes(self, data: bytes) -> None:
        """Adds to the text and the log; carriage returns are dropped."""
        text = data.decode("utf-8", "backslashreplace").replace("\r", "")
        self.text += text
        stamp = f"[{time.monotonic() - self.started_s:8.3f}] "
        for line in text.splitlines(keepends=True):
            self._log.write((stamp if self._at_line_start else "") + line)
            self._at_line_start = line.endswith("\n")
        self._log.flush()

    def has(self, pattern: str, begin: int = 0) -> re.Match[str] | None:
        """The first place after character `begin` that matches the regular expression."""
        return re.compile(pattern, re.MULTILINE).search(self.text, begin)

    def end(self, lines: int = 40) -> str:
        """The last lines."""
        return "\n".join(self.text.splitlines()[-lines:])

    def type(self, text: str) -> None:
        """Sends `text` as if typed."""
        self.send(text.encode())

    def close(self) -> None:
        """Ends connection and log."""
        self.disconnect()
        self.release_listener()
        self._log.close()
