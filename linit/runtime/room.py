"""What do the commands of one service share that nobody else sees? Their private /tmp and their network.

A room is a tmpfs on a folder that only root may enter; in it lie the folders that become /tmp and /var/tmp of each
command, and a file that stands for their network namespace and keeps it alive (as `ip netns` does it). The first
command makes what it needs, in the child; the room is given back when nothing of the service is left. So nothing of it
lives in PID 1, which may execute itself anew meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final

from linit.runtime import loopback
from linit.runtime import system_calls as calls

TMP_MODE: Final = 0o1777


def tmp(folder: str, target: str) -> str:
    """The folder of a room that is a command's `target` (/tmp, /var/tmp)."""
    return f"{folder}/{target[1:].replace('/', '_')}"


def furnish(folder: str) -> None:
    """Make the folders for /tmp and /var/tmp, if no other command has. Raises OSError."""
    with _Entered(folder):
        for target in ("/tmp", "/var/tmp"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(tmp(folder, target))
                os.chmod(tmp(folder, target), TMP_MODE)


def join_network(folder: str) -> None:
    """Enter the room's network, made if no other command has. Raises OSError."""
    with _Entered(folder):
        place = f"{folder}/net"
        if os.path.exists(place):
            calls.join_namespace(place, calls.CLONE_NEWNET)
            return
        calls.unshare(calls.CLONE_NEWNET)
        loopback.raise_loopback()
        os.mknod(f"{place}.new")
        calls.mount("/proc/self/ns/net", f"{place}.new", "", calls.MS_BIND)
        os.symlink("net.new", place)  # last: whoever finds it finds a network


class _Entered:
    """The room is there, and nobody else furnishes it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = -1

    def __enter__(self) -> None:
        above = os.path.dirname(self._folder)
        os.makedirs(above, 0o700, exist_ok=True)
        self._lock = os.open(above, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._enter(above)
        except OSError:
            os.close(self._lock)
            raise

    def __exit__(self, *_error: object) -> None:
        os.close(self._lock)

    def _enter(self, above: str) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._folder, 0o700)
        if os.stat(self._folder).st_dev == os.stat(above).st_dev:
            calls.mount("tmpfs", self._folder, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "mode=0700")
