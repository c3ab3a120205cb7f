"""What do the parts work with that look after services? One value, handed to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from linit.engine.effects import Answer
from linit.engine.engine import Engine
from linit.engine.events import Event, Verb
from linit.model.paths import Paths
from linit.model.service import Command, Service
from linit.runtime.loop import Loop
from linit.runtime.members import Members
from linit.runtime.output import Output
from linit.runtime.processes import Processes
from linit.runtime.spawn import Launch


@dataclass(frozen=True, slots=True)
class Means:
    """`report` takes an event for the engine. `tell(text, name)` says something that is no event about a service.
    `launch_probe(service, command)` makes what such a command runs with, but for its cgroup; raises OSError.
    `run(service, by, on_answer)` runs a transient service, `request(verb, names, by)` asks for something as people do.
    """

    engine: Engine
    loop: Loop
    paths: Paths
    members: Members
    report: Callable[[Event], None]
    tell: Callable[[str, str], None]
    launch_probe: Callable[[Service, Command], Callable[[str], Launch]]
    run: Callable[[Service, str, Callable[[Answer], object]], int]
    request: Callable[[Verb, tuple[str, ...], str], int]
    pipes: Output
    processes: Processes
