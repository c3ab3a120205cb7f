"""Sockets, clocks and watched paths that start services: what each means, a rule a test."""

from __future__ import annotations

from typing import Any

import pytest

from linit.engine import effects, events, explain
from linit.engine.asking import ACTIVATION_WINDOW_S, ACTIVATIONS_MAX
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import Listen, ListenKind
from linit.model.state import Finish, Outcome, Role, UnitState
from tests.simulation.graphs import WRITTEN, plan
from tests.simulation.worlds import answer, reason, started, text, told, world

UP, DOWN, FAILED = UnitState.UP, UnitState.DOWN, UnitState.FAILED
BACKOFF, STARTING = UnitState.BACKOFF, UnitState.STARTING
SOCKET: dict[str, Any] = {"kind": "socket", "activates": "web"}
WATCH: dict[str, Any] = {"kind": "watch", "activates": "job"}
TIMER: dict[str, Any] = {"kind": "timer", "activates": "job"}
JOB: dict[str, Any] = {"kind": "oneshot", "remains": False}
BUSY = "could not be run: bind 0.0.0.0:80: EADDRINUSE"


def listening(behaviours: dict[str, Behaviour] | None = None, **web: Any) -> Simulator:
    """web on demand, its socket open."""
    machine = world(behaviours, **{"web": {"need": ["web.socket"], **web}, "web.socket": SOCKET})
    return started(machine, "web.socket")


def orders(machine: Simulator) -> list[str]:
    """What was armed and disarmed."""
    kinds = (effects.Arm, effects.Disarm)
    return [type(effect).__name__ for _, effect in machine.trace if isinstance(effect, kinds)]


# -- armed or not ------------------------------------------------------------------------------------------------


def test_a_trigger_is_up_when_it_is_armed() -> None:
    machine = world(**{"web": {}, "web.socket": SOCKET})
    machine.request(Verb.START, "web.socket")
    assert (machine.state("web.socket"), reason(machine, "web.socket")) == (STARTING, "starting")
    machine.run()
    assert (machine.state("web.socket"), list(machine.attended.armed)) == (UP, ["web.socket"])
    assert (machine.state("web"), machine.engine.units["web.socket"].running) == (DOWN, set())
    machine.request(Verb.STOP, "web.socket")
    assert (machine.state("web.socket"), list(machine.attended.armed)) == (DOWN, [])


def test_a_trigger_that_cannot_be_armed_has_failed_and_so_has_what_needs_it() -> None:
    machine = world(
        {"web.socket": Behaviour(spawn_error="bind 0.0.0.0:80: EADDRINUSE")},
        **{"web": {"need": ["web.socket"]}, "web.socket": SOCKET},
    )
    asked = machine.request(Verb.START, "web")
    machine.run()
    assert (machine.state("web.socket"), reason(machine, "web.socket")) == (FAILED, BUSY)
    assert text(machine, asked) == "failed: needs web.socket, which failed (test.yaml:1:1)"
    assert machine.attended.armed == {}
    machine.behaviours.clear()
    machine.request(Verb.START, "web")
    machine.run()
    assert machine.states() == {"web": "up", "web.socket": "up"}


def test_a_trigger_that_is_stopped_while_it_is_armed_is_closed() -> None:
    machine = world(**{"web": {}, "web.socket": SOCKET})
    machine.request(Verb.START, "web.socket")
    stopped = machine.request(Verb.STOP, "web.socket")
    assert text(machine, stopped) == "stopped by tester"
    machine.run()
    assert (machine.state("web.socket"), machine.attended.armed) == (DOWN, {})


def test_an_arming_of_which_nothing_is_heard_fails_and_is_closed() -> None:
    machine = world(**{"web": {}, "web.socket": {**SOCKET, "start_timeout_s": 5.0}})
    for event in (
        events.Request(1, Verb.START, ("web.socket",)),
        events.TimerFired("web.socket", events.TimerKind.START),
    ):
        machine.engine.handle(event, 5.0)
    machine.tell(events.Ready("web.socket"))
    assert (machine.state("web.socket"), reason(machine, "web.socket")) == (FAILED, "not up within 5 s (starting)")


def test_a_trigger_is_closed_when_its_failure_crosses_with_a_second_start() -> None:
    """What is heard is of the first start; by then the second has opened it."""
    machine = world(
        {"web.socket": Behaviour(spawn_error="bind 0.0.0.0:80: EADDRINUSE")}, **{"web": {}, "web.socket": SOCKET}
    )
    machine.request(Verb.START, "web.socket")
    machine.behaviours.clear()
    machine.request(Verb.RESTART, "web.socket")
    assert list(machine.attended.armed) == ["web.socket"]
    machine.run()
    assert (machine.state("web.socket"), machine.attended.armed) == (FAILED, {})


