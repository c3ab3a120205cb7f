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
from linit.engine.events import Event, Exited, SpawnFailed
from linit.model.service import ReadinessKind, Service
from linit.model.state import Role
from linit.runtime.preparation import NOTHING, Preparation

if TYPE_CHECKING:
    from linit.runtime.background import Background
    from linit.runtime.conditions import Conditions
    from linit.runtime.health import Health
    from linit.runtime.means import Means
    from linit.runtime.readiness import Watches
    from linit.runtime.triggers import Triggers

SPEAKING: Final = (ReadinessKind.NOTIFY, ReadinessKind.FD)  # the main process is given something to speak through


class Attendance:
    """The parts, made when they are needed."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._watches: Watches | None = None
        self._health: Health | None = None
        self._background: Background | None = None
        self._conditions: Conditions | None = None
        self._triggers: Triggers | None = None
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
        """Readiness, and all that services say by sd_notify(3)."""
        if self._watches is None:
            from linit.runtime.readiness import Watches

            self._watches = Watches(self.means)
        return self._watches

    @property
    def health(self) -> Health:
        """Health probes and watchdogs."""
        if self._health is None:
            from linit.runtime.health import Health

            self._health = Health(self.means)
            self.watches.on_fed = self._health.fed
        return self._health

    @property
    def background(self) -> Background:
        """The main processes of forking services."""
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
        prepared = NOTHING
        if needs_voice(service) or service.readiness.kind in SPEAKING:
            prepared = prepared | self.watches.prepare(service)
        if service.listen:
            prepared = prepared | self.triggers.sockets_of(service)
        return prepared

    def note_process_event(self, event: Event) -> None:
        """A main process that is gone says nothing more."""
        if isinstance(event, Exited | SpawnFailed) and event.role is Role.MAIN and self._watches is not None:
            self._watches.forget(event.name)

    def note_transition(self, transition: Transition) -> None:
        """A service that a trigger starts came to run, or to rest."""
        if self._triggers is not None:
            self._triggers.note(transition)

    def status_text(self, name: str) -> str:
        """What the service last said of itself (STATUS= of sd_notify), "" if nothing."""
        return self._watches.status_texts.get(name, "") if self._watches else ""

    def close(self) -> None:
        """Let go of all descriptors."""
        if self._triggers is not None:
            self._triggers.close()

    def _unwatch(self, effect: UnwatchReadiness) -> None:
        if self._watches is not None:
            self._watches.unwatch(effect.name)
        if self._background is not None:
            self._background.give_up(effect.name)
        if self._conditions is not None:
            self._conditions.give_up(effect.name)


def needs_voice(service: Service) -> bool:
    """Is it given a NOTIFY_SOCKET, whatever makes it ready?"""
    return service.watchdog_s is not None or service.fd_store > 0 or service.reload_notifies
