"""A machine in virtual time goes on from where a real one stands: also with what is looked after besides processes."""

from __future__ import annotations

import pytest

from linit.engine.events import Verb
from linit.engine.simulator import Simulator
from linit.planning.durations import Durations
from linit.planning.resumed import Resumed
from linit.record import checkpoint, restoring
from tests.simulation.worlds import world


def resumed(machine: Simulator) -> Resumed:
    """From the engine's state alone."""
    engine = restoring.restore(machine.engine.plan, checkpoint.take(machine.engine))
    return Resumed(engine, Durations(), machine.now_s)


@pytest.mark.parametrize("at_s", [0.0, 0.05, 0.1015, 0.15, 0.3])
def test_a_start_that_is_under_way_comes_to_its_end(at_s: float) -> None:
    """While conditions are looked at, a command runs, its daemon is looked for, it is about to be ready; and after."""
    machine = world(db={"kind": "forking", "when": True, "ready": True}, web={"need": ["db"]})
    machine.request(Verb.START, "web")
    machine.run(until_s=at_s)
    again = resumed(machine)
    again.run(until_s=again.now_s + 10.0)
    assert again.states() == {"db": "up", "web": "up"}


def test_what_is_up_stays_up_and_is_looked_after() -> None:
    machine = world(
        **{
            "db": {"kind": "forking", "health": True},
            "web": {"need": ["web.socket"]},
            "web.socket": {"kind": "socket", "activates": "web"},
        }
    )
    machine.request(Verb.START, "db", "web.socket")
    machine.run()
    again = resumed(machine)
    again.run()
    assert again.states() == {"db": "up", "web": "down", "web.socket": "up"}
    assert list(again.attended.watched) == ["db"]
    again.attended.trigger("web.socket")
    again.run()
    assert again.states() == {"db": "up", "web": "up", "web.socket": "up"}


def test_a_trigger_that_is_being_armed_gets_up() -> None:
    machine = world(**{"web": {}, "web.socket": {"kind": "socket", "activates": "web"}})
    machine.request(Verb.START, "web.socket")
    again = resumed(machine)
    again.run()
    assert again.states() == {"web": "down", "web.socket": "up"}
