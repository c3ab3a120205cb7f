"""How does a person get in when nothing else works? A shell of root's on the console, of no service and no graph.

No password is asked for: who stands at the console of a machine that does not boot, and may edit its kernel
command line, is root already. Panux's images have no password for root either; one that has should run sulogin(8).
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from linit.model.state import Finish
from linit.runtime.failure import error_words
from linit.system.console import DEVICE, Console
from linit.system.signals import FINISHES

SHELLS: Final = (("/bin/sh", "-l"), ("/bin/busybox", "sh", "-l"), ("/usr/bin/busybox", "sh", "-l"), ("/bin/bash",))
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
}
NO_SHELL: Final = 127  # exit status of a child that found none
SHORTEST_VISIT_S: Final = 2.0  # a shell that cannot be run must not make a busy loop of the attempts

HELP: Final = (
    "A root shell follows. The root file system may be read-only: mount -o remount,rw /",
    "Look at the definitions with: linitctl verify      make a plan with: linitctl compile",
    "exit: try again      kill 1: reboot      kill -USR2 1: power off",
)


class EndAsked(BaseException):
    """A signal asked for the end of the machine while a person was in the rescue shell."""

    def __init__(self, finish: Finish) -> None:
        super().__init__(finish)
        self.finish = finish


def visit(console: Console, reasons: tuple[str, ...]) -> None:
    """Say why, say what to do, let a person do it. Raises EndAsked."""
    began_s = time.monotonic()
    for line in "\n".join((*reasons, *HELP)).splitlines():
        console.write(f"linit: {line}")
    try:
        shell(DEVICE, console)
    except OSError as failure:
        console.write(f"linit: no shell: {error_words(failure)}")
    if time.monotonic() - began_s < SHORTEST_VISIT_S:
        _sleep_unless_ended(SHORTEST_VISIT_S)


def shell(device: str, console: Console) -> None:
    """Run a root shell on the console until it ends. Every other child is left for the reaper.

    Raises EndAsked when a signal asks for the end, OSError when no child can be made.
    """
    import termios  # noqa: F401 for the child; nobody else pays for it

    console.drain(SHORTEST_VISIT_S)
    watched = {signal.SIGCHLD, *FINISHES}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        pid = os.fork()
        if not pid:
            _become_shell(device)
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            _raise_if_end(signal.sigwait(watched))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.raise_signal(signal.SIGCHLD)  # other children may have ended meanwhile: the reaper shall look
    if os.waitstatus_to_exitcode(ended[1]) == NO_SHELL:
        console.write(f"linit: no shell ran on {device}: tried {', '.join(argv[0] for argv in SHELLS)}")


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The shell's: nothing of PID 1's but what terminal it is on."""
    return {**ENVIRONMENT, "TERM": inherited.get("TERM", "linux")}


def _sleep_unless_ended(limit_s: float) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FINISHES)
    try:
        came = signal.sigtimedwait(tuple(FINISHES), limit_s)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if came is not None:
        _raise_if_end(came.si_signo)


def _raise_if_end(number: int) -> None:
    finish = FINISHES.get(signal.Signals(number))
    if finish is not None:
        raise EndAsked(finish)


def _become_shell(device: str) -> NoReturn:
    """The child: a session of its own with the console as controlling terminal, so that ^C and jobs work."""
    say: Callable[[str], object] = lambda text: os.write(2, f"linit: the shell on {device}: {text}\n".encode())  # noqa: E731
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        fd = os.open(device, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(fd, target)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 1)  # 1: also when an earlier session still has it
        os.chdir("/")
        for argv in SHELLS:
            if os.path.exists(argv[0]):
                os.execve(argv[0], argv, environment(os.environ))
    except OSError as failure:
        say(error_words(failure))
    except BaseException as bug:
        say(repr(bug))
    os._exit(NO_SHELL)
