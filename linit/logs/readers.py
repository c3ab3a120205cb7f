"""How does who reads the log know that everything is in it? It connects to a socket of the log process, which first
writes what had been said by then, and lets it go: the end of the connection is the answer.

Nothing is read from it. Whoever may not connect, or finds nobody, reads what there is. Source: unix(7).
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

NAME: Final = "log.sock"  # in the folder of the control socket; linitctl.logprocess knows it, too
MODE: Final = 0o660  # to connect takes the right to write
NEW: Final = f"{NAME}.new"
QUEUE_MAX: Final = 64


class Readers:
    """The socket. `fd`: readable when somebody asks; -1: there is none."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    @property
    def fd(self) -> int:
        """What to wait for."""
        return self._socket.fileno() if self._socket else -1

    def open(self, folder: str) -> None:
        """Listen in `folder`, in place of an earlier log process. Where that does not go nobody can ask."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            _listen(made, folder)
        except OSError:
            made.close()
        else:
            self._socket = made

    def accept(self) -> list[socket.socket]:
        """Who asks now. Closed, they are let go."""
        found: list[socket.socket] = []
        with contextlib.suppress(OSError):
            while self._socket is not None and len(found) < QUEUE_MAX:
                found.append(self._socket.accept()[0])
        return found


def _listen(made: socket.socket, folder: str) -> None:
    """Raises OSError."""
    at = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(NEW, dir_fd=at)
        made.bind(f"/proc/self/fd/{at}/{NEW}")  # the folder's own path may be longer than a socket's
        os.chmod(NEW, MODE, dir_fd=at)
        made.listen(QUEUE_MAX)
        os.rename(NEW, NAME, src_dir_fd=at, dst_dir_fd=at)  # who finds it is not refused
    finally:
        os.close(at)
