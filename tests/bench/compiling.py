"""How long from YAML to a plan, and how long to see that nothing changed?

Whole commands are timed, each in a process of its own, as an administrator waits for them and as PID 1 runs them; the
check by itself is what PID 1 does at boot, with everything imported.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from linit import compiler
from linit.model.paths import Paths
from linit.model.service import Plan
from linit.runtime import plans
from tests.bench import tree
from tests.bench.figures import Figure, best_of

TIMES: Final = 3
AIMED_AT: Final = 10_000  # the number of definitions that the aims speak of


def measure(count: int) -> Iterator[Figure]:
    """The figures for a tree of `count` definitions."""
    with tempfile.TemporaryDirectory() as folder:
        paths = tree.write(Path(folder) / "tree", count)
        command = [sys.executable, "-m", "linit.compiler", "compile", "--user", str(Path(folder) / "tree")]
        is_aim = count == AIMED_AT
        cold_s = _run(command)
        yield Figure("compile: YAML to plan, the whole command", count, cold_s, "s", "< 5 s" * is_aim, _found(paths))
        again_s = min(_run(command) for _ in range(TIMES))
        yield Figure("compile: nothing changed, the whole command", count, again_s * 1e3, "ms")
        check_s = best_of(TIMES, partial(_check, paths))
        yield Figure("compile: nothing changed, the check", count, check_s * 1e3, "ms", "< 50 ms" * is_aim)
        load_s = best_of(TIMES, partial(plans.find, paths))
        yield Figure("compile: check and load, as PID 1 does", count, load_s * 1e3, "ms")


def plan_of(count: int) -> Plan:
    """The plan of such a tree. Raises ValueError when it is not what a sound machine has."""
    with tempfile.TemporaryDirectory() as folder:
        plan = compiler.build(compiler.Place(tree.write(Path(folder) / "tree", count)))
    if plan.faults:
        raise ValueError(f"the tree of the benchmark has a fault: {plan.faults[0]}")
    return plan


def edges_of(plan: Plan) -> int:
    """How many edges it has."""
    return sum(len(service.dependencies) for service in plan.services)


def _found(paths: Paths) -> str:
    found = plans.find(paths)
    if found.plan is None or found.problem:
        raise ValueError(f"the plan is not what was compiled: {found.problem}")
    size_kib = Path(paths.plan).stat().st_size / 1024
    return f"{len(found.plan.services):,} services, {edges_of(found.plan):,} edges, {size_kib:,.0f} KiB"


def _check(paths: Paths) -> None:
    done = compiler.compile_plan(compiler.Place(paths))
    if not done.is_fresh:
        raise ValueError("the plan is out of date although nothing changed")


def _run(command: list[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began_s
