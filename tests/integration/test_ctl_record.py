"""The flight recorder of a real linit: what was recorded replays to what was seen. Source: linit/record/README.md."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linit.record.recording import load
from linit.replay import interactive
from linit.replay.stepper import Stepper
from tests.integration.running import LIMIT_S, Running
from tests.integration.test_ctl import ctl

READY = {"script": "echo >&3; exec sleep 1000", "ready": {"fd": 3}}


def replayed(linit: Running, path: Path, *options: str) -> list[dict[str, Any]]:
    """The steps of `linitctl replay`."""
    ran = ctl(linit, "replay", str(path), "--json", *options)
    assert ran.status == 0, ran
    told: dict[str, Any] = json.loads(ran.out)
    assert told["fault"] == ""
    steps: list[dict[str, Any]] = told["steps"]
    return steps


def changes(steps: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each["name"], each["after"], each["text"]) for step in steps for each in step["transitions"]]


@pytest.fixture
def lived(linit: Running) -> Running:
    """A linit in which something happened: a boot, a crash, a restart, a failure, a reload with a new service."""
    linit.define("db", **READY)
    linit.define("web", **READY, need="db")
    linit.define("broken", script="exit 7", kind="oneshot")
    linit.boot()
    os.kill(linit.pid("db"), signal.SIGSEGV)
    linit.wait_for_transition("db", "backoff")
    linit.wait_for("db", "up")
    linit.call("restart", names=["web"], wait=True)
    linit.define("mail", **READY)
    linit.call("reload_plan")
    linit.wait_for("mail", "up")
    linit.call("stop", names=["db"], wait=True)
    return linit


def test_a_replay_has_the_transitions_that_were_seen_in_their_order(lived: Running, tmp_path: Path) -> None:
    """With their reasons. The first ones happened before anybody could listen."""
    saved = tmp_path / "boot.rec"
    nowhere = ctl(lived, "record", "save", str(tmp_path / "no/such.rec"))
    words = f"linitctl: {tmp_path}/no/such.rec: No such file or directory\n"
    assert (nowhere.status, nowhere.out, nowhere.err) == (1, "", words)
    ran = ctl(lived, "record", "save", str(saved))
    assert ran.status == 0, ran
    found = changes(replayed(lived, saved))
    assert len(lived.transitions) > 15
    assert found[-len(lived.transitions) :] == lived.transitions


def test_why_tells_of_another_time(lived: Running, tmp_path: Path) -> None:
    """Before and after the crash, and who had asked."""
    saved = tmp_path / "boot.rec"
    ctl(lived, "record", "save", str(saved))
    steps = replayed(lived, saved)
    crash = next(step for step in steps if any(each["after"] == "backoff" for each in step["transitions"]))

    def why(name: str, at_s: float, *where: str) -> tuple[str, str]:
        told = json.loads(ctl(lived, "why", name, "--at", f"{at_s:.6f}", *where, "--json").out)
        return told["chain"][0]["state"], told["chain"][0]["text"]

    assert why("db", crash["at_s"] - 0.000002) [0] == "up"
    state, text = why("db", crash["at_s"] + 0.000002)
    assert (state, text[:17]) == ("backoff", "killed by SIGSEGV")
    end_s = steps[-1]["at_s"] + 5.0
    assert why("web", end_s)[0] == "down"
    assert why("db", end_s, "--file", str(saved))[1].startswith("stopped by root (tests, pid ")
    spoken = ctl(lived, "why", "broken", "--at", f"{end_s:.3f}").out.splitlines()
    assert spoken[0].startswith("As of ")
    assert re.match(r"broken failed \d+ s ago \(", spoken[1]), spoken


def test_the_boot_before_can_still_be_asked_about(lived: Running, tmp_path: Path) -> None:
    saved = tmp_path / "before.rec"
    ctl(lived, "record", "save", str(saved))
    before = changes(replayed(lived, saved))
    assert lived.end() == 0
    (lived.folder / "services").rename(tmp_path / "kept")
    again = Running(lived.folder)
    try:
        again.define("other", **READY)
        again.boot()
        listed = json.loads(ctl(again, "record", "list", "--json").out)
        assert [each["boot"] for each in listed] == [-1, 0]
        told = json.loads(ctl(again, "why", "db", "--boot", "-1", "--json").out)
        assert told["chain"][0]["state"] == "down"
        assert ctl(again, "why", "other", "--boot", "-1").status == 3
        assert ctl(again, "record", "save", str(saved), "--boot", "-1").status == 0
        whole = changes(replayed(again, saved))
        assert whole[: len(before)] == before
        assert {name: state for name, state, _ in whole}["mail"] == "down", "the shutdown is recorded, too"
        ran = ctl(again, "record", "save", str(saved), "--boot", "-2")
        assert (ran.status, ran.err) == (
            1,
            f"linitctl: {again.folder}/log/record: there is no recording of boot -2; there are: 0, -1\n",
        )
        assert again.end() == 0
    finally:
        again.kill()


def test_a_recording_becomes_a_test(lived: Running, tmp_path: Path) -> None:
    """A pytest file that needs nothing but linit's engine, and passes."""
    saved, written = tmp_path / "boot.rec", tmp_path / "test_boot.py"
    ctl(lived, "record", "save", str(saved))
    assert ctl(lived, "replay", str(saved), "--to-test", str(written)).status == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(written)]
    ran = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout
    source = written.read_text()
    written.write_text(source.replace("'backoff'", "'up'"))
    ran = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert "1 failed" in ran.stdout


