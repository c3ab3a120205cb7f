"""How long may one turn of the loop take? When a thousand services crash at once, who asks meanwhile is answered.

What can come in thousands (exits, timers, programs that began) asks before each of them whether the turn is over, and
if so leaves the rest for the next: the loop then serves whoever else has something, clients of the control socket above
all, for whom there is a queue (`linit.control.rota`). Nothing is reordered within its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

TURN_S: Final = 0.005  # of each kind; then it is somebody else's turn


class Loop(Protocol):
    """The part of a loop that is used here."""

    def time(self) -> float: ...

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> object: ...


class Turn:
    """The turn of one kind of work; each kind gets something done in each turn of the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._until_s: float | None = None  # of a turn in which somebody has asked

    def is_over(self) -> bool:
        """Has this turn taken long enough? Not for the first who asks in it, so that each turn gets something done."""
        now_s = self._loop.time()
        if self._until_s is None:
            self._until_s = now_s + TURN_S
            self._loop.call_soon(self._begin)  # called in the next turn, before what happened until then is looked at
            return False
        return now_s >= self._until_s

    def _begin(self) -> None:
        self._until_s = None
