"""Who waits for whom at run time: terminals, locks, learned edges, definitions of two plans. A rule a test."""

from __future__ import annotations

from typing import Any

from linit.engine import effects, events
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import StopTo
from linit.model.state import Outcome, UnitState
from tests.simulation.graphs import plan
from tests.simulation.playing import play
from tests.simulation.scenario import Replace, Scenario
from tests.simulation.worlds import answer, reason, started, text, world


def test_who_does_not_wait_for_a_lock_is_told_who_holds_it_not_who_waits() -> None:
    machine = world()
    machine.lock("apt", by="ann")
    machine.lock("apt", by="bob")
    refused = machine.lock("apt", waits=False, by="carl")
    assert answer(machine, refused).outcome is Outcome.FAILED
    assert text(machine, refused) == "ann holds it"


def test_two_that_would_need_each_other_keep_the_written_need_only() -> None:
    """A learned edge as strong as the rest of the loop is left out: or it waits for itself at the next start."""
    machine = world(a={"need": ["b"]}, b={})
    machine.request(Verb.START, "a")
    machine.run()
    machine.request(Verb.NEED, "a", caller="b", waits=False)
    machine.run()
    assert [edge.on for edge in machine.engine.links.dependencies("b")] == []
    stopped = machine.request(Verb.STOP, "b")
    machine.run()
    assert answer(machine, stopped).outcome is Outcome.DONE
    assert machine.transitions(UnitState.FAILED) == []


def test_what_the_owner_of_a_terminal_waits_for_does_not_wait_for_the_terminal() -> None:
    terminal = {"tty": "/dev/tty1"}
    slow = {name: Behaviour(takes_s=1.0) for name in ("a", "helper")}
    machine = world(slow, a={"pre": True, **terminal}, b=terminal, helper={"ready": True})
    machine.request(Verb.START, "a")
    machine.run(until_s=0.5)
    machine.request(Verb.START, "helper", caller="a")
    machine.run(until_s=0.6)
    machine.request(Verb.NEED, "b", caller="helper", waits=False)
    machine.run()
    assert set(machine.states().values()) == {"up"}
    told = [(effect.name, effect.text) for _, effect in machine.trace if isinstance(effect, effects.Told)]
    assert told == [("b", "does not wait for the terminal /dev/tty1: a, which has it, waits for b")]


def test_a_loop_of_old_and_new_definitions_is_broken_while_other_things_still_move() -> None:
    """`slow` stops for as long as it can while two others wait for each other."""
    scenario = Scenario(
        services={
            "slow": {},
            "web": {"want": ["virtual"]},
            "virtual": {"kind": "virtual", "provided_by": ["slow"]},
        },
        behaviours={"slow": Behaviour(ignores_term=True)},
        actions=(Replace(5.0, {"web": {}, "virtual": {"kind": "virtual", "provided_by": ["web"]}}),),
        target="web",
    )
    play(scenario, thorough=True)


def test_a_loop_that_a_new_plan_closes_between_units_that_wait_already_is_found_with_it() -> None:
    """`db` is held in a stop and wanted again, so it waits until `net` is back; by the new plan `net`, which waits for
    `disk`, needs `db`. None of the two has moved, and others still do."""
    stubborn = {"web": Behaviour(ignores_term=True)}
    machine = world(stubborn, disk={}, net={"use": ["disk"]}, db={"need": ["net"]}, web={"need": ["db"]})
    started(machine, "web", "disk")
    machine.behaviours["disk"] = Behaviour(takes_s=30.0, stop_s=2.0)
    machine.request(Verb.RESTART, "disk", "net", only=True)
    machine.run(until_s=machine.now_s + 1.0)
    machine.request(Verb.STOP, "db")
    machine.request(Verb.START, "db")
    assert machine.states() == {"db": "stopping", "disk": "stopping", "net": "waiting", "web": "stopping"}
    machine.load(plan({"disk": {}, "net": {"use": ["disk"], "need": ["db"]}, "db": {}, "web": {"need": ["db"]}}))
    loop = "in a dependency cycle: db needs net (test.yaml:1:1); net needs db (test.yaml:1:1)"
    assert (machine.state("net"), reason(machine, "net")) == (UnitState.FAILED, loop)


