"""Where is the virtio port on which the machine's host speaks the control protocol?

`linit.control_port=NAME` names it; the kernel shows the names in /sys/class/virtio-ports. Watching the port (a host
that comes and goes must not make PID 1 spin) is linit.control.watch's. Source: drivers/char/virtio_console.c.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from linit.runtime.failure import error_words
from linit.runtime.loop import Loop

PORTS: Final = "/sys/class/virtio-ports"
# The host names a port in a message that comes some time after the driver found the device; nothing tells PID 1.
LOOK_AGAIN_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def find(name: str, ports: str = PORTS) -> str:
    """The device of the port with this name, "vport0p1"; "" when there is none (yet)."""
    try:
        entries = sorted(os.listdir(ports))
    except OSError:
        return ""
    for entry in entries:
        try:
            with open(f"{ports}/{entry}/name", encoding="utf-8", errors="replace") as file:
                if file.read().rstrip("\n") == name:
                    return entry
        except OSError:
            continue
    return ""


class ControlPort:
    """Looks for the port and gives its descriptor to `attach`, which takes it over. Gives up, told, after 20 s."""

    def __init__(
        self,
        name: str,
        loop: Loop,
        attach: Callable[[int], object],
        tell: Callable[[str], object],
        *,
        ports: str = PORTS,
        devices: str = "/dev",
    ) -> None:
        self._name = name
        self._loop = loop
        self._attach = attach
        self._tell = tell
        self._ports = ports
        self._devices = devices
        self._again_s = iter(LOOK_AGAIN_S)

    def look(self) -> None:
        """Attach the port if it is there, else look again later."""
        device = find(self._name, self._ports)
        if not device:
            self._later(f"there is no port of that name in {self._ports}")
            return
        try:
            fd = os.open(f"{self._devices}/{device}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as failure:
            self._later(error_words(failure))
            return
        self._attach(fd)

    def _later(self, why: str) -> None:
        delay_s = next(self._again_s, None)
        if delay_s is None:
            self._tell(f"linit.control_port={self._name}: {why}")
        else:
            self._loop.call_at(self._loop.time() + delay_s, self.look)
