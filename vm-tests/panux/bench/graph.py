"""The set `graph`: services of which some burn a processor, some only wait, and a chain of long ones hides among them.

An init that starts whatever is ready finds every core busy with work that nobody waits for, while the next link of the
chain queues. What could be reached is bounded from below: no schedule is shorter than the longest chain, nor than all
the work divided by the cores.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from panux.bench.job import LAST, Job, JobSet, ends, in_order, reduced

SEED: Final = 5
SERVICES: Final = 60
CHAIN: Final = 9
WAITERS: Final = 12
LAYERS: Final = 6
UNIT_BYTES: Final = 25_000
"""Work is counted in these: `cmp` reads so many bytes of zeros twice. About 2 ms with instructions counted."""
CHAIN_UNITS: Final = (70, 115)
BURNER_UNITS: Final = (4, 40)
WAIT_MS: Final = (20, 300)


def burner(units: int) -> tuple[str, ...]:
    """A command that keeps one processor busy and says nothing."""
    return ("/usr/bin/cmp", "-n", str(units * UNIT_BYTES), "/dev/zero", "/dev/zero")


def waiter(duration_ms: int) -> tuple[str, ...]:
    """A command that only lets time pass."""
    return ("/usr/bin/sleep", f"{duration_ms / 1000:.3f}")


def waits_s(job: Job) -> float:
    """The time, in seconds, that a job of this set passes without a processor."""
    return float(job.command[1]) if job.command[0].endswith("/sleep") else 0.0


def graph_set(seed: int = SEED) -> JobSet:
    """The services of a seed. Names tell nothing of a service's part: they are dealt out at random.

    In layers: a service comes after up to three of earlier layers. The chain goes through them all; to hide it, its
    links also come after others, and others after them.
    """
    chosen = random.Random(seed)
    names = [f"s{number:02}" for number in range(1, SERVICES + 1)]
    chosen.shuffle(names)
    chain, others = names[:CHAIN], names[CHAIN:]
    jobs = [
        Job(name, burner(chosen.randint(*CHAIN_UNITS)), after=(chain[place - 1],) if place else ())
        for place, name in enumerate(chain)
    ]
    layers: list[list[str]] = [[] for _ in range(LAYERS)]
    for number, name in enumerate(others):
        layer = chosen.randrange(LAYERS)
        earlier = [entry for each in layers[:layer] for entry in each]
        after = chosen.sample(earlier, min(len(earlier), chosen.randint(0, 3)))
        place = CHAIN * layer // LAYERS
        if place and chosen.random() < 0.3:
            after.append(chain[chosen.randrange(place)])
        waits = number < WAITERS
        command = waiter(chosen.randint(*WAIT_MS)) if waits else burner(chosen.randint(*BURNER_UNITS))
        jobs.append(Job(name, command, after=tuple(sorted(after))))
        layers[layer].append(name)
    jobs.sort(key=lambda job: job.name)
    ordered = reduced(in_order(jobs))
    return JobSet("graph", (*ordered, Job(LAST, ("/usr/lib/bench/up",), after=ends(ordered))))


def critical_path_s(jobs: JobSet, durations_s: Mapping[str, float]) -> tuple[float, tuple[str, ...]]:
    """The longest chain's time and its names, from how long each service takes alone."""
    finished: dict[str, tuple[float, tuple[str, ...]]] = {}
    for job in jobs.jobs:
        before = max((finished[name] for name in job.after), default=(0.0, ()))
        finished[job.name] = (before[0] + durations_s[job.name], (*before[1], job.name))
    return max(finished.values())


def lower_bound_s(jobs: JobSet, durations_s: Mapping[str, float], cores: int) -> float:
    """What no init can be faster than: the longest chain, or all work divided by the cores, whichever is more."""
    return max(critical_path_s(jobs, durations_s)[0], work_s(jobs, durations_s) / cores)


def work_s(jobs: JobSet, durations_s: Mapping[str, float]) -> float:
    """The processor time of all services together, from how long each takes alone."""
    return sum(max(0.0, durations_s[job.name] - waits_s(job)) for job in jobs.jobs)
