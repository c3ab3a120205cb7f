"""How does the machine end once the services are down? Remaining processes, log, swap, file systems, reboot(2).

Everything that could hang (a dead NFS server, a disk that does not answer) is done by a forked child with a time
limit, and the whole has one: what does not end is told and left behind. A second request to end makes every wait
short. Sources: kill(2), umount2(2), swapoff(2), reboot(2), sysrq in the kernel's admin guide. This module and what it
imports (ctypes) are loaded when the end begins, as nothing else needs them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

from linit.model.state import Finish
from linit.runtime.failure import errno_words, error_words
from linit.system import kernel, mounts, processes
from linit.system.console import Console
from linit.system.signals import FINISHES
from linit.system.texts import FINISH_WORDS, said
from linit.system.words import count, seconds

TERM_WAIT_S: Final = 5.0
KILL_WAIT_S: Final = 2.0
LOG_WAIT_S: Final = 3.0
SYNC_LIMIT_S: Final = 30.0
SWAP_LIMIT_S: Final = 20.0  # for each: what is in it has to come back into memory
UNMOUNT_LIMIT_S: Final = 8.0  # for each
TOTAL_LIMIT_S: Final = 90.0
HURRIED_WAIT_S: Final = 0.5  # after a second request to end
UNMOUNT_ROUNDS: Final = 3  # one mount may become free by another's end: bind mounts, images on file systems
NAMED_MAX: Final = 8

# Nothing of theirs is on a disk; the machine goes on needing some of them.
API_KINDS: Final = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "fusectl", "hugetlbfs", "mqueue", "proc", "pstore", "ramfs", "rootfs", "securityfs", "selinuxfs", "sysfs",
        "tracefs",
    }
)  # fmt: skip
API_PLACES: Final = ("/proc", "/sys", "/dev", "/run")


class Patience:
    """How long may still be waited for a child? Signals are awaited with sigtimedwait(2): no handler runs."""

    def __init__(self, total_s: float = TOTAL_LIMIT_S) -> None:
        self.is_hurried = False
        self._until_s = time.monotonic() + total_s
        self._ended: dict[int, int] = {}
        self._watched = {signal.SIGCHLD, *FINISHES}
        signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)

    def has_ended(self, pid: int) -> bool:
        """Has this child been reaped?"""
        self.reap()
        return pid in self._ended

    def reap(self) -> None:
        """Take every exit status that is there."""
        with contextlib.suppress(ChildProcessError):
            while (reaped := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._ended[reaped[0]] = reaped[1]

    def wait(self, limit_s: float, is_done: Callable[[], bool]) -> bool:
        """Until `is_done`, which is asked after each exit of a child; False when that takes too long."""
        until_s = min(time.monotonic() + limit_s, self._until_s)
        while not is_done():
            if self.is_hurried:
                until_s = min(until_s, time.monotonic() + HURRIED_WAIT_S)
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            came = signal.sigtimedwait(self._watched, left_s)
            self.is_hurried |= came is not None and came.si_signo in FINISHES
        return True


class Ending:
    """The end of the machine, step by step. `log_pid` 0: there is no log process."""

    def __init__(self, console: Console, patience: Patience, log_pid: int, close_log: Callable[[], object]) -> None:
        self._console = console
        self._patience = patience
        self._log_pid = log_pid
        self._close_log = close_log

    def tell(self, text: str) -> None:
        self._console.write(said(time.monotonic(), text))

    # -- processes

    def end_processes(self) -> None:
        """TERM to everybody, then KILL, the log process last: it ignores TERM and is told to close."""
        left = self._left()
        if left:
            self.tell(f"ending {count(len(left), 'process')} that no service owns: {_named(left)}")
            _signal_all(signal.SIGTERM)
            _signal_all(signal.SIGCONT)  # who is stopped does not see TERM
            self._patience.wait(TERM_WAIT_S, lambda: not self._left())
        left = self._left()
        if left:
            self.tell(f"{_named(left)}: not ended by TERM, killed")
            for process in left:
                with contextlib.suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
            self._patience.wait(KILL_WAIT_S, lambda: not self._left())
        self._end_log()
        _signal_all(signal.SIGKILL)
        self._patience.wait(KILL_WAIT_S, lambda: not self._left())

    def _left(self) -> list[processes.Process]:
        self._patience.reap()
        return [process for process in processes.others() if process.pid != self._log_pid]

    def _end_log(self) -> None:
        if not self._log_pid:
            return
        self._close_log()
        if not self._patience.wait(LOG_WAIT_S, lambda: self._patience.has_ended(self._log_pid)):
            self.tell(f"the log process was not done within {seconds(LOG_WAIT_S)}, killed")

    # -- file systems

    def release_disks(self) -> None:
        """Sync, swap off, unmount, root read-only."""
        self._do("sync", os.sync, SYNC_LIMIT_S)
        for path in _swaps():
            self._do(f"swap off {path}", partial(kernel.swap_off, path), SWAP_LIMIT_S)
        busy = self._unmount_all()
        for target in busy:
            self._leave_behind(target)
        if any(mount.target == "/" and not mount.is_read_only for mount in mounts.read_mountinfo()):
            self._close_root()

    def _unmount_all(self) -> dict[str, str]:
        """What could not be unmounted, and why."""
        busy: dict[str, str] = {}
        for _ in range(UNMOUNT_ROUNDS):
            order = unmount_order(mounts.read_mountinfo())
            failed = {target: self._try(partial(kernel.unmount, target), UNMOUNT_LIMIT_S) for target in order}
            busy = {target: why for target, why in failed.items() if why}
            if not busy or len(busy) == len(order):
                break
        for target, why in busy.items():
            self.tell(f"unmount {target}: {why}")
        return busy

    def _leave_behind(self, target: str) -> None:
        """Say who holds it; make it read-only, so that it is clean; detach it, so that its parent gets free."""
        for holder in processes.holders(target)[:NAMED_MAX]:
            self.tell(f"{target} is held by {holder}")
        self._do(f"remount {target} read-only", partial(_remount_read_only, target), UNMOUNT_LIMIT_S)
        self._do(f"detach {target}", partial(kernel.unmount, target, kernel.MNT_DETACH), UNMOUNT_LIMIT_S)

    def _close_root(self) -> None:
        if not self._do("remount / read-only", partial(_remount_read_only, "/"), SYNC_LIMIT_S):
            return
        for holder in processes.holders("")[:NAMED_MAX]:
            self.tell(f"/ is held by {holder}")
        self.tell("asking the kernel for an emergency remount (sysrq u)")
        self._do("sysrq s", partial(_sysrq, "s"), UNMOUNT_LIMIT_S)
        self._do("sysrq u", partial(_sysrq, "u"), UNMOUNT_LIMIT_S)
        # It is done by a kernel thread that reports to nobody.
        self._patience.wait(KILL_WAIT_S, _is_root_read_only)
        self._do("sync", os.sync, SYNC_LIMIT_S)

    def _do(self, what: str, action: Callable[[], object], limit_s: float) -> str:
        """`_try`, and a failure is told."""
        why = self._try(action, limit_s)
        if why:
            self.tell(f"{what}: {why}")
        return why

    def _try(self, action: Callable[[], object], limit_s: float) -> str:
        """Do it in a child of ours; "" when it succeeded, else why not. The child may hang for ever, we do not."""
        try:
            end, far_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            pid = os.fork()
        except OSError as failure:
            return f"no process to do it: {error_words(failure)}"
        if not pid:
            _act(action, far_end)
        os.close(far_end)
        is_done = self._patience.wait(limit_s, lambda: self._patience.has_ended(pid))
        try:
            text = os.read(end, 4096).decode(errors="replace")
        except BlockingIOError:
            text = ""
        os.close(end)
        if not is_done:
            os.kill(pid, signal.SIGKILL)
            return f"not done within {seconds(HURRIED_WAIT_S if self._patience.is_hurried else limit_s)}, left behind"
        return text

    # -- the last line

    def finish(self, finish: Finish) -> NoReturn:
        """reboot(2), again and again if it fails: PID 1 has nothing else left to do."""
        self.tell(f"{FINISH_WORDS[finish]} now")
        self._console.drain(KILL_WAIT_S)
        commands = {Finish.POWEROFF: kernel.RB_POWER_OFF, Finish.HALT: kernel.RB_HALT_SYSTEM}
        for command in (commands.get(finish, kernel.RB_AUTOBOOT), kernel.RB_AUTOBOOT):
            try:
                kernel.reboot(command)
            except OSError as failure:
                self.tell(f"reboot(2): {error_words(failure)}")
        with contextlib.suppress(OSError):
            _sysrq("o" if finish is Finish.POWEROFF else "b")
        while True:
            signal.sigwait({signal.SIGCHLD})


def end_machine(finish: Finish, console: Console, log_pid: int, close_log: Callable[[], object]) -> NoReturn:
    """End everything that runs and the machine with it. A bug in between must not keep it from ending."""
    ending = Ending(console, Patience(), log_pid, close_log)
    for step in (ending.end_processes, ending.release_disks):
        try:
            step()
        except Exception as bug:
            ending.tell(f"{step.__name__}: a fault of linit's: {bug!r}; going on")
    ending.finish(finish)


def unmount_order(mounted: tuple[mounts.Mounted, ...]) -> list[str]:
    """Where to unmount, in order: the last mounted first, so that nothing is below. Not the root, not the kernel's
    own interface; a tmpfs elsewhere too, as it may hold another mount busy."""
    return [
        mount.target
        for mount in reversed(mounted)
        if mount.target != "/" and mount.kind not in API_KINDS and not _is_below(mount.target, API_PLACES)
    ]


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def swap_paths(text: str) -> list[str]:
    """The first column of /proc/swaps, last first: proc_swaps(5)."""
    return [mounts.plain(line.split()[0]) for line in reversed(text.splitlines()[1:]) if line.strip()]


def _swaps() -> list[str]:
    try:
        with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as file:
            return swap_paths(file.read())
    except OSError:
        return []


def _named(left: list[processes.Process]) -> str:
    names = ", ".join(map(str, left[:NAMED_MAX]))
    return names + (f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else "")


def _signal_all(number: int) -> None:
    """kill(-1): everybody but PID 1. Nobody being there is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(-1, number)


def _act(action: Callable[[], object], far_end: int) -> NoReturn:
    """The child of `_try`: its exit is the answer, text in the pipe the failure."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        action()
    except OSError as failure:
        os.write(far_end, errno_words(failure.errno or 0).encode())
    except BaseException as bug:
        os.write(far_end, repr(bug).encode(errors="replace"))
    os._exit(0)


def _remount_read_only(target: str) -> None:
    kernel.mount("", target, "", kernel.MS_REMOUNT | kernel.MS_RDONLY)


def _is_root_read_only() -> bool:
    return all(mount.is_read_only for mount in mounts.read_mountinfo() if mount.target == "/")


def _sysrq(letter: str) -> None:
    fd = os.open("/proc/sysrq-trigger", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, letter.encode())
    finally:
        os.close(fd)
