"""What must hold whatever happens, each written down once and named.

OF_A_UNIT are checked for the units that an event touched and their neighbours, OF_AN_EVENT for what the engine made
of it, OF_ALL now and then, AT_THE_END when a run is over. What reasons say is judged in `explained`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from linit.engine import events
from linit.engine.asking import ACTIVATION_WINDOW_S, ACTIVATIONS_MAX
from linit.engine.board import aim
from linit.engine.edges import NOTHING, blocks, dooms, holds, provides, waits
from linit.engine.effects import Answer, Signal, Spawn, Told, Transition
from linit.engine.unit import StopPhase, Unit
from linit.model.reason import Cause
from linit.model.service import EdgeKind, Kind
from linit.model.state import Role, UnitState
from tests.simulation.explained import chain_ends, reason_is_true
from tests.simulation.moment import Moment
from tests.simulation.waiting import loop_through, terminal_owners, what_ends

RUNS: Final = (UnitState.STARTING, UnitState.UP)
SOFT: Final = (EdgeKind.WANT, EdgeKind.USE, EdgeKind.AFTER)
SLACK_S: Final = 1.0  # for the milliseconds between a signal and the end of a process


# -- of an event -------------------------------------------------------------------------------------------------


def _hopes_by_renewed(moment: Moment, name: str) -> bool:
    """Did this service, or one that it needs, change its definition in this event?"""
    seen, todo = {name}, [name]
    while todo:
        current = todo.pop()
        if current in moment.seen.renewed:
            return True
        for edge in moment.engine.links.dependencies(current):
            if (edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY) and edge.on not in seen:
                seen.add(edge.on)
                todo.append(edge.on)
    return False


def starts_follow_needs(moment: Moment) -> None:
    """Nothing starts before its needs are up, and before what it is to start after has settled."""
    units = moment.units
    was_at_rest: set[str] = set()  # when those that come before it in the effects happened
    for effect in reversed(moment.effects):
        if not isinstance(effect, Transition):
            continue
        if effect.before.is_at_rest_down:
            was_at_rest.add(effect.name)
        if effect.after is not UnitState.STARTING or moment.state(effect.name) is not UnitState.STARTING:
            continue
        for edge in moment.engine.links.dependencies(effect.name):
            on = units.get(edge.on)
            if on is not None and edge.kind.is_hard:
                assert on.state is UnitState.UP, f"{effect.name} starts while {edge.on} is {on.state.value}"
            if on is not None and edge.kind in SOFT:
                # Who went down for good in this event may have hope again by the definition that it was waiting with,
                # and so has who needs it.
                is_over = edge.on in was_at_rest or _hopes_by_renewed(moment, edge.on)
                settled = on.state is UnitState.UP or not on.hope or is_over
                assert settled, f"{effect.name} starts while {edge.on}, to be awaited, is {on.state.value}"


def stops_run_in_reverse(moment: Moment) -> None:
    """What is needed gets no stop signal and no stop command while a dependent still has processes."""
    units = moment.units
    for effect in moment.effects:
        if isinstance(effect, Signal):
            unit = units.get(effect.name)
        elif isinstance(effect, Spawn) and effect.role is Role.STOP:
            unit = units.get(effect.service.name)
        else:
            continue
        if unit is None or unit.state is not UnitState.STOPPING:
            continue
        is_begun = moment.seen.stops_begun.get(unit.name) == unit.changed_at_s
        moment.seen.stops_begun[unit.name] = unit.changed_at_s
        if is_begun or unit.goal or _need_not_wait(unit):
            continue  # a stop that has begun goes on, whatever is wished or defined later
        for other, edge in moment.engine.links.dependents(unit.name):
            if edge.learned and other in units and units[other].changed_at_s > unit.changed_at_s:
                continue  # it asked for what was being stopped already
            if edge.kind.is_hard and other in units:
                state = units[other].state
                assert state not in (*RUNS, UnitState.STOPPING), (
                    f"{unit.name} is stopped while {other} is {state.value}"
                )


def _need_not_wait(unit: Unit) -> bool:
    """Does its stop not wait for dependents? That of `restart --only`, the end of what is left after a crash, and in a
    loop somebody goes first."""
    is_in_loop = unit.given_up is not None and unit.given_up.cause is Cause.CYCLE
    return unit.bouncing is not None or unit.verdict is not None or is_in_loop


def answered_at_most_once(moment: Moment) -> None:
    """No request gets two final answers."""
    for effect in moment.effects:
        if isinstance(effect, Answer):
            count = len(moment.world.answers[effect.id])
            assert count == 1, f"request {effect.id} was answered {count} times"


def terminals_have_one_starter(moment: Moment) -> None:
    """Nothing starts on a terminal where another starts; but for what that one waits for, and then it is told."""
    for effect in moment.transitions:
        unit = moment.units.get(effect.name)
        if unit is None or not unit.service.execution.tty or effect.after is not UnitState.STARTING:
            continue
        others = [name for name in terminal_owners(moment, unit) if moment.units[name].terminal]
        told = any(
            isinstance(each, Told) and each.name == unit.name and "terminal" in each.text for each in moment.effects
        )
        is_alone = not others or unit.state is not UnitState.STARTING
        assert is_alone or told, f"{unit.name} starts on {unit.service.execution.tty}, as {others} do"


def locks_have_one_holder(moment: Moment) -> None:
    """A lock has at most one holder, and is never free while somebody waits for it."""
    if not isinstance(moment.event, events.LockAsked | events.LockReleased):
        return
    holders = Counter(dict.fromkeys(moment.seen.claims.values(), 0))
    for number, lock in moment.seen.claims.items():
        holders[lock] += bool(moment.world.answers[number])
    assert all(count == 1 for count in holders.values()), f"holders by lock: {dict(holders)}"


def no_wait_closes_a_loop(moment: Moment) -> None:
    """What a script waits for does not wait for that script: such a request is refused at once.

    Of a service that is up nobody waits for the scripts: what a login asks for may take down what it came in by.
    """
    event = moment.event
    if not isinstance(event, events.Request | events.RunTransient | events.LockAsked) or not event.waits:
        return
    is_open = not moment.world.answers[event.id]
    state = next((each.before for each in moment.transitions if each.name == event.caller), moment.state(event.caller))
    if is_open and state in (UnitState.STARTING, UnitState.STOPPING):
        loop = loop_through(moment, event.caller)
        assert not loop, f"request {event.id} closes a loop: {' -> '.join(loop)}"


def nobody_waits_in_vain(moment: Moment) -> None:
    """What a trigger saw starts its service, now or soon, or closes the trigger; but a clock goes on.

    It says so only once, and looks again when the service comes to rest.
    """
    event = moment.event
    trigger = moment.units.get(event.name) if isinstance(event, events.Triggered) else None
    target = moment.units.get(trigger.service.activates) if trigger is not None else None
    if trigger is None or target is None or trigger.service.kind is Kind.TIMER:
        return
    is_open = trigger.state is UnitState.UP and trigger.goal and moment.engine.boot_state != "stopping"
    is_moved = any(each.name == target.name for each in moment.transitions)
    is_left = is_open and target.state.is_at_rest_down and not target.hope and not is_moved
    assert not is_left, f"{target.name} stays {target.state.value}, and {trigger.name} open"


# -- of a unit ---------------------------------------------------------------------------------------------------


def respawn_limits_hold(moment: Moment, unit: Unit) -> None:
    """Never more respawns within the window than the definition allows."""
    restart = unit.service.restart
    if unit.service.kind.is_trigger:
        return  # nothing of it runs that could respawn
    for respawns in (unit.budget.at_s, moment.seen.respawned_at_s.get(unit.name, ())):
        if len(respawns) <= restart.limit:
            continue
        recent = sum(moment.now_s - at_s < restart.window_s for at_s in respawns)
        assert not restart.limit or recent <= restart.limit, f"{unit.name}: {recent} respawns"


def foes_are_never_both_up(moment: Moment, unit: Unit) -> None:
    """Of two services that conflict at most one has processes."""
    if unit.state in RUNS:
        for foe, _ in moment.engine.links.foes(unit.name):
            both = foe in moment.units and moment.units[foe].state in RUNS
            assert not both, f"{unit.name} and {foe} conflict and are both up"


def nothing_wedges(moment: Moment, unit: Unit) -> None:
    """What moves, or would start, has something that will end it: a timer, or another that has in its turn."""
    what_ends(moment, unit)


def hard_dependents_do_not_outlive(moment: Moment, unit: Unit) -> None:
    """What is down has no dependent that needs it and runs; one that failed by itself tells in the same event."""
    if unit.state in RUNS:
        for edge in moment.engine.links.dependencies(unit.name):
            on = moment.units.get(edge.on)
            if edge.kind is EdgeKind.NEED and on is not None:
                excused = on.state is UnitState.FAILED and not unit.goal
                assert not on.state.is_at_rest_down or excused, (
                    f"{unit.name} is {unit.state.value} but {edge.on}, which it needs, is {on.state.value}"
                )


def virtual_names_mirror_providers(moment: Moment, unit: Unit) -> None:
    """A virtual name is up exactly while a provider is up and to stay so, but for a stop that waits for dependents."""
    if unit.service.kind is Kind.VIRTUAL and not unit.removed:
        providers = [moment.units[edge.on] for edge in unit.service.dependencies if edge.on in moment.units]
        given = any(each.state is UnitState.UP and each.goal for each in providers)
        assert given or unit.state is not UnitState.UP, f"{unit.name} is up and nothing provides it"
        assert not given or unit.state is not UnitState.DOWN, f"{unit.name} is down though it is provided"


def stop_phases_fit(_moment: Moment, unit: Unit) -> None:
    """A unit is in a phase of a stop exactly while it is stopping; no process runs for one that is at rest."""
    stopping = unit.state is UnitState.STOPPING
    assert stopping is (unit.stop_phase is not StopPhase.NONE), f"{unit.name}: {unit.state} {unit.stop_phase}"
    if unit.state in (UnitState.DOWN, UnitState.WAITING, UnitState.BACKOFF):
        assert not unit.running, f"{unit.name} is {unit.state.value} with {unit.running}"


def triggers_are_armed_while_up(moment: Moment, unit: Unit) -> None:
    """A trigger is armed while it is up and until its stop begins in earnest; nothing else is. It runs nothing."""
    is_held = unit.stop_phase is StopPhase.HELD
    if unit.state is UnitState.STARTING or (is_held and unit.index):
        return  # it is not heard yet whether it could be armed
    is_armed = unit.name in moment.world.attended.armed
    may_be = unit.service.kind.is_trigger and (unit.state is UnitState.UP or is_held)
    assert is_armed is may_be, f"{unit.name} is {unit.state.value}, {'' if is_armed else 'not '}armed"
    assert not (is_armed and unit.running), f"{unit.name} is armed, and runs {unit.running}"


def triggers_do_not_run_wild(moment: Moment, unit: Unit) -> None:
    """None but a clock starts its service more than 20 times within 10 s."""
    starts = moment.seen.activated_at_s.get(unit.name, ())
    if unit.service.kind is not Kind.TIMER and len(starts) > ACTIVATIONS_MAX:
        recent = sum(moment.now_s - at_s < ACTIVATION_WINDOW_S for at_s in starts)
        assert recent <= ACTIVATIONS_MAX, f"{unit.name}: {recent} starts"


def health_is_looked_after_while_up(moment: Moment, unit: Unit) -> None:
    """Of a service with a health probe or a watchdog exactly while it is up, of others never."""
    is_meant = unit.service.health is not None or unit.service.watchdog_s is not None
    is_watched = unit.name in moment.world.attended.watched
    assert is_watched is (is_meant and unit.state is UnitState.UP), (
        f"{unit.name} is {unit.state.value}, {'' if is_watched else 'not '}looked after"
    )


def the_main_process_is_known(moment: Moment, unit: Unit) -> None:
    """A daemon that is up has a main process, and the engine knows which."""
    if unit.state is UnitState.UP and unit.service.kind.is_daemon:
        main = moment.world.main_of(unit.name)
        known = unit.pids.get(Role.MAIN)
        assert main is not None, f"{unit.name} is up without a main process"
        assert known == main.pid, f"{unit.name}: {known} is taken for its main process, not {main.pid}"


def a_start_has_a_next_step(_moment: Moment, unit: Unit) -> None:
    """What starts has a command, or an answer that is due; what does not start waits for no answer."""
    is_asking = unit.checking or unit.searching
    if unit.state is UnitState.STARTING:
        assert unit.running or is_asking, f"{unit.name} is starting, and nothing of it runs or was asked for"
    else:
        assert not is_asking, f"{unit.name} is {unit.state.value}, and an answer is awaited"


def the_reason_is_true(moment: Moment, unit: Unit) -> None:
    """What the state of a unit is said to be due to is so in the simulated world."""
    judged = moment.seen.judged
    if moment.is_full or unit.state.is_moving or judged.get(unit.name) is not unit.reason:
        reason_is_true(moment, unit)
        judged[unit.name] = unit.reason


# -- of everything -----------------------------------------------------------------------------------------------


def counts_are_true(moment: Moment) -> None:
    """The counts that edges keep equal what the edges say when asked one by one."""
    for unit in moment.units.values():
        _counts_are_true(moment, unit)


def _counts_are_true(moment: Moment, unit: Unit) -> None:
    units, links = moment.units, moment.engine.links
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
            holders += unit.stop_phase is StopPhase.HELD and holds(edge.kind, other.view)
            if edge.kind is EdgeKind.CONFLICTS:
                unmet += waits(edge.kind, other.view)
    found = (unit.blockers, unit.doomed, unit.unmet, unit.holders, unit.alive, unit.hopeful, unit.ready)
    assert found == (blockers, doomed, unmet, holders, alive, hopeful, ready), f"{unit.name}: {found}"
    hope, goal = aim(unit)
    assert unit.hope is hope, f"{unit.name}: hope {unit.hope}"
    assert unit.goal is goal, f"{unit.name}: goal {unit.goal}"


def runs_do_not_overlap(moment: Moment) -> None:
    """Nothing of one run of a service is left when the next begins."""
    runs = {(process.name, process.run_at_s) for process in moment.world.processes.values()}
    names = [name for name, _ in runs]
    assert len(names) == len(set(names)), f"two runs at once of one of {sorted(names)}"


def what_is_decided_is_answered(moment: Moment) -> None:
    """No request waits for a service that rests and will not move."""
    for pending in moment.engine.open_requests:
        for name in pending.open:
            unit = moment.units[name]
            is_open = unit.hope or not unit.state.is_at_rest_down
            assert is_open, f"request {pending.id} waits for {name}, {unit.state.value}"


def reloads_have_an_end(moment: Moment) -> None:
    """Whoever waits for a reload waits for a command that runs, or for no longer than its time."""
    for name in moment.engine.reloading:
        unit = moment.units[name]
        is_limited = unit.state is UnitState.UP and moment.world.is_armed(name, events.TimerKind.RELOAD)
        assert Role.RELOAD in unit.running or is_limited, f"a reload of {name}, {unit.state.value}, never ends"


def every_state_explains_itself(moment: Moment) -> None:
    """The chain from every unit ends in a root cause."""
    for name in moment.units:
        chain_ends(moment, name)


# -- at the end --------------------------------------------------------------------------------------------------


def the_shutdown_ends(moment: Moment) -> None:
    """After a shutdown request everything is down within the sum of the stop timeouts and SIGKILL's."""
    seen = moment.seen
    assert len(moment.world.finished) == 1, f"{len(moment.world.finished)} ends: {moment.world.states()}"
    up = {name: unit.state.value for name, unit in moment.units.items() if not unit.state.is_at_rest_down}
    assert not up, f"the end came with {up}"
    assert seen.shutdown_at_s is not None
    took_s = max(seen.last_down_s, seen.shutdown_at_s) - seen.shutdown_at_s
    assert took_s <= seen.shutdown_limit_s + SLACK_S, f"took {took_s:.3f} s, not {seen.shutdown_limit_s:g} s"


