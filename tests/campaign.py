"""The long campaign: random graphs, faults and requests under all invariants, until so many events are handled.

    python -m tests.campaign --events 20000000 --jobs 2     prints progress, then what was met how often
    python -m tests.campaign --seed 1000                    begins with another seed
    python -m tests.campaign --only 4711                    one seed again, everything checked after every event
    python -m tests.campaign --brief                        only the verdict: stops at the first failure, as it is
    python -m tests.campaign --keep-going                   goes on whatever breaks, with a line for each

A run that breaks an invariant is made smaller and printed as a test. Exit status 1 then, and when something that can
happen was never met.
"""

from __future__ import annotations

import argparse
import enum
import gc
import multiprocessing
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from types import FrameType
from typing import Final

from tests.simulation import coverage
from tests.simulation.drawing import draw
from tests.simulation.playing import Violation, play
from tests.simulation.shrinking import report, violation_of

RUNS_A_COLLECTION: Final = 20
BLOCK: Final = 200  # seeds that a worker does before it says how it goes
PROGRESS_S: Final = 10.0
MOST_REPORTS: Final = 5
LIMIT_S: Final = 60  # a run takes milliseconds: one that takes longer never ends

Part = tuple[int, Counter[coverage.Thing], dict[int, str]]  # events, what was met, failures by seed


class Style(enum.Enum):
    """What is done about a run that breaks an invariant."""

    FULL = "full"  # the first of each invariant is made smaller and told in full
    BRIEF = "brief"  # the first ends it all
    LINES = "lines"  # a line for each


def run_block(seeds: range, style: Style = Style.FULL) -> Part:
    """Play these seeds: events handled, what was met, and the failures told in this style."""
    handled, met, failures = 0, Counter[coverage.Thing](), dict[int, str]()
    known: set[str] = set()
    signal.signal(signal.SIGALRM, _give_up)
    gc.disable()  # what a run leaves behind is collected after a few of them: half as often is a tenth faster
    for seed in seeds:
        if not seed % RUNS_A_COLLECTION:
            gc.collect()
        scenario = draw(seed)
        signal.alarm(LIMIT_S)
        try:
            played = play(scenario)
        except Violation as violation:
            signal.alarm(0)
            in_full = style is Style.FULL and violation.invariant not in known and "TimeoutError" not in str(violation)
            known.add(violation.invariant)
            failures[seed] = report(seed, violation, scenario) if in_full else f"seed {seed}: {violation}"
            if style is Style.BRIEF:
                break
        else:
            handled += played.world.handled
            met.update(played.seen.met)
    signal.alarm(0)
    return handled, met, failures


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"not over after {LIMIT_S} s")


def parts(first: int, jobs: int, style: Style = Style.FULL) -> Iterator[Part]:
    """What came of block after block, without end, in order: the same whatever the number of processes."""
    blocks = (range(at, at + BLOCK) for at in range(first, sys.maxsize, BLOCK))
    if jobs == 1:
        yield from (run_block(block, style) for block in blocks)
        return
    with multiprocessing.Pool(jobs) as pool:
        ahead = deque(pool.apply_async(run_block, (next(blocks), style)) for _ in range(2 * jobs))
        while True:
            part = ahead.popleft()
            ahead.append(pool.apply_async(run_block, (next(blocks), style)))
            yield part.get()


class Campaign:
    """The sum of what the workers did, and the lines about it."""

    def __init__(self) -> None:
        self.handled = 0
        self.runs = 0
        self.met: Counter[coverage.Thing] = Counter()
        self.failures: dict[int, str] = {}
        self._began_s = self._told_s = time.monotonic()

    def run(
        self, wanted: int, *, jobs: int = 1, first: int = 0, style: Style = Style.FULL, tells: bool = False
    ) -> None:
        """Until `wanted` events are handled, or enough went wrong to look at."""
        most = {Style.FULL: MOST_REPORTS, Style.BRIEF: 1, Style.LINES: sys.maxsize}[style]
        for handled, met, failures in parts(first, jobs, style):
            self.handled += handled
            self.runs += BLOCK
            self.met.update(met)
            self.failures |= failures
            if style is Style.LINES:
                print("\n".join(failures.values()), end="\n" if failures else "", flush=True)
            if self.handled >= wanted or len(self.failures) >= most:
                return
            if tells and time.monotonic() - self._told_s > PROGRESS_S:
                self._told_s = time.monotonic()
                print(self.line, flush=True)

    @property
    def line(self) -> str:
        """How far it is."""
        took_s = time.monotonic() - self._began_s
        rate = self.handled / took_s
        broken = f", {len(self.failures)} broken" if self.failures else ""
        return f"{self.handled:,} events in {self.runs:,} runs, {took_s:.0f} s, {rate:,.0f} events/s{broken}"

    @property
    def reports(self) -> list[str]:
        """The failures."""
        return list(self.failures.values())


def run_one(seed: int) -> int:
    """One seed, everything checked after every event."""
    scenario = draw(seed)
    violation = violation_of(scenario, thorough=True)
    print(f"seed {seed} breaks nothing" if violation is None else report(seed, violation, scenario))
    return 0 if violation is None else 1


def main(argv: list[str]) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description="Run the simulation's long campaign.")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many to handle (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes to do it with (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each run takes the next (%(default)s)")
    parser.add_argument("--only", type=int, metavar="SEED", help="this run alone, checked after every event")
    parser.add_argument("--brief", action="store_true", help="stop at the first failure; no coverage figures")
    parser.add_argument("--keep-going", action="store_true", help="stop at no failure; one line for each")
    asked = parser.parse_args(argv)
    if asked.only is not None:
        return run_one(asked.only)
    campaign = Campaign()
    style = Style.LINES if asked.keep_going else Style.BRIEF if asked.brief else Style.FULL
    campaign.run(asked.events, jobs=asked.jobs, first=asked.seed, style=style, tells=style is not Style.BRIEF)
    missed = [] if asked.brief else coverage.missed(campaign.met)
    if not asked.brief:
        print(coverage.figures(campaign.met))
    if style is not Style.LINES:
        print("\n\n".join(campaign.reports))
    print("\n".join([campaign.line, *missed, f"{len(campaign.failures)} runs broke an invariant"]))
    return 1 if campaign.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
