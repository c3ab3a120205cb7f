"""What does the control server need of the supervisor and of the loop? `linit.runtime` satisfies it; so does the small
fake of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from linit.engine.effects import Answer, To
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.engine.unit import Unit
from linit.model.service import Service
from linit.model.state import Finish


class Loop(Protocol):
    """The part of an event loop that is used here; asyncio's has it, and the runtime's Prelude."""

    def time(self) -> float:
        """Seconds on the monotonic clock, which is the engine's."""

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> object: ...

    def remove_reader(self, fd: int, /) -> object: ...

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> object: ...

    def remove_writer(self, fd: int, /) -> object: ...

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> object: ...


class Supervised(Protocol):
    """The part of the supervisor that is used here."""

    @property
    def engine(self) -> Engine: ...

    def request(
        self,
        verb: Verb,
        names: tuple[str, ...],
        by: str,
        on_answer: Callable[[Answer], object],
        *,
        cascade: bool = True,
        only: bool = False,
        caller: str = "",
        waits: bool = True,
        held: tuple[int, ...] = (),
    ) -> object: ...

    def run(
        self,
        service: Service,
        by: str,
        on_answer: Callable[[Answer], object],
        *,
        caller: str = "",
        waits: bool = True,
        held: tuple[int, ...] = (),
    ) -> object:
        """Run a transient service; answered as a start."""

    def lock(
        self,
        name: str,
        by: str,
        on_answer: Callable[[Answer], object],
        *,
        pid: int = 0,
        caller: str = "",
        waits: bool = True,
    ) -> int:
        """Ask for a lock, for the process `pid`; `unlock` with the number that this returns must follow."""

    def unlock(self, number: int) -> object:
        """It is not held or wanted any more."""

    def locks_of(self, pid: int) -> tuple[int, ...]:
        """The claims to locks of a process and its ancestors: `held` of what that process asks."""

    def unit_of(self, pid: int) -> str:
        """The service that a process belongs to; "" if it is nobody's."""

    def reload_plan(self, by: str, on_answer: Callable[[Answer], object], *, start_enabled: bool = True) -> object:
        """Compile anew and put to use. The answer has a result for each service that is different; when there is no
        plan, it has failed, with one result that names no service."""

    def shutdown(self, finish: Finish, by: str) -> object: ...

    def observe(self, callback: Callable[[Any], object]) -> object:
        """Call back with every Transition, Told and BootFinished, and perhaps with other effects."""

    def when_done(self, callback: Callable[[], object]) -> object:
        """Call back when all who observe have been told of everything that has happened so far: perhaps at once."""

    def signal(self, name: str, number: int, to: To) -> object:
        """Send a signal to processes of a service that has some."""

    def status_text(self, name: str) -> str:
        """What the service last said of itself, "" if nothing."""

    def trigger_words(self, name: str) -> list[str]:
        """What a trigger waits for, for people; [] if it is not armed."""

    def usage(self, unit: Unit) -> dict[str, Any]:
        """What a service uses, as `linit.runtime.usage.record` has it; {} if nothing of it runs."""

    def figures(self) -> dict[str, Any]:
        """`wakeups` (of the loop), `orphans_reaped`, `logger_pid` (0: none), `logger_restarts`."""
