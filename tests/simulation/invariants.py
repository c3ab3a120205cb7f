"""What must hold after every event, each written down once and named."""

from __future__ import annotations

from collections.abc import Callable

from linit.engine.board import has_hope, may_be_up
from linit.engine.edges import NOTHING, blocks, dooms, holds, provides, waits
from linit.engine.effects import Signal, Spawn, Transition
from linit.engine.simulator import Simulator
from linit.engine.unit import StopPhase, Unit
from linit.model.service import EdgeKind, Kind
from linit.model.state import Role, UnitState

RUNS = (UnitState.STARTING, UnitState.UP)


def starts_follow_needs(world: Simulator) -> None:
    """Nothing starts before its needs are up, and before what it is to start after has settled."""
    units = world.engine.units
    for effect in world.last_effects:
        if not isinstance(effect, Transition) or effect.after is not UnitState.STARTING:
            continue
        if units[effect.name].state is not UnitState.STARTING:
            continue
        for edge in world.engine.links.dependencies(effect.name):
            on = units.get(edge.on)
            if on is not None and edge.kind in (EdgeKind.NEED, EdgeKind.BIND):
                assert on.state is UnitState.UP, f"{effect.name} starts while {edge.on} is {on.state.value}"
            if on is not None and edge.kind in (EdgeKind.WANT, EdgeKind.USE, EdgeKind.AFTER):
                settled = on.state is UnitState.UP or not on.hope
                assert settled, f"{effect.name} starts while {edge.on}, to be awaited, is {on.state.value}"


def stops_run_in_reverse(world: Simulator) -> None:
    """What is needed gets no stop signal and no stop command while a dependent still has processes."""
    units = world.engine.units
    for effect in world.last_effects:
        if isinstance(effect, Signal):
            name = effect.name
        elif isinstance(effect, Spawn) and effect.role is Role.STOP:
            name = effect.service.name
        else:
            continue
        if units[name].state is not UnitState.STOPPING or units[name].goal or units[name].bouncing:
            continue
        for other, edge in world.engine.links.dependents(name):
            if edge.kind in (EdgeKind.NEED, EdgeKind.BIND) and other in units and edge.on == name:
                state = units[other].state
                assert state not in (*RUNS, UnitState.STOPPING), f"{name} is stopped while {other} is {state.value}"


def respawn_limits_hold(world: Simulator) -> None:
    """Never more respawns within the window than the definition allows."""
    for unit in world.engine.units.values():
        restart = unit.service.restart
        recent = [at_s for at_s in unit.budget.at_s if world.now_s - at_s < restart.window_s]
        assert not restart.limit or len(recent) <= restart.limit, f"{unit.name}: {len(recent)} respawns"


def counts_are_true(world: Simulator) -> None:
    """The counts that edges keep equal what the edges say when asked one by one."""
    units, links = world.engine.units, world.engine.links
    for unit in units.values():
        blockers = doomed = unmet = holders = alive = hopeful = ready = 0
        for edge in links.dependencies(unit.name):
            on = units.get(edge.on)
            view = on.view if on else NOTHING
            blockers += blocks(edge.kind, view)
            doomed += dooms(edge.kind, view)
            unmet += waits(edge.kind, view)
            if edge.kind is EdgeKind.PROVIDED_BY:
                alive += view[1]
                hopeful += view[2]
                ready += provides(view)
        for name, edge in links.dependents(unit.name):
            other = units.get(name)
            if other is not None:
                holders += holds(edge.kind, other.view)
                if edge.kind is EdgeKind.CONFLICTS:
                    unmet += waits(edge.kind, other.view)
        found = (unit.blockers, unit.doomed, unit.unmet, unit.holders, unit.alive, unit.hopeful, unit.ready)
        assert found == (blockers, doomed, unmet, holders, alive, hopeful, ready), f"{unit.name}: {found}"
        assert unit.hope is has_hope(unit), f"{unit.name}: hope {unit.hope}"
        assert unit.goal is (unit.hope and may_be_up(unit)), f"{unit.name}: goal {unit.goal}"


