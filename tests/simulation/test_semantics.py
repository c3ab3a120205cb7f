"""DESIGN.md section 3, a sentence a test: what each kind of edge and each wish means."""

from __future__ import annotations

from typing import Any

import pytest

from linit.engine import effects, events
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import StopStep
from linit.model.state import Finish, Outcome, Role, UnitState
from tests.simulation.graphs import RUN, plan
from tests.simulation.worlds import answer, reason, started, text, world

UP, DOWN, FAILED, WAITING = UnitState.UP, UnitState.DOWN, UnitState.FAILED, UnitState.WAITING
BACKOFF, STARTING, STOPPING = UnitState.BACKOFF, UnitState.STARTING, UnitState.STOPPING


def test_need_pulls_in_and_waits_until_it_is_up() -> None:
    """need, as in openrc-run(8)."""
    w = world(net={"ready": True}, sshd={"need": ["net"]})
    w.request(Verb.START, "sshd")
    w.run(until_s=0.05)
    assert (w.state("net"), w.state("sshd")) == (STARTING, WAITING)
    w.run()
    assert w.transitions(UP) == ["net", "sshd"]


def test_what_does_not_depend_starts_at_once_together() -> None:
    services: dict[str, dict[str, Any]] = {f"s{n}": {"ready": True} for n in range(5)}
    w = world(all={"kind": "target", "want": list(services)}, **services)
    w.request(Verb.START, "all")
    w.run()
    starts = [at_s for at_s, effect in w.trace if isinstance(effect, effects.Spawn)]
    assert starts == [0.0] * 5


def test_a_failed_need_fails_the_dependent_and_is_named() -> None:
    w = world({"db": Behaviour(dies_after_s=0.1)}, db={"ready": True}, web={"need": ["db"]}, other={})
    number = w.request(Verb.START, "web", "other")
    w.run()
    assert w.states() == {"db": "failed", "web": "failed", "other": "up"}
    assert reason(w, "web") == "needs db, which failed (test.yaml:1:1)"
    assert reason(w, "db") == "exited with status 1"
    assert answer(w, number).outcome is Outcome.FAILED
    assert ("web", Outcome.FAILED, "failed: needs db, which failed (test.yaml:1:1)") in answer(w, number).results


def test_want_waits_for_the_start_but_not_for_its_success() -> None:
    w = world({"cache": Behaviour(takes_s=2.0, status=256)}, cache={"kind": "oneshot"}, web={"want": ["cache"]})
    w.request(Verb.START, "web")
    w.run(until_s=1.0)
    assert w.state("web") is WAITING
    w.run()
    assert (w.state("cache"), w.state("web")) == (FAILED, UP)


def test_use_and_after_do_not_pull_in_but_order_when_both_start() -> None:
    w = world(log={"ready": True}, a={"use": ["log"]}, b={"after": ["log"]})
    w.request(Verb.START, "a", "b")
    w.run()
    assert w.states() == {"log": "down", "a": "up", "b": "up"}
    w = world(log={"ready": True}, a={"use": ["log"]}, b={"after": ["log"]})
    w.request(Verb.START, "a", "b", "log")
    w.run()
    assert w.transitions(UP)[0] == "log"


def test_stop_takes_dependents_down_first_and_start_brings_them_back() -> None:
    """What was stopped because of X starts again when X is back."""
    w = world(net={}, sshd={"need": ["net"]}, shell={"need": ["sshd"]})
    w.request(Verb.START, "shell")
    w.run()
    w.request(Verb.STOP, "net")
    w.run()
    assert w.transitions(DOWN) == ["shell", "sshd", "net"]
    assert reason(w, "sshd") == "needs net, which is down (test.yaml:1:1)"
    w.request(Verb.START, "net")
    w.run()
    assert w.states() == {"net": "up", "sshd": "up", "shell": "up"}


def test_stop_without_cascade_is_refused_when_something_needs_it() -> None:
    w = world(net={}, sshd={"need": ["net"]})
    w.request(Verb.START, "sshd")
    w.run()
    number = w.request(Verb.STOP, "net", cascade=False)
    assert answer(w, number).results == (("net", Outcome.FAILED, "sshd would stop with it"),)
    assert w.state("net") is UP


