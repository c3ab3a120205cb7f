"""What the long campaign found, each as small as it got. A rule a test."""

from __future__ import annotations

from typing import Any

from linit.engine import effects
from linit.engine.events import Shutdown, Verb
from linit.engine.explain import chain
from linit.engine.simulator import Behaviour, Simulator
from linit.model.state import Desired, Finish, Outcome, UnitState
from tests.simulation.graphs import plan
from tests.simulation.playing import play
from tests.simulation.scenario import Ask, Replace, Run, Scenario, See
from tests.simulation.worlds import answer, reason, started, text, told, world

UNKILLABLE = Behaviour(ignores_term=True, unkillable=True)
SLOW = Behaviour(takes_s=1.0)
FAILS = Behaviour(status=256)
NOT_FOUND = Behaviour(spawn_error="exec /bin/daemon: ENOENT")
REMAINS = "could not be run: processes of its last run cannot be killed"


# -- processes that cannot be killed -----------------------------------------------------------------------------


def test_a_removed_service_is_remembered_until_its_last_process_is_gone() -> None:
    machine = started(world({"a": UNKILLABLE}, a={}), "a")
    machine.load(plan({}))
    machine.run()
    machine.load(plan({"a": {}}))
    again = machine.request(Verb.START, "a")
    assert text(machine, again) == "failed: not down within 20 s, killed"
    machine.load(plan({}))
    assert machine.states() == {"a": "failed"}
    machine.end("a", 9)
    assert machine.states() == {}


def test_a_child_that_outlives_a_failed_service_keeps_the_next_run_from_starting() -> None:
    machine = world({"a": Behaviour(ignores_term=True, unkillable=True, leaves_child=True, dies_after_s=60.0)}, a={})
    started(machine, "a")
    machine.request(Verb.STOP, "a")
    machine.run()
    assert machine.state("a") is UnitState.FAILED
    again = machine.request(Verb.START, "a")
    assert text(machine, again) == "failed: not down within 20 s, killed"


def test_a_repaired_definition_does_not_make_a_service_whose_processes_remain_look_down() -> None:
    machine = started(world({"web": UNKILLABLE}, db={}, web={"need": ["db"]}), "web")
    broken = {"need": ["db"], "broken": "definition", "broken_by": ("needs something undefined",)}
    machine.load(plan({"db": {}, "web": broken | {"digest": "broken"}}))
    machine.request(Verb.STOP, "web")
    machine.run()
    machine.request(Verb.RESET, "web")
    machine.load(plan({"db": {}, "web": {"need": ["db"]}}))
    assert (machine.state("web"), reason(machine, "web")) == (UnitState.FAILED, REMAINS)


# -- definitions of two plans ------------------------------------------------------------------------------------


def test_who_hopes_for_a_definition_that_waits_is_not_waited_for_before_it_is_in_force() -> None:
    """Seed 400011732: a socket goes down in the event in which s09 starts, and only then has another definition. What
    needs it had no hope when s09 looked."""
    services: dict[str, Any] = {
        "s02": {"need": ["s02.socket"]},
        "s05": {"need": ["virtual", "s05.socket"]},
        "s07": {},
        "s09": {},
        "s10": {},
        "virtual": {"kind": "virtual"},
        "default": {"kind": "runlevel"},
        "s02.socket": {},
        "s05.socket": {"kind": "socket", "need": ["s02"]},
    }
    first = {"kind": "runlevel", "want": ["s10", "s05", "s02"]}
    last = {"kind": "runlevel", "want": ["s02", "s10", "s13", "s12", "s05", "s07", "s09"]}
    user = {"bind": ["s07"], "need": ["s05.socket"]}
    actions = (
        Replace(62.0, {"s10": None, "default": first}),
        Replace(94.7, {"s05": user, "s10": {"need": ["s05"]}, "s05.socket": {}}, False),
        Replace(161.8, {"s07": {"restart": "on_failure", "pre": True}, "default": {**first, "want": ["s07", "s11"]}}),
        Replace(177.5, {"s09": {"want": ["s10", "s02"]}, "s02.socket": None, "default": last}),
    )
    behaviours = {"s07": Behaviour(takes_s=3.0, dies_after_s=0.5)}
    play(Scenario(services, behaviours, actions, end_s=247.0, target="default"), thorough=True)



