"""`lock`, `locks`: who may be alone with something, and who waits for it?"""

from __future__ import annotations

import os
import select
import signal

from linitctl import table
from linitctl.failure import FAILED, OK, Failure
from linitctl.session import Command
from linitctl.wishes import tell_failures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from types import FrameType
    from typing import Any, Final

    from linitctl.session import Session

PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP)
OF_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)  # a terminal sends them to the program as well
NOT_RUN: Final = 126  # as shells have it; 127 when there is no such program
NOT_FOUND: Final = 127
SIGNALLED: Final = 128


def _lock_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the lock, whatever it stands for")
    parser.add_argument("--no-wait", action="store_true", help="fail at once when another holds it")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=None, help="fail when it takes longer")
    parser.add_argument("argv", metavar="COMMAND", nargs="+", help="the program and its arguments, after `--`")


def _lock(session: Session, options: Namespace) -> int:
    client = session.client
    id_ = client.send("lock", {"lock": options.name, "wait": not options.no_wait})
    if not client.wait(id_, options.timeout):
        client.close()  # whoever hangs up wants no lock any more
        raise Failure(FAILED, f"{options.name}: not free within {options.timeout:g} s", "see: linitctl locks")
    result = client.result(id_)
    if result["outcome"] != "done":
        return tell_failures(session, result, "see: linitctl locks")
    return run_holding(session, options.name, options.argv)


def run_holding(session: Session, name: str, argv: list[str]) -> int:
    """Run a program while the connection lives; its exit status, or 128 and the number of the signal that ended it.

    Signals that are meant for it are passed on, and end nothing here: the lock is held until it has ended.
    """
    pid = 0
    early: list[int] = []  # signals that came before there was a process

    def pass_on(number: int, frame: FrameType | None) -> None:
        if number not in PASSED_ON:
            return
        if pid:
            os.kill(pid, number)
        else:
            early.append(number)

    for number in (*PASSED_ON, *OF_TERMINAL):
        signal.signal(number, pass_on)
    session.out.flush()
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=(*PASSED_ON, *OF_TERMINAL, signal.SIGPIPE))
    except OSError as fault:
        status = NOT_FOUND if isinstance(fault, FileNotFoundError) else NOT_RUN
        raise Failure(status, f"{argv[0]}: {fault.strerror}") from fault
    for late in early:
        os.kill(pid, late)
    _wait_for_end(session, name, pid)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else SIGNALLED - status


def _wait_for_end(session: Session, name: str, pid: int) -> None:
    """Until the process has ended; that the lock was lost meanwhile is told."""
    ended = os.pidfd_open(pid)
    watched = [ended, session.client.fileno()]
    while ended not in (ready := select.select(watched, (), ())[0]):
        if ready and not session.client.drain():
            session.complain(f"linitctl: the lock {name} is lost: linit closed the connection; {pid} goes on")
            watched = [ended]
    os.close(ended)


def _no_arguments(parser: ArgumentParser) -> None:
    pass


def _locks(session: Session, options: Namespace) -> int:
    result = session.call("locks")
    if session.is_json:
        session.print_json(result)
        return OK
    rows = []
    for lock in result["locks"]:
        rows.append((lock["name"], "held", _who(lock["holder"])))
        rows += [("", "waits", _who(waiter)) for waiter in lock["waiters"]]
    session.print(*(table.render(("LOCK", "", "BY"), rows, session.style) if rows else ("no locks",)))
    return OK


def _who(claim: dict[str, Any]) -> str:
    return f"{claim['service']}: {claim['by']}" if claim["service"] else str(claim["by"])


COMMANDS: Final = {
    "lock": Command(
        _lock_arguments,
        _lock,
        "Run a command while nobody else holds the lock NAME; ends with the command's exit status (128 and the number\n"
        "of a signal; 127: no such program). First come, first served. linit keeps the locks: a wait that would never\n"
        "end, through services that wait for each other as well, is refused at once with the loop, exit status 6.",
        "linitctl lock apt -- apt-get -y upgrade",
        "linitctl lock --timeout 10 backup -- /usr/local/bin/backup",
    ),
    "locks": Command(_no_arguments, _locks, "Show all locks, who holds them and who waits.", "linitctl locks"),
}
