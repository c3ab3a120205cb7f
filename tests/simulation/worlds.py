"""A simulated machine in a line, and what a test reads off it."""

from __future__ import annotations

from typing import Any

from linit.engine import effects, explain
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.state import Role
from tests.simulation.graphs import plan


def world(behaviours: dict[str, Behaviour] | None = None, /, **services: Any) -> Simulator:
    """Services in the short form of `tests.simulation.graphs.service`."""
    return Simulator(plan(services), behaviours=behaviours or {})


def reason(simulator: Simulator, name: str) -> str:
    """Why a service is where it is, in words."""
    return str(explain.present_reason(simulator.engine, simulator.engine.units[name]))


def answer(simulator: Simulator, number: int) -> effects.Answer:
    """The one answer to a request."""
    (only,) = simulator.answers[number]
    return only


def text(simulator: Simulator, number: int) -> str:
    """The words of an answer about one thing."""
    ((_, _, words),) = answer(simulator, number).results
    return words


def started(machine: Simulator, *names: str) -> Simulator:
    """With these started, and everything that follows over."""
    machine.request(Verb.START, *names)
    machine.run(until_s=20.0)
    return machine


def told(machine: Simulator) -> list[tuple[str, str]]:
    """What was said that is no change of state."""
    return [(effect.name, effect.text) for _, effect in machine.trace if isinstance(effect, effects.Told)]


def pid_of_main(machine: Simulator, name: str) -> int:
    """Of the process that the engine takes for the main one of a service."""
    return machine.engine.units[name].pids[Role.MAIN]