def test_a_crash_within_the_limit_leaves_dependents_by_need_up_and_takes_those_by_bind_down() -> None:
    w = world(db={"restart": "always"}, web={"need": ["db"]}, tied={"bind": ["db"]})
    w.request(Verb.START, "web", "tied")
    w.run()
    pid = w.engine.units["db"].pids.copy()
    main = next(p for p in w.processes.values() if p.name == "db")
    del w.processes[main.pid]
    w.tell(events.Exited("db", Role.MAIN, 11))
    assert (w.state("db"), w.state("web")) == (BACKOFF, UP)
    w.run()
    assert w.states() == {"db": "up", "web": "up", "tied": "up"}
    assert "tied" in w.transitions(DOWN)
    assert "web" not in w.transitions(DOWN)
    assert w.engine.units["db"].pids != pid


def test_at_the_respawn_limit_it_fails_and_what_needs_it_stops() -> None:
    w = world({"db": Behaviour(dies_after_s=0.2, death=11)}, db={"restart": "on_failure"}, web={"need": ["db"]})
    w.request(Verb.START, "web")
    w.run()
    assert reason(w, "db") == "killed by SIGSEGV; gave up after 3 respawns within 60 s"
    assert w.states() == {"db": "failed", "web": "failed"}
    delays = [e.delay_s for _, e in w.trace if isinstance(e, effects.ArmTimer) and e.kind is events.TimerKind.RESPAWN]
    assert delays == [1.0, 2.0, 4.0]
    w.behaviours["db"] = Behaviour()
    w.request(Verb.START, "db")
    w.run()
    assert w.states() == {"db": "up", "web": "up"}, "an explicit start has a fresh budget, and dependents come back"


def test_a_long_uptime_resets_the_budget() -> None:
    w = world({"db": Behaviour(dies_after_s=30.0)}, db={"restart": "always"})
    w.request(Verb.START, "db")
    w.run(until_s=3600.0)
    assert w.engine.units["db"].state in (UP, BACKOFF)
    delays = {e.delay_s for _, e in w.trace if isinstance(e, effects.ArmTimer) and e.kind is events.TimerKind.RESPAWN}
    assert delays == {1.0}, "each crash came after an uptime of more than healthy_after"
    assert w.engine.units["db"].restarts > 10


def test_a_start_that_takes_too_long_is_stopped_and_fails() -> None:
    w = world({"db": Behaviour(never_ready=True)}, db={"ready": True, "start_timeout_s": 5.0})
    number = w.request(Verb.START, "db")
    w.run()
    assert reason(w, "db") == "not up within 5 s (runs, not ready yet (notify))"
    assert answer(w, number).results[0][2] == "failed: not up within 5 s (runs, not ready yet (notify))"
    assert not w.processes


def test_a_service_that_ignores_term_is_killed_at_its_timeout_and_that_is_told() -> None:
    w = world({"deaf": Behaviour(ignores_term=True)}, deaf={"stop_timeout_s": 15.0})
    w.request(Verb.START, "deaf")
    w.run()
    number = w.request(Verb.STOP, "deaf")
    w.run()
    told = [effect.text for _, effect in w.trace if isinstance(effect, effects.Told)]
    assert told == ["ignored TERM for 15 s, killed"]
    assert answer(w, number).results == (("deaf", Outcome.DONE, "not down within 15 s, killed"),)


def test_the_stop_timeout_bounds_all_stop_signals_together() -> None:
    """stop_timeout: of services/README.md. KILL comes then, however long the steps might still wait."""
    steps = (StopStep(2, 90.0), StopStep(3, 10.0))
    w = world({"deaf": Behaviour(ignores_term=True)}, deaf={"stop_steps": steps, "stop_timeout_s": 1.0})
    w.request(Verb.START, "deaf")
    w.run()
    asked_s = w.now_s
    w.request(Verb.STOP, "deaf")
    w.run()
    sent = [
        (round(at_s - asked_s, 3), effect.signal if isinstance(effect, effects.Signal) else "KILL")
        for at_s, effect in w.trace
        if isinstance(effect, effects.Signal | effects.KillAll)
    ]
    assert sent == [(0.0, 2), (1.0, "KILL")]