# -- what it sees starts its service -----------------------------------------------------------------------------


def test_what_a_trigger_sees_starts_its_service_with_all_that_this_needs() -> None:
    services: dict[str, Any] = {
        "db": {"ready": True},
        "web": {"need": ["web.socket", "db"]},
        "web.socket": SOCKET,
    }
    machine = started(world(**services), "web.socket")
    machine.attended.trigger("web.socket", "a client of 127.0.0.1:80")
    machine.run()
    assert machine.states() == {"db": "up", "web": "up", "web.socket": "up"}
    assert reason(machine, "web") == "started by web.socket: a client of 127.0.0.1:80"
    assert [each["name"] for each in explain.wishes(machine.engine, "web")] == ["web", "web.socket"]


def test_a_service_that_is_up_or_on_its_way_up_is_not_wanted_twice() -> None:
    machine = listening({"web": Behaviour(takes_s=1.0)}, ready=True)
    machine.attended.trigger("web.socket", "the first")
    machine.attended.trigger("web.socket", "the second")
    assert reason(machine, "web") == "starting"
    machine.run()
    machine.attended.trigger("web.socket", "the third")
    assert reason(machine, "web") == "started by web.socket: the first"
    assert len(machine.engine.units["web.socket"].budget.at_s) == 1


def test_a_service_that_will_respawn_needs_no_trigger() -> None:
    machine = listening(restart="always")
    machine.attended.trigger("web.socket")
    machine.run()
    machine.end("web", 11)
    machine.attended.trigger("web.socket", "meanwhile")
    assert machine.state("web") is BACKOFF
    machine.run()
    assert reason(machine, "web") == "started by web.socket: a client"


def test_what_crosses_with_the_stop_of_a_trigger_starts_nothing() -> None:
    machine = listening({"web": Behaviour(stop_s=1.0)})
    machine.attended.trigger("web.socket")
    machine.run()
    machine.request(Verb.STOP, "web.socket")
    assert machine.states() == {"web": "stopping", "web.socket": "stopping"}
    machine.tell(events.Triggered("web.socket", "too late"))
    machine.run()
    machine.tell(events.Triggered("web.socket", "much too late"))
    machine.run()
    assert machine.states() == {"web": "down", "web.socket": "down"}


def test_a_stopped_service_is_started_again_by_its_trigger() -> None:
    """As in systemd: who does not want this stops the trigger."""
    machine = listening()
    machine.attended.trigger("web.socket")
    machine.run()
    machine.request(Verb.STOP, "web")
    machine.run()
    assert machine.states() == {"web": "down", "web.socket": "up"}
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.state("web") is UP


def test_a_service_with_an_unmet_condition_stays_down_and_its_trigger_up() -> None:
    machine = listening({"web": Behaviour(condition="path /x")}, when=True)
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.states() == {"web": "down", "web.socket": "up"}
    assert reason(machine, "web") == "a condition is not met: path /x"


def test_a_trigger_of_a_service_that_is_gone_is_closed_when_it_sees_something() -> None:
    machine = world(**{"job": JOB, "job.watch": WATCH})
    started(machine, "job.watch")
    machine.load(plan({"job.watch": WATCH}))
    machine.attended.trigger("job.watch")
    machine.run()
    assert machine.states() == {"job.watch": "failed"}
    assert reason(machine, "job.watch") == "job, which it starts, is gone"


def test_a_trigger_nobody_knows_starts_nothing() -> None:
    machine = listening()
    machine.tell(events.Triggered("gone.socket", "a client"))
    machine.tell(events.Triggered("web", "it is none"))
    machine.run()
    assert machine.states() == {"web": "down", "web.socket": "up"}


# -- restarts and stops ------------------------------------------------------------------------------------------


def test_a_restart_of_the_service_leaves_its_socket_open() -> None:
    """No client is refused."""
    machine = listening()
    machine.attended.trigger("web.socket")
    machine.run()
    for only in (False, True):
        machine.request(Verb.RESTART, "web", only=only)
        machine.run()
    assert machine.states() == {"web": "up", "web.socket": "up"}
    assert orders(machine) == ["Arm"]


def test_a_crash_and_a_respawn_leave_the_socket_open() -> None:
    machine = listening(restart="always")
    machine.attended.trigger("web.socket")
    machine.run()
    machine.end("web", 11)
    machine.run()
    assert machine.state("web") is UP
    assert orders(machine) == ["Arm"]


