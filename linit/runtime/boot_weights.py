"""How do the starts of a boot get the share of the processors that their weights say?

PID 1 gives each start's cgroup the weight that `linit.plan.weights` has for it, and takes it back when the service is
up; with the runlevel reached the kernel shares out as before. PID 1 itself, whose forks take longer than many a start,
makes starts and hears of ends that come together in the order of their weights. What the starts took is then kept for
the next boot, by a child. Nothing here can hold a start up, or fail one: without a file, cgroups or a controller all
have the same share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from linit.engine.effects import Transition
from linit.engine.engine import Engine
from linit.model.service import Service
from linit.model.state import UnitState
from linit.plan import weights
from linit.plan.weights import Taken
from linit.runtime.backlog import Backlog
from linit.runtime.cgroups import EVERYBODYS_WEIGHT, Cgroups
from linit.runtime.loop import Loop
from linit.runtime.processes import Processes

LIMIT_S: Final = 30.0
"""Then all have the same share again, whether the boot is over or not: half of what a start may take by default, so
that none fails because others had the processors."""


class BootWeights:
    """From now until `finished`. `path`: of the file of weights."""

    def __init__(
        self, path: str, cgroups: Cgroups, engine: Engine, loop: Loop, *, processes: Processes, backlog: Backlog
    ) -> None:
        self._path = path
        self._processes = processes
        self._backlog = backlog
        self._cgroups = cgroups
        self._engine = engine
        found = weights.load(path)
        cgroups.weigh({name: weight for name in found if (weight := self._weight(name, found[name]))})
        self._limit = loop.call_at(loop.time() + LIMIT_S, self._stop) if found else None
        if found:
            processes.rank = backlog.rank = lambda name: found.get(name, 0)

    def observe(self, effect: object) -> None:
        """What is up is nobody's start any more. Of what has ended then nothing is left to be weighed."""
        if isinstance(effect, Transition) and effect.after is UnitState.UP:
            unit = self._engine.units.get(effect.name)
            if unit is not None and unit.service.kind.is_daemon:
                self._cgroups.weigh_as_all(effect.name)

    def finished(self, taken: Mapping[str, Taken]) -> None:
        """The boot is over; its starts have `taken` so much."""
        self._stop()
        if taken:
            from linit.runtime.errands import Errand  # when the services are up

            services = tuple(unit.service for unit in self._engine.units.values())
            Errand(self._processes, lambda: self._keep(services, taken), _forget, _forget)

    def _keep(self, services: tuple[Service, ...], taken: Mapping[str, Taken]) -> str:
        weights.keep(self._path, services, taken)
        return ""

    def _stop(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self._processes.rank = self._backlog.rank = None
        limits = (unit.service.execution.limits for unit in self._engine.units.values())
        self._cgroups.stop_weighing(any(each.cpu_weight is not None or each.cpu_max_us is not None for each in limits))

    def _weight(self, name: str, weight: int) -> int:
        """0: its definition says what share it has. Who has little time gets no less than all."""
        unit = self._engine.units.get(name)
        if unit is None or unit.service.execution.limits.cpu_weight is not None:
            return 0
        timeout_s = unit.service.start_timeout_s
        return weight if timeout_s is None or timeout_s > LIMIT_S else max(weight, EVERYBODYS_WEIGHT)


def _forget(_text: str) -> None:
    """Kept or not: the next boot's end is as good."""
