"""How does an effect become a deed, and a deed an event? The imperative shell around the engine.

`dispatch(event)` asks the engine what follows and performs it, effect by effect. What happens meanwhile is queued,
never handled in the middle; what takes long is done in turns (`linit.runtime.backlog`). A bug, in the engine or in a
deed, is caught here and nowhere else: it is told with its event, and the loop goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from linit.engine.effects import (
    AllDown,
    Answer,
    ArmTimer,
    BootFinished,
    DisarmTimer,
    Effect,
    KillAll,
    Signal,
    Spawn,
    To,
    Told,
    Transition,
)
from linit.engine.engine import Engine
from linit.engine.events import (
    Event,
    LockAsked,
    LockReleased,
    MainFound,
    PlanLoaded,
    Request,
    RunTransient,
    Shutdown,
    Spawned,
    SpawnFailed,
    Verb,
)
from linit.model.paths import Paths
from linit.model.service import Command, Kind, Output, Plan, Service
from linit.model.state import Finish, Role, UnitState
from linit.runtime.attendance import Attendance
from linit.runtime.backlog import Backlog, HeldBack
from linit.runtime.failure import error_words
from linit.runtime.loop import Loop
from linit.runtime.means import Means
from linit.runtime.members import Members
from linit.runtime.output import Output as Pipes
from linit.runtime.preparation import NOTHING
from linit.runtime.processes import Processes
from linit.runtime.programs import PATH
from linit.runtime.sessions import lineage
from linit.runtime.spawn import Launch
from linit.runtime.timers import Timers
from linit.runtime.wording import transition_words

if TYPE_CHECKING:
    from linit.engine.unit import Unit
    from linit.runtime.logger import Logger

Observed = Transition | Told | Answer | BootFinished | AllDown
AT_REST: Final = (UnitState.UP, UnitState.DOWN, UnitState.FAILED)
WRITERS: Final = (Role.PRE, Role.MAIN)  # whose pid its lines bear
LINIT: Final = "linit"  # what is told about nobody in particular
SYSTEM_ENVIRONMENT: Final = {
    "PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh",
}  # fmt: skip


class RenewPlan(Protocol):
    """How a new plan comes to be loaded."""

    def __call__(self, number: int, by: str, on_answer: Callable[[Answer], object], *, start_enabled: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between PID 1 and a supervisor that a user runs.

    `environment`, `rlimits`: of every command, before the service's own. `console`: as `Launch.output`. `cgroup_root`:
    a cgroup2 directory in which cgroups may be made, "" for none.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: SYSTEM_ENVIRONMENT)
    console: int | str = "/dev/console"
    cgroup_root: str = "/sys/fs/cgroup"
    rlimits: tuple[tuple[str, int, int], ...] = ()


class Supervisor:
    """Performs what the engine orders.

    Who puts it together counts `wakeups` (of the loop), and sets `renew_plan`, and `logger` when that runs.
    """

    def __init__(
        self,
        engine: Engine,
        loop: Loop,
        paths: Paths,
        processes: Processes,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.engine = engine
        self.loop = loop
        self.paths = paths
        self.bugs = 0
        self.wakeups = 0
        self.renew_plan: RenewPlan | None = None
        self.surroundings = surroundings or Surroundings()
        self.processes = processes
        processes.confess = self.confess
        self.backlog = Backlog(loop, self._handle, self._do)
        processes.is_held = self._is_behind
        held = HeldBack(loop, self._is_behind)  # for all who report events
        rooms = f"{paths.run}/private"
        self.members = Members(held, self.processes, self.surroundings.cgroup_root, self._on_process_event, rooms)
        self.timers = Timers(held, self.dispatch)
        self.pipes = Pipes()
        self.logger: Logger | None = None
        asked = self._launch_probe, self.run, self.request
        means = Means(engine, held, paths, self.members, self.dispatch, self.tell, *asked, self.pipes, processes)
        self.attendance = Attendance(means)
        self.measure: Callable[[Transition], object] = lambda _: None  # before what a service had is given back
        self._ids = itertools.count(1)
        self._on_answer: dict[int, Callable[[Answer], object]] = {}
        self._lock_pids: dict[int, int] = {}  # number of a claim to a lock -> whose it is
        self._observers: list[Callable[[Any], object]] = []
        self._perform: dict[type, Callable[[Any], None]] = {
            Spawn: self._spawn,
            Signal: self.members.signal,
            KillAll: lambda effect: self.members.kill_all(effect.name),
            ArmTimer: lambda effect: self.timers.arm(effect.name, effect.kind, effect.delay_s),
            DisarmTimer: lambda effect: self.timers.disarm(effect.name, effect.kind),
            Transition: self._transition,
            Told: self._tell,
            Answer: self._answer,
            BootFinished: self._notify,
            AllDown: self._notify,
            **self.attendance.deeds,
        }

    # -- what others ask

    def request(
        self,
        verb: Verb,
        names: tuple[str, ...],
        by: str,
        on_answer: Callable[[Answer], object] = lambda _answer: None,
        *,
        cascade: bool = True,
        only: bool = False,
        caller: str = "",
        waits: bool = True,
        held: tuple[int, ...] = (),
    ) -> int:
        """Ask the engine for something; `on_answer` is called exactly once, perhaps before this returns."""
        number = self._expect(on_answer)
        self.dispatch(Request(number, verb, names, by, cascade, only, caller, waits, held))
        return number

    def run(
        self,
        service: Service,
        by: str,
        on_answer: Callable[[Answer], object] = lambda _answer: None,
        *,
        caller: str = "",
        waits: bool = True,
        held: tuple[int, ...] = (),
    ) -> int:
        """Run a transient service; answered as a start."""
        number = self._expect(on_answer)
        self.dispatch(RunTransient(number, service, by, caller, waits, held))
        return number

    def lock(
        self,
        name: str,
        by: str,
        on_answer: Callable[[Answer], object] = lambda _answer: None,
        *,
        pid: int = 0,
        caller: str = "",
        waits: bool = True,
    ) -> int:
        """Ask for a lock, for the process `pid`. The number is for `unlock`, which must follow sooner or later."""
        number = self._expect(on_answer)
        held = self.locks_of(pid)
        if pid:
            self._lock_pids[number] = pid
        self.dispatch(LockAsked(number, name, by, caller, waits, held))
        return number

    def unlock(self, number: int) -> None:
        """Whoever asked for the lock with this number holds or wants it no more."""
        self._lock_pids.pop(number, None)
        self.dispatch(LockReleased(number))

    def locks_of(self, pid: int) -> tuple[int, ...]:
        """The claims to locks of a process and its ancestors: a wait of the process is one of theirs, too."""
        if not (self._lock_pids and pid):
            return ()
        family = set(lineage(pid))
        return tuple(number for number, holder in self._lock_pids.items() if holder in family)

    def _expect(self, on_answer: Callable[[Answer], object]) -> int:
        number = next(self._ids)
        self._on_answer[number] = on_answer
        return number

    def unit_of(self, pid: int) -> str:
        """The service that a process belongs to, as the kernel tells; "" if it is nobody's."""
        return self.members.owner_of(pid)

    def load_plan(
        self,
        plan: Plan,
        by: str,
        on_answer: Callable[[Answer], object] = lambda _answer: None,
        *,
        start_enabled: bool = True,
    ) -> int:
        """Put another plan to use."""
        number = self._expect(on_answer)
        self.dispatch(PlanLoaded(number, plan, by, start_enabled))
        return number

    def reload_plan(
        self, by: str, on_answer: Callable[[Answer], object] = lambda _answer: None, *, start_enabled: bool = True
    ) -> None:
        """Compile the definitions anew if they changed, and put the plan to use.

        The answer has a result for each service that was added, changed or removed; if there is no plan to be had,
        it has failed, with one result that names no service and says why.
        """
        assert self.renew_plan is not None, "linit bug: nobody can make a plan"
        self.renew_plan(next(self._ids), by, on_answer, start_enabled=start_enabled)

    def shutdown(self, finish: Finish, by: str) -> None:
        """Stop everything; the end of it is the effect AllDown."""
        self.dispatch(Shutdown(finish, by))

    def signal(self, name: str, number: int, to: To) -> None:
        """Send a signal to processes of a service that has some."""
        self.members.signal(Signal(name, number, to))

    def observe(self, callback: Callable[[Any], object]) -> None:
        """Call back with every Transition, Told, Answer, BootFinished and AllDown, when it has been performed."""
        self._observers.append(callback)

    def tell(self, text: str, name: str = LINIT) -> None:
        """Say something about linit itself, to whoever listens."""
        self._tell(Told(name, text, self.loop.time()))

    def status_text(self, name: str) -> str:
        """What the service last said of itself (STATUS= of sd_notify), "" if nothing."""
        return self.attendance.status_text(name)

    def trigger_words(self, name: str) -> list[str]:
        """What a trigger waits for, for people; [] if it is not armed."""
        return self.attendance.triggers.words(name)

    def usage(self, unit: Unit) -> dict[str, Any]:
        """What a service uses now, and why its limits are not in force, if so; {} if nothing of it runs."""
        from linit.runtime import usage  # for people who ask

        return usage.record(self.members, unit.service)

    def figures(self) -> dict[str, Any]:
        """For the report."""
        recorder = self.pipes.recorder
        return {
            "recording": recorder.key if recorder else "",
            "recorded": recorder.rows if recorder else 0,
            "wakeups": self.wakeups,
            "orphans_reaped": self.processes.orphans_reaped,
            "logger_pid": self.logger.pid if self.logger else 0,
            "logger_restarts": self.logger.restarts if self.logger else 0,
            "bugs": self.bugs,
        }

    def close(self) -> None:
        """Let go of all descriptors."""
        self.attendance.close()
        self.members.close()
        self.pipes.close()

    # -- events in, effects out

    def _is_behind(self) -> bool:
        return self.backlog.is_behind

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call back when all who observe have been told of everything that has happened so far."""
        self.backlog.when_done(callback)

    def dispatch(self, event: Event) -> None:
        """Handle an event, after those that came before it."""
        self.backlog.add(event)

    def _handle(self, event: Event) -> tuple[Effect, ...]:
        now_s = self.loop.time()
        self._record(event, now_s)
        try:
            return self.engine.handle(event, now_s)
        except Exception as bug:
            self._confess(event, bug)
            return ()

    def _record(self, event: Event, now_s: float) -> None:
        try:
            self.pipes.record(event, now_s)
        except Exception as bug:  # a boot without a recording is better than none
            self.pipes.recorder = None
            self._confess(event, bug)

    def _do(self, effect: Effect) -> None:
        try:
            self._perform[type(effect)](effect)
        except Exception as bug:
            self._confess(effect, bug)
            if isinstance(effect, Spawn):  # or the unit would wait for its end for ever
                text = f"a fault of linit's: {bug!r}"
                self.dispatch(SpawnFailed(effect.service.name, effect.role, text))

    def confess(self, what: str, bug: BaseException, name: str = LINIT) -> None:
        """Tell of a fault of linit's own, with the line of code where it happened."""
        self.bugs += 1
        last = bug.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        where = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else "unknown place"
        self.tell(f"a fault of linit's ({where}): {bug!r}, in {what}", name)

    def _confess(self, cause: Event | Effect, bug: Exception) -> None:
        # A plan, or a service with its whole definition, is no help in a line of log.
        what = type(cause).__name__ if isinstance(cause, PlanLoaded) or hasattr(cause, "service") else repr(cause)
        name = getattr(cause, "name", "") or getattr(getattr(cause, "service", None), "name", "")
        self.confess(what, bug, name or LINIT)

    def _on_process_event(self, event: Event) -> None:
        if isinstance(event, MainFound) or (isinstance(event, Spawned) and event.role in WRITERS):
            self.pipes.has_main(event.name, event.pid)
        self.dispatch(event)

    # -- deeds

    def _spawn(self, effect: Spawn) -> None:
        service, role = effect.service, effect.role
        command = command_of(effect)
        try:
            launch = self._launch(service, command, with_tty=role is Role.MAIN)
            prepared = self.attendance.prepare(service) if role is Role.MAIN else NOTHING
        except OSError as error:
            self._on_process_event(SpawnFailed(service.name, role, f"set-up: {error_words(error)}"))
            return
        speaking = prepared.given_to(launch)
        try:
            self.members.spawn(service.name, role, lambda cgroup: replace(speaking, cgroup=cgroup))
        finally:
            prepared.close()

    def _launch(self, service: Service, command: Command, with_tty: bool = False) -> Launch:
        """What a command of a service is run with, but for its cgroup. Raises OSError."""
        environment = self.environment_of(service.name)
        tty = service.execution.tty if with_tty else ""
        output, errors = ("/dev/null", None) if tty else self._destination(service)
        rlimits = self.surroundings.rlimits
        return Launch(command.argv, service.execution, environment, output, errors, tty, rlimits=rlimits)

    def environment_of(self, name: str) -> dict[str, str]:
        """What linit adds to the environment of a service's commands."""
        return {**self.surroundings.environment, "LINIT_SERVICE": name, "LINIT_CONTROL": self.paths.control}

    def _destination(self, service: Service) -> tuple[int | str, int | None]:
        """Where standard output goes, and standard error if elsewhere. Raises OSError."""
        match service.execution.output:
            case Output.CONSOLE:
                return self.surroundings.console, None
            case Output.NULL:
                return "/dev/null", None
            case _:
                return self.pipes.writing_ends(service)

    def _launch_probe(self, service: Service, command: Command) -> Callable[[str], Launch]:
        launch = self._launch(service, command)
        return lambda cgroup: replace(launch, cgroup=cgroup)

    # -- what is told

    def _transition(self, transition: Transition) -> None:
        unit = self.engine.units.get(transition.name)
        self.attendance.note_transition(transition)
        self.measure(transition)
        if transition.after in AT_REST:
            self.members.retire(transition.name)
            if unit is None:
                self.pipes.drop(transition.name)
        is_told = unit is not None and (unit.service.kind.runs or unit.service.kind.is_trigger)
        if unit is not None and is_told and not self.pipes.is_shared(unit.name):
            self.pipes.line(transition.name, transition_words(transition, unit))
            if transition.after is UnitState.UP and unit.service.kind is Kind.ONESHOT:
                self.pipes.say("writable")  # it may have been the one that mounts the log's folder
        self._notify(transition)

    def _tell(self, told: Told) -> None:
        self.pipes.line(told.name, told.text)
        self._notify(told)

    def _answer(self, answer: Answer) -> None:
        on_answer = self._on_answer.pop(answer.id, None)
        if on_answer is not None:
            on_answer(answer)
        self._notify(answer)

    def _notify(self, effect: Observed) -> None:
        for callback in self._observers:
            try:
                callback(effect)
            except Exception as bug:
                if not isinstance(effect, Told):  # who cannot be told anything is not told that either
                    self.confess(f"an observer of {type(effect).__name__}", bug)


def command_of(spawn: Spawn) -> Command:
    """Which command of the service a Spawn is about."""
    service = spawn.service
    match spawn.role:
        case Role.MAIN:
            command = service.run
        case Role.RELOAD:
            command = service.reload
        case Role.PRE:
            command = service.pre[spawn.index]
        case Role.POST:
            command = service.post[spawn.index]
        case Role.STOP:
            command = service.stop[spawn.index]
    assert command is not None, f"linit bug: {service.name} has no {spawn.role.value} command"
    return command