def test_a_stop_of_the_socket_stops_the_service_first_and_a_restart_of_it_brings_both_back() -> None:
    machine = started(listening(), "web")
    machine.request(Verb.RESTART, "web.socket")
    machine.run()
    assert machine.states() == {"web": "up", "web.socket": "up"}
    machine.request(Verb.STOP, "web.socket")
    machine.run()
    assert machine.transitions(DOWN) == ["web", "web.socket"] * 2
    assert machine.attended.armed == {}


def test_a_shutdown_closes_the_triggers_after_their_services_and_nothing_starts_any_more() -> None:
    machine = started(listening({"web": Behaviour(stop_s=1.0)}), "web")
    machine.tell(events.Shutdown(Finish.POWEROFF, "root"))
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.transitions(DOWN) == ["web", "web.socket"]
    assert ([end.finish for end in machine.finished], machine.attended.armed) == ([Finish.POWEROFF], {})


def test_nothing_is_triggered_while_the_services_of_runlevel_shutdown_run() -> None:
    services: dict[str, Any] = {
        "job": JOB,
        "job.watch": WATCH,
        "save": {"kind": "oneshot"},
        "shutdown": {"kind": "runlevel", "want": ["job.watch", "save"]},
    }
    machine = started(world({"save": Behaviour(takes_s=1.0)}, **services), "job")
    machine.tell(events.Shutdown(Finish.POWEROFF, "root"))
    machine.run(until_s=machine.now_s + 0.5)
    assert (machine.state("save"), machine.state("job.watch")) == (STARTING, UP)
    machine.attended.trigger("job.watch")
    machine.run()
    assert machine.transitions(STARTING).count("job") == 1
    assert [end.finish for end in machine.finished] == [Finish.POWEROFF]


def test_who_waits_for_a_stop_hears_that_a_trigger_wanted_the_service_again() -> None:
    machine = world({"job": Behaviour(takes_s=1.0, stop_s=1.0)}, **{"job": {"kind": "oneshot"}, "job.watch": WATCH})
    started(machine, "job.watch", "job")
    machine.request(Verb.RESTART, "job")
    machine.run(until_s=machine.now_s + 0.5)
    stopped = machine.request(Verb.STOP, "job")
    machine.attended.trigger("job.watch")
    machine.run()
    assert text(machine, stopped) == "superseded by start of job.watch"
    assert machine.state("job") is UP


# -- runlevels ---------------------------------------------------------------------------------------------------


def test_what_a_trigger_of_the_runlevel_started_stays_when_that_is_entered_again() -> None:
    """With all that it needs; as systemctl(1) says of isolate."""
    services: dict[str, Any] = {
        "db": {},
        "other": {},
        "web": {"need": ["web.socket", "db"]},
        "web.socket": SOCKET,
        "default": {"kind": "runlevel", "want": ["web.socket"]},
        "single": {"kind": "runlevel"},
    }
    machine = world(**services)
    machine.request(Verb.RUNLEVEL, "default")
    machine.request(Verb.START, "other")
    machine.run()
    machine.attended.trigger("web.socket")
    machine.run()
    machine.request(Verb.RUNLEVEL, "default")
    machine.run()
    assert machine.transitions(DOWN) == ["other"]
    machine.request(Verb.RUNLEVEL, "single")
    machine.run()
    assert set(machine.states().values()) == {"down", "up"}
    assert [name for name, state in machine.states().items() if state == "up"] == ["single"]


def test_who_started_a_service_again_that_its_trigger_had_started_before_is_told() -> None:
    machine = world(
        {"web": Behaviour(dies_after_s=0.5)},
        **{"web": {}, "web.watch": {"kind": "watch", "activates": "web"}, "page": {"need": ["web"]}},
    )
    started(machine, "web.watch")
    machine.attended.trigger("web.watch")
    machine.run()
    machine.behaviours.clear()
    machine.request(Verb.START, "page")
    machine.run()
    assert machine.states() == {"web": "up", "web.watch": "failed", "page": "up"}
    assert reason(machine, "web") == "pulled in by page (test.yaml:1:1)"


# -- too often ---------------------------------------------------------------------------------------------------


def activate(machine: Simulator, trigger: str, times: int, within_s: float) -> None:
    """So often, evenly."""
    for _ in range(times):
        machine.attended.trigger(trigger, "a file")
        machine.run(until_s=machine.now_s + within_s / times)


