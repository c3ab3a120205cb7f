"""What the parts that look after services work with, without a supervisor: a loop that turns when the test says so, an
engine that only has units, and what was reported and told."""

from __future__ import annotations

import dataclasses
import select
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from linit.engine.events import Event, Triggered
from linit.engine.unit import Unit
from linit.model.paths import Paths
from linit.model.place import Place
from linit.model.service import Service
from linit.model.state import UnitState
from linit.runtime.errands import said
from linit.runtime.means import Means

HERE = Place("x.yaml", 1, 1)


class Call:
    """A call that is due later."""

    def __init__(self, when_s: float, callback: Callable[[], object]) -> None:
        self.when_s = when_s
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Turning:
    """A `Loop` whose clock the test moves, and which looks at its descriptors when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.readers: dict[int, Callable[[], object]] = {}
        self.calls: list[Call] = []

    def time(self) -> float:
        return self.now_s

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> Call:
        return self.call_at(self.now_s, callback, *args)

    def call_at(self, when: float, callback: Callable[..., Any], /, *args: Any) -> Call:
        self.calls.append(Call(when, lambda: callback(*args)))
        return self.calls[-1]

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        self.readers[fd] = lambda: callback(*args)

    def remove_reader(self, fd: int, /) -> None:
        del self.readers[fd]

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        raise AssertionError("nothing is written here")

    def remove_writer(self, fd: int, /) -> None:
        raise AssertionError("nothing is written here")

    @property
    def waiting(self) -> list[Call]:
        """The calls that are still to be made."""
        return [call for call in self.calls if not call.is_cancelled]

    def turn(self, wait_s: float = 0.0) -> None:
        """Do all that is to be done now. `wait_s`: how long a descriptor may take to become readable."""
        while True:
            ready, _, _ = select.select(list(self.readers), [], [], wait_s)
            wait_s = 0.0
            due = [call for call in self.waiting if call.when_s <= self.now_s]
            if not ready and not due:
                return
            for fd in ready:
                if fd in self.readers:
                    self.readers[fd]()
            for call in due:
                self.calls.remove(call)
                call.callback()

    def advance(self, duration_s: float) -> None:
        """Let time go by."""
        self.turn()
        self.now_s += duration_s
        self.turn()


def errand_at_once(fork: Any, owner: Any) -> int:
    """Look in this process at what a child would be sent for, as disks do not hang here; the pid of nobody."""
    (work,) = fork.args
    owner.failed(1, said(work))
    return 0


class World:
    """`means` for a part, and what comes out of it."""

    def __init__(self, folder: Path) -> None:
        self.loop = Turning()
        self.events: list[Event] = []
        self.told: list[tuple[str, str]] = []
        self.units: dict[str, Unit] = {}
        self.paths = Paths.user(str(folder))
        given = {
            "engine": SimpleNamespace(units=self.units),
            "loop": self.loop,
            "paths": self.paths,
            "report": self.events.append,
            "tell": self._tell,
            "processes": SimpleNamespace(begin=errand_at_once),
        }
        # The rest is of no use to what is tested with this.
        self.means = Means(**{field.name: cast("Any", given.get(field.name)) for field in dataclasses.fields(Means)})

    def unit(self, name: str, state: UnitState = UnitState.DOWN, run_at_s: float | None = None) -> Unit:
        """A service that the engine knows."""
        unit = self.units[name] = Unit(name, Service(name, HERE), state=state, run_at_s=run_at_s)
        return unit

    def triggered(self) -> list[str]:
        """With what the service was started since this was last asked."""
        texts = [event.text for event in self.events if isinstance(event, Triggered)]
        self.events.clear()
        return texts

    def _tell(self, text: str, name: str) -> None:
        self.told.append((name, text))