def foes_are_never_both_up(world: Simulator) -> None:
    """Of two services that conflict at most one has processes."""
    units = world.engine.units
    for unit in units.values():
        for foe, _ in world.engine.links.foes(unit.name):
            both = foe in units and unit.state in RUNS and units[foe].state in RUNS
            assert not both, f"{unit.name} and {foe} conflict and are both up"


def nothing_wedges(world: Simulator) -> None:
    """What moves has something that will end it: a process, a timer, or somebody else who moves."""
    for unit in world.engine.units.values():
        if unit.state.is_moving:
            assert not world.is_quiet, f"{unit.name} is {unit.state.value} for ever: {unit.reason}"


def hard_dependents_do_not_outlive(world: Simulator) -> None:
    """What is down has no dependent that needs it and runs."""
    units = world.engine.units
    for unit in units.values():
        if unit.state in RUNS:
            for edge in world.engine.links.dependencies(unit.name):
                on = units.get(edge.on)
                if edge.kind is EdgeKind.NEED and on is not None:
                    assert not on.state.is_at_rest_down or _is_excused(on, unit), (
                        f"{unit.name} is {unit.state.value} but {edge.on}, which it needs, is {on.state.value}"
                    )


def _is_excused(on: Unit, unit: Unit) -> bool:
    """A need that failed by itself went down first; its dependent is told in the same event."""
    return on.state is UnitState.FAILED and not unit.goal


def virtual_names_mirror_providers(world: Simulator) -> None:
    """A virtual name is up exactly while a provider is up and to stay so, but for a stop that waits for dependents."""
    units = world.engine.units
    for unit in units.values():
        if unit.service.kind is Kind.VIRTUAL:
            providers = [units[edge.on] for edge in unit.service.dependencies if edge.on in units]
            given = any(each.state is UnitState.UP and each.goal for each in providers)
            assert given or unit.state is not UnitState.UP, f"{unit.name} is up and nothing provides it"
            assert not given or unit.state is not UnitState.DOWN, f"{unit.name} is down though it is provided"


def runs_do_not_overlap(world: Simulator) -> None:
    """Nothing of one run of a service is left when the next begins."""
    left = [process.name for process in world.processes.values() if process.role is None]
    assert len(left) == len(set(left)), f"two runs at once of one of {sorted(left)}"


def what_is_decided_is_answered(world: Simulator) -> None:
    """No request waits for a service that rests and will not move."""
    for pending in world.engine.open_requests:
        for name in pending.open:
            unit = world.engine.units[name]
            is_open = unit.hope or not unit.state.is_at_rest_down
            assert is_open, f"request {pending.id} waits for {name}, {unit.state.value}"


def answered_at_most_once(world: Simulator) -> None:
    """No request gets two final answers."""
    for number, answers in world.answers.items():
        assert len(answers) <= 1, f"request {number} was answered {len(answers)} times"


def stop_phases_fit(world: Simulator) -> None:
    """A unit is in a phase of a stop exactly while it is stopping; no process runs for one that is at rest."""
    for unit in world.engine.units.values():
        stopping = unit.state is UnitState.STOPPING
        assert stopping is (unit.stop_phase is not StopPhase.NONE), f"{unit.name}: {unit.state} {unit.stop_phase}"
        if (
            unit.state in (UnitState.DOWN, UnitState.WAITING, UnitState.BACKOFF)
            and unit.service.kind is not Kind.ONESHOT
        ):
            assert not unit.running, f"{unit.name} is {unit.state.value} with {unit.running}"


ALL: tuple[Callable[[Simulator], None], ...] = (
    starts_follow_needs,
    stops_run_in_reverse,
    respawn_limits_hold,
    counts_are_true,
    foes_are_never_both_up,
    nothing_wedges,
    hard_dependents_do_not_outlive,
    virtual_names_mirror_providers,
    runs_do_not_overlap,
    what_is_decided_is_answered,
    answered_at_most_once,
    stop_phases_fit,
)
