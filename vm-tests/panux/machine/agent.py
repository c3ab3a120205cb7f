"""Running commands as root inside a machine, over a virtio-serial port.

The other end is vm-tests/image/root/usr/lib/panux/vm-agent. One request at a time:

    ID LIMIT_S SCRIPT_BYTES INPUT_BYTES \\n  script  input
    ID STATUS BASE64(standard output) BASE64(standard error) \\n

An answer with another ID belongs to a request that was given up, and is dropped.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.faults import MachineError
from panux.machine.endpoint import Endpoint
from panux.machine.events import Loop

ANSWER_MARGIN_S: Final = 30.0
"""How long after a command's own limit its answer may come: a busy host slows the guest down."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command in the guest ended; a status above 128 is a signal's number plus 128."""

    status: int
    output: str
    errors: str
    raw_output: bytes


class Agent(Endpoint):
    """A session with the agent; requests wait in the socket until it has opened its port."""

    def __init__(self, loop: Loop, path: Path) -> None:
        super().__init__(loop, path)
        self._received = b""
        self._last_id = 0
        self._session = 0
        self._answer: Completed | None = None

    def begin(self) -> None:
        """Connects; what an earlier connection had received is dropped."""
        self._received = b""
        self._session += 1
        self.connect()

    def run(
        self, script: str, limit_s: float, standard_input: bytes = b"", margin_s: float = ANSWER_MARGIN_S
    ) -> Completed:
        """Runs `script` with sh as root. Raises MachineError if no answer comes in its limit and a margin."""
        self._last_id += 1
        self._answer = None
        text = script.encode()
        header = f"{self._last_id} {max(1, round(limit_s))} {len(text)} {len(standard_input)}\n"
        self.send(header.encode() + text + standard_input)
        session = self._session
        answered = lambda: self._answer is not None or self._session != session or not self.is_connected  # noqa: E731
        self._loop.wait(answered, limit_s + margin_s, lambda: f"the end of the command: {script[:200]}")
        if self._answer is None:
            raise MachineError(f"the connection to the agent ended during the command: {script[:200]}")
        return self._answer

    def on_bytes(self, data: bytes) -> None:
        """Reads whole lines."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            words = line.split(b" ")
            if len(words) != 4 or not words[0].isdigit() or int(words[0]) != self._last_id:
                continue
            try:
                output, errors = base64.b64decode(words[2]), base64.b64decode(words[3])
            except binascii.Error as error:
                raise MachineError(f"the agent: an answer that is not base64: {line[:100]!r}") from error
            decoded = output.decode("utf-8", "backslashreplace")
            self._answer = Completed(int(words[1]), decoded, errors.decode("utf-8", "backslashreplace"), output)
