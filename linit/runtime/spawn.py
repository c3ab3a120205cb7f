"""How does a program of a service come to run that asks for more than `linit.runtime.plain` can do? fork(2), a fixed
row of steps in the child, execve(2).

What the child inherits of PID 1 is nothing but what `Launch` says. Each step that fails is named, with its path and
errno, through a pipe that is closed by a successful execve(2): `gate`. The caller reads it when its loop says so and
never waits for it. Source: fork(2), execve(2), setsid(2), tty_ioctl(4), proc(5), cgroups(7).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from linit.lean import bundle
from linit.model.service import Execution
from linit.runtime import accounts, kernel_files, limits, programs
from linit.runtime.failure import StepFailed, error_words

if TYPE_CHECKING:
    from linit.runtime.confinement import Confinement

GATE_MAX_BYTES: Final = 4000  # below PIPE_BUF: a failure is written, and read, whole
CANNOT_RUN_STATUS: Final = 127  # of a child that never got to execve(2), as of a shell
TTY_MODE: Final = 0o620
CONFINING: Final = (
    "ionice", "private_network", "private_tmp", "private_devices", "read_only_paths", "hidden_paths", "ambient",
)  # fmt: skip
JOINED: Final = "commands"  # a cgroup for commands of a service whose own cgroup may not hold processes any more


@dataclass(frozen=True, slots=True)
class Launch:
    """One program to run, and everything about its surroundings.

    `output`: a descriptor of ours, or a path that the child opens. `keep`: (descriptor of ours, its number in the
    child). `connection`: a descriptor of ours that becomes standard input and output. `with_pid`: variables whose value
    is the child's pid. `cgroup`: the directory of a cgroup that exists; "" for none. `room`: a path for what the
    commands of the service share unseen, see `linit.runtime.room`. `environment` and `rlimits` are what linit adds to
    the service's own, which win.
    """

    argv: tuple[str, ...]
    execution: Execution = field(default_factory=Execution)
    environment: Mapping[str, str] = field(default_factory=dict)
    output: int | str = "/dev/null"
    errors: int | None = None  # standard error, where it is not `output`
    tty: str = ""
    cgroup: str = ""
    room: str = ""
    keep: tuple[tuple[int, int], ...] = ()
    rlimits: tuple[tuple[str, int, int], ...] = ()
    connection: int | None = None
    with_pid: tuple[str, ...] = ()


def fork_exec(launch: Launch, handled: Collection[int], ignored: Collection[int] = ()) -> tuple[int, int]:
    """Start a child; (its pid, the gate): a non-blocking descriptor that reads as end-of-file when the program
    executes, else as the text of what went wrong.

    `handled`, `ignored`: the signals that this process does not leave at their default. Raises OSError when there is
    no process or descriptor to be had.
    """
    if confining(launch.execution):
        # Here, not in the child: the next one finds it loaded. Only definitions that ask for it pay for it.
        import linit.runtime.confinement
    if launch.execution.no_new_privs:
        import linit.runtime.prctl  # likewise
    if launch.execution.environment_files:
        import linit.runtime.environment_files  # noqa: F401 likewise
    if launch.rlimits or launch.execution.rlimits:
        import resource  # noqa: F401 likewise
    if launch.tty:
        import termios  # noqa: F401 likewise
    return fork(lambda gate: _become(launch, gate, (*handled, *ignored)), handled, becomes_program=True)


def fork(
    become: Callable[[int], NoReturn], handled: Collection[int], *, becomes_program: bool = False
) -> tuple[int, int]:
    """A child whose whole life is `become`, which is given the other end of the gate."""
    bundle.complete(becomes_program)  # the child has not the file that the rest of linit is in
    gate, far_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # A signal between fork and execve would run our handler in the child, which writes to our wake-up pipe:
        # a TERM for a service would look like one for PID 1.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        try:
            pid = os.fork()
            if not pid:
                become(far_end)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except OSError:
        os.close(gate)
        raise
    finally:
        os.close(far_end)
    return pid, gate


def confining(execution: Execution) -> frozenset[str]:
    """The fields of a definition that ask for system calls that Python has no name for, but for `no_new_privs`."""
    found = {name for name in CONFINING if getattr(execution, name)}
    if execution.capabilities is not None or execution.private_devices:
        found.add("capabilities")
    return frozenset(found)


@dataclass(slots=True)
class _Child:
    """What the steps share."""

    launch: Launch
    gate: int
    not_default: Collection[int]
    account: accounts.Account | None = None
    ids: tuple[int, int, list[int]] | None = None  # uid, gid, groups; None: they stay
    variables: dict[str, str] = field(default_factory=dict)  # of files
    confinement: Confinement | None = None


def _become(launch: Launch, gate: int, not_default: Collection[int]) -> NoReturn:
    """The child's whole life before its program."""
    child = _Child(launch, gate, not_default)
    name = "set-up"
    try:
        for name, step in STEPS:  # noqa: B007 the handler below wants the name of the step that failed
            step(child)
    except StepFailed as failed:
        _say(child, str(failed))
    except OSError as error:
        _say(child, f"{name}{' ' if error.filename is not None else ': '}{error_words(error)}")
    except BaseException as error:  # a bug must not leave a second PID 1 behind
        _say(child, f"{name}: {type(error).__name__}: {error}")
    os._exit(CANNOT_RUN_STATUS)


