"""A machine in virtual time: a plan, processes that take as long as is known, and the boot of a runlevel.

`linit.testing` and the commands of `linit.planning` all ask this one. Nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from linit.engine import effects, events
from linit.engine.simulator import Simulator
from linit.model.runlevel import DEFAULT_RUNLEVEL, with_a_runlevel
from linit.model.service import Kind, Plan
from linit.model.state import UnitState
from linit.planning.durations import Durations

PATIENCE_S: Final = 900.0  # of virtual time: what has not come to rest by then never will
STEP_S: Final = 1.0
RUNNING_KINDS: Final = frozenset(kind for kind in Kind if kind.runs)
NAMING_KINDS: Final = frozenset({Kind.RUNLEVEL, Kind.VIRTUAL})  # they name others and run nothing themselves


class UnknownName(Exception):
    """There is no such service or runlevel; the text says so."""


def of(plan: Plan, durations: Durations) -> Simulator:
    """A machine with that plan, switched off. A plan without runlevels gets one that wants every service."""
    plan = with_a_runlevel(plan)
    behaviours = {service.name: durations.behaviour(service) for service in plan.services}
    return Simulator(plan, behaviours)


def begin(world: Simulator, runlevel: str = DEFAULT_RUNLEVEL) -> int:
    """Ask for the boot of a runlevel; the number of the request. Raises UnknownName."""
    units = world.engine.units
    if runlevel not in units or units[runlevel].service.kind is not Kind.RUNLEVEL:
        there = sorted(name for name, unit in units.items() if unit.service.kind is Kind.RUNLEVEL)
        raise UnknownName(f"no runlevel is called {runlevel!r}; there are: {', '.join(there) or 'none'}")
    return world.request(events.Verb.RUNLEVEL, runlevel)


def settle(world: Simulator, patience_s: float = PATIENCE_S) -> bool:
    """Let time pass until everything is at rest; False when it is not after `patience_s`.

    At rest: nothing moves, and nothing has moved for a second, so that a program that dies at once is not missed.
    """
    end_s = world.now_s + patience_s
    while world.now_s < end_s and not world.is_quiet:
        marker = len(world.trace)
        world.run(until_s=min(world.now_s + STEP_S, end_s))
        has_moved = any(isinstance(effect, effects.Transition) for _, effect in world.trace[marker:])
        if not has_moved and not any(unit.state.is_moving for unit in world.engine.units.values()):
            return True
    return world.is_quiet


def transitions(world: Simulator) -> Iterator[effects.Transition]:
    """All changes of state, in order."""
    return (effect for _, effect in world.trace if isinstance(effect, effects.Transition))


def first_up_s(world: Simulator) -> dict[str, float]:
    """When each service came up for the first time, in seconds from the beginning, in that order."""
    found: dict[str, float] = {}
    for each in transitions(world):
        if each.after is UnitState.UP:
            found.setdefault(each.name, each.at_s)
    return found


def outcome(world: Simulator, number: int) -> str:
    """The answer to a request, as a word: done, failed or superseded; "" while there is none."""
    answers: Mapping[int, list[effects.Answer]] = world.answers
    return answers[number][0].outcome.value if answers[number] else ""
