"""linitctl against a real linit: what a person does in a day, with real processes, definitions and logs."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.running import LIMIT_S, Running

SLEEP = "sleep 1000"


@dataclass(frozen=True)
class Ran:
    """What a run of linitctl left behind."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def runlevels(linit: Running) -> None:
    """Without a folder of runlevels everything is wanted from the beginning."""
    (linit.folder / "runlevels/default").mkdir(parents=True)


def command(linit: Running, *arguments: str) -> list[str]:
    """linitctl with the arguments, about this linit."""
    return [sys.executable, "-m", "linitctl", "--user", str(linit.folder), *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def ctl(linit: Running, *arguments: str) -> Ran:
    """Run linitctl to its end."""
    done = subprocess.run(
        command(linit, *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        env=environment(),
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def state(linit: Running, name: str) -> str:
    return str(linit.call("status", name=name)["state"])


def boot_again(linit: Running) -> None:
    """The next boot, of which nothing is known yet."""
    assert linit.end() == 0
    linit.lines.clear()
    linit.states.clear()
    linit.has_booted = False
    linit.boot()


def test_a_service_is_started_looked_at_and_stopped(linit: Running) -> None:
    linit.define("web", run=SLEEP, need="net", description="HTTP server")
    linit.define("net", kind="oneshot", run="true")
    linit.boot()
    ran = ctl(linit, "start", "web")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("web: up after ")
    records = json.loads(ctl(linit, "--json", "list").out)
    assert [(each["name"], each["state"]) for each in records] == [("net", "up"), ("web", "up")]
    pid = linit.pid("web")
    os.kill(pid, 0)
    ran = ctl(linit, "stop", "net")
    assert ran.out.splitlines()[0] == "stops first: web"
    assert (ran.status, state(linit, "web"), state(linit, "net")) == (0, "down", "down")
    assert not Path(f"/proc/{pid}").exists()


def test_a_start_that_fails_is_explained_by_why_and_logs(linit: Running) -> None:
    linit.define("db", kind="oneshot", script="echo cannot open the data directory >&2; exit 3")
    linit.define("web", run=SLEEP, need="db")
    linit.boot()
    ran = ctl(linit, "start", "web")
    assert ran.status == 1
    assert "see: linitctl why web; linitctl logs web\n" in ran.err
    linit.ask_until(lambda: "cannot open" in linit.log("db"), "the last line in the log")
    told = re.sub(r"\S+Z ", "", ctl(linit, "why", "web").out)
    services = linit.folder / "services"
    assert re.sub(r"\d\d:\d\d:\d\d|\d+ s ago|\(linitctl [^)]*\)", "#", told) == (
        f"web failed # (#): needs db, which failed ({services}/web.yaml:1:31). "
        "It should be up: asked for by root # at #. "
        "db failed # (#): exited with status 3. With restart: never it is not started again.\n"
        "\n"
        f"web    failed  needs db, which failed ({services}/web.yaml:1:31)\n"
        "└─ db  failed  exited with status 3\n"
        "\n"
        "last lines of db:\n"
        "cannot open the data directory\n"
    )
    output = json.loads(ctl(linit, "--json", "why", "web").out)["output"]
    assert (output["name"], [each["text"] for each in output["lines"]]) == ("db", ["cannot open the data directory"])
    past = ctl(linit, "why", "web", "--at", datetime.datetime.now().strftime("%H:%M:%S.%f")).out
    assert "cannot open the data directory\n" in past.rpartition("last lines of db:\n")[2]
    assert "cannot open the data directory\n" in ctl(linit, "logs", "db").out
    assert "db" in ctl(linit, "list", "--failed").out


def test_a_killed_service_is_back_and_kill_sends_what_it_is_told(linit: Running) -> None:
    linit.define("web", run=SLEEP, restart="always")
    linit.enable("web")
    linit.boot()
    before = linit.pid("web")
    ran = ctl(linit, "kill", "-s", "KILL", "web")
    assert (ran.status, ran.out) == (0, "web: SIGKILL sent to its main process\n")
    linit.wait_for_transition("web", "backoff")
    linit.wait_for("web", "up")
    assert linit.pid("web") != before
    assert json.loads(ctl(linit, "--json", "status", "web").out)["restarts"] == 1


def test_enable_starts_a_service_at_the_next_boot_and_disable_does_not(linit: Running) -> None:
    linit.define("web", run=SLEEP)
    linit.boot()
    assert ctl(linit, "enable", "web").status == 0
    assert state(linit, "web") == "down", "it was started without --now"
    boot_again(linit)
    assert state(linit, "web") == "up"
    ran = ctl(linit, "disable", "web", "--now")
    assert (ran.status, state(linit, "web")) == (0, "down")
    boot_again(linit)
    assert state(linit, "web") == "down"


def test_reload_shows_the_difference_and_names_what_is_broken(linit: Running) -> None:
    linit.define("kept", run=SLEEP)
    linit.define("changed", run=SLEEP)
    linit.define("gone", run=SLEEP)
    for name in ("kept", "changed"):
        linit.enable(name)
    linit.boot()
    linit.define("changed", run="sleep 2000")
    (linit.folder / "services/gone.yaml").unlink()
    linit.define("new", run=SLEEP)
    linit.write("broken", "rum: sleep 1\n")
    ran = ctl(linit, "reload")
    assert ran.status == 1
    assert f"error: {linit.folder}/services/broken.yaml:1:1: found unknown key 'rum'" in ran.err
    lines = ran.out.splitlines()
    assert "removed   gone" in lines
    assert "outdated  changed" in lines
    assert lines[-1] == "to put it to use: linitctl restart changed"
    (linit.folder / "services/broken.yaml").unlink()
    assert ctl(linit, "reload").status == 0
    assert ctl(linit, "restart", "changed").status == 0
    assert ctl(linit, "reload") == Ran(0, "nothing changed\n", "")


def test_verify_prints_everything_that_is_wrong_and_compile_writes_the_plan(linit: Running) -> None:
    linit.define("web", run=SLEEP)
    linit.write("one", "run: sleep 1\nneed: [wbe]\n")
    linit.write("two", "run: sleep 1\nrestart: sometimes\n")
    ran = ctl(linit, "verify")
    assert ran.status == 1
    assert "one.yaml:2:8: need: " in ran.out
    assert "two.yaml:2:10: restart: " in ran.out
    assert ctl(linit, "compile").status == 1
    assert (linit.folder / "run/plan.msgpack").exists()
    for name in ("one", "two"):
        (linit.folder / f"services/{name}.yaml").unlink()
    assert (ctl(linit, "verify").status, ctl(linit, "compile").status) == (0, 0)


def test_logs_are_followed_through_a_crash_of_the_log_process(linit: Running, tmp_path: Path) -> None:
    fifo = tmp_path / "words"
    os.mkfifo(fifo)
    linit.define("talker", script=f"while read -r word; do echo said $word; done < {fifo}; exec {SLEEP}")
    linit.enable("talker")
    linit.boot()
    follower = subprocess.Popen(
        command(linit, "logs", "-f", "talker"), stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert follower.stdout is not None

    def read_until(word: str) -> None:
        assert follower.stdout is not None
        for line in follower.stdout:
            if line.endswith(f"Z said {word}\n"):
                return
        raise AssertionError(f"{word} was not shown")

    with open(fifo, "w", buffering=1) as words:
        words.write("one\n")
        read_until("one")
        logger = linit.report()["logger_pid"]
        os.kill(logger, signal.SIGKILL)
        words.write("two\n")
        read_until("two")
        linit.ask_until(lambda: linit.report()["logger_pid"] not in (0, logger), "another log process")
    follower.send_signal(signal.SIGINT)
    follower.stdout.close()
    assert follower.wait(LIMIT_S) == 130


def test_waiting_for_a_start_that_takes_long_may_be_given_up_and_the_start_goes_on(linit: Running) -> None:
    path = linit.folder / "ready"
    linit.define("slow", run=SLEEP, ready={"path": str(path)})
    linit.boot()
    waiting = subprocess.Popen(command(linit, "start", "slow"), stderr=subprocess.PIPE, text=True, env=environment())
    linit.wait_for("slow", "starting")
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=LIMIT_S)
    assert (waiting.returncode, err.splitlines()[0]) == (
        130,
        "linitctl: no longer waiting; what was asked for goes on: start slow",
    )
    path.touch()
    linit.wait_for("slow", "up")


def test_poweroff_ends_a_users_linit_in_order(linit: Running) -> None:
    linit.define("web", run=SLEEP, need="net")
    linit.define("net", run=SLEEP)
    linit.enable("web")
    linit.boot()
    assert ctl(linit, "poweroff") == Ran(0, "ending\n", "")
    assert linit.process is not None
    linit.wait(lambda: {"web", "net"} <= set(linit.order("down", "web", "net")), "the stop of both")
    assert linit.order("down", "web", "net") == ["web", "net"]
    assert linit.process.wait(LIMIT_S) == 0
    assert ctl(linit, "list").status == 5


def test_a_service_may_speak_to_its_linit_without_being_told_where_it_is(linit: Running) -> None:
    """LINIT_CONTROL is in the environment of every command."""
    python = f"PYTHONPATH={environment()['PYTHONPATH']} {sys.executable} -m linitctl"
    linit.define("other", kind="oneshot", run="true")
    linit.define("asker", kind="oneshot", script=f"{python} start other")
    linit.boot()
    assert ctl(linit, "start", "asker").status == 0
    assert state(linit, "other") == "up"


def as_command() -> str:
    """linitctl, as a script of a service calls it."""
    return f"PYTHONPATH={environment()['PYTHONPATH']} {sys.executable} -m linitctl"


def test_a_start_script_finds_out_what_it_needs(linit: Running) -> None:
    """The caller is known by the kernel, not by what it says."""
    linit.define("db", run=SLEEP)
    linit.define("web", kind="oneshot", script=f"{as_command()} need db && echo there it is")
    linit.boot()
    assert ctl(linit, "start", "web").status == 0
    linit.wait_for("web", "up")
    assert linit.order("up", "web", "db") == ["db", "web"]
    assert "at run time, by" in ctl(linit, "deps", "web").out
    assert ctl(linit, "stop", "db").out.splitlines()[0] == "stops first: web"


def test_a_need_that_would_never_come_true_is_refused_and_the_script_goes_on(linit: Running) -> None:
    linit.define("db", run=SLEEP, need="web")
    linit.define("web", kind="oneshot", script=f"{as_command()} need db || echo status $?")
    linit.boot()
    assert ctl(linit, "start", "web").status == 0
    linit.ask_until(lambda: "status 6" in linit.log("web"), "its end in the log")
    refusal = "web would wait for db (need); db needs web ("
    linit.ask_until(lambda: refusal in ctl(linit, "logs", "web").out, "the refusal in the log")  # by another pipe
    assert state(linit, "db") == "down"


def test_need_is_for_services_only(linit: Running) -> None:
    linit.define("db", run=SLEEP)
    linit.boot()
    ran = ctl(linit, "need", "db")
    assert ran.status == 1
    assert ran.err == (
        "linitctl: need: whoever asks is no process of a service\n"
        "it is for the scripts of a service; for a person there is linitctl start\n"
    )
