"""Which signal means what to PID 1? As busybox's init has it, so that its halt, poweroff and reboot work.

The kernel drops signals to PID 1 that have no handler (signal(7), kill(2)), but the interpreter installs some of
its own, and what ran before may have ignored others: so every signal is given its meaning here, once.
"""

from __future__ import annotations

import signal
from typing import Final

from linit.model.state import Finish

FINISHES: Final = {
    signal.SIGINT: Finish.REBOOT,  # ctrl-alt-del: proc_sys_kernel(5), ctrl-alt-del
    signal.SIGTERM: Finish.REBOOT,
    signal.SIGUSR1: Finish.HALT,
    signal.SIGUSR2: Finish.POWEROFF,
    signal.SIGPWR: Finish.POWEROFF,  # the power is about to fail: power(8)
}

RELOAD: Final = signal.SIGHUP  # read the plan again

# SIGCHLD is the runtime's. These are ignored:
IGNORED: Final = (
    signal.SIGPIPE,  # a closed socket or pipe is an errno where it is written to, never an end
    signal.SIGQUIT,  # a terminal's ^\ is for the program on it; nobody may ask PID 1 for a core dump
    signal.SIGTSTP,  # nobody may stop PID 1: nothing would be reaped any more
    signal.SIGTTIN,
    signal.SIGTTOU,  # writing to the console while a getty's session owns it must not stop PID 1
    signal.SIGALRM,  # linit's timers are the loop's
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGXCPU,  # limits are for services
    signal.SIGXFSZ,  # a file that is too large is EFBIG
    signal.SIGIO,  # no descriptor asks for it
    signal.SIGURG,
    signal.SIGWINCH,  # the kernel's keyboard request (loadkeys(1), KeyboardSignal) has no meaning here
    signal.SIGCONT,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),  # systemctl's meanings (systemd(1)) are not ours
)
# Left as they are: SEGV, BUS, ILL, FPE, SYS, TRAP and ABRT say that this very program is broken. The kernel does
# not let a fault be ignored, and to run on with one would be worse than the panic that names it.


def name_of(number: int) -> str:
    """`SIGTERM`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def by_signal(number: int) -> str:
    """Who asked, for the console: a signal does not say who sent it."""
    return "ctrl-alt-del or SIGINT" if number == signal.SIGINT else name_of(number)


def ignore_the_rest() -> None:
    """Nothing is blocked and nothing unexpected is handled; what ran before left no trace.

    Until the supervisor listens, the signals with a meaning have none: the kernel drops them.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN loses statuses: wait(2)
    for number in (*FINISHES, RELOAD):
        signal.signal(number, signal.SIG_DFL)  # also Python's own handler of INT, which raises
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
