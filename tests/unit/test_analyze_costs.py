"""What PID 1 notes of a boot's costs, and when it stops. Source: linit/record/README.md."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from panux.boot import began_s

from linit.engine.effects import Transition
from linit.engine.engine import Engine
from linit.model.reason import Cause, Reason
from linit.model.state import UnitState
from linit.record.recorder import Mark, Recorder
from linit.record.recording import Recording, load
from linit.record.ring import Ring
from linit.runtime.boot_costs import SPACING_S, BootCosts
from linit.runtime.members import Members
from linit.runtime.output import Output
from tests.unit.recorded import PLAN, deliver, paths_in


class Cgroups(Members):
    """Where the cgroup of each service is, and nothing else of `Members`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.began: dict[str, float] = {}

    def began_s(self, name: str) -> float:
        return self.began.get(name, 0.0)

    def cgroup(self, name: str) -> str:
        return str(self._folder / name) if (self._folder / name).exists() else ""


class Booting:
    """A boot that is measured: its recording is read back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pipes = Output()
        self.source = self.pipes.recorder = Recorder(Engine(PLAN), 0.0)
        self.confessed: list[str] = []
        self.cgroups = Cgroups(folder)
        self.costs = BootCosts(self.pipes, self.cgroups, lambda what, bug: self.confessed.append(f"{what}: {bug}"))

    def use(self, name: str, used_us: int, stalled_us: int | None = None) -> None:
        """The kernel has counted so much in the cgroup of a service."""
        (self.folder / name).mkdir(exist_ok=True)
        if stalled_us is not None:
            lines = (f"{kind} avg10=1.50 avg60=0.00 avg300=0.00 total={stalled_us}" for kind in ("some", "full"))
            (self.folder / name / "cpu.pressure").write_text("\n".join(lines) + "\n")
        (self.folder / name / "cpu.stat").write_text(f"usage_usec {used_us}\nuser_usec 0\nsystem_usec {used_us}\n")

    def move(self, name: str, after: UnitState, at_s: float) -> None:
        self.costs.note(Transition(name, UnitState.STARTING, after, Reason(Cause.READY), at_s))

    def recorded(self) -> Recording:
        to = Ring(str(self.folder))
        deliver(self.source, to)
        to.close()
        return load(*paths_in(self.folder))


@pytest.fixture
def booting(tmp_path: Path) -> Booting:
    return Booting(tmp_path)


def test_the_cpu_time_of_a_start_is_read_when_it_is_over(booting: Booting) -> None:
    """Of the first start; one that failed has used some, too."""
    booting.use("db", 250_000)
    booting.use("mail", 1_000)
    booting.move("db", UnitState.STARTING, 0.1)
    booting.use("db", 400_000)
    booting.move("db", UnitState.UP, 0.2)
    booting.use("db", 900_000)
    booting.move("db", UnitState.UP, 0.3)
    booting.move("mail", UnitState.FAILED, 0.3)
    booting.move("sysinit", UnitState.UP, 0.4)
    assert booting.recorded().cpu_s == {"db": 0.4, "mail": 0.001}


def test_what_a_start_took_is_its_work_and_its_waits_for_anything_but_a_processor(booting: Booting) -> None:
    """From its first command on. The kernel counts for how long it could have run: accounting/psi."""
    booting.cgroups.began = {"db": 1.0, "mail": 1.0}
    booting.use("db", 250_000, stalled_us=100_000)
    booting.use("mail", 300_000)
    booting.costs.turns(1.5, 2.0)
    booting.move("db", UnitState.UP, 2.1)
    booting.move("mail", UnitState.FAILED, 2.1)
    booting.use("db", 900_000, stalled_us=100_000)
    booting.move("db", UnitState.UP, 9.0)
    assert booting.costs.taken == {"db": (250_000, 650_000)}
    assert booting.recorded().stalled_s == {"db": 0.1}


def test_what_happened_while_pid_1_was_busy_may_have_been_at_the_beginning_of_that(booting: Booting) -> None:
    """A wait is never taken for longer than it was; before the loop ran for the first time nothing is known of it."""
    booting.cgroups.began = dict.fromkeys(("early", "db", "mail"), 1.0)
    for name in booting.cgroups.began:
        booting.use(name, 100_000)
    booting.costs.turns(1.7, 1.7)
    booting.move("early", UnitState.UP, 1.7)
    booting.costs.turns(2.9, 2.9)
    booting.move("db", UnitState.UP, 3.0)
    booting.costs.turns(3.0, 3.5)
    booting.move("mail", UnitState.UP, 3.5)
    assert booting.costs.taken == {"early": (100_000, 0), "db": (100_000, 600_000), "mail": (100_000, 2_400_000)}


def test_a_kernel_that_does_not_count_who_waits_for_a_processor_is_no_trouble(booting: Booting) -> None:
    """psi=0 on its command line: the file is there, and cannot be read."""
    booting.use("db", 250_000)
    (booting.folder / "db" / "cpu.pressure").mkdir()
    booting.move("db", UnitState.UP, 2.1)
    assert (booting.confessed, booting.recorded().cpu_s, booting.recorded().stalled_s) == ([], {"db": 0.25}, {})


def test_the_machine_is_read_at_changes_of_state_but_not_at_each(booting: Booting) -> None:
    """The kernel counts hundredths of a second. What nothing happens in is not read either."""
    for moment in (1.0, 1.0 + SPACING_S / 2, 1.0 + SPACING_S, 9.0):
        booting.move("db", UnitState.WAITING, moment)
    loads = booting.recorded().loads
    assert [each.at_s for each in loads[1:]] == [1.0, 1.0 + SPACING_S, 9.0]
    assert loads[0].cpus == os.cpu_count()
    assert [each.busy_s for each in loads] == sorted(each.busy_s for each in loads)


def test_nothing_is_read_when_the_boot_is_over(booting: Booting) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    booting.use("db", 1)
    booting.costs.finished()
    booting.move("db", UnitState.UP, time.monotonic() + 60)
    booting.costs.finished()
    found = booting.recorded()
    assert (found.cpu_s, len(found.loads)) == ({}, 2)
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1


def test_a_cgroup_that_is_gone_costs_nothing_but_its_figure(booting: Booting) -> None:
    """A service may remove the cgroup that it is in."""
    (booting.folder / "db").mkdir()
    booting.move("db", UnitState.UP, 0.2)
    booting.use("web", 7)
    booting.move("web", UnitState.UP, 0.3)
    assert booting.confessed == []
    assert booting.recorded().cpu_s == {"web": 0.000007}


def test_a_kernel_that_counts_otherwise_ends_the_measuring_and_not_the_boot(booting: Booting) -> None:
    (booting.folder / "db").mkdir()
    (booting.folder / "db" / "cpu.stat").write_text("nonsense\n")
    booting.move("db", UnitState.UP, 0.2)
    booting.use("web", 7)
    booting.move("web", UnitState.UP, 0.3)
    assert booting.confessed == ["the costs of the boot: invalid literal for int() with base 10: b'nonsense'"]
    assert booting.recorded().cpu_s == {}


def test_without_proc_there_is_no_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PID 1 mounts it first of all, where that can be done."""

    def missing(path: str, flags: int) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", missing)
        booting = Booting(tmp_path)
    booting.move("db", UnitState.UP, 0.2)
    assert (booting.recorded().loads, booting.confessed) == ([], [])


def test_linits_own_start_is_noted_also_of_a_boot_that_was_over_at_once(booting: Booting) -> None:
    booting.costs.finished()
    booting.costs.loop_runs()
    marks = booting.recorded().marks
    assert sorted(marks, key=marks.__getitem__) == [Mark.EXEC, Mark.LINIT, Mark.LOOP]


def test_vm_tests_know_from_its_name_when_a_recording_was_begun(booting: Booting) -> None:
    """`vm-tests/boot --plot` must not draw the boot before."""
    booting.recorded()
    (path,) = booting.folder.glob("record/*.rec")
    assert abs(began_s(path) - time.time()) < 3600
