"""The engine's whole state as plain data: taken, restored, and nothing was forgotten. Source: DESIGN.md section 8."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields, replace

import msgpack
import pytest

from linit.engine import events
from linit.engine.board import Board
from linit.engine.effects import Effect
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.engine.links import Links
from linit.engine.locks import Locks
from linit.engine.requests import Ledger
from linit.engine.simulator import Simulator
from linit.engine.unit import Unit
from linit.model.service import Execution, Plan
from linit.model.state import Finish
from linit.record import checkpoint, restoring
from tests.simulation import test_campaign
from tests.simulation.graphs import plan, random_plan, service

SHOP = plan({"db": {"ready": True}, "web": {"need": ["db"]}, "default": {"kind": "runlevel", "want": ["web"]}})


class Swapped(Simulator):
    """Its engine is replaced by a restored one before a part of the events, and after each of them may be asked."""

    swaps = 0
    chance = 0.2
    rng = random.Random(0)

    def tell(self, event: events.Event) -> None:
        if self.rng.random() < self.chance:
            type(self).swaps += 1
            self.engine = restoring.restore(self.engine.plan, checkpoint.take(self.engine))
        Simulator.tell(self, event)


def effects_of(world: Simulator) -> list[tuple[float, Effect]]:
    return world.trace


@pytest.mark.parametrize("block", range(5))
def test_a_run_with_restored_engines_has_exactly_the_effects_of_one_without(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random graphs, faults and wishes, as the simulation's campaign makes them; the invariants hold all the while."""
    for seed in range(block * 12, (block + 1) * 12):
        plain = test_campaign.campaign(seed)
        Swapped.rng, Swapped.swaps = random.Random(seed), 0
        with monkeypatch.context() as patch:
            patch.setattr(test_campaign, "Simulator", Swapped)
            swapped = test_campaign.campaign(seed)
        assert Swapped.swaps > 0 or swapped.handled < 20, f"seed {seed}"
        assert effects_of(swapped) == effects_of(plain), f"seed {seed}"


def changed_plan(rng: random.Random, number: int) -> Plan:
    """Some services are no more, some are new, some mean something else. No edge of it leads nowhere."""
    drawn = random_plan(rng, rng.randint(3, 10)).services
    kept = [each for each in drawn if each.name == "default" or rng.random() < 0.9]
    names = {each.name for each in kept}
    services = [
        replace(
            each,
            dependencies=tuple(edge for edge in each.dependencies if edge.on in names),
            digest=str(number) if rng.random() < 0.5 else each.digest,
            execution=Execution(tty=rng.choice(["", "", "/dev/tty1"])),
        )
        for each in kept
    ]
    return Plan(tuple(services), compiled_at=float(number))


def reloading(seed: int, world: Simulator) -> Simulator:
    """A run in which the definitions change again and again while services start and stop, some on a terminal, take
    locks, find out what they need, and run other things."""
    rng = random.Random(seed)
    locks = []
    for number in range(12):
        names = list(world.engine.units)
        verb = rng.choice((Verb.START, Verb.STOP, Verb.RESTART, Verb.RELOAD))
        world.request(verb, *rng.sample(names, 1))
        caller = rng.choice(["", *names])
        locks.append(world.lock(rng.choice("xy"), caller))
        world.request(rng.choice((Verb.NEED, Verb.WANT)), *rng.sample(names, 1), caller=caller)
        world.run_transient(replace(service(f"job{number}", kind="oneshot", need=names[:1]), transient=True), caller)
        world.run(until_s=world.now_s + rng.choice([0.0, 0.05, 0.5, 5.0]), most=200)
        world.unlock(locks.pop(rng.randrange(len(locks))) if rng.random() < 0.5 else 0)
        world.tell(events.PlanLoaded(1000 + number, changed_plan(rng, number)))
    world.run(until_s=world.now_s + 30.0, most=2000)
    world.tell(events.Shutdown(Finish.POWEROFF, "tester"))
    world.run(most=3000)
    return world


def test_the_same_when_definitions_change_come_and_go() -> None:
    """Definitions that are live and not those of the plan; removed ones whose processes still run."""
    for seed in range(60):
        first = random_plan(random.Random(seed), 8)
        Swapped.rng, Swapped.swaps = random.Random(seed), 0
        plain, swapped = reloading(seed, Simulator(first)), reloading(seed, Swapped(first))
        assert effects_of(swapped) == effects_of(plain), f"seed {seed}"


