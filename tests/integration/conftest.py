"""Fixtures of the integration tests: a supervisor in a fresh folder, and what must be true at its end."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from panux import places

from tests.integration.daemons import Machine
from tests.integration.packages import Packages
from tests.integration.running import Gate, Running, writable_cgroup

EVERYBODYS = "/var/cache"
"""Real daemons have their folders here: pytest's let in their owner alone, and `private_tmp` hides those in /tmp."""

# A shell starts what it puts in the background with SIGINT ignored, and that is inherited: ^C would do nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def linit(tmp_path: Path) -> Iterator[Running]:
    """A supervisor that is not started yet. A test that passed leaves an orderly end, no process and no bug."""
    yield from supervised(Running(tmp_path / "linit"))


def supervised(running: Running) -> Iterator[Running]:
    """A supervisor for a test, and what must be true at its end."""
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


@pytest.fixture(scope="session")
def packages() -> Iterator[Packages]:
    """Debian's packages."""
    if os.geteuid() != 0:
        pytest.skip("needs root: daemons become other users")
    with tempfile.TemporaryDirectory(prefix="linit-packages-", dir=EVERYBODYS) as folder:
        Path(folder).chmod(0o755)
        yield Packages(places.downloads() / "daemons", Path(folder))


@pytest.fixture
def bare_machine(packages: Packages) -> Iterator[Machine]:
    """A machine for real daemons, without cgroups."""
    yield from machine_of(packages, "")


@pytest.fixture
def machine(packages: Packages) -> Iterator[Machine]:
    """A machine for real daemons, with cgroups where this one lets us make some."""
    folders = writable_cgroup()
    try:
        yield from machine_of(packages, next(folders, ""))
    finally:
        next(folders, None)


def machine_of(packages: Packages, cgroup: str) -> Iterator[Machine]:
    """A machine in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="linit-", dir=EVERYBODYS) as name:
        folder = Path(name)
        folder.chmod(0o755)
        for linit in supervised(Running(folder / "linit")):
            yield Machine(linit, folder, packages, cgroup)
