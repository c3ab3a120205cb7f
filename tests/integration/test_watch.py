"""Services that a path starts: inotify(7), with real files."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.running import Gate, Running


def ran(linit: Running, name: str) -> list[str]:
    """Why a service left its rest, each time since linit began."""
    before = f"{name}: starting ("
    return [line.removeprefix(before)[:-1] for line in linit.lines if line.startswith(before)]


def wait_for_ends(linit: Running, name: str, count: int = 1, state: str = "down (exited with status 0)") -> None:
    """Until it has been at rest again so often."""
    linit.wait(lambda: linit.lines.count(f"{name}: {state}") >= count, f"{name} {state}, {count} times")


def test_a_file_that_appears_starts_the_service_each_time(linit: Running, tmp_path: Path) -> None:
    """None of the folders that lead to it are there at first."""
    path = tmp_path / "a/b/go"
    linit.define("job", kind="oneshot", run=["/bin/rm", str(path)], watch={"exists": str(path)})
    linit.enable("job")
    linit.boot()
    assert linit.states["job.watch"] == "up"
    assert ran(linit, "job") == []
    for count in (1, 2):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        wait_for_ends(linit, "job", count)
    assert ran(linit, "job") == [f"started by job.watch: {path} exists"] * 2


def test_a_file_that_is_there_before_linit_starts_the_service_at_the_boot(linit: Running, tmp_path: Path) -> None:
    path = tmp_path / "go"
    path.touch()
    linit.define("job", kind="oneshot", run=["/bin/rm", str(path)], watch={"exists": str(path)})
    linit.enable("job")
    linit.boot()
    wait_for_ends(linit, "job")
    assert ran(linit, "job") == [f"started by job.watch: {path} exists"]


def test_a_spool_is_worked_off_also_what_comes_meanwhile(linit: Running, tmp_path: Path, gate: Gate) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    script = f"for each in {spool}/*; do echo did ${{each##*/}}; rm $each; done; read line < {gate.path}"
    linit.write("job", f"kind: oneshot\nscript: '{script.replace('${', '$${')}'\nwatch: {{not_empty: {spool}}}\n")
    linit.enable("job")
    linit.boot()
    (spool / "first").touch()
    linit.wait_for("job", "starting")
    linit.ask_until(lambda: not list(spool.iterdir()), "that the first is done")
    (spool / "second").touch()
    gate.open()
    wait_for_ends(linit, "job")
    gate.open()
    wait_for_ends(linit, "job", 2)
    linit.ask_until(lambda: "did second" in linit.log("job"), "what it says")
    assert [line for line in linit.log("job").splitlines() if line.startswith("did")] == ["did first", "did second"]


def test_a_configuration_that_changes_starts_the_service(linit: Running, tmp_path: Path) -> None:
    """Written in place, and replaced as editors do."""
    path = tmp_path / "config"
    path.write_text("1")
    linit.define("apply", kind="oneshot", run=["/bin/cat", str(path)], watch=str(path))
    linit.enable("apply")
    linit.boot()
    assert ran(linit, "apply") == []
    path.write_text("2")
    wait_for_ends(linit, "apply")
    (tmp_path / "new").write_text("3")
    os.replace(tmp_path / "new", path)
    wait_for_ends(linit, "apply", 2)
    assert ran(linit, "apply") == [f"started by apply.watch: {path} changed"] * 2


def test_a_change_while_the_service_runs_is_not_lost(linit: Running, tmp_path: Path, gate: Gate) -> None:
    path = tmp_path / "config"
    path.write_text("1")
    linit.define("apply", kind="oneshot", script=f"read line < {gate.path}; cat {path}", watch={"changes": str(path)})
    linit.enable("apply")
    linit.boot()
    path.write_text("2")
    linit.wait_for("apply", "starting")
    path.write_text("3")
    gate.open()
    gate.open()
    wait_for_ends(linit, "apply", 2)
    linit.call("runlevel")
    assert ran(linit, "apply") == [f"started by apply.watch: {path} changed"] * 2


def test_a_service_that_leaves_its_path_as_it_is_is_not_started_for_ever(linit: Running, tmp_path: Path) -> None:
    """More than twenty starts within ten seconds: its watch gives up, and says so."""
    path = tmp_path / "go"
    path.touch()
    linit.define("job", kind="oneshot", run="/bin/true", watch={"exists": str(path)})
    linit.enable("job")
    linit.boot()
    linit.wait_for("job.watch", "failed")
    assert linit.text("job.watch") == "it started job 20 times within 10 s"
    assert len(ran(linit, "job")) >= 20, "more where the first took longer than that"


def test_a_stopped_watch_starts_nothing(linit: Running, tmp_path: Path) -> None:
    path = tmp_path / "go"
    linit.define("job", kind="oneshot", run="/bin/true", watch={"exists": str(path)})
    linit.enable("job")
    linit.boot()
    linit.call("stop", names=["job.watch"])
    linit.wait_for("job.watch", "down")
    path.touch()
    linit.listen(0.3)
    assert ran(linit, "job") == []
