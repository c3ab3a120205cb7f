"""What starts a service when something happens: its sockets, its schedule, the paths it watches?

The parts for each kind have one shape, `Trigger`; here they are made, found by the service they start, and told
when that comes to run or to rest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from linit.engine.effects import Transition
from linit.engine.events import Ready, SpawnFailed
from linit.model.service import TRIGGERS, Kind, Service
from linit.model.state import Role, UnitState
from linit.runtime.failure import error_words
from linit.runtime.preparation import NOTHING, Preparation

if TYPE_CHECKING:
    from linit.runtime.accepting import Connections
    from linit.runtime.errands import Errand
    from linit.runtime.means import Means
    from linit.runtime.sockets import Sockets

RESTS: Final = (UnitState.DOWN, UnitState.FAILED)


class Trigger(Protocol):
    """One that is armed. It reports Triggered only while its service rests; what happens meanwhile it remembers."""

    def runs(self) -> None:
        """Its service left its rest."""

    def rests(self) -> None:
        """Its service came to rest, or rests as this is armed."""

    def change(self, service: Service) -> None:
        """Go on by another definition, which has the same addresses; `rests` follows where its service rests. Raises
        OSError: then this is to be closed."""

    def close(self) -> None:
        """Let go of everything, for good."""

    def words(self) -> list[str]:
        """What it waits for, for people: a line each."""


class Triggers:
    """All that are armed, by name."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._armed: dict[str, Trigger] = {}
        self._by_target: dict[str, dict[str, None]] = {}
        self._sockets: dict[str, Sockets] = {}  # those that are handed over
        self._connections: dict[str, Connections] = {}  # by the listener that accepts them
        self._errands: dict[str, Errand] = {}  # they look up whose a socket is to be

    def arm(self, service: Service) -> None:
        """Make a trigger ready; one that is armed goes on by this definition. Reports Ready or SpawnFailed, later if
        the owner of a socket has to be looked up."""
        self._give_up(service.name)
        if service.listen:
            from linit.runtime import listeners

            if any(listeners.is_named(listen) for listen in service.listen):
                self._look_up(service)
                return
        self._arm(service)

    def _look_up(self, service: Service) -> None:
        """Read the accounts: /etc may be on a disk that hangs."""
        from linit.runtime import listeners
        from linit.runtime.errands import Errand

        def known(answer: str) -> None:
            self._arm(listeners.numbered(service, answer))

        def failed(text: str) -> None:
            if service.name in self._armed:
                self.means.tell(f"{text}; it stays as it was", service.name)
                self.means.report(Ready(service.name))
            else:
                self.means.report(SpawnFailed(service.name, Role.MAIN, text))

        self._errands[service.name] = Errand(self.means.processes, partial(listeners.look_up, service), known, failed)

    def _give_up(self, name: str) -> None:
        """Nobody wants to know any more whose its sockets are."""
        errand = self._errands.pop(name, None)
        if errand is not None:
            errand.cancel()

    def _arm(self, service: Service) -> None:
        trigger = self._armed.get(service.name)
        try:
            if trigger is not None:
                trigger.change(service)
            else:
                trigger = self._make(service)
        except OSError as error:
            self.disarm(service.name)
            self.means.report(SpawnFailed(service.name, Role.MAIN, error_words(error)))
            return
        self._armed[service.name] = trigger
        self._by_target.setdefault(service.activates, {})[service.name] = None
        self.means.report(Ready(service.name))
        target = self.means.engine.units.get(service.activates)
        if target is None or target.state in RESTS:
            trigger.rests()

    def disarm(self, name: str) -> None:
        """Close a trigger; none of that name is no error."""
        self._give_up(name)
        trigger = self._armed.pop(name, None)
        self._sockets.pop(name, None)
        if trigger is not None:
            for names in self._by_target.values():
                names.pop(name, None)
            trigger.close()

    def note(self, transition: Transition) -> None:
        """A service came to run, or to rest."""
        connections = self._connections.get(transition.name.rpartition("@")[0])
        if connections is not None and transition.after in RESTS:
            connections.note(transition)
        was_resting, is_resting = transition.before in RESTS, transition.after in RESTS
        if was_resting is is_resting:
            return
        for name in tuple(self._by_target.get(transition.name, ())):
            trigger = self._armed[name]
            if is_resting:
                trigger.rests()
            else:
                trigger.runs()

    def sockets_of(self, service: Service) -> list[tuple[int, str]]:
        """The sockets that a service is handed when its main process is spawned, and their names. Raises OSError."""
        name = name_of(service.name, Kind.SOCKET)
        sockets = self._sockets.get(name)
        if sockets is None:
            raise OSError(f"{name} is not open")
        return sockets.pairs()

    def connection_of(self, name: str) -> Preparation:
        """The connection that a service is the process for, if it is one."""
        connections = self._connections.get(name.rpartition("@")[0])
        return connections.take(name) if connections is not None else NOTHING

    def words(self, name: str) -> list[str]:
        """What a trigger waits for, for people; [] if none of that name is armed."""
        trigger = self._armed.get(name)
        return trigger.words() if trigger is not None else []

    def close(self) -> None:
        """Let go of all descriptors."""
        for name in (*self._armed, *self._errands):
            self.disarm(name)

    def _make(self, service: Service) -> Trigger:
        """Raises OSError."""
        match service.kind:
            case Kind.SOCKET:
                return self._open(service)
            case Kind.TIMER:
                from linit.runtime.clock import Clock

                return Clock(self.means, service)
            case _:
                from linit.runtime.watching import Watching

                return Watching(self.means, service)

    def _open(self, service: Service) -> Trigger:
        """Raises OSError."""
        if any(listen.accept for listen in service.listen):
            from linit.runtime.accepting import Accepting, Connections

            connections = self._connections.setdefault(service.name, Connections(self.means, service.name))
            return Accepting(self.means, service, connections)
        from linit.runtime.sockets import Sockets

        self._sockets[service.name] = Sockets(self.means, service)
        return self._sockets[service.name]


def name_of(service: str, kind: Kind) -> str:
    """The name of a service's trigger of a kind."""
    return service + TRIGGERS[kind]
