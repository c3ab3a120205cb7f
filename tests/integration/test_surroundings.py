"""What a command of a service finds around itself, and what is said when it cannot be run. Source: spawn.py's steps."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import Running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")


def look(linit: Running, script: str, out: Path, **keys: object) -> str:
    """What a script, run as a service, wrote to `out`."""
    linit.define("looking", kind="oneshot", script=script, **keys)
    linit.boot()
    assert linit.states["looking"] == "up", linit.text("looking")
    return out.read_text()


def test_a_service_has_three_descriptors(linit: Running, tmp_path: Path) -> None:
    """No descriptor of linit's leaks: 0 is /dev/null, 1 and 2 the log pipe; 3 is ls's own."""
    out = tmp_path / "out"
    found = look(linit, f"exec ls -l /proc/self/fd > {out}", out)
    descriptors = {line.split()[-3]: line.split()[-1] for line in found.splitlines() if "->" in line}
    assert set(descriptors) == {"0", "1", "2", "3"}
    assert descriptors["0"] == "/dev/null"
    assert descriptors["1"] == str(out)
    assert descriptors["2"].startswith("pipe:")


def test_the_environment_is_clean_and_has_what_was_defined(linit: Running, tmp_path: Path) -> None:
    """Of linit's own environment only what a program expects of any; the definition's comes on top."""
    out = tmp_path / "out"
    linit.define(
        "looking",
        kind="oneshot",
        run=[sys.executable, "-c", f"import os; open({str(out)!r}, 'w').write(repr(dict(os.environ)))"],
        environment={"COLOUR": "blue", "LANG": "C"},
    )
    linit.boot(SECRET="linit's own", HOME="/home/somebody", XDG_RUNTIME_DIR="")
    found = eval(out.read_text())
    assert "SECRET" not in found
    assert found["COLOUR"] == "blue"
    assert found["LANG"] == "C"
    assert found["HOME"] == "/home/somebody"
    assert found["LINIT_SERVICE"] == "looking"
    assert found["LINIT_CONTROL"] == f"{linit.folder}/run/control.sock"
    expected = {"PATH", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "LC_CTYPE", "LINIT_RUN"}
    assert set(found) - {"COLOUR", "LANG", "HOME", "LINIT_SERVICE", "LINIT_CONTROL"} <= expected


def test_umask_directory_nice_and_limits(linit: Running, tmp_path: Path) -> None:
    """As defined; the umask is 022 and the directory / if nothing is."""
    out = tmp_path / "out"
    found = look(
        linit,
        f"exec > {out}; umask; pwd; nice; ulimit -Sn; ulimit -Hc",
        out,
        umask="027",
        directory=str(tmp_path),
        nice=5,
        rlimits={"nofile": [256, 512], "core": 0},
    )
    assert found.split() == ["0027", str(tmp_path), "5", "256", "0"]


def test_linits_own_descriptor_limit_is_not_passed_on(linit: Running, tmp_path: Path) -> None:
    """linit takes all the descriptors that it may; programs that close every possible one would suffer."""
    import resource

    out = tmp_path / "out"
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert look(linit, f"ulimit -Sn > {out}", out).strip() == str(soft)


def test_signals_are_as_a_program_expects_them(linit: Running, tmp_path: Path) -> None:
    """Nothing blocked, nothing ignored, also what linit handles and Python ignores. Source: proc_pid_status(5)."""
    out = tmp_path / "out"
    program = (
        "import re, signal; text = open('/proc/self/status').read(); "
        "found = {key: int(value, 16) for key, value in re.findall(r'(Sig\\w+):\\t(\\w+)$', text, re.M)}; "
        "found['SigIgn'] &= ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1); "  # by this Python itself
        f"open({str(out)!r}, 'w').write(repr(found))"
    )
    linit.define("looking", kind="oneshot", run=[sys.executable, "-I", "-c", program])
    linit.boot()
    found = eval(out.read_text())
    assert found["SigBlk"] == 0
    assert found["SigIgn"] == 0


def test_each_command_leads_its_own_session(linit: Running, tmp_path: Path) -> None:
    """So that a signal to it reaches its children, and its terminal is its own. Source: setsid(2)."""
    out = tmp_path / "out"
    found = look(linit, f"echo $$$$ $(cut -d' ' -f5,6 < /proc/$$$$/stat) > {out}", out)
    pid, group, session = found.split()
    assert pid == group == session


def test_a_terminal_is_the_controlling_one_and_gets_the_lines(linit: Running) -> None:
    """tty: standard input, output and error; ^C there interrupts the service. Source: tty_ioctl(4), termios(3)."""
    ours, theirs = os.openpty()
    script = "trap 'echo interrupted; exit 0' INT; echo ready; while :; do read x; done"
    linit.define("console", script=script, tty=os.ttyname(theirs), restart="never")
    linit.boot()
    with open(ours, "r+b", buffering=0) as terminal:
        assert terminal.read(100) == b"ready\r\n"
        terminal.write(b"\x03")
        linit.wait_for("console", "down")
        seen = b""
        while not seen.endswith(b"interrupted\r\n"):  # after the terminal's own echo
            seen += terminal.read(100)
    os.close(theirs)


@as_root
def test_a_user_brings_group_groups_and_home(linit: Running, tmp_path: Path) -> None:
    """Read from /etc/passwd and /etc/group. Source: initgroups(3)."""
    out = tmp_path / "out"
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    out.touch()
    out.chmod(0o666)
    found = look(linit, f"id > {out}; env >> {out}", out, user="daemon")
    assert found.startswith("uid=1(daemon) gid=1(daemon) groups=1(daemon)\n")
    assert "\nUSER=daemon\n" in found
    assert "\nHOME=/usr/sbin\n" in found


@as_root
def test_groups_can_be_named(linit: Running, tmp_path: Path) -> None:
    """`group` is the primary one, `groups` replaces the user's own."""
    out = tmp_path / "out"
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    out.touch()
    out.chmod(0o666)
    assert look(linit, f"id -G > {out}", out, user="daemon", group="bin", groups=["mail", "news"]) == "2 8 9\n"


