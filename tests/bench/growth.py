"""Does the cost grow with the number of edges, and no faster? The same work at several sizes: time per edge.

Graphs of the shapes that tempt an engine into more: a hub that everything needs, a chain as long as it is, one virtual
name for all, and services with ever more edges each. Where a line's figures stay level, the cost is linear.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from linit import graph
from linit.definitions import Definitions
from linit.definitions.definition import Definition
from linit.engine import events, explain
from linit.engine.simulator import FAILURE, Behaviour, Simulator
from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Kind, Plan, Service
from linit.model.state import Finish
from tests.bench.driving import SEED, Tape, seconds
from tests.bench.figures import Figure, best_of

WRITTEN: Final = Place("bench.yaml", 1, 1)
RUN: Final = Command(("/bin/true",), WRITTEN)
FIRST: Final = "s0"
TIMES: Final = 2


def measure(count: int) -> Iterator[Figure]:
    """For each shape and each kind of work: the time per edge at three sizes, the largest with `count` services."""
    sizes = [max(count // 4, 4), max(count // 2, 4), count]
    for shape, draw in SHAPES.items():
        plans = [draw(size) for size in sizes]
        for work, act in WORKS.items():
            for plan in plans:
                edges = sum(len(service.dependencies) for service in plan.services)
                yield Figure(f"edges: {shape}, {work}", edges, act(plan) / edges * 1e6, "µs per edge")


def _service(name: str, edges: dict[EdgeKind, list[str]], kind: Kind = Kind.PROCESS) -> Service:
    dependencies = tuple(Dependency(each, on, WRITTEN) for each, others in edges.items() for on in others)
    run = RUN if kind is Kind.PROCESS else None
    return Service(name, WRITTEN, kind, run=run, dependencies=dependencies, digest=str(edges))


def _plan(services: list[Service]) -> Plan:
    """With a runlevel that wants them all."""
    default = _service("default", {EdgeKind.WANT: [each.name for each in services]}, Kind.RUNLEVEL)
    return Plan(tuple(sorted([*services, default], key=lambda each: each.name)))


def _names(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def hub(count: int) -> Plan:
    """Everything needs one service."""
    return _plan([_service(name, {EdgeKind.NEED: [FIRST]} if name != FIRST else {}) for name in _names(count)])


def chain(count: int) -> Plan:
    """Each service needs the one before it."""
    names = _names(count)
    return _plan([_service(name, {EdgeKind.NEED: names[max(at - 1, 0) : at]}) for at, name in enumerate(names)])


def virtual(count: int) -> Plan:
    """Half of the services provide a name that the other half needs."""
    names = _names(count)
    users = [_service(name, {EdgeKind.NEED: ["name"]}) for name in names[count // 2 :]]
    providers = [_service(name, {}) for name in names[: count // 2]]
    edges = {EdgeKind.PROVIDED_BY: names[: count // 2]}
    return _plan([*users, *providers, _service("name", edges, Kind.VIRTUAL)])


def dense(count: int) -> Plan:
    """A twentieth as many services, with edges of all kinds to half of a hundred that come before."""
    rng = random.Random(SEED)
    names = _names(max(count // 20, 4))
    kinds = (EdgeKind.NEED, EdgeKind.WANT, EdgeKind.USE, EdgeKind.AFTER)
    services = []
    for at, name in enumerate(names):
        edges: dict[EdgeKind, list[str]] = {kind: [] for kind in kinds}
        for other in names[max(at - 100, 0) : at : 2]:
            edges[rng.choice(kinds)].append(other)
        services.append(_service(name, edges))
    return _plan(services)


SHAPES: Final[dict[str, Callable[[int], Plan]]] = {"hub": hub, "chain": chain, "one name": virtual, "dense": dense}


def resolve(plan: Plan) -> float:
    """Seconds that the compiler's graph part takes."""
    written = [each for each in plan.services if each.kind is not Kind.VIRTUAL]
    provided = {edge.on for each in plan.services if each.kind is Kind.VIRTUAL for edge in each.dependencies}
    definitions = Definitions(
        tuple(Definition(each, provides=(("name", WRITTEN),) if each.name in provided else ()) for each in written)
    )
    return best_of(TIMES, partial(graph.resolve, definitions))


def _world(plan: Plan) -> tuple[Simulator, Tape]:
    tape = Tape(plan)
    world = Simulator(plan, on_event=lambda world, event: tape.taken.append((event, world.now_s)), keep_trace=False)
    return world, tape


def _booted(plan: Plan) -> tuple[Simulator, Tape]:
    world, tape = _world(plan)
    world.request(events.Verb.RUNLEVEL, "default")
    world.run()
    tape.begin = len(tape.taken)
    return world, tape


def boot(plan: Plan) -> float:
    """Seconds of a boot."""
    _, tape = _booted(plan)
    tape.begin = 0
    return seconds(tape, TIMES)


def failure(plan: Plan) -> float:
    """Seconds of a boot in which the first service, which much depends on, cannot be started."""
    world, tape = _world(plan)
    world.behaviours[FIRST] = Behaviour(spawn_error="ENOENT")
    world.request(events.Verb.RUNLEVEL, "default")
    world.run()
    return seconds(tape, TIMES)


def crash(plan: Plan) -> float:
    """Seconds from the end of the first service, for good, until all that depends on it is down."""
    world, tape = _booted(plan)
    world.tell(events.Exited(FIRST, next(iter(world.engine.units[FIRST].running)), FAILURE))
    world.run()
    return seconds(tape, TIMES)


def restart(plan: Plan) -> float:
    """Seconds of a restart of the first service, and of what goes down and comes back with it."""
    world, tape = _booted(plan)
    world.request(events.Verb.RESTART, FIRST)
    world.run()
    return seconds(tape, TIMES)


def shutdown(plan: Plan) -> float:
    """Seconds of a shutdown."""
    world, tape = _booted(plan)
    world.tell(events.Shutdown(Finish.POWEROFF))
    world.run()
    return seconds(tape, TIMES)


def reload(plan: Plan) -> float:
    """Seconds in which a new plan is applied that has half of the services no more, and changes the rest."""
    world, tape = _booted(plan)
    names = [each.name for each in plan.services if each.kind is Kind.PROCESS]
    gone = set(names[len(names) // 2 :])
    left = []
    for each in plan.services:
        edges = tuple(edge for edge in each.dependencies if edge.on not in gone)
        left.append(replace(each, dependencies=edges, description="changed", digest=f"{each.digest} changed"))
    world.tell(events.PlanLoaded(1, Plan(tuple(each for each in left if each.name not in gone))))
    world.run()
    return seconds(tape, TIMES)


def why(plan: Plan) -> float:
    """Seconds in which the last service is explained in the midst of a boot."""
    world, _ = _world(plan)
    world.request(events.Verb.RUNLEVEL, "default")
    return best_of(TIMES, partial(explain.chain, world.engine, plan.services[-1].name))


WORKS: Final[dict[str, Callable[[Plan], float]]] = {
    "compile": resolve,
    "boot": boot,
    "boot that fails": failure,
    "crash": crash,
    "restart": restart,
    "shutdown": shutdown,
    "new plan": reload,
    "why of one": why,
}
