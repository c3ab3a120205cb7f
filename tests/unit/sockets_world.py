"""Triggers with real sockets, and an engine that only remembers what it is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from linit.engine.effects import Answer, Transition
from linit.engine.events import Verb
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import (
    Listen,
    ListenKind,
    Service,
)
from linit.model.state import Outcome, UnitState
from linit.runtime.output import Output
from linit.runtime.triggers import Triggers
from tests.unit import means_world

HERE = Place("web.yaml", 3, 9)
DOWN, STARTING, UP, FAILED = UnitState.DOWN, UnitState.STARTING, UnitState.UP, UnitState.FAILED


class World(means_world.World):
    """Triggers, and an engine that only remembers what it is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run: list[Service] = []
        self.requests: list[tuple[Verb, tuple[str, ...]]] = []
        self.pipes = Output()
        self.refuses = ""
        self.means = replace(self.means, run=self._run, request=self._request, pipes=self.pipes)
        self.triggers = Triggers(self.means)

    def moves(self, name: str, before: UnitState, after: UnitState, reason: Reason | None = None) -> None:
        """A transition that the engine has made."""
        if name in self.units:
            self.units[name].state = after
        self.triggers.note(Transition(name, before, after, reason or Reason(Cause.NEVER_WANTED), 0.0))

    def ends(self, name: str) -> None:
        """A connection's process ended, and the engine has forgotten its service."""
        self.units.pop(name, None)
        self.moves(name, UP, DOWN, Reason(Cause.EXITED, status=0))

    def _run(self, service: Service, _by: str, on_answer: Callable[[Answer], object]) -> int:
        self.run.append(service)
        if self.refuses:
            on_answer(Answer(1, Outcome.REFUSED, ((service.name, Outcome.REFUSED, self.refuses),)))
        else:
            self.unit(service.name, UP)
        return 1

    def _request(self, verb: Verb, names: tuple[str, ...], _by: str) -> int:
        self.requests.append((verb, names))
        return 1

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What linit says in logs."""
        return [(str(name), str(text)) for _, name, text, *_ in self.pipes.messages]


def worlds(folder: Path) -> Iterator[World]:
    """A world for a test, and what must be true at its end."""
    made = World(folder)
    before = set(os.listdir("/proc/self/fd"))
    yield made
    made.triggers.close()
    for service in made.run:
        made.ends(service.name)
    assert set(os.listdir("/proc/self/fd")) == before, "a descriptor is left open"
    assert made.loop.readers == {}


def at(path: Path, **more: Any) -> Listen:
    """A Unix socket at a path."""
    return Listen(ListenKind.UNIX_STREAM, str(path), HERE, **more)


def connect(path: Path) -> socket.socket:
    """A client, which waits for its answer."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(180)
    client.connect(str(path))
    return client