def test_after_a_stop_command_that_takes_too_long_the_signals_have_their_own_time() -> None:
    """ExecStop= of systemd.service(5): TimeoutStopSec applies to each command, and then to the signals."""
    w = world({"slow": Behaviour(takes_s=9.0)}, slow={"stop": True, "stop_timeout_s": 1.0})
    w.request(Verb.START, "slow")
    w.run()
    w.behaviours["slow"] = Behaviour(takes_s=9.0, stop_s=0.5)
    w.request(Verb.STOP, "slow")
    w.run()
    assert not [effect for _, effect in w.trace if isinstance(effect, effects.KillAll)]


def test_stop_signals_go_out_in_the_order_and_with_the_delays_written() -> None:
    steps = (StopStep(3, 2.0), StopStep(15, 3.0))
    w = world({"deaf": Behaviour(ignores_term=True)}, deaf={"stop_steps": steps, "stop_timeout_s": 10.0})
    w.request(Verb.START, "deaf")
    w.run()
    w.request(Verb.STOP, "deaf")
    start_s = w.now_s
    w.run()
    signals = [(at_s - start_s, e.signal) for at_s, e in w.trace if isinstance(e, effects.Signal)]
    kills = [at_s - start_s for at_s, e in w.trace if isinstance(e, effects.KillAll)]
    assert signals == [(0.0, 3), (2.0, 15)]
    assert kills == [pytest.approx(5.0)]


def test_stop_while_starting_takes_effect_at_once_and_the_start_is_superseded() -> None:
    w = world({"slow": Behaviour(takes_s=30.0)}, slow={"ready": True}, top={"need": ["slow"]})
    start = w.request(Verb.START, "top")
    w.run(until_s=1.0)
    w.request(Verb.STOP, "top", "slow")
    w.run()
    assert max(at_s for at_s, effect in w.trace if isinstance(effect, effects.Transition)) < 2.0
    assert answer(w, start).results == (("top", Outcome.SUPERSEDED, "superseded by stop of tester"),)


def test_restart_takes_dependents_down_and_brings_them_back() -> None:
    w = world(db={}, web={"need": ["db"]}, idle={"need": ["db"]})
    w.request(Verb.START, "web")
    w.run()
    w.trace.clear()
    number = w.request(Verb.RESTART, "db")
    w.run()
    assert w.transitions(DOWN) == ["web", "db"]
    assert w.states() == {"db": "up", "web": "up", "idle": "down"}
    assert answer(w, number).outcome is Outcome.DONE


def test_restart_only_leaves_dependents_alone() -> None:
    w = world(db={}, web={"need": ["db"]})
    w.request(Verb.START, "web")
    w.run()
    w.trace.clear()
    w.request(Verb.RESTART, "db", only=True)
    w.run()
    assert w.transitions(DOWN) == ["db"]
    assert w.states() == {"db": "up", "web": "up"}


def test_an_explicit_start_stops_what_conflicts_first() -> None:
    w = world(a={"conflicts": ["b"]}, b={})
    w.request(Verb.START, "b")
    w.run()
    w.request(Verb.START, "a")
    assert (w.state("a"), w.state("b")) == (WAITING, STOPPING)
    w.run()
    assert w.states() == {"a": "up", "b": "down"}
    assert reason(w, "b") == "conflicts with a (test.yaml:1:1)"


def test_of_two_in_conflict_that_are_wanted_together_the_earlier_in_name_order_wins() -> None:
    w = world(a={}, b={"conflicts": ["a"]}, all={"kind": "runlevel", "want": ["b", "a"]})
    w.request(Verb.START, "all")
    w.run()
    assert w.states() == {"a": "up", "b": "failed", "all": "up"}
    assert reason(w, "b") == "conflicts with a (test.yaml:1:1)"


