"""Which of the things that happen does a person at the console want to read, and when?

While the machine boots: every service that comes up, every failure, and who is being waited for. Then a login
prompt has the console, and only failures are worth disturbing it. While it stops: who has stopped, who ignored it
(the engine tells that), and who is being waited for.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from linit.engine.effects import AllDown, Answer, BootFinished, Told, Transition
from linit.engine.engine import Engine
from linit.engine.unit import Unit
from linit.model.reason import Cause
from linit.model.service import Kind
from linit.model.state import UnitState
from linit.runtime.loop import Handle, Loop
from linit.system import texts

WAITED_FIRST_S: Final = 5.0  # something that takes longer than this is named
WAITED_AGAIN_S: Final = 10.0  # and then as often as this


class Phase(enum.Enum):
    """What the machine is about."""

    BOOT = "boot"
    RUN = "run"
    STOP = "stop"


class Narrator:
    """Turns the engine's effects into lines. A timer runs only while a boot or a shutdown moves.

    `quiet`: only failures, and what the engine tells. `debug`: every change of state, at any time.
    """

    def __init__(
        self,
        engine: Engine,
        write: Callable[[str], object],
        loop: Loop,
        form: texts.Form,
        *,
        quiet: bool = False,
        debug: bool = False,
    ) -> None:
        self._engine = engine
        self._write = write
        self._loop = loop
        self._form = form
        self._quiet = quiet
        self._debug = debug
        self._phase = Phase.BOOT
        self._began_at_s = loop.time()
        self._timer: Handle | None = None

    def observe(self, effect: Transition | Told | Answer | BootFinished | AllDown) -> None:
        """What the supervisor tells."""
        if self._engine.boot_state == "stopping" and self._phase is not Phase.STOP:
            self._begin_stop()
        if isinstance(effect, Transition):
            self._on_transition(effect)
        elif isinstance(effect, BootFinished):
            self._on_boot_finished(effect)
        elif isinstance(effect, AllDown):
            self._disarm()
        elif isinstance(effect, Told) and self._phase is not Phase.RUN:
            self._write(texts.told(self._form, effect.at_s, effect.name, effect.text))

    def _begin_stop(self) -> None:
        """The machine is about to end."""
        self._phase = Phase.STOP
        if not self._quiet:
            self._write(texts.shutting_down(self._loop.time(), self._who_asked()))
        self._disarm()
        self._arm(WAITED_FIRST_S)

    def _who_asked(self) -> str:
        """For the end of the machine. The engine gave every wish that it withdrew this reason."""
        reasons = (unit.wish for unit in self._engine.units.values() if unit.wish.cause is Cause.SHUTDOWN)
        return next((reason.by for reason in reasons if reason.by), "")

    def _moving(self) -> list[Unit]:
        return [unit for unit in self._engine.units.values() if unit.state.is_moving]

    def _on_transition(self, effect: Transition) -> None:
        unit = self._engine.units.get(effect.name)
        if unit is None:
            return
        for line in self._lines(effect, unit):
            self._write(line)
        self._arm(WAITED_FIRST_S)

    def _lines(self, effect: Transition, unit: Unit) -> tuple[str, ...]:
        """What is shown of a change of state. Nothing of virtual names: their providers are shown.
        Of what starts services, only a failure."""
        if effect.after is UnitState.FAILED and unit.service.kind is not Kind.VIRTUAL:
            return texts.failed(self._form, effect.at_s, effect.name, effect.reason, unit.service.place)
        if self._debug:
            return (texts.moved(self._form, effect.at_s, effect.name, effect.after, effect.reason),)
        if self._quiet or not unit.service.runs:
            return ()
        if self._phase is Phase.BOOT and effect.after is UnitState.UP:
            return (texts.up(self._form, effect.at_s, effect.name, effect.duration_s),)
        if self._phase is Phase.BOOT and effect.after is UnitState.BACKOFF:
            return (texts.respawning(self._form, effect.at_s, effect.name, str(effect.reason)),)
        if self._phase is Phase.STOP and effect.after is UnitState.DOWN and _has_to_be_stopped(unit):
            return (texts.down(self._form, effect.at_s, effect.name, effect.duration_s),)
        return ()

    def _on_boot_finished(self, effect: BootFinished) -> None:
        if self._phase is not Phase.BOOT:
            return
        took_s = effect.at_s - self._began_at_s
        units = tuple(self._engine.units.values())
        if effect.failed or not self._quiet:
            self._write(texts.reached(self._form, effect.at_s, took_s, effect.runlevel, units))
        self._phase = Phase.RUN
        self._disarm()

    def _arm(self, delay_s: float) -> None:
        """Look again after a while. No timer runs once the boot is over, so that an idle machine sleeps."""
        if self._timer is None and self._phase is not Phase.RUN and not self._quiet:
            self._timer = self._loop.call_at(self._loop.time() + delay_s, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        moving = self._moving()
        if not moving:
            return  # the next transition arms it again
        now_s = self._loop.time()
        lines = texts.waiting(self._form, now_s, moving, WAITED_FIRST_S)
        for line in lines:
            self._write(line)
        oldest_s = min((unit.changed_at_s for unit in moving if unit.state in texts.WAITED_FOR), default=now_s)
        self._arm(WAITED_AGAIN_S if lines else oldest_s + WAITED_FIRST_S - now_s)


def _has_to_be_stopped(unit: Unit) -> bool:
    """Is there anything to do? A oneshot that only was up is down by saying so."""
    return unit.service.kind.is_daemon or bool(unit.service.stop)
