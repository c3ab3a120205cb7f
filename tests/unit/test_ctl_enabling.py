"""enable and disable: ctl/enabling.py. What is a definition, and where: the contract of services/README.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from linitctl.enabling import definition_of
from linitctl.failure import Failure

from linit.model.service import Plan

from .control_world import Ran, World, runlevel, service, world

WEB = service("web")


def prepared(here: World) -> Path:
    """Definitions on disk; linit has compiled them already."""
    folder = Path(here.folder)
    (folder / "services").mkdir()
    (folder / "runlevels/default").mkdir(parents=True)
    (folder / "services/web.yaml").write_text("run: sleep 1000\n")
    here.supervisor.next_plan = here.plan
    return folder


def test_enable_makes_a_symlink_and_tells_linit_and_disable_undoes_it() -> None:
    with world(WEB) as here:
        folder = prepared(here)
        link = folder / "runlevels/default/web"
        assert here.ctl("enable", "web") == Ran(0, f"web: enabled in default ({link})\n", "")
        assert os.readlink(link) == str(folder / "services/web.yaml")
        assert here.state("web") == "down"
        assert here.ctl("disable", "web") == Ran(0, "web: disabled in default\n", "")
        assert not os.path.lexists(link)
        assert len(here.supervisor.asked_by) == 2, "linit was not told each time"


def test_doing_it_twice_is_no_error() -> None:
    with world(WEB) as here:
        prepared(here)
        here.ctl("enable", "web")
        assert here.ctl("enable", "web") == Ran(0, "web: enabled in default already\n", "")
        here.ctl("disable", "web")
        assert here.ctl("disable", "web") == Ran(0, "web: not enabled in default\n", "")


def test_now_starts_or_stops_as_well() -> None:
    with world(WEB) as here:
        prepared(here)
        assert here.ctl("enable", "--now", "web").out.endswith("web: up after 0.00 s\n")
        assert here.state("web") == "up"
        assert here.ctl("disable", "--now", "web").out == "web: disabled in default\nweb: stopped by WHO\n"
        assert here.state("web") == "down"


def test_an_unknown_service_is_refused_with_the_nearest_one_on_disk_or_in_linit() -> None:
    with world(service("redis")) as here:
        prepared(here)
        assert here.ctl("enable", "wbe") == Ran(3, "", "linitctl: no service is called 'wbe'\ndid you mean web?\n")
        assert here.ctl("enable", "rdis") == Ran(3, "", "linitctl: no service is called 'rdis'\ndid you mean redis?\n")
        assert os.listdir(here.paths.runlevels + "/default") == []


def test_a_runlevel_with_a_wrong_letter_does_not_come_into_being() -> None:
    with world(WEB) as here:
        folder = prepared(here)
        assert here.ctl("enable", "web", "--runlevel", "defualt") == Ran(
            3, "", "linitctl: no runlevel is called 'defualt'\ndid you mean default?\n"
        )
        assert here.ctl("enable", "web", "--runlevel", "kiosk") == Ran(
            3, "", f"linitctl: no runlevel is called 'kiosk'\nto make it: mkdir -p {folder}/runlevels/kiosk\n"
        )
        (folder / "runlevels/kiosk").mkdir()
        assert here.ctl("enable", "web", "--runlevel", "kiosk").status == 0


def test_without_linit_the_plan_is_made_for_the_next_time(tmp_path: Path) -> None:
    with world() as here:
        (tmp_path / "services").mkdir()
        (tmp_path / "services/web.yaml").write_text("run: sleep 1000\n")
        ran = here.ctl("--user", str(tmp_path), "enable", "web")
        assert ran.status == 0, ran
        assert ran.err.endswith("no linit answers: it takes effect when one starts\n")
        assert (tmp_path / "run/plan.msgpack").exists()
        assert here.ctl("--user", str(tmp_path), "enable", "--now", "web").status == 5


def test_what_is_wrong_with_the_enabled_service_is_said() -> None:
    from linit.model.place import Fault, Place, Severity

    with world(WEB, runlevel("default", "web")) as here:
        prepared(here)
        faults = [Fault(Severity.ERROR, Place(f"{name}.yaml", 1), "run", "7", service=name) for name in ("web", "db")]
        here.supervisor.next_plan = Plan(here.plan.services, tuple(faults))
        assert here.ctl("enable", "web").err == "error: web.yaml:1: run: found 7\n"


# -- what is defined where


def folders(tmp_path: Path) -> list[str]:
    for name in ("etc", "usr"):
        (tmp_path / name).mkdir()
    return [str(tmp_path / "etc"), str(tmp_path / "usr")]


def test_the_stronger_folder_wins(tmp_path: Path) -> None:
    both = folders(tmp_path)
    for folder in both:
        Path(folder, "web.yaml").write_text("run: x")
    assert definition_of("web", both) == f"{both[0]}/web.yaml"


def test_an_instance_is_defined_by_its_template_or_by_a_file_of_its_own(tmp_path: Path) -> None:
    both = folders(tmp_path)
    Path(both[1], "getty@.yaml").write_text("run: x")
    assert definition_of("getty@ttyS0", both) == f"{both[1]}/getty@.yaml"
    Path(both[1], "getty@ttyS0.yaml").write_text("run: x")
    assert definition_of("getty@ttyS0", both) == f"{both[1]}/getty@ttyS0.yaml"


def test_a_file_of_several_documents_is_searched(tmp_path: Path) -> None:
    both = folders(tmp_path)
    Path(both[1], "mounts.yaml").write_text("name: proc\nkind: oneshot\n---\nname: 'sys' # here\nkind: oneshot\n")
    assert definition_of("sys", both) == f"{both[1]}/mounts.yaml"
    assert definition_of("dev", both) == ""


@pytest.mark.parametrize("mask", ["empty", "null"])
def test_a_masked_service_cannot_be_enabled(tmp_path: Path, mask: str) -> None:
    both = folders(tmp_path)
    Path(both[1], "web.yaml").write_text("run: x")
    path = Path(both[0], "web.yaml")
    path.write_text("") if mask == "empty" else path.symlink_to("/dev/null")
    with pytest.raises(Failure) as caught:
        definition_of("web", both)
    assert (caught.value.message, caught.value.hint) == (f"web is masked by {path}", f"to unmask it: rm {path}")


@pytest.mark.parametrize("name", ["../web", "a/b", "..", ""])
def test_no_name_leads_out_of_the_folders(tmp_path: Path, name: str) -> None:
    both = folders(tmp_path)
    (tmp_path / "web.yaml").write_text("run: x")
    assert definition_of(name, both) == ""


def test_a_trigger_is_defined_with_what_it_starts(tmp_path: Path) -> None:
    """Also where no linit answers that would know it."""
    for name in ("web", "job@", "own.timer"):
        (tmp_path / f"{name}.yaml").write_text("run: x\n")
    folders = [str(tmp_path)]
    assert definition_of("web.socket", folders) == str(tmp_path / "web.yaml")
    assert definition_of("job@a.timer", folders) == str(tmp_path / "job@.yaml")
    assert definition_of("own.timer", folders) == str(tmp_path / "own.timer.yaml")
    assert definition_of("nobody.watch", folders) == ""
