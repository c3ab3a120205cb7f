"""What shall be done? Everything that the engine orders, as frozen values for the runtime to perform in order."""

from __future__ import annotations

import enum

from linit.engine.events import TimerKind
from linit.model.reason import Reason
from linit.model.service import Service
from linit.model.state import Finish, Outcome, Role, UnitState
from linit.model.value import value


@value
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


@value
class Signal:
    """Send a signal to processes of a unit. Nothing to send it to is no error."""

    name: str
    signal: int
    to: To


@value
class KillAll:
    """SIGKILL every process of the unit. Answered by Emptied as soon as none is left, also when none was there."""

    name: str


@value
class WatchReadiness:
    """Report Ready or ReadinessFailed for the main process that was just spawned."""

    service: Service


@value
class UnwatchReadiness:
    """No longer interested in that, nor in the answer to `FindMain` and `CheckConditions`."""

    name: str


@value
class FindMain:
    """The command of a forking service has ended: report MainFound, or ReadinessFailed when there is no daemon."""

    service: Service


@value
class CheckConditions:
    """Look at all of `service.when`; report ConditionsChecked."""

    service: Service


@value
class WatchHealth:
    """Report Unhealthy when the unit's probe or watchdog says so."""

    service: Service


@value
class UnwatchHealth:
    """No longer interested."""

    name: str


@value
class Arm:
    """Make a trigger ready: open its sockets, set its clock, watch its paths. Report Ready or SpawnFailed (Role.MAIN),
    then Triggered whenever it sees something while the service that it starts does not run. One that is armed has
    another definition from now on; its sockets stay open, as their addresses are the same."""

    service: Service


@value
class Disarm:
    """Close a trigger."""

    name: str


@value
class ArmTimer:
    """Report TimerFired after `delay_s` seconds. Replaces an armed timer of that kind."""

    name: str
    kind: TimerKind
    delay_s: float


@value
class DisarmTimer:
    """Forget a timer. One that is not armed is no error."""

    name: str
    kind: TimerKind


@value
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


@value
class Told:
    """Something an operator should read that is no change of state: `text` follows the service's name on the console
    and in the log ("ignored TERM for 15 s, killed")."""

    name: str
    text: str
    at_s: float


@value
class Answer:
    """The final answer to a request: for each name its outcome and why."""

    id: int
    outcome: Outcome
    results: tuple[tuple[str, Outcome, str], ...]  # (service, outcome, text)


@value
class BootFinished:
    """The runlevel that was asked for is up: every member is up, or has failed or was given up."""

    runlevel: str
    at_s: float
    failed: tuple[str, ...]


@value
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
