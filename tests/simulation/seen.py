"""What really happened in the simulated world? Noted beside the engine, so that what it says can be judged by it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from linit.engine import events
from linit.engine.effects import Answer, Transition
from linit.engine.engine import SHUTDOWN_RUNLEVEL
from linit.engine.events import TimerKind, Verb
from linit.engine.lifecycle import EXTENSION_MAX_S
from linit.engine.simulator import Simulator
from linit.engine.stopping import KILL_WAIT_S
from linit.engine.unit import Unit
from linit.model.reason import Cause, Reason
from linit.model.service import Kind, Plan, Service
from linit.model.state import Outcome, UnitState

TRANSITIONS: Final = {(a, b): ("transition", f"{a.value} -> {b.value}") for a in UnitState for b in UnitState}
CAUSES: Final = {cause: ("cause", cause.value) for cause in Cause}


class Seen:
    """Facts, mostly by service name. `met` counts what the coverage figures are made of."""

    def __init__(self, plan: Plan) -> None:
        self.met: Counter[tuple[str, str]] = Counter()
        self.statuses: defaultdict[str, set[int]] = defaultdict(set)  # with which its processes ended
        self.troubles: defaultdict[str, set[str]] = defaultdict(set)  # why a spawn failed, readiness, or health
        self.conditions: defaultdict[str, set[str]] = defaultdict(set)  # that were not met
        self.sights: defaultdict[str, set[str]] = defaultdict(set)  # what triggers saw
        self.activated_at_s: defaultdict[str, list[float]] = defaultdict(list)  # when triggers started their services
        self.activations: dict[str, Reason] = {}  # the last of these, by trigger
        self.activates: set[tuple[str, str]] = set()  # (trigger, service) that there ever were
        self.entered_s: dict[tuple[str, UnitState], float] = {}  # when it last entered a state
        self.respawned_at_s: defaultdict[str, list[float]] = defaultdict(list)  # what counts against the limit
        self.asked: defaultdict[tuple[str, Verb], set[str]] = defaultdict(set)  # by whom
        self.loaders: set[str] = set()  # who replaced the plan
        self.edges: set[tuple[str, str]] = set()  # (owner, on) of every edge there ever was
        self.judged: dict[str, Reason] = {}  # the last reason of each unit that was found to be true
        self.claims: dict[int, str] = {}  # locks asked for and not let go, by request
        self.shutdown_at_s: float | None = None
        self.shutdown_limit_s = 0.0
        self.last_down_s = 0.0
        self.started_by: dict[str, Service] = {}  # the definition by which it started last
        self.renewed: set[str] = set()  # came to rest in this event, and has another definition since
        self.stops_begun: dict[str, float] = {}  # of which something was done already: since when they last
        self.survivors: set[str] = set()  # some of their processes outlived SIGKILL
        self.read(plan.services)

    def read(self, services: Iterable[Service]) -> None:
        """The edges of these are in force from now on."""
        for service in services:
            self.edges.update((service.name, edge.on) for edge in service.dependencies)
            if service.activates:
                self.activates.add((service.name, service.activates))

    def note(self, world: Simulator, event: events.Event) -> None:
        """One event, and what the engine made of it."""
        self.renewed.clear()
        kind = type(event).__name__
        self.met["event", kind] += 1
        self._note_pair(world, event, kind)
        getattr(self, f"_note_{kind}", _nothing)(world, event)
        for effect in world.last_effects:
            if isinstance(effect, Transition):
                self._note_transition(world, effect)
            elif isinstance(effect, Answer):
                for _, outcome, _ in effect.results:
                    self.met["outcome", outcome.value] += 1
                if effect.outcome is not Outcome.DONE:
                    self.claims.pop(effect.id, None)

    def was_asked(self, name: str, *verbs: Verb, by: str) -> bool:
        """Did this person ask for one of these?"""
        return any(by in self.asked.get((name, verb), ()) for verb in verbs)

    def entered_at_s(self, name: str, *states: UnitState) -> float:
        """When it last entered one of these states."""
        return max((self.entered_s.get((name, state), -1.0) for state in states), default=-1.0)

    def _note_pair(self, world: Simulator, event: events.Event, kind: str) -> None:
        """In which state of its unit did an event about one unit come?"""
        name = getattr(event, "name", "")
        if name not in world.engine.units:
            return
        changes = (each for each in world.last_effects if isinstance(each, Transition) and each.name == name)
        first = next(changes, None)
        state = first.before if first is not None else world.engine.units[name].state
        self.met["pair", f"{state.value} {kind}"] += 1

    # -- by kind of event ----------------------------------------------------------------------------------------

    def _note_Exited(self, _world: Simulator, event: events.Exited) -> None:
        self.statuses[event.name].add(event.status)

    def _note_SpawnFailed(self, _world: Simulator, event: events.SpawnFailed) -> None:
        self.troubles[event.name].add(event.text)

    def _note_ReadinessFailed(self, _world: Simulator, event: events.ReadinessFailed) -> None:
        self.troubles[event.name].add(event.text)

    def _note_Unhealthy(self, _world: Simulator, event: events.Unhealthy) -> None:
        self.troubles[event.name].add(event.text)

    def _note_ConditionsChecked(self, _world: Simulator, event: events.ConditionsChecked) -> None:
        self.conditions[event.name].add(event.text)

    def _note_Triggered(self, world: Simulator, event: events.Triggered) -> None:
        self.sights[event.name].add(event.text)
        trigger = world.engine.units.get(event.name)
        target = world.engine.units.get(trigger.service.activates) if trigger is not None else None
        if target is not None and target.wish.cause is Cause.ACTIVATED and target.wish.of == event.name:
            if target.wish is not self.activations.get(event.name):
                self.activated_at_s[event.name].append(world.now_s)
            self.activations[event.name] = target.wish

    def _note_Extended(self, _world: Simulator, event: events.Extended) -> None:
        self.shutdown_limit_s += min(event.delay_s, EXTENSION_MAX_S)

    def _note_TimerFired(self, _world: Simulator, event: events.TimerFired) -> None:
        self.met["timer", event.kind.value] += 1
        if event.kind is TimerKind.HEALTHY:
            self.respawned_at_s.pop(event.name, None)

    def _note_Request(self, world: Simulator, event: events.Request) -> None:
        self.met["verb", event.verb.value] += 1
        for name in event.names:
            self.asked[name, event.verb].add(event.by)
            for edge in world.engine.links.dependencies(name):
                self.asked[edge.on, event.verb].add(event.by)  # a virtual name stands for its providers
            if event.verb is Verb.RESET:
                self.respawned_at_s.pop(name, None)
                self.activated_at_s.pop(name, None)
            if event.verb in (Verb.START, Verb.RESTART) and not event.caller:
                self.respawned_at_s.pop(name, None)  # who asks has it begin anew
            if event.verb in (Verb.NEED, Verb.WANT):
                self.edges.add((event.caller, name))

    def _note_RunTransient(self, _world: Simulator, event: events.RunTransient) -> None:
        self.read((event.service,))
        self.asked[event.service.name, Verb.START].add(event.by)

    def _note_LockAsked(self, _world: Simulator, event: events.LockAsked) -> None:
        self.claims[event.id] = event.lock

    def _note_LockReleased(self, _world: Simulator, event: events.LockReleased) -> None:
        self.claims.pop(event.id, None)

    def _note_PlanLoaded(self, _world: Simulator, event: events.PlanLoaded) -> None:
        self.read(event.plan.services)
        self.loaders.add(event.by)

    def _note_Shutdown(self, world: Simulator, _event: events.Shutdown) -> None:
        if self.shutdown_at_s is None:
            self.shutdown_at_s = world.now_s
            self.shutdown_limit_s = sum(stop_limit_s(unit) for unit in world.engine.units.values())
            deadlines_s = (unit.deadline_s for unit in world.engine.units.values() if unit.deadline_s is not None)
            self.shutdown_limit_s += sum(max(at_s - world.now_s, 0.0) for at_s in deadlines_s)  # what was extended
            self.shutdown_limit_s += sum(start_limit_s(unit) for unit in hooks(world))

    def _note_transition(self, world: Simulator, effect: Transition) -> None:
        name, after = effect.name, effect.after
        self.met[TRANSITIONS[effect.before, after]] += 1
        self.met[CAUSES[effect.reason.cause]] += 1
        self.entered_s[name, after] = effect.at_s
        unit = world.engine.units.get(name)
        if unit is not None and after is UnitState.STARTING:
            self.started_by[name] = unit.service
        if unit is not None and after.is_at_rest_down and self.started_by.get(name, unit.service) is not unit.service:
            self.renewed.add(name)
        if after.is_at_rest_down:
            self.last_down_s = effect.at_s
            if any(process.name == name for process in world.processes.values()):
                self.survivors.add(name)
            self.respawned_at_s.pop(name, None)
            self.activated_at_s.pop(name, None)
        elif after is UnitState.BACKOFF and unit is not None and unit.service.kind is not Kind.VIRTUAL:
            was_ended = effect.before is UnitState.STOPPING  # decided when that began: the window counts from there
            at_s = self.entered_s[name, UnitState.STOPPING] if was_ended else effect.at_s
            self.respawned_at_s[name].append(at_s)


def stop_limit_s(unit: Unit) -> float:
    """Seconds within which a stop of it ends, whatever its processes do: each stop command, each signal and SIGKILL."""
    each_s = unit.service.stop_timeout_s or 0.0
    signals_s = sum(step.wait_s for step in unit.service.stop_steps) or each_s
    return len(unit.service.stop) * each_s + signals_s + KILL_WAIT_S


def hooks(world: Simulator) -> list[Unit]:
    """What the runlevel `shutdown` may start during a shutdown."""
    units, links = world.engine.units, world.engine.links
    found: list[str] = [SHUTDOWN_RUNLEVEL] if SHUTDOWN_RUNLEVEL in units else []
    for name in found:
        found += [edge.on for edge in links.dependencies(name) if edge.on in units and edge.on not in found]
    return [units[name] for name in found]


def start_limit_s(unit: Unit) -> float:
    """Seconds within which a start of it succeeds or is given up, and it is down again: with all its respawns."""
    restart = unit.service.restart
    attempts = restart.limit + 1
    return attempts * ((unit.service.start_timeout_s or 0.0) + stop_limit_s(unit) + restart.delay_max_s)


def _nothing(_world: Simulator, _event: Any) -> None:
    pass