def test_a_respawn_is_by_the_definition_that_came_meanwhile() -> None:
    machine = world({"a": NOT_FOUND}, a={"restart": "always"})
    machine.request(Verb.START, "a")
    machine.run(until_s=0.5)
    assert machine.state("a") is UnitState.BACKOFF
    loaded = machine.load(plan({"a": {"restart": "always", "pre": True}}))
    assert (text(machine, loaded), machine.engine.units["a"].is_outdated) == ("changed", False)
    machine.run(until_s=1.05)
    assert reason(machine, "a") == "runs its pre command"


def test_a_crash_is_followed_by_a_respawn_by_the_definition_that_came_before_it() -> None:
    machine = started(world(a={"restart": "always"}), "a")
    machine.load(plan({"a": {"restart": "always", "pre": True}}))
    assert machine.engine.units["a"].is_outdated
    machine.end("a", 11)
    machine.run(until_s=machine.now_s + 1.05)
    assert reason(machine, "a") == "runs its pre command"


def test_what_was_a_virtual_name_without_a_provider_starts_when_it_gets_a_definition_of_its_own() -> None:
    services: dict[str, Any] = {"db": {"restart": "always"}, "sql": {"kind": "virtual", "provided_by": ["db"]}}
    machine = started(world(**services), "sql")
    machine.end("db", 11)
    assert machine.state("sql") is UnitState.BACKOFF
    machine.load(plan(services | {"sql": {}}))
    machine.run()
    assert machine.state("sql") is UnitState.UP


def test_a_target_that_becomes_a_virtual_name_is_in_no_shutdowns_way() -> None:
    machine = started(world(db={}, sql={"kind": "target"}), "db", "sql")
    machine.load(plan({"db": {}, "sql": {"kind": "virtual", "provided_by": ["db"]}}))
    machine.tell(Shutdown(Finish.POWEROFF, "tester"))
    machine.run()
    assert [end.finish for end in machine.finished] == [Finish.POWEROFF]


def test_a_learned_need_gives_way_to_a_loop_of_new_definitions_also_when_a_shorter_one_is_there() -> None:
    """`disk` uses `web` by its old definition: that loop is the shorter one, and passes by itself."""
    services: dict[str, Any] = {"web": {}, "cache": {}, "disk": {"use": ["web"], "need": ["cache"]}}
    machine = started(world(**services), "web", "disk")
    machine.request(Verb.NEED, "web", caller="cache", waits=False)
    machine.load(plan({"web": {"need": ["disk"]}, "cache": {}, "disk": {"need": ["cache"], "digest": "new"}}))
    machine.request(Verb.RESTART, "web")
    machine.request(Verb.RESTART, "disk")
    machine.run()
    assert ("cache", "no longer need web (at run time, by tester): web has a new definition") in told(machine)
    assert set(machine.states().values()) == {"up"}


def test_a_stop_goes_on_when_a_new_plan_makes_others_depend_on_what_is_being_stopped() -> None:
    scenario = Scenario(
        services={"base": {"kind": "target"}, "web": {"need": ["base"], "stop": True}},
        actions=(Replace(5.001, {"web": {}, "base": {"need": ["web"], "kind": "target"}}),),
        target="web",
        end_s=5.0,
    )
    play(scenario, thorough=True)


# -- waits from inside -------------------------------------------------------------------------------------------


def refused(machine: Simulator, number: int) -> str:
    """The loop that was told to whoever asked."""
    assert answer(machine, number).outcome is Outcome.REFUSED
    return text(machine, number)


def test_who_has_hope_again_by_a_start_is_waited_for() -> None:
    """`report` is given up while `data` has failed; a start of `page` brings both back."""
    machine = world(
        {"data": FAILS, "feed": SLOW},
        data={"kind": "oneshot"},
        feed={"ready": True},
        report={"need": ["data"], "want": ["feed"]},
        page={"need": ["data"], "use": ["report"]},
    )
    machine.request(Verb.START, "report")
    machine.run(until_s=0.5)
    assert machine.states() == {"data": "failed", "feed": "starting", "report": "failed", "page": "down"}
    assert refused(machine, machine.request(Verb.START, "page", caller="feed")) == (
        "feed would wait for page (start); page uses report (test.yaml:1:1); report wants feed (test.yaml:1:1)"
    )


