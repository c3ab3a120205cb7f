"""What can happen? Everything that the engine is told, as frozen values.

The runtime reports what it observed, the control server what somebody asked for. No event carries a clock: the time is
the second argument of `Engine.handle`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from linit.model.service import Plan, Service
from linit.model.state import Finish, Role


@dataclass(frozen=True, slots=True)
class Spawned:
    """The program of a `Spawn` effect is executing: execve(2) succeeded."""

    name: str
    role: Role
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The program of a `Spawn` effect could not be executed. `text` names the failing step, path and errno name."""

    name: str
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A process of a unit was reaped. `status` as waitpid(2) gives it; `left`: other processes of the unit remain.

    `note`: the words for this end where those for the status are not all ("killed by the kernel: out of memory").
    """

    name: str
    role: Role
    status: int
    left: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Emptied:
    """No process of the unit is left (reported after an exit with `left`, and after `KillAll`)."""

    name: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The unit's main process said that it can serve, in the way its definition names."""

    name: str


@dataclass(frozen=True, slots=True)
class ReadinessFailed:
    """The unit will never say that it is ready: the descriptor was closed without a line, for example."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class MainFound:
    """`pid` is the main process of the unit from now on: the daemon that a forking service put into the background, or
    what the service said itself (MAINPID= of sd_notify(3)). Its end is reported as that of Role.MAIN, and that of the
    one before no more. Before the command of a forking service has ended it means nothing: that end is awaited."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class ConditionsChecked:
    """The answer to `CheckConditions`. `text`: the first condition that is not met, "" if all are."""

    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """A unit that is up is not well any more: its health probe failed too often, or it missed its watchdog."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Extended:
    """The unit asked for more time for the start or stop under way: `delay_s` from now (EXTEND_TIMEOUT_USEC)."""

    name: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The unit said that it has read its configuration again (READY=1 after RELOADING=1)."""

    name: str


@dataclass(frozen=True, slots=True)
class Triggered:
    """A trigger that is up saw what it waits for. `text` says what, for people."""

    name: str
    text: str


class TimerKind(enum.Enum):
    """What a timer of a unit is for. A unit has at most one timer of each kind."""

    __hash__ = object.__hash__  # members are singletons: no need to hash a name, which is slow

    START = "start"  # the start takes too long
    STOP = "stop"  # the next stop step is due
    RESPAWN = "respawn"  # the backoff delay is over
    HEALTHY = "healthy"  # up long enough: budget and delay are reset
    RELOAD = "reload"  # the reload command takes too long
    STEP = "step"  # a pre or post command that has a time of its own takes too long
    IDLE = "idle"  # it has let the rest of the boot go first for long enough


# Named once, as the states are: linit.model.state.
START_TIMER, STOP_TIMER, RESPAWN_TIMER = TimerKind.START, TimerKind.STOP, TimerKind.RESPAWN
HEALTHY_TIMER, RELOAD_TIMER = TimerKind.HEALTHY, TimerKind.RELOAD


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer armed by `ArmTimer` is due."""

    name: str
    kind: TimerKind


class Verb(enum.Enum):
    """What can be asked for."""

    __hash__ = object.__hash__  # as above

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload"
    RESET = "reset"  # forget a failure and its respawn budget
    RUNLEVEL = "runlevel"  # names = (runlevel,)
    NEED = "need"  # the caller, a service, needs these from now on
    WANT = "want"  # the caller wants these


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asks for something. Answered by exactly one `Answer` with the same `id`.

    `by` says who, for people: "root (linitctl stop, pid 312)". `cascade` False: a stop that would stop dependents is
    refused. `only` True: a restart leaves dependents alone. `caller`: the service one of whose processes asks, ""
    when it is nobody's; `waits`: it does nothing else before the answer. `held`: the claims to locks that are held by
    ancestors of the asking process.
    """

    id: int
    verb: Verb
    names: tuple[str, ...]
    by: str = ""
    cascade: bool = True
    only: bool = False
    caller: str = ""
    waits: bool = True
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunTransient:
    """A service that nobody wrote down is to run, once: `service.transient` is true. Answered as a start is.

    It is forgotten when it is down; one that failed is kept until somebody resets or starts it.
    """

    id: int
    service: Service
    by: str = ""
    caller: str = ""
    waits: bool = True
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LockAsked:
    """Somebody wants to be the only one who holds a lock of this name. Answered by exactly one `Answer`, whose one
    result is about the lock: DONE when it is held, FAILED without `waits` when another holds it, REFUSED when waiting
    would never end. First come, first served."""

    id: int
    lock: str
    by: str = ""
    caller: str = ""
    waits: bool = True
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LockReleased:
    """Whoever asked with this `id` holds or wants the lock no more (it let go, or it ended)."""

    id: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything, then `finish`. A later shutdown replaces what an earlier one would finish with."""

    finish: Finish
    by: str = ""


@dataclass(frozen=True, slots=True)
class PlanLoaded:
    """A new plan is to replace the one in use. `start_enabled`: services newly enabled in the active runlevel start."""

    id: int
    plan: Plan
    by: str = ""
    start_enabled: bool = True


Event = (
    Spawned
    | SpawnFailed
    | Exited
    | Emptied
    | Ready
    | ReadinessFailed
    | MainFound
    | ConditionsChecked
    | Unhealthy
    | Extended
    | Reloaded
    | Triggered
    | TimerFired
    | Request
    | RunTransient
    | LockAsked
    | LockReleased
    | Shutdown
    | PlanLoaded
)
