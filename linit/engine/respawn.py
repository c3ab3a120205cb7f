"""What follows an exit that nobody asked for: again, after how long, or never?

Pure rules over `Restart`; the engine keeps the `Budget` and arms the timer.
"""

from __future__ import annotations

import enum
from typing import Final

from linit.model.reason import RESPAWN, Cause, Reason
from linit.model.service import ALWAYS, NEVER, ON_FAILURE, Restart, RestartPolicy, Service
from linit.model.value import value

ABNORMAL: Final = frozenset({Cause.START_TIMEOUT, Cause.STEP_TIMEOUT, Cause.READINESS_FAILED, Cause.UNHEALTHY})


@value
class Budget:
    """The respawns that count against the limit: when each was decided, and how many came in a row."""

    at_s: tuple[float, ...] = ()
    streak: int = 0


class Next(enum.Enum):
    """What becomes of the unit."""

    RESPAWN = "respawn"
    GIVE_UP = "give_up"  # failed
    FINISH = "finish"  # ended as it should: down


AGAIN: Final = Next.RESPAWN  # named once, as the states are: linit.model.state


@value
class Verdict:
    """`delay_s` counts for RESPAWN only; `reason` is that of the state that follows."""

    next: Next
    reason: Reason
    delay_s: float = 0.0
    budget: Budget = Budget()


def is_success(service: Service, status: int) -> bool:
    """Is this wait status one that the definition calls a success? Source: waitpid(2)."""
    number = status & 0x7F
    return number in service.success_signals if number else (status >> 8) in service.success_statuses


def judge(service: Service, why: Reason, succeeded: bool, budget: Budget, now_s: float) -> Verdict:
    """What follows the end of a main process, or of a start, for the reason `why`."""
    restart = service.restart
    if not _policy_allows(service, restart.policy, why, succeeded):
        return Verdict(Next.FINISH if succeeded and service.kind.is_daemon else Next.GIVE_UP, why)
    recent = tuple(at_s for at_s in budget.at_s if now_s - at_s < restart.window_s)
    if restart.limit and len(recent) >= restart.limit:
        return Verdict(Next.GIVE_UP, _limit_reason(restart, why, len(recent), now_s))
    delay_s = respawn_delay_s(restart, budget.streak + 1)
    text = str(why) if why.status is None else ""  # else the status says it
    reason = Reason(RESPAWN, now_s, "", "", text, "", why.status, delay_s, why.note)
    return Verdict(AGAIN, reason, delay_s, Budget((*recent, now_s), budget.streak + 1))


def respawn_delay_s(restart: Restart, attempt: int) -> float:
    """Seconds before respawn number `attempt` (from 1) in a row; grows by `factor` up to `delay_max_s`."""
    exponent = min(attempt - 1, 64)  # beyond, a float overflows before the cap is applied
    return float(min(restart.delay_s * restart.factor**exponent, restart.delay_max_s))


def _policy_allows(service: Service, policy: RestartPolicy, why: Reason, succeeded: bool) -> bool:
    if policy is NEVER:
        return False
    if policy is ALWAYS:
        return service.kind.is_daemon or not succeeded
    if policy is ON_FAILURE:
        return not succeeded
    killed = why.status is not None and bool(why.status & 0x7F)
    return not succeeded and (killed or why.cause in ABNORMAL)


def _limit_reason(restart: Restart, why: Reason, count: int, now_s: float) -> Reason:
    text = f"{count} {'respawn' if count == 1 else 'respawns'} within {restart.window_s:g} s"
    if why.status is None:
        text = f"{why}; gave up after {text}"
    return Reason(Cause.RESPAWN_LIMIT, now_s, text=text, status=why.status, note=why.note)
