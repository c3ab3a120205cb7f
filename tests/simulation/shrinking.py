"""What is the smallest run that still goes wrong? Leaves out, one after the other, all that the failure does not need.

Delta debugging (Zeller and Hildebrandt, 2002) over actions, then services, their keys and edges, and behaviours, until
nothing more can be left out or the time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from linit.engine.simulator import Behaviour, Simulator
from tests.simulation.playing import Violation, play
from tests.simulation.scenario import (
    Action,
    Ask,
    Become,
    Die,
    HandOver,
    Impossible,
    Keys,
    Late,
    Lock,
    Replace,
    Run,
    Say,
    Scenario,
    See,
    Sicken,
    as_test,
    edges_of,
)

PATIENCE_S: Final = 600.0
PLAIN: Final = Behaviour()


def violation_of(
    scenario: Scenario,
    *,
    thorough: bool = False,
    only: str = "",
    world_type: Callable[..., Simulator] = Simulator,
) -> Violation | None:
    """How this scenario goes wrong; None when it does not, or cannot be."""
    try:
        play(scenario, thorough=thorough, only=only, world_type=world_type)
    except Violation as violation:
        return violation
    except Impossible:
        return None
    return None


def shrunken(
    scenario: Scenario,
    invariant: str,
    *,
    world_type: Callable[..., Simulator] = Simulator,
    patience_s: float = PATIENCE_S,
) -> Scenario:
    """A scenario as small as could be found within `patience_s` that breaks the same invariant."""
    until_s = time.monotonic() + patience_s

    def is_broken(candidate: Scenario) -> bool:
        violation = violation_of(candidate, thorough=True, only=invariant, world_type=world_type)
        return violation is not None and violation.invariant == invariant

    if not is_broken(scenario):
        return scenario  # seen only when not everything was checked after every event
    smaller: Scenario | None = scenario
    while smaller is not None:
        scenario = smaller
        smaller = None
        for candidate in _candidates(scenario):
            if time.monotonic() > until_s:
                return scenario
            if candidate.size < scenario.size and is_broken(candidate):
                smaller = candidate
                break
    return scenario


def report(seed: int, violation: Violation, scenario: Scenario) -> str:
    """What is printed about a failure: the seed, what did not hold, and the small case as a test."""
    small = shrunken(scenario, violation.invariant)
    final = violation_of(small, thorough=True, only=violation.invariant) or violation
    name = f"{violation.invariant}_seed_{seed}"
    repeat = f"python -m tests.campaign --only {seed}"
    return (
        f"seed {seed} breaks {violation.invariant}; repeat with: {repeat}\n"
        f"first seen: {violation}\n{violation.where}\n"
        f"the small case: {final}\n{final.where}\n{as_test(small, name)}"
    )


# -- what may be left out ----------------------------------------------------------------------------------------


def _candidates(scenario: Scenario) -> Iterator[Scenario]:
    """Smaller scenarios, the boldest first."""
    actions = scenario.actions
    size = len(actions)
    while size:
        for at in range(0, len(actions), size):
            yield replace(scenario, actions=actions[:at] + actions[at + size :])
        size //= 2
    for name in scenario.services:
        if name != scenario.target:
            yield _without_service(scenario, name)
    if scenario.target in scenario.services and len(scenario.services) > 1:
        for name in scenario.services:
            yield replace(_without_service(scenario, scenario.target), target=name)
    for name, keys in scenario.services.items():
        for fewer in _fewer_keys(keys):
            yield replace(scenario, services={**scenario.services, name: fewer})
    for name, behaviour in scenario.behaviours.items():
        others = {other: each for other, each in scenario.behaviours.items() if other != name}
        yield replace(scenario, behaviours=others)
        for plainer in _plainer(behaviour):
            yield replace(scenario, behaviours={**scenario.behaviours, name: plainer})
    for at, action in enumerate(actions):
        for simpler in _simpler(action):
            yield replace(scenario, actions=(*actions[:at], simpler, *actions[at + 1 :]))


def _without_service(scenario: Scenario, name: str) -> Scenario:
    services = {other: _without_edge_to(keys, name) for other, keys in scenario.services.items() if other != name}
    behaviours = {other: each for other, each in scenario.behaviours.items() if other != name}
    actions = tuple(found for action in scenario.actions if (found := _without_name(action, name)) is not None)
    return replace(scenario, services=services, behaviours=behaviours, actions=actions)


def _without_edge_to(keys: Keys, name: str) -> Keys:
    found = dict(keys)
    for kind, ons in edges_of(keys).items():
        found[kind] = [on for on in ons if on != name]
        if not found[kind]:
            del found[kind]
    return found


def _without_name(action: Action, name: str) -> Action | None:
    """The action when there is no such service; None when nothing is left of it."""
    if isinstance(action, Ask):
        names = tuple(other for other in action.names if other != name)
        return replace(action, names=names) if names and action.caller != name else None
    if isinstance(action, Become | Die | See | Sicken | HandOver):
        return None if action.name == name else action
    if isinstance(action, Late | Say):
        return None if getattr(action.event, "name", "") == name else action
    if isinstance(action, Lock):
        return None if action.caller == name else action
    if isinstance(action, Run):
        return None if action.caller == name else replace(action, keys=_without_edge_to(action.keys, name))
    if isinstance(action, Replace):
        changes = {
            other: None if keys is None else _without_edge_to(keys, name)
            for other, keys in action.changes.items()
            if other != name
        }
        return replace(action, changes=changes) if changes else None
    return action


def _fewer_keys(keys: Keys) -> Iterator[Keys]:
    for key in keys:
        if key not in ("provided_by", "broken_by") and not (key == "kind" and keys[key] in ("virtual", "runlevel")):
            yield {other: value for other, value in keys.items() if other not in (key, f"{key}_by")}
    for kind, ons in edges_of(keys).items():
        for at in range(len(ons) if len(ons) > 1 else 0):
            yield {**keys, kind: [*ons[:at], *ons[at + 1 :]]}


def _plainer(behaviour: Behaviour) -> Iterator[Behaviour]:
    for each in fields(Behaviour):
        plain: Any = getattr(PLAIN, each.name)
        if getattr(behaviour, each.name) != plain:
            yield replace(behaviour, **{each.name: plain})


def _simpler(action: Action) -> Iterator[Action]:
    if isinstance(action, Become):
        for plainer in _plainer(action.behaviour):
            yield replace(action, behaviour=plainer)
    elif isinstance(action, Replace):
        for name, keys in action.changes.items():
            others: Mapping[str, Keys | None] = {key: each for key, each in action.changes.items() if key != name}
            yield replace(action, changes=others)
            for fewer in _fewer_keys(keys or {}):
                yield replace(action, changes={**action.changes, name: fewer})
    elif isinstance(action, Run):
        for fewer in _fewer_keys({key: each for key, each in action.keys.items() if key != "transient"}):
            yield replace(action, keys={**fewer, "transient": True})
    elif isinstance(action, Ask):
        for at in range(len(action.names) if len(action.names) > 1 else 0):
            yield replace(action, names=(*action.names[:at], *action.names[at + 1 :]))
        if not action.cascade or action.only:
            yield replace(action, cascade=True, only=False)
        if action.by != "tester":
            yield replace(action, by="tester")
