"""A model of a machine that boots: processors shared among starts, and a PID 1 that has to do something for each.

A start takes `cpu_s` of a processor and then lets `wait_s` pass. Whoever is runnable gets a share by weight, at most
one processor each, as from a fair kernel. PID 1 takes its share like anybody: what it has to do for each start and each
end is done one after the other. Virtual time; the same values give the same result. What is to be started when is the
rule's choice: `tests.bench.order` has some.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

NOTHING_S: Final = 1e-9  # less than this is done
LEAST_SHARE: Final = 1e-6
OWN_WEIGHT: Final = 1.0
PID_1: Final = ""
LOG: Final = "\0log"


@dataclass(frozen=True, slots=True)
class Start:
    """One service's start."""

    name: str
    cpu_s: float
    wait_s: float = 0.0
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """So many processors; what PID 1 needs of one for each start and each end, for its own imports once the first are
    started; and what the log process needs then."""

    cores: int
    start_s: float = 0.0
    end_s: float = 0.0
    imports_s: float = 0.0
    log_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """When is what started? `slots`: so many that `takes_slot` at a time, 0: any number. `rank`: of those that are
    ready the least first. `weight`: of a start; `log_weight`: of the log process. PID 1 has 1, as the longest path."""

    name: str
    slots: Callable[[int], int] = lambda _cores: 0
    rank: Callable[[str], float] = lambda _name: 0.0
    takes_slot: Callable[[str], bool] = lambda _name: True
    weight: Callable[[str], float] = lambda _name: 1.0
    log_weight: float = 1.0


@dataclass(slots=True)
class Boot:
    """A boot; `run` gives the times at which the starts were over."""

    starts: Mapping[str, Start]
    machine: Machine
    rule: Rule
    now_s: float = 0.0
    ended_s: dict[str, float] = field(default_factory=dict)
    _left_s: dict[str, float] = field(default_factory=dict)  # who wants a processor, for how long
    _weights: dict[str, float] = field(default_factory=dict)
    _waits: list[tuple[float, str]] = field(default_factory=list)
    _jobs: deque[tuple[float, Callable[[], None]]] = field(default_factory=deque)  # of PID 1
    _unmet: dict[str, int] = field(default_factory=dict)
    _dependents: dict[str, list[str]] = field(default_factory=dict)
    _ready: list[tuple[float, int, str]] = field(default_factory=list)
    _taken: int = 0

    def run(self) -> dict[str, float]:
        """Until everything is up, in seconds since the first was started."""
        self._dependents = {name: [] for name in self.starts}
        for start in self.starts.values():
            self._unmet[start.name] = len(start.after)
            for name in start.after:
                self._dependents[name].append(start.name)
        for name, count in self._unmet.items():
            if not count:
                self._offer(name)
        self._choose()
        self._order(self.machine.imports_s, self._begin_log)
        while len(self.ended_s) < len(self.starts):
            self._step()
        return self.ended_s

    def _offer(self, name: str) -> None:
        heapq.heappush(self._ready, (self.rule.rank(name), len(self._ready) + len(self.ended_s), name))

    def _choose(self) -> None:
        slots = self.rule.slots(self.machine.cores)
        held = []
        while self._ready:
            entry = heapq.heappop(self._ready)
            name = entry[2]
            if slots and self.rule.takes_slot(name):
                if self._taken >= slots:
                    held.append(entry)
                    continue
                self._taken += 1
            self._order(self.machine.start_s, lambda name=name: self._begin(name))  # type: ignore[misc]
        for entry in held:
            heapq.heappush(self._ready, entry)

    def _order(self, cost_s: float, act: Callable[[], None]) -> None:
        """Have PID 1 do something."""
        self._jobs.append((cost_s, act))
        if len(self._jobs) == 1:
            self._left_s[PID_1], self._weights[PID_1] = cost_s, OWN_WEIGHT

    def _begin_log(self) -> None:
        if self.machine.log_s:
            self._left_s[LOG], self._weights[LOG] = self.machine.log_s, self.rule.log_weight

    def _begin(self, name: str) -> None:
        self._left_s[name], self._weights[name] = self.starts[name].cpu_s, self.rule.weight(name)

    def _end(self, name: str) -> None:
        self.ended_s[name] = self.now_s
        if self.rule.slots(self.machine.cores) and self.rule.takes_slot(name):
            self._taken -= 1
        for other in self._dependents[name]:
            self._unmet[other] -= 1
            if not self._unmet[other]:
                self._offer(other)
        self._choose()

    def _step(self) -> None:
        """To the next moment at which something changes."""
        rates = shares(self._weights, self.machine.cores)
        delta_s = min((left_s / rates[name] for name, left_s in self._left_s.items()), default=float("inf"))
        if self._waits:
            delta_s = min(delta_s, self._waits[0][0] - self.now_s)
        self.now_s += delta_s
        over = []
        for name, rate in rates.items():
            self._left_s[name] -= rate * delta_s
            if self._left_s[name] <= NOTHING_S:
                over.append(name)
        for name in over:
            del self._left_s[name], self._weights[name]
        while self._waits and self._waits[0][0] <= self.now_s + NOTHING_S:
            self._tell_pid_1(heapq.heappop(self._waits)[1])
        for name in over:
            if name == PID_1:
                self._next_job()
            elif name != LOG and self.starts[name].wait_s:
                heapq.heappush(self._waits, (self.now_s + self.starts[name].wait_s, name))
            elif name != LOG:
                self._tell_pid_1(name)

    def _tell_pid_1(self, name: str) -> None:
        self._order(self.machine.end_s, lambda: self._end(name))

    def _next_job(self) -> None:
        self._jobs[0][1]()
        self._jobs.popleft()
        if self._jobs:
            self._left_s[PID_1], self._weights[PID_1] = self._jobs[0][0], OWN_WEIGHT


def shares(weights: Mapping[str, float], cores: int) -> dict[str, float]:
    """How much of a processor each gets, at most one; what one cannot use the others share."""
    if len(weights) <= cores:
        return dict.fromkeys(weights, 1.0)
    rates: dict[str, float] = {}
    left, free = dict(weights), float(cores)
    while left:
        unit = free / sum(left.values())
        whole = [name for name, weight in left.items() if weight * unit >= 1.0]
        if not whole:
            rates.update((name, max(weight * unit, LEAST_SHARE)) for name, weight in left.items())
            return rates
        for name in whole:
            rates[name] = 1.0
            del left[name]
        free -= len(whole)
    return rates