def test_nothing_is_missing_after_the_log_process_was_killed_and_came_back(lived: Running, tmp_path: Path) -> None:
    """What it had been told was written."""
    lived.call("start", names=["db"], wait=True)
    saved = tmp_path / "boot.rec"
    ctl(lived, "record", "save", str(saved))
    os.kill(lived.report()["logger_pid"], signal.SIGKILL)
    lived.call("stop", names=["db"], wait=True)
    lived.wait(lambda: any("log process killed" in text for _, text in lived.told), "that its end is told")
    lived.ask_until(lambda: bool(lived.report()["logger_pid"]), "the next log process")
    ctl(lived, "record", "save", str(saved))
    assert changes(replayed(lived, saved))[-len(lived.transitions) :] == lived.transitions


def test_every_change_tells_its_cause_the_edge_and_who_asked(lived: Running, tmp_path: Path) -> None:
    """Issue 3: event, edge, who asked (uid, pid, command)."""
    saved = tmp_path / "boot.rec"
    ctl(lived, "record", "save", str(saved))
    steps = replayed(lived, saved)
    (step,) = [each for each in steps if each["event"].startswith("request") and " stop db" in each["event"]]
    asker = step["event"].partition("asked by ")[2]
    assert re.fullmatch(r"root \(tests, pid \d+\)", asker)
    later = [each for each in steps if each["number"] >= step["number"]]
    changes = {each["name"]: each for step in reversed(later) for each in step["transitions"]}
    web, db = changes["web"], changes["db"]
    assert (web["after"], web["asked_by"], web["reason"]["of"]) == ("stopping", asker, "db")
    assert re.fullmatch(rf"{lived.folder}/services/web.yaml:1:\d+", web["reason"]["place"])
    assert (db["after"], db["asked_by"]) == ("stopping", asker)
    told = ctl(lived, "replay", str(saved)).out.splitlines()
    (down,) = [line.strip() for line in told if line.strip().startswith("web: stopping -> down (needs db")]
    assert down == f"web: stopping -> down (needs db, which is down ({web['reason']['place']})); asked by {asker}"


def test_one_steps_forward_and_back_on_a_terminal(lived: Running, tmp_path: Path) -> None:
    saved = tmp_path / "boot.rec"
    ctl(lived, "record", "save", str(saved))
    steps = replayed(lived, saved)
    near, far = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TERM": "dumb"}
    argv = [sys.executable, "-m", "linit.replay", "replay", str(saved)]
    process = subprocess.Popen(argv, stdin=far, stdout=far, stderr=far, env=environment)
    os.close(far)
    shown = ""

    def until(text: str) -> None:
        nonlocal shown
        while text not in shown:
            assert select.select([near], [], [], LIMIT_S)[0], f"waited for {text!r}, have {shown!r}"
            shown += os.read(near, 4096).decode()

    count = len(steps)
    for typed, prompt in (("n", 1), ("n 2", 3), ("p", 2), ("goto 9999", count), ("goto 0.0", 0), ("n", 1), ("q", -1)):
        os.write(near, f"{typed}\n".encode())
        if prompt >= 0:
            until(f"\n{prompt}/{count}> ")
            shown = shown[shown.index(f"\n{prompt}/{count}> ") + 1 :]
    assert process.wait(LIMIT_S) == 0
    os.close(near)


@pytest.fixture
def stopped(linit: Running, tmp_path: Path) -> Stepper:
    """After the last event of a boot whose db was stopped."""
    linit.define("db", **READY)
    linit.define("web", **READY, need="db")
    linit.boot()
    linit.call("stop", names=["db"], wait=True)
    saved = tmp_path / "boot.rec"
    ctl(linit, "record", "save", str(saved))
    stepper = Stepper(load(str(saved)))
    stepper.go_to(len(stepper.recording.entries))
    return stepper


def typed(stepper: Stepper, *lines: str) -> list[str]:
    """What is shown when a person types these lines and then q; without the help at the beginning."""
    left, shown = [*lines, "q"], list[str]()
    interactive.run(stepper, lambda _prompt: left.pop(0), lambda text: shown.append(str(text)))
    assert left == []
    return shown[2:]


def test_states_tells_where_every_service_was(stopped: Stepper) -> None:
    states = typed(stopped, "states")
    by = r"root \(tests, pid \d+\)"
    assert re.fullmatch(rf"db: down \(stopped by {by}\)", states[0])
    assert [line.partition(" (")[0] for line in states] == ["db: down", "default: up", "web: down"]
    assert [line.partition(" (")[0] for line in typed(stopped, "goto 0", "states")[1:]] == [
        "db: down", "default: down", "web: down",
    ]  # fmt: skip


def test_why_tells_the_chain_at_that_moment(stopped: Stepper) -> None:
    web, db = typed(stopped, "why web")
    assert web.startswith("web: down (needs db, which is down (")
    assert re.fullmatch(r"db: down \(stopped by root \(tests, pid \d+\)\)", db)
    assert typed(stopped, "goto 0", "why web")[1:] == ["web: down (nothing has asked for it)"]
    assert typed(stopped, "why bew") == ["no service is called 'bew' here"]


def test_an_empty_line_is_the_last_command_again_and_nonsense_shows_the_help(stopped: Stepper) -> None:
    typed(stopped, "p", "", "")
    assert stopped.number == len(stopped.recording.entries) - 3
    assert typed(stopped, "dance") == [interactive.HELP.rstrip()]
    assert typed(stopped, "n many") == ["found 'many', expected a number of events"]
    assert typed(stopped, "goto soon")[0].startswith("found 'soon', expected seconds since the boot")
