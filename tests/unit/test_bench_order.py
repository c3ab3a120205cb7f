"""The model in which orders of starts are compared, and what it says of linit's. Source: tests/bench/README.md."""

from __future__ import annotations

from statistics import fmean

import pytest

from tests.bench import order
from tests.bench.sharing import Boot, Machine, Rule, Start, shares

ALL_AT_ONCE = Rule("all at once")


def ends_s(machine: Machine, rule: Rule, *starts: Start) -> dict[str, float]:
    found = Boot({start.name: start for start in starts}, machine, rule).run()
    return {name: round(at_s, 6) for name, at_s in found.items()}


@pytest.mark.parametrize(
    ("weights", "cores", "expected"),
    [
        ({"a": 3.0, "b": 1.0}, 1, {"a": 0.75, "b": 0.25}),
        ({"a": 3.0, "b": 1.0}, 2, {"a": 1.0, "b": 1.0}),
        ({"a": 9.0, "b": 1.0, "c": 1.0}, 2, {"a": 1.0, "b": 0.5, "c": 0.5}),
    ],
)
def test_a_share_is_by_weight_and_at_most_one_processor(
    weights: dict[str, float], cores: int, expected: dict[str, float]
) -> None:
    """What one cannot use the others share."""
    assert shares(weights, cores) == expected


def test_who_is_runnable_shares_and_who_waits_does_not() -> None:
    starts = Start("a", 1.0), Start("b", 1.0), Start("c", 0.0, 0.5), Start("d", 1.0, after=("c",))
    assert ends_s(Machine(1), ALL_AT_ONCE, *starts) == {"c": 0.5, "a": 2.75, "b": 2.75, "d": 3.0}
    assert ends_s(Machine(4), ALL_AT_ONCE, *starts) == {"c": 0.5, "a": 1.0, "b": 1.0, "d": 1.5}


def test_slots_let_the_least_rank_go_first() -> None:
    rule = Rule("slots", lambda cores: cores, rank=lambda name: -ord(name))
    assert ends_s(Machine(1), rule, Start("a", 1.0), Start("b", 1.0), Start("c", 1.0)) == {"c": 1, "b": 2, "a": 3}


def test_pid_1_works_off_one_thing_after_the_other() -> None:
    """On a processor of its own here: two spawns, its imports, two ends."""
    machine = Machine(4, start_s=0.1, end_s=0.2, imports_s=1.0, log_s=5.0)
    assert ends_s(machine, ALL_AT_ONCE, Start("a", 0.3), Start("b", 0.3)) == {"a": 1.4, "b": 1.6}


def test_no_rule_beats_the_bound_and_no_list_schedule_exceeds_grahams() -> None:
    """Whenever a processor is idle, every chain goes on: so it takes at most all work divided, and a chain."""
    for seed in range(12):
        graph = order.graph_of(seed)
        for cores in order.CORES:
            least_s = order.bound_s(graph, cores)
            for rule in order.rules(graph, seed):
                taken_s = max(Boot(graph.starts, Machine(cores), rule).run().values())
                assert taken_s >= least_s * 0.999, (seed, cores, rule.name)
                if rule.slots(cores) == cores and "weights" not in rule.name:
                    work_s = sum(start.cpu_s for start in graph.starts.values())
                    chain_s = max(order.paths_s(graph, graph.starts).values())
                    assert taken_s <= work_s / cores + chain_s, (seed, cores, rule.name)


def test_linits_weights_are_nearer_to_the_bound_than_slots_and_than_nothing() -> None:
    """Also on a first boot, of which nothing is known: that is why it has them. On one processor none can gain."""
    ratios: dict[str, list[float]] = {}
    for seed in range(30):
        graph = order.graph_of(seed)
        for rule in order.rules(graph, seed):
            taken_s = max(Boot(graph.starts, Machine(2), rule).run().values())
            ratios.setdefault(rule.name, []).append(taken_s / order.bound_s(graph, 2))
    linits, first = fmean(ratios["linit's weights"]), fmean(ratios["linit's weights on a first boot"])
    slots, nothing = fmean(ratios["as many slots as cores, longest path first"]), fmean(ratios["all at once"])
    assert linits < min(slots, first) < max(slots, first) < nothing