def test_what_a_service_depends_on_by_its_next_definition_is_waited_for() -> None:
    services: dict[str, Any] = {"log": {}, "job": {"kind": "oneshot"}, "mail": {"need": ["job"]}}
    machine = world({"job": SLOW}, **services)
    machine.request(Verb.START, "log", "mail")
    machine.run(until_s=0.5)
    machine.load(plan(services | {"log": {"after": ["mail"]}}))
    assert refused(machine, machine.request(Verb.RESTART, "log", caller="job")) == (
        "job would wait for log (restart); log starts after mail (test.yaml:1:1); mail needs job (test.yaml:1:1)"
    )


def test_a_foe_that_a_start_would_stop_is_waited_for() -> None:
    machine = world(a={}, foe={"conflicts": ["a"]}, late={"after": ["a"], "stop": True})
    started(machine, "a", "late")
    machine.request(Verb.STOP, "late")
    machine.run(until_s=machine.now_s + 0.05)
    assert refused(machine, machine.request(Verb.START, "foe", caller="late")) == (
        "late would wait for foe (start); foe waits until a is down, with which it conflicts (test.yaml:1:1); "
        "a must wait until late is down, which starts after a (test.yaml:1:1)"
    )


def test_a_virtual_name_that_loses_its_last_provider_is_waited_for() -> None:
    machine = world(
        db={}, sql={"kind": "virtual", "provided_by": ["db"]}, web={"need": ["sql"], "kind": "oneshot", "stop": True}
    )
    started(machine, "web")
    machine.request(Verb.STOP, "web")
    machine.run(until_s=machine.now_s + 0.05)
    assert refused(machine, machine.request(Verb.RESTART, "db", caller="web")) == (
        "web would wait for db (restart); db must wait until sql is down, which is provided by db (test.yaml:1:1); "
        "sql must wait until web is down, which needs sql (test.yaml:1:1)"
    )


# -- boots and shutdowns -----------------------------------------------------------------------------------------


def test_who_let_a_boot_go_first_does_so_again_in_the_next_one() -> None:
    """The first boot ends without being reached: its runlevel is stopped, and `lazy` waits for nobody any more."""
    machine = world(
        {"slow": Behaviour(never_ready=True), "lazy": NOT_FOUND},
        lazy={"idle_s": 2.0},
        slow={"ready": True},
        default={"kind": "runlevel", "want": ["lazy", "slow"]},
    )
    machine.request(Verb.RUNLEVEL, "default")
    machine.run(until_s=0.5)
    machine.request(Verb.STOP, "default")
    machine.request(Verb.START, "default")
    machine.run(until_s=0.6)
    assert machine.state("lazy") is UnitState.FAILED
    machine.behaviours.clear()
    machine.request(Verb.RUNLEVEL, "default")
    assert reason(machine, "lazy") == "waits for the boot and all else that starts"
    machine.run(until_s=2.7)
    assert machine.state("lazy") is UnitState.UP


def test_who_waits_for_a_lock_when_a_shutdown_ends_is_answered() -> None:
    machine = started(world(a={}), "a")
    machine.lock("apt")
    machine.tell(Shutdown(Finish.POWEROFF, "root"))
    waits = machine.lock("apt")
    assert machine.answers[waits] == []
    machine.run()
    assert answer(machine, waits).outcome is Outcome.SUPERSEDED
    assert text(machine, waits) == "superseded by shutdown of root"


# -- virtual names -----------------------------------------------------------------------------------------------


def test_what_a_virtual_name_in_use_depends_on_is_not_let_go_of() -> None:
    machine = world(
        db={"stop_when_unneeded": True},
        sql={"kind": "virtual", "provided_by": ["db"]},
        job={"need": ["db"]},
        web={"need": ["sql"]},
    )
    started(machine, "job", "web")
    machine.request(Verb.STOP, "job")
    machine.run()
    assert machine.state("db") is UnitState.UP
    machine.request(Verb.STOP, "web")
    machine.run()
    assert (machine.state("db"), reason(machine, "db")) == (UnitState.DOWN, "not needed since web stopped")


