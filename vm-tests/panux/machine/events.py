"""Waiting for something to happen in or around a machine.

One thread, one selector: a channel registers its descriptor and what to do when it can be read, and `wait` turns the
loop until a condition holds. Conditions are looked at after every event, never by the clock; the clock only ends a
wait.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from typing import Protocol

from panux.faults import MachineError


class Readable(Protocol):
    """A channel that the loop watches."""

    def fileno(self) -> int:
        """The descriptor to watch."""

    def on_readable(self) -> None:
        """Takes in what came. Closes the channel, after `Loop.forget`, where nothing more will come."""


class Loop:
    """The channels of one machine."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, channel: Readable) -> None:
        """Begins to read `channel` in each wait."""
        self._selector.register(channel, selectors.EVENT_READ, channel)

    def forget(self, channel: Readable) -> None:
        """Ends what `watch` began; to be called before the channel is closed."""
        self._selector.unregister(channel)

    def turn(self, timeout_s: float) -> None:
        """Waits for one batch of events, at most `timeout_s`, and hands them to their channels."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            if key.fd in self._selector.get_map():  # a channel before it in the batch may have closed it
                key.data.on_readable()

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: Callable[[], str]) -> None:
        """Returns when `condition` holds. Raises MachineError with `what()` when `timeout_s` have passed."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise MachineError(f"after {timeout_s:g} s still waiting for {what()}")
            self.turn(left_s)

    def close(self) -> None:
        """Frees the selector."""
        self._selector.close()
