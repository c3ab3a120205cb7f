"""Daemons in the background, conditions, work that is done and over: what each means, a rule a test.

What services say of themselves is in test_attended.py, what starts services by itself in test_triggers.py.
"""

from __future__ import annotations

import pytest

from linit.engine import effects, events
from linit.engine.events import Verb
from linit.engine.obstacles import is_lost
from linit.engine.simulator import Behaviour, Simulator
from linit.model.state import Outcome, Role, UnitState
from tests.simulation.graphs import plan
from tests.simulation.worlds import answer, pid_of_main, reason, started, text, world

UP, DOWN, FAILED, WAITING = UnitState.UP, UnitState.DOWN, UnitState.FAILED, UnitState.WAITING
BACKOFF, STARTING = UnitState.BACKOFF, UnitState.STARTING
UNMET = Behaviour(condition="path /etc/db.conf")
DOWN_UNMET = "down: a condition is not met: path /etc/db.conf"


def ordered(machine: Simulator, kind: type[effects.Effect]) -> int:
    """How often something was ordered."""
    return sum(isinstance(effect, kind) for _, effect in machine.trace)


# -- commands before and after ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["pre", "post"])
def test_a_command_before_or_after_has_a_time_of_its_own(role: str) -> None:
    """`{run: ..., timeout: 2s}`, within the time of the whole start."""
    machine = world({"db": Behaviour(takes_s=10.0)}, db={role: "timed", "start_timeout_s": 60.0})
    machine.request(Verb.START, "db")
    machine.run(until_s=1.99)
    assert (machine.state("db"), reason(machine, "db")) == (STARTING, f"runs its {role} command")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (FAILED, f"its {role} command has not ended within 2 s")
    assert machine.processes == {}


def test_the_time_of_a_command_is_over_with_it() -> None:
    """The service is ready later than that, which its start may take."""
    machine = world({"db": Behaviour(takes_s=1.5)}, db={"pre": "timed", "ready": True, "post": True})
    machine.request(Verb.START, "db")
    machine.run()
    assert machine.state("db") is UP
    assert not machine.is_armed("db", events.TimerKind.STEP)


def test_the_time_of_a_command_that_a_stop_ended_does_not_count_for_the_next_start() -> None:
    machine = world({"db": Behaviour(takes_s=1.5)}, db={"pre": "timed"})
    machine.request(Verb.START, "db")
    machine.run(until_s=1.0)
    machine.request(Verb.STOP, "db")
    machine.run(until_s=1.4)
    assert (machine.state("db"), machine.is_armed("db", events.TimerKind.STEP)) == (DOWN, False)
    machine.request(Verb.START, "db")
    machine.run()
    assert machine.state("db") is UP


@pytest.mark.parametrize("role", ["pre", "post"])
def test_the_failure_of_a_command_before_or_after_is_told_with_what_it_is(role: str) -> None:
    machine = world({"db": Behaviour(status=3 << 8)}, db={role: True})
    machine.request(Verb.START, "db")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (FAILED, f"its {role} command exited with status 3")


def test_what_is_a_success_of_a_service_is_none_of_its_commands() -> None:
    """`success: {statuses: [0, 3]}`: systemd.service(5), SuccessExitStatus, is of the main process, too."""
    machine = world({"db": Behaviour(status=3 << 8)}, db={"pre": True, "success_statuses": frozenset({0, 3})})
    machine.request(Verb.START, "db")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (FAILED, "its pre command exited with status 3")


# -- between two respawns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "caller", "delay"), [
    (Verb.START, "", "1 s"), (Verb.RESTART, "", "1 s"), (Verb.START, "web", "4 s"),
])  # fmt: skip
def test_who_asks_for_what_is_between_two_respawns_has_it_begin_anew(verb: Verb, caller: str, delay: str) -> None:
    """At once, and with a fresh budget: DESIGN.md, section 3. Not if the script of a service asks for it."""
    machine = world({"db": Behaviour(status=256)}, db={"kind": "oneshot", "restart": "on_failure"}, web={})
    started(machine, "web")
    machine.request(Verb.START, "db")
    machine.run(until_s=machine.now_s + 5.0)
    assert (machine.state("db"), reason(machine, "db")) == (BACKOFF, "exited with status 1; starts again after 4 s")
    machine.request(verb, "db", caller=caller)
    machine.run(until_s=machine.now_s + 0.2)
    assert reason(machine, "db") == f"exited with status 1; starts again after {delay}"


# -- daemons in the background -----------------------------------------------------------------------------------