def test_a_trigger_that_starts_its_service_more_than_20_times_within_10_s_gives_up() -> None:
    machine = world(**{"job": JOB, "job.watch": WATCH})
    started(machine, "job.watch")
    activate(machine, "job.watch", ACTIVATIONS_MAX, ACTIVATION_WINDOW_S - 1.0)
    assert machine.transitions(STARTING).count("job") == ACTIVATIONS_MAX
    assert machine.state("job.watch") is UP
    machine.attended.trigger("job.watch", "a file")
    machine.run()
    assert machine.transitions(STARTING).count("job") == ACTIVATIONS_MAX
    assert (machine.state("job.watch"), reason(machine, "job.watch")) == (
        FAILED,
        "it started job 20 times within 10 s",
    )
    assert machine.attended.armed == {}
    machine.request(Verb.START, "job.watch")
    machine.run()
    machine.attended.trigger("job.watch", "a file")
    assert machine.state("job") is STARTING, "it begins anew"


def test_a_late_timer_does_not_make_a_trigger_forget_how_often_it_started_its_service() -> None:
    """Seed 5003793."""
    machine = started(world(**{"job": JOB, "job.watch": WATCH}), "job.watch")
    activate(machine, "job.watch", ACTIVATIONS_MAX, ACTIVATION_WINDOW_S - 1.0)
    machine.tell(events.TimerFired("job.watch", events.TimerKind.HEALTHY))
    machine.attended.trigger("job.watch", "a file")
    assert reason(machine, "job.watch") == "it started job 20 times within 10 s"


def test_a_trigger_may_start_its_service_20_times_in_each_10_s() -> None:
    machine = world(**{"job": JOB, "job.watch": WATCH})
    started(machine, "job.watch")
    activate(machine, "job.watch", 3 * ACTIVATIONS_MAX, 3 * ACTIVATION_WINDOW_S + 1.0)
    assert machine.transitions(STARTING).count("job") == 3 * ACTIVATIONS_MAX
    assert machine.state("job.watch") is UP


def test_a_path_that_its_service_does_not_take_away_ends_the_watch_of_it() -> None:
    """Whatever the trigger sees as soon as the service rests."""
    machine = world({"job.watch": Behaviour(sees_after_s=0.0)}, **{"job": JOB, "job.watch": WATCH})
    machine.request(Verb.START, "job.watch")
    machine.run()
    assert machine.states() == {"job": "down", "job.watch": "failed"}


def test_a_clock_may_start_its_service_as_often_as_it_is_told_to() -> None:
    machine = world(**{"job": JOB, "job.timer": TIMER})
    started(machine, "job.timer")
    activate(machine, "job.timer", 50, 9.0)
    assert machine.transitions(STARTING).count("job") == 50
    assert machine.state("job.timer") is UP


# -- definitions -------------------------------------------------------------------------------------------------


def at(address: str, **keys: Any) -> tuple[Listen, ...]:
    return (Listen(ListenKind.TCP, address, WRITTEN, **keys),)


def test_a_socket_with_a_new_address_keeps_the_old_one_until_its_next_start() -> None:
    """To close it would refuse clients: that is for whoever restarts it."""
    services: dict[str, Any] = {"web": {"need": ["web.socket"]}, "web.socket": {**SOCKET, "listen": at("[::]:80")}}
    machine = started(world(**services), "web")
    loaded = machine.load(plan({**services, "web.socket": {**SOCKET, "listen": at("[::]:8080")}}))
    assert text(machine, loaded) == "changed; takes effect at its next start"
    machine.request(Verb.RESTART, "web.socket")
    machine.run()
    assert orders(machine) == ["Arm", "Disarm", "Arm"]
    assert machine.states() == {"web": "up", "web.socket": "up"}


def test_an_open_socket_takes_at_once_what_can_be_changed_without_closing_it() -> None:
    services: dict[str, Any] = {"web": {"need": ["web.socket"]}, "web.socket": {**SOCKET, "listen": at("[::]:80")}}
    machine = started(world(**services), "web")
    changed = {**SOCKET, "listen": at("[::]:80", backlog=4096)}
    loaded = machine.load(plan({**services, "web.socket": changed}))
    assert text(machine, loaded) == "changed"
    assert orders(machine) == ["Arm", "Arm"]
    assert machine.attended.armed["web.socket"].listen[0].backlog == 4096
    assert machine.states() == {"web": "up", "web.socket": "up"}


