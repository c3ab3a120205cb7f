"""`linitctl run` and `linitctl lock` against a real linit: real processes, real logs, real locks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.running import LIMIT_S, Gate, Running, is_alive
from tests.integration.test_ctl import Ran, as_command, command, ctl, environment, state


@pytest.fixture(autouse=True)
def runlevels(linit: Running) -> None:
    """Without a folder of runlevels everything is wanted from the beginning."""
    (linit.folder / "runlevels/default").mkdir(parents=True)


def begin(linit: Running, *arguments: str) -> subprocess.Popen[str]:
    """A linitctl that goes on."""
    return subprocess.Popen(
        command(linit, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def locks(linit: Running) -> list[tuple[str, int]]:
    """Each lock with the number of those who wait for it."""
    return [(each["name"], len(each["waiters"])) for each in linit.call("locks")["locks"]]


def test_a_command_runs_as_a_service_with_what_it_needs_and_its_lines_are_in_the_log(linit: Running) -> None:
    linit.define("net", kind="oneshot", run="true")
    linit.boot()
    script = "echo $GREETING from $PWD; exec sleep 1000"
    ran = ctl(linit, "run", "--need", "net", "--env", "GREETING=hello", "--directory", "/tmp", "--", "sh", "-c", script)
    assert ran == Ran(0, "run-sh-1\n", "")
    assert (state(linit, "net"), state(linit, "run-sh-1")) == ("up", "up")
    linit.ask_until(lambda: "hello from /tmp" in linit.log("run-sh-1"), "what it says in the log")
    assert "hello from /tmp\n" in ctl(linit, "logs", "run-sh-1").out
    pid = linit.pid("run-sh-1")
    assert ctl(linit, "stop", "run-sh-1").status == 0
    assert not is_alive(pid)
    assert "run-sh-1" not in {each["name"] for each in linit.call("list")["services"]}


def test_a_oneshot_is_waited_for_and_one_that_failed_is_kept_with_its_reason(linit: Running) -> None:
    linit.boot()
    assert ctl(linit, "run", "--name", "job", "--oneshot", "--", "true") == Ran(0, "job\n", "")
    assert ctl(linit, "status", "job").status == 3
    ran = ctl(linit, "--json", "run", "--name", "job", "--oneshot", "--", "sh", "-c", "echo no disk; exit 3")
    result = json.loads(ran.out)
    assert (ran.status, result["name"], result["results"][0]["text"]) == (1, "job", "failed: exited with status 3")
    # linit's own lines have the words, too: they tell who asked, with the whole command.
    linit.ask_until(lambda: any(line.endswith("no disk") for line in linit.log("job").splitlines()), "its last words")
    told = ctl(linit, "why", "job").out
    assert "exited with status 3" in told and told.endswith(" no disk\n")
    assert ctl(linit, "reset", "job").status == 0
    assert ctl(linit, "status", "job").status == 3


def test_a_program_that_is_not_there_is_a_failed_start(linit: Running) -> None:
    linit.boot()
    ran = ctl(linit, "run", "--name", "job", "--", "no-such-program")
    assert (ran.status, ran.out) == (1, "job\n")
    assert ran.err.startswith("job: failed: could not be run: exec no-such-program: not found in PATH (")
    assert state(linit, "job") == "failed"


def test_a_transient_service_survives_a_reload_of_the_definitions(linit: Running) -> None:
    linit.boot()
    ctl(linit, "run", "--name", "job", "--", "sleep", "1000")
    linit.define("new", run="sleep 1000")
    assert ctl(linit, "reload").status == 0
    assert state(linit, "job") == "up"


def test_a_lock_is_held_while_the_command_runs_and_its_status_is_the_result(linit: Running, gate: Gate) -> None:
    linit.boot()
    first = begin(linit, "lock", "apt", "--", "sh", "-c", f"read line < {gate.path}; exit 7")
    linit.ask_until(lambda: locks(linit) == [("apt", 0)], "the first holder")
    second = begin(linit, "lock", "apt", "--", "echo", "mine")
    linit.ask_until(lambda: locks(linit) == [("apt", 1)], "the second one in the queue")
    ran = ctl(linit, "lock", "apt", "--no-wait", "--", "echo", "never")
    assert (ran.status, ran.out) == (1, "") and "holds it" in ran.err
    assert ctl(linit, "lock", "apt", "--timeout", "0.05", "--", "echo", "never") == Ran(
        1, "", "linitctl: apt: not free within 0.05 s\nsee: linitctl locks\n"
    )
    gate.open()
    assert first.communicate(timeout=LIMIT_S) == ("", "")
    assert second.communicate(timeout=LIMIT_S) == ("mine\n", "")
    assert (first.returncode, second.returncode) == (7, 0)
    linit.ask_until(lambda: locks(linit) == [], "the end of all locks")


def test_a_lock_is_let_go_of_when_its_holder_is_killed(linit: Running) -> None:
    linit.boot()
    holder = begin(linit, "lock", "apt", "--", "sh", "-c", "echo begun; exec sleep 1000")
    assert holder.stdout is not None and holder.stdout.readline() == "begun\n"
    assert locks(linit) == [("apt", 0)]
    (child,) = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    os.kill(holder.pid, signal.SIGKILL)
    assert holder.wait(LIMIT_S) == -signal.SIGKILL
    linit.ask_until(lambda: locks(linit) == [], "the end of the lock")
    os.kill(int(child), signal.SIGKILL)
    holder.communicate(timeout=LIMIT_S)


def test_a_signal_that_ends_the_command_is_passed_on_and_told_as_a_shell_would(linit: Running) -> None:
    linit.boot()
    holder = begin(linit, "lock", "apt", "--", "sh", "-c", "echo begun; exec sleep 1000")
    assert holder.stdout is not None and holder.stdout.readline() == "begun\n"
    holder.send_signal(signal.SIGTERM)
    holder.communicate(timeout=LIMIT_S)
    assert holder.returncode == 128 + signal.SIGTERM
    assert ctl(linit, "lock", "apt", "--", "no-such-program") == Ran(
        127, "", "linitctl: no-such-program: No such file or directory\n"
    )


def test_a_deadlock_of_a_lock_and_a_start_is_refused_at_once_with_the_loop(linit: Running) -> None:
    """web holds the lock and waits for db, whose script wants the lock."""
    linit.define("web", kind="oneshot", script=f"{as_command()} lock apt -- env {as_command()} start db")
    linit.define("db", kind="oneshot", script=f"{as_command()} lock apt -- true || echo status $?")
    linit.boot()
    assert ctl(linit, "start", "web").status == 0
    refusal = "apt: db would wait for the lock apt, which web holds; "
    linit.ask_until(lambda: "status 6" in linit.log("db") and refusal in linit.log("db"), "the refusal in the log")
    assert state(linit, "db") == "up"


def test_why_tells_who_holds_the_lock_that_a_script_waits_for(linit: Running, gate: Gate) -> None:
    linit.define("web", kind="oneshot", script=f"{as_command()} lock apt -- true")
    linit.boot()
    holder = begin(linit, "lock", "apt", "--", "sh", "-c", f"read line < {gate.path}")
    linit.ask_until(lambda: locks(linit) == [("apt", 0)], "the holder")
    linit.ask("start", names=["web"], wait=False)
    linit.ask_until(lambda: locks(linit) == [("apt", 1)], "the script's wait")
    told = ctl(linit, "why", "web").out
    assert ": its script waits for the lock apt, which root (linitctl --user " in told, told
    gate.open()
    holder.communicate(timeout=LIMIT_S)
    linit.wait_for("web", "up")