def test_a_forking_service_is_up_when_its_command_has_ended_and_its_daemon_is_found() -> None:
    machine = world({"db": Behaviour(takes_s=1.0)}, db={"kind": "forking"}, web={"need": ["db"]})
    machine.request(Verb.START, "web")
    machine.run(until_s=0.5)
    assert (machine.state("db"), machine.state("web")) == (STARTING, WAITING)
    machine.run(until_s=1.0015)
    assert (machine.state("db"), reason(machine, "db")) == (STARTING, "its command has ended, its daemon is looked for")
    machine.run()
    assert machine.states() == {"db": "up", "web": "up"}
    (daemon,) = (process for process in machine.processes.values() if process.name == "db")
    assert pid_of_main(machine, "db") == daemon.pid


def test_a_forking_service_whose_command_fails_has_failed() -> None:
    machine = world({"db": Behaviour(status=3 << 8)}, db={"kind": "forking"})
    machine.request(Verb.START, "db")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (FAILED, "exited with status 3")
    assert ordered(machine, effects.FindMain) == 0


def test_a_forking_service_without_a_daemon_has_failed_and_leaves_nothing() -> None:
    machine = world({"db": Behaviour(no_main="its pidfile /run/db.pid names no process of it")}, db={"kind": "forking"})
    machine.request(Verb.START, "db")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (
        FAILED,
        "never became ready: its pidfile /run/db.pid names no process of it",
    )
    assert machine.processes == {}


def test_a_daemon_in_the_background_that_crashes_respawns_by_its_command() -> None:
    machine = started(world(db={"kind": "forking", "restart": "on_failure"}), "db")
    first = pid_of_main(machine, "db")
    machine.end("db", 11)
    assert (machine.state("db"), reason(machine, "db")) == (BACKOFF, "killed by SIGSEGV; starts again after 1 s")
    machine.run()
    assert machine.state("db") is UP
    assert pid_of_main(machine, "db") != first


def test_a_stop_while_the_daemon_is_looked_for_ends_it_and_the_late_answer_means_nothing() -> None:
    machine = world(db={"kind": "forking"})
    machine.request(Verb.START, "db")
    machine.run(until_s=0.1015)
    assert reason(machine, "db") == "its command has ended, its daemon is looked for"
    stopped = machine.request(Verb.STOP, "db")
    machine.tell(events.MainFound("db", 4711))
    assert Role.MAIN not in machine.engine.units["db"].running
    machine.run()
    assert text(machine, stopped) == "stopped by tester"
    assert (machine.state("db"), list(machine.processes)) == (DOWN, [])


def test_a_daemon_in_the_background_says_that_it_is_ready_after_it_was_found() -> None:
    machine = world(db={"kind": "forking", "ready": True})
    machine.request(Verb.START, "db")
    machine.run(until_s=0.05)
    machine.tell(events.Ready("db"))
    assert machine.state("db") is STARTING, "its command still runs"
    machine.run(until_s=0.15)
    assert reason(machine, "db") == "runs, not ready yet (notify)"
    machine.run()
    assert machine.state("db") is UP


def test_what_a_forking_service_says_of_its_main_process_before_its_command_ended_is_not_taken_for_the_daemon() -> None:
    machine = world(db={"kind": "forking"})
    machine.request(Verb.START, "db")
    machine.run(until_s=0.05)
    machine.tell(events.MainFound("db", 4711))
    assert pid_of_main(machine, "db") != 4711
    machine.run()
    assert machine.state("db") is UP
    assert pid_of_main(machine, "db") != 4711


def test_a_forking_service_that_is_not_up_in_time_has_failed() -> None:
    machine = world({"db": Behaviour(never_ready=True)}, db={"kind": "forking", "ready": True, "start_timeout_s": 5.0})
    machine.request(Verb.START, "db")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (
        FAILED,
        "not up within 5 s (runs, not ready yet (notify))",
    )
    assert machine.processes == {}


def test_no_daemon_is_waited_for_longer_than_the_start_may_last() -> None:
    """The answer to FindMain is lost."""
    machine = world(db={"kind": "forking", "start_timeout_s": 5.0})
    machine.request(Verb.START, "db")
    machine.run(until_s=0.1015)
    machine.attended.perform(effects.UnwatchReadiness("db"))
    machine.run()
    assert (machine.state("db"), list(machine.processes)) == (FAILED, [])


# -- another main process ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["process", "forking"])
def test_the_end_of_a_former_main_process_is_nobodys(kind: str) -> None:
    """MAINPID= of sd_notify(3)."""
    machine = started(world(db={"kind": kind}), "db")
    first = pid_of_main(machine, "db")
    machine.attended.hand_over("db")
    machine.run()
    assert machine.state("db") is UP
    (left,) = machine.processes.values()
    assert pid_of_main(machine, "db") == left.pid != first
    machine.end("db", 11)
    assert reason(machine, "db") == "killed by SIGSEGV"


