"""Shares of the processors during a boot, in a folder that stands for the kernel's. Source: admin-guide/cgroup-v2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from linit.engine.effects import Transition
from linit.engine.engine import Engine
from linit.model.place import Place
from linit.model.reason import Cause, Reason
from linit.model.service import Command, Dependency, EdgeKind, Execution, Kind, Limits, Plan, Service
from linit.model.state import UnitState
from linit.plan import weights
from linit.runtime.backlog import Backlog
from linit.runtime.boot_weights import LIMIT_S, BootWeights
from linit.runtime.cgroups import Cgroups
from linit.runtime.processes import Processes
from linit.runtime.reap import Signals
from tests.unit.test_runtime_loop import Recorder

HERE = Place("x.yaml", 1, 1)
RUN = Command(("/bin/true",), HERE)


def service(
    name: str, kind: Kind = Kind.ONESHOT, after: str = "", limits: Limits | None = None, timeout_s: float | None = 60.0
) -> Service:
    edges = (Dependency(EdgeKind.NEED, after, HERE),) if after else ()
    execution = Execution(limits=limits or Limits())
    return Service(name, HERE, kind, run=RUN, dependencies=edges, execution=execution, start_timeout_s=timeout_s)


class Booting:
    """A boot with a folder of cgroups; what is written there stays to be read."""

    def __init__(self, folder: Path, *services: Service) -> None:
        self.path = str(folder / weights.FILE)
        self.root = folder / "cgroup"
        self.root.mkdir()
        for name in ("cgroup.procs", "cgroup.controllers", "cgroup.subtree_control", "linit/cgroup.subtree_control"):
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).touch()
        level = Service("default", HERE, Kind.RUNLEVEL, dependencies=tuple(
            Dependency(EdgeKind.WANT, each.name, HERE) for each in services
        ))  # fmt: skip
        self.plan = Plan((*services, level))
        weights.keep(self.path, self.plan.services)
        self.loop = Recorder()
        self.cgroups = Cgroups(str(self.root), self.loop, print)
        self.processes = Processes(self.loop, Signals(self.loop))
        self.backlog = Backlog(self.loop, lambda _event: (), print)
        self.boot = self.weighed(self.cgroups)

    def weighed(self, cgroups: Cgroups) -> BootWeights:
        """Those of a boot with these cgroups."""
        return BootWeights(
            self.path, cgroups, Engine(self.plan), self.loop, processes=self.processes, backlog=self.backlog
        )

    def start(self, name: str) -> None:
        """A command of a service is about to run. The kernel would make the files of its cgroup."""
        folder = self.root / "linit" / name
        original = os.mkdir

        def mkdir(path: str, mode: int = 0o777) -> None:
            original(path, mode)
            if path == str(folder):
                (folder / "cpu.weight").touch()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "mkdir", mkdir)
            self.cgroups.create(name)

    def up(self, name: str) -> None:
        self.boot.observe(Transition(name, UnitState.STARTING, UnitState.UP, Reason(Cause.READY), 1.0))

    def end(self, taken: dict[str, weights.Taken]) -> None:
        """The boot is over; wait for the child that keeps what its starts took."""
        self.boot.finished(taken)
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        self.processes.reap()

    def weight(self, name: str) -> str:
        """What was written since it was last asked for, "" if nothing was."""
        file = self.root / "linit" / name / "cpu.weight"
        text = file.read_text()
        file.write_text("")
        return text

    def controllers(self) -> tuple[str, ...]:
        """What was last asked for, at the root and below."""
        return tuple((self.root / each / "cgroup.subtree_control").read_text() for each in (".", "linit"))


def test_a_start_gets_the_share_that_the_rest_of_its_path_gives_it(tmp_path: Path) -> None:
    booting = Booting(tmp_path, service("disk"), service("web", after="disk"), service("alone"))
    for name in ("disk", "web", "alone"):
        booting.start(name)
    assert [booting.weight(name) for name in ("disk", "web", "alone")] == ["10000", "1250", "1250"]
    assert booting.controllers() == ("+cpu", "+cpu")


def test_what_is_up_has_the_share_that_all_have(tmp_path: Path) -> None:
    """A daemon goes on; nothing waits for it any more."""
    booting = Booting(tmp_path, service("db", Kind.PROCESS), service("web", after="db"))
    booting.start("db")
    assert booting.weight("db") == "10000"
    booting.up("db")
    assert booting.weight("db") == "100"


def test_a_limit_that_a_person_wrote_stays(tmp_path: Path) -> None:
    """The child that enters the cgroup writes it there."""
    limited = service("db", Kind.PROCESS, limits=Limits(cpu_weight=50))
    booting = Booting(tmp_path, limited, service("web", Kind.PROCESS, after="db"))
    booting.start("db")
    booting.start("web")
    assert booting.weight("db") == ""
    assert booting.weight("web") == "1250"
    booting.boot.finished({})
    assert (booting.weight("web"), booting.controllers()) == ("100", ("+cpu", "+cpu"))


def test_with_the_boot_the_controller_goes(tmp_path: Path) -> None:
    """It changes who gets how much: only limits may do that from then on."""
    booting = Booting(tmp_path, service("db", Kind.PROCESS))
    booting.boot.finished({})
    assert booting.controllers() == ("-cpu", "-cpu")
    booting.start("db")
    assert booting.weight("db") == ""


def test_a_long_boot_goes_on_with_the_same_share_for_all(tmp_path: Path) -> None:
    """Or what weighs little would not be up within its start timeout, for want of a processor."""
    booting = Booting(tmp_path, service("db", Kind.PROCESS))
    (at, when_s, stop), limit = booting.loop.asked[-1], booting.loop.handles[-1]
    assert (at, when_s) == ("at", 100.0 + LIMIT_S)
    stop()
    assert booting.controllers() == ("-cpu", "-cpu")
    assert limit.is_cancelled


def test_a_start_that_must_be_quick_gets_no_less_than_all_have(tmp_path: Path) -> None:
    chain = [service(f"s{number}", after=f"s{number - 1}" if number else "") for number in range(9)]
    booting = Booting(tmp_path, *chain, service("quick", timeout_s=LIMIT_S), service("patient", timeout_s=None))
    for name in ("s0", "quick", "patient"):
        booting.start(name)
    assert [booting.weight(name) for name in ("s0", "quick", "patient")] == ["10000", "100", "14"]


@pytest.mark.parametrize("missing", ["cgroup.procs", "cgroup.subtree_control", "linit/cgroup.subtree_control"])
def test_without_cgroups_or_a_controller_all_have_the_same_share(tmp_path: Path, missing: str) -> None:
    booting = Booting(tmp_path, service("db", Kind.PROCESS), service("web", after="db"))
    (booting.root / missing).unlink()
    cgroups = Cgroups(str(booting.root), Recorder(), print)
    boot = booting.weighed(cgroups)
    cgroups.create("db")
    boot.finished({})
    assert not (booting.root / "linit/db/cpu.weight").exists()


def test_a_controller_that_can_be_enabled_only_half_way_is_given_back(tmp_path: Path) -> None:
    """Else all services together would weigh as much as one process outside."""
    booting = Booting(tmp_path, service("db", Kind.PROCESS))
    (booting.root / "linit/cgroup.subtree_control").unlink()
    booting.weighed(booting.cgroups)
    assert (booting.root / "cgroup.subtree_control").read_text() == "-cpu"


def test_pid_1_takes_things_in_the_order_of_their_weights_until_the_boot_is_over(tmp_path: Path) -> None:
    """Starts that are ordered together, and ends that are seen together."""
    booting = Booting(tmp_path, service("disk"), service("web", after="disk"))
    for ranks in (booting.backlog.rank, booting.processes.rank):
        assert ranks is not None
        assert [ranks(name) for name in ("disk", "web", "not in the plan")] == [10_000, 1250, 0]
    booting.boot.finished({})
    assert (booting.backlog.rank, booting.processes.rank) == (None, None)


def test_a_child_keeps_what_the_starts_took(tmp_path: Path) -> None:
    booting = Booting(tmp_path, service("disk"), service("web", after="disk"), service("alone"))
    booting.end({"disk": (1_000_000, 0), "web": (1_000_000, 0), "alone": (4_000_000, 0)})
    assert weights.load(booting.path) == {"alone": 10_000, "disk": 1250, "web": 156}


def test_a_child_that_cannot_keep_it_harms_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No second PID 1 is left behind, and nothing on the console."""
    booting = Booting(tmp_path, service("disk"))
    os.unlink(booting.path)
    booting.boot._path = f"{tmp_path}/nothing/weights"
    booting.end({"disk": (1, 1)})
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == ["cgroup"]
