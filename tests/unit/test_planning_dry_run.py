"""What a request would do from where a machine stands: the live processes go on in virtual time."""

from __future__ import annotations

import random

import pytest

from linit.engine.effects import Transition
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import Plan
from linit.planning import dry_run
from linit.planning.durations import Durations
from linit.planning.world import UnknownName
from linit.record import checkpoint, restoring
from tests.simulation.graphs import RUN, plan, random_plan

SHOP = plan(
    {
        "db": {"ready": True},
        "web": {"ready": True, "need": ["db"], "pre": (RUN,), "stop": (RUN,)},
        "job": {"kind": "oneshot"},
        "default": {"kind": "runlevel", "want": ["web", "job"]},
    }
)
TAKES_S = 1.0
KNOWN = Durations({"job": 0.9}, TAKES_S)  # no two independent steps at the same time


def machine(of: Plan) -> Simulator:
    """One whose starts take a second."""
    return Simulator(of, {service.name: KNOWN.behaviour(service) for service in of.services})


def dry(world: Simulator, verb: Verb, *names: str, only: bool = False) -> dry_run.DryRun:
    """What the request would do in that world now."""
    engine = restoring.restore(world.engine.plan, checkpoint.take(world.engine))
    return dry_run.of(engine, world.now_s, (verb, names), KNOWN, only=only)


def really(world: Simulator, verb: Verb, *names: str, only: bool = False) -> list[tuple[str, str]]:
    """What it then does."""
    marker = len(world.trace)
    world.request(verb, *names, only=only)
    world.run()
    changes = [effect for _, effect in world.trace[marker:] if isinstance(effect, Transition)]
    return [(each.name, each.after.value) for each in changes]


@pytest.mark.parametrize("at_s", [0.0, 0.0005, 0.5, 1.5, 2.5, 9.0])
@pytest.mark.parametrize(
    ("verb", "name"), [(Verb.START, "web"), (Verb.STOP, "db"), (Verb.RESTART, "db"), (Verb.RESTART, "web")]
)
def test_the_steps_are_those_that_follow_at_every_moment_of_a_boot(at_s: float, verb: Verb, name: str) -> None:
    """Before a process runs, in a start command, before readiness, at rest."""
    world = machine(SHOP)
    world.request(Verb.RUNLEVEL, "default")
    world.run(until_s=at_s)
    told = dry(world, verb, name)
    assert [(each.name, each.after.value) for each in told.steps] == really(world, verb, name)
    assert (told.outcome, told.is_over) == ("done", True)


def test_in_any_graph_at_rest_the_steps_are_those_that_follow() -> None:
    for seed in range(80):
        rng = random.Random(seed)
        world = machine(random_plan(rng, 10))
        world.request(Verb.START, "default")
        world.run()
        verb = rng.choice([Verb.START, Verb.STOP, Verb.RESTART])
        name, only = rng.choice(list(world.engine.units)), rng.random() < 0.3
        told = dry(world, verb, name, only=only)
        found = [(each.name, each.after.value) for each in told.steps]
        assert sorted(found) == sorted(really(world, verb, name, only=only)), f"seed {seed}: {verb} {name}"


def test_a_stop_under_way_and_a_backoff_go_on_and_end_as_their_timers_say() -> None:
    """A process that ignores TERM is taken to end in time: nothing is known of it. The delay of a respawn is known."""
    services = {"sick": {"restart": "always", "ready": True}, "web": {"need": ["sick"]}}
    world = Simulator(plan(services), {"sick": Behaviour(dies_after_s=0.5)})
    world.request(Verb.START, "sick")
    world.run(until_s=0.8)
    assert world.states() == {"sick": "backoff", "web": "down"}
    steps = [(each.name, round(each.at_s, 2), each.after.value) for each in dry(world, Verb.START, "web").steps]
    sick = [step for step in steps if step[0] == "sick"]
    assert sick == [("sick", 0.7, "starting"), ("sick", 1.7, "up")]
    at_once = [(round(each.at_s, 2), each.after.value) for each in dry(world, Verb.START, "sick").steps]
    assert at_once == [(0.0, "waiting"), (0.0, "starting"), (1.0, "up")]


def test_the_table_shows_a_stop_when_it_begins_in_earnest() -> None:
    """Not when the service begins to wait for those that need it."""
    world = machine(SHOP)
    world.request(Verb.RUNLEVEL, "default")
    world.run()
    assert list(dry_run.lines(dry(world, Verb.RESTART, "db"), KNOWN)) == [
        "+0.00 s  stop   web  (needs db, which is down (test.yaml:1:1))",
        "+0.55 s  down   web  (needs db, which is down (test.yaml:1:1))",
        "+0.55 s  stop   db   (restarted by you)",
        "+0.60 s  down   db   (restarted by you)",
        "+0.60 s  start  db   (restarted by you)",
        "+1.60 s  up     db",
        "+1.60 s  start  web  (wanted by runlevel default (test.yaml:1:1))",
        "+2.60 s  up     web",
        "in all 2.60 s; starts: 2 assumed to be 1.00 s (?); nothing was done",
    ]


def test_what_would_fail_is_told() -> None:
    world = machine(plan({"db": {"broken": "definition"}, "web": {"need": ["db"]}}))
    world.request(Verb.STOP, "web")
    told = dry(world, Verb.START, "web")
    assert (told.outcome, [name for name, _ in told.failed]) == ("failed", ["web"])
    assert list(dry_run.lines(told, KNOWN))[-2:] == [
        "would fail: web (needs db, which failed (test.yaml:1:1))",
        "in all 0.00 s; starts: none needed; nothing was done",
    ]


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UnknownName, match="no service is called 'bd'"):
        dry(machine(SHOP), Verb.START, "bd")