def everything_is_answered(moment: Moment) -> None:
    """Every request is answered exactly once."""
    counts = {number: len(answers) for number, answers in moment.world.answers.items() if len(answers) != 1}
    assert not counts, f"answers by request: {counts}"


OF_AN_EVENT: tuple[Callable[[Moment], None], ...] = (
    starts_follow_needs,
    stops_run_in_reverse,
    answered_at_most_once,
    terminals_have_one_starter,
    locks_have_one_holder,
    no_wait_closes_a_loop,
    nobody_waits_in_vain,
)
OF_A_UNIT: tuple[Callable[[Moment, Unit], None], ...] = (
    respawn_limits_hold,
    foes_are_never_both_up,
    nothing_wedges,
    hard_dependents_do_not_outlive,
    virtual_names_mirror_providers,
    stop_phases_fit,
    triggers_are_armed_while_up,
    triggers_do_not_run_wild,
    health_is_looked_after_while_up,
    the_main_process_is_known,
    a_start_has_a_next_step,
    the_reason_is_true,
)
OF_ALL: tuple[Callable[[Moment], None], ...] = (
    counts_are_true,
    runs_do_not_overlap,
    what_is_decided_is_answered,
    reloads_have_an_end,
    every_state_explains_itself,
)
AT_THE_END: tuple[Callable[[Moment], None], ...] = (the_shutdown_ends, everything_is_answered)
