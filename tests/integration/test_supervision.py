"""What a supervisor does with real processes: order, failures, stops, leftovers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.running import LIMIT_S, Gate, Running, command, is_alive

SLEEP = ["/bin/sleep", "1000"]
IDLE_WINDOWS = 8


def test_a_dependent_is_started_when_what_it_needs_is_ready(linit: Running, tmp_path: Path) -> None:
    """need: DESIGN.md section 3. The dependent looks with its own eyes whether the other was ready."""
    mark = tmp_path / "ready"
    linit.define("net", script=f"sleep 0.1; : > {mark}; exec sleep 1000", ready={"path": str(mark)})
    linit.define("sshd", script=f"test -e {mark} || exit 7; exec sleep 1000", need="net", restart="never")
    linit.boot()
    assert linit.states["net"] == "up"
    assert linit.states["sshd"] == "up"
    assert linit.text("sshd") == "wanted by runlevel default (no runlevels: everything is wanted)"


def test_stops_run_in_reverse_order(linit: Running) -> None:
    """A service stops after everything that needs it."""
    linit.define("a", run=SLEEP)
    linit.define("b", run=SLEEP, need="a")
    linit.define("c", run=SLEEP, need="b")
    linit.boot()
    answer = linit.call("stop", names=["a"])
    assert answer["outcome"] == "done"
    assert linit.order("down", "a", "b", "c") == ["c", "b", "a"]


def test_a_oneshot_is_up_after_its_success_until_it_is_stopped(linit: Running, tmp_path: Path) -> None:
    """Its stop command undoes it. Kind oneshot: DESIGN.md section 3."""
    mark = tmp_path / "done"
    linit.define("setup", kind="oneshot", script=f": > {mark}", stop=f"/bin/rm {mark}")
    linit.boot()
    assert linit.states["setup"] == "up"
    assert mark.exists()
    linit.call("stop", names=["setup"])
    assert not mark.exists()


def test_pre_main_and_post_run_one_after_the_other(linit: Running, tmp_path: Path) -> None:
    """Commands of a start: services/README.md."""
    story = tmp_path / "story"
    linit.define(
        "steps",
        pre=[{"script": f"echo pre >> {story}"}, {"script": f"echo pre again >> {story}"}],
        script=f"echo main >> {story}; : > {tmp_path}/main; exec sleep 1000",
        ready={"path": f"{tmp_path}/main"},
        post={"script": f"echo post >> {story}"},
        stop={"script": f"echo stop >> {story}"},
    )
    linit.boot()
    assert linit.states["steps"] == "up"
    linit.call("stop", names=["steps"])
    assert story.read_text().splitlines() == ["pre", "pre again", "main", "post", "stop"]


def test_a_crash_is_respawned_until_its_limit(linit: Running) -> None:
    """restart: limit respawns in the window, then failed with the last exit and the count."""
    linit.define("crash", script="exit 3", restart={"delay": "10ms", "limit": 2, "window": "60s"})
    linit.boot()
    linit.wait_for("crash", "failed")
    assert linit.call("status", name="crash")["restarts"] == 2
    assert linit.text("crash") == "exited with status 3; gave up after 2 respawns within 60 s"


def test_a_killed_process_is_back_with_another_pid(linit: Running) -> None:
    """The main process dies unasked; its dependents stay up meanwhile."""
    linit.define("db", run=SLEEP, restart={"policy": "always", "delay": "10ms"})
    linit.define("web", run=SLEEP, need="db")
    linit.boot()
    before, web = linit.pid("db"), linit.pid("web")
    os.kill(before, signal.SIGKILL)
    linit.wait_for_transition("db", "backoff")
    linit.wait_for("db", "up")
    assert linit.pid("db") != before
    assert linit.pid("web") == web


def test_term_ignored_is_kill_at_the_timeout_and_is_told(linit: Running, tmp_path: Path) -> None:
    """Stop signals, then KILL to all: DESIGN.md section 3."""
    script = f"trap '' TERM; : > {tmp_path}/trapped; while :; do sleep 1000; done"
    linit.define("deaf", script=script, ready={"path": f"{tmp_path}/trapped"}, stop_timeout="0.3s")
    linit.boot()
    linit.call("stop", names=["deaf"])
    told = [text for name, text in linit.told if name == "deaf"]
    assert len(told) == 1
    assert re.fullmatch(r"ignored TERM for [\d.]+ s, killed", told[0])
    assert re.fullmatch(r"not down within [\d.]+ s, killed", linit.text("deaf"))


def test_a_stop_takes_effect_while_a_service_is_starting(linit: Running) -> None:
    """A process that is not ready gets its stop signal at once."""
    linit.define("slow", run=SLEEP, ready={"path": "/nowhere"}, start_timeout="never")
    linit.start()
    linit.wait_for("slow", "starting")
    assert linit.call("stop", names=["slow"])["outcome"] == "done"
    assert linit.states["slow"] == "down"


def test_a_start_that_takes_too_long_fails_and_says_which_step(linit: Running) -> None:
    """start_timeout: every start has a limit."""
    linit.define("slow", run=SLEEP, ready={"path": "/nowhere"}, start_timeout="2s", restart="never")
    linit.boot()
    assert linit.states["slow"] == "failed"
    assert linit.text("slow") == "not up within 2 s (runs, not ready yet (path))"


def test_grandchildren_are_ended_with_their_service(linit: Running, tmp_path: Path) -> None:
    """Without cgroups: by the session. A child left in the background gets TERM as the main process does."""
    pids = tmp_path / "pid"
    linit.define(
        "forking",
        script=f"(sleep 1000 & echo $! > {pids}.new; mv {pids}.new {pids}); exec sleep 1000",
        ready={"path": str(pids)},
    )
    linit.boot()
    grandchild = int(pids.read_text())
    linit.call("stop", names=["forking"])
    assert not is_alive(grandchild)


def test_what_is_left_of_a_crash_is_ended_before_the_respawn(linit: Running, tmp_path: Path) -> None:
    """Nobody starts a second copy beside what is left of the first."""
    pids = tmp_path / "pids"
    linit.define(
        "messy",
        script=f"trap '' TERM; sh -c \"trap '' TERM; sleep 1000\" & echo $! >> {pids}; exit 1",
        restart={"delay": "10ms", "limit": 1},
        stop_timeout="0.2s",
    )
    linit.boot()
    linit.wait_for("messy", "failed")
    first, second = map(int, pids.read_text().split())
    assert not is_alive(first)
    assert not is_alive(second)


def test_a_daemon_that_left_its_session_is_ended_by_its_cgroup(linit: Running, cgroup: str, tmp_path: Path) -> None:
    """A cgroup keeps what setsid(1) and a double fork would hide. Source: cgroups(7)."""
    pids = tmp_path / "pid"
    daemon = (
        f"setsid sh -c 'trap \"\" TERM; echo $$$$ > {pids}.new; mv {pids}.new {pids}; while :; do sleep 1000; done' &"
    )
    linit.define("hiding", script=f"({daemon}) ; exec sleep 1000", ready={"path": str(pids)}, stop_timeout="0.3s")
    linit.boot("--cgroup", cgroup)
    hidden = int(pids.read_text())
    assert Path(f"/proc/{hidden}/cgroup").read_text().rstrip().endswith("/linit/hiding")
    linit.call("stop", names=["hiding"])
    assert not is_alive(hidden)
    assert not Path(cgroup, "linit", "hiding").exists()


def test_an_orphan_is_reaped_and_counted(linit: Running, gate: Gate) -> None:
    """A subreaper gets what daemons leave behind. Source: PR_SET_CHILD_SUBREAPER(2const)."""
    linit.define("parent", script=f"(setsid sh -c 'read x < {gate.path}' &) ; exec sleep 1000")
    linit.boot()
    before = linit.report()["orphans_reaped"]
    gate.open()
    linit.ask_until(lambda: linit.report()["orphans_reaped"] > before, "the orphan's end")


@pytest.mark.parametrize(("clear", "outlives_its_service"), [("", False), ("env -i ", True)])
def test_a_daemon_that_left_its_session_does_not_outlive_linit(
    linit: Running, tmp_path: Path, clear: str, outlives_its_service: bool
) -> None:
    """Without cgroups it is found by its environment when its service stops. One that has cleared that cannot be; it is
    our child when we end."""
    pids = tmp_path / "pid"
    daemon = f"setsid {clear}sh -c 'echo $$$$ > {pids}.new; mv {pids}.new {pids}; sleep 1000'"
    linit.define("hiding", script=f"({daemon} &) ; exec sleep 1000", ready={"path": str(pids)})
    linit.boot("--cgroup", "")
    hidden = int(pids.read_text())
    linit.call("stop", names=["hiding"])
    assert is_alive(hidden) is outlives_its_service
    assert linit.end() == 0
    assert not is_alive(hidden)


def test_two_hundred_services_start_at_once(linit: Running) -> None:
    """None is lost, and none waits for another."""
    for number in range(200):
        linit.define(f"service-{number:03}", run=SLEEP)
    linit.boot()
    assert {state for name, state in linit.states.items() if name.startswith("service-")} == {"up"}
    assert len({linit.pid(f"service-{number:03}") for number in range(200)}) == 200


def test_a_broken_definition_takes_out_only_its_service_and_what_needs_it(linit: Running) -> None:
    """Errors are the operator's, and reported with their place."""
    linit.define("good", run=SLEEP)
    linit.write("bad", "run: [/bin/sleep, 1000]\nrestrat: always\n")
    linit.define("needy", run=SLEEP, need="bad")
    linit.boot()
    assert linit.states["good"] == "up"
    assert linit.states["bad"] == "failed"
    assert linit.states["needy"] == "failed"
    assert linit.text("bad") == (
        f"its definition is broken: {linit.folder}/services/bad.yaml:2:1: found unknown key 'restrat', "
        "expected a key of a definition; did you mean 'restart'?"
    )


