"""The world right after an event, as the invariants look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from linit.engine import events
from linit.engine.effects import Effect, Transition
from linit.engine.engine import Engine
from linit.engine.simulator import Simulator
from linit.engine.unit import Unit
from linit.model.state import UnitState
from tests.simulation.seen import Seen


class Moment:
    """`event` is None at the end of a run. `ended`: the units that are known to have something that ends their wait."""

    __slots__ = (
        "effects",
        "ended",
        "engine",
        "event",
        "is_full",
        "now_s",
        "seen",
        "transitions",
        "under_way",
        "units",
        "world",
    )

    def __init__(self, world: Simulator, seen: Seen, event: events.Event | None) -> None:
        self.world = world
        self.seen = seen
        self.event = event
        self.engine: Engine = world.engine
        self.units: Mapping[str, Unit] = world.engine.units
        self.effects: tuple[Effect, ...] = world.last_effects
        self.now_s = world.now_s
        self.ended: set[str] = set()
        self.is_full = False  # is everything checked, whatever the event touched?
        self.under_way: list[str] = []
        self.transitions = [effect for effect in self.effects if isinstance(effect, Transition)]

    def touched(self) -> Iterator[Unit]:
        """The units that the event is about, those that changed their state, and the neighbours of these."""
        units, links = self.units, self.engine.links
        names = {effect.name for effect in self.transitions}
        names.update(getattr(self.event, "names", ()))
        for name in tuple(names):
            names.update([edge.on for edge in links.dependencies(name)])
            names.update([other for other, _ in links.dependents(name)])
        names.add(getattr(self.event, "name", ""))
        return (units[name] for name in names if name in units)

    def has_processes(self, name: str) -> bool:
        """Does a process of this service live?"""
        return any(process.name == name for process in self.world.processes.values())

    def state(self, name: str) -> UnitState | None:
        """Of this service; None when there is none."""
        unit = self.units.get(name)
        return None if unit is None else unit.state
