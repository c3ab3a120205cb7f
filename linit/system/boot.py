"""What does PID 1 do first, and in which order? From the kernel's exec to the plan; `machine.py` goes on from there.

Every step deals with its own failure: the boot goes on with less, and says so. `main` neither returns nor raises,
since the kernel panics when PID 1 ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from linit import VERSION
from linit.model.paths import Paths
from linit.model.state import Finish
from linit.runtime.failure import error_words
from linit.system import identity, mounts, rescue, signals, surroundings, texts
from linit.system.cmdline import CommandLine, parse
from linit.system.console import DEVICE, Console
from linit.system.rescue import EndAsked


def main() -> NoReturn:
    """PID 1."""
    told: list[str] = []
    mounts.mount_missing(told.append)  # first of all: the console is in /dev
    surroundings.settle(DEVICE)
    console = Console()
    while True:
        try:
            boot(console, told)
        except EndAsked as asked:
            _end(asked.finish, console)
        except BaseException as fault:  # a bug, a full memory, a disk that is gone: none may end PID 1
            told = []
            _confess(console, fault)


def boot(console: Console, told_before: list[str]) -> NoReturn:
    """The order of the start. Raises EndAsked, and whatever a bug raises."""

    def tell(text: str) -> None:
        console.write(texts.said(time.monotonic(), text))

    signals.ignore_the_rest()
    wishes = parse(surroundings.read_text("/proc/cmdline"))
    if not wishes.quiet:
        console.write(texts.banner(VERSION, sys.version.split()[0], os.uname().release))
    for text in told_before:
        tell(text)
    for word in wishes.unknown:
        tell(f"kernel command line: found {word}, which means nothing to linit")
    surroundings.take_ctrl_alt_del(tell)
    identity.settle(tell)
    paths = Paths.system()
    _make_folder(paths.run, tell)
    if wishes.emergency:
        tell("linit.emergency: a root shell before any service; the boot goes on when it ends")
        rescue.shell(DEVICE, console)
    _start_machine(paths, wishes, console)


def _start_machine(paths: Paths, wishes: CommandLine, console: Console) -> NoReturn:
    from linit.system.machine import Machine  # most of linit; nobody in the emergency shell waits for it

    machine = Machine(paths, wishes, console)
    machine.boot()
    machine.run()


def _make_folder(path: str, tell: Callable[[str], object]) -> None:
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as failure:
        tell(f"cannot make {error_words(failure)}")


def _confess(console: Console, fault: BaseException) -> None:
    """The whole trace: it is all that anybody will know about this bug. Then a person is let in."""
    try:
        import traceback

        for line in "".join(traceback.format_exception(fault)).splitlines():
            console.write(line)
        rescue.visit(console, (f"a fault of linit's own: {fault!r}",))
    except EndAsked as asked:
        _end(asked.finish, console)
    except BaseException as again:
        console.write(f"linit: {again!r}")


def _end(finish: Finish, console: Console) -> NoReturn:
    while True:
        try:
            from linit.system.machine import end_machine

            end_machine(finish, console)
        except BaseException as fault:
            console.write(f"linit: at the end of the machine: {fault!r}")
