"""What does a service carry? What stops and what degrades with it, which logins remain, and what nobody can do without.

All of it of a machine that has booted (in virtual time), where everything is up that would be. What stops is computed
from the graph: a service is lost with any one that it needs or is bound to, a virtual name with its last provider.
Asked the other way round, of each service: what is it lost with? Those are its dominators in this and/or graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os.path import basename
from typing import Final

import networkx as nx

from linit.engine.links import PROCESSLESS
from linit.engine.simulator import Simulator
from linit.engine.wishes import unneeded_after
from linit.model.runlevel import DEFAULT_RUNLEVEL
from linit.model.service import Dependency, EdgeKind, Kind, Plan, Service
from linit.model.state import Desired, UnitState
from linit.planning import world
from linit.planning.durations import Durations, failing
from linit.planning.world import UnknownName

SSH_SERVERS: Final = frozenset({"dropbear", "sshd", "tinysshd"})  # names of their programs
HOW: Final = {Kind.SOCKET: "by clients", Kind.TIMER: "by the clock", Kind.WATCH: "by its paths"}
SOFT: Final = frozenset({EdgeKind.WANT, EdgeKind.USE})


@dataclass(frozen=True, slots=True)
class Degraded:
    """`name` goes on without `on`, which it wants or uses."""

    name: str
    kind: str
    on: str


@dataclass(frozen=True, slots=True)
class Unstarted:
    """`name` is no longer started by `by`; `how`: what that was."""

    name: str
    by: str
    how: str


@dataclass(frozen=True, slots=True)
class Login:
    """A way to log in: is it lost with the service in question, and when is there one if that fails in a boot?"""

    name: str
    is_lost: bool
    after_failure_s: float | None


@dataclass(frozen=True, slots=True)
class Impact:
    """Of stopping one service while everything else is up; without itself. `is_up`: does the boot start it at all?"""

    name: str
    is_up: bool
    stops: tuple[str, ...]  # what needs it, nearest first
    let_go: tuple[str, ...]  # what only it had pulled in (stop_when_unneeded)
    degrades: tuple[Degraded, ...]
    unstarted: tuple[Unstarted, ...]  # what sockets, clocks and watched paths among these start no more
    logins: tuple[Login, ...]
    needs: tuple[str, ...]  # what it is lost with: its own single points of failure


@dataclass(frozen=True, slots=True)
class Point:
    """A single point of failure: what is lost with it."""

    name: str
    takes_down: tuple[str, ...]
    logins_lost: tuple[str, ...]


class Booted:
    """A machine after its boot, and what depends on what in it. Raises `world.UnknownName` for a runlevel."""

    def __init__(self, plan: Plan, durations: Durations, runlevel: str = DEFAULT_RUNLEVEL) -> None:
        self.plan = plan
        self.durations = durations
        self.runlevel = runlevel
        self.machine = self._boot()
        self.units = self.machine.engine.units
        self.alive = frozenset(name for name, unit in self.units.items() if unit.state is UnitState.UP)

    def _boot(self, failed: str = "") -> Simulator:
        machine = world.of(self.plan, self.durations)
        if failed:
            service = machine.engine.units[failed].service
            machine.behaviours[failed] = failing(service, machine.behaviour(failed), 1)
        world.begin(machine, self.runlevel)
        world.settle(machine)
        return machine

    # -- one service ---------------------------------------------------------------------------------------------

    def impact(self, name: str) -> Impact:
        """What stopping `name` would do. Raises UnknownName."""
        if name not in self.units:
            raise UnknownName(f"no service is called {name!r}")
        stops, let_go = self.stops(name), self.let_go(name)
        lost = {name, *stops, *let_go}
        return Impact(
            name,
            name in self.alive,
            stops,
            let_go,
            tuple(self._degraded(lost)),
            tuple(self._unstarted(lost)),
            tuple(self._logins(name, lost)),
            tuple(sorted(self.dominators.get(name, ()))),
        )

    def stops(self, name: str) -> tuple[str, ...]:
        """What goes down with `name` because it needs it, nearest first."""
        if name not in self.alive:
            return ()
        gone = dict.fromkeys((name, *self._providers(name)))  # a virtual name stands for all its providers
        todo = deque(gone)
        while todo:
            for owner in sorted(self.hard.successors(todo.popleft())):
                is_lost = self.units[owner].service.kind is not Kind.VIRTUAL or gone.keys() >= self._providers(owner)
                if owner not in gone and is_lost:
                    gone[owner] = None
                    todo.append(owner)
        return tuple(each for each in gone if each != name)

    def let_go(self, name: str) -> tuple[str, ...]:
        """What `name` had pulled in, nobody else wants, and asked to be stopped then."""
        if name not in self.alive:
            return ()
        engine = self._boot().engine  # one that may be changed
        free, todo = dict[str, None](), deque([name])
        while todo:
            current = todo.popleft()
            engine.units[current].desired = Desired.DOWN
            for other in unneeded_after(current, engine.units, engine.links):
                if other not in free and other in self.alive:
                    free[other] = None
                    todo.append(other)
        return tuple(free)

    def _degraded(self, lost: set[str]) -> Iterable[Degraded]:
        for owner in sorted(self.alive - lost):
            if self.units[owner].service.kind in world.NAMING_KINDS:
                continue
            for edge in self._edges(owner):
                if edge.kind in SOFT and edge.on in lost:
                    yield Degraded(owner, edge.kind.value, edge.on)

    def _unstarted(self, lost: set[str]) -> Iterable[Unstarted]:
        for name in sorted(lost & self.alive):
            service = self.units[name].service
            if service.starts and service.activates in self.units:
                yield Unstarted(service.activates, name, HOW[service.kind])

    def _logins(self, name: str, lost: set[str]) -> Iterable[Login]:
        service = self.units[name].service
        can_fail = service.kind not in PROCESSLESS and name in self.alive
        times_s = world.first_up_s(self._boot(failed=name)) if can_fail else world.first_up_s(self.machine)
        for login in self.logins:
            yield Login(login, login in lost, None if login == name else times_s.get(login))

    # -- all of them ---------------------------------------------------------------------------------------------

    @cached_property
    def logins(self) -> tuple[str, ...]:
        """The services by which somebody can log in, of those that are up."""
        return tuple(sorted(name for name in self.alive if self._is_login(self.units[name].service)))

    def _is_login(self, service: Service) -> bool:
        """Also the socket of one that the first client starts."""
        target = service.activates
        if service.kind is Kind.SOCKET and service.starts and target in self.units and target not in self.alive:
            return is_login(self.units[target].service)
        return is_login(service)

    def points(self) -> tuple[Point, ...]:
        """Each service that others are lost with; those that take the most logins, then the most services, first."""
        found = []
        taken: dict[str, set[str]] = {}
        for name, dominators in self.dominators.items():
            for dominator in dominators:
                taken.setdefault(dominator, set()).add(name)
        for name, lost in taken.items():
            if self.units[name].service.runs:
                running = sorted(each for each in lost if self.units[each].service.runs)
                logins = tuple(each for each in self.logins if each in lost or each == name)
                if running:
                    found.append(Point(name, tuple(running), logins))
        return tuple(sorted(found, key=lambda each: (-len(each.logins_lost), -len(each.takes_down), each.name)))

    @cached_property
    def dominators(self) -> Mapping[str, frozenset[str]]:
        """What each service that is up is lost with: everything that one need is lost with, and that need; of a virtual
        name, what all its providers have in common."""
        found: dict[str, frozenset[str]] = {}
        for name in nx.lexicographical_topological_sort(self.hard):
            each = [found[on] | {on} for on in self.hard.predecessors(name)]
            if self.units[name].service.kind is Kind.VIRTUAL:
                found[name] = frozenset.intersection(*each) if each else frozenset()
            else:
                found[name] = frozenset[str]().union(*each)
        return found

    @cached_property
    def hard(self) -> nx.DiGraph[str]:
        """From each service that is up to those that are lost with it (a virtual name: with its last provider)."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(sorted(self.alive))
        for owner in self.alive:
            for edge in self._edges(owner):
                if edge.on in self.alive and (edge.kind.is_hard or edge.kind is EdgeKind.PROVIDED_BY):
                    graph.add_edge(edge.on, owner)
        return graph

    def _edges(self, name: str) -> Iterable[Dependency]:
        return self.machine.engine.links.dependencies(name)

    def _providers(self, name: str) -> frozenset[str]:
        """Those of a virtual name that are up."""
        edges = (edge for edge in self._edges(name) if edge.kind is EdgeKind.PROVIDED_BY)
        return frozenset(edge.on for edge in edges) & self.alive


def is_login(service: Service) -> bool:
    """A process with a terminal of its own, or an ssh server, which may run for each connection."""
    if service.kind is Kind.ONESHOT or service.run is None:
        return False
    return bool(service.execution.tty) or basename(service.run.argv[0]) in SSH_SERVERS