def test_a_script_whose_wait_a_new_plan_makes_endless_is_refused_it_then() -> None:
    """Seed 400078616: `web`, while it starts, asked for `db` and waits; by the new plan `db` needs `web`."""
    machine = world({"db": Behaviour(spawn_error="ENOENT")}, web={"pre": True}, db={"restart": "on_failure"})
    machine.request(Verb.START, "web")
    asked = machine.request(Verb.NEED, "db", caller="web")
    machine.run(until_s=0.05)
    assert machine.states() == {"db": "backoff", "web": "starting"}
    machine.load(plan({"web": {"pre": True}, "db": {"restart": "on_failure", "need": ["web"]}}))
    assert answer(machine, asked).outcome is Outcome.REFUSED
    assert text(machine, asked) == "web would wait for db (need); db needs web (test.yaml:1:1)"


SLOW: dict[str, Any] = {"kind": "oneshot", "start_timeout_s": 100.0}


def locked_out() -> Simulator:
    """`job`, while it starts, waits for a lock; `db` waits for `disk`, which takes its time."""
    machine = world({"disk": Behaviour(takes_s=50.0)}, disk=SLOW, web={"pre": True}, job={"pre": True}, db=USES_DISK)
    machine.request(Verb.START, "disk")
    return machine


USES_DISK: dict[str, Any] = {"need": ["disk"]}
NEEDS_JOB = plan({"disk": SLOW, "web": {"pre": True}, "job": {"pre": True}, "db": {"need": ["disk", "job"]}})


def test_a_script_that_holds_a_lock_is_refused_a_wait_that_a_new_plan_makes_endless_through_the_lock() -> None:
    """`web`, while it starts, has the lock and waits for `db`; by the new plan `db` needs `job`."""
    machine = locked_out()
    machine.request(Verb.START, "web", "job")
    machine.lock("apt", caller="web")
    machine.lock("apt", caller="job")
    asked = machine.request(Verb.START, "db", caller="web")
    machine.run(until_s=1.0)
    assert (machine.state("db"), machine.answers[asked]) == (UnitState.WAITING, [])
    machine.load(NEEDS_JOB)
    assert answer(machine, asked).outcome is Outcome.REFUSED
    assert text(machine, asked) == (
        "web would wait for db (start); db needs job (test.yaml:1:1); job waits for the lock apt, which web holds"
    )
    machine.run()
    assert machine.states() == {"disk": "up", "web": "up", "job": "up", "db": "up"}


def test_a_person_who_holds_a_lock_is_refused_a_wait_that_a_new_plan_makes_endless() -> None:
    """`linitctl lock apt -- linitctl start db`."""
    machine = locked_out()
    held = machine.lock("apt")
    machine.request(Verb.START, "job")
    machine.lock("apt", caller="job")
    machine.tell(events.Request(77, Verb.START, ("db",), "root", held=(held,)))
    assert 77 not in machine.answers
    machine.load(NEEDS_JOB)
    assert answer(machine, 77).outcome is Outcome.REFUSED
    assert text(machine, 77) == (
        "root would wait for db (start); db needs job (test.yaml:1:1); job waits for the lock apt, which tester holds"
    )


def test_what_a_main_process_leaves_behind_stays_until_the_dependents_are_down() -> None:
    """`stop_to: main`: the rest is ended when the stop begins in earnest, which waits for the dependents."""
    behaviours = {"db": Behaviour(leaves_child=True), "web": Behaviour(stop_s=5.0)}
    machine = started(world(behaviours, db={"stop_to": StopTo.MAIN}, web={"need": ["db"]}), "web")
    machine.request(Verb.STOP, "db")
    died = machine.main_of("db")
    assert died is not None
    end = machine.exit(died, 0)
    assert end is not None
    machine.tell(end)
    assert machine.last_effects == ()
    machine.run(until_s=machine.now_s + 4.0)
    assert machine.states() == {"db": "stopping", "web": "stopping"}
    machine.run()
    assert (machine.states(), machine.engine._board.held) == ({"db": "down", "web": "down"}, 0)
