"""Daemons that put themselves into the background, with real processes; each rule with cgroups and without."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.running import Running, is_alive, writable_cgroup

PYTHON: Final = [sys.executable, "-I", "-c"]
DAEMON: Final = """
import os, signal, sys
folder, after = sys.argv[1:3]
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
def write(name, pid):
    with open(f"{folder}/{name}.new", "w") as file:
        file.write(f"{pid}\\n")
    os.rename(f"{folder}/{name}.new", f"{folder}/{name}")
exec(after)
write("pid", os.getpid())
signal.pause()
"""
WORKER: Final = """
if not os.fork():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write("worker", os.getpid())
    while True:
        signal.pause()
"""


@pytest.fixture(params=["cgroups", "sessions"])
def place(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The options of a linit with cgroups, and of one without."""
    if request.param == "sessions":
        yield ["--cgroup", ""]
        return
    folders = writable_cgroup()
    folder = next(folders, "")
    if not folder:
        pytest.skip("no cgroup2 file system in which cgroups may be made")
    yield ["--cgroup", folder]
    next(folders, None)


class Daemon:
    """A service of kind forking whose daemon forks twice and leaves its session."""

    def __init__(self, linit: Running, folder: Path) -> None:
        self.linit = linit
        self.folder = folder

    def define(self, after: str = "", with_pidfile: bool = True, **keys: Any) -> None:
        """`after`: what the daemon does before it writes its pid."""
        pidfile = {"pidfile": str(self.folder / "pid")} if with_pidfile else {}
        run = [*PYTHON, DAEMON, str(self.folder), after]
        self.linit.define("daemon", kind="forking", run=run, **pidfile, **keys)

    def wait_for(self, name: str = "pid", other_than: int = 0) -> int:
        """Until the daemon, or a worker of it, has written its pid; that pid."""
        path = self.folder / name
        self.linit.ask_until(lambda: path.exists() and int(path.read_text()) != other_than, f"{name} of the daemon")
        return int(path.read_text())

    def kill(self, pid: int) -> None:
        """SIGKILL, and wait until the daemon is up anew."""
        ups = sum(seen[:2] == ("daemon", "up") for seen in self.linit.transitions)
        os.kill(pid, signal.SIGKILL)
        self.linit.wait_for_transition("daemon", "up", ups + 1)

    def wait_main(self, pid: int) -> None:
        """Until linit takes this process for the main one."""
        self.linit.ask_until(lambda: self.linit.call("status", name="daemon")["pid"] == pid, "the daemon is found")


@pytest.fixture
def daemon(place: list[str], linit: Running, tmp_path: Path) -> Daemon:
    """A daemon that is not defined yet. `place` comes first everywhere: it ends last."""
    del place
    folder = tmp_path / "daemon"
    folder.mkdir()
    return Daemon(linit, folder)


@pytest.mark.parametrize("with_pidfile", [True, False], ids=["pidfile", "no pidfile"])
def test_the_daemon_is_the_main_process(place: list[str], linit: Running, daemon: Daemon, with_pidfile: bool) -> None:
    """kind: forking. Up when the daemon is found; its crash is seen with its status; a stop leaves nothing."""
    daemon.define(with_pidfile=with_pidfile, restart={"policy": "on_failure", "delay": "10ms"})
    linit.boot(*place)
    assert linit.states["daemon"] == "up"
    first = daemon.wait_for()
    daemon.wait_main(first)

    daemon.kill(first)
    assert ("daemon", "backoff", "killed by SIGKILL; starts again after 0.01 s") in linit.transitions
    second = daemon.wait_for(other_than=first)
    daemon.wait_main(second)

    linit.call("stop", names=["daemon"])
    assert linit.states["daemon"] == "down"
    assert not is_alive(second)
    assert linit.left() == []


def test_its_end_is_told_with_its_status(place: list[str], linit: Running, daemon: Daemon) -> None:
    """An orphan is linit's child: PID 1, or a subreaper."""
    after = "signal.signal(signal.SIGUSR1, lambda *_: os._exit(5))"
    daemon.define(after, restart="never")
    linit.boot(*place)
    os.kill(daemon.wait_for(), signal.SIGUSR1)
    linit.wait_for("daemon", "failed")
    assert linit.text("daemon") == "exited with status 5"


@pytest.mark.parametrize("with_pidfile", [True, False], ids=["pidfile", "no pidfile"])
def test_a_stop_reaches_workers_in_sessions_of_their_own(
    place: list[str], linit: Running, daemon: Daemon, with_pidfile: bool
) -> None:
    """They ignore TERM and outlive the daemon: the service is down when they are gone, too."""
    daemon.define(WORKER, with_pidfile=with_pidfile, stop_timeout="1s")
    linit.boot(*place)
    pid, worker = daemon.wait_for(), daemon.wait_for("worker")
    daemon.wait_main(pid)
    linit.call("stop", names=["daemon"])
    assert (is_alive(pid), is_alive(worker)) == (False, False)
    assert any(name == "daemon" and text.startswith("ignored TERM for ") for name, text in linit.told)


