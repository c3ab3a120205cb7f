"""What a person reads on the console: whole lines, as the tour in README.md shows them."""

from __future__ import annotations

from linit.engine.unit import StopPhase, Unit
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import Kind, Service
from linit.model.state import UnitState
from linit.system import texts
from linit.system.texts import Form
from linit.system.words import count, seconds

PLAIN = Form()
COLOURED = Form(paint=True)
PLACE = Place("/usr/lib/linit/services/sshd.yaml", 4, 1)


def unit(name: str, state: UnitState, *, kind: Kind = Kind.PROCESS, since_s: float = 0.0) -> Unit:
    made = Unit(name, Service(name, Place(f"/services/{name}.yaml", 1, 1), kind))
    made.state = state
    made.changed_at_s = since_s
    return made


def test_the_banner_names_the_versions_that_a_bug_report_needs() -> None:
    assert texts.banner("0.1.0", "3.13.5", "6.12.1") == "linit 0.1.0 (Python 3.13.5, Linux 6.12.1)"


def test_a_service_that_came_up_has_its_duration_in_a_column() -> None:
    assert texts.up(PLAIN, 1.234, "nginx", 0.31) == "[  1.234] nginx            up        0.31 s"
    assert texts.up(PLAIN, 75.5, "network", 12.34) == "[ 75.500] network          up        12.3 s"
    assert texts.up(PLAIN, 175.5, "clock", None) == "[175.500] clock            up"


def test_a_stopped_service_has_its_duration_in_the_same_column() -> None:
    assert texts.down(PLAIN, 61.2, "nginx", 0.02) == "[ 61.200] nginx            down      0.02 s"


def test_a_failure_says_why_where_it_is_written_and_what_to_do() -> None:
    reason = Reason(Cause.EXITED, status=1 << 8)
    assert texts.failed(PLAIN, 1.234, "sshd", reason, PLACE) == (
        "[  1.234] sshd             failed  exited with status 1 (/usr/lib/linit/services/sshd.yaml:4)",
        "                                   see: linitctl why sshd",
    )


def test_a_reason_with_a_place_of_its_own_names_that_alone() -> None:
    reason = Reason(Cause.DEPENDENCY_FAILED, of="net", place="/usr/lib/linit/services/sshd.yaml:5:23")
    assert texts.failed(PLAIN, 1.234, "sshd", reason, PLACE)[0] == (
        "[  1.234] sshd             failed  needs net, which failed (/usr/lib/linit/services/sshd.yaml:5:23)"
    )


def test_a_colour_changes_no_column() -> None:
    assert texts.up(COLOURED, 1.234, "nginx", 0.31) == (
        "[  1.234] nginx            \x1b[32mup\x1b[0m        0.31 s"
    )


def test_the_column_of_names_fits_the_names_within_reason() -> None:
    assert Form.fitting(["a", "b"], paint=False).name_width == 16
    assert Form.fitting(["a" * 20, "b"], paint=False).name_width == 20
    assert Form.fitting(["a" * 90], paint=False).name_width == 28


def test_who_is_waited_for_is_said_with_state_duration_limit_and_reason() -> None:
    network = unit("network", UnitState.STARTING, since_s=2.0)
    network.deadline_s = 62.0
    network.reason = Reason(Cause.STARTING, text="main, waiting for readiness (notify)")
    assert texts.waiting(PLAIN, 9.5, [network], 5.0) == [
        "[  9.500] waiting for network: starting for 7.5 s, limit in 52.5 s: main, waiting for readiness (notify)"
    ]


def test_a_respawn_that_is_waited_for_has_a_next_try_and_a_start_without_limit_says_so() -> None:
    redis = unit("redis", UnitState.BACKOFF, since_s=1.0)
    redis.deadline_s = 9.0
    redis.reason = Reason(Cause.RESPAWN, status=1 << 8, limit_s=8.0)
    disk = unit("disk", UnitState.STARTING, since_s=2.0)
    disk.reason = Reason(Cause.STARTING, text="pre")
    assert texts.waiting(PLAIN, 7.0, [disk, redis], 5.0) == [
        "[  7.000] waiting for redis: backoff for 6.0 s, next try in 2.0 s: "
        "exited with status 1; starts again after 8 s",
        "[  7.000] waiting for disk: starting for 5.0 s, no limit: pre",
    ]


def test_who_only_waits_for_others_is_not_waited_for() -> None:
    waiting = unit("nginx", UnitState.WAITING)
    held = unit("network", UnitState.STOPPING)
    held.stop_phase = StopPhase.HELD
    young = unit("redis", UnitState.STARTING, since_s=6.0)
    assert texts.waiting(PLAIN, 10.0, [waiting, held, young], 5.0) == []


def test_many_that_are_waited_for_are_counted() -> None:
    late = [unit(f"s{number}", UnitState.STARTING, since_s=number) for number in range(9)]
    lines = texts.waiting(PLAIN, 20.0, late, 5.0)
    assert len(lines) == 7
    assert lines[-1] == "[ 20.000] waiting for 3 more"


def test_the_closing_line_counts_what_runs_and_names_what_failed() -> None:
    units = [
        unit("nginx", UnitState.UP),
        unit("redis", UnitState.UP),
        unit("sshd", UnitState.FAILED),
        unit("net", UnitState.FAILED, kind=Kind.VIRTUAL),
        unit("default", UnitState.UP, kind=Kind.RUNLEVEL),
        unit("nginx.socket", UnitState.UP, kind=Kind.SOCKET),
        unit("idle", UnitState.DOWN),
    ]
    assert texts.reached(PLAIN, 9.2, 6.21, "default", units) == (
        "[  9.200] default reached in 6.2 s: 2 services up, 1 failed (sshd)"
    )
    assert texts.reached(PLAIN, 9.2, 6.21, "single", units[:1]) == "[  9.200] single reached in 6.2 s: 1 service up"


def test_a_shutdown_names_who_asked() -> None:
    assert texts.shutting_down(61.5, "root (linitctl poweroff, pid 312)") == (
        "[ 61.500] shutting down: asked for by root (linitctl poweroff, pid 312)"
    )
    assert texts.shutting_down(61.5, "") == "[ 61.500] shutting down"


def test_durations_have_as_many_digits_as_a_person_uses() -> None:
    assert [seconds(value) for value in (0.005, 0.31, 6.21, 75.0, 120.4)] == [
        "0.01 s",
        "0.31 s",
        "6.2 s",
        "75 s",
        "120 s",
    ]


def test_counts_agree_with_their_nouns() -> None:
    assert [count(1, "process"), count(2, "process"), count(0, "line")] == ["1 process", "2 processes", "0 lines"]
