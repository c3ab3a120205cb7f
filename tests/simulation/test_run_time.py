"""What is only found out while things run: needs, transient services, locks and terminals. DESIGN.md section 3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from linit.engine import events
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import Execution
from linit.model.state import Finish, Outcome, UnitState
from tests.simulation.graphs import plan, service
from tests.simulation.worlds import answer, reason, text, world

UP, DOWN, FAILED, WAITING = UnitState.UP, UnitState.DOWN, UnitState.FAILED, UnitState.WAITING
STARTING, STOPPING = UnitState.STARTING, UnitState.STOPPING
ON_CONSOLE = Execution(tty="/dev/console")


def slow_web(**services: dict[str, Any]) -> Simulator:
    """`web` is starting, and its script has time to ask for something."""
    w = world({"web": Behaviour(takes_s=30.0), "db": Behaviour(takes_s=2.0)}, web={"kind": "oneshot"}, **services)
    w.request(Verb.START, "web")
    w.run(until_s=1.0)
    return w


def test_a_start_script_can_need_what_it_finds_out() -> None:
    """`linitctl need`: pulls it in, and returns when it is up."""
    w = slow_web(db={"ready": True})
    number = w.request(Verb.NEED, "db", caller="web")
    assert reason(w, "web") == "waits for db, which its script asked for (linitctl need)"
    w.run(until_s=5.0)
    assert answer(w, number).outcome is Outcome.DONE
    w.run()
    assert w.states() == {"web": "up", "db": "up"}
    w.trace.clear()
    w.request(Verb.STOP, "db")
    w.run()
    assert w.transitions(DOWN) == ["web", "db"], "from then on it is a need like any other"


def test_what_a_script_needs_and_does_not_get_fails_its_service() -> None:
    w = slow_web(db={"kind": "oneshot"})
    w.behaviours["db"] = Behaviour(status=256)
    number = w.request(Verb.NEED, "db", caller="web")
    w.run()
    assert answer(w, number).outcome is Outcome.FAILED
    assert w.states() == {"web": "failed", "db": "failed"}
    assert reason(w, "web") == "needs db, which failed (at run time, by tester)"


def test_a_want_of_a_script_that_fails_is_no_failure() -> None:
    w = slow_web(db={"kind": "oneshot"})
    w.behaviours["db"] = Behaviour(status=256)
    number = w.request(Verb.WANT, "db", caller="web")
    w.run()
    assert answer(w, number).outcome is Outcome.DONE
    assert w.states() == {"web": "up", "db": "failed"}


def test_a_wait_that_would_close_a_loop_is_refused_at_once_with_the_loop() -> None:
    w = slow_web(db={"need": ["pool"]}, pool={"need": ["web"]})
    number = w.request(Verb.NEED, "db", caller="web")
    (result,) = answer(w, number).results
    assert result == (
        "db",
        Outcome.REFUSED,
        "web would wait for db (need); db needs pool (test.yaml:1:1); pool needs web (test.yaml:1:1)",
    )
    w.run()
    assert w.states() == {"web": "up", "db": "down", "pool": "down"}, "the script goes on"


def test_a_loop_of_two_scripts_that_wait_for_each_other_is_refused() -> None:
    w = world({name: Behaviour(takes_s=30.0) for name in "ab"}, a={"kind": "oneshot"}, b={"kind": "oneshot"})
    w.request(Verb.START, "a", "b")
    w.run(until_s=1.0)
    first = w.request(Verb.START, "b", caller="a")
    second = w.request(Verb.START, "a", caller="b")
    assert w.answers[first] == []
    assert answer(w, second).results[0][1:] == (
        Outcome.REFUSED,
        "b would wait for a (start); a waits for b (linitctl start)",
    )
    w.run()
    assert answer(w, first).outcome is Outcome.DONE


def test_a_script_cannot_wait_for_a_stop_that_must_wait_for_its_own() -> None:
    w = world({"web": Behaviour(takes_s=30.0)}, db={}, web={"kind": "oneshot", "need": ["db"]})
    w.request(Verb.START, "web")
    w.run(until_s=1.0)
    number = w.request(Verb.STOP, "db", caller="web")
    (result,) = answer(w, number).results
    assert result[1:] == (
        Outcome.REFUSED,
        "web would wait for db (stop); db must wait until web is down, which needs db (test.yaml:1:1)",
    )


def test_only_a_service_that_runs_can_find_out_that_it_needs_something() -> None:
    w = world(web={}, db={})
    number = w.request(Verb.NEED, "db", caller="web")
    assert answer(w, number).outcome is Outcome.FAILED
    assert w.state("db") is DOWN


def test_a_login_may_take_down_the_service_that_it_came_in_by() -> None:
    """An up service waits for none of its processes: `linitctl restart sshd` over ssh ends with the session."""
    w = world(net={}, sshd={"need": ["net"]})
    w.request(Verb.START, "sshd")
    w.run()
    for verb, name in ((Verb.RESTART, "sshd"), (Verb.STOP, "net"), (Verb.START, "sshd")):
        number = w.request(verb, name, caller="sshd")
        w.run()
        assert answer(w, number).outcome is Outcome.DONE, verb


# -- what was found out is remembered --------------------------------------------------------------------------------


def needing_web(**services: dict[str, Any]) -> Simulator:
    """`web` is up, and found out that it needs db."""
    w = world(web={"ready": True}, db={"ready": True}, **services)
    w.request(Verb.START, "web")
    w.run()
    w.request(Verb.NEED, "db", caller="web")
    w.run()
    return w


def learned(w: Simulator, name: str) -> list[tuple[str, str]]:
    return [(edge.kind.value, edge.on) for edge in w.engine.units[name].service.dependencies if edge.learned]


def test_a_need_found_at_run_time_survives_a_restart_of_the_service() -> None:
    w = needing_web()
    w.request(Verb.RESTART, "web")
    w.run()
    assert learned(w, "web") == [("need", "db")]


def test_a_need_found_at_run_time_survives_a_reload_of_the_definitions() -> None:
    w = needing_web()
    w.load(plan({"web": {"ready": True}, "db": {"ready": True}}))
    assert learned(w, "web") == [("need", "db")]
    w.load(plan({"web": {"ready": True, "stop_timeout_s": 1.0, "digest": "new"}, "db": {"ready": True}}))
    w.request(Verb.RESTART, "web")
    w.run()
    assert w.engine.units["web"].service.stop_timeout_s == 1.0
    assert learned(w, "web") == [("need", "db")], "also when the definition itself is another one now"
    w.request(Verb.STOP, "db")
    w.run()
    assert w.states() == {"web": "down", "db": "down"}


def test_what_was_written_down_is_no_longer_something_found_at_run_time() -> None:
    """`linitctl deps NAME --learn`."""
    w = needing_web()
    w.load(plan({"web": {"ready": True, "need": ["db"]}, "db": {"ready": True}}))
    w.request(Verb.RESTART, "web")
    w.run()
    assert learned(w, "web") == []
    assert [edge.on for edge in w.engine.units["web"].service.dependencies] == ["db"]


def test_a_need_found_at_run_time_ends_with_the_definition_that_it_points_at() -> None:
    w = needing_web()
    w.load(plan({"web": {"ready": True}}))
    w.run()
    assert learned(w, "web") == []
    assert w.states() == {"web": "up"}


def test_a_new_definition_that_would_close_a_loop_with_a_found_need_wins_it() -> None:
    w = needing_web()
    w.load(plan({"web": {"ready": True}, "db": {"ready": True, "need": ["web"]}}))
    w.request(Verb.RESTART, "db")
    w.run()
    assert w.states() == {"web": "up", "db": "up"}


# -- services made at run time ---------------------------------------------------------------------------------------


def transient(name: str, **keys: Any) -> Any:
    return replace(service(name, **keys), transient=True)


def test_a_transient_service_runs_with_what_it_needs_and_is_forgotten_when_it_has_ended() -> None:
    """`linitctl run --need db -- CMD`, as systemd-run(1)."""
    w = world({"job": Behaviour(dies_after_s=5.0, death=0)}, db={"ready": True})
    number = w.run_transient(transient("job", need=["db"]))
    w.run(until_s=1.0)
    assert answer(w, number).outcome is Outcome.DONE
    assert w.states() == {"db": "up", "job": "up"}
    w.run()
    assert w.states() == {"db": "up"}


def test_a_transient_service_that_failed_is_kept_until_somebody_has_seen_it() -> None:
    w = world({"job": Behaviour(dies_after_s=5.0, death=256)})
    w.run_transient(transient("job"))
    w.run()
    assert (w.states(), reason(w, "job")) == ({"job": "failed"}, "exited with status 1")
    w.request(Verb.RESET, "job")
    w.run()
    assert w.states() == {}


def test_a_transient_service_that_failed_may_be_run_again_under_its_name() -> None:
    w = world({"job": Behaviour(dies_after_s=5.0, death=256)})
    w.run_transient(transient("job"))
    w.run()
    w.behaviours["job"] = Behaviour()
    number = w.run_transient(transient("job"))
    w.run()
    assert (answer(w, number).outcome, w.states()) == (Outcome.DONE, {"job": "up"})


def test_a_name_that_is_in_use_is_refused() -> None:
    w = world(db={})
    w.request(Verb.START, "db")
    w.run()
    assert text(w, w.run_transient(transient("db"))) == "the name is taken: db is up"


def test_a_transient_service_needs_what_exists() -> None:
    w = world()
    assert text(w, w.run_transient(transient("job", need=["db"]))) == "no service is named 'db'"
    assert w.states() == {}


def test_a_transient_oneshot_is_up_until_it_is_stopped() -> None:
    w = world()
    number = w.run_transient(transient("job", kind="oneshot"))
    w.run()
    assert (answer(w, number).outcome, w.states()) == (Outcome.DONE, {"job": "up"})
    w.request(Verb.STOP, "job")
    w.run()
    assert w.states() == {}


def test_a_stop_of_a_transient_service_is_answered_before_it_is_forgotten() -> None:
    w = world()
    w.run_transient(transient("job"))
    w.run()
    number = w.request(Verb.STOP, "job")
    w.run()
    assert (answer(w, number).outcome, w.states()) == (Outcome.DONE, {})


def test_a_reload_leaves_transient_services_alone() -> None:
    w = world(db={})
    w.run_transient(transient("job", want=["db"]))
    w.run()
    w.load(plan({"db": {}}))
    w.run()
    assert w.states() == {"db": "up", "job": "up"}


def test_a_definition_of_that_name_takes_over_at_the_next_start() -> None:
    w = world()
    w.run_transient(transient("job"))
    w.run()
    w.load(plan({"job": {"ready": True, "digest": "written"}}))
    assert w.engine.units["job"].is_outdated
    w.request(Verb.RESTART, "job")
    w.run()
    assert (w.state("job"), w.engine.units["job"].service.transient) == (UP, False)


def test_what_needs_a_transient_service_stops_with_it_and_forgets_it() -> None:
    w = world({"job": Behaviour(dies_after_s=5.0, death=0)}, web={})
    w.request(Verb.START, "web")
    w.run_transient(transient("job"))
    w.run(until_s=1.0)
    w.request(Verb.NEED, "job", caller="web")
    w.run()
    assert learned(w, "web") == []
    assert w.states() == {"web": "up"}, "nobody defines what it needed any more"


def test_a_script_cannot_wait_for_a_transient_service_that_needs_its_own() -> None:
    w = slow_web()
    number = w.run_transient(transient("job", need=["web"]), caller="web")
    assert answer(w, number).outcome is Outcome.REFUSED
    assert text(w, number) == "web would wait for job (run); job needs web (test.yaml:1:1)"
    w.run()
    assert w.states() == {"web": "up"}


# -- locks -----------------------------------------------------------------------------------------------------------


def test_a_lock_is_held_by_one_and_given_to_the_next_in_order() -> None:
    w = world()
    first, second, third = (w.lock("apt") for _ in range(3))
    assert text(w, first) == "held"
    assert (w.answers[second], w.answers[third]) == ([], [])
    w.unlock(first)
    assert text(w, second) == "held"
    w.unlock(second)
    assert text(w, third) == "held"


def test_who_does_not_want_to_wait_for_a_lock_is_told_who_holds_it() -> None:
    w = slow_web()
    w.lock("apt", caller="web")
    number = w.lock("apt", waits=False)
    assert (answer(w, number).outcome, text(w, number)) == (Outcome.FAILED, "web holds it")


def test_who_gives_up_waiting_for_a_lock_is_out_of_the_queue() -> None:
    w = world()
    first, second, third = (w.lock("apt") for _ in range(3))
    w.unlock(second)
    assert (answer(w, second).outcome, text(w, second)) == (Outcome.SUPERSEDED, "given up")
    w.unlock(first)
    assert text(w, third) == "held"


def two_scripts() -> Simulator:
    """Two services that are starting, and whose scripts have time."""
    w = world({name: Behaviour(takes_s=30.0) for name in "ab"}, a={"kind": "oneshot"}, b={"kind": "oneshot"})
    w.request(Verb.START, "a", "b")
    w.run(until_s=1.0)
    return w


def test_two_scripts_that_take_two_locks_in_different_order_do_not_deadlock() -> None:
    w = two_scripts()
    w.lock("one", caller="a")
    w.lock("two", caller="b")
    assert w.answers[w.lock("two", caller="a")] == []
    number = w.lock("one", caller="b")
    assert answer(w, number).outcome is Outcome.REFUSED
    assert text(w, number) == "b would wait for the lock one, which a holds; a waits for the lock two, which b holds"
    w.run()
    assert w.states() == {"a": "up", "b": "up"}


def test_a_script_cannot_wait_for_a_service_whose_script_waits_for_a_lock_that_it_holds() -> None:
    w = two_scripts()
    w.lock("apt", caller="a")
    w.lock("apt", caller="b")
    number = w.request(Verb.NEED, "b", caller="a")
    assert answer(w, number).outcome is Outcome.REFUSED
    assert text(w, number) == "a would wait for b (need); b waits for the lock apt, which a holds"


def test_who_holds_a_lock_and_asks_for_it_again_from_inside_is_refused() -> None:
    """`linitctl lock apt -- linitctl lock apt -- CMD`, at a shell."""
    w = world()
    w.lock("apt")
    w.tell(events.LockAsked(77, "apt", "root (linitctl lock, pid 9)", held=(1,)))
    assert answer(w, 77).outcome is Outcome.REFUSED
    assert text(w, 77) == "root (linitctl lock, pid 9) would wait for the lock apt, which tester holds"


def test_a_person_who_holds_a_lock_cannot_wait_for_a_service_that_waits_for_it() -> None:
    """`linitctl lock apt -- linitctl start web`, and the start script of web takes the lock."""
    w = slow_web()
    held = w.lock("apt")
    w.lock("apt", caller="web")
    w.tell(events.Request(77, Verb.START, ("web",), "root", held=(held,)))
    assert answer(w, 77).outcome is Outcome.REFUSED
    assert text(w, 77) == "root would wait for web (start); web waits for the lock apt, which tester holds"


def test_a_lock_ends_with_the_process_that_took_it() -> None:
    w = two_scripts()
    w.lock("apt", caller="a")
    second = w.lock("apt", caller="b")
    w.request(Verb.STOP, "a")
    w.run(until_s=3.0)
    assert text(w, second) == "held"


# -- terminals -------------------------------------------------------------------------------------------------------


def asking() -> Simulator:
    """`unlock` asks for a passphrase on the console; `getty` and `menu` want the console, too."""
    behaviours = {"unlock": Behaviour(takes_s=10.0)}
    console = {"execution": ON_CONSOLE}
    w = world(behaviours, unlock={"kind": "oneshot", **console}, getty=console, menu={"ready": True, **console})
    w.request(Verb.START, "unlock")
    w.request(Verb.START, "getty", "menu")
    w.run(until_s=1.0)
    return w


def test_what_asks_on_a_terminal_has_it_to_itself_while_it_starts() -> None:
    w = asking()
    assert (w.state("unlock"), w.state("getty"), w.state("menu")) == (STARTING, WAITING, WAITING)
    assert reason(w, "getty") == "waits for the terminal /dev/console, which unlock has"
    w.run(until_s=20.0)
    assert w.states() == {"unlock": "up", "getty": "up", "menu": "up"}
    assert w.transitions(UP) == ["unlock", "getty", "menu"], "in the order in which they came"


def test_a_terminal_is_free_again_when_its_owner_fails_or_is_stopped() -> None:
    w = asking()
    w.request(Verb.STOP, "unlock")
    w.run(until_s=5.0)
    assert w.states() == {"unlock": "down", "getty": "up", "menu": "up"}


def test_who_waits_for_a_terminal_can_be_stopped() -> None:
    w = asking()
    number = w.request(Verb.STOP, "getty")
    assert (answer(w, number).outcome, w.state("getty")) == (Outcome.DONE, DOWN)
    w.run()
    assert w.states() == {"unlock": "up", "getty": "down", "menu": "up"}


def test_a_script_cannot_wait_for_a_service_that_waits_for_its_terminal() -> None:
    w = asking()
    number = w.request(Verb.START, "getty", caller="unlock")
    assert answer(w, number).outcome is Outcome.REFUSED
    assert text(w, number) == (
        "unlock would wait for getty (start); getty waits for the terminal /dev/console, which unlock has"
    )


def test_a_service_does_not_wait_for_a_terminal_whose_owner_waits_for_it() -> None:
    """The owner asked for `db` before that wanted the terminal: sharing is better than a deadlock, and is told."""
    console = {"execution": ON_CONSOLE}
    behaviours = {"unlock": Behaviour(takes_s=30.0), "db": Behaviour(dies_after_s=1.0, takes_s=5.0)}
    w = world(behaviours, unlock={"kind": "oneshot", **console}, db={"ready": True, "restart": "always"})
    w.request(Verb.START, "unlock")
    w.run(until_s=0.5)
    number = w.request(Verb.START, "db", caller="unlock")
    w.load(plan({"unlock": {"kind": "oneshot", **console}, "db": {"ready": True, "restart": "always", **console}}))
    w.behaviours["db"] = Behaviour()
    w.run()
    assert answer(w, number).outcome is Outcome.DONE
    assert w.states() == {"unlock": "up", "db": "up"}


# -- reload commands -------------------------------------------------------------------------------------------------


def test_a_reload_command_that_does_not_end_is_killed_and_answered() -> None:
    w = world(web={"ready": True, "reload": replace(service("x").run, timeout_s=5.0)})  # type: ignore[type-var]
    w.request(Verb.START, "web")
    w.run()
    w.behaviours["web"] = Behaviour(takes_s=1e6)
    number = w.request(Verb.RELOAD, "web")
    w.run(until_s=20.0)
    assert text(w, number) == "its reload command killed by SIGKILL"
    assert w.state("web") is UP


def test_a_shutdown_answers_who_waits_for_a_reload() -> None:
    w = world(web={"ready": True, "reload": service("x").run})
    w.request(Verb.START, "web")
    w.run()
    w.behaviours["web"] = Behaviour(takes_s=1e6)
    number = w.request(Verb.RELOAD, "web")
    w.tell(events.Shutdown(Finish.POWEROFF, "tester"))
    assert text(w, number) == "superseded by shutdown of tester"