def test_a_virtual_name_that_nobody_asked_for_is_down_because_of_its_providers() -> None:
    machine = started(world(db={}, sql={"kind": "virtual", "provided_by": ["db"]}), "db")
    machine.request(Verb.STOP, "db")
    machine.run()
    assert reason(machine, "sql") == "needs db, which is down (test.yaml:1:1)"


def test_what_failed_is_named_rather_than_what_was_stopped() -> None:
    machine = world(
        {"b": NOT_FOUND}, a={}, b={}, sql={"kind": "virtual", "provided_by": ["a", "b"]}, web={"need": ["sql"]}
    )
    started(machine, "b", "web")
    machine.request(Verb.STOP, "a")
    machine.run()
    assert reason(machine, "sql") == "needs b, which failed (test.yaml:1:1)"
    assert reason(machine, "web") == "needs sql, which failed (test.yaml:1:1)"


def test_a_virtual_name_with_a_provider_that_comes_back_has_not_failed() -> None:
    machine = world(
        {"b": NOT_FOUND}, a={}, b={}, sql={"kind": "virtual", "provided_by": ["a", "b"]}, web={"bind": ["sql"]}
    )
    started(machine, "b", "web")
    machine.request(Verb.RESTART, "a", only=True)
    assert (machine.state("web"), reason(machine, "web")) == (
        UnitState.STOPPING,
        "needs sql, which is down (test.yaml:1:1)",
    )


def test_who_stops_names_what_went_down_rather_than_what_only_followed_it() -> None:
    """And what followed may stay after all, when the other is back at once."""
    w = world(
        disk={"kind": "oneshot"},
        fs={"bind": ["disk"]},
        db={"need": ["fs"]},
        web={"bind": ["db", "disk"]},
    )
    w.request(Verb.START, "web")
    w.run()
    w.request(Verb.RESTART, "disk", only=True)
    assert (w.state("web"), reason(w, "web")) == (UnitState.STOPPING, "needs disk, which is down (test.yaml:1:1)")


def test_what_is_lost_and_what_is_won_do_not_chase_each_other_around_a_ring_of_needs() -> None:
    """Seed 5226: old and new definitions had closed it while half of it had hope; a plan has no such ring."""
    ring = [f"s{number}" for number in range(8)]
    board = world(**{name: {"need": [ring[number - 7]]} for number, name in enumerate(ring)}).engine._board
    for number, unit in enumerate(board.units.values()):
        unit.desired, unit.goal, unit.hope = Desired.UP, number < 4, number < 4
    board._recount()
    board.judge()
    assert {(unit.goal, unit.hope) for unit in board.units.values()} == {(False, False)}


def test_what_rests_for_two_reasons_names_the_one_that_is_left() -> None:
    machine = started(world(db={}, disk={}, web={"need": ["db", "disk"]}), "web")
    machine.request(Verb.STOP, "db", "disk")
    machine.run()
    assert reason(machine, "web") == "needs db, which is down (test.yaml:1:1)"
    machine.request(Verb.START, "db")
    assert reason(machine, "web") == "needs disk, which is down (test.yaml:1:1)"


# -- what is held up by its dependents and dies meanwhile ----------------------------------------------------------


def test_what_died_while_its_stop_waited_is_not_kept_but_started_again() -> None:
    """Seed 1395: it was up for ever after, without a process."""
    machine = started(world({"web": Behaviour(stop_s=1.0)}, db={}, web={"need": ["db"]}), "web")
    machine.request(Verb.STOP, "db")
    machine.end("db", 11)
    assert machine.states() == {"db": "stopping", "web": "stopping"}
    machine.request(Verb.START, "db")
    assert machine.state("db") is UnitState.STARTING, "it waits for nobody: nothing of it is left"
    machine.run()
    assert machine.states() == {"db": "up", "web": "up"}
    assert {process.name for process in machine.processes.values()} == {"db", "web"}


