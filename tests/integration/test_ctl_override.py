"""What an administrator adds to a definition, and what was learned at run time, as drop-ins: written by linitctl, read
by the real compiler, put to use by a real linit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.running import Running
from tests.integration.test_ctl import SLEEP, Ran, as_command, ctl, state


@pytest.fixture(autouse=True)
def runlevels(linit: Running) -> None:
    """Without a folder of runlevels everything is wanted from the beginning."""
    (linit.folder / "runlevels/default").mkdir(parents=True)


def drop_in(linit: Running, name: str, file: str = "override.yaml") -> Path:
    return linit.folder / f"services/{name}.d/{file}"


def edges(linit: Running, name: str) -> set[tuple[str, str]]:
    return {(each["kind"], each["on"]) for each in linit.call("deps", name=name)["edges"] if each["owner"] == name}


def test_an_override_is_written_and_in_force_and_can_be_taken_back(linit: Running) -> None:
    for name in ("web", "db", "cache"):
        linit.define(name, run=SLEEP)
    linit.boot()
    path = drop_in(linit, "web")
    assert ctl(linit, "override", "web") == Ran(0, "web: no override\n", "")
    assert ctl(linit, "override", "web", "--need", "db", "--want", "cache") == Ran(
        0, f"web: need db, want cache ({path})\n", ""
    )
    header, begun, *lines = path.read_text().splitlines()
    assert header == "# What the administrator of this machine adds to the definition of web: linitctl override."
    assert re.fullmatch(r"# Begun \S+ \S+ by \S+: linitctl --user \S+ override web --need db --want cache", begun)
    assert lines == ["need: [db]", "want: [cache]"]
    assert {("need", "db"), ("want", "cache")} <= edges(linit, "web")
    assert ctl(linit, "start", "web").status == 0
    assert (state(linit, "db"), state(linit, "cache")) == ("up", "up")
    assert json.loads(ctl(linit, "--json", "override", "web").out)["edges"] == {"need": ["db"], "want": ["cache"]}
    assert ctl(linit, "override", "web", "--remove", "--want", "cache") == Ran(
        0, f"web: no longer want cache ({path})\n", ""
    )
    assert ctl(linit, "override", "web", "--remove", "--need", "db").out == f"web: override removed ({path})\n"
    assert not path.parent.exists()
    ctl(linit, "restart", "web")
    assert not {("need", "db"), ("want", "cache")} & edges(linit, "web")


def test_what_need_not_exist_is_written_and_told(linit: Running) -> None:
    """It may be a slip of the pen."""
    for name in ("web", "redis"):
        linit.define(name, run=SLEEP)
    linit.boot()
    path = drop_in(linit, "web")
    words = "found 'reddis', expected a defined service; it is left out; did you mean 'redis'?"
    note = f"note: {path}:3:9: after: {words}\n"
    assert ctl(linit, "override", "web", "--after", "reddis") == Ran(0, f"web: after reddis ({path})\n", note)


def test_enable_adds_edges_as_well_and_keeps_what_a_person_wrote(linit: Running) -> None:
    for name in ("web", "db"):
        linit.define(name, run=SLEEP)
    linit.boot()
    path = drop_in(linit, "web")
    path.parent.mkdir()
    path.write_text("environment: {TZ: UTC}  # as the office\nafter: []\n")
    link = linit.folder / "runlevels/default/web"
    assert ctl(linit, "enable", "web", "--after", "db") == Ran(
        0, f"web: after db ({path})\nweb: enabled in default ({link})\n", ""
    )
    assert path.read_text() == "environment: {TZ: UTC}  # as the office\nafter: [db]\n"
    assert ("after", "db") in edges(linit, "web")


def test_what_verify_has_something_against_is_told_with_its_place_and_not_written(linit: Running) -> None:
    linit.write("web", "run: sleep 1000\nafter: db\n")
    for name in ("db", "network"):
        linit.define(name, run=SLEEP)
    linit.boot()
    path = drop_in(linit, "web")
    ran = ctl(linit, "override", "web", "--before", "db")
    services = linit.folder / "services"
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        f"linitctl: warning: {path}:3:10: after: found the loop db starts after web ({path}:3:10), web starts after db "
        f"({services}/web.yaml:2:8), expected no loop; cut here: it is ignored that db starts after web\n"
        f"{path}: nothing was written\n"
    )
    assert not path.parent.exists()
    ran = ctl(linit, "enable", "web", "--need", "ntework")
    assert ran.status == 1
    assert f"error: {path}:3:8: need: found 'ntework', expected a defined service; did you mean 'network'?" in ran.err
    assert not path.parent.exists()
    assert not (linit.folder / "runlevels/default/web").is_symlink(), "nothing was enabled either"
    path.parent.mkdir()
    path.write_text("need: [db\n")
    ran = ctl(linit, "override", "web", "--use", "db")
    assert (ran.status, ran.err.splitlines()[0][:20]) == (1, f"linitctl: {path}"[:20])
    assert "left as it is" in ran.err
    assert path.read_text() == "need: [db\n"


def test_an_override_of_nobody_is_refused(linit: Running) -> None:
    linit.define("web", run=SLEEP)
    linit.boot()
    assert ctl(linit, "override", "wbe", "--need", "web") == Ran(
        3, "", "linitctl: no service is called 'wbe'\ndid you mean web?\n"
    )
    ctl(linit, "run", "--name", "job", "--", "sleep", "1000")
    assert ctl(linit, "override", "job", "--need", "web") == Ran(
        1, "", "linitctl: job was made at run time: it has no definition to add to\nsee: linitctl run --help\n"
    )


def test_an_override_can_be_written_while_no_linit_runs(linit: Running) -> None:
    for name in ("web", "db"):
        linit.define(name, run=SLEEP)
    linit.boot()
    assert linit.end() == 0
    ran = ctl(linit, "override", "web", "--need", "db")
    assert ran.status == 0
    assert ran.err.endswith("no linit answers: it takes effect when one starts\n")
    linit.lines.clear()
    linit.states.clear()
    linit.has_booted = False
    linit.boot()
    assert ("need", "db") in edges(linit, "web")


def test_what_was_found_at_run_time_is_marked_and_can_be_learned(linit: Running) -> None:
    linit.define("db", run=SLEEP)
    linit.define("web", kind="oneshot", script=f"{as_command()} need db")
    linit.boot()
    assert ctl(linit, "start", "web").status == 0
    assert re.search(r"└─ need db  up  found at run time, by root \(linitctl ", ctl(linit, "deps", "web").out)
    assert ctl(linit, "deps", "db", "--learn") == Ran(0, "db: nothing was found at run time\n", "")
    path = drop_in(linit, "web", "learned.yaml")
    assert ctl(linit, "deps", "web", "--learn") == Ran(0, f"web: need db ({path})\n", "")
    header, *_, last = path.read_text().splitlines()
    assert header == "# What processes of web asked for at run time: linitctl deps web --learn."
    assert last == "need: [db]"
    assert ctl(linit, "verify").status == 0
    assert ctl(linit, "deps", "web", "--learn").out == f"web: said already ({path})\n"
    ctl(linit, "stop", "web", "db")
    linit.define("web", kind="oneshot", run="true")
    assert ctl(linit, "reload").status == 0
    ctl(linit, "start", "web")
    assert state(linit, "db") == "up", "the drop-in pulls it in, though the script asks no more"
