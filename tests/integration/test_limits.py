"""A service's cgroup: what it holds, what it counts, what it forbids; and what is said where there is none.

Where the machine's cgroups (version 2) lack a controller the test that needs it is skipped; vm-tests/test_vm_limits.py
has them all. Source: services/README.md, "How much it may use"; cgroups(7).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.integration.running import Running, is_alive

DAEMON = "(setsid sh -c '(sleep 1000; :) & echo $! $$ >> {out}; wait' &); "


def controllers(cgroup: str) -> set[str]:
    """What the folder of the tests may hand down."""
    return set(Path(cgroup, "cgroup.controllers").read_text().split())


def needs(cgroup: str, *names: str) -> None:
    """Skip where one of these is not to be had."""
    for name in names:
        try:
            Path(cgroup).parent.joinpath("cgroup.subtree_control").write_text(f"+{name}")
        except OSError:
            pytest.skip(f"the cgroups of this machine have no controller {name} to hand down")


def lines(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


# -- who belongs to it


def test_children_of_daemons_that_left_their_session_end_with_the_service(
    cgroup: str, linit: Running, tmp_path: Path
) -> None:
    """A double fork, a session of its own, a child of that one: the cgroup has them all."""
    out = tmp_path / "pids"
    linit.define("parent", script=f"{DAEMON.format(out=out)}{DAEMON.format(out=out)}exec sleep 1000".replace("$", "$$"))
    linit.boot("--cgroup", cgroup)
    linit.ask_until(lambda: len(lines(out)) == 4, "both daemons and their children")
    assert all(is_alive(pid) for pid in lines(out))
    linit.call("stop", names=["parent"])
    assert [pid for pid in lines(out) if is_alive(pid)] == []
    assert not Path(cgroup, "linit", "parent").exists()


def test_cgroups_that_a_service_made_end_with_it(cgroup: str, linit: Running, tmp_path: Path) -> None:
    """cgroup.kill takes what is below, too; the folders go with it. KILL is needed: they ignore TERM."""
    out = tmp_path / "pids"
    inner = f"{cgroup}/linit/nesting/a/b"
    script = (
        f'mkdir -p {inner}; sh -c \'echo $$ > {inner}/cgroup.procs; trap "" TERM; echo $$ >> {out}; '
        "while :; do sleep 1000; done' & exec sleep 1000"
    )
    linit.define("nesting", script=script.replace("$", "$$"), stop_timeout="50ms")
    linit.boot("--cgroup", cgroup)
    linit.ask_until(lambda: len(lines(out)) == 1, "the process in the inner cgroup")
    linit.call("stop", names=["nesting"])
    assert not is_alive(lines(out)[0])
    assert not Path(cgroup, "linit", "nesting").exists()


def test_without_a_cgroup_double_forked_children_that_stayed_in_the_session_end_with_the_service(
    linit: Running, tmp_path: Path
) -> None:
    """What left it is ended with linit: test_supervision.py; `status` says what is not counted."""
    out = tmp_path / "pids"
    script = f"( (sleep 1000; :) & echo $! >> {out}; (sleep 1000; :) & echo $! >> {out} ) ; exec sleep 1000"
    linit.define("parent", script=script.replace("$", "$$"))
    linit.boot()
    linit.ask_until(lambda: len(lines(out)) == 2, "both children")
    linit.call("stop", names=["parent"])
    assert [pid for pid in lines(out) if is_alive(pid)] == []


# -- what it uses


def test_status_tells_what_a_service_uses(cgroup: str, linit: Running) -> None:
    """cpu time is counted in every cgroup; what no controller counts is said to be a sum over processes."""
    linit.define("busy", script="i=0; while [ $$i -lt 20000 ]; do i=$$((i+1)); done; sleep 1000 & exec sleep 1000")
    linit.boot("--cgroup", cgroup)
    linit.ask_until(lambda: linit.call("status", name="busy")["usage"]["tasks"] == 2, "its child")
    usage = linit.call("status", name="busy")["usage"]
    assert usage["cpu_s"] > 0
    assert usage["memory_bytes"] > 0
    assert usage["unenforced"] == ""
    lacking = [each for each in ("memory", "io", "pids") if each not in controllers(f"{cgroup}/linit")]
    assert bool(usage["lost"]) == bool(lacking)
    assert usage["lost"].startswith("its cgroup has no controller") or not lacking


def test_without_cgroups_status_says_what_is_lost_and_that_limits_are_not_in_force(linit: Running) -> None:
    """The service runs all the same."""
    linit.define("lucky", run="/bin/sleep 1000", limits={"memory_max": "1M", "pids_max": 1})
    linit.define("plain", run="/bin/sleep 1000")
    linit.boot()
    assert linit.states["lucky"] == "up"
    usage = linit.call("status", name="lucky")["usage"]
    assert usage["unenforced"] == "no cgroup v2"
    assert usage["lost"] == "no cgroup: added up from 1 process; what has ended or cannot be found is not in it"
    assert usage["tasks"] == 1
    assert linit.call("status", name="plain")["usage"]["unenforced"] == ""
    linit.call("stop", names=["plain"])
    assert linit.call("status", name="plain")["usage"] == {}


# -- what it may not


def test_a_limit_without_its_controller_fails_the_start(cgroup: str, linit: Running, tmp_path: Path) -> None:
    """Key, file and errno, and what there is instead."""
    if "memory" in controllers(cgroup):
        pytest.skip("the cgroups of this machine have the controller memory")
    linit.define("limited", run=["/bin/touch", str(tmp_path / "ran")], limits={"memory_max": "1M"}, restart="never")
    linit.boot("--cgroup", cgroup)
    offered = " ".join(Path(cgroup, "cgroup.controllers").read_text().split()) or "none"
    assert linit.text("limited") == (
        f"could not be run: limits: memory_max: {cgroup}/cgroup.subtree_control: ENOENT (no such file or directory); "
        f"there is no controller memory (cgroup.controllers: {offered})"
    )
    assert not (tmp_path / "ran").exists()


def test_more_memory_than_memory_max_is_told(cgroup: str, linit: Running) -> None:
    """memory.events: oom_kill."""
    needs(cgroup, "memory")
    script = "exec tail /dev/zero"
    linit.define("hungry", script=script, limits={"memory_max": "16M"}, restart="never")
    linit.boot("--cgroup", cgroup)
    linit.wait_for("hungry", "failed")
    assert linit.text("hungry") == "killed by the kernel: out of memory (memory_max 16M)"


def test_more_processes_than_pids_max_are_refused(cgroup: str, linit: Running) -> None:
    """fork(2): EAGAIN."""
    needs(cgroup, "pids")
    program = "import os, time\ntry:\n  os.fork()\n  os.fork()\nexcept OSError: pass\ntime.sleep(1000)"
    linit.define("crowded", run=[sys.executable, "-c", program], limits={"pids_max": 2})
    linit.boot("--cgroup", cgroup)
    events = Path(cgroup, "linit", "crowded", "pids.events")
    linit.ask_until(lambda: "max 0" not in events.read_text(), "a refused fork")
    assert linit.call("status", name="crowded")["usage"]["tasks_max"] == 2


def test_cpu_max_slows_down(cgroup: str, linit: Running) -> None:
    """cpu.stat counts the periods in which there was no more."""
    needs(cgroup, "cpu")
    linit.define("busy", script="while :; do :; done", limits={"cpu_max": "5%"})
    linit.boot("--cgroup", cgroup)
    folder = Path(cgroup, "linit", "busy")
    assert (folder / "cpu.max").read_text() == "5000 100000\n"
    linit.ask_until(lambda: "nr_throttled 0" not in (folder / "cpu.stat").read_text(), "a period without cpu")


def test_a_cgroup_is_given_back_also_after_other_commands_have_ended(cgroup: str, linit: Running) -> None:
    """A post or reload command ends while the main process stays; what ends last leaves nothing behind."""
    linit.define("tidy", run="/bin/sleep 1000", post="/bin/true")
    linit.boot("--cgroup", cgroup)
    assert Path(cgroup, "linit", "tidy").is_dir()
    linit.call("stop", names=["tidy"])
    assert not Path(cgroup, "linit", "tidy").exists()


def test_a_leftover_cgroup_is_made_anew(cgroup: str, linit: Running) -> None:
    """Of a linit that was killed: an empty one with others below would, with controllers, take no process."""
    stale = Path(cgroup, "linit", "again", "below")
    stale.mkdir(parents=True)
    linit.define("again", run="/bin/sleep 1000")
    linit.boot("--cgroup", cgroup)
    assert linit.states["again"] == "up"
    assert not stale.exists()
    assert str(linit.pid("again")) in (stale.parent / "cgroup.procs").read_text().split()
    assert os.path.isdir(stale.parent)