def test_the_new_main_process_says_that_it_is_ready() -> None:
    machine = world({"db": Behaviour(takes_s=1.0)}, db={"ready": True})
    machine.request(Verb.START, "db")
    machine.run(until_s=0.5)
    machine.attended.hand_over("db")
    assert machine.state("db") is STARTING
    machine.run()
    assert machine.state("db") is UP


def test_a_oneshot_that_names_a_main_process_is_up_when_that_ends() -> None:
    machine = world({"setup": Behaviour(takes_s=1.0)}, setup={"kind": "oneshot"})
    machine.request(Verb.START, "setup")
    machine.run(until_s=0.5)
    machine.tell(events.MainFound("setup", 4711))
    machine.tell(events.Exited("setup", Role.MAIN, 0))
    assert machine.state("setup") is UP


# -- conditions --------------------------------------------------------------------------------------------------


def test_a_service_whose_conditions_are_met_starts_after_they_were_looked_at() -> None:
    machine = world(db={"when": True, "pre": True, "ready": True})
    machine.request(Verb.START, "db")
    assert (machine.state("db"), reason(machine, "db")) == (STARTING, "checks its conditions")
    assert machine.processes == {}
    machine.run()
    assert machine.state("db") is UP


def test_a_service_whose_condition_is_not_met_is_down_and_who_asked_is_told_without_calling_it_a_failure() -> None:
    machine = world({"db": UNMET}, db={"when": True, "restart": "always"})
    asked = machine.request(Verb.START, "db")
    machine.run()
    assert (answer(machine, asked).outcome, text(machine, asked)) == (Outcome.DONE, DOWN_UNMET)
    assert (machine.state("db"), machine.engine.units["db"].finished) == (DOWN, True)
    assert machine.transitions(BACKOFF, FAILED) == []


def test_what_needs_a_service_whose_condition_is_not_met_is_down_because_of_that() -> None:
    machine = world({"db": UNMET}, db={"when": True}, web={"need": ["db"]}, page={"want": ["db"]})
    asked = machine.request(Verb.START, "web", "page")
    machine.run()
    assert machine.states() == {"db": "down", "web": "down", "page": "up"}
    assert answer(machine, asked).results == (
        ("web", Outcome.FAILED, "down: needs db, which is down (test.yaml:1:1)"),
        ("page", Outcome.DONE, "up after 0.00 s"),
    )


def test_a_runlevel_with_a_service_whose_condition_is_not_met_is_reached_and_nothing_failed() -> None:
    machine = world({"db": UNMET}, db={"when": True}, default={"kind": "runlevel", "want": ["db"]})
    machine.request(Verb.RUNLEVEL, "default")
    machine.run()
    (finished,) = (effect for _, effect in machine.trace if isinstance(effect, effects.BootFinished))
    assert (machine.state("default"), finished.failed) == (UP, ())


def test_a_need_found_at_run_time_of_what_has_an_unmet_condition_fails() -> None:
    machine = started(world({"db": UNMET}, db={"when": True}, web={}), "web")
    asked = machine.request(Verb.NEED, "db", caller="web", waits=False)
    machine.run()
    assert (answer(machine, asked).outcome, text(machine, asked)) == (Outcome.FAILED, DOWN_UNMET)


def test_a_stop_while_conditions_are_looked_at_ends_it_at_once() -> None:
    machine = world(db={"when": True})
    machine.request(Verb.START, "db")
    stopped = machine.request(Verb.STOP, "db")
    assert text(machine, stopped) == "stopped by tester"
    machine.tell(events.ConditionsChecked("db"))
    machine.run()
    assert (machine.state("db"), ordered(machine, effects.Spawn)) == (DOWN, 0)


def test_a_condition_is_looked_at_anew_by_every_start() -> None:
    machine = started(world({"db": UNMET}, db={"when": True}), "db")
    machine.behaviours.clear()
    again = machine.request(Verb.START, "db")
    machine.run()
    assert (answer(machine, again).outcome, machine.state("db")) == (Outcome.DONE, UP)


def test_a_respawn_looks_at_the_conditions_too() -> None:
    machine = started(world(db={"when": True, "restart": "always"}), "db")
    machine.behaviours["db"] = UNMET
    machine.end("db", 11)
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (DOWN, "a condition is not met: path /etc/db.conf")


@pytest.mark.parametrize("kind", ["process", "forking"])
def test_a_second_answer_about_conditions_stops_nothing(kind: str) -> None:
    machine = world(db={"when": True, "kind": kind})
    machine.request(Verb.START, "db")
    while machine.state("db") is STARTING:
        machine.run(most=1)
        if reason(machine, "db") != "checks its conditions":
            machine.tell(events.ConditionsChecked("db", "path /etc/db.conf"))
    assert machine.state("db") is UP


def test_conditions_that_nobody_answers_for_fail_the_start_in_its_time() -> None:
    machine = world(db={"when": True, "start_timeout_s": 5.0})
    machine.request(Verb.START, "db")
    machine.attended.perform(effects.UnwatchReadiness("db"))
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (FAILED, "not up within 5 s (checks its conditions)")


