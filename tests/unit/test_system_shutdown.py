"""The end of a machine waits for nothing without a limit: linit/system/shutdown.py, with real children."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.system.console import Console
from linit.system.processes import holders, others
from linit.system.shutdown import HURRIED_WAIT_S, Ending, Patience


@pytest.fixture
def patience() -> Iterator[Patience]:
    """It blocks signals, as nothing may interrupt the end; the next test gets them back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    made = Patience()
    yield made
    signal.sigtimedwait((signal.SIGTERM, signal.SIGCHLD), 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def console(tmp_path: Path) -> Path:
    path = tmp_path / "console"
    path.touch()
    return path


def told(console: Path) -> list[str]:
    """The lines without their times."""
    return [line.partition("] ")[2] for line in console.read_text().splitlines()]


def ending(patience: Patience, console: Path) -> Ending:
    return Ending(Console(str(console)), patience, 0, lambda: None)


def child(seconds: float) -> int:
    """A child that ends after a while."""
    pid = os.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.sigtimedwait((), seconds)
        os._exit(0)
    return pid


def test_waiting_ends_with_the_child_and_not_with_the_limit(patience: Patience) -> None:
    pid = child(0.05)
    began_s = time.monotonic()
    assert patience.wait(300.0, lambda: patience.has_ended(pid))
    assert time.monotonic() - began_s < 150.0


def test_waiting_ends_at_its_limit(patience: Patience) -> None:
    pid = child(300.0)
    assert not patience.wait(0.05, lambda: patience.has_ended(pid))
    os.kill(pid, signal.SIGKILL)
    assert patience.wait(120.0, lambda: patience.has_ended(pid))


def test_the_whole_has_a_limit_too() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        assert not Patience(total_s=0.0).wait(10.0, lambda: False)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_second_wish_to_end_makes_every_wait_short(patience: Patience) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    began_s = time.monotonic()
    assert not patience.wait(300.0, lambda: False)
    assert not patience.wait(300.0, lambda: False)
    assert patience.is_hurried
    assert time.monotonic() - began_s < 2 * HURRIED_WAIT_S + 100.0


def test_a_step_that_hangs_is_left_behind_and_told(patience: Patience, console: Path) -> None:
    """A dead NFS server: umount(2) does not return."""
    why = ending(patience, console)._do("unmount /mnt", lambda: signal.sigtimedwait((), 30.0), 0.05)
    assert why == "not done within 0.05 s, left behind"
    assert told(console) == ["unmount /mnt: not done within 0.05 s, left behind"]
    assert patience.wait(120.0, lambda: others_of_ours() == [])


def others_of_ours() -> list[int]:
    """Children that live, or are not yet reaped."""
    path = f"/proc/self/task/{os.getpid()}/children"
    return [int(pid) for pid in Path(path).read_text().split() if not reaped(int(pid))]


def reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def test_a_step_that_fails_is_told_with_the_kernels_reason(patience: Patience, console: Path) -> None:
    def fail() -> None:
        raise OSError(16, "Device or resource busy", "/srv")

    assert ending(patience, console)._do("unmount /srv", fail, 5.0) == "EBUSY (device or resource busy)"
    assert told(console) == ["unmount /srv: EBUSY (device or resource busy)"]


def test_a_bug_in_a_step_is_told_and_ends_nothing_else(patience: Patience, console: Path) -> None:
    assert ending(patience, console)._do("sync", lambda: 1 // 0, 5.0).startswith("ZeroDivisionError")


def test_a_step_that_is_done_is_not_worth_a_line(patience: Patience, console: Path) -> None:
    assert ending(patience, console)._do("sync", lambda: None, 5.0) == ""
    assert told(console) == []


def test_who_holds_a_file_system_is_found_by_what_is_open(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w"):
        found = holders(str(tmp_path))
    mine = [line for line in found if f"(pid {os.getpid()})" in line]
    assert len(mine) == 1
    assert mine[0].endswith(": an open file")


def test_other_processes_are_found_and_this_one_is_not_among_them() -> None:
    pid = child(30.0)
    pids = [process.pid for process in others()]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert pid in pids
    assert os.getpid() not in pids
