"""Is everything in the log that was said by now? The log process reads pipes when it gets a processor: wait for it."""

from __future__ import annotations

from linit.control import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SOCKET: Final = "log.sock"  # in the folder of the control socket: linit.logs.readers
LIMIT_S: Final = 15.0  # during a boot it has no share of the processors, for 10 s at most


def has_caught_up(run: str, limit_s: float = LIMIT_S) -> bool:
    """Has the log process written what had been said when we asked? Waits for it; False when it takes too long.

    Where there is none, or we may not ask it, what it has written is all there is. `run`: the folder of its socket.
    """
    import _socket  # only here: what shows no log starts faster without
    import os

    folder_fd = -1
    asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    asking.settimeout(limit_s)
    try:
        address, folder_fd = messages.socket_address(f"{run}/{SOCKET}")
        asking.connect(address)
        asking.recv(1)  # it says nothing: it closes the connection
    except TimeoutError:
        return False
    except OSError:
        return True
    finally:
        asking.close()
        if folder_fd >= 0:
            os.close(folder_fd)
    return True


def late_words(run: str, limit_s: float = LIMIT_S) -> str:
    """Wait for the log process; what to tell if it takes too long, "" otherwise."""
    if has_caught_up(run, limit_s):
        return ""
    return f"the log process has not caught up within {limit_s:g} s: the last lines may be missing"
