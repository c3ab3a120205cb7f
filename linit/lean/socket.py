"""Sockets without the library's module, which makes enumerations of all their constants, and loads selectors.

`socket` is the C type with what the library adds to it, as far as linit uses that; the constants are numbers.
"""

from __future__ import annotations

import _socket
import sys
from _socket import *  # noqa: F403 the same names, and the functions behind the library's
from typing import Any

FD_BYTES = 4  # of a descriptor in a message: an int


class socket(_socket.socket):  # type: ignore[no-redef]
    """A socket. Those that `accept` gives are of this class."""

    __slots__ = ()

    def accept(self) -> tuple[socket, Any]:
        """A connection and its address. Raises OSError."""
        fd, address = self._accept()  # type: ignore[attr-defined]
        return socket(fileno=fd), address

    def __enter__(self) -> socket:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def send_fds(by: _socket.socket, buffers: Any, fds: Any, flags: int = 0, _address: None = None) -> int:
    """Send bytes with descriptors. Source: unix(7), SCM_RIGHTS."""
    numbers = b"".join(fd.to_bytes(FD_BYTES, sys.byteorder) for fd in fds)
    sent: int = by.sendmsg(buffers, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)])
    return sent


def recv_fds(by: _socket.socket, size: int, most: int, flags: int = 0) -> tuple[bytes, list[int], int, Any]:
    """Bytes, descriptors, flags and the sender's address."""
    fds: list[int] = []
    data, beside, got_flags, address = by.recvmsg(size, _socket.CMSG_LEN(most * FD_BYTES), flags)
    for level, kind, content in beside:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            for at in range(0, len(content) - FD_BYTES + 1, FD_BYTES):
                fds.append(int.from_bytes(content[at : at + FD_BYTES], sys.byteorder))
    return data, fds, got_flags, address