def test_any_provider_satisfies_and_another_takes_over_when_the_first_fails() -> None:
    w = world(
        {"exim": Behaviour(dies_after_s=0.1)},
        exim={"ready": True},
        postfix={"ready": True},
        mta={"kind": "virtual", "provided_by": ["exim", "postfix"]},
        cron={"need": ["mta"]},
    )
    w.request(Verb.START, "cron")
    w.run()
    assert w.states() == {"exim": "failed", "postfix": "up", "mta": "up", "cron": "up"}


def test_an_active_provider_is_preferred() -> None:
    w = world(exim={}, postfix={}, mta={"kind": "virtual", "provided_by": ["exim", "postfix"]}, cron={"need": ["mta"]})
    w.request(Verb.START, "postfix")
    w.run()
    w.request(Verb.START, "cron")
    w.run()
    assert w.states() == {"exim": "down", "postfix": "up", "mta": "up", "cron": "up"}


def test_prefer_decides_between_providers_of_which_none_is_active() -> None:
    mta = {"kind": "virtual", "provided_by": ["exim", "postfix"]}
    w = world(exim={}, postfix={}, mta=mta, cron={"need": ["mta"], "prefer": ("postfix",)})
    w.request(Verb.START, "cron")
    w.run()
    assert w.states() == {"exim": "down", "postfix": "up", "mta": "up", "cron": "up"}


def test_a_target_waits_until_its_members_have_settled_and_tells_who_failed() -> None:
    w = world(
        {"b": Behaviour(status=256)},
        a={"ready": True},
        b={"kind": "oneshot"},
        default={"kind": "runlevel", "want": ["a", "b"]},
    )
    w.request(Verb.START, "default")
    w.run()
    (finished,) = [effect for _, effect in w.trace if isinstance(effect, effects.BootFinished)]
    assert (finished.runlevel, finished.failed) == ("default", ("b",))
    assert w.engine.boot_state == "running"


def test_changing_the_runlevel_stops_what_the_new_one_does_not_want() -> None:
    w = world(
        a={},
        b={},
        c={},
        default={"kind": "runlevel", "want": ["a", "b"]},
        single={"kind": "runlevel", "want": ["a", "c"]},
    )
    w.request(Verb.START, "default")
    w.run()
    number = w.request(Verb.RUNLEVEL, "single")
    w.run()
    assert w.states() == {"a": "up", "b": "down", "c": "up", "default": "down", "single": "up"}
    assert answer(w, number).outcome is Outcome.DONE
    assert reason(w, "b") == "not in runlevel single"


def test_shutdown_stops_in_reverse_then_runs_the_hooks_of_runlevel_shutdown() -> None:
    w = world(
        net={},
        web={"need": ["net"]},
        bell={"kind": "oneshot"},
        default={"kind": "runlevel", "want": ["web"]},
        shutdown={"kind": "runlevel", "want": ["bell"]},
    )
    w.request(Verb.START, "default")
    w.run()
    w.trace.clear()
    w.tell(events.Shutdown(Finish.REBOOT, "root"))
    w.run()
    assert w.transitions(DOWN) == ["default", "web", "net", "shutdown", "bell"]
    assert w.transitions(UP) == ["bell", "shutdown"]
    assert [end.finish for end in w.finished] == [Finish.REBOOT]


def test_what_was_pulled_in_stays_up_unless_it_asks_to_be_let_go() -> None:
    w = world(lib={}, temp={"stop_when_unneeded": True}, web={"need": ["lib", "temp"]})
    w.request(Verb.START, "web")
    w.run()
    w.request(Verb.STOP, "web")
    w.run()
    assert w.states() == {"lib": "up", "temp": "down", "web": "down"}


def test_a_oneshot_is_up_after_success_and_runs_its_stop_command() -> None:
    w = world(disk={"kind": "oneshot", "stop": (RUN,)})
    w.request(Verb.START, "disk")
    w.run()
    assert w.state("disk") is UP
    w.trace.clear()
    w.request(Verb.STOP, "disk")
    w.run()
    assert [effect.role.value for _, effect in w.trace if isinstance(effect, effects.Spawn)] == ["stop"]


