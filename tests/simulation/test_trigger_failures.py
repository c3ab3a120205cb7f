"""What starts services by itself, when these fail or cannot start: a rule a test."""

from __future__ import annotations

from typing import Any

import pytest

from linit.engine import explain
from linit.engine.asking import ACTIVATIONS_MAX
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.state import UnitState
from tests.simulation.graphs import plan
from tests.simulation.worlds import reason, started, world

UP, DOWN, STARTING = UnitState.UP, UnitState.DOWN, UnitState.STARTING
SOCKET: dict[str, Any] = {"kind": "socket", "activates": "web"}
WATCH: dict[str, Any] = {"kind": "watch", "activates": "job"}
TIMER: dict[str, Any] = {"kind": "timer", "activates": "job"}
JOB: dict[str, Any] = {"kind": "oneshot", "remains": False}
CLOSED = "web, which it starts, failed"


def listening(behaviours: dict[str, Behaviour] | None = None, **web: Any) -> Simulator:
    """web on demand, its socket open."""
    machine = world(behaviours, **{"web": {"need": ["web.socket"], **web}, "web.socket": SOCKET})
    return started(machine, "web.socket")


# -- when the service fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["socket", "watch"])
def test_a_service_that_gives_up_closes_its_trigger(kind: str) -> None:
    """Clients would wait for ever, or start it again and again."""
    trigger = f"web.{kind}"
    machine = world(
        {"web": Behaviour(spawn_error="exec /bin/web: ENOENT")},
        **{"web": {}, trigger: {"kind": kind, "activates": "web"}},
    )
    started(machine, trigger)
    machine.attended.trigger(trigger)
    machine.run()
    assert machine.states() == {"web": "failed", trigger: "failed"}
    assert (reason(machine, trigger), machine.attended.armed) == (CLOSED, {})
    assert [each["name"] for each in explain.chain(machine.engine, trigger)] == [trigger, "web"]
    machine.behaviours.clear()
    machine.request(Verb.START, trigger)
    machine.run()
    assert machine.states() == {"web": "failed", trigger: "up"}


def test_a_service_that_was_given_up_is_started_with_its_socket() -> None:
    machine = listening({"web": Behaviour(spawn_error="exec /bin/web: ENOENT")})
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.states() == {"web": "failed", "web.socket": "failed"}
    assert reason(machine, "web") == "could not be run: exec /bin/web: ENOENT", "not that its socket was closed"
    machine.behaviours.clear()
    machine.request(Verb.START, "web")
    machine.run()
    assert machine.states() == {"web": "up", "web.socket": "up"}


def test_a_clock_is_not_stopped_by_a_failure() -> None:
    machine = world({"job": Behaviour(status=256)}, **{"job": JOB, "job.timer": TIMER})
    started(machine, "job.timer")
    machine.attended.trigger("job.timer", "every 1h")
    machine.run()
    assert machine.states() == {"job": "failed", "job.timer": "up"}
    machine.behaviours.clear()
    machine.attended.trigger("job.timer", "every 1h")
    machine.run()
    assert (machine.state("job"), reason(machine, "job")) == (DOWN, "exited with status 0")


def test_a_service_that_cannot_be_killed_closes_its_trigger() -> None:
    """Or clients wait for ever for one that cannot be started again."""
    machine = started(listening({"web": Behaviour(ignores_term=True, unkillable=True)}), "web")
    machine.request(Verb.STOP, "web")
    machine.run()
    assert machine.states() == {"web": "failed", "web.socket": "failed"}
    assert (reason(machine, "web.socket"), machine.attended.armed) == (CLOSED, {})


def test_a_trigger_that_nobody_wants_is_not_called_failed() -> None:
    machine = world(
        {"web": Behaviour(spawn_error="exec /bin/web: ENOENT")},
        **{"web": {}, "web.watch": {"kind": "watch", "activates": "web"}},
    )
    machine.request(Verb.START, "web")
    machine.run()
    assert machine.states() == {"web": "failed", "web.watch": "down"}
    assert machine.engine.units["web.watch"].given_up is None


