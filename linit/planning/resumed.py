"""A machine in virtual time that goes on from where a real one stands: the engine restored, and for each live process a
simulated one in the same role. Nothing here reads or writes a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from linit.engine import events
from linit.engine.engine import Engine
from linit.engine.events import TimerKind
from linit.engine.simulator import SPAWN_S, Process, Simulator
from linit.engine.unit import StopPhase, Unit
from linit.model.service import Kind, ReadinessKind
from linit.model.state import Role, UnitState
from linit.planning.durations import Durations, steps

FIRST_ID: Final = 1 << 40  # of requests: beyond those of the machine itself
FIRST_PID: Final = 1 << 22  # of new processes: the kernel gives none so high, proc_sys_kernel(5) for pid_max


class Resumed(Simulator):
    """The machine whose engine this is, at `now_s` of its clock."""

    def __init__(self, engine: Engine, durations: Durations, now_s: float) -> None:
        behaviours = {unit.name: durations.behaviour(unit.service) for unit in engine.units.values()}
        super().__init__(engine.plan, behaviours, now_s=now_s)
        self.engine = engine
        self._ids = itertools.count(FIRST_ID)
        self._serial = itertools.count(FIRST_PID)
        for unit in engine.units.values():
            self._adopt(unit, durations)
            for kind, due_s in _timers(unit):
                self._arm(unit.name, kind, max(due_s - now_s, 0.0))

    def _adopt(self, unit: Unit, durations: Durations) -> None:
        """The processes of a unit, and what each of them will do next."""
        began_s = unit.began_at_s if unit.state.is_moving else self.now_s
        left_s = max(began_s + durations.of(unit.name) - self.now_s, SPAWN_S) / max(_steps_left(unit), 1)
        for role in unit.running if not unit.service.kind.is_trigger else ():
            pid = unit.pids.get(role)
            process = Process(pid or next(self._serial), unit.name, role)
            self.processes[process.pid] = process
            if pid is None:  # its Spawned is still on its way
                self.after(0.0, lambda process=process: self._spawned(process))  # type: ignore[misc]
            if role is Role.MAIN and unit.service.kind is Kind.FORKING and not unit.found:
                self.after(left_s, lambda process=process: self.go_to_background(process, 0))  # type: ignore[misc]
            elif role is not Role.MAIN or not unit.service.kind.is_daemon:
                self.after(left_s, lambda process=process: self.exit(process, 0))  # type: ignore[misc]
        if unit.left:
            child = next(self._serial)
            self.processes[child] = Process(child, unit.name, None)
        self.attended.resume(unit)
        if unit.state is UnitState.STARTING and Role.MAIN in unit.pids and Role.POST not in unit.running:
            is_main = unit.service.kind is Kind.PROCESS or unit.found
            if is_main and unit.service.readiness.kind is not ReadinessKind.NONE:
                self.after(left_s, lambda: events.Ready(unit.name))
        elif unit.stop_phase in (StopPhase.SIGNALS, StopPhase.KILL):
            self._let_end(unit)

    def _spawned(self, process: Process) -> events.Event | None:
        assert process.role is not None
        return events.Spawned(process.name, process.role, process.pid) if process.pid in self.processes else None

    def _let_end(self, unit: Unit) -> None:
        """Its processes have been told to end."""
        for process in self.processes.of(unit.name):
            stop_s = self.behaviour(unit.name).stop_s
            self.after(stop_s, lambda process=process: self.exit(process, 0))  # type: ignore[misc]


def _steps_left(unit: Unit) -> int:
    """How many commands of the start are still to end."""
    done = unit.index if Role.PRE in unit.running or Role.POST in unit.running else 0
    return steps(unit.service) - done if unit.state is UnitState.STARTING else 1


def _timers(unit: Unit) -> Iterator[tuple[TimerKind, float]]:
    """The timers that are armed for a unit, and when each is due. That of a reload command ends nothing: left out."""
    kinds = {
        UnitState.WAITING: TimerKind.IDLE,
        UnitState.STARTING: TimerKind.START,
        UnitState.STOPPING: TimerKind.STOP,
        UnitState.BACKOFF: TimerKind.RESPAWN,
    }
    if unit.deadline_s is not None and unit.state in kinds:
        yield kinds[unit.state], unit.deadline_s
    if unit.state is UnitState.UP and unit.budget.streak:
        yield TimerKind.HEALTHY, unit.changed_at_s + unit.service.restart.healthy_after_s