def test_what_a_crash_leaves_is_gone_before_the_next_start(place: list[str], linit: Running, daemon: Daemon) -> None:
    """A second daemon beside workers of the first would find their sockets and locks taken."""
    daemon.define(WORKER, stop_timeout="500ms", restart={"policy": "always", "delay": "10ms"})
    linit.boot(*place)
    pid, worker = daemon.wait_for(), daemon.wait_for("worker")
    daemon.kill(pid)
    assert not is_alive(worker)
    assert daemon.wait_for("worker", other_than=worker) != worker


def test_a_command_that_leaves_no_process_is_a_failed_start(place: list[str], linit: Running) -> None:
    """Nothing runs, so it cannot be up."""
    linit.define("daemon", kind="forking", run=["/bin/true"], restart="never")
    linit.boot(*place)
    assert linit.text("daemon") == "never became ready: its command ended and left no process"


def test_a_command_that_fails_is_a_failed_start(place: list[str], linit: Running) -> None:
    """Daemons check their configuration before they fork."""
    linit.define("daemon", kind="forking", run=["/bin/sh", "-c", "exit 3"], restart="never")
    linit.boot(*place)
    assert linit.text("daemon") == "exited with status 3"


def test_a_pidfile_that_an_earlier_run_left_is_not_believed(place: list[str], linit: Running, daemon: Daemon) -> None:
    """It names a process of somebody else: here the one that runs this test."""
    (daemon.folder / "pid").write_text(f"{os.getpid()}\n")
    daemon.define()
    linit.boot(*place)
    assert linit.states["daemon"] == "up"
    daemon.wait_main(daemon.wait_for(other_than=os.getpid()))


def test_a_daemon_that_dies_before_it_wrote_its_pidfile_is_a_failed_start(
    place: list[str], linit: Running, daemon: Daemon
) -> None:
    """Nobody waits for the rest of the start timeout: nothing of it is left."""
    daemon.define("os._exit(1)", restart="never", start_timeout="1h")
    linit.boot(*place)
    assert linit.text("daemon") == "never became ready: its command ended and left no process"


def test_a_daemon_whose_environment_is_gone_is_found_by_its_pidfile(
    place: list[str], linit: Running, daemon: Daemon
) -> None:
    """Programs write their title over it (setproctitle), or clear it for what they execute."""
    again = "import os, sys, signal; open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
    after = f"os.execve({sys.executable!r}, [{sys.executable!r}, '-I', '-c', {again!r}, folder + '/pid'], {{}})"
    daemon.define(after)
    linit.boot(*place)
    assert linit.states["daemon"] == "up"
    pid = daemon.wait_for()
    daemon.wait_main(pid)
    linit.call("stop", names=["daemon"])
    assert not is_alive(pid)


def test_its_readiness_counts_from_the_daemon_on(place: list[str], linit: Running, daemon: Daemon) -> None:
    """`ready` beside `kind: forking`: the daemon has forked, but does not serve yet."""
    after = f"write('pid', os.getpid()); open({str(daemon.folder / 'serves')!r}, 'w')"
    daemon.define(after, ready={"path": str(daemon.folder / "serves")})
    linit.boot(*place)
    assert linit.states["daemon"] == "up"
    assert (daemon.folder / "serves").exists()


def test_what_a_plain_service_leaves_in_another_session_is_part_of_it(
    place: list[str], linit: Running, daemon: Daemon
) -> None:
    """Not only of kind forking: the end of a main process is told with what is left of the service."""
    foreground = DAEMON.replace("os.setsid()\n", "").replace("if os.fork():\n    os._exit(0)\n", "")
    # It ends when its worker has closed its end of a pipe: by then the worker ignores TERM, and has written its pid.
    settled = WORKER.replace("    while True", "    os.close(far_end)\n    while True")
    worker_and_end = f"end, far_end = os.pipe()\n{settled}os.close(far_end)\nos.read(end, 1)\nos._exit(0)"
    linit.define(
        "plain", run=[*PYTHON, foreground, str(daemon.folder), worker_and_end], restart="never", stop_timeout="500ms"
    )
    linit.boot(*place)
    worker = daemon.wait_for("worker")
    linit.wait(lambda: linit.states["plain"] in ("down", "failed"), "its end")
    assert not is_alive(worker)
    assert any(name == "plain" and text.startswith("ignored TERM for ") for name, text in linit.told)
