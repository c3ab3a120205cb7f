"""When does something change in a folder? inotify(7), of which Python's library knows nothing."""

from __future__ import annotations

import ctypes
import os

from linitctl.failure import FAILED, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Source: <sys/inotify.h>
IN_MODIFY: Final = 0x2
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
EVENTS_BYTES: Final = 1 << 14


class Watch:
    """Files of a folder that are made, moved there or written to."""

    def __init__(self, folder: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC)
        path = os.fsencode(folder)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, path, IN_MODIFY | IN_MOVED_TO | IN_CREATE) < 0:
            raise Failure(FAILED, f"{folder}: it cannot be watched: {os.strerror(ctypes.get_errno())}")

    def wait(self) -> None:
        """Until something has changed since the last call, or since the beginning."""
        os.read(self._fd, EVENTS_BYTES)
