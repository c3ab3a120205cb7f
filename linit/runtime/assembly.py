"""How do the parts become a running linit? The same for PID 1 and for a supervisor that a user runs.

The order is what makes a boot fast: the plan is read, the engine asked, the services are spawned, all by a loop of
linit's own. asyncio, the control server and whatever else a boot can do without are imported when it is over, the
control server before that if somebody asks; who connects to the socket is not refused meanwhile.

    assembly = Assembly(paths, "system", surroundings)
    found = plans.find(paths)                   # perhaps assembly.compile(), and find once more
    supervisor = assembly.begin(found.plan)
    supervisor.observe(...); supervisor.request(Verb.RUNLEVEL, ("default",), by)
    assembly.serve()
    finish = assembly.run()                     # returns when everything is down
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from linit.control.boot_record import BootRecord
from linit.engine.effects import AllDown, Answer, BootFinished, Transition
from linit.engine.engine import Engine
from linit.lean import bundle
from linit.model.paths import Paths
from linit.model.service import Plan
from linit.model.state import Finish, Outcome, UnitState
from linit.plan.weights import FILE as WEIGHTS
from linit.record.recorder import Recorder
from linit.runtime import plans
from linit.runtime.boot_costs import BootCosts
from linit.runtime.boot_weights import BootWeights
from linit.runtime.failure import error_words
from linit.runtime.loop import Handle, Prelude
from linit.runtime.output import log_environment
from linit.runtime.piping import Loggers
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from linit.runtime.supervisor import LINIT, Supervisor, Surroundings
from linit.runtime.wording import runlevel_words

SYSTEM_DESCRIPTORS: Final = 524_288
MANY: Final = 150  # services, which need more descriptors than the kernel gives at first
SETTLES_AFTER_S: Final = 30.0
LOG_BEGINS_S: Final = 5.0  # longer than most boots; who fills its pipe before that waits for the log process
COMPILED: Final = ("termios", "resource", "_ctypes")
NEEDED_IN_TROUBLE: Final = ("traceback", "ctypes", "re", "hashlib")
"""What of the library linit may need when there is no disk to load it from any more: machine code is loaded, the rest
stays in the bundle's memory where there is one."""

if TYPE_CHECKING:
    import asyncio
    import socket

    from linit.control.server import ControlServer


