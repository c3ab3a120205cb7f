"""linit's own protocol, spoken to PID 1 over a virtio-serial port.

MessagePack-RPC: request [0, id, method, params], response [1, id, error, result], notification [2, method, params];
params are a list of one map. After `hello` and `subscribe` the client holds the state of every service, which the
notifications keep true, so that waiting for a service is waiting for a message.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgpack

from panux.faults import ControlError, MachineError
from panux.machine.endpoint import Endpoint
from panux.machine.events import Loop

REQUEST: Final = 0
RESPONSE: Final = 1
NOTIFICATION: Final = 2
PROTOCOL: Final = 1


class Control(Endpoint):
    """A session with PID 1.

    `states` maps service names to states, `transitions` holds every change seen since the session began, `hello` is
    what PID 1 said of itself, `boot` the boot_finished notification once it came.
    """

    def __init__(self, loop: Loop, path: Path) -> None:
        super().__init__(loop, path)
        self.on_message: Callable[[str, dict[str, Any]], None] = lambda method, params: None
        self._last_id = self._session = 0
        self._forget_session()

    def _forget_session(self) -> None:
        """Begins anew, as after a reboot: request numbers go on, so that a late answer is known as such."""
        self._session += 1
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        self._answers: dict[int, tuple[Any, Any]] = {}
        self._unheeded: set[int] = set()
        self._hello_id = self._subscribe_id = 0
        self.hello: dict[str, Any] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.transitions: list[dict[str, Any]] = []
        self.boot: dict[str, Any] = {}
        self.boot_state = ""
        self.runlevel = ""

    @property
    def states(self) -> dict[str, str]:
        """The state of each service, as last told."""
        return {name: service.get("state", "") for name, service in self.services.items()}

    @property
    def is_subscribed(self) -> bool:
        """Has PID 1 answered `subscribe`?"""
        return self._subscribe_id == 0 and bool(self.hello)

    def begin(self) -> None:
        """Connects, and asks for hello and for all transitions; the answers come when PID 1 has opened its port."""
        self._forget_session()
        self.connect()
        self._hello_id = self._request("hello", {"client": "vm-tests", "protocol": PROTOCOL})
        self._subscribe_id = self._request("subscribe", {"topics": ["transitions"]})

    def call(self, method: str, params: dict[str, Any], timeout_s: float) -> Any:
        """What PID 1 answers. Raises ControlError if that is an error, MachineError if none comes in time."""
        session, number = self._session, self._request(method, params)
        answered = lambda: number in self._answers or self._session != session or not self.is_connected  # noqa: E731
        self._loop.wait(answered, timeout_s, lambda: f"linit's answer to {method} {params}")
        if number not in self._answers:
            raise MachineError(f"linit: {method}: the connection ended")
        error, result = self._answers.pop(number)
        if error is not None:
            raise control_error(error)
        return result

    def ask(self, method: str, params: dict[str, Any]) -> None:
        """Sends a request whose answer nobody waits for."""
        self._unheeded.add(self._request(method, params))

    def _request(self, method: str, params: dict[str, Any]) -> int:
        """Sends a request; its number."""
        self._last_id += 1
        self.send(msgpack.packb([REQUEST, self._last_id, method, [params]]))
        return self._last_id

    def on_bytes(self, data: bytes) -> None:
        """Takes messages in as they become whole."""
        self._unpacker.feed(data)
        for message in self._unpacker:
            if message[0] == RESPONSE:
                self._on_response(*message[1:])
            elif message[0] == NOTIFICATION:
                self._on_notification(message[1], message[2][0])

    def _on_response(self, number: int, error: Any, result: Any) -> None:
        """Keeps an answer for its caller; those to our own two requests fill the session's state."""
        if number in self._unheeded:
            self._unheeded.remove(number)
            return
        if number not in (self._hello_id, self._subscribe_id):
            self._answers[number] = (error, result)
            return
        if error is not None:
            raise control_error(error)
        if number == self._hello_id:
            self._hello_id = 0
            self.hello = result
        else:
            self._subscribe_id = 0
            self.services = {service["name"]: service for service in result["services"]}
        self.boot_state = result.get("boot_state", self.boot_state)
        self.runlevel = result.get("runlevel", self.runlevel) or self.runlevel

    def _on_notification(self, method: str, params: dict[str, Any]) -> None:
        """Keeps the state of services true."""
        if method == "transition":
            self.transitions.append(params)
            service = self.services.setdefault(params["name"], {"name": params["name"]})
            service["state"] = params["after"]
            service["text"] = params.get("text", "")
        elif method == "boot_finished":
            self.boot = params
            self.boot_state = "running"
            self.runlevel = params.get("runlevel", self.runlevel)
        self.on_message(method, params)


def control_error(error: Any) -> ControlError:
    """The error that a response carries."""
    if isinstance(error, dict):
        return ControlError(str(error.get("code")), str(error.get("message")), str(error.get("hint") or ""))
    return ControlError("error", str(error))