def test_a_broken_service_and_what_needs_it_fail_and_the_rest_boots() -> None:
    broken = {"broken": "definition", "broken_by": ("bad.yaml:2:1: kind: found 'demon'",)}
    w = world(
        bad=broken, needy={"need": ["bad"]}, fine={}, default={"kind": "runlevel", "want": ["bad", "needy", "fine"]}
    )
    w.request(Verb.START, "default")
    w.run()
    assert w.states() == {"bad": "failed", "needy": "failed", "fine": "up", "default": "up"}
    assert reason(w, "bad") == "its definition is broken: bad.yaml:2:1: kind: found 'demon'"


def test_a_cycle_that_reached_the_engine_fails_its_members_and_hangs_nothing() -> None:
    """The compiler cuts or marks cycles; one that definitions replaced at run time close is found all the same."""
    w = world(a={"need": ["b"]}, b={"need": ["a"]}, c={}, default={"kind": "runlevel", "want": ["a", "b", "c"]})
    w.request(Verb.START, "default")
    w.run()
    assert (w.state("c"), w.state("default")) == (UP, UP)
    assert w.state("a") is not WAITING
    assert w.state("b") is not WAITING


def test_a_new_plan_starts_what_is_newly_enabled_and_stops_what_is_gone() -> None:
    w = world(a={}, b={}, default={"kind": "runlevel", "want": ["a", "b"]})
    w.request(Verb.START, "default")
    w.run()
    w.answers[99] = []
    new = plan({"a": {"use": ["c"]}, "c": {}, "default": {"kind": "runlevel", "want": ["a", "c"]}})
    w.tell(events.PlanLoaded(99, new, "tester"))
    w.run()
    assert w.states() == {"a": "up", "c": "up", "default": "up"}
    assert w.engine.units["a"].is_outdated
    assert {name: text for name, _, text in answer(w, 99).results} == {
        "a": "changed; takes effect at its next start",
        "b": "removed",
        "c": "added",
        "default": "changed",
    }
    w.request(Verb.RESTART, "a")
    w.run()
    assert not w.engine.units["a"].is_outdated


def test_a_restart_by_a_definition_that_is_broken_is_refused_and_nothing_stops() -> None:
    """A slip of the pen must not take down what runs. Once it is mended, the restart is by the new one."""
    machine = started(world(a={}, b={"need": ["a"]}), "b")
    broken = {"broken": "definition", "broken_by": ("a.yaml:1:1: run: found 7",), "digest": "x"}
    machine.load(plan({"a": broken, "b": {}}))
    for only in (False, True):
        asked = machine.request(Verb.RESTART, "a", only=only)
        assert answer(machine, asked).outcome is Outcome.FAILED
        assert text(machine, asked) == (
            "its new definition is broken, so it is left as it is: a.yaml:1:1: run: found 7"
        )
    assert machine.states() == {"a": "up", "b": "up"}
    machine.load(plan({"a": {"digest": "mended"}, "b": {}}))
    machine.request(Verb.RESTART, "a")
    machine.run()
    assert (machine.states(), machine.engine.units["a"].service.digest) == ({"a": "up", "b": "up"}, "mended")


def mail() -> Simulator:
    """A virtual name that cron needs and that one provider of two gives."""
    w = world(
        exim={},
        postfix={},
        mta={"kind": "virtual", "provided_by": ["exim", "postfix"]},
        cron={"need": ["mta"]},
    )
    w.request(Verb.START, "cron")
    w.run()
    assert w.states() == {"exim": "up", "postfix": "down", "mta": "up", "cron": "up"}
    w.trace.clear()
    return w


def test_a_virtual_name_is_up_while_any_provider_is_whoever_asked_for_it() -> None:
    w = world(exim={"ready": True}, mta={"kind": "virtual", "provided_by": ["exim"]}, list={"use": ["mta"]})
    w.request(Verb.START, "exim", "list")
    w.run()
    assert w.transitions(UP) == ["exim", "mta", "list"]
    assert reason(w, "mta") == "provided by exim"