FAILURES: dict[str, dict[str, Any]] = {
    "exec /nowhere/program: ENOENT (no such file or directory)": {"run": ["/nowhere/program"]},
    "exec no-such-program: not found in PATH (/usr/bin:/bin)": {
        "run": ["no-such-program"],
        "environment": {"PATH": "/usr/bin:/bin"},
    },
    "exec {tmp}/plain: EACCES (permission denied)": {"run": ["{tmp}/plain"]},
    "exec {tmp}/orphan: ENOENT (no such file or directory); the file is there, the interpreter or loader that it "
    "asks for is not": {"run": ["{tmp}/orphan"]},
    "exec {tmp}/noise: ENOEXEC (exec format error); neither a program of this machine nor a script that begins "
    "with #!": {"run": ["{tmp}/noise"]},
    'user: no user "nobody-at-all" in /etc/passwd': {"run": ["/bin/true"], "user": "nobody-at-all"},
    'group: no group "no-such-group" in /etc/group': {"run": ["/bin/true"], "group": "no-such-group"},
    'groups: no group "no-such-group" in /etc/group': {"run": ["/bin/true"], "groups": ["0", "no-such-group"]},
    "directory /nowhere: ENOENT (no such file or directory)": {"run": ["/bin/true"], "directory": "/nowhere"},
    "tty /dev/no-such-line: ENOENT (no such file or directory)": {"run": ["/bin/true"], "tty": "/dev/no-such-line"},
    "tty /dev/null: ENOTTY (inappropriate ioctl for device)": {"run": ["/bin/true"], "tty": "/dev/null"},
}


@pytest.mark.parametrize("text", FAILURES)
def test_a_program_that_cannot_be_run_is_a_whole_sentence(linit: Running, tmp_path: Path, text: str) -> None:
    """The failing step, the path and errno's name."""
    (tmp_path / "plain").touch()
    for name, content in (("orphan", "#!/nowhere/shell\n"), ("noise", "\x00\x01noise")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    keys = {
        key: [part.format(tmp=tmp_path) for part in value] if isinstance(value, list) else value
        for key, value in FAILURES[text].items()
    }
    linit.define("broken", restart="never", **keys)
    linit.boot()
    assert linit.states["broken"] == "failed"
    assert linit.text("broken") == f"could not be run: {text.format(tmp=tmp_path)}"


def test_a_spawn_that_fails_is_retried_as_the_policy_says(linit: Running, tmp_path: Path) -> None:
    """A file system that is mounted later brings the program. DESIGN.md section 3: a first start may be retried."""
    program = tmp_path / "program"
    linit.define("late", run=[str(program)], restart={"delay": "10ms", "factor": 1, "limit": 1000, "window": "1s"})
    linit.start()
    linit.wait_for_transition("late", "backoff")
    (tmp_path / "new").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "new").chmod(0o755)
    (tmp_path / "new").rename(program)
    linit.wait_for("late", "up")


def test_output_goes_to_the_log_with_what_linit_says(linit: Running) -> None:
    """Standard output and error of every command of the service, in their order."""
    linit.define("talking", kind="oneshot", pre="/bin/echo before", script="echo out; echo err >&2")
    linit.boot()
    linit.end()
    lines = [line for line in linit.log("talking").splitlines() if not line.startswith("linit: ")]
    assert lines == ["before", "out", "err"]
    own = [line for line in linit.log("talking").splitlines() if line.startswith("linit: ")]
    assert own[0].startswith("linit: starting (wanted by runlevel default ")
    assert own[1].startswith("linit: up (done after ")


def test_output_null_is_nobodys(linit: Running) -> None:
    """output: null."""
    linit.define("silent", kind="oneshot", script="echo something", output="null")
    linit.boot()
    linit.end()
    assert "something" not in linit.log("silent")


def test_output_console_is_linits_own(linit: Running) -> None:
    """output: console; under --user that is standard output."""
    linit.define("loud", kind="oneshot", script="echo something loud", output="console")
    linit.boot()
    linit.end()
    assert "something loud" in linit.lines