def test_what_dies_while_its_stop_waits_and_it_is_wanted_again_is_started_again() -> None:
    machine = world(
        {"web": Behaviour(stop_s=1.0), "base": Behaviour(takes_s=3.0)},
        base={"ready": True},
        db={"want": ["base"]},
        web={"need": ["db"]},
    )
    started(machine, "web")
    machine.request(Verb.STOP, "base")
    machine.run(until_s=machine.now_s + 5.0)
    machine.request(Verb.STOP, "db")
    machine.request(Verb.START, "db")
    assert (machine.state("db"), reason(machine, "db")) == (UnitState.STOPPING, "waits for base")
    machine.end("db", 11)
    assert (machine.state("db"), reason(machine, "db")) == (UnitState.WAITING, "waits for base")
    machine.run()
    assert machine.states() == {"base": "up", "db": "up", "web": "up"}


# -- the wedge guard, and what was found at run time ---------------------------------------------------------------


def test_a_unit_at_rest_that_waits_for_a_bind_is_part_of_a_loop() -> None:
    """Seed 100076793. By its old definition `fs` waits for `disk`, by its new one `disk` is bound to `fs`."""
    scenario = Scenario(
        services={"fs": {"want": ["disk"]}, "disk": {}, "web": {"need": ["fs"]}},
        behaviours={"web": Behaviour(stop_s=0.5)},
        actions=(
            Ask(1.0, Verb.STOP, ("disk",)),
            Ask(2.0, Verb.STOP, ("fs",)),
            Replace(2.1, {"fs": {}, "disk": {"bind": ["fs"]}}),
            Ask(2.2, Verb.START, ("fs",)),
        ),
        target="web",
    )
    world = play(scenario, thorough=True, trace=True).world
    assert ("disk", "failed") in [
        (effect.name, effect.after.value) for _, effect in world.trace if isinstance(effect, effects.Transition)
    ]


def test_what_a_service_that_runs_has_learned_is_looked_at_again_when_a_new_plan_comes() -> None:
    """`db` needs `web` by its new definition, in force at once: what `web` found out would close a loop with that."""
    machine = started(world(web={}, db={}), "web")
    machine.request(Verb.WANT, "db", caller="web", waits=False)
    machine.run()
    machine.request(Verb.STOP, "db")
    machine.run()
    machine.load(plan({"web": {"digest": "new"}, "db": {"need": ["web"], "digest": "new"}}))
    assert [edge.on for edge in machine.engine.links.dependencies("web")] == []
    machine.request(Verb.START, "db")
    machine.run()
    assert machine.states() == {"web": "up", "db": "up"}


def test_a_learned_need_stays_where_a_new_plan_orders_the_other_way_only_weakly() -> None:
    machine = started(world(web={}, db={}), "web")
    machine.request(Verb.NEED, "db", caller="web", waits=False)
    machine.run()
    machine.request(Verb.STOP, "db")
    machine.run()
    machine.load(plan({"web": {}, "db": {"after": ["web"], "digest": "new"}}))
    assert [edge.on for edge in machine.engine.links.dependencies("web")] == ["db"]
    assert ("db", "no longer after web (test.yaml:1:1): web need db now") in told(machine)
    machine.request(Verb.START, "db")
    machine.run()
    assert machine.states() == {"web": "up", "db": "up"}


# -- who failed, and who only followed ---------------------------------------------------------------------------


def test_a_name_that_comes_back_has_not_failed_because_one_provider_did() -> None:
    """`mta` is down while `postfix` restarts. That `exim` failed is no reason for anything: one is enough."""
    behaviours = {
        "exim": NOT_FOUND,
        "postfix": Behaviour(stop_s=5.0),
        "user": Behaviour(stop_s=1.0),
    }
    mta = {"kind": "virtual", "provided_by": ["exim", "postfix"]}
    machine = started(world(behaviours, exim={}, postfix={}, db={}, mta=mta, user={"need": ["mta", "db"]}), "user")
    machine.request(Verb.RESTART, "postfix")
    machine.run(until_s=machine.now_s + 0.2)
    machine.request(Verb.STOP, "db")
    machine.run(until_s=machine.now_s + 2.0)
    assert machine.state("user") is UnitState.DOWN
    assert reason(machine, "user") == "needs mta, which is down (test.yaml:1:1)"


