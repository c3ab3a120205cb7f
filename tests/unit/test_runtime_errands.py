"""What a child is sent to look at, with real children. Source: linit/runtime/errands.py."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from linit.engine.events import Ready, SpawnFailed
from linit.model.service import Kind, Listen, ListenKind, Service
from linit.model.state import Role
from linit.runtime.errands import Errand
from linit.runtime.kernel_files import is_in_memory
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from linit.runtime.triggers import Triggers
from tests.unit.means_world import HERE, Turning, World

OURSELVES = pwd.getpwuid(os.geteuid()).pw_name


class Sent:
    """A loop with children; `heard`: what they found, or what went wrong."""

    def __init__(self) -> None:
        self.loop = Turning()
        self.signals = Signals(self.loop)
        self.processes = Processes(self.loop, self.signals)
        self.heard: list[tuple[str, str]] = []

    def send(self, work: Callable[[], str]) -> Errand:
        """Have a child do something."""
        found, failed = (partial(self._hear, what) for what in ("found", "failed"))
        return Errand(self.processes, work, found, failed)

    def wait(self) -> tuple[str, str]:
        """Until one of them has been heard."""
        while not self.heard:
            self.loop.turn(30)
        return self.heard.pop(0)

    def wait_alone(self) -> None:
        """Until there is no child."""
        while self.has_child():
            self.loop.turn(30)

    def has_child(self) -> bool:
        """Is there one that was not reaped?"""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _hear(self, what: str, text: str) -> None:
        self.heard.append((what, text))


@pytest.fixture
def sent() -> Iterator[Sent]:
    """At the end no child is left, and nothing is looked at."""
    made = Sent()
    yield made
    made.wait_alone()
    made.signals.close()
    assert made.loop.readers == {}


def test_a_child_tells_what_it_found(sent: Sent) -> None:
    """It is another process, and has nothing open but the way to tell."""
    sent.send(lambda: f"{os.getpid()} {len(os.listdir('/proc/self/fd'))}")
    what, text = sent.wait()
    pid, count = text.split()
    assert (what, int(pid) != os.getpid(), count) == ("found", True, "2")  # the second is that of the folder


def test_an_error_is_told_with_its_path(sent: Sent, tmp_path: Path) -> None:
    sent.send(lambda: str(os.listdir(tmp_path / "nothing")))
    assert sent.wait() == ("failed", f"{tmp_path}/nothing: ENOENT (no such file or directory)")


def test_a_fault_of_linits_own_is_told(sent: Sent) -> None:
    def breaks() -> str:
        raise KeyError("x")

    sent.send(breaks)
    assert sent.wait() == ("failed", "a fault of linit's: KeyError('x')")


def test_a_child_that_ends_without_a_word_is_told(sent: Sent) -> None:
    """By the kernel, for lack of memory, or by somebody."""

    def dies() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    sent.send(dies)
    assert sent.wait() == ("failed", "a child of linit's killed by SIGKILL")


def hang(fifo: Path) -> str:
    """As a disk does that never answers: the open of a FIFO that nobody writes to."""
    return fifo.read_text()


def test_who_sends_a_child_does_not_wait_for_it(sent: Sent, tmp_path: Path) -> None:
    """Another one is heard meanwhile. Nobody hears of one that was called off."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    hanging = sent.send(partial(hang, fifo))
    sent.send(lambda: "quick")
    assert sent.wait() == ("found", "quick")
    hanging.cancel()
    sent.wait_alone()
    assert sent.heard == []


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/run/x", True), ("/proc/1/x", True), ("/run/../srv/x", False), ("/srv/run/x", False), ("/runner/x", False)],
)
def test_nobody_waits_for_what_is_in_memory(path: str, answer: bool) -> None:
    assert is_in_memory(path) is answer


# -- the owner of a socket


class Armed(World):
    """Triggers, whose accounts are looked up by real children."""

    def __init__(self, folder: Path, sent: Sent) -> None:
        super().__init__(folder)
        self.sent = sent
        parts = {field: getattr(self.means, field) for field in self.means.__dataclass_fields__}
        self.means = type(self.means)(**parts | {"loop": sent.loop, "processes": sent.processes})
        self.triggers = Triggers(self.means)

    def arm(self, path: Path, owner: str) -> None:
        """Open a socket that belongs to somebody."""
        listen = Listen(ListenKind.UNIX_STREAM, str(path), HERE, owner=owner)
        self.triggers.arm(Service("web.socket", HERE, kind=Kind.SOCKET, listen=(listen,), activates="web"))


@pytest.fixture
def armed(sent: Sent, tmp_path: Path) -> Iterator[Armed]:
    """Everything is closed at the end."""
    world = Armed(tmp_path, sent)
    yield world
    world.triggers.close()


def test_the_owner_of_a_socket_is_looked_up_by_a_child(armed: Armed, tmp_path: Path) -> None:
    """/etc may be on a disk that hangs; the socket is open when it is known whose it is."""
    armed.arm(tmp_path / "s", OURSELVES)
    assert (armed.events, (tmp_path / "s").exists()) == ([], False)
    armed.sent.wait_alone()
    assert armed.events == [Ready("web.socket")]
    assert (tmp_path / "s").is_socket()


def test_an_owner_that_nobody_knows_is_a_failed_start(armed: Armed, tmp_path: Path) -> None:
    armed.arm(tmp_path / "s", "nobody-at-all")
    armed.sent.wait_alone()
    text = f'listen unix {tmp_path}/s: no user "nobody-at-all" in /etc/passwd'
    assert armed.events == [SpawnFailed("web.socket", Role.MAIN, text)]


def test_a_socket_that_is_disarmed_meanwhile_is_never_opened(armed: Armed, tmp_path: Path) -> None:
    """Its start took too long, or it is to be stopped."""
    armed.arm(tmp_path / "s", OURSELVES)
    armed.triggers.disarm("web.socket")
    armed.sent.wait_alone()
    assert (armed.events, (tmp_path / "s").exists()) == ([], False)
