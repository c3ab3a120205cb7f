"""Random graphs, faults and wishes from a seed; the invariants are checked after every event."""

from __future__ import annotations

import os
import random

import pytest

from linit.engine import events
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.state import Finish
from tests.simulation import invariants
from tests.simulation.graphs import random_plan

SEEDS = int(os.environ.get("LINIT_SEEDS", "300"))
VERBS = (Verb.START, Verb.STOP, Verb.RESTART, Verb.RESET, Verb.RELOAD)


def random_behaviour(rng: random.Random) -> Behaviour:
    """Mostly good, sometimes every kind of bad."""
    return Behaviour(
        takes_s=rng.choice([0.0, 0.1, 1.0, 3.0]),
        status=rng.choice([0, 0, 0, 0, 256]),
        spawn_error=rng.choice(["", "", "", "", "", "", "exec /bin/daemon: ENOENT"]),
        never_ready=rng.random() < 0.05,
        dies_after_s=rng.choice([None, None, None, 0.5, 30.0]),
        death=rng.choice([0, 256, 11]),
        stop_s=rng.choice([0.0, 0.05, 0.8]),
        ignores_term=rng.random() < 0.1,
        unkillable=rng.random() < 0.02,
        leaves_child=rng.random() < 0.1,
    )


def ask_from_inside(rng: random.Random, world: Simulator, names: list[str]) -> None:
    """A service's own script asks for something, and waits."""
    running = [name for name in names if any(process.name == name for process in world.processes.values())]
    if running:
        verb = rng.choice([Verb.NEED, Verb.NEED, Verb.WANT, Verb.START, Verb.STOP, Verb.RESTART])
        world.request(verb, rng.choice(names), caller=rng.choice(running))


def campaign(seed: int) -> Simulator:
    """One world: a boot, wishes at random moments, at the end a shutdown."""
    rng = random.Random(seed)
    plan = random_plan(rng, rng.randint(2, 14))
    names = [service.name for service in plan.services]

    def check(world: Simulator, event: events.Event) -> None:
        for invariant in invariants.ALL:
            try:
                invariant(world)
            except AssertionError as broken:
                pytest.fail(f"seed {seed}, at {world.now_s:.3f} s after {event}: {invariant.__name__}: {broken}")

    world = Simulator(plan, on_event=check)
    for name in names:
        world.behaviours[name] = random_behaviour(rng)
    world.request(Verb.START, "default")
    for _ in range(rng.randint(0, 25)):
        world.run(until_s=world.now_s + rng.choice([0.0, 0.01, 0.5, 5.0]), most=400)
        if rng.random() < 0.3:
            name = rng.choice(names)
            world.behaviours[name] = random_behaviour(rng)
        if rng.random() < 0.25:
            ask_from_inside(rng, world, names)
            continue
        verb = rng.choice(VERBS)
        world.request(verb, *rng.sample(names, rng.randint(1, 2)), cascade=rng.random() < 0.8, only=rng.random() < 0.3)
    world.run(until_s=world.now_s + 30.0, most=3000)
    world.tell(events.Shutdown(Finish.POWEROFF, "tester"))
    world.run(most=5000)
    return world


@pytest.mark.parametrize("block", range(10))
def test_the_invariants_hold_whatever_happens(block: int) -> None:
    """DESIGN.md sections 3 and 4."""
    for seed in range(block * SEEDS // 10, (block + 1) * SEEDS // 10):
        world = campaign(seed)
        assert len(world.finished) == 1, f"seed {seed}: the shutdown did not end: {world.states()}"
        unanswered = [number for number, answers in world.answers.items() if not answers]
        assert not unanswered, f"seed {seed}: requests {unanswered} were never answered"
