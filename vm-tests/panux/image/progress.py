"""What is the build doing, for how long? One line a step; a live one on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

WIDTH = 60
LINE_START = "\r\033[K"


@dataclass(slots=True)
class Step:
    """A step of the build that is under way."""

    title: str
    show: Callable[[str], None]

    def show_percent(self, percent: float) -> None:
        """Shows how far the step is, 0 to 100."""
        self.show(f"{percent:3.0f} %")


@dataclass(slots=True)
class Progress:
    """Writes to `stream`; `quiet` leaves only what is written with `say`."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    quiet: bool = False

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Names a step while it runs and its duration when it is done."""
        begun_s = time.monotonic()
        live = self.stream.isatty() and not self.quiet

        def show(note: str) -> None:
            if live:
                self.stream.write(f"{LINE_START}  {title:{WIDTH}} {note}")
                self.stream.flush()

        show("")
        try:
            yield Step(title, show)
        except BaseException:
            self.finish(live, title, "failed")
            raise
        self.finish(live, title, f"{time.monotonic() - begun_s:5.1f} s")

    def finish(self, live: bool, title: str, outcome: str) -> None:
        """Replaces the live line of a step by one that stays."""
        if not self.quiet:
            self.stream.write(f"{LINE_START if live else ''}  {title:{WIDTH}} {outcome}\n")
            self.stream.flush()

    def say(self, text: str) -> None:
        """Writes a line that stays, also when quiet."""
        self.stream.write(f"{text}\n")
        self.stream.flush()
