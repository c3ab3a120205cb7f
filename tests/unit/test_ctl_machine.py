"""The end of the machine: ctl/machine.py. Signals as busybox's init knows them; reboot(2)."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from io import StringIO

import linitctl.machine
import pytest
from linitctl.client import NoAnswer
from linitctl.failure import Failure
from linitctl.session import Session

from linit.control.authorisation import Peer

from .control_world import Ran, service, world

machine = linitctl.machine


def system_session() -> tuple[Session, StringIO]:
    """A session with the system's linit, where none answers."""
    err = StringIO()
    options = Namespace(socket="", user="", json=False, color="never")
    session = Session(options, StringIO(), err)

    def nobody(self: Session) -> object:
        raise NoAnswer("/run/linit/control.sock", "No such file or directory")

    silent = type("SilentSession", (Session,), {"client": property(nobody)})
    session.__class__ = silent
    return session, err


@pytest.mark.parametrize(
    ("command", "word"), [("poweroff", "powering off"), ("reboot", "rebooting"), ("halt", "halting")]
)
def test_the_end_is_asked_for_and_not_waited_for(command: str, word: str) -> None:
    with world(service("net"), mode="system") as here:
        here.server._welcome = lambda accepted: here.server.attach(accepted, Peer(5, 0, 0))  # type: ignore[assignment, method-assign]
        assert here.ctl(command) == Ran(0, f"{word}\n", "")
        assert [each.value for each in here.supervisor.finished] == [command]


@pytest.mark.parametrize(
    ("arguments", "finish"),
    [
        ([], "poweroff"), (["now"], "poweroff"), (["-h", "now"], "poweroff"), (["-P", "+0"], "poweroff"),
        (["-r", "now"], "reboot"), (["-H", "now"], "halt"), (["-r", "now", "good", "night"], "reboot"),
    ],
)  # fmt: skip
def test_shutdown_is_called_as_sysvinits_is(arguments: list[str], finish: str) -> None:
    with world(mode="system") as here:
        here.server._welcome = lambda accepted: here.server.attach(accepted, Peer(5, 0, 0))  # type: ignore[assignment, method-assign]
        assert here.ctl("shutdown", *arguments).status == 0
        assert [each.value for each in here.supervisor.finished] == [finish]


@pytest.mark.parametrize("time", ["+5", "23:00", "tomorrow"])
def test_a_time_that_is_not_now_is_refused(time: str) -> None:
    with world() as here:
        assert here.ctl("shutdown", "-r", time) == Ran(
            2,
            "",
            f"linitctl: shutdown: found {time!r}, expected now or +0: linit does not schedule a shutdown\n"
            "for later: sleep 600 && shutdown now\n",
        )
        assert not here.supervisor.finished


def test_a_users_linit_ends_by_poweroff_and_does_not_reboot() -> None:
    with world(service("net")) as here:
        here.start("net")
        ran = here.ctl("reboot")
        assert (ran.status, ran.err) == (1, "linitctl: reboot: not in user mode\nit can do exit\n")
        assert here.ctl("poweroff") == Ran(0, "ending\n", "")
        assert [each.value for each in here.supervisor.finished] == ["exit"]


@pytest.mark.parametrize(
    ("finish", "number"), [("poweroff", signal.SIGUSR2), ("reboot", signal.SIGTERM), ("halt", signal.SIGUSR1)]
)
def test_when_linit_does_not_answer_pid_1_gets_the_signal_of_busybox(
    finish: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    session, err = system_session()
    assert machine.end(session, finish) == 0
    assert sent == [(1, number)]
    assert err.getvalue() == (
        "linitctl: no linit answers on /run/linit/control.sock: No such file or directory: "
        f"sent {signal.Signals(number).name} to PID 1 instead\n"
    )


def test_who_may_not_signal_pid_1_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(Failure) as caught:
        machine.end(system_session()[0], "reboot")
    assert caught.value.status == 4


def test_another_linit_that_does_not_answer_never_has_pid_1_signalled() -> None:
    with world() as here:
        assert here.ctl("--user", "/nowhere", "poweroff").status == 5


def test_force_is_about_the_machine_and_not_about_a_users_linit() -> None:
    with world() as here:
        assert here.ctl("reboot", "-f") == Ran(
            2, "", "linitctl: reboot --force is about this machine, not about a user's linit\n"
        )


@pytest.mark.parametrize(("finish", "number"), [("poweroff", 0x4321FEDC), ("reboot", 0x01234567), ("halt", 0xCDEF0123)])
def test_force_syncs_and_calls_reboot(finish: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are those of reboot(2); the C library takes them as a signed int."""
    import ctypes

    done: list[object] = []

    class Libc:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def reboot(self, command: ctypes.c_int) -> int:
            done.append(command.value & 0xFFFFFFFF)
            return -1

    monkeypatch.setattr(os, "sync", lambda: done.append("sync"))
    monkeypatch.setattr(ctypes, "CDLL", Libc)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 1)
    with pytest.raises(Failure) as caught:
        machine.at_once(finish)
    assert done == ["sync", number]
    assert (caught.value.status, caught.value.message) == (4, "reboot(2): Operation not permitted")
