"""Which order of starts is best? Rules on thousands of random graphs, in the model of `tests.bench.sharing`.

The graphs are those of the set `graph` of vm-tests/bench, one for each seed. What a rule makes of one is compared with
what no order can be quicker than: the longest chain, or all work divided by the processors. Every list schedule, which
leaves no processor idle while something is ready, stays below 2 - 1/m times the best there is (Graham, Bounds on
multiprocessing timing anomalies, 1969); that is the aim shown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from panux.bench.graph import UNIT_BYTES, graph_set, waits_s

from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Kind, Service
from linit.plan import weights
from tests.bench.figures import Figure
from tests.bench.sharing import Boot, Machine, Rule, Start

UNIT_S: Final = 0.002  # as with instructions counted
PROGRAM_S: Final = 0.006  # of any start: fork, exec, the program's own beginning and end
CORES: Final = (1, 2, 4)
SLOT_S: Final = 0.02  # what takes less of a processor needs no slot
ERROR: Final = 0.3  # of what is known of a start, up or down
FORGOTTEN: Final = 0.1  # of the starts nothing is known
GOALS: Final = 2  # services that a person waits for
LOG_LAST: Final = 1e-5
HERE: Final = Place("order.yaml", 1, 1)

# What linit itself takes of a processor, in s: nothing; or with instructions counted, when this was written.
BARE: Final = {"start_s": 0.0, "end_s": 0.0, "imports_s": 0.0, "log_s": 0.0}
LADEN: Final = {"start_s": 0.006, "end_s": 0.003, "imports_s": 0.6, "log_s": 0.7}


@dataclass(frozen=True, slots=True)
class Graph:
    """The starts of a seed; what is known of how long they take, which is not quite true; the same as linit's services;
    and which a person waits for."""

    starts: Mapping[str, Start]
    known: Mapping[str, Start]
    services: tuple[Service, ...]
    goals: tuple[str, ...]


def graph_of(seed: int) -> Graph:
    """A graph of the set `graph`."""
    chosen = random.Random(seed)
    starts: dict[str, Start] = {}
    for job in graph_set(seed).jobs:
        burns_s = int(job.command[2]) / UNIT_BYTES * UNIT_S if job.command[0].endswith("/cmp") else 0.0
        starts[job.name] = Start(job.name, PROGRAM_S + burns_s, waits_s(job), job.after)
    known = {}
    for start in starts.values():
        factor = chosen.uniform(1 - ERROR, 1 + ERROR)
        if chosen.random() >= FORGOTTEN:
            known[start.name] = Start(start.name, start.cpu_s * factor, start.wait_s * factor)
    return Graph(starts, known, _services(starts), tuple(chosen.sample(sorted(starts), GOALS)))


def _services(starts: Mapping[str, Start]) -> tuple[Service, ...]:
    run = Command(("/bin/true",), HERE)
    runlevel = Service("default", HERE, Kind.RUNLEVEL, dependencies=_edges(starts, EdgeKind.WANT))
    found = (
        Service(start.name, HERE, Kind.ONESHOT, run=run, dependencies=_edges(start.after, EdgeKind.NEED))
        for start in starts.values()
    )
    return (*found, runlevel)


def _edges(names: Iterable[str], kind: EdgeKind) -> tuple[Dependency, ...]:
    return tuple(Dependency(kind, name, HERE) for name in names)


def paths_s(graph: Graph, known: Mapping[str, Start]) -> dict[str, float]:
    """The remaining path of each start, by linit's own code."""
    return weights.remaining_s(graph.services, {each.name: each.cpu_s + each.wait_s for each in known.values()})


def rules(graph: Graph, seed: int) -> Iterator[Rule]:
    """What is compared. The first is what linit did when it knew nothing and its log process had its share."""
    path_s = paths_s(graph, graph.known)
    measured, untold = weights.weights_of(path_s), weights.weights_of(paths_s(graph, {}))
    chosen = random.Random(seed)
    dice = {name: chosen.random() for name in graph.starts}
    needed = ancestors(graph.starts, graph.goals)

    def takes_slot(name: str) -> bool:
        start = graph.known.get(name)
        return start is not None and start.cpu_s >= max(SLOT_S, start.wait_s)

    def weighed(found: Mapping[str, float], factor: float = 1.0) -> Callable[[str], float]:
        return lambda name: found[name] / weights.WEIGHT_MAX * (factor if name in needed else 1.0)

    def power(number: int) -> Rule:
        longest_s = max(path_s.values())
        least = 1 / weights.WEIGHT_MAX
        found = {name: max((each / longest_s) ** number, least) * weights.WEIGHT_MAX for name, each in path_s.items()}
        return Rule(f"weights, path to the power of {number}", weight=weighed(found), log_weight=LOG_LAST)

    def by_path(name: str) -> float:
        return -path_s[name]

    def slots(name: str, more: int, rank: Callable[[str], float], weight: Callable[[str], float] = _one) -> Rule:
        return Rule(name, lambda cores: cores + more, rank, takes_slot, weight, LOG_LAST)

    yield Rule("all at once")
    yield Rule("all at once, log process last", log_weight=LOG_LAST)
    yield slots("as many slots as cores, any order", 0, lambda name: dice[name])
    yield slots("as many slots as cores, longest path first", 0, by_path)
    yield slots("one slot more, longest path first", 1, by_path)
    yield from (power(number) for number in (1, 2, 4))
    yield slots("slots and linit's weights", 0, by_path, weighed(measured))
    yield Rule("linit's weights, spawned by path", rank=by_path, weight=weighed(measured), log_weight=LOG_LAST)
    yield Rule("linit's weights, goals first", weight=weighed(measured, weights.URGENCY), log_weight=LOG_LAST)
    yield Rule("linit's weights on a first boot", weight=weighed(untold), log_weight=LOG_LAST)
    yield Rule("linit's weights", weight=weighed(measured), log_weight=LOG_LAST)


def _one(_name: str) -> float:
    return 1.0


def ancestors(starts: Mapping[str, Start], names: Iterable[str]) -> set[str]:
    """These and all that they wait for."""
    found: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += starts[name].after
    return found


def bound_s(graph: Graph, cores: int) -> float:
    """What no order is quicker than."""
    chain_s = max(paths_s(graph, graph.starts).values())
    return max(chain_s, sum(start.cpu_s for start in graph.starts.values()) / cores)


def measure(count: int) -> Iterator[Figure]:
    """Each rule on so many graphs: how many times the bound it takes, on average."""
    graphs = [graph_of(seed) for seed in range(count)]
    for cores in CORES:
        for how, cost in (("bare", BARE), ("with linit", LADEN)):
            yield from _compared(graphs, Machine(cores, **cost), f"cores {cores}, {how}")


def _compared(graphs: list[Graph], machine: Machine, where: str) -> Iterator[Figure]:
    ratios: dict[str, list[float]] = {}
    goals: dict[str, list[float]] = {}
    for seed, graph in enumerate(graphs):
        least_s = bound_s(graph, machine.cores)
        for rule in rules(graph, seed):
            ended_s = Boot(graph.starts, machine, rule).run()
            ratios.setdefault(rule.name, []).append(max(ended_s.values()) / least_s)
            goals.setdefault(rule.name, []).append(max(ended_s[name] for name in graph.goals) / least_s)
    for name, found in ratios.items():
        more = f"worst {max(found):.2f}; two that a person waits for after {fmean(goals[name]):.2f}"
        aim = f"< {2 - 1 / machine.cores:.2f}"
        yield Figure(f"order: {where}: {name}", len(found), fmean(found), "of the bound", aim, more)
