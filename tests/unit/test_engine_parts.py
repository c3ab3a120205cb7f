"""The pure parts of the engine: the transition table, respawn rules, the words for reasons."""

from __future__ import annotations

import itertools

import pytest

from linit.engine import events
from linit.engine.respawn import Budget, Next, judge, respawn_delay_s
from linit.engine.transitions import IGNORED, NEXT, Step
from linit.model.reason import WORDS, Cause, Reason, exit_words
from linit.model.service import Restart, RestartPolicy
from linit.model.state import UnitState
from tests.simulation.graphs import service

UNIT_EVENTS = (
    events.Spawned,
    events.SpawnFailed,
    events.Exited,
    events.Emptied,
    events.Ready,
    events.ReadinessFailed,
    events.TimerFired,
    events.MainFound,
    events.ConditionsChecked,
    events.Unhealthy,
    events.Extended,
    events.Reloaded,
)
HANDLED = {
    events.Spawned: {"starting", "up", "stopping"},
    events.SpawnFailed: {"starting", "up", "stopping"},
    events.Exited: {"starting", "up", "stopping"},
    events.Emptied: {"stopping"},
    events.Ready: {"starting"},
    events.ReadinessFailed: {"starting"},
    events.TimerFired: {"waiting", "starting", "up", "stopping", "backoff"},
    events.MainFound: {"starting", "up", "stopping"},
    events.ConditionsChecked: {"starting"},
    events.Unhealthy: {"up"},
    events.Extended: {"starting", "stopping"},
    events.Reloaded: {"up"},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(UnitState, UNIT_EVENTS)))
def test_every_event_in_every_state_is_handled_or_ignored_for_a_reason(state: UnitState, event: type) -> None:
    reason = IGNORED.get((state, event))
    assert (reason is None) is (state.value in HANDLED[event])
    assert reason is None or len(reason) > 10


def test_every_state_can_be_reached_and_left() -> None:
    assert set(NEXT.values()) == set(UnitState)
    assert {before for before, _ in NEXT} == set(UnitState)


def test_every_step_leads_somewhere() -> None:
    assert {step for _, step in NEXT} == set(Step)


def test_the_respawn_delay_grows_to_its_cap() -> None:
    restart = Restart(RestartPolicy.ALWAYS, delay_s=0.5, factor=2.0, delay_max_s=3.0)
    assert [respawn_delay_s(restart, attempt) for attempt in (1, 2, 3, 4, 5, 2000)] == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


EXIT_0, EXIT_1, SEGV = 0, 1 << 8, 11


@pytest.mark.parametrize(
    ("policy", "status", "follows"),
    [
        ("always", EXIT_0, Next.RESPAWN),
        ("always", EXIT_1, Next.RESPAWN),
        ("on_failure", EXIT_0, Next.FINISH),
        ("on_failure", EXIT_1, Next.RESPAWN),
        ("on_failure", SEGV, Next.RESPAWN),
        ("on_abnormal", EXIT_1, Next.GIVE_UP),
        ("on_abnormal", SEGV, Next.RESPAWN),
        ("never", EXIT_0, Next.FINISH),
        ("never", EXIT_1, Next.GIVE_UP),
    ],
)
def test_what_follows_the_exit_of_a_process(policy: str, status: int, follows: Next) -> None:
    """restart: of services/README.md; the words are systemd.service(5)'s."""
    why = Reason(Cause.EXITED, status=status)
    assert judge(service("x", restart=policy), why, status == 0, Budget(), 0.0).next is follows


def test_a_timeout_is_abnormal() -> None:
    why = Reason(Cause.START_TIMEOUT, limit_s=5.0)
    assert judge(service("x", restart="on_abnormal"), why, False, Budget(), 0.0).next is Next.RESPAWN


def test_a_oneshot_that_failed_is_retried_only_if_its_policy_says_so() -> None:
    why = Reason(Cause.EXITED, status=EXIT_1)
    assert judge(service("x", kind="oneshot"), why, False, Budget(), 0.0).next is Next.GIVE_UP
    again = judge(service("x", kind="oneshot", restart="on_failure"), why, False, Budget(), 0.0)
    assert again.next is Next.RESPAWN


def test_respawns_outside_the_window_do_not_count() -> None:
    x = service("x", restart="always")  # limit 3 within 60 s
    why = Reason(Cause.EXITED, status=EXIT_1)
    full = Budget((0.0, 1.0, 2.0), 3)
    assert judge(x, why, False, full, 59.0).next is Next.GIVE_UP
    later = judge(x, why, False, full, 60.5)
    assert later.next is Next.RESPAWN
    assert later.budget.at_s == (1.0, 2.0, 60.5)


def test_a_limit_of_zero_never_gives_up() -> None:
    x = service("x", kind="process", restart=Restart(RestartPolicy.ALWAYS, limit=0))
    why = Reason(Cause.EXITED, status=EXIT_1)
    assert judge(x, why, False, Budget(tuple(map(float, range(50))), 50), 50.0).next is Next.RESPAWN


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited with status 0"),
        (3 << 8, "exited with status 3"),
        (9, "killed by SIGKILL"),
        (11 | 0x80, "killed by SIGSEGV (core dumped)"),
        (64, "killed by SIGRTMAX"),
    ],
)
def test_a_wait_status_in_words(status: int, words: str) -> None:
    """wait(2)."""

    assert exit_words(status) == words


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words(cause: Cause) -> None:
    reason = Reason(cause, of="db", by="root", text="why", status=256, limit_s=2.5, place="x.yaml:3")
    assert str(reason).endswith(" (x.yaml:3)")
    assert "{" not in str(reason)
    assert WORDS[cause]
