"""When is something so that nobody tells? Looked at again and again, less and less often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from linit.runtime.loop import Handle, Loop

FIRST_LOOK_S: Final = 0.01
LOOK_FACTOR: Final = 1.5
LOOK_MAX_S: Final = 0.5
PID_MAX_BYTES: Final = 64


class Look:
    """Calls `is_so` at growing intervals until that answers True: 10 ms at first, half a second at last."""

    def __init__(self, loop: Loop, is_so: Callable[[], bool]) -> None:
        self._loop = loop
        self._is_so = is_so
        self._delay_s = FIRST_LOOK_S
        self._next: Handle | None = None
        self._is_over = False

    def start(self) -> None:
        """The first time soon, not now."""
        self._next = self._loop.call_soon(self._look)

    def stop(self) -> None:
        """Nobody wants to know any more. It may be called from `is_so`, too."""
        self._is_over = True
        if self._next:
            self._next.cancel()

    def _look(self) -> None:
        if not self._is_so() and not self._is_over:
            self._next = self._loop.call_at(self._loop.time() + self._delay_s, self._look)
            self._delay_s = min(LOOK_FACTOR * self._delay_s, LOOK_MAX_S)


def pid_in(path: str) -> int:
    """The process that a file names; 0 if there is no such file, or nothing like a pid in it."""
    try:
        with open(path, "rb") as file:
            words = file.read(PID_MAX_BYTES).split()
    except OSError:
        return 0
    return int(words[0]) if words and words[0].isdigit() else 0