def test_a_restored_engine_is_taken_as_the_same_bytes() -> None:
    for seed in range(20):
        engine = test_campaign.campaign(seed).engine
        data = checkpoint.take(engine)
        assert checkpoint.take(restoring.restore(engine.plan, data)) == data, f"seed {seed}"


def test_what_a_bug_has_left_behind_travels_too() -> None:
    """An exception in the middle of an event leaves effects that are given with the next one, and changes of which
    nobody has asked yet whether something came to rest by them."""
    world = Simulator(SHOP)
    world.request(Verb.START, "default")
    engine = world.engine
    engine._board.look(engine._board.units["web"])
    engine._board.note("web")
    engine._board.emit(*world.last_effects)
    again = restoring.restore(SHOP, checkpoint.take(engine))
    assert again._board.rested == engine._board.rested is True
    event = events.Request(9, Verb.STOP, ("db",))
    assert again.handle(event, 1.0) == engine.handle(event, 1.0)


def test_every_field_of_the_engine_is_saved_or_is_made_anew() -> None:
    """A field that is added must be named in one of these tables, or this fails."""
    engine = Engine(SHOP)
    assert vars(engine).keys() == checkpoint.ENGINE_DERIVED | checkpoint.ENGINE_STATELESS
    assert vars(Board(())).keys() == checkpoint.BOARD_SAVED.keys() | checkpoint.BOARD_DERIVED
    assert vars(Ledger()).keys() == checkpoint.LEDGER_DERIVED
    assert vars(Links()).keys() == checkpoint.LINKS_DERIVED
    assert vars(Locks()).keys() == checkpoint.LOCKS_DERIVED
    found = {each.name for each in fields(Unit)}
    assert found >= checkpoint.UNIT_DERIVED | checkpoint.UNIT_COUNTS, "all others are saved, as all of Course is"


def test_the_parts_without_state_hold_nothing_but_each_other_and_what_is_saved() -> None:
    engine = Engine(SHOP)
    saved = [engine._board, engine._ledger, engine._course, engine.locks]
    parts = [engine._waits, engine._desires, engine._lifecycle, engine._asking, engine._renewal]
    parts += [engine._lifecycle.starting, engine._lifecycle.stopping, engine._wedges]
    for part in parts:
        for name, value in vars(part).items():
            is_table = isinstance(value, Mapping) and all(map(callable, value.values()))
            is_known = any(value is each for each in (*saved, *parts))
            assert callable(value) or is_table or is_known, f"{part}: {name}"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no checkpoint: ValueError('Unpack failed: incomplete input')"),
        (msgpack.packb([1]), "found format None, expected ['linit-checkpoint', 1]"),
        (msgpack.packb({"format": ["linit-checkpoint", 2]}),
         "found format ['linit-checkpoint', 2], expected ['linit-checkpoint', 1]"),
        (msgpack.packb({"format": ["linit-checkpoint", 1], "linit": "0.1", "compiled_at": 0.0}),
         "the checkpoint of linit 0.1 is damaged: KeyError('course')"),
        (msgpack.packb({"format": ["linit-checkpoint", 1], "linit": "0.1", "compiled_at": 7.0}),
         "the checkpoint is of a plan compiled at 7.0, not at 0.0"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_of_this_plan_is_refused_with_why(data: bytes, text: str) -> None:
    with pytest.raises(restoring.CheckpointError) as found:
        restoring.restore(SHOP, data)
    assert str(found.value) == text


def test_a_value_of_another_type_is_named() -> None:
    state = msgpack.unpackb(checkpoint.take(Engine(SHOP)))
    state["units"][0][3]["state"] = "asleep"
    with pytest.raises(restoring.CheckpointError, match="'asleep' is no UnitState"):
        restoring.restore(SHOP, msgpack.packb(state))


def test_any_damaged_data_is_refused_or_restored_never_worse() -> None:
    """One changed byte: no other exception than CheckpointError."""
    world = Simulator(SHOP)
    world.request(Verb.START, "default")
    data = checkpoint.take(world.engine)
    refused = 0
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        try:
            restoring.restore(SHOP, bytes(damaged))
        except restoring.CheckpointError:
            refused += 1
    assert refused > len(data) // 3
