"""Who belongs to a service that has no cgroup, with real processes that hide: the tests decide when is looked.

The process that runs these tests is a subreaper meanwhile, as `linit --user` is: PR_SET_CHILD_SUBREAPER(2const).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from linit.engine.effects import Signal, To
from linit.engine.events import Emptied, Exited
from linit.model.state import Role
from linit.runtime import sessions, strays
from linit.runtime.kin import UNTOLD_LIMIT_S
from linit.runtime.members import LOOK_AGAIN_S, Members
from linit.runtime.spawn import Launch
from tests.unit.test_runtime_processes import World

PR_SET_CHILD_SUBREAPER: Final = 36
# The main process ends when its worker, in a session of its own, has said its pid on descriptor 3.
PROGRAM: Final = """
import ctypes, os, signal, sys, threading
end, far_end = os.pipe()
if os.fork():
    os.close(far_end)
    os.read(end, 1)
    os._exit(0)
def say(text):
    os.write(3, f"{text}\\n".encode())
def become(program, environment={}):
    os.execve(sys.executable, [sys.executable, "-I", "-c", program], environment)
PAUSE = "import os, signal; os.write(3, b'again\\\\n'); signal.pause()"
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.setsid()
say(os.getpid())
os.close(far_end)
"""
IGNORES: Final = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
# At USR1 it goes on as another program that has no environment.
CLEARS: Final = "signal.sigwait({signal.SIGUSR1})\nbecome(PAUSE)\n"
# Its first thread ends; the other one goes on.
LEAVES_A_THREAD: Final = "threading.Thread(target=signal.pause).start()\nctypes.CDLL(None).pthread_exit(None)\n"
# At USR1 it has a worker of its own, in another session and without an environment, which ignores TERM.
WORKS_ITSELF: Final = f"if not os.fork():\n    os.setsid()\n    {IGNORES}    become(PAUSE)\nsignal.pause()\n"
HAS_A_WORKER: Final = "signal.sigwait({signal.SIGUSR1})\n" + WORKS_ITSELF


class Hidden(World):
    """A world whose service `a` has left one process in a session of its own."""

    def __init__(self, proc: Path) -> None:
        super().__init__()
        self.members = Members(self.loop, self.processes, "", self.reported.append, proc=str(proc))
        self._end, self._far_end = os.pipe()
        os.set_inheritable(self._far_end, True)
        self._heard = b""

    def leave(self, what_it_does: str, state: str = "") -> int:
        """Run the service until its main process has ended and was reaped; the pid of the process that it left, which
        was in that state by then. Source: proc_pid_stat(5)."""
        argv = sys.executable, "-I", "-c", PROGRAM + what_it_does
        self.members.spawn("a", Role.MAIN, lambda _cgroup: Launch(argv, keep=((self._far_end, 3),)))
        main = self.members.main_pid("a")
        worker = int(self.hear())
        while state and (found := sessions.stat(worker)) is not None and found.state != state:
            os.sched_yield()
        self.wait_dead(main)
        self.processes.reap()
        return worker

    def hear(self) -> str:
        """What a process says next."""
        while b"\n" not in self._heard:
            self._heard += os.read(self._end, 100)
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def ends(self, pid: int) -> None:
        """Wait for the end of a process, and reap it."""
        self.wait_dead(pid)
        self.processes.reap()

    def close(self) -> None:
        """Nobody is left."""
        for pid in sessions.children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
            self.ends(pid)
        self.signals.close()
        os.close(self._end)
        os.close(self._far_end)


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Orphans become our children."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


@pytest.fixture
def hidden(subreaper: None) -> Iterator[Hidden]:
    """Processes tell in /proc whose they are."""
    del subreaper
    world = Hidden(Path("/proc"))
    yield world
    world.close()


def test_who_is_known_belongs_to_the_service_until_it_is_reaped(hidden: Hidden) -> None:
    """Whatever it tells later: a process that is about to end, or to execute, shows no environment either."""
    worker = hidden.leave(IGNORES + CLEARS)
    assert hidden.reported[-1] == Exited("a", Role.MAIN, 0, left=True)
    os.kill(worker, signal.SIGUSR1)
    assert hidden.hear() == "again"
    hidden.members.signal(Signal("a", signal.SIGTERM, To.ALL))
    assert hidden.members.pids("a") == [worker]
    hidden.members.kill_all("a")
    assert Emptied("a") not in hidden.reported
    hidden.ends(worker)
    assert hidden.reported[-1:] == [Emptied("a")]


def test_a_process_whose_first_thread_has_ended_is_alive(hidden: Hidden) -> None:
    """It is shown as a zombie, without an environment of its own. Source: pthread_exit(3), proc_pid_stat(5)."""
    worker = hidden.leave(IGNORES + LEAVES_A_THREAD, state="Z")
    assert hidden.reported[-1] == Exited("a", Role.MAIN, 0, left=True)
    assert hidden.members.pids("a") == [worker]
    assert not hidden.members.is_empty("a")
    hidden.members.kill_all("a")
    hidden.ends(worker)
    assert hidden.reported[-1:] == [Emptied("a")]


def test_nobody_is_followed_for_who_only_asks(hidden: Hidden) -> None:
    """`linitctl status` costs no descriptor, whatever a service runs."""
    worker = hidden.leave(HAS_A_WORKER)
    os.kill(worker, signal.SIGUSR1)
    assert hidden.hear() == "again"
    before = list(hidden.loop.asked)
    (below,) = sessions.descendants([worker])
    assert set(hidden.members.pids("a")) == {worker, below}
    assert hidden.members.has("a", below)
    assert hidden.loop.asked == before


def test_who_descends_from_one_that_is_known_is_known(hidden: Hidden) -> None:
    """A worker's worker, in another session and without an environment, before and after the one between them ended."""
    worker = hidden.leave(HAS_A_WORKER)
    os.kill(worker, signal.SIGUSR1)
    assert hidden.hear() == "again"
    below = sessions.descendants([worker])
    assert len(below) == 1
    hidden.members.signal(Signal("a", signal.SIGTERM, To.ALL))
    hidden.ends(worker)
    assert Emptied("a") not in hidden.reported
    assert set(hidden.members.pids("a")) == below
    hidden.members.kill_all("a")
    assert Emptied("a") not in hidden.reported
    hidden.ends(*below)
    assert hidden.reported[-1:] == [Emptied("a")]


