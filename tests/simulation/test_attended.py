"""Health, and what services say by sd_notify(3): what follows from each, a rule a test."""

from __future__ import annotations

from typing import Any

import pytest

from linit.engine import events
from linit.engine.events import TimerKind, Verb
from linit.engine.simulated import Population, Process
from linit.engine.simulator import Behaviour
from linit.model.service import StopStep
from linit.model.state import Finish, Outcome, Role, UnitState
from tests.simulation.graphs import RUN
from tests.simulation.worlds import answer, pid_of_main, reason, started, text, told, world

UP, DOWN, FAILED = UnitState.UP, UnitState.DOWN, UnitState.FAILED
BACKOFF, STARTING, STOPPING = UnitState.BACKOFF, UnitState.STARTING, UnitState.STOPPING


# -- health and watchdog -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"health": True}, {"watchdog_s": 30.0}])
def test_a_service_that_is_not_well_any_more_is_ended_and_respawns(how: dict[str, Any]) -> None:
    """WatchdogSec= of systemd.service(5): any failure of it counts as abnormal."""
    machine = started(world(db={"restart": "on_abnormal", **how}), "db")
    first = pid_of_main(machine, "db")
    machine.attended.sicken("db", "no WATCHDOG=1 for 30 s")
    assert (machine.state("db"), machine.attended.watched) == (STOPPING, {})
    machine.run(until_s=machine.now_s + 0.1)
    words = "no longer well: no WATCHDOG=1 for 30 s; starts again after 1 s"
    assert (machine.state("db"), reason(machine, "db")) == (BACKOFF, words)
    machine.run()
    assert (machine.state("db"), list(machine.attended.watched)) == (UP, ["db"])
    assert pid_of_main(machine, "db") != first


def test_a_service_that_is_not_well_and_never_restarts_has_failed_and_so_has_what_needs_it() -> None:
    machine = world({"db": Behaviour(unwell_after_s=5.0)}, db={"health": True}, web={"need": ["db"]})
    machine.request(Verb.START, "web")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (
        FAILED,
        "no longer well: its health check failed 3 times",
    )
    assert reason(machine, "web") == "needs db, which failed (test.yaml:1:1)"


def test_a_service_that_is_never_well_for_long_is_given_up() -> None:
    machine = world({"db": Behaviour(unwell_after_s=1.0)}, db={"health": True, "restart": "always"})
    machine.request(Verb.START, "db")
    machine.run()
    words = "no longer well: its health check failed 3 times; gave up after 3 respawns within 60 s"
    assert (machine.state("db"), reason(machine, "db")) == (FAILED, words)


def test_nobody_asks_whether_a_service_is_well_that_is_being_stopped() -> None:
    machine = started(world({"web": Behaviour(stop_s=1.0)}, db={"health": True}, web={"need": ["db"]}), "web")
    machine.request(Verb.STOP, "db")
    assert (machine.state("db"), machine.attended.watched) == (STOPPING, {})
    machine.tell(events.Unhealthy("db", "crossed with the stop"))
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (DOWN, "stopped by tester")


def test_who_is_not_looked_after_is_never_found_unwell() -> None:
    machine = started(world(db={}), "db")
    machine.tell(events.Unhealthy("db", "who says so?"))
    assert machine.state("db") is UP


def test_a_service_that_is_kept_is_looked_after_again() -> None:
    """Wanted again before anything was done to stop it."""
    machine = started(world({"web": Behaviour(stop_s=1.0)}, db={"health": True}, web={"need": ["db"]}), "web")
    machine.request(Verb.STOP, "db")
    machine.request(Verb.START, "db")
    assert (machine.state("db"), list(machine.attended.watched)) == (UP, ["db"])


def test_a_kept_service_that_stays_up_has_its_respawns_forgotten() -> None:
    """healthy_after: its timer runs anew."""
    machine = world({"web": Behaviour(stop_s=1.0)}, db={"restart": "always"}, web={"need": ["db"]})
    started(machine, "web")
    machine.end("db", 11)
    machine.run(until_s=machine.now_s + 2.0)
    machine.request(Verb.STOP, "db")
    machine.request(Verb.START, "db")
    assert machine.is_armed("db", TimerKind.HEALTHY)
    machine.run()
    assert machine.engine.units["db"].budget.at_s == ()


# -- reloads that are answered by the service --------------------------------------------------------------------

NOTIFIES: dict[str, Any] = {"reload_signal": 1, "reload_notifies": True}


def test_a_reload_is_done_when_the_service_says_so() -> None:
    """RELOADING=1 and READY=1 of sd_notify(3)."""
    machine = started(world(db=NOTIFIES), "db")
    asked = machine.request(Verb.RELOAD, "db")
    assert machine.answers[asked] == []
    machine.run(until_s=machine.now_s + 1.0)
    assert (answer(machine, asked).outcome, text(machine, asked)) == (Outcome.DONE, "reloaded")
    assert not machine.is_armed("db", TimerKind.RELOAD)


def test_a_reload_of_which_nothing_is_heard_has_failed_and_the_service_stays() -> None:
    machine = started(world(db=NOTIFIES), "db")
    machine.behaviours["db"] = Behaviour(never_ready=True)
    asked = machine.request(Verb.RELOAD, "db")
    machine.run()
    assert answer(machine, asked).outcome is Outcome.FAILED
    assert text(machine, asked) == "it has not said that it is ready again"
    assert machine.state("db") is UP