def test_stopping_a_virtual_name_stops_its_providers_after_who_needs_it() -> None:
    w = mail()
    w.request(Verb.STOP, "mta")
    w.run()
    assert w.transitions(DOWN) == ["cron", "mta", "exim"]


def test_stopping_one_of_two_active_providers_leaves_those_who_need_the_name_alone() -> None:
    w = mail()
    w.request(Verb.START, "postfix")
    w.run()
    w.request(Verb.STOP, "exim")
    w.run()
    assert w.states() == {"exim": "down", "postfix": "up", "mta": "up", "cron": "up"}
    assert w.transitions(DOWN) == ["exim"]


def test_restarting_a_virtual_name_restarts_its_active_providers() -> None:
    w = mail()
    number = w.request(Verb.RESTART, "mta")
    w.run()
    assert w.transitions(DOWN) == ["cron", "mta", "exim"]
    assert w.states() == {"exim": "up", "postfix": "down", "mta": "up", "cron": "up"}
    assert answer(w, number).outcome is Outcome.DONE


def test_what_a_crashed_main_process_left_behind_is_ended_before_it_respawns() -> None:
    """The stop signal goes to every process of the service."""
    w = world({"web": Behaviour(dies_after_s=1.0, leaves_child=True, stop_s=0.5)}, web={"restart": "always"})
    w.request(Verb.START, "web")
    w.run(until_s=1.2)
    assert (w.state("web"), [p.role for p in w.processes.values()]) == (STOPPING, [None])
    w.run(until_s=2.0)
    assert (w.state("web"), len(w.processes)) == (BACKOFF, 0)


def test_a_stop_command_undoes_only_what_was_done() -> None:
    w = world({"disk": Behaviour(takes_s=10.0)}, disk={"kind": "oneshot", "stop": (RUN,)})
    w.request(Verb.START, "disk")
    w.run(until_s=1.0)
    w.request(Verb.STOP, "disk")
    w.run()
    assert [effect.role.value for _, effect in w.trace if isinstance(effect, effects.Spawn)] == ["main"]


def test_a_stop_during_the_clean_up_after_a_crash_ends_the_matter() -> None:
    """A later wish replaces an earlier one."""
    w = world({"web": Behaviour(dies_after_s=1.0, leaves_child=True, stop_s=0.5)}, web={"restart": "always"})
    w.request(Verb.START, "web")
    w.run(until_s=1.2)
    number = w.request(Verb.STOP, "web")
    w.run()
    assert answer(w, number).results == (("web", Outcome.DONE, "stopped by tester"),)
    assert w.transitions(BACKOFF) == []


def test_the_last_provider_is_not_stopped_without_cascade() -> None:
    w = mail()
    number = w.request(Verb.STOP, "exim", cascade=False)
    assert answer(w, number).results == (("exim", Outcome.FAILED, "cron would stop with it"),)
    w.request(Verb.START, "postfix")
    w.run()
    number = w.request(Verb.STOP, "exim", cascade=False)
    w.run()
    assert answer(w, number).outcome is Outcome.DONE


def test_a_virtual_name_that_loses_its_provider_is_not_up_for_those_who_start_in_that_moment() -> None:
    w = world(
        {"dep": Behaviour(takes_s=50.0), "two": Behaviour(takes_s=90.0)},
        one={"kind": "oneshot"},
        two={"ready": True, "start_timeout_s": None},
        mta={"kind": "virtual", "provided_by": ["one", "two"]},
        dep={"need": ["one"], "ready": True},
        late={"need": ["mta"], "use": ["dep"]},
    )
    w.request(Verb.START, "one", "two", "dep", "late")
    w.run(until_s=10.0)
    assert (w.state("mta"), w.state("late")) == (UP, WAITING)
    w.request(Verb.STOP, "one")
    assert (w.state("mta"), w.state("late")) == (BACKOFF, WAITING)
    w.run()
    assert w.transitions(UP)[-2:] == ["mta", "late"]


