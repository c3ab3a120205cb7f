"""How the log process is run, with a real one and no loop: the test decides when something is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.runtime.logger import LETS_FIRST_MAX_S, Logger
from linit.runtime.output import Output
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from tests.unit.test_runtime_loop import Handle, Recorder


def autogroup(pid: int) -> str:
    """The nice value of its session, "" where the kernel has no such thing or it shares the kernel's own group.
    Source: proc(5)."""
    path = Path(f"/proc/{pid}/autogroup")
    *_, nice = ["", *path.read_text().split()] if path.exists() else [""]
    return nice


class World:
    """A log process whose lines go to `folder`."""

    def __init__(self, folder: Path) -> None:
        self.before = autogroup(os.getpid())
        self.loop = Recorder()
        self.signals = Signals(self.loop)
        self.told: list[str] = []
        output = Output()
        self.logger = Logger(
            self.loop,
            Processes(self.loop, self.signals),
            output,
            environment={"LINIT_LOG_DIR": str(folder / "log"), "LINIT_RUN_DIR": str(folder / "run")},
            stderr=2,
            tell=self.told.append,
            lets_first=True,
        )
        self.logger.start()
        gate, callback, *args = next(what[1:] for what in reversed(self.loop.asked) if what[0] == "reader")
        os.set_blocking(gate, True)  # until it executes
        callback(*args)

    @property
    def limit(self) -> Handle:
        """What ends that by itself."""
        return self.loop.handles[self.loop.asked.index(("at", 100.0 + LETS_FIRST_MAX_S, self.logger.take_part))]

    def share(self) -> tuple[int, int, str]:
        """Its policy, its nice value, and that of its session, "" where the kernel has no such thing."""
        pid = self.logger.pid
        return os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid), autogroup(pid)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """It ends without a log process."""
    world = World(tmp_path)
    yield world
    world.logger.hang_up()
    os.waitpid(world.logger.pid, 0)
    world.signals.close()


def test_during_a_boot_the_log_process_lets_the_services_go_first(world: World) -> None:
    """Its interpreter and its modules cost as much as a dozen starts. Source: sched(7), SCHED_IDLE and autogroup."""
    policy, nice, among_sessions = world.share()
    assert (policy, nice) == (os.SCHED_IDLE, 19)
    assert among_sessions in ("19", "")
    assert not world.limit.is_cancelled


def test_it_is_not_our_own_session_that_lets_others_go_first(world: World) -> None:
    """Right after a fork the log process is still in it."""
    assert world.before == autogroup(os.getpid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise a priority")
def test_after_the_boot_it_has_its_share(world: World) -> None:
    """What is said to it then shall be written soon."""
    world.logger.take_part()
    policy, nice, among_sessions = world.share()
    assert (policy, nice) == (os.SCHED_OTHER, 0)
    assert among_sessions in ("0", "")
    assert world.limit.is_cancelled
    assert not world.told
