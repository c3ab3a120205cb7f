"""Fixtures of the integration tests: a supervisor in a fresh folder, and what must be true at its end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import Gate, Running, writable_cgroup

# A shell starts what it puts in the background with SIGINT ignored, and that is inherited: ^C would do nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def linit(tmp_path: Path) -> Iterator[Running]:
    """A supervisor that is not started yet. A test that passed leaves an orderly end, no process and no bug."""
    running = Running(tmp_path / "linit")
    try:
        yield running
        if running.process is not None:
            assert running.end() == 0, running.story()
            assert running.left() == [], running.story()
            assert not any("a fault of linit's" in line for line in running.lines), running.story()
    finally:
        print(running.story())  # pytest shows it if the test failed
        running.kill()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate that a service waits at."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


@pytest.fixture
def cgroup() -> Iterator[str]:
    """A cgroup2 folder that is ours; the test is skipped where there is none."""
    folders = writable_cgroup()
    folder = next(folders, "")
    if not folder:
        pytest.skip("no cgroup2 file system in which cgroups may be made")
    yield folder
    next(folders, None)
