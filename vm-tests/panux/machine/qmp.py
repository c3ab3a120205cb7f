"""QEMU's own control protocol: power, keys, resets.

QMP is JSON values over a stream; answers carry the id of their command, events come in between. Source:
docs/interop/qmp-spec.rst in QEMU.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from panux.faults import MachineError
from panux.machine.endpoint import Endpoint
from panux.machine.events import Loop


class Qmp(Endpoint):
    """A QMP session. `events` holds what QEMU told of, in order."""

    def __init__(self, loop: Loop, path: Path) -> None:
        super().__init__(loop, path)
        self.events: list[dict[str, Any]] = []
        self.on_event: Callable[[str], None] = lambda event: None
        self._received = b""
        self._answers: dict[int, dict[str, Any]] = {}
        self._last_id = 0

    def on_bytes(self, data: bytes) -> None:
        """Sorts whole lines into answers and events; QEMU ends each value with a line end."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            value = json.loads(line)
            if "event" in value:
                self.events.append(value)
                self.on_event(value["event"])
            elif "id" in value:
                self._answers[value["id"]] = value

    def negotiate(self, timeout_s: float = 30.0) -> None:
        """Leaves the state in which QMP answers only this one command."""
        self.command("qmp_capabilities", timeout_s=timeout_s)

    def command(self, name: str, timeout_s: float = 30.0, **arguments: Any) -> Any:
        """What QEMU answers to a command. Raises MachineError if that is an error, or if nothing comes."""
        self._last_id += 1
        number = self._last_id
        self.send(json.dumps({"execute": name, "arguments": arguments, "id": number}).encode() + b"\n")
        answered = lambda: number in self._answers or not self.is_connected  # noqa: E731
        self._loop.wait(answered, timeout_s, lambda: f"QEMU's answer to {name}")
        answer = self._answers.pop(number, {"error": {"desc": "it ended"}})
        if "error" in answer:
            raise MachineError(f"QEMU: {name}: {answer['error'].get('desc')}")
        return answer["return"]

    def count(self, event: str) -> int:
        """How often an event was told."""
        return sum(1 for known in self.events if known["event"] == event)

    def detail(self, event: str, key: str) -> Any:
        """A datum of the last event of this name; None if there was none."""
        told = [known for known in self.events if known["event"] == event]
        return told[-1].get("data", {}).get(key) if told else None
