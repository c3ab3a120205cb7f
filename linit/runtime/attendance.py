"""What is looked after besides processes: readiness, health, daemons in the background, conditions, triggers?

Each part is imported when the first service asks for it: most machines boot their first services with none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from linit.engine.effects import (
    Arm,
    CheckConditions,
    Disarm,
    FindMain,
    Transition,
    UnwatchHealth,
    UnwatchReadiness,
    WatchHealth,
    WatchReadiness,
)
from linit.model.service import ReadinessKind, Service
from linit.model.state import UnitState
from linit.runtime.preparation import Preparation, handed

if TYPE_CHECKING:
    from linit.runtime.background import Background
    from linit.runtime.conditions import Conditions
    from linit.runtime.fd_store import FdStore
    from linit.runtime.health import Health
    from linit.runtime.means import Means
    from linit.runtime.notify import Voices
    from linit.runtime.readiness import Watches
    from linit.runtime.triggers import Triggers

ENDED: Final = (UnitState.DOWN, UnitState.FAILED, UnitState.BACKOFF)  # nothing of it runs any more


class Attendance:
    """The parts, made when they are needed."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._watches: Watches | None = None
        self._voices: Voices | None = None
        self._fd_store: FdStore | None = None
        self._health: Health | None = None
        self._background: Background | None = None
        self._conditions: Conditions | None = None
        self._triggers: Triggers | None = None
        means.members.before_end = self._before_end
        self.deeds: Mapping[type, Callable[[Any], None]] = {
            WatchReadiness: lambda effect: self.watches.watch(effect.service),
            UnwatchReadiness: self._unwatch,
            FindMain: lambda effect: self.background.find(effect.service),
            CheckConditions: lambda effect: self.conditions.check(effect.service),
            WatchHealth: lambda effect: self.health.watch(effect.service),
            UnwatchHealth: lambda effect: self.health.unwatch(effect.name),
            Arm: lambda effect: self.triggers.arm(effect.service),
            Disarm: lambda effect: self.triggers.disarm(effect.name),
        }

    # -- the parts

    @property
    def watches(self) -> Watches:
        """Readiness."""
        if self._watches is None:
            from linit.runtime.readiness import Watches

            self._watches = Watches(self.means, self._said_ready)
        return self._watches

    @property
    def voices(self) -> Voices:
        """What services say by sd_notify(3)."""
        if self._voices is None:
            from linit.runtime.notify import Voices

            self._voices = Voices(self.means, self)
        return self._voices

    @property
    def fd_store(self) -> FdStore:
        """The descriptors that services have left with linit."""
        if self._fd_store is None:
            from linit.runtime.fd_store import FdStore

            self._fd_store = FdStore(self.means)
        return self._fd_store

    @property
    def health(self) -> Health:
        """Health probes and watchdogs."""
        if self._health is None:
            from linit.runtime.health import Health

            self._health = Health(self.means, self._hear)
        return self._health

    @property
    def background(self) -> Background:
        """Main processes that are not the command that was spawned."""
        if self._background is None:
            from linit.runtime.background import Background

            self._background = Background(self.means)
        return self._background

    @property
    def conditions(self) -> Conditions:
        """What `when:` asks for."""
        if self._conditions is None:
            from linit.runtime.conditions import Conditions

            self._conditions = Conditions(self.means)
        return self._conditions

    @property
    def triggers(self) -> Triggers:
        """Sockets, clocks and watched paths that start services."""
        if self._triggers is None:
            from linit.runtime.triggers import Triggers

            self._triggers = Triggers(self.means)
        return self._triggers

    # -- what happens to services

    def prepare(self, service: Service) -> Preparation:
        """What the main process of a service is given besides its definition. Raises OSError."""
        pairs: list[tuple[int, str]] = []
        if service.listen:
            pairs += self.triggers.sockets_of(service)
        if self._fd_store is not None:
            pairs += self._fd_store.pairs(service.name)
        prepared = handed(pairs)
        if needs_voice(service):
            prepared = prepared | self.voices.prepare(service)
        if service.readiness.kind is ReadinessKind.FD:
            prepared = prepared | self.watches.prepare(service)
        if service.transient and self._triggers is not None:
            prepared = prepared | self._triggers.connection_of(service.name)
        number = prepared.number_taken_twice()
        if number is not None:
            prepared.close()
            raise OSError(f"descriptor {number} is the one of `ready` and one that is handed over: take a higher one")
        return prepared

    def note_transition(self, transition: Transition) -> None:
        """A service came to run, or to rest. What was given to it is taken back when nothing of it runs."""
        if transition.after in ENDED:
            for part in (self._watches, self._voices, self._health):
                if part is not None:
                    part.forget(transition.name)
            if self._fd_store is not None:
                self._fd_store.note_rest()
        if self._triggers is not None:
            self._triggers.note(transition)

    def status_text(self, name: str) -> str:
        """What the service last said of itself, and what its checks say; "" if nothing."""
        texts = (
            self._voices.text(name) if self._voices is not None else "",
            self._watches.texts.get(name, "") if self._watches is not None else "",
            self._health.text(name) if self._health is not None else "",
        )
        return "; ".join(text for text in texts if text)

    def close(self) -> None:
        """Let go of all descriptors."""
        for part in (self._voices, self._fd_store):
            if part is not None:
                part.close()
        if self._triggers is not None:
            self._triggers.close()

    def _said_ready(self, name: str) -> bool:
        return self._voices is not None and self._voices.take_ready(name)

    def _hear(self, name: str) -> str:
        return self._voices.hear(name) if self._voices is not None else ""

    def _before_end(self, name: str, pid: int, status: int) -> str:
        """A main process has ended. What it said is heard first: its successor, perhaps, or why it failed."""
        said = self._hear(name)
        if self._health is not None:
            self._health.note_end(name)
        if self._background is not None:
            self._background.look_behind(name, pid, status)
        return said

    def _unwatch(self, effect: UnwatchReadiness) -> None:
        if self._watches is not None:
            self._watches.unwatch(effect.name)
        if self._background is not None:
            self._background.give_up(effect.name)
        if self._conditions is not None:
            self._conditions.give_up(effect.name)


def needs_voice(service: Service) -> bool:
    """Is it given a NOTIFY_SOCKET?"""
    if service.readiness.kind is ReadinessKind.NOTIFY:
        return True
    return service.watchdog_s is not None or service.fd_store > 0 or service.reload_notifies
