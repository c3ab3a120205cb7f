"""When is the cgroup of a service made, and when removed? With plain folders in place of the kernel's. Source:
linit/runtime/cgroups.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from linit.runtime.cgroups import Cgroups
from tests.unit.test_runtime_loop import Recorder


@pytest.fixture
def cgroups(tmp_path: Path) -> Cgroups:
    """Below `tmp_path`, without controllers."""
    (tmp_path / "cgroup.procs").touch()
    return Cgroups(str(tmp_path), Recorder(), print)


def test_an_empty_cgroup_is_removed_with_those_below_it(cgroups: Cgroups, tmp_path: Path) -> None:
    """A service may have made some of its own."""
    for inner in ("", "/a/b"):
        folder = cgroups.create("web")
        Path(folder + inner).mkdir(parents=True, exist_ok=True)
        cgroups.remove("web", folder)
        assert list((tmp_path / "linit").iterdir()) == []


def test_during_a_boot_empty_cgroups_are_kept(cgroups: Cgroups, tmp_path: Path) -> None:
    """Nobody waits for their end; they go when it is over, and from then on at once."""
    cgroups.keeps_empty = True
    folder = cgroups.create("check")
    cgroups.remove("check", folder)
    assert Path(folder).is_dir()
    cgroups.let_go()
    assert not Path(folder).exists()
    cgroups.remove("check", cgroups.create("check"))
    assert not Path(folder).exists()


def test_a_kept_cgroup_that_is_used_again_stays(cgroups: Cgroups) -> None:
    """It is somebody's when the boot is over."""
    cgroups.keeps_empty = True
    folder = cgroups.create("again")
    assert cgroups.is_new
    cgroups.remove("again", folder)
    assert cgroups.create("again") == folder
    assert not cgroups.is_new
    cgroups.let_go()
    assert Path(folder).is_dir()
