"""The log process dies, and nothing of what services wrote does. What it does with the lines: test_logs_process.py."""

from __future__ import annotations

import os
import re
import signal
import sys

from tests.integration.running import Running

# Numbered lines, in bursts, until TERM. The pause keeps the log below the size at which old files are thrown away.
CHATTER = """
import signal, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
number = 0
while not asked:
    for _ in range(20):
        sys.stdout.write(f"line {number}\\n")
        number += 1
    sys.stdout.flush()
    time.sleep(0.005)
sys.stdout.write(f"the end after {number}\\n")
"""


def kill_logger(linit: Running) -> None:
    """KILL the log process as soon as there is one, and wait until linit has heard of it."""
    linit.ask_until(lambda: linit.report()["logger_pid"] > 0, "a log process")
    report = linit.report()
    os.kill(report["logger_pid"], signal.SIGKILL)
    linit.ask_until(lambda: linit.report()["logger_restarts"] > report["logger_restarts"], "its end")


def test_a_log_process_killed_in_full_flow_loses_no_line(linit: Running) -> None:
    """PID 1 keeps both ends of every pipe: DESIGN.md section 5."""
    linit.define("chatter", run=[sys.executable, "-I", "-c", CHATTER])
    linit.boot()
    pid = linit.pid("chatter")
    for _ in range(4):
        seen = len(linit.log("chatter"))
        linit.ask_until(lambda seen=seen: len(linit.log("chatter")) > seen, "lines")  # type: ignore[misc]
        kill_logger(linit)
    assert linit.pid("chatter") == pid  # no SIGPIPE
    linit.call("stop", names=["chatter"])
    assert linit.end() == 0
    lines = [line for line in linit.log("chatter").splitlines() if not line.startswith("linit: ")]
    end = re.fullmatch(r"the end after (\d+)", lines[-1])
    assert end
    missing = set(range(int(end[1]))) - {int(line.split()[1]) for line in lines[:-1]}
    assert not missing, f"{len(missing)} lines are missing, from {min(missing)} to {max(missing)}"


def test_the_death_of_the_log_process_is_told(linit: Running) -> None:
    """And that it comes again, after a delay that grows."""
    linit.boot()
    kill_logger(linit)
    kill_logger(linit)
    told = [text for name, text in linit.told if name == "linit"]
    assert told == [
        "the log process killed by SIGKILL; it starts again after 0.2 s",
        "the log process killed by SIGKILL; it starts again after 0.4 s",
    ]


def test_what_linit_said_while_there_was_no_log_process_is_in_the_log(linit: Running) -> None:
    """Its own lines wait, as those of services do."""
    linit.boot()
    kill_logger(linit)
    linit.define("late", run=["/bin/sleep", "1000"])
    linit.call("reload_plan")
    linit.wait_for("late", "up")
    linit.end()
    assert re.search(r"^linit: up \(pid \d+, ready after [\d.]+ s\)$", linit.log("late"), re.MULTILINE)


def test_more_than_a_pipe_holds_waits_for_the_log_process(linit: Running) -> None:
    """A service that writes before there is a log process is held up, not cut."""
    script = "i=0; while [ $i -lt 20000 ]; do echo a line of thirty characters $i; i=$((i+1)); done"
    linit.define("early", kind="oneshot", script=script)
    linit.boot()
    linit.end()
    lines = [line for line in linit.log("early").splitlines() if not line.startswith("linit: ")]
    assert len(lines) == 20000
    assert lines[-1] == "a line of thirty characters 19999"
