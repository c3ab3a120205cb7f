"""How many processes does a supervisor start in a second, what does each cost it, how long does it take to stop all?

All supervisors run the same program (tests/bench/crowd.py) from a cold start, one after the other in one run. linit
twice: its first start compiles the definitions, every other finds the plan.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench.bosses import LINIT, Boss, peers
from tests.bench.crowd import Boss as Running
from tests.bench.crowd import Crowd, TooLate
from tests.bench.figures import Figure

FEW: Final = 10  # services of the run that tells what a supervisor takes without any to speak of
PEERS_MAX: Final = 1000  # with more, only linit
BEGUN: Final = "scale: begun by {}"
STOPPED: Final = "scale: stopped by {}"
MEMORY: Final = "scale: memory per service, {}"


def measure(sizes: Sequence[int], with_peers: bool = True) -> Iterator[Figure]:
    """Of linit at each size; of the others at those that they are asked for."""
    folder = Path(tempfile.mkdtemp(prefix="linit-bench-"))
    try:
        others = _fetched(folder / "peers") if with_peers and min(sizes) <= PEERS_MAX else []
        for size in sizes:
            for number, (boss, environment) in enumerate([(LINIT, LINIT.environment(folder)), *others]):
                if boss is LINIT or size <= PEERS_MAX:
                    yield from _of(boss, environment, folder / f"{size}-{number}", size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetched(folder: Path) -> list[tuple[Boss, dict[str, str]]]:
    found = []
    for boss in peers(folder):
        place = folder / boss.name
        place.mkdir(parents=True)
        if problem := boss.fetch(place):
            print(f"scale: without {boss.name}: {problem}", file=sys.stderr)
        else:
            found.append((boss, boss.environment(place)))
    return found


def _of(boss: Boss, environment: dict[str, str], folder: Path, size: int) -> Iterator[Figure]:
    try:
        *_, few = _runs(boss, environment, folder / "few", FEW)
        for run, first in zip(_runs(boss, environment, folder / "all", size), (True, False), strict=False):
            begun_s, memory_bytes, stopped_s = run
            more = f"{begun_s:.2f} s"
            name = boss.name
            if boss is LINIT:
                name = "linit, compiling" if first else "linit"
            yield Figure(BEGUN.format(name), size, size / begun_s, "per s", more=more)
            if boss is not LINIT or not first:
                per_service = (memory_bytes - few[1]) / (size - FEW) / 1024
                yield Figure(MEMORY.format(name), size, per_service, "KiB", more=f"{memory_bytes / (1 << 20):.1f} MiB")
                yield Figure(STOPPED.format(name), size, size / stopped_s, "per s", more=f"{stopped_s:.2f} s")
    except TooLate as fault:
        yield Figure(BEGUN.format(boss.name), size, 0, "per s", more=f"FAILED: {fault}")


def _runs(boss: Boss, environment: dict[str, str], folder: Path, size: int) -> Iterator[tuple[float, int, float]]:
    """Seconds until all ran, bytes that the supervisor took then, seconds until all had ended. Raises TooLate."""
    argv: list[str] = []
    for number in range(2 if boss is LINIT else 1):
        crowd = Crowd(folder / f"crowd{number}")
        job = folder / "job"
        job.unlink(missing_ok=True)
        job.symlink_to(crowd.job)
        argv = argv or boss.prepare(folder / "boss", job, size)
        try:
            began_s = time.monotonic()
            with Running(argv, environment, folder / f"log{number}") as running:
                crowd.wait_begun(size)
                begun_s = time.monotonic() - began_s
                memory_bytes = running.memory_bytes(crowd.pids)
                stop_s = time.monotonic()
                running.end()
                crowd.wait_gone()
                yield begun_s, memory_bytes, time.monotonic() - stop_s
        finally:
            crowd.close()
