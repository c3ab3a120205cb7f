"""How does a person run linit in a folder, not being PID 1?

The same supervisor, as a subreaper: what its services leave behind becomes its child, is reaped, and is ended with it.
Source: PR_SET_CHILD_SUBREAPER(2const).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import sys
import time
from functools import partial
from typing import Any, Final

from linit.control.excerpt import excerpt
from linit.engine.effects import BootFinished, Told, Transition
from linit.engine.events import Verb
from linit.model.paths import Paths
from linit.model.runlevel import DEFAULT_RUNLEVEL, with_a_runlevel
from linit.model.service import Kind, Service
from linit.model.state import Finish, UnitState
from linit.runtime import plans
from linit.runtime.assembly import Assembly, raise_descriptor_limit
from linit.runtime.failure import error_words
from linit.runtime.programs import PATH
from linit.runtime.reap import reap_all
from linit.runtime.supervisor import Supervisor, Surroundings
from linit.runtime.wording import runlevel_words, transition_words

PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "XDG_RUNTIME_DIR")
PR_SET_CHILD_SUBREAPER: Final = 36
LEFTOVERS_LIMIT_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.5  # a signal comes for each end; this is for one that came before

OK: Final = 0
NO_PLAN: Final = 1
USAGE: Final = 2
RUNNING_ALREADY: Final = 3


class CannotRun(Exception):
    """Why there is no supervisor in this folder, and the exit status for it."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def run(folder: str, runlevel: str = "", cgroup_root: str = "", is_quiet: bool = False) -> int:
    """Supervise the services of a folder until they are all stopped; the exit status (see `linit.__main__`)."""
    try:
        return _run(os.path.abspath(folder), runlevel, cgroup_root, is_quiet)
    except CannotRun as why:
        sys.stderr.write(f"linit: {why}\n")
        return why.status


def _run(folder: str, runlevel: str, cgroup_root: str, is_quiet: bool) -> int:
    paths = Paths.user(folder)
    lock = _take(folder, paths)
    _become_subreaper()
    environment = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    surroundings = Surroundings({"PATH": PATH, **environment}, 1, cgroup_root, raise_descriptor_limit())
    assembly = Assembly(paths, "user", surroundings, ("--user", folder), with_a_runlevel)
    assembly.processes.launcher.folders = (folder,)
    found = plans.find(paths)
    if found.problem:
        problem = assembly.compile()
        found = plans.find(paths)
        if found.plan is None:
            raise CannotRun(problem or found.problem, NO_PLAN)
    assert found.plan is not None, "linit bug: no problem, and no plan"
    for line in excerpt((each.severity.value, each.key, each.expected, str(each)) for each in found.plan.faults):
        sys.stderr.write(f"{line}\n")
    supervisor = assembly.begin(found.plan)
    if not is_quiet:
        supervisor.observe(Lines(supervisor, 1).observe)
    for number in (signal.SIGTERM, signal.SIGINT):
        by = signal.Signals(number).name
        assembly.signals.on(number, partial(supervisor.shutdown, Finish.EXIT, by))
    assembly.signals.on(signal.SIGHUP, lambda: supervisor.reload_plan("SIGHUP", partial(_tell_reload, supervisor)))
    _start(supervisor, runlevel or DEFAULT_RUNLEVEL)
    assembly.serve()
    assembly.run()
    assembly.close_logger()
    assembly.close()
    _end_leftovers()
    os.close(lock)
    return OK


def _take(folder: str, paths: Paths) -> int:
    """Make the folder ours, until we end: its lock. Raises CannotRun."""
    if not os.path.isdir(folder):
        raise CannotRun(f"{folder}: no such folder", USAGE)
    try:
        for path, mode in ((paths.run, 0o700), (paths.log, 0o755)):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, mode)
        lock = os.open(f"{paths.run}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotRun(error_words(error), NO_PLAN) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise CannotRun(f"another linit runs in {folder} (pid {pid})", RUNNING_ALREADY) from None
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _become_subreaper() -> None:
    import ctypes  # PID 1 is every orphan's parent without asking

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.stderr.write(f"linit: not a subreaper: {os.strerror(ctypes.get_errno())}\n")


def _start(supervisor: Supervisor, runlevel: str) -> None:
    """Start the runlevel asked for. Raises CannotRun."""
    units = supervisor.engine.units
    known = [name for name, unit in units.items() if unit.service.kind is Kind.RUNLEVEL]
    if runlevel not in known:
        raise CannotRun(f"no runlevel is called {runlevel}; there are: {', '.join(known) or 'none'}", USAGE)
    supervisor.request(Verb.RUNLEVEL, (runlevel,), "linit --user")


def _tell_reload(supervisor: Supervisor, answer: Any) -> None:
    changes = [f"{name}: {text}" if name else text for name, _outcome, text in answer.results]
    supervisor.tell(f"plan reloaded: {'; '.join(changes) or 'nothing changed'}")


def _end_leftovers() -> None:
    """Nobody is left to wait for: SIGKILL to all our children, and theirs as they become ours, until there are none.

    These are daemons that left their service's session where there are no cgroups.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    until_s = time.monotonic() + LEFTOVERS_LIMIT_S
    while time.monotonic() < until_s:
        for _ in reap_all():
            pass
        try:
            with open("/proc/thread-self/children", encoding="ascii") as file:
                children = file.read().split()
        except OSError:
            return  # a kernel without CONFIG_PROC_CHILDREN
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_AGAIN_S)


class Lines:
    """What happens, one line each, on a descriptor. Never waits: what a slow terminal cannot take is left out."""

    def __init__(self, supervisor: Supervisor, fd: int) -> None:
        self._supervisor = supervisor
        self._fd = _not_waiting(fd)

    def observe(self, effect: object) -> None:
        """An observer of the supervisor."""
        units = self._supervisor.engine.units
        if isinstance(effect, Transition):
            unit = units.get(effect.name)
            if unit is None or _is_spoken_of(effect, unit.service):
                self._write(f"{effect.name}: {transition_words(effect, unit)}")
        elif isinstance(effect, Told):
            self._write(f"{effect.name}: {effect.text}")
        elif isinstance(effect, BootFinished):
            self._write(f"linit: {runlevel_words(effect, units)}")

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, f"{line}\n".encode(errors="surrogateescape"))


def _is_spoken_of(transition: Transition, service: Service) -> bool:
    """Of what runs nothing by itself, such as a timer, only its failure."""
    return service.runs or (service.kind.is_trigger and transition.after is UnitState.FAILED)


def _not_waiting(fd: int) -> int:
    """A descriptor for the same terminal or pipe that never waits; ours may be shared with a shell, which would not
    like O_NONBLOCK on it. A file does not wait, and must be written where the others write: at its end."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return fd
