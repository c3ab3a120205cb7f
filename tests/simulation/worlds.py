"""A simulated machine in a line, and what a test reads off it."""

from __future__ import annotations

from typing import Any

from linit.engine import effects, explain
from linit.engine.simulator import Behaviour, Simulator
from tests.simulation.graphs import plan


def world(behaviours: dict[str, Behaviour] | None = None, **services: dict[str, Any]) -> Simulator:
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
