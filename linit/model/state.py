"""Where is a unit, and where should it be?"""

from __future__ import annotations

import enum


class UnitState(enum.Enum):
    """Where a unit is."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    DOWN = "down"
    WAITING = "waiting"  # for what it depends on
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    BACKOFF = "backoff"  # will respawn when its delay is over
    FAILED = "failed"

    def __init__(self, value: str) -> None:
        """`is_moving`: will this state end without anybody asking? `is_at_rest_down`: is there nothing of the service
        left to wait for when stopping?"""
        self.is_moving = value in ("waiting", "starting", "stopping", "backoff")
        self.is_at_rest_down = value in ("down", "failed")


# For the rules that every event goes through: finding a member by way of its class takes longer than most of them do.
DOWN, WAITING, STARTING = UnitState.DOWN, UnitState.WAITING, UnitState.STARTING
UP, STOPPING, BACKOFF, FAILED = UnitState.UP, UnitState.STOPPING, UnitState.BACKOFF, UnitState.FAILED


class Desired(enum.Enum):
    """Where a unit should be. What holds it back from there is a reason, never a change of this wish."""

    UP = "up"
    DOWN = "down"


TO_BE_UP, TO_BE_DOWN = Desired.UP, Desired.DOWN


class Role(enum.Enum):
    """Which of a service's commands a process runs."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    PRE = "pre"
    MAIN = "main"
    POST = "post"
    STOP = "stop"
    RELOAD = "reload"


MAIN, RELOAD = Role.MAIN, Role.RELOAD


class Outcome(enum.Enum):
    """The one final answer that every request gets."""

    __hash__ = object.__hash__  # as above

    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # a later wish replaced it
    REFUSED = "refused"  # waiting for it would never end: nothing was done


class Finish(enum.Enum):
    """What happens when everything is down."""

    POWEROFF = "poweroff"
    REBOOT = "reboot"
    HALT = "halt"
    EXIT = "exit"  # of a supervisor that is not PID 1
