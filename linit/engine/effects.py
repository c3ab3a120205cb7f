"""What shall be done? Everything that the engine orders, as frozen values for the runtime to perform in order."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from linit.engine.events import TimerKind
from linit.model.reason import Reason
from linit.model.service import Service
from linit.model.state import Finish, Outcome, Role, UnitState


@dataclass(frozen=True, slots=True)
class Spawn:
    """Run a command of a service (`service.pre[index]`, `service.run`, ...). Answered by Spawned or SpawnFailed, then
    by Exited. The definition travels along: a reload may have replaced the one in the plan."""

    service: Service
    role: Role
    index: int = 0


class To(enum.Enum):
    """Which processes of a unit get a signal."""

    MAIN = "main"
    ALL = "all"
    RELOAD = "reload"  # the reload command


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to processes of a unit. Nothing to send it to is no error."""

    name: str
    signal: int
    to: To


@dataclass(frozen=True, slots=True)
class KillAll:
    """SIGKILL every process of the unit. Answered by Emptied as soon as none is left, also when none was there."""

    name: str


@dataclass(frozen=True, slots=True)
class WatchReadiness:
    """Report Ready or ReadinessFailed for the main process that was just spawned."""

    service: Service


@dataclass(frozen=True, slots=True)
class UnwatchReadiness:
    """No longer interested in that, nor in the answer to `FindMain` and `CheckConditions`."""

    name: str


@dataclass(frozen=True, slots=True)
class FindMain:
    """The command of a forking service has ended: report MainFound, or ReadinessFailed when there is no daemon."""

    service: Service


@dataclass(frozen=True, slots=True)
class CheckConditions:
    """Look at all of `service.when`; report ConditionsChecked."""

    service: Service


@dataclass(frozen=True, slots=True)
class WatchHealth:
    """Report Unhealthy when the unit's probe or watchdog says so."""

    service: Service


@dataclass(frozen=True, slots=True)
class UnwatchHealth:
    """No longer interested."""

    name: str


@dataclass(frozen=True, slots=True)
class Arm:
    """Make a trigger ready: open its sockets, set its clock, watch its paths. Report Ready or SpawnFailed (Role.MAIN),
    then Triggered whenever it sees something while the service that it starts does not run."""

    service: Service


@dataclass(frozen=True, slots=True)
class Disarm:
    """Close a trigger."""

    name: str


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Report TimerFired after `delay_s` seconds. Replaces an armed timer of that kind."""

    name: str
    kind: TimerKind
    delay_s: float


@dataclass(frozen=True, slots=True)
class DisarmTimer:
    """Forget a timer. One that is not armed is no error."""

    name: str
    kind: TimerKind


@dataclass(frozen=True, slots=True)
class Transition:
    """A unit changed its state (already done when this is performed): for the console, the log, subscribers.

    `duration_s`: with `after` UP, the seconds from the first step of the start until now; with DOWN after STOPPING,
    the seconds of the stop; else None.
    """

    name: str
    before: UnitState
    after: UnitState
    reason: Reason
    at_s: float
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Something an operator should read that is no change of state: `text` follows the service's name on the console
    and in the log ("ignored TERM for 15 s, killed")."""

    name: str
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer to a request: for each name its outcome and why."""

    id: int
    outcome: Outcome
    results: tuple[tuple[str, Outcome, str], ...]  # (service, outcome, text)


@dataclass(frozen=True, slots=True)
class BootFinished:
    """The runlevel that was asked for is up: every member is up, or has failed or was given up."""

    runlevel: str
    at_s: float
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllDown:
    """A shutdown has stopped every service: the runtime ends the machine (or the supervisor) now."""

    finish: Finish


Effect = (
    Spawn
    | Signal
    | KillAll
    | WatchReadiness
    | UnwatchReadiness
    | FindMain
    | CheckConditions
    | WatchHealth
    | UnwatchHealth
    | Arm
    | Disarm
    | ArmTimer
    | DisarmTimer
    | Transition
    | Told
    | Answer
    | BootFinished
    | AllDown
)
