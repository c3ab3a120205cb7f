"""Services that the clock starts. No test waits for a time of day: what is missed lies in the past, and what comes
again and again comes soon."""

from __future__ import annotations

import os
import time

from linit.model.calendar import parse
from linit.runtime.calendar_times import next_after
from tests.integration.running import Gate, Running

DAY_S = 86400.0


def ran(linit: Running, name: str) -> list[str]:
    """Why a service left its rest, each time since linit began."""
    before = f"{name}: starting ("
    return [line.removeprefix(before)[:-1] for line in linit.lines if line.startswith(before)]


def wait_for_ends(linit: Running, name: str, count: int = 1, state: str = "down (exited with status 0)") -> None:
    """Until it has been at rest again so often."""
    linit.wait(lambda: linit.lines.count(f"{name}: {state}") >= count, f"{name} {state}, {count} times")


def test_a_service_with_a_schedule_runs_again_and_again_and_rests_in_between(linit: Running) -> None:
    """The runlevel is reached when its timer is armed; a oneshot does not stay up."""
    linit.define("tick", kind="oneshot", run="/bin/true", schedule={"every": "0.2s"})
    linit.enable("tick")
    linit.boot()
    assert linit.states["tick.timer"] == "up"
    wait_for_ends(linit, "tick", 3)
    assert set(ran(linit, "tick")) == {"started by tick.timer: every 0.2 s"}
    assert linit.text("tick") == "exited with status 0"


def test_a_schedule_goes_on_after_a_run_that_failed(linit: Running) -> None:
    """A backup that failed tonight is tried tomorrow."""
    linit.define("tick", kind="oneshot", run="/bin/false", schedule={"every": "0.2s"}, restart="never")
    linit.enable("tick")
    linit.boot()
    wait_for_ends(linit, "tick", 3, "failed: exited with status 1")
    assert linit.states["tick.timer"] == "up"


def test_a_schedule_that_is_changed_counts_from_the_reload_on(linit: Running) -> None:
    """Nobody has to restart its timer."""
    linit.define("tick", kind="oneshot", run="/bin/true", schedule={"every": "1h"})
    linit.enable("tick")
    linit.boot()
    linit.define("tick", kind="oneshot", run="/bin/true", schedule={"every": "0.2s"})
    assert linit.call("reload_plan")["changed"] == ["tick.timer"]
    wait_for_ends(linit, "tick", 2)
    assert set(ran(linit, "tick")) == {"started by tick.timer: every 0.2 s"}


def test_after_boot_is_once(linit: Running) -> None:
    """It has run when the timer is armed again: that is no other boot."""
    linit.define("late", kind="oneshot", run="/bin/true", schedule={"after_boot": "0.1s"})
    linit.enable("late")
    linit.boot()
    wait_for_ends(linit, "late")
    assert ran(linit, "late") == ["started by late.timer: 0.1 s after boot"]
    linit.call("restart", names=["late.timer"])
    linit.call("start", names=["late"])
    wait_for_ends(linit, "late", 2)
    assert len(ran(linit, "late")) == 2
    assert "by late.timer" not in ran(linit, "late")[1]


def test_what_is_due_while_the_service_runs_is_skipped_and_told(linit: Running, gate: Gate) -> None:
    linit.define("slow", kind="oneshot", script=f"read line < {gate.path}", schedule={"every": "0.2s"})
    linit.enable("slow")
    linit.boot()
    skipped = "slow.timer: every 0.2 s: skipped, as slow still runs"
    linit.wait(lambda: skipped in linit.lines, "that a run is skipped")
    linit.listen(0.5)
    assert linit.lines.count(skipped) == 1
    gate.open()
    gate.open()
    wait_for_ends(linit, "slow", 2)


def test_a_timer_that_is_stopped_starts_nothing_and_its_service_can_be_started(linit: Running) -> None:
    linit.define("tick", kind="oneshot", run="/bin/true", schedule={"every": "0.2s"})
    linit.enable("tick")
    linit.boot()
    wait_for_ends(linit, "tick")
    linit.call("stop", names=["tick.timer"])
    linit.wait_for("tick", "down")
    before = len(ran(linit, "tick"))
    linit.listen(0.6)
    assert len(ran(linit, "tick")) == before
    linit.call("start", names=["tick"])
    linit.wait(lambda: len(ran(linit, "tick")) == before + 1, "that it starts")


def test_what_was_missed_while_linit_did_not_run_is_made_up_for(linit: Running) -> None:
    """`persistent`: one run, however many were missed."""
    stamp = linit.folder / "run/timers/backup"
    stamp.parent.mkdir(parents=True)
    stamp.touch()
    last_s = time.time() - 3 * DAY_S
    os.utime(stamp, (last_s, last_s))
    when = time.strftime("%a %Y-%m-%d %H:%M", time.localtime(next_after(parse("@hourly"), last_s)))
    linit.define("backup", kind="oneshot", run="/bin/true", schedule={"calendar": "@hourly", "persistent": True})
    linit.enable("backup")
    linit.boot()
    wait_for_ends(linit, "backup")
    assert f"backup.timer: missed {when}, runs now" in linit.lines
    assert ran(linit, "backup") == [f"started by backup.timer: calendar {when}, missed"]
    assert stamp.stat().st_mtime > last_s + 2 * DAY_S


def test_what_is_not_persistent_forgets_what_it_missed(linit: Running) -> None:
    stamp = linit.folder / "run/timers/backup"
    stamp.parent.mkdir(parents=True)
    stamp.touch()
    os.utime(stamp, (0, 0))
    linit.define("backup", kind="oneshot", run="/bin/true", schedule={"calendar": "0 3 1 1 *"})
    linit.enable("backup")
    linit.boot()
    linit.call("runlevel")
    assert ran(linit, "backup") == []
    assert not any("missed" in line for line in linit.lines)


def test_a_daemon_may_have_a_schedule_too(linit: Running) -> None:
    """It runs until it ends or is stopped."""
    linit.define("daily", run=["/bin/sleep", "1000"], schedule={"after_boot": "0.1s"})
    linit.enable("daily")
    linit.boot()
    linit.wait_for("daily", "up")
    assert linit.text("daily") == "started by daily.timer: 0.1 s after boot"