@pytest.mark.parametrize("trigger", [TIMER, WATCH], ids=["timer", "watch"])
def test_a_changed_clock_or_watch_counts_from_the_reload_on(trigger: dict[str, Any]) -> None:
    name = f"job.{trigger['kind']}"
    machine = started(world(job=JOB, **{name: trigger}), name)
    before = len(machine.trace)
    loaded = machine.load(plan({"job": JOB, name: {**trigger, "digest": "new"}}))
    machine.run()
    unit = machine.engine.units[name]
    assert text(machine, loaded) == "changed"
    assert (unit.state, unit.is_outdated, unit.service.digest) == (UP, False, "new")
    assert machine.attended.armed[name].digest == "new"
    assert [type(effect) for _, effect in machine.trace[before:]] == [effects.Arm, effects.Answer]
    assert answer(machine, loaded).outcome is Outcome.DONE
    machine.attended.trigger(name)
    machine.run()
    assert machine.transitions(STARTING) == [name, "job"]


def test_a_changed_clock_that_is_being_armed_is_armed_by_the_new_definition() -> None:
    machine = world(job=JOB, **{"job.timer": TIMER})
    machine.request(Verb.START, "job.timer")
    machine.load(plan({"job": JOB, "job.timer": {**TIMER, "digest": "new"}}))
    machine.run()
    assert (machine.state("job.timer"), machine.attended.armed["job.timer"].digest) == (UP, "new")
    assert machine.engine.units["job.timer"].is_outdated is False


def test_a_changed_watch_that_cannot_be_armed_has_failed_and_says_why() -> None:
    machine = started(world(job=JOB, **{"job.watch": WATCH}), "job.watch")
    machine.behaviours["job.watch"] = Behaviour(spawn_error="ENOSPC")
    machine.load(plan({"job": JOB, "job.watch": {**WATCH, "digest": "new"}}))
    machine.run()
    assert (machine.state("job.watch"), reason(machine, "job.watch")) == (FAILED, "could not be run: ENOSPC")
    assert machine.attended.armed == {}


def test_a_clock_whose_new_definition_has_errors_goes_on_by_the_old_one() -> None:
    machine = started(world(job=JOB, **{"job.timer": TIMER}), "job.timer")
    loaded = machine.load(plan({"job": JOB, "job.timer": {**TIMER, "broken": "definition", "digest": "new"}}))
    assert text(machine, loaded) == "changed; takes effect at its next start"
    assert orders(machine) == ["Arm"]
    assert machine.state("job.timer") is UP


def test_a_socket_whose_definition_is_removed_is_closed() -> None:
    machine = started(listening(), "web")
    machine.load(plan({"web": {}}))
    machine.run()
    assert (machine.states(), machine.attended.armed) == ({"web": "up"}, {})


def test_a_trigger_that_becomes_a_service_is_disarmed_first() -> None:
    machine = started(world(**{"web": {}, "web.socket": SOCKET}), "web.socket")
    machine.load(plan({"web": {}, "web.socket": {}}))
    machine.request(Verb.RESTART, "web.socket")
    machine.run()
    assert (machine.state("web.socket"), machine.attended.armed) == (UP, {})
    assert Role.MAIN in machine.engine.units["web.socket"].pids


def test_a_service_that_becomes_a_trigger_is_ended_first() -> None:
    machine = started(world(**{"web": {}, "web.socket": {}}), "web.socket")
    machine.load(plan({"web": {}, "web.socket": SOCKET}))
    machine.request(Verb.RESTART, "web.socket")
    machine.run()
    assert (machine.state("web.socket"), list(machine.attended.armed)) == (UP, ["web.socket"])
    assert machine.processes == {}


def test_what_a_trigger_wants_conflicts_as_if_somebody_had_asked() -> None:
    machine = started(world(**{"web": {"conflicts": ["old"]}, "old": {}, "web.socket": SOCKET}), "old", "web.socket")
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.states() == {"web": "up", "old": "down", "web.socket": "up"}
    assert (told(machine), reason(machine, "old")) == ([], "conflicts with web (test.yaml:1:1)")


def test_an_activated_service_that_was_stopped_is_not_said_to_be_activated() -> None:
    """Its wish is no reason any more why it is down."""
    machine = world(**{"base": {}, "web": {"bind": ["base"], "conflicts": ["foe"]}, "foe": {}, "web.socket": SOCKET})
    started(machine, "web.socket", "base")
    machine.attended.trigger("web.socket")
    machine.run()
    machine.request(Verb.RESTART, "web", only=True)
    machine.request(Verb.STOP, "web")
    machine.run()
    assert reason(machine, "web") == "stopped by tester"


def test_a_request_for_a_service_and_its_trigger_has_one_answer() -> None:
    machine = world(**{"web": {"need": ["web.socket"]}, "web.socket": SOCKET})
    asked = machine.request(Verb.START, "web", "web.socket")
    machine.run()
    assert answer(machine, asked).outcome is Outcome.DONE
    assert [name for name, _, _ in answer(machine, asked).results] == ["web.socket", "web"]
