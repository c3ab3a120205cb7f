"""Fixtures of the tests that boot machines.

One image is built for the session. Each machine has a fresh overlay of it, so no test sees what another wrote. When a
test fails while machines are up, its report shows their state, the console's end and the logs of the services, and
linit's recordings are kept, from their disks where they no longer answer: `linitctl replay FILE` steps through what
happened.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from panux.faults import MachineError
from panux.image.progress import Progress
from panux.machine.machine import Machine
from panux.preparation import Prepared, prepare

NewMachine = Callable[..., Machine]
LIVE: list[Machine] = []
"""The machines that have not been closed, for the reports of failures."""
RECORDINGS = Path(tempfile.gettempdir()) / "panux-recordings"
"""Where the recordings of machines go whose test failed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a machine has that asks for nothing else."""
    parser.addoption("--cpus", type=int, default=2, metavar="N", help="processors of the machines")


@pytest.fixture(scope="session")
def prepared() -> Prepared:
    """The image of this clone, built if need be, and how guests run on this host."""
    return prepare(Progress(stream=sys.__stderr__ or sys.stderr))


def opened(prepared: Prepared, config: pytest.Config, **options: Any) -> Machine:
    """A machine that is off."""
    cpus = {"cpus": config.getoption("--cpus")}
    machine = Machine(prepared.image, prepared.accelerator, key=prepared.key, **cpus | options)
    LIVE.append(machine)
    return machine


def closed(machine: Machine) -> None:
    """Ends a machine; its QEMU must be gone afterwards."""
    LIVE.remove(machine)
    machine.close()
    assert not machine.is_running


@pytest.fixture
def new_machine(prepared: Prepared, pytestconfig: pytest.Config) -> Iterator[NewMachine]:
    """Makes machines that are off: `new_machine(arguments="...", memory_mib=..., ...)`, see Machine."""
    made: list[Machine] = []

    def make(**options: Any) -> Machine:
        made.append(opened(prepared, pytestconfig, **options))
        return made[-1]

    yield make
    for machine in made:
        closed(machine)


@pytest.fixture
def machine(prepared: Prepared, request: pytest.FixtureRequest) -> Machine:
    """A machine of this test's own, booted to the runlevel default."""
    return started(prepared, request)


@pytest.fixture(scope="module")
def devices() -> tuple[str, ...]:
    """Further arguments of QEMU for `booted`; a module that needs some has a fixture of this name."""
    return ()


@pytest.fixture(scope="module")
def booted(prepared: Prepared, request: pytest.FixtureRequest, devices: tuple[str, ...]) -> Machine:
    """A machine that the tests of a module share, booted to the runlevel default: leave it as you found it."""
    return started(prepared, request, devices)


def started(prepared: Prepared, request: pytest.FixtureRequest, devices: tuple[str, ...] = ()) -> Machine:
    """A machine that has booted. One that does not is closed only after the report of that."""
    machine = opened(prepared, request.config, devices=devices)
    request.addfinalizer(lambda: closed(machine))
    machine.start()
    machine.wait_for_runlevel("default")
    # Who reads the log is kept until all is in it once there is a log process at work: during a boot it comes last.
    machine.succeed("until test -S /run/linit/log.sock; do sleep 0.1; done")
    return machine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report of a failure what its machines looked like."""
    report = yield
    if report.failed and item.get_closest_marker("vm"):
        for number, machine in enumerate(LIVE, start=1):
            report.sections.append((f"machine {number}", machine.diagnosis()))
            path = RECORDINGS / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', item.name)}-{number}.rec"
            report.sections.append((f"recording of machine {number}", kept_recording(machine, path)))
    return report


def kept_recording(machine: Machine, path: Path) -> str:
    """Writes linit's recording to `path`, be it from the guest or from its disk; what to tell of it."""
    try:
        recording, origin = machine.recording(), ""
    except MachineError:
        recording, origin = machine.salvaged_recording(), " (from its disk: no answer, its power was cut)"
    if not recording:
        return f"none{origin}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(recording)
    return f"linitctl replay {path}{origin}"