def _say(child: _Child, text: str) -> None:
    # Nobody is left to hear that the gate is broken, too.
    with contextlib.suppress(OSError):
        os.write(child.gate, text.encode("utf-8", "surrogateescape")[:GATE_MAX_BYTES])


def _signals(child: _Child) -> None:
    default_signals(child.not_default)


def default_signals(not_default: Collection[int]) -> None:
    """In a child: no handler of ours, and none is blocked."""
    for number in not_default:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _session(_child: _Child) -> None:
    os.setsid()


def _cgroup(child: _Child) -> None:
    """The child moves itself, before its program runs: no grandchild can be born outside."""
    if not child.launch.cgroup:
        return
    try:
        kernel_files.write(f"{child.launch.cgroup}/cgroup.procs", "0")
    except OSError as error:
        # The service made cgroups of its own and gave them controllers: then only these hold processes.
        if error.errno != errno.EBUSY:
            raise
        inner = f"{child.launch.cgroup}/{JOINED}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(inner)
        kernel_files.write(f"{inner}/cgroup.procs", "0")


def _limits(child: _Child) -> None:
    if child.launch.cgroup:
        limits.apply(child.launch.cgroup, child.launch.execution.limits)


def _descriptors(child: _Child) -> None:
    """0, 1, 2 and what `keep` says; everything else is closed, also what somebody forgot to mark close-on-exec."""
    launch = child.launch
    # Every source is first moved out of the way of every target: the gate's number may be a readiness descriptor's.
    above = 1 + max(2, *(number for _, number in launch.keep)) if launch.keep else 3
    child.gate = fcntl.fcntl(child.gate, fcntl.F_DUPFD_CLOEXEC, above)
    kept = [(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above), number) for fd, number in launch.keep]
    if isinstance(launch.output, int):
        output = fcntl.fcntl(launch.output, fcntl.F_DUPFD_CLOEXEC, above)
    else:
        output = os.open(launch.output, os.O_WRONLY | os.O_NOCTTY)
    errors = output if launch.errors is None else fcntl.fcntl(launch.errors, fcntl.F_DUPFD_CLOEXEC, above)
    if launch.connection is None:
        given = _nothing_to_read()
    else:
        given = output = fcntl.fcntl(launch.connection, fcntl.F_DUPFD_CLOEXEC, above)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.dup2(given, 0)
    for fd, number in kept:
        os.dup2(fd, number)
    low = 3
    for number in sorted({child.gate, *(number for _, number in kept if number > 2)}):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _nothing_to_read() -> int:
    """A descriptor that is at its end. /dev/null; before /dev is there, a pipe that nobody writes to."""
    try:
        return os.open("/dev/null", os.O_RDONLY)
    except FileNotFoundError:
        end, far_end = os.pipe()
        os.close(far_end)
        return end