def test_another_provider_takes_over_from_one_whose_condition_is_not_met() -> None:
    machine = world(
        {"a": UNMET},
        a={"when": True},
        b={},
        sql={"kind": "virtual", "provided_by": ["a", "b"]},
        web={"need": ["sql"]},
    )
    machine.request(Verb.START, "web")
    machine.run()
    assert machine.states() == {"a": "down", "b": "up", "sql": "up", "web": "up"}


# -- oneshots that do not remain ---------------------------------------------------------------------------------


def test_a_oneshot_that_does_not_remain_is_down_when_it_has_done_its_work() -> None:
    machine = world(job={"kind": "oneshot", "remains": False})
    asked = machine.request(Verb.START, "job")
    machine.run()
    assert machine.transitions(UP, DOWN) == ["job", "job"]
    assert (answer(machine, asked).outcome, text(machine, asked)) == (Outcome.DONE, "down: exited with status 0")
    again = machine.request(Verb.START, "job")
    machine.run()
    assert text(machine, again) == "down: exited with status 0"
    assert machine.transitions(UP) == ["job", "job"]


def test_a_oneshot_that_does_not_remain_can_fail_and_be_retried() -> None:
    machine = world({"job": Behaviour(status=256)}, job={"kind": "oneshot", "remains": False, "restart": "on_failure"})
    asked = machine.request(Verb.START, "job")
    machine.run(until_s=0.5)
    assert machine.state("job") is BACKOFF
    machine.behaviours.clear()
    machine.run()
    assert (text(machine, asked), machine.state("job")) == ("down: exited with status 0", DOWN)


def test_what_starts_after_a_oneshot_that_does_not_remain_waits_for_its_work() -> None:
    machine = world({"job": Behaviour(takes_s=1.0)}, job={"kind": "oneshot", "remains": False}, web={"want": ["job"]})
    machine.request(Verb.START, "web")
    machine.run(until_s=0.9)
    assert machine.state("web") is WAITING
    machine.run()
    assert machine.states() == {"job": "down", "web": "up"}


def test_what_needs_a_oneshot_that_does_not_remain_is_down_with_it() -> None:
    machine = world(job={"kind": "oneshot", "remains": False}, web={"need": ["job"]})
    asked = machine.request(Verb.START, "web")
    machine.run()
    assert text(machine, asked) == "down: needs job, which is down (test.yaml:1:1)"


def test_what_has_done_its_work_has_not_failed_whatever_becomes_of_what_it_needed() -> None:
    """Seed 7000975."""
    machine = world(disk={}, job={"kind": "oneshot", "remains": False, "need": ["disk"]}, web={"need": ["job"]})
    machine.request(Verb.START, "web")
    machine.run()
    machine.end("disk", 11)
    assert machine.states() == {"disk": "failed", "job": "down", "web": "down"}
    assert not is_lost(machine.engine._board, "job")


def test_a_child_that_a_oneshot_leaves_is_ended_before_it_is_down() -> None:
    machine = world({"job": Behaviour(leaves_child=True)}, job={"kind": "oneshot", "remains": False})
    machine.request(Verb.START, "job")
    machine.run()
    assert (machine.state("job"), reason(machine, "job"), list(machine.processes)) == (DOWN, "exited with status 0", [])


def test_what_only_a_oneshot_needed_is_let_go_of_when_that_is_done() -> None:
    machine = world(disk={"stop_when_unneeded": True}, job={"kind": "oneshot", "remains": False, "need": ["disk"]})
    machine.request(Verb.START, "job")
    machine.run()
    assert (machine.state("disk"), reason(machine, "disk")) == (DOWN, "not needed since job stopped")
    machine.request(Verb.START, "job")
    machine.run()
    assert machine.transitions(UP) == ["disk", "job", "disk", "job"]


def test_what_another_needs_too_stays_when_a_oneshot_is_done() -> None:
    machine = world(
        disk={"stop_when_unneeded": True},
        job={"kind": "oneshot", "remains": False, "need": ["disk"]},
        web={"need": ["disk"]},
    )
    machine.request(Verb.START, "job", "web")
    machine.run()
    assert machine.states() == {"disk": "up", "job": "down", "web": "up"}


# -- definitions -------------------------------------------------------------------------------------------------------


def test_a_new_definition_of_another_kind_waits_until_the_service_is_down() -> None:
    machine = started(world(db={}), "db")
    machine.load(plan({"db": {"kind": "forking", "when": True}}))
    machine.request(Verb.RESTART, "db")
    machine.run()
    assert (machine.state("db"), ordered(machine, effects.FindMain), ordered(machine, effects.CheckConditions)) == (
        UP,
        1,
        1,
    )
