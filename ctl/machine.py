"""`poweroff`, `reboot`, `halt`, `shutdown`: the end of the machine, or of a user's linit."""

from __future__ import annotations

import os
import signal

from linitctl.client import NoAnswer
from linitctl.failure import DENIED, FAILED, OK, USAGE, Failure
from linitctl.session import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Final

    from linitctl.session import Session

# What PID 1 understands when nothing else works: busybox's init, init/init.c.
SIGNALS: Final = {"poweroff": signal.SIGUSR2, "reboot": signal.SIGTERM, "halt": signal.SIGUSR1}
# reboot(2): LINUX_REBOOT_CMD_POWER_OFF, _RESTART, _HALT.
REBOOT_COMMANDS: Final = {"poweroff": 0x4321FEDC, "reboot": 0x01234567, "halt": 0xCDEF0123}
WORDS: Final = {"poweroff": "powering off", "reboot": "rebooting", "halt": "halting", "exit": "ending"}
ANSWER_TIMEOUT_S: Final = 10.0
INIT_PID: Final = 1


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="at once: sync and reboot(2), nothing is stopped")


def _finish(finish: str) -> Command:
    def run(session: Session, options: Namespace) -> int:
        if options.force:
            if not session.is_system:
                raise Failure(USAGE, f"{finish} --force is about this machine, not about a user's linit")
            at_once(finish)
        return end(session, finish)

    texts = {
        "poweroff": "Stop all services in reverse order, unmount, and switch the machine off.",
        "reboot": "Stop all services in reverse order, unmount, and start the machine anew.",
        "halt": "Stop all services in reverse order, unmount, and halt the machine without switching it off.",
    }
    more = "\nWith --user, poweroff and halt end that linit. When linit does not answer, PID 1 gets a signal."
    return Command(_arguments, run, texts[finish] + more, f"linitctl {finish}", f"{finish} -f")


def end(session: Session, finish: str) -> int:
    """Ask for the end; when PID 1 does not answer, signal it."""
    try:
        if session.client.hello["mode"] == "user" and finish in ("poweroff", "halt"):
            finish = "exit"
        session.client.call("shutdown", {"finish": finish}, timeout_s=ANSWER_TIMEOUT_S)
    except NoAnswer as fault:
        if not session.is_system:
            raise
        signal_init(session, finish, fault.message)
        return OK
    if session.is_json:
        session.print_json({"outcome": "accepted", "finish": finish})
    else:
        session.print(WORDS[finish])
    return OK


def signal_init(session: Session, finish: str, why: str) -> None:
    """The way that works without the control socket. Raises Failure."""
    number = SIGNALS[finish]
    try:
        os.kill(INIT_PID, number)
    except PermissionError as fault:
        raise Failure(DENIED, f"{why}, and only root may signal PID {INIT_PID}") from fault
    session.complain(f"linitctl: {why}: sent {number.name} to PID {INIT_PID} instead")


def at_once(finish: str) -> None:
    """Sync and end the machine, whatever runs. Returns only by raising Failure."""
    import ctypes

    os.sync()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.reboot(ctypes.c_int(REBOOT_COMMANDS[finish] - (1 << 32 if REBOOT_COMMANDS[finish] >> 31 else 0)))
    number = ctypes.get_errno()
    status = DENIED if number == 1 else FAILED  # EPERM
    raise Failure(status, f"reboot(2): {os.strerror(number)}")


def _shutdown_arguments(parser: ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    for flags, finish, text in (
        (("-h", "-P", "--poweroff"), "poweroff", "switch the machine off (default)"),
        (("-r", "--reboot"), "reboot", "start it anew"),
        (("-H", "--halt"), "halt", "halt it without switching it off"),
    ):
        how.add_argument(*flags, dest="finish", action="store_const", const=finish, help=text)
    parser.add_argument("time", metavar="TIME", nargs="?", default="now", help="now or +0: there is no other time")
    parser.add_argument("message", metavar="MESSAGE", nargs="*", help="accepted for sysvinit's sake, not sent")


def _shutdown(session: Session, options: Namespace) -> int:
    if options.time not in ("now", "+0"):
        raise Failure(
            USAGE,
            f"shutdown: found {options.time!r}, expected now or +0: linit does not schedule a shutdown",
            "for later: sleep 600 && shutdown now",
        )
    return end(session, options.finish or "poweroff")


COMMANDS: Final = {
    "poweroff": _finish("poweroff"),
    "reboot": _finish("reboot"),
    "halt": _finish("halt"),
    "shutdown": Command(
        _shutdown_arguments,
        _shutdown,
        "Stop all services in reverse order, unmount, and end the machine, at once.",
        "shutdown -r now",
        keeps_h=True,
    ),
}