def test_a_trigger_of_another_service_of_that_name_is_left_alone() -> None:
    machine = world(
        {"web": Behaviour(spawn_error="exec /bin/web: ENOENT")}, **{"web": {}, "job": {}, "web.watch": WATCH}
    )
    started(machine, "web.watch", "web")
    assert machine.states() == {"web": "failed", "job": "down", "web.watch": "up"}


# -- when the service cannot start -------------------------------------------------------------------------------


def test_a_service_that_can_never_start_closes_its_socket_at_the_first_client() -> None:
    """No transition follows, so whoever looks after the socket would never look again."""
    services: dict[str, Any] = {"web": {"broken": "definition", "broken_by": ("no such key",)}, "web.socket": SOCKET}
    machine = started(world(**services), "web.socket")
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.states() == {"web": "failed", "web.socket": "failed"}
    words = "web cannot be started: its definition is broken: no such key"
    assert (reason(machine, "web.socket"), machine.attended.armed) == (words, {})


def test_a_service_that_needs_what_can_never_start_closes_its_socket_at_the_first_client() -> None:
    services: dict[str, Any] = {
        "db": {"broken": "definition", "broken_by": ("no such key",)},
        "web": {"need": ["web.socket", "db"]},
        "web.socket": SOCKET,
    }
    machine = world(**services)
    started(machine, "web.socket")
    for _ in range(2):
        machine.attended.trigger("web.socket")
        machine.run()
    assert machine.states() == {"db": "failed", "web": "failed", "web.socket": "failed"}
    words = "web cannot be started: needs db, which failed (test.yaml:1:1)"
    assert reason(machine, "web.socket") == words
    machine.load(plan({**services, "db": {}}))
    machine.run()
    assert [each["text"] for each in explain.chain(machine.engine, "web")] == [
        "needs web.socket, which failed (test.yaml:1:1)",
        words,
    ]
    machine.request(Verb.START, "web")
    machine.run()
    assert set(machine.states().values()) == {"up"}


def test_a_socket_stays_open_while_its_service_waits_for_what_it_is_bound_to_however_many_clients_come() -> None:
    """db is about to be back, and then web starts."""
    machine = started(
        world(**{"db": {"restart": "always"}, "web": {"bind": ["db"]}, "web.socket": SOCKET}), "db", "web.socket"
    )
    machine.end("db", 11)
    for _ in range(2 * ACTIVATIONS_MAX):
        machine.attended.trigger("web.socket")
    assert machine.states() == {"db": "backoff", "web": "down", "web.socket": "up"}
    machine.run()
    assert machine.states() == {"db": "up", "web": "up", "web.socket": "up"}


def test_a_service_that_loses_a_conflict_closes_its_socket() -> None:
    """web needs both, and they exclude each other: whoever is later in the order of names is given up."""
    services: dict[str, Any] = {"old": {"conflicts": ["web"]}, "web": {"want": ["old"]}, "web.socket": SOCKET}
    machine = started(world(**services), "web.socket")
    machine.attended.trigger("web.socket")
    machine.run()
    assert machine.states() == {"old": "up", "web": "failed", "web.socket": "failed"}
    assert reason(machine, "web.socket") == CLOSED


def test_a_clock_goes_on_where_its_service_cannot_be_started() -> None:
    services: dict[str, Any] = {"job": {"broken": "definition", "broken_by": ("no such key",)}, "job.timer": TIMER}
    machine = started(world(**services), "job.timer")
    machine.attended.trigger("job.timer")
    machine.run()
    assert machine.states() == {"job": "failed", "job.timer": "up"}


def test_a_trigger_of_what_is_only_remembered_closes() -> None:
    """Seed 400080693: web was removed, and is remembered since its process cannot be killed."""
    unkillable = Behaviour(ignores_term=True, unkillable=True)
    machine = listening({"web": unkillable})
    machine.attended.trigger("web.socket")
    machine.run(until_s=machine.now_s + 5.0)
    machine.load(plan({"web.socket": SOCKET}))
    machine.run()
    machine.request(Verb.RESTART, "web.socket")
    machine.run(until_s=machine.now_s + 5.0)
    machine.attended.trigger("web.socket")
    machine.run()
    assert reason(machine, "web.socket") == "web, which it starts, is gone"