@pytest.mark.parametrize(
    ("status", "policy", "words"),
    [(11, "never", "it is failed"), (11, "always", "it is backoff"), (0, "never", "it is down")],
)
def test_a_reload_of_a_service_that_ends_meanwhile_has_failed(status: int, policy: str, words: str) -> None:
    machine = started(world(db={**NOTIFIES, "restart": policy}), "db")
    asked = machine.request(Verb.RELOAD, "db")
    machine.end("db", status)
    machine.run(until_s=machine.now_s + 100.0)
    assert (answer(machine, asked).outcome, text(machine, asked)) == (Outcome.FAILED, words)


def test_a_reload_of_a_service_that_is_stopped_meanwhile_has_failed() -> None:
    machine = started(world(db=NOTIFIES), "db")
    asked = machine.request(Verb.RELOAD, "db")
    machine.request(Verb.STOP, "db")
    machine.tell(events.Reloaded("db"))
    machine.run()
    assert (answer(machine, asked).outcome, text(machine, asked)) == (Outcome.FAILED, "it is stopping")


def test_all_who_asked_for_a_reload_are_answered_by_one_word() -> None:
    machine = started(world(db=NOTIFIES, web=NOTIFIES), "db", "web")
    first = machine.request(Verb.RELOAD, "db", "web")
    second = machine.request(Verb.RELOAD, "db")
    machine.run()
    assert [text(machine, second)] == ["reloaded"]
    assert {words for _, _, words in answer(machine, first).results} == {"reloaded"}


def test_a_reload_command_is_not_over_because_the_service_says_something() -> None:
    machine = started(world({"db": Behaviour(takes_s=1.0)}, db={"reload": RUN, **NOTIFIES}), "db")
    asked = machine.request(Verb.RELOAD, "db")
    machine.tell(events.Reloaded("db"))
    assert machine.answers[asked] == []
    assert machine.is_armed("db", TimerKind.RELOAD)
    machine.run()
    assert text(machine, asked) == "reloaded"


def test_a_reload_under_way_when_the_system_ends_is_answered_once() -> None:
    machine = started(world(db=NOTIFIES), "db")
    asked = machine.request(Verb.RELOAD, "db")
    machine.tell(events.Shutdown(Finish.POWEROFF, "root"))
    machine.tell(events.Reloaded("db"))
    machine.run()
    assert text(machine, asked) == "superseded by shutdown of root"


# -- more time ---------------------------------------------------------------------------------------------------


def test_a_start_may_last_longer_when_the_service_asks_for_time() -> None:
    """EXTEND_TIMEOUT_USEC of sd_notify(3)."""
    machine = world({"db": Behaviour(takes_s=8.0)}, db={"ready": True, "start_timeout_s": 5.0})
    machine.request(Verb.START, "db")
    machine.run(until_s=4.0)
    machine.tell(events.Extended("db", 6.0))
    machine.run()
    assert machine.state("db") is UP


def test_to_ask_for_more_time_never_makes_it_less() -> None:
    machine = world({"db": Behaviour(takes_s=4.0)}, db={"ready": True, "start_timeout_s": 5.0})
    machine.request(Verb.START, "db")
    machine.run(until_s=1.0)
    machine.tell(events.Extended("db", 0.5))
    machine.run()
    assert machine.state("db") is UP


def test_more_time_comes_an_hour_at_a_time() -> None:
    machine = world({"db": Behaviour(never_ready=True)}, db={"ready": True, "start_timeout_s": 5.0})
    machine.request(Verb.START, "db")
    machine.run(until_s=1.0)
    machine.tell(events.Extended("db", 1e9))
    assert machine.engine.units["db"].deadline_s == 3601.0
    machine.run()
    assert machine.state("db") is FAILED


def test_a_start_without_a_limit_is_given_none() -> None:
    machine = world({"db": Behaviour(never_ready=True)}, db={"ready": True, "start_timeout_s": None})
    machine.request(Verb.START, "db")
    machine.tell(events.Extended("db", 5.0))
    machine.run()
    assert machine.state("db") is STARTING


def test_a_stop_may_last_longer_when_the_service_asks_for_time() -> None:
    machine = started(world({"db": Behaviour(stop_s=3.0)}, db={"stop_timeout_s": 1.0}), "db")
    machine.request(Verb.STOP, "db")
    machine.run(until_s=20.5)
    machine.tell(events.Extended("db", 5.0))
    machine.run()
    assert (machine.state("db"), told(machine)) == (DOWN, [])


def test_no_time_is_won_before_the_stop_has_begun_or_after_sigkill() -> None:
    machine = world(
        {"web": Behaviour(stop_s=1.0), "db": Behaviour(ignores_term=True, unkillable=True)},
        db={"stop_steps": (StopStep(15, 1.0),), "stop_timeout_s": 1.0},
        web={"need": ["db"]},
    )
    started(machine, "web")
    machine.request(Verb.STOP, "db")
    machine.tell(events.Extended("db", 100.0))
    assert not machine.is_armed("db", TimerKind.STOP), "it waits for web"
    machine.run(until_s=machine.now_s + 3.0)
    machine.tell(events.Extended("db", 100.0))
    machine.run()
    assert machine.state("db") is FAILED
    assert machine.now_s < 30.0


def test_a_signal_reaches_the_processes_of_one_service_whatever_else_runs() -> None:
    """They are found by the service: a boot and a shutdown of ten thousand cost ten times those of one thousand."""
    processes = Population()
    for pid, name in enumerate(("web", "db", "web"), 100):
        processes[pid] = Process(pid, name, Role.MAIN)
    assert [each.pid for each in processes.of("web")] == [100, 102]
    assert processes.pop(100, None) == Process(100, "web", Role.MAIN)
    del processes[102]
    assert (processes.of("web"), processes.of("mail"), list(processes)) == ((), (), [101])
    assert processes.pop(100, None) is None