def idle_world(takes_s: float) -> Simulator:
    """A login that lets the rest of the boot go first for at most 5 s."""
    w = world(
        {"net": Behaviour(takes_s=takes_s)},
        net={"ready": True},
        web={"need": ["net"]},
        getty={"idle_s": 5.0, "restart": "always"},
        default={"kind": "runlevel", "want": ["getty", "net", "web"]},
    )
    w.request(Verb.START, "default")
    return w


def test_an_idle_service_starts_when_the_rest_of_the_boot_has_started() -> None:
    """Type=idle of systemd.service(5): the prompt comes last."""
    w = idle_world(takes_s=1.0)
    w.run()
    assert w.transitions(UP) == ["net", "web", "getty", "default"]
    assert w.now_s < 1.1


def test_an_idle_service_does_not_wait_for_longer_than_it_says() -> None:
    w = idle_world(takes_s=20.0)
    w.run(until_s=1.0)
    assert (w.state("getty"), reason(w, "getty")) == (WAITING, "waits for the boot and all else that starts")
    w.run()
    (up_at_s,) = [
        e.at_s for _, e in w.trace if isinstance(e, effects.Transition) and (e.name, e.after) == ("getty", UP)
    ]
    assert up_at_s == pytest.approx(5.0, abs=0.01)


def test_an_idle_service_waits_only_during_a_boot() -> None:
    w = idle_world(takes_s=1.0)
    w.run()
    w.request(Verb.STOP, "getty", "net")
    w.run()
    began_s = w.now_s
    w.request(Verb.START, "getty", "net")
    w.run(until_s=began_s + 0.01)
    assert w.state("getty") is UP


def test_a_running_service_that_is_enabled_is_not_out_of_date() -> None:
    """Being enabled is no part of what a definition means."""
    w = world(a={}, default={"kind": "runlevel"})
    w.request(Verb.START, "default", "a")
    w.run()
    new = plan({"a": {"runlevels": ("default",)}, "default": {"kind": "runlevel", "want": ["a"]}})
    w.tell(events.PlanLoaded(99, new, "tester", start_enabled=False))
    unit = w.engine.units["a"]
    assert (unit.service.runlevels, unit.is_outdated, unit.state) == (("default",), False, UP)


def test_a_provider_that_somebody_stopped_does_not_take_over() -> None:
    w = mail()
    w.request(Verb.START, "postfix")
    w.run()
    w.request(Verb.STOP, "postfix")
    w.run()
    w.behaviours["exim"] = Behaviour(dies_after_s=0.1)
    w.request(Verb.RESTART, "exim")
    w.run()
    assert w.states() == {"exim": "failed", "postfix": "down", "mta": "failed", "cron": "failed"}


def test_a_provider_that_is_to_go_provides_no_more_for_those_who_start_in_that_moment() -> None:
    w = world(
        {"dep": Behaviour(takes_s=50.0), "two": Behaviour(takes_s=90.0)},
        dep={"ready": True},
        late={"need": ["mta"], "use": ["dep"]},
        mta={"kind": "virtual", "provided_by": ["one", "two"]},
        one={},
        two={"ready": True, "start_timeout_s": None},
        first={"kind": "runlevel", "want": ["dep", "late", "one", "two"]},
        then={"kind": "runlevel", "want": ["late", "two"]},
    )
    w.request(Verb.START, "first")
    w.run(until_s=10.0)
    assert (w.state("mta"), w.state("late")) == (UP, WAITING)
    w.request(Verb.RUNLEVEL, "then")
    assert w.state("late") is WAITING
    w.run()
    assert w.transitions(UP)[-3:] == ["mta", "late", "then"]


def test_what_never_ran_has_been_down_since_linit_began() -> None:
    """Not since the clock began, which in user mode is the host's boot."""
    w = world(a={}, b={})
    w.now_s = 5000.0
    w.request(Verb.START, "a")
    assert w.engine.units["b"].changed_at_s == 5000.0
