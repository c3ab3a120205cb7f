"""Which state follows which? The whole life of a unit on one screen, and which events mean something in it."""

from __future__ import annotations

import enum
from typing import Final

from linit.engine import events
from linit.engine.edges import CHANGES, Change
from linit.model.state import BACKOFF, DOWN, FAILED, STARTING, STOPPING, UP, WAITING, UnitState


class Step(enum.Enum):
    """Why a unit leaves a state."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    WANTED = "wanted"  # its goal is up
    MET = "met"  # nothing to wait for any more
    READY = "ready"  # the start succeeded
    STOP = "stop"  # it must go down, or what is left of it must
    KEPT = "kept"  # wanted again before anything was done to stop it
    ENDED = "ended"  # nothing of it is left, as asked for or as its definition calls a success
    RETRY = "retry"  # it will respawn
    GAVE_UP = "gave_up"  # it failed, or something that it needs did
    UNWANTED = "unwanted"  # its goal is down before anything was started


# Named once, as the states are: linit.model.state.
WANTED, MET, READY, STOP, ENDED = Step.WANTED, Step.MET, Step.READY, Step.STOP, Step.ENDED
RETRY, GAVE_UP, UNWANTED = Step.RETRY, Step.GAVE_UP, Step.UNWANTED

NEXT: Final[dict[tuple[UnitState, Step], UnitState]] = {
    (DOWN, Step.WANTED): WAITING,
    (FAILED, Step.WANTED): WAITING,
    (DOWN, Step.MET): STARTING,
    (FAILED, Step.MET): STARTING,
    (FAILED, Step.UNWANTED): DOWN,
    (DOWN, Step.GAVE_UP): FAILED,
    (WAITING, Step.MET): STARTING,
    (WAITING, Step.UNWANTED): DOWN,
    (WAITING, Step.GAVE_UP): FAILED,
    (STARTING, Step.READY): UP,
    (STARTING, Step.STOP): STOPPING,
    (STARTING, Step.RETRY): BACKOFF,
    (STARTING, Step.GAVE_UP): FAILED,
    (STARTING, Step.ENDED): DOWN,
    (UP, Step.STOP): STOPPING,
    (UP, Step.RETRY): BACKOFF,
    (UP, Step.GAVE_UP): FAILED,
    (UP, Step.ENDED): DOWN,
    (STOPPING, Step.KEPT): UP,
    (STOPPING, Step.ENDED): DOWN,
    (STOPPING, Step.RETRY): BACKOFF,
    (STOPPING, Step.GAVE_UP): FAILED,
    (BACKOFF, Step.WANTED): WAITING,
    (BACKOFF, Step.MET): STARTING,
    (BACKOFF, Step.UNWANTED): DOWN,
    (BACKOFF, Step.GAVE_UP): FAILED,
}


class Moves(dict[tuple[UnitState, Step, bool, bool], tuple[UnitState, Change] | None]):
    """Where a step leads from a view, and what that changes for the neighbours; found once for each."""

    def __missing__(self, start: tuple[UnitState, Step, bool, bool]) -> tuple[UnitState, Change] | None:
        """`start`: state, step, goal, hope. None: that state has no such step."""
        before, step, goal, hope = start
        after = NEXT.get((before, step))
        if after is None:
            return None
        self[start] = way = (after, CHANGES[before, goal, hope, after, goal, hope])
        return way


MOVES: Final = Moves()

_LATE: Final = "the process had been ordered before the unit was settled; its end is only recorded"
_OVER: Final = "the start is over; the process said it too late"
_GONE: Final = "it is not up any more; what it said crossed with that"
_STALE: Final = "the timer's purpose is gone; disarming and firing crossed"

# Every pair of a state and an event about a process or a timer is handled by the engine or stands here with the reason
# why nothing follows from it. A test walks all pairs.
IGNORED: Final[dict[tuple[UnitState, type], str]] = {
    **{(state, events.Spawned): _LATE for state in (DOWN, WAITING, BACKOFF, FAILED)},
    **{(state, events.SpawnFailed): _LATE for state in (DOWN, WAITING, BACKOFF, FAILED)},
    **{(state, events.Exited): _LATE for state in (DOWN, WAITING, BACKOFF, FAILED)},
    **{(state, events.Emptied): "nothing waits for it" for state in (DOWN, WAITING, STARTING, UP, BACKOFF, FAILED)},
    **{(state, events.Ready): _OVER for state in (DOWN, WAITING, UP, STOPPING, BACKOFF, FAILED)},
    **{(state, events.ReadinessFailed): _OVER for state in (DOWN, WAITING, UP, STOPPING, BACKOFF, FAILED)},
    **{(state, events.TimerFired): _STALE for state in (DOWN, FAILED)},
    **{(state, events.MainFound): _LATE for state in (DOWN, WAITING, BACKOFF, FAILED)},
    **{(state, events.ConditionsChecked): _OVER for state in (DOWN, WAITING, UP, STOPPING, BACKOFF, FAILED)},
    **{(state, events.Unhealthy): _GONE for state in (DOWN, WAITING, STARTING, STOPPING, BACKOFF, FAILED)},
    **{(state, events.Extended): "no start or stop is under way" for state in (DOWN, WAITING, UP, BACKOFF, FAILED)},
    **{(state, events.Reloaded): _GONE for state in (DOWN, WAITING, STARTING, STOPPING, BACKOFF, FAILED)},
}