class Assembly:
    """A supervisor with everything around it.

    `mode` is "system" or "user"; `compile_arguments` are the compiler's; `adapt` has the last word on every plan.
    """

    def __init__(
        self,
        paths: Paths,
        mode: str,
        surroundings: Surroundings,
        compile_arguments: tuple[str, ...] = (),
        adapt: Callable[[Plan], Plan] = lambda plan: plan,
    ) -> None:
        gc.disable()  # until everything that stays is there: decoding a plan makes no garbage
        self.paths = paths
        self.mode = mode
        self.surroundings = surroundings
        self.prelude = Prelude()
        self.prelude.turned = self._turned
        self.prelude.confess = self._confess
        self.signals = Signals(self.prelude)
        self.processes = Processes(self.prelude, self.signals)
        self.compiler = plans.Compiler(self.prelude, self.processes, compile_arguments)
        self.adapt = adapt
        self.finish: Finish | None = None
        self._control: ControlServer | None = None
        self._listener: socket.socket | None = None
        self._settling: Handle | None = None  # until the boot is over
        self._record = BootRecord()  # of what happens before there is a control server to ask
        self._supervisor: Supervisor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_listening = False
        self._loggers: Loggers | None = None
        self._log_is_due: Handle | None = None  # while the log process waits for the boot to be over
        self._costs: BootCosts | None = None  # there after `begin`
        self._weights: BootWeights | None = None  # so is this, for PID 1

    @property
    def supervisor(self) -> Supervisor:
        """There after `begin`."""
        assert self._supervisor is not None, "linit bug: nothing has begun yet"
        return self._supervisor

    @property
    def control(self) -> ControlServer:
        """Who answers; made at the first use, which is the first client's or when the boot is over."""
        if self._control is None:
            self.begin_log()
            from linit.control.server import ControlServer

            server = ControlServer(self.supervisor, self.prelude, self.paths, self.mode, self._record)
            self._control = server
            if self._listener is not None:
                self.prelude.remove_reader(self._listener.fileno())
                server.accept_on(self._listener)
        return self._control

    def compile(self) -> str:
        """Have the plan made, and wait for it (at most `plans.LIMIT_S`); what went wrong, "" if there is a plan."""
        problems: list[str] = []

        def on_done(problem: str) -> None:
            problems.append(problem)
            self.prelude.stop()

        self.compiler.compile(on_done)
        while not problems:
            self.prelude.run_forever()
        return problems[0]

    def begin(self, plan: Plan) -> Supervisor:
        """Put a plan to use. Nothing is started yet."""
        supervisor = Supervisor(Engine(self.adapt(plan)), self.prelude, self.paths, self.processes, self.surroundings)
        is_system = self.mode == "system"
        supervisor.pipes.recorder = Recorder(supervisor.engine, self.prelude.time(), packs_later=is_system)
        supervisor.members.cgroups.keeps_empty = is_system
        pipes, environment_of = supervisor.pipes, supervisor.environment_of
        self._loggers = Loggers(self.prelude, self.processes, pipes, environment_of, supervisor.tell)
        self._costs = BootCosts(supervisor.pipes, supervisor.members, supervisor.confess)
        supervisor.measure = self._costs.note
        if is_system:
            path, cgroups = f"{self.paths.state}/{WEIGHTS}", supervisor.members.cgroups
            self._weights = BootWeights(
                path, cgroups, supervisor.engine, self.prelude, processes=self.processes, backlog=supervisor.backlog
            )
            supervisor.observe(self._weights.observe)
        supervisor.observe(self._record.note)
        supervisor.observe(self._observe)
        supervisor.renew_plan = self._renew_plan
        self._supervisor = supervisor
        if len(plan.services) > MANY:
            self._raise_descriptor_limit()
        return supervisor

    def serve(self) -> None:
        """Listen on the control socket. Whoever connects is answered at once; all else that is not needed for the boot
        is imported, and the log process begins, when that is over, or takes longer than SETTLES_AFTER_S and
        LOG_BEGINS_S."""
        now_s = self.prelude.time()
        if self.mode == "system" and self.supervisor.engine.boot_state == "booting":
            self._log_is_due = self.prelude.call_at(now_s + LOG_BEGINS_S, self.begin_log)
        else:
            self.begin_log()
        self._listen()
        gc.freeze()  # what is there now stays: neither looked through again nor copied page by page after a fork
        self._settling = self.prelude.call_at(now_s + SETTLES_AFTER_S, self._settle)

    def run(self) -> Finish:
        """Run until everything is down, for whatever reason; what is to be done then."""
        if self._costs is not None:
            self._costs.loop_runs()
        self.supervisor.backlog.takes_turns = True  # what was ordered until now came first
        while self.finish is None:
            try:
                self.prelude.run_forever()
            except Exception as bug:
                self.supervisor.confess("the loop", bug)
        return self.finish

    def begin_log(self) -> None:
        """Start the log process, if that has not been done yet. Its interpreter and modules cost as much as a dozen
        starts, and what it is to be given waits: lines in their pipes, what linit says and the recording here."""
        supervisor = self.supervisor
        if self._log_is_due is not None:
            self._log_is_due.cancel()
            self._log_is_due = None
        if supervisor.logger is not None:
            return
        from linit.runtime.logger import Logger

        supervisor.logger = Logger(
            self.prelude,
            self.processes,
            supervisor.pipes,
            environment=log_environment(self.paths, self.mode, supervisor.pipes.recorder),
            stderr=self.surroundings.console if self.mode == "system" else 2,
            tell=supervisor.tell,
        )
        supervisor.logger.start()

    def close_logger(self) -> None:
        """Wait until logger commands and the log process have written everything; at most ten seconds each."""
        if self._loggers is not None:
            self._loggers.close(self.prelude.stop)
            self.prelude.run_forever()
        logger = self.supervisor.logger
        if logger is not None:
            logger.close(self.prelude.stop)
            self.prelude.run_forever()

    def close(self) -> None:
        """Let go of everything."""
        if self._control is not None:
            self._control.close()
        elif self._listener is not None:
            self._listener.close()
            with contextlib.suppress(OSError):
                os.unlink(self.paths.control)
        if self._supervisor is not None:
            self._supervisor.close()
        self.signals.close()
        if self._loop is not None:
            self._loop.close()

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        import selectors
        from asyncio.selector_events import BaseSelectorEventLoop

        class CountingSelector(selectors.DefaultSelector):
            """Counts how often it came back from waiting."""

            def select(selector, timeout: float | None = None) -> Any:
                asleep_s = monotonic()
                ready = super().select(timeout)
                self._turned(asleep_s, monotonic(), timeout is None or timeout > 0)
                return ready

        loop = BaseSelectorEventLoop(CountingSelector())
        loop.set_exception_handler(self._on_exception)
        return loop

    def _turned(self, asleep_s: float, awake_s: float, has_waited: bool) -> None:
        if self._costs is not None:
            self._costs.turns(asleep_s, awake_s)
        if self._supervisor is not None:
            self._supervisor.backlog.turned(awake_s)
            self._supervisor.wakeups += has_waited

    def _confess(self, what: str, bug: Exception) -> None:
        if self._supervisor is not None:
            self._supervisor.confess(what, bug)

    def _on_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback of the loop: told, and the loop goes on."""
        bug = context.get("exception") or RuntimeError(context.get("message"))
        if self._supervisor is not None:
            self._supervisor.confess(repr(context.get("handle", context.get("message"))), bug)

    def _observe(self, effect: object) -> None:
        if isinstance(effect, AllDown):
            self.finish = effect.finish
            self.prelude.stop()
        elif isinstance(effect, Transition) and effect.after is UnitState.UP and self._settling is not None:
            self._listen()
        elif isinstance(effect, BootFinished):
            self.supervisor.pipes.line(LINIT, runlevel_words(effect, self.supervisor.engine.units))
            self.prelude.call_soon(self._after_boot)

    def _after_boot(self) -> None:
        """Once everybody has been told: a getty writes to the same console as who tells a person."""
        self.begin_log()
        if self._costs is not None:
            self._costs.finished()
            if self._weights is not None:
                self._weights.finished(self._costs.taken)
        self._end_first_boot()
        self._settle()

    def _end_first_boot(self) -> None:
        from linit.runtime import stamps  # when the services are up

        services = (unit.service for unit in self.supervisor.engine.units.values())
        problem = stamps.end_first_boot(self.paths, services)
        if problem:
            self.supervisor.tell(problem)

    def _listen(self) -> None:
        """Open the control socket. Where it cannot be yet (a root that is still read-only), tried again later."""
        if self._is_listening:
            return
        from linit.control.listener import opened

        try:
            self._listener = opened(self.paths.control)
        except OSError as error:
            if self.mode == "user" or self.supervisor.engine.boot_state != "booting":
                self._is_listening = True  # given up: said once
                self.supervisor.tell(f"control socket: {error_words(error)}")
            return
        self._is_listening = True
        if self._control is not None:
            self._control.accept_on(self._listener)
        else:
            self.prelude.add_reader(self._listener.fileno(), lambda: self.control)
        if self.mode == "user":
            self.supervisor.tell(f"pid {os.getpid()} listens on {self.paths.control}")

    def _settle(self) -> None:
        """The boot is over: import step by step, between whatever else happens, what it did without."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
            gc.enable()
            self.prelude.call_soon(self._settle_further, self._settling_steps())

    def _settle_further(self, steps: Iterator[object]) -> None:
        try:
            next(steps)
        except StopIteration:
            return
        self.prelude.call_soon(self._settle_further, steps)

    def _settling_steps(self) -> Iterator[object]:
        self.supervisor.members.cgroups.let_go()
        yield self.control
        self._raise_descriptor_limit()
        self._loop = self._make_loop()
        yield from bundle.keep()  # nothing may depend on a disk that goes away
        for name in (*COMPILED, *(() if bundle.is_open() else NEEDED_IN_TROUBLE)):
            yield __import__(name)
        self.prelude.hand_over(self._loop)
        self.prelude.call_soon(self._give_back)

    def _give_back(self) -> None:
        """In a turn of its own: by now nobody holds what only the boot needed."""
        try:
            from linit.runtime import thrift

            thrift.give_back()
        except Exception as bug:  # an interpreter without ctypes, say: linit is larger and does its work
            self.supervisor.confess("giving memory back", bug)
        gc.freeze()

    def _raise_descriptor_limit(self) -> None:
        """Only when it is about to be needed: a command that is to have the limit of before costs a step more."""
        if self.mode == "system" and not self.supervisor.surroundings.rlimits:
            self.supervisor.surroundings = replace(self.surroundings, rlimits=raise_descriptor_limit())

    def _renew_plan(self, number: int, by: str, on_answer: Callable[[Answer], object], *, start_enabled: bool) -> None:
        def on_compiled(problem: str) -> None:
            found = plans.find(self.paths) if not problem else plans.Found(None, problem)
            if found.plan is None:
                on_answer(Answer(number, Outcome.FAILED, (("", Outcome.FAILED, found.problem),)))
            else:
                self.supervisor.load_plan(self.adapt(found.plan), by, on_answer, start_enabled=start_enabled)

        self.compiler.compile(on_compiled)


def raise_descriptor_limit() -> tuple[tuple[str, int, int], ...]:
    """Two descriptors are needed for each service: take all that we may. What commands get is the limit of before.

    Source: getrlimit(2), proc_sys_fs(5) for nr_open.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard
    if os.geteuid() == 0:
        wanted = max(hard, SYSTEM_DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (OSError, ValueError):
        return ()
    return (("nofile", soft, wanted),)
