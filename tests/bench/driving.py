"""How fast is the engine? Events are recorded from a run in the simulator, then replayed into a fresh engine; only
`Engine.handle` is timed, not the simulator."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from linit.engine import events
from linit.engine.effects import BootFinished
from linit.engine.engine import Engine
from linit.engine.simulator import Behaviour, Simulator
from linit.model.service import Kind, Plan, RestartPolicy, Service
from linit.model.state import Finish
from tests.bench.figures import Figure, best_of

TIMES: Final = 7
SEED: Final = 1
BOOT_S: Final = 50.0  # of virtual time: by then it is over
LIVES_S: Final = 60.0
CRASHES: Final = 3  # of each service that is started again, in a storm
WISHES: Final = 500  # services that an administrator restarts, stops and starts
WISH_S: Final = 5.0  # of virtual time between two of these wishes
NEVER: Final = RestartPolicy.NEVER
Timed = tuple[events.Event, float]


@dataclass(slots=True)
class Tape:
    """Events with their times; those before `begin` only lead up to what is measured."""

    plan: Plan
    taken: list[Timed] = field(default_factory=list)
    begin: int = 0

    def ready(self) -> Engine:
        """An engine to which all that is before `begin` has happened."""
        engine = Engine(self.plan)
        for event, now_s in self.taken[: self.begin]:
            engine.handle(event, now_s)
        return engine

    def measured(self) -> list[Timed]:
        """The events that count."""
        return self.taken[self.begin :]


def boot(plan: Plan, lives_s: float | None = None) -> tuple[Simulator, Tape]:
    """A boot of runlevel `default`. Processes that would be started again live so long, or up to a third longer (None:
    for ever). Raises ValueError for a boot that does not succeed."""
    rng = random.Random(SEED)
    tape = Tape(plan)
    behaviours = {each.name: _behaviour(rng, each, lives_s) for each in plan.services}
    world = Simulator(plan, behaviours, on_event=lambda world, event: tape.taken.append((event, world.now_s)))
    world.request(events.Verb.RUNLEVEL, "default")
    world.run(until_s=BOOT_S)
    ends = [effect for _, effect in world.trace if isinstance(effect, BootFinished)]
    if len(ends) != 1 or ends[0].failed:
        raise ValueError(f"the boot of the benchmark does not succeed: {ends}")
    world.keep_trace = False
    world.trace.clear()
    return world, tape


def _behaviour(rng: random.Random, service: Service, lives_s: float | None) -> Behaviour:
    takes_s = round(rng.uniform(0.01, 2.0), 3)
    is_dying = lives_s is not None and service.kind is Kind.PROCESS and service.restart.policy is not NEVER
    return Behaviour(takes_s, dies_after_s=rng.uniform(lives_s, lives_s * 4 / 3) if lives_s and is_dying else None)


def storm(plan: Plan) -> Tape:
    """After a boot, each service that is started again crashes some times, at random moments."""
    world, tape = boot(plan, LIVES_S)
    tape.begin = len(tape.taken)
    world.run(until_s=LIVES_S * (CRASHES + 1))
    return tape


def shutdown(plan: Plan) -> Tape:
    """After a boot, everything stops."""
    world, tape = boot(plan)
    tape.begin = len(tape.taken)
    world.tell(events.Shutdown(Finish.POWEROFF, "the benchmark"))
    world.run()
    if not world.finished:
        raise ValueError("the shutdown of the benchmark does not end")
    return tape


def wishes(plan: Plan) -> Tape:
    """After a boot, an administrator restarts, stops and starts one service after the other."""
    world, tape = boot(plan)
    rng = random.Random(SEED)
    tape.begin = len(tape.taken)
    names = [each.name for each in plan.services if each.kind is Kind.PROCESS]
    for name in rng.sample(names, min(len(names), WISHES)):
        for verb in (events.Verb.RESTART, events.Verb.STOP, events.Verb.START):
            world.request(verb, name)
            world.run(until_s=world.now_s + WISH_S)
    return tape


TAPES: Final[dict[str, Callable[[Plan], Tape]]] = {
    "boot": lambda plan: boot(plan)[1],
    "crashes and respawns": storm,
    "restarts, stops, starts": wishes,
    "shutdown": shutdown,
}


def measure(plan: Plan) -> Iterator[Figure]:
    """Events per second of each kind of run, and of all together."""
    count = total = 0
    total_s = median_s = 0.0
    figures = []
    for what, record in TAPES.items():
        tape = record(plan)
        passes = _passes(tape, TIMES)
        events_, taken_s = len(tape.measured()), min(passes)
        figures.append(Figure(f"engine: events of {what}", len(plan.services), events_ / taken_s, "per s",
                              more=f"{events_:,} events in {taken_s * 1e3:,.3g} ms"))  # fmt: skip
        count, total_s = count + events_, total_s + taken_s
        median_s += statistics.median(passes)
    total = len(plan.services)
    more = f"{count:,} events, the best of {TIMES} passes; the median of them {count / median_s:,.0f}"
    yield Figure("engine: events, all of these", total, count / total_s, "per s", "100,000 per s", more)
    yield from figures


def seconds(tape: Tape, times: int = TIMES) -> float:
    """Seconds that the measured events take, in an engine that has seen what was before: the best of some passes."""
    return min(_passes(tape, times))


def _passes(tape: Tape, times: int) -> list[float]:
    """Seconds of each pass. As in PID 1 when its boot is over, garbage of what was before is gone."""
    found = []
    for _ in range(times):
        engine = tape.ready()
        gc.collect()
        found.append(best_of(1, partial(_replay, engine, tape.measured())))
    return found


def _replay(engine: Engine, taken: list[Timed]) -> None:
    handle = engine.handle
    for event, now_s in taken:
        handle(event, now_s)
