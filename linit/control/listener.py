"""How is the control socket opened? Apart from what answers on it: PID 1 listens long before it has imported that."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Final

BACKLOG: Final = 128
PATH_MAX_BYTES: Final = 100  # that surely fit sun_path: unix(7)


def opened(path: str) -> socket.socket:
    """A socket that listens at `path`. Replaces the file that an earlier run left. Raises OSError."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o755)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        _bind(listener, path)
        # Everybody may connect: what a client may do is decided by who it is (SO_PEERCRED), not by this mode.
        os.chmod(path, 0o666)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, path: str) -> None:
    if len(os.fsencode(path)) <= PATH_MAX_BYTES:
        listener.bind(path)
        return
    from linit.control import messages

    address, folder_fd = messages.socket_address(path)
    try:
        listener.bind(address)
    finally:
        if folder_fd >= 0:
            os.close(folder_fd)


def _remove_stale(path: str) -> None:
    """Remove the socket of an earlier run. Anything else in its place is not ours to remove. Raises OSError."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "is in the way of the control socket", path)
    os.unlink(path)
