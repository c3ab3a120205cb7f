"""Prints linit's figures: `tests/bench/run`, or `python -m tests.bench` with linit on the path.

--sizes N...   how many definitions (100 1000 10000)
--only WORD... these subjects only: compile, engine, boot, order, memory, edges, logs, ctl, control, scale
--json         for programs
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from linit.engine import effects
from linit.planning import world
from linit.planning.durations import Durations
from tests.bench import asking, commands, compiling, driving, growth, logs, memory, order, scale
from tests.bench.figures import Figure, as_json, table

SIZES: Final = (100, 1_000, 10_000)
PROCESSES_MAX: Final = 5_000  # more services than that have no processes here


def of_compile(sizes: Sequence[int]) -> Iterator[Figure]:
    """Each size."""
    for size in sizes:
        yield from compiling.measure(size)


def of_engine(sizes: Sequence[int]) -> Iterator[Figure]:
    """The two largest sizes: a hundred services are over before there is anything to measure."""
    for size in sorted(sizes)[-2:]:
        yield from driving.measure(compiling.plan_of(size))


def of_boot(sizes: Sequence[int]) -> Iterator[Figure]:
    """The largest size: as `linitctl boot-plan` does it, simulator and all."""
    plan = compiling.plan_of(max(sizes))
    began_s = time.perf_counter()
    machine = world.of(plan, Durations())
    world.begin(machine)
    world.settle(machine)
    taken_s = time.perf_counter() - began_s
    virtual_s = next(effect.at_s for _, effect in machine.trace if isinstance(effect, effects.BootFinished))
    more = f"{machine.handled:,} events, {virtual_s:.2f} s of virtual time"
    yield Figure("boot: simulated as a whole", len(plan.services), taken_s, "s", more=more)


def of_order(sizes: Sequence[int]) -> Iterator[Figure]:
    """As many random graphs as the middle size says, of two the smaller one."""
    yield from order.measure(sorted(sizes)[(len(sizes) - 1) // 2])


def of_memory(sizes: Sequence[int]) -> Iterator[Figure]:
    """The largest size."""
    yield from memory.measure(compiling.plan_of(max(sizes)))


def of_edges(sizes: Sequence[int]) -> Iterator[Figure]:
    """Three sizes up to the largest."""
    yield from growth.measure(max(sizes))


def of_ctl(sizes: Sequence[int]) -> Iterator[Figure]:
    """The smallest size: what a machine has."""
    yield from commands.measure(min(sizes))


def of_control(sizes: Sequence[int]) -> Iterator[Figure]:
    """The largest size that is one of real processes."""
    yield from asking.measure(max((size for size in sizes if size <= PROCESSES_MAX), default=PROCESSES_MAX))


def of_scale(sizes: Sequence[int]) -> Iterator[Figure]:
    """All sizes that are of real processes."""
    yield from scale.measure([size for size in sizes if size <= PROCESSES_MAX])


def of_logs(_sizes: Sequence[int]) -> Iterator[Figure]:
    """Sizes of its own: lines."""
    yield from logs.measure()


SUBJECTS: Final[dict[str, Callable[[Sequence[int]], Iterable[Figure]]]] = {
    "compile": of_compile,
    "engine": of_engine,
    "boot": of_boot,
    "order": of_order,
    "memory": of_memory,
    "edges": of_edges,
    "logs": of_logs,
    "ctl": of_ctl,
    "control": of_control,
    "scale": of_scale,
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Print how fast linit is here.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="how many definitions")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=[*SUBJECTS], metavar="SUBJECT")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    figures: list[Figure] = []
    for subject in options.only:
        if not options.json:
            print(f"measuring: {subject}", file=sys.stderr)
        figures.extend(SUBJECTS[subject](options.sizes))
    print(as_json(figures) if options.json else table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
