"""A Unix socket between the harness and a QEMU character device.

The harness makes the listening socket and gives QEMU its descriptor, so there is no moment at which QEMU runs and
cannot be reached, and a connection can be made anew when the guest restarts.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from panux.faults import MachineError
from panux.machine.events import Loop

CHUNK_BYTES: Final = 1 << 16
SEND_LIMIT_S: Final = 300.0


class Endpoint:
    """The harness's side. A subclass says what to do with what comes, in `on_bytes`."""

    def __init__(self, loop: Loop, path: Path) -> None:
        self._loop = loop
        self._path = path
        self.listener: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self._stream: socket.socket | None = None

    @property
    def is_connected(self) -> bool:
        """Is there a connection to QEMU?"""
        return self._stream is not None

    def release_listener(self) -> None:
        """Closes our copy of the listening socket, once QEMU has inherited it."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def connect(self) -> None:
        """Connects, after dropping the connection that there was."""
        self.disconnect()
        self._stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream.settimeout(SEND_LIMIT_S)
        self._stream.connect(str(self._path))
        self._loop.watch(self)

    def disconnect(self) -> None:
        """Drops the connection, if there is one."""
        if self._stream is not None:
            self._loop.forget(self)
            self._stream.close()
            self._stream = None

    def fileno(self) -> int:
        """The descriptor of the connection; -1 without one."""
        return self._stream.fileno() if self._stream is not None else -1

    def send(self, data: bytes) -> None:
        """Writes all of `data`; blocks while QEMU takes none, as it does until the guest reads.

        Raises MachineError where there is no connection or it ends, or nobody reads for SEND_LIMIT_S.
        """
        if self._stream is None:
            raise MachineError(f"{self._path.name}: there is no connection; does the machine run?")
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise MachineError(f"{self._path.name}: {error}") from error

    def on_readable(self) -> None:
        """Takes in what came, or drops the connection at its end."""
        assert self._stream is not None
        try:
            data = self._stream.recv(CHUNK_BYTES)
        except ConnectionResetError:
            data = b""
        if data:
            self.on_bytes(data)
        else:
            self.disconnect()

    def on_bytes(self, data: bytes) -> None:
        """What to do with what came."""
        raise NotImplementedError
