"""Where is the system as a whole? Which runlevel is in force or being reached; is it booting, running, or ending?"""

from __future__ import annotations

from dataclasses import dataclass

from linit.model.state import Finish


@dataclass(slots=True)
class Course:
    """`boot_state` is "booting", "running" or "stopping"."""

    runlevel: str = ""
    boot_state: str = "booting"
    booting: str | None = None  # the runlevel whose reaching is still to be told
    finish: Finish | None = None  # what a shutdown that is under way will finish with
    ended_by: str = ""  # who asked for that
    hooks_run: bool = False  # the services of runlevel `shutdown` had their turn
    is_first: bool = True  # no event was handled yet