def test_a_failure_that_is_forgotten_is_that_of_a_name_no_more() -> None:
    """`linitctl reset exim`: then `mta` is only down, since nobody provides it."""
    mta = {"kind": "virtual", "provided_by": ["exim"]}
    machine = started(world({"exim": NOT_FOUND}, exim={}, mta=mta, user={"need": ["mta"]}), "user")
    assert machine.states() == {"exim": "failed", "mta": "failed", "user": "failed"}
    machine.request(Verb.RESET, "exim")
    assert machine.states() == {"exim": "down", "mta": "down", "user": "down"}
    assert reason(machine, "mta") == "needs exim, which is down (test.yaml:1:1)"


def test_a_stop_does_not_name_what_was_lost_for_a_moment_only() -> None:
    """Seed 400108504: `db` fails; `net` learned to need it, and by `db`'s new definition no longer does. `job` is down
    because of `db`, to which it is bound, not because of `web`, which stays."""
    services: dict[str, Any] = {
        "net": {},
        "web": {"need": ["net"]},
        "db": {},
        "default": {"kind": "runlevel", "want": ["web", "db.timer"]},
        "db.timer": {"kind": "timer", "activates": "db"},
    }
    actions = (
        Replace(1.6, {"db": {"after": ["net", "web"]}}),
        Ask(2.1, Verb.NEED, ("db",), caller="net"),
        Run(2.1, "job", {"need": ["web", "net"], "bind": ["db"], "transient": True}),
    )
    behaviours = {"db": Behaviour(dies_after_s=30.0), "db.timer": Behaviour(sees_after_s=0.2)}
    play(Scenario(services, behaviours, actions, end_s=119.0, target="default"), thorough=True)


def test_what_stays_in_another_runlevel_is_up_because_of_what_wants_it_there() -> None:
    """Seed 400116865: `web` had pulled in `db`, and is not in the runlevel any more; `app`, which is, needs `db`."""
    runlevel = {"kind": "runlevel"}
    services = {"db": {}, "web": {"need": ["db"]}, "app": {"need": ["db"]}}
    machine = started(world(**services, one={**runlevel, "want": ["web"]}, two={**runlevel, "want": ["app"]}), "one")
    machine.request(Verb.RUNLEVEL, "two")
    machine.run()
    assert machine.states() == {"app": "up", "db": "up", "one": "down", "two": "up", "web": "down"}
    assert reason(machine, "db") == "pulled in by app (test.yaml:1:1)"


def test_who_wanted_a_runlevel_explains_what_that_left_out_not_what_it_waits_for() -> None:
    """Seed 520002654: `web`, which pulled in `db`, was started by a timer that the runlevel left out, and the runlevel
    waits for `web`."""
    services: dict[str, Any] = {
        "db": {},
        "slow": {"post": True, "start_timeout_s": 5.0, "kind": "forking"},
        "web": {"need": ["db", "slow"]},
        "web.timer": {"kind": "timer", "activates": "web"},
        "single": {"kind": "runlevel", "want": ["web"]},
    }
    behaviours = {"slow": Behaviour(takes_s=3.0), "web.timer": Behaviour(sees_after_s=5.0)}
    actions = (Ask(75.713, Verb.RUNLEVEL, ("single",)),)
    play(Scenario(services, behaviours, actions, end_s=124.0, target="web.timer"), thorough=True)


def test_a_socket_that_started_a_service_and_is_stopped_is_told_by_who_stopped_it() -> None:
    """Seed 1030003941: `db` was pulled in by `web`, which its socket started; that waits for `web` to stop."""
    services: dict[str, Any] = {
        "db": {},
        "web": {"need": ["db", "web.socket"]},
        "web.socket": {"kind": "socket", "activates": "web"},
    }
    behaviours = {"web": Behaviour(ignores_term=True), "web.socket": Behaviour(sees_after_s=0.2)}
    machine = started(world(behaviours, **services), "web.socket")
    machine.run(until_s=5.0)
    assert reason(machine, "web") == "started by web.socket: what it waits for"
    machine.request(Verb.STOP, "web.socket")
    machine.run(until_s=5.1)
    links = chain(machine.engine, "db")
    assert [(link["name"], link["state"]) for link in links] == [
        ("db", "up"), ("web", "stopping"), ("web.socket", "stopping"),
    ]  # fmt: skip
    assert links[-1]["reason"]["cause"] == "stopped"