class Telling:
    """What the kernel would say of an orphan, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tell(self, pid: int, environment: str, environment_end: int) -> None:
        """Its environment, and where that ends in its memory: proc_pid_stat(5), the field 51."""
        own = self.folder / str(pid)
        (own / "task").mkdir(parents=True, exist_ok=True)
        (own / "environ").write_text(environment)
        fields = "S", *([1] * 16), 1, *([1] * 30), environment_end, 0
        (own / "stat").write_text(f"{pid} (a) {' '.join(str(field) for field in fields)}\n")


@pytest.mark.parametrize(
    ("environment", "environment_end", "answer"),
    [
        ("A=b\0LINIT_RUN=mark\0", 4096, True),
        ("LINIT_RUN=other\0", 4096, False),
        ("", 4096, False),
        ("", 0, None),
    ],
    ids=["its mark", "another's", "cleared", "between two programs, or about to end"],
)
def test_a_process_bears_a_mark_or_does_not_or_cannot_tell_now(
    tmp_path: Path, environment: str, environment_end: int, answer: bool | None
) -> None:
    """Between execve(2) and the first instruction of the new program, and once its memory is gone."""
    Telling(tmp_path).tell(7, environment, environment_end)
    assert strays.bears(7, "mark", str(tmp_path)) is answer


@pytest.fixture
def silent(subreaper: None, tmp_path: Path) -> Iterator[Hidden]:
    """Processes tell in a folder, to begin with nothing, whose they are."""
    del subreaper
    world = Hidden(tmp_path)
    yield world
    world.close()


def leave_untold(silent: Hidden, tmp_path: Path) -> tuple[int, Telling]:
    """An orphan of which it cannot be told yet whose it is; the service counts on it for the time being."""
    telling = Telling(tmp_path)
    silent.members.before_end = lambda _name, _pid, _status: _tell_of_orphans(telling)
    worker = silent.leave("signal.pause()")
    assert silent.reported[-1] == Exited("a", Role.MAIN, 0, left=True)
    return worker, telling


def _tell_of_orphans(telling: Telling) -> str:
    for pid in sessions.children(os.getpid()):
        telling.tell(pid, "", 0)
    return ""


def look_again(silent: Hidden) -> None:
    """Do what was asked of the loop last."""
    when_s, callback, *args = next(what[1:] for what in reversed(silent.loop.asked) if what[0] == "at")
    silent.loop.now_s = when_s
    callback(*args)


def test_it_is_not_over_while_it_cannot_be_told_whose_an_orphan_is(silent: Hidden, tmp_path: Path) -> None:
    """It is asked again soon: nobody tells when it has executed."""
    worker, telling = leave_untold(silent, tmp_path)
    before_s = silent.loop.now_s
    look_again(silent)
    assert silent.loop.now_s == before_s + LOOK_AGAIN_S
    assert Emptied("a") not in silent.reported
    telling.tell(worker, "LINIT_RUN=another's\0", 4096)
    look_again(silent)
    assert silent.reported[-1:] == [Emptied("a")]


def test_an_orphan_that_never_tells_is_nobodys_in_the_end(silent: Hidden, tmp_path: Path) -> None:
    """A hanging disk would keep every service from being over."""
    leave_untold(silent, tmp_path)
    from_s = silent.loop.now_s
    while Emptied("a") not in silent.reported:
        look_again(silent)
    assert UNTOLD_LIMIT_S <= silent.loop.now_s - from_s < UNTOLD_LIMIT_S + 1


def test_who_is_left_behind_by_one_that_died_just_now_is_found(silent: Hidden, tmp_path: Path) -> None:
    """The kernel is not asked for our children again and again; but again when one that it told of is dead."""
    telling = Telling(tmp_path)
    silent.members.before_end = lambda _name, _pid, _status: _tell_of_orphans(telling)
    worker = silent.leave(WORKS_ITSELF)
    assert silent.hear() == "again"
    assert silent.processes.orphans() == [worker]
    (below,) = sessions.descendants([worker])
    kin = silent.members._groups["a"].kin
    assert kin is not None
    telling.tell(worker, "LINIT_RUN=another's\0", 4096)
    telling.tell(below, f"LINIT_RUN={kin._mark}\0", 4096)
    assert silent.members.is_empty("a")  # as far as can be known: it is another's child
    os.kill(worker, signal.SIGKILL)
    silent.wait_dead(worker)
    assert silent.processes.orphans() == [worker]
    assert not silent.members.is_empty("a")
    assert silent.members.pids("a") == [below]
    silent.members.kill_all("a")
    silent.ends(below)
    assert silent.reported[-1:] == [Emptied("a")]


def test_the_kernel_is_asked_for_orphans_again_after_what_is_reaped_and_after_a_while(hidden: Hidden) -> None:
    """So a thousand services that end at once do not ask a thousand times for a thousand children."""
    first = hidden.leave("signal.pause()")
    assert hidden.processes.orphans() == []  # it is followed
    one = _forked(lives=True)
    assert hidden.processes.orphans() == []
    hidden.loop.now_s += 1.0
    assert hidden.processes.orphans() == [one]
    another, third = _forked(lives=False), _forked(lives=True)
    hidden.wait_dead(another)
    assert hidden.processes.orphans() == [one]
    hidden.processes.reap()
    assert set(hidden.processes.orphans()) == {one, third}
    hidden.members.kill_all("a")
    hidden.ends(first)


def _forked(*, lives: bool) -> int:
    pid = os.fork()
    if not pid:
        if lives:
            signal.pause()
        os._exit(0)
    return pid
