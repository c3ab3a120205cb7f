"""Which programs need no copy of linit to be run, and how are they? The plain ones, by posix_spawn(3).

A launch is plain if all that it asks for can be said in that call, or lent: set in this process for the moment of the
call, since a child begins with what its parent has. Everything else, and what the call cannot do for whatever reason,
is forked (`linit.runtime.spawn`), which can also tell which step failed. Where the C library knows no cgroups (glibc
before 2.39, musl), only those without one are plain.

This process waits until the program is executed, so a plain one is the system's own (`programs.found`), or on a disk
that linit needs itself (`linit.runtime.disks`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Final

from linit.model.service import Limits
from linit.runtime import kernel_files, programs
from linit.runtime.spawn import Launch, confining, fork_exec

if TYPE_CHECKING:
    from types import TracebackType

    from linit.runtime.disks import Disks
    from linit.runtime.posix_spawn import Spawner

    Limit = tuple[Callable[[tuple[int, int]], None], tuple[int, int], tuple[int, int]]  # how to set it; lent; own

EXECUTES: Final = -1  # in place of a gate: execve(2) has succeeded already
OOM_SCORE_ADJ: Final = "/proc/self/oom_score_adj"
NO_LIMITS: Final = Limits()
ENCODING: Final = sys.getfilesystemencoding()


def is_plain(launch: Launch) -> bool:
    """Does a launch ask for nothing that needs steps in a child of our own? Where the program lies is not asked here,
    nor whether a cgroup can be entered and resources lent."""
    wanted = launch.execution
    return not (
        launch.tty
        or launch.with_pid
        or wanted.user
        or wanted.group
        or wanted.groups is not None
        or wanted.chroot
        or wanted.nice
        or wanted.scheduler
        or wanted.cpu_affinity
        or wanted.environment_files
        or wanted.no_new_privs
        or confining(wanted)
        or (launch.cgroup and wanted.limits != NO_LIMITS)
        or not (wanted.directory == "/" or kernel_files.is_in_memory(wanted.directory))
        or not (isinstance(launch.output, int) or kernel_files.is_in_memory(launch.output))
    )


class Launcher:
    """Runs programs, the plain ones without a fork. `folders`: on their disks, too, programs are plain."""

    def __init__(self) -> None:
        self.folders: tuple[str, ...] = ()
        self._disks: Disks | None = None  # made for the first program that is not the system's own
        self._spawner: Spawner | None = None
        self._cannot = False
        self._own_score = 0  # of oom_score_adj; nobody changes it but us
        self._score_is_known = False

    def start(self, launch: Launch, handled: Collection[int], ignored: Collection[int]) -> tuple[int, int]:
        """Start a child, as `fork_exec` does, with EXECUTES for a gate if the program executes already. Raises OSError
        when there is no process or descriptor to be had."""
        if not self._cannot and is_plain(launch):
            pid = self._spawned(launch, (*handled, *ignored))
            if pid:
                return pid, EXECUTES
        return fork_exec(launch, handled, ignored)

    def _spawned(self, launch: Launch, not_default: Collection[int]) -> int:
        """The pid; 0 if this has to be done by a fork."""
        environment = {**launch.environment, **dict(launch.execution.environment)}
        path = programs.found(launch.argv[0], environment, self._is_ours)
        texts = [f"{name}={value}" for name, value in environment.items()]
        if not path or "\0" in "".join((*texts, *launch.argv)) or any("=" in name or not name for name in environment):
            return 0
        spawner = self._spawner or self._made(not_default)
        if spawner is None or (launch.cgroup and not spawner.knows_cgroups):
            return 0
        opened: list[int] = []
        try:
            lent = self._lent(launch)
            if lent is None:
                return 0
            cgroup = None
            if launch.cgroup:
                cgroup = os.open(launch.cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.append(cgroup)
            given, copies = _descriptors(launch, opened)
            return spawner.spawn(
                _bytes(path),
                [_bytes(word) for word in launch.argv],
                [_bytes(text) for text in texts],
                given=given,
                copies=copies,
                directory=_bytes(launch.execution.directory),
                cgroup=cgroup,
                lent=lent,
            )
        except (OSError, ValueError):  # ValueError: setrlimit(2) said EINVAL
            return 0
        finally:
            for fd in opened:
                os.close(fd)

    def _made(self, not_default: Collection[int]) -> Spawner | None:
        """None, from now on, where the interpreter or the C library has not what it takes."""
        try:
            from linit.runtime.posix_spawn import Spawner

            self._spawner = Spawner(not_default)
        except (ImportError, AttributeError, OSError):
            self._cannot = True
        return self._spawner

    def _is_ours(self, path: str) -> bool | None:
        try:
            from linit.runtime.disks import Disks

            self._disks = self._disks or Disks(*self.folders)
            return self._disks.hold(path)
        except (ImportError, AttributeError, OSError):  # as in `_made`
            return False

    def _lent(self, launch: Launch) -> Lent | None:
        """What is lent to the child; None if it could not be taken back. Raises OSError."""
        limits: list[Limit] = []
        for name, soft, hard in (*launch.rlimits, *launch.execution.rlimits):
            import resource  # few services have limits

            number = getattr(resource, f"RLIMIT_{name.upper()}", None)
            own = resource.getrlimit(number) if number is not None else (0, 0)
            if number is None or _is_less(hard, own[1]):
                return None  # who has given up a hard limit may not get it back
            limits.append((partial(resource.setrlimit, number), (soft, hard), own))
        if not self._score_is_known:
            self._own_score = int(kernel_files.read(OOM_SCORE_ADJ) or 0)
            self._score_is_known = True
        return Lent(launch.execution.umask, launch.execution.oom_score_adj, self._own_score, limits)


def _is_less(hard: int, own_hard: int) -> bool:
    """Is a hard limit below another? Infinity is -1: RLIM_INFINITY."""
    return hard != own_hard and hard >= 0 and (own_hard < 0 or hard < own_hard)


class Lent:
    """What a child begins with, and this process has only for that moment: its mask of file modes, its place with the
    kernel's out-of-memory killer, limits of which the hard one is not lower than ours."""

    def __init__(self, umask: int, score: int, own_score: int, limits: list[Limit]) -> None:
        self._umask = umask
        self._score, self._own_score = score, own_score
        self._limits = limits

    def __enter__(self) -> None:
        self._umask = os.umask(self._umask)
        try:
            self._lend()
        except BaseException:
            self._take_back()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._take_back()

    def _lend(self) -> None:
        if self._score != self._own_score:
            try:
                kernel_files.write(OOM_SCORE_ADJ, str(self._score))
            except OSError:
                if self._score:  # 0 is everybody's default: see `linit.runtime.spawn`
                    raise
        for set_limit, lent, _ in self._limits:
            set_limit(lent)

    def _take_back(self) -> None:
        for set_limit, _, own in reversed(self._limits):
            set_limit(own)
        if self._score != self._own_score:
            with contextlib.suppress(OSError):
                kernel_files.write(OOM_SCORE_ADJ, str(self._own_score))
        os.umask(self._umask)


def _descriptors(launch: Launch, opened: list[int]) -> tuple[int | None, list[tuple[int, int]]]:
    """What standard input is a copy of, None for /dev/null; (descriptor of ours, its number in the child), in the order
    of the numbers and all of ours above them. What is opened for that is added to `opened`. Raises OSError."""
    wanted: dict[int, int] = {}
    if not isinstance(launch.output, int):
        # As a child would, but a serial line waits for no carrier: nobody may wait here.
        output = os.open(launch.output, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        opened.append(output)
        os.set_blocking(output, True)
    else:
        output = launch.output
    if launch.connection is not None:
        wanted[0] = output = launch.connection
    wanted |= {1: output, 2: output if launch.errors is None else launch.errors}
    wanted |= {number: ours for ours, number in launch.keep}
    above = 1 + max(wanted)
    for number, ours in wanted.items():
        if ours < above:
            wanted[number] = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, above)
            opened.append(wanted[number])
    return wanted.pop(0, None), [(wanted[number], number) for number in sorted(wanted)]


def _bytes(text: str) -> bytes:
    return text.encode(ENCODING, "surrogateescape")