def test_a_cycle_fails_its_members_and_is_named(linit: Running) -> None:
    """No cycle hangs a boot: DESIGN.md section 3."""
    linit.define("hen", run=SLEEP, need="egg")
    linit.define("egg", run=SLEEP, need="hen")
    linit.define("fox", run=SLEEP)
    linit.boot()
    assert linit.states["fox"] == "up"
    assert linit.states["hen"] == linit.states["egg"] == "failed"
    assert "cycle" in linit.text("hen")
    assert "egg" in linit.text("hen")


def test_only_what_is_enabled_starts(linit: Running) -> None:
    """Runlevel `default` is made of DIR/runlevels/default."""
    linit.define("wanted", run=SLEEP, need="pulled-in")
    linit.define("pulled-in", run=SLEEP)
    linit.define("other", run=SLEEP)
    linit.enable("wanted")
    linit.boot()
    assert linit.states["wanted"] == linit.states["pulled-in"] == "up"
    assert linit.states["other"] == "down"


def test_hup_reads_changed_definitions(linit: Running) -> None:
    """A new service starts; the rest goes on."""
    linit.define("old", run=SLEEP)
    linit.boot()
    pid = linit.pid("old")
    linit.define("new", run=SLEEP)
    linit.send(signal.SIGHUP)
    linit.wait_for("new", "up")
    assert linit.pid("old") == pid


