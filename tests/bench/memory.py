"""How much memory does a service cost in PID 1? Counted by tracemalloc, allocation by allocation."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

from linit.engine.engine import Engine
from linit.model.service import Plan
from linit.plan import codec
from tests.bench import driving
from tests.bench.figures import Figure


def measure(plan: Plan) -> Iterator[Figure]:
    """Bytes per service of what PID 1 keeps: the plan, the engine, and both after a boot."""
    data = codec.encode(plan)
    events = driving.boot(plan)[1].taken
    count = len(plan.services)
    gc.collect()
    tracemalloc.start()
    try:
        loaded = codec.stored(data).plan(with_sources=False)
        of_plan = _now()
        engine = Engine(loaded)
        engine.handle(*events[0])
        of_engine = _now() - of_plan
        for event, now_s in events[1:]:
            engine.handle(event, now_s)
        of_all = _now()
    finally:
        tracemalloc.stop()
    yield Figure("memory: the plan", count, of_plan / count, "B per service")
    yield Figure("memory: the engine beside it", count, of_engine / count, "B per service")
    yield Figure("memory: both, after a boot", count, of_all / count, "B per service", more=f"{of_all / 2**20:.1f} MiB")


def _now() -> int:
    """Bytes that are allocated and in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