def test_a_trigger_that_became_a_service_is_not_ready_by_what_was_said_of_its_arming() -> None:
    """Seed 520000553."""
    first = {"kind": "socket", "activates": "web"}
    actions = (Replace(109.711, {"web.socket": {**first, "need": ["db"]}}), Replace(109.711, {"web.socket": {}}))
    services: dict[str, Any] = {"db": {}, "web.socket": first}
    play(Scenario(services, {}, actions, end_s=373.0, target="web.socket"), thorough=True)


def test_a_trigger_that_failed_with_its_service_is_the_root_once_that_was_made_anew() -> None:
    """Seed 3080003172: `web` failed, was removed and came back; a virtual name fell over to it, but `web.socket`, which
    failed with it then, keeps it down."""
    web: dict[str, Any] = {"need": ["web.socket"]}
    services: dict[str, Any] = {
        "cache": {},
        "web": web,
        "mail": {},
        "memory": {"kind": "virtual", "provided_by": ["cache"]},
        "web.socket": {"kind": "socket", "activates": "web"},
    }
    other = {"kind": "oneshot", "remains": False}
    memory = {"kind": "virtual", "provided_by": ["web", "other"]}
    actions = (
        Run(15.733, "run-1", {"need": ["memory"], "transient": True}, waits=False),
        Replace(116.953, {"web": None}),
        Replace(120.694, {"other": other, "web": web, "mail": {"want": ["other"]}, "memory": memory}),
        Ask(120.694, Verb.START, ("mail",)),
    )
    behaviours = {"web": Behaviour(dies_after_s=0.5)}
    play(Scenario(services, behaviours, actions, end_s=267.826, target="web"), thorough=True)


def test_a_respawn_that_is_asked_for_waits_for_what_the_same_request_brings_back() -> None:
    """Seed 5020000016: `web` is between two respawns, `cache` is stopping, when `web`, which wants it, is asked for."""
    services: dict[str, Any] = {"web": {"want": ["cache"], "restart": "on_failure", "post": True}, "cache": {}}
    behaviours = {"web": Behaviour(status=256), "cache": Behaviour(stop_s=0.8)}
    actions = (
        Ask(60.821, Verb.START, ("web",)),
        Ask(66.323, Verb.STOP, ("cache",)),
        Ask(66.823, Verb.START, ("web",)),
    )
    play(Scenario(services, behaviours, actions, end_s=271.447, target="cache"), thorough=True)


def test_a_trigger_that_gave_up_and_is_back_counts_no_start_that_it_refused() -> None:
    """Seed 5450002737: a script of the service brought its socket back within the 10 s, which then gave up after 21."""
    level: dict[str, Any] = {"kind": "runlevel"}
    services: dict[str, Any] = {"web": {}, "db": {}, "job": {}, "default": level, "web.socket": {}, "job.socket": {}}
    changed: dict[str, Any] = {
        "job": {"kind": "oneshot", "remains": False, "need": ["job.socket"]},
        "web": {"bind": ["job"]},
        "default": {**level, "want": ["job", "web", "mail", "db", "web.socket", "job.socket"]},
        "web.socket": {"kind": "socket", "activates": "web"},
        "job.socket": {"kind": "socket", "activates": "job"},
    }
    actions = (
        Replace(227.454, changed),
        Ask(262.455, Verb.NEED, ("default",), caller="db"),
        See(377.076, "web.socket"),
        Ask(383.176, Verb.RESTART, ("default",), caller="job", waits=False),
        Ask(383.398, Verb.RESTART, ("db",)),
    )
    behaviours = {"db": Behaviour(stop_s=0.8), "job.socket": Behaviour(sees_after_s=0.2)}
    play(Scenario(services, behaviours, actions, end_s=445.998, target="default"), thorough=True)
