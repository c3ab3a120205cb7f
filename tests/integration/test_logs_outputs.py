"""The key `output`: where what a service writes goes, and that it is still there after anybody's restart."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.running import LIMIT_S, TOP, Gate, Running


def own_lines(linit: Running, name: str) -> list[str]:
    """What a service wrote into the store."""
    return [line for line in linit.log(name).splitlines() if not line.startswith("linit: ")]


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def logs(linit: Running, *arguments: str) -> list[dict[str, object]]:
    """What `linitctl logs` tells programs."""
    argv = [sys.executable, "-m", "linitctl", "--user", str(linit.folder), "logs", "--json", *arguments]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=TOP)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_a_line_tells_its_stream_and_its_process(linit: Running) -> None:
    linit.define("web", script="echo to out; echo to err >&2; exec sleep 1000")
    linit.boot()
    pid = linit.pid("web")
    linit.ask_until(lambda: len(own_lines(linit, "web")) == 2, "both lines")
    assert linit.end() == 0
    told = {(each["stream"], each["text"], each["boot"]) for each in logs(linit, "web") if each["stream"] != "linit"}
    assert told == {("out", "to out", 1), ("err", "to err", 1)}
    assert {each["pid"] for each in logs(linit, "web", "--grep", "^to ")} <= {pid, 0}


def test_each_run_of_a_users_linit_is_a_boot(linit: Running, tmp_path: Path) -> None:
    linit.define("web", kind="oneshot", script="echo hello")
    linit.boot()
    assert linit.end() == 0
    again = Running(tmp_path / "again")
    shutil.copytree(linit.folder / "log", again.folder / "log")
    again.define("web", kind="oneshot", script="echo hello again")
    try:
        again.boot()
        assert again.end() == 0
    finally:
        again.kill()
    assert [each["text"] for each in logs(again, "web", "--boot", "0", "--grep", "hello")] == ["hello again"]
    assert [each["text"] for each in logs(again, "web", "--boot", "-1", "--grep", "hello")] == ["hello"]


def test_linits_own_events_are_in_the_store(linit: Running) -> None:
    linit.define("web", run=["/bin/sleep", "1000"])
    linit.boot()
    linit.ask_until(lambda: "runlevel default reached" in linit.log("linit"), "the end of the boot in the log")
    assert "linit: runlevel default reached: 1 up" in linit.log("linit").splitlines()


def test_logs_shows_what_was_said_before_it_was_asked_however_late_the_log_process_is(linit: Running) -> None:
    """And `why` the last lines of what has failed."""
    linit.define("web", kind="oneshot", script="echo no such disk >&2; exit 3")
    linit.define("other", kind="target")
    linit.enable("other")
    linit.boot()
    linit.ask_until((linit.folder / "run/log.sock").exists, "a log process at work")
    logger = linit.report()["logger_pid"]
    os.kill(logger, signal.SIGSTOP)
    linit.call("start", names=["web"])
    asking = [begun(linit, "logs", "web"), begun(linit, "why", "web")]
    for each in asking:
        linit.ask_until(lambda pid=each.pid: has_asked(pid), "that it waits")  # type: ignore[misc]
    os.kill(logger, signal.SIGCONT)
    for each in asking:
        out, err = each.communicate(timeout=LIMIT_S)
        assert (out.count("no such disk\n"), err) == (1, "")


def begun(linit: Running, *arguments: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "linitctl", "--user", str(linit.folder), *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOP)


def has_asked(pid: int) -> bool:
    """Does it sleep with a connection to linit and one to the log process? Source: proc_pid_fd(5), proc_pid_stat(5)."""
    sockets = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            sockets += os.readlink(fd).startswith("socket:")
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return (sockets, state) == (2, "S")


def test_a_file_of_the_administrators_gets_the_lines_as_they_are(linit: Running, gate: Gate) -> None:
    """It is opened anew when it was moved away, as logrotate does it, without a signal."""
    path = linit.folder / "web.txt"
    script = f"echo one; echo two >&2; read line < {gate.path}; echo three; exec sleep 1000"
    linit.define("web", script=script, output={"file": str(path)})
    linit.boot()
    linit.ask_until(lambda: lines_of(path) == ["one", "two"], "two lines")
    path.rename(path.with_suffix(".1"))
    linit.listen(0.3)  # so long a moved file may still be written to: linit.logs.appended.LOOK_NS
    gate.open()
    linit.ask_until(lambda: lines_of(path) == ["three"], "the new file")
    assert own_lines(linit, "web") == []


def test_what_a_file_does_not_take_is_in_the_log_with_a_word_on_why(linit: Running) -> None:
    (linit.folder / "folder").mkdir()
    linit.define("web", script="echo one; exec sleep 1000", output={"file": str(linit.folder / "folder")})
    linit.boot()
    linit.ask_until(lambda: own_lines(linit, "web") == ["one"], "the line")
    told = f"linit: what it writes goes to the log: {linit.folder}/folder: EISDIR (is a directory)"
    assert told in linit.log("web").splitlines()


def test_null_is_nowhere(linit: Running) -> None:
    linit.define("web", script="echo one; exec sleep 1000", output="null")
    linit.boot()
    assert linit.end() == 0
    assert own_lines(linit, "web") == []


LOGGER = "while read line; do echo $$$$ $line >> {}; done"  # a definition's $$ is $


def piped(linit: Running, gate: Gate) -> Path:
    """A service whose lines go to a logger of its own, which writes its pid before each."""
    path = linit.folder / "piped.txt"
    script = f"echo begin; while read line < {gate.path}; do echo more; done"
    linit.define("web", script=script, output={"command": ["/bin/sh", "-c", LOGGER.format(path)]})
    return path


def test_a_logger_command_and_its_pipe_outlive_a_restart_of_the_service(linit: Running, gate: Gate) -> None:
    path = piped(linit, gate)
    linit.boot()
    linit.ask_until(lambda: len(lines_of(path)) == 1, "the first line")
    linit.call("restart", names=["web"])
    linit.ask_until(lambda: len(lines_of(path)) == 2, "the line of the next run")
    (first, *_), (second, *_) = (line.split() for line in lines_of(path))
    assert first == second, "the same logger"
    assert own_lines(linit, "web") == []


def test_a_logger_command_that_dies_is_run_again_on_the_same_pipe(linit: Running, gate: Gate) -> None:
    """Its service neither dies of SIGPIPE nor stands still, and what it wrote meanwhile is there."""
    path = piped(linit, gate)
    linit.boot()
    linit.ask_until(lambda: len(lines_of(path)) == 1, "the first line")
    pid, logger = linit.pid("web"), int(lines_of(path)[0].split()[0])
    os.kill(logger, signal.SIGKILL)
    gate.open()
    linit.ask_until(lambda: len(lines_of(path)) == 2, "a line through the next logger")
    assert linit.pid("web") == pid
    assert int(lines_of(path)[1].split()[0]) != logger
    assert ("web", "its logger killed by SIGKILL; it starts again after 0.2 s") in linit.told


def test_a_logger_command_that_cannot_be_run_is_told_in_the_log_of_its_service(linit: Running) -> None:
    linit.define("web", run=["/bin/sleep", "1000"], output={"command": ["/no/such/logger"]})
    linit.boot()
    said = "linit: its logger could not be run: exec /no/such/logger: ENOENT (no such file or directory)"
    linit.ask_until(lambda: said in linit.log("web").splitlines(), "the reason")


def test_a_logger_command_ends_with_its_service_and_with_linit(linit: Running, gate: Gate) -> None:
    """At the end of its input: it writes what it has, and nothing of it is left behind."""
    path = piped(linit, gate)
    linit.boot()
    linit.ask_until(lambda: len(lines_of(path)) == 1, "the first line")
    logger = int(lines_of(path)[0].split()[0])
    (linit.folder / "services/web.yaml").unlink()
    linit.call("reload_plan")
    linit.ask_until(lambda: not Path(f"/proc/{logger}").exists(), "the end of the logger")


def test_at_the_end_of_linit_a_logger_command_writes_what_is_in_its_pipe(linit: Running, gate: Gate) -> None:
    """However slow it is: it is waited for, ten seconds at most."""
    path = linit.folder / "piped.txt"
    logger = f"read line < {gate.path}; cat >> {path}"
    linit.define("web", script="echo one; echo two; exec sleep 1000", output={"command": ["/bin/sh", "-c", logger]})
    linit.boot()
    gate.open()
    assert linit.end() == 0
    assert lines_of(path) == ["one", "two"]