def test_an_idle_linit_wakes_up_zero_times(linit: Running) -> None:
    """DESIGN.md section 5. The one wake-up counted is the question for the count. What belongs to the boot (a service
    is healthy after 10 s) may still happen in the first windows."""
    linit.define("idle", run=SLEEP, ready={"probe": "/bin/true"})
    linit.define("once", kind="oneshot", run=["/bin/true"])
    linit.boot()
    linit.ask_until((linit.folder / "log" / "idle.log").exists, "the log process at work")
    for _ in range(IDLE_WINDOWS):
        before = linit.report()["wakeups"]
        assert linit.listen(2.5) == 0
        if (after := linit.report()["wakeups"]) == before + 1:
            break
    assert after == before + 1


def test_a_folder_has_one_linit(linit: Running) -> None:
    """The second says who is there, and exits with 3."""
    linit.boot()
    assert linit.process is not None
    second = subprocess.run(
        command(linit.folder), capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=Path.cwd()
    )
    assert second.returncode == 3
    assert second.stderr == f"linit: another linit runs in {linit.folder} (pid {linit.process.pid})\n"


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    """Exit status 2 and the path."""
    missing = tmp_path / "missing"
    done = subprocess.run(command(missing), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (2, f"linit: {missing}: no such folder\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_stop_everything_in_order(linit: Running, number: int) -> None:
    """Exit status 0, nothing left."""
    linit.define("a", run=SLEEP)
    linit.define("b", run=SLEEP, need="a")
    linit.boot()
    linit.send(number)
    assert linit.process is not None
    assert linit.process.wait(LIMIT_S) == 0
    assert linit.end() == 0
    downs = [line.split(":")[0] for line in linit.lines if ": down (" in line]
    assert downs == ["b", "a"]
