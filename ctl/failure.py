"""How does a command say that it failed? Exit statuses and the exception that carries one to `main`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

OK: Final = 0  # the wish came true
FAILED: Final = 1  # it did not
USAGE: Final = 2  # the command line was not understood
UNKNOWN: Final = 3  # no such service or runlevel
DENIED: Final = 4  # not permitted
NO_SUPERVISOR: Final = 5  # nobody answers on the control socket
LOOP: Final = 6  # waiting for it would never end: the loop was printed, nothing was done
INTERRUPTED: Final = 130  # Ctrl-C: the wish goes on. 128 + SIGINT, as shells have it


class Failure(Exception):
    """The command ends here. `message` says why; `hint` what to do; both may be ""."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