def _tty(child: _Child) -> None:
    """The terminal becomes 0, 1, 2 and the controlling terminal; root's services also own it.

    When the session that we lead here ends, the kernel hangs the line up. Source: tty_ioctl(4), credentials(7).
    """
    if not child.launch.tty:
        return
    import termios  # only services with a terminal pay for it

    # Without O_NONBLOCK the open of a serial line waits for a carrier.
    fd = os.open(child.launch.tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    is_root = os.geteuid() == 0
    try:
        fcntl.ioctl(fd, termios.TIOCSCTTY, 1 if is_root else 0)  # 1: taken from a session that still has it
    except OSError as error:
        raise OSError(error.errno, error.strerror, child.launch.tty) from error
    if is_root:
        uid = accounts.user(child.launch.execution.user).uid if child.launch.execution.user else 0
        # A read-only /dev, or no group tty: the line still works.
        with contextlib.suppress(OSError, accounts.UnknownAccount):
            os.fchown(fd, uid, accounts.group_id("tty"))
            os.fchmod(fd, TTY_MODE)
    for number in (0, 1, 2):
        os.dup2(fd, number)
    os.close(fd)


def _confine(child: _Child) -> None:
    """What the steps of `_confined` need. In the parent all of it is loaded already."""
    if confining(child.launch.execution):
        from linit.runtime.confinement import Confinement

        child.confinement = Confinement(child.launch.execution, child.launch.room)


def _confined(name: str) -> Callable[[_Child], None]:
    """A step that `linit.runtime.confinement` does, for those whose definition asks for it."""

    def step(child: _Child) -> None:
        if child.confinement and name in child.confinement.wanted:
            child.confinement.do(name)

    return step


def _umask(child: _Child) -> None:
    os.umask(child.launch.execution.umask)


def _nice(child: _Child) -> None:
    """Among its session, and its session among others: the kernel shares out by sessions first, where it does so at all
    (not in a cgroup with a controller for the processor). Source: sched(7), "The autogroup feature"."""
    nice = child.launch.execution.nice
    if nice:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        with contextlib.suppress(OSError):
            kernel_files.write("/proc/self/autogroup", str(nice))


def _scheduler(child: _Child) -> None:
    if child.launch.execution.scheduler:
        name, priority = child.launch.execution.scheduler
        policy = getattr(os, f"SCHED_{name.upper()}")
        os.sched_setscheduler(0, policy, os.sched_param(priority))


def _cpu_affinity(child: _Child) -> None:
    if child.launch.execution.cpu_affinity:
        os.sched_setaffinity(0, child.launch.execution.cpu_affinity)


def _oom_score_adj(child: _Child) -> None:
    wanted = child.launch.execution.oom_score_adj
    try:
        kernel_files.write("/proc/self/oom_score_adj", str(wanted))
    except OSError:
        # 0 is everybody's default: before /proc is mounted, or unprivileged, it is no reason to stay down.
        if wanted:
            raise


def _rlimits(child: _Child) -> None:
    wanted = (*child.launch.rlimits, *child.launch.execution.rlimits)
    if not wanted:
        return
    import resource  # only services with limits pay for it

    for name, soft, hard in wanted:
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise StepFailed(f'rlimits: the kernel has no limit "{name}"')
        try:
            resource.setrlimit(number, (soft, hard))
        except ValueError as error:  # setrlimit(2) said EINVAL, or EPERM for a raised hard limit
            raise StepFailed(f"rlimits: {name}: {error}") from error
        except OSError as error:
            raise StepFailed(f"rlimits: {name}: {error_words(error)}") from error


def _env_file(child: _Child) -> None:
    if not child.launch.execution.environment_files:
        return
    from linit.runtime import environment_files

    for path, may_be_missing in child.launch.execution.environment_files:
        try:
            child.variables |= environment_files.read(path)
        except FileNotFoundError:
            if not may_be_missing:
                raise


def _account(child: _Child) -> None:
    """Who it will be, as the files of the machine say it, not those of a chroot."""
    wanted = child.launch.execution
    if not wanted.user and not wanted.group and wanted.groups is None:
        return
    key = "user"
    try:
        account = accounts.user(wanted.user) if wanted.user else None
        key = "group"
        gid = accounts.group_id(wanted.group) if wanted.group else account.gid if account else os.getegid()
        key = "groups"
        if wanted.groups is not None:
            groups = [gid, *(accounts.group_id(name) for name in wanted.groups)]
        else:
            groups = accounts.group_ids_of(account, gid) if account else [gid]
    except accounts.UnknownAccount as unknown:
        raise StepFailed(f"{key}: {unknown}") from unknown
    child.account = account
    uid = account.uid if account else os.getuid()
    if os.geteuid() and (uid, gid, wanted.groups) == (os.geteuid(), os.getegid(), None):
        return  # we are that user already, and without the right to say so once more
    child.ids = uid, gid, groups


def _chroot(child: _Child) -> None:
    if child.launch.execution.chroot:
        os.chroot(child.launch.execution.chroot)
        os.chdir("/")


def _user(child: _Child) -> None:
    if child.ids is None:
        return
    if child.confinement and child.launch.execution.ambient:
        child.confinement.keep_capabilities()
    uid, gid, groups = child.ids
    os.setgroups(groups)
    os.setgid(gid)
    if child.account:
        os.setuid(uid)


def _directory(child: _Child) -> None:
    os.chdir(child.launch.execution.directory)


def _no_new_privs(child: _Child) -> None:
    """No program that this process executes gives it rights."""
    if child.launch.execution.no_new_privs:
        from linit.runtime import prctl

        prctl.prctl(prctl.NO_NEW_PRIVS, 1)


def _exec(child: _Child) -> None:
    environment = dict(child.launch.environment)
    if child.account:
        environment |= {
            "HOME": child.account.home,
            "USER": child.account.name,
            "LOGNAME": child.account.name,
            "SHELL": child.account.shell,
        }
    environment |= child.launch.execution.environment
    environment |= child.variables
    environment |= dict.fromkeys(child.launch.with_pid, str(os.getpid()))
    programs.execute(child.launch.argv, environment)


# In this order. The session comes before the terminal, which only a session leader can take; the cgroup, the
# priorities and the limits before the user, who may not set them; what is read of the machine's files before they are
# hidden; the directory after the user, who must be able to enter it.
STEPS: Final[tuple[tuple[str, Callable[[_Child], None]], ...]] = (
    ("signals", _signals),
    ("set-up", _confine),
    ("session", _session),
    ("cgroup", _cgroup),
    ("limits", _limits),
    ("output", _descriptors),
    ("tty", _tty),
    ("umask", _umask),
    ("nice", _nice),
    ("ionice", _confined("ionice")),
    ("scheduler", _scheduler),
    ("cpu_affinity", _cpu_affinity),
    ("oom_score_adj", _oom_score_adj),
    ("rlimits", _rlimits),
    ("env_file", _env_file),
    ("user", _account),
    ("private_network", _confined("private_network")),
    ("private_tmp", _confined("private_tmp")),
    ("private_devices", _confined("private_devices")),
    ("read_only_paths", _confined("read_only_paths")),
    ("hidden_paths", _confined("hidden_paths")),
    ("chroot", _chroot),
    ("capabilities", _confined("capabilities")),
    ("user", _user),
    ("ambient_capabilities", _confined("ambient")),
    ("directory", _directory),
    ("no_new_privs", _no_new_privs),
    ("exec", _exec),
)
