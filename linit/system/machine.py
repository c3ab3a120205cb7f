"""How does PID 1 get from a plan to the end of the machine? The runtime's assembly, with what only PID 1 adds to it.

What is imported at the head is what the first services need to be spawned; asyncio, sockets and the control server
come while these run, and what ends the machine when it ends.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NoReturn

from linit.engine.effects import AllDown, BootFinished, Told, Transition
from linit.engine.events import Verb
from linit.engine.unit import Unit
from linit.model.paths import Paths
from linit.model.place import Severity
from linit.model.service import Plan
from linit.model.state import Finish
from linit.runtime import plans
from linit.runtime.assembly import Assembly
from linit.runtime.loop import Handle
from linit.runtime.supervisor import Supervisor, Surroundings
from linit.system import rescue, signals, texts
from linit.system.cmdline import DEFAULT_RUNLEVEL, CommandLine
from linit.system.console import Console
from linit.system.narrator import Narrator
from linit.system.words import count, seconds

ALL_DOWN_LIMIT_MIN_S: Final = 120.0
COMPILING_TOLD_S: Final = 5.0  # how often it is said that the compiler is still at work
WARNINGS_MAX: Final = 5  # lines about the definitions on the console; `linitctl verify` has them all
BUGS_MAX: Final = 20  # faults of linit's own, within
BUGS_WINDOW_S: Final = 10.0
KERNEL: Final = "the kernel command line"


class Machine:
    """PID 1 from its plan on: `boot`, then `run`."""

    def __init__(self, paths: Paths, wishes: CommandLine, console: Console) -> None:
        self._paths = paths
        self._wishes = wishes
        self._console = console
        self._assembly = Assembly(paths, "system", Surroundings())
        self._loop = self._assembly.prelude
        self._supervisor: Supervisor | None = None
        self._guard: Handle | None = None
        self._has_compiled = False
        self._bugs_before = 0
        self._bugs_since_s = 0.0
        console.attach(self._loop)
        for number, finish in signals.FINISHES.items():
            self._assembly.signals.on(number, partial(self._on_finish_signal, number, finish))
        self._assembly.signals.on(signals.RELOAD, self._on_reload_signal)

    def boot(self) -> None:
        """Find the plan, start the runlevel, then bring up the rest of linit while the first services run."""
        plan = self._plan()
        runlevel = known_runlevel(self._wishes.runlevel, plan, self._tell)
        self._tell_faults(plan)
        supervisor = self._supervisor = self._assembly.begin(plan)
        form = texts.Form.fitting([service.name for service in plan.services], self._wants_colour())
        wishes = self._wishes
        narrator = Narrator(
            supervisor.engine, self._console.write, self._loop, form, quiet=wishes.quiet, debug=wishes.debug
        )
        supervisor.observe(narrator.observe)
        supervisor.observe(self._on_effect)
        supervisor.request(Verb.START, (runlevel,), KERNEL)
        try:
            self._assembly.serve()
            self._attach_port()
        except Exception as bug:  # a machine that cannot be talked to is better than none
            supervisor.confess("bringing up log and control", bug)

    def run(self) -> NoReturn:
        """The event loop, until everything is down; then the end of the machine."""
        assert self._supervisor is not None, "linit bug: run before boot"
        while self._assembly.finish is None:
            try:
                self._assembly.run()
            except rescue.EndAsked as asked:
                self._end(asked.finish)
            except BaseException as fault:
                self._supervisor.confess("the event loop", fault)
        self._end(self._assembly.finish)

    # -- the plan

    def _plan(self) -> Plan:
        """The plan on disk if it is true, else a new one; where none can be made, the old one, loudly: it has booted
        this machine. A person at the console is asked when there is none at all."""
        while True:
            found = plans.find(self._paths)
            if found.plan is not None and not found.problem:
                return found.plan
            self._tell(found.problem)
            problem = self._compile()
            remade = plans.find(self._paths)
            if remade.plan is not None and not problem:
                self._has_compiled = True
                return remade.plan
            if remade.plan is not None:
                for line in (*problem.splitlines(), "booting by the old plan: what has changed since is not in it"):
                    self._tell(line)
                return remade.plan
            reasons = dict.fromkeys((found.problem, problem, remade.problem))
            rescue.visit(self._console, ("there is no plan to boot by:", *filter(None, reasons)))

    def _compile(self) -> str:
        """What went wrong, "" if there is a plan now."""
        self._tell("compiling the service definitions")
        began_s = self._loop.time()
        timer: Handle

        def say_how_long() -> None:
            nonlocal timer
            now_s = self._loop.time()
            self._tell(f"compiling for {seconds(now_s - began_s)}, limit {seconds(plans.LIMIT_S)}")
            timer = self._loop.call_at(now_s + COMPILING_TOLD_S, say_how_long)

        timer = self._loop.call_at(began_s + COMPILING_TOLD_S, say_how_long)
        problem = self._assembly.compile()
        timer.cancel()
        if not problem:
            self._tell(f"compiled in {seconds(self._loop.time() - began_s)}")
        return problem

    def _tell_faults(self, plan: Plan) -> None:
        """What a person should know before the services start; errors show as failures, notes are for `verify`."""
        names = {service.name for service in plan.services}
        for name in self._wishes.want:
            if name not in names:
                self._tell(f"kernel command line: linit.want={name}: no such service")
        warnings = [fault for fault in plan.faults if fault.severity is Severity.WARNING]
        for fault in () if self._wishes.quiet else warnings[:WARNINGS_MAX]:
            self._tell(f"warning: {fault}")
        if len(warnings) > WARNINGS_MAX and not self._wishes.quiet:
            self._tell(f"{count(len(warnings) - WARNINGS_MAX, 'more warning')}: linitctl verify")

    # -- the parts

    def _attach_port(self) -> None:
        if not self._wishes.control_port:
            return
        from linit.control.authorisation import Peer
        from linit.system.control_port import ControlPort

        control = self._assembly.control
        attach = partial(control.attach, peer=Peer.host(self._wishes.control_port))
        ControlPort(self._wishes.control_port, self._loop, attach, self._tell).look()

    def _tell(self, text: str) -> None:
        self._console.write(texts.said(self._loop.time(), text))

    def _wants_colour(self) -> bool:
        """On a terminal that is not known to be too plain, unless it was said otherwise."""
        return self._console.is_terminal and not self._wishes.nocolor and os.environ.get("TERM") != "dumb"

    # -- signals and the end

    def _on_finish_signal(self, number: int, finish: Finish) -> None:
        """The first asks for an orderly end; one more does not wait for services any longer."""
        by = signals.by_signal(number)
        if self._supervisor is None:
            self._end(finish)
        elif self._supervisor.engine.boot_state == "stopping":
            self._stop_waiting(finish, f"{by} once more: not waiting for services any longer")
        else:
            self._supervisor.shutdown(finish, by)

    def _on_reload_signal(self) -> None:
        if self._supervisor is not None:
            self._supervisor.reload_plan(signals.name_of(signals.RELOAD))

    def _on_effect(self, effect: object) -> None:
        if isinstance(effect, AllDown) and self._guard is not None:
            self._guard.cancel()
        elif isinstance(effect, Transition):
            self._guard_stop()
        elif isinstance(effect, Told):
            self._count_bugs()
        elif isinstance(effect, BootFinished) and self._has_compiled:
            self._has_compiled = False
            keep_plan(self._paths)

    def _guard_stop(self) -> None:
        assert self._supervisor is not None, "linit bug: a transition before there is a supervisor"
        if self._guard is None and self._supervisor.engine.boot_state == "stopping":
            limit_s = all_down_limit_s(self._supervisor.engine.units.values())
            self._guard = self._loop.call_at(self._loop.time() + limit_s, self._on_all_down_limit, limit_s)

    def _on_all_down_limit(self, limit_s: float) -> None:
        assert self._supervisor is not None, "linit bug: a shutdown before there is a supervisor"
        engine = self._supervisor.engine
        left = ", ".join(sorted(unit.name for unit in engine.units.values() if not unit.state.is_at_rest_down))
        text = f"not down after {seconds(limit_s)}: {left}; going on without waiting for them"
        self._stop_waiting(engine.finish or Finish.POWEROFF, text)

    def _stop_waiting(self, finish: Finish, why: str) -> None:
        self._tell(why)
        self._assembly.finish = finish
        self._loop.stop()

    def _end(self, finish: Finish) -> NoReturn:
        if self._supervisor is None:
            end_machine(finish, self._console)
        try:
            self._assembly.begin_log()
        except Exception as fault:  # a boot that ends at once, because its disk has gone
            self._tell(f"without a log process: {fault!r}")
        logger = self._supervisor.logger
        if logger is None:
            end_machine(finish, self._console)
        logger.make_sure()
        end_machine(finish, self._console, logger.pid, logger.hang_up)

    # -- what should not happen

    def _count_bugs(self) -> None:
        """Faults of linit's own are told by the runtime, and the loop goes on. When they come fast it would go on for
        ever, at full speed and for nothing: then a person is let in."""
        assert self._supervisor is not None, "linit bug: something was told before there is a supervisor"
        now_s = self._loop.time()
        if now_s > self._bugs_since_s + BUGS_WINDOW_S:
            self._bugs_since_s, self._bugs_before = now_s, self._supervisor.bugs
        if self._supervisor.bugs >= self._bugs_before + BUGS_MAX:
            self._bugs_before = self._supervisor.bugs
            self._loop.call_soon(self._last_resort)

    def _last_resort(self) -> None:
        if not os.fork():
            os.sync()
            os._exit(0)
        faults = f"{count(BUGS_MAX, 'fault')} of its own within {seconds(BUGS_WINDOW_S)}; services go on running."
        rescue.visit(self._console, (faults,))


def all_down_limit_s(units: Iterable[Unit]) -> float:
    """How long a shutdown may take altogether. Every stop has its own limit, which the engine keeps, so this one is
    for a bug, and for stops that ask for no limit: room for three of the slowest, one after the other, and a minute."""
    longest_s = max((unit.service.stop_timeout_s or 0.0 for unit in units), default=0.0)
    return max(ALL_DOWN_LIMIT_MIN_S, 3 * longest_s + 60.0)


def known_runlevel(wished: str, plan: Plan, tell: Callable[[str], object]) -> str:
    """The default where the wished runlevel is not there: so that somebody can log in and look."""
    if any(service.name == wished for service in plan.services):
        return wished
    tell(f"there is no runlevel {wished}; booting {DEFAULT_RUNLEVEL}")
    return DEFAULT_RUNLEVEL


def keep_plan(paths: Paths) -> None:
    """Copy the plan that this boot had to make, while the root was read-only, to where the next one looks first.

    In a child, which is reaped like any orphan: a slow disk must not hold PID 1. A plan that cannot be kept is made
    again at the next boot.
    """
    if os.fork():
        return
    try:
        new = f"{paths.plan}.{os.getpid()}"
        os.makedirs(os.path.dirname(new), exist_ok=True)
        with open(paths.plan_fallback, "rb") as made, open(new, "wb") as kept:
            kept.write(made.read())
            kept.flush()
            os.fsync(kept.fileno())
        os.replace(new, paths.plan)
    finally:
        os._exit(0)


def end_machine(
    finish: Finish, console: Console, log_pid: int = 0, close_log: Callable[[], object] = lambda: None
) -> NoReturn:
    """The end: what does it is imported only now. A disk that can no longer be read must not keep it from coming."""
    signal.set_wakeup_fd(-1)
    try:
        from linit.system import shutdown
    except Exception as fault:
        console.write(texts.said(time.monotonic(), f"cannot load the shutdown: {fault!r}; asking the kernel (sysrq)"))
        _end_by_kernel(finish)
    shutdown.end_machine(finish, console, log_pid, close_log)


def _end_by_kernel(finish: Finish) -> NoReturn:
    """Sync, remount read-only, off or reboot: sysrq in the kernel's admin guide. Nobody is left to hear of errors."""
    while True:
        for letter in "suo" if finish is Finish.POWEROFF else "sub":
            try:
                fd = os.open("/proc/sysrq-trigger", os.O_WRONLY | os.O_CLOEXEC)
                os.write(fd, letter.encode())
                os.close(fd)
            except OSError:
                continue
        signal.sigtimedwait((), 5.0)
