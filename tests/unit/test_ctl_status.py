"""Exit statuses, usage, Ctrl-C, progress, start-up: ctl/main.py, failure.py, progress.py, watch.py."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import linitctl
import pytest
from linitctl.main import COMMANDS, split

from linit.control.authorisation import Peer
from linit.engine.events import Ready, Verb

from .control_world import NOTIFY, ROOT, Ran, runlevel, service, world

HINT = "see: linitctl status web\n"


def test_an_unknown_service_is_status_3_with_the_nearest_known_one() -> None:
    with world(service("nginx"), runlevel("default", "nginx")) as here:
        expected = Ran(3, "", "linitctl: no service is called 'ngnix'\ndid you mean nginx?\n")
        for command in (["start"], ["stop"], ["status"], ["why"], ["deps"], ["rdeps"], ["kill"], ["logs"], ["watch"]):
            assert here.ctl(*command, "ngnix") == expected, command
        assert here.ctl("runlevel", "defualt").status == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "usage: linitctl [OPTION...] COMMAND [ARGUMENT...]"),
        (["lsit"], "linitctl: no command is called 'lsit'\ndid you mean list?\n"),
        (["start"], "linitctl start: error: the following arguments are required: NAME"),
        (["list", "--fail"], "linitctl list: error: unrecognized arguments: --fail"),
        (["list", "--color", "sometimes"], "argument --color: invalid choice: 'sometimes'"),
        (["kill", "-s", "NONE", "nginx"], "linitctl: no signal is called 'NONE'"),
    ],
)
def test_a_command_line_that_is_not_understood_is_status_2(arguments: list[str], words: str) -> None:
    with world(service("nginx")) as here:
        ran = here.ctl(*arguments)
        assert (ran.status, ran.out) == (2, "")
        assert words in ran.err


def test_what_is_not_permitted_is_status_4() -> None:
    """The kernel says who calls (SO_PEERCRED), so a stranger is played by a server that thinks us one."""
    with world(service("net"), mode="system") as here:
        here.server._welcome = lambda accepted: here.server.attach(accepted, Peer(5, 1000, 1000))  # type: ignore[assignment, method-assign]
        assert here.ctl("start", "net") == Ran(4, "", "linitctl: uid 1000 may not call start\nonly root may\n")
        assert here.ctl("list", "net").status == 0


def test_no_answer_is_status_5(tmp_path: Path) -> None:
    with world() as here:
        path = f"{tmp_path}/nobody.sock"
        assert here.ctl("--socket", path, "list") == Ran(
            5, "", f"linitctl: no linit answers on {path}: No such file or directory\n"
        )
        with socket.socket(socket.AF_UNIX) as nobody_listens:
            nobody_listens.bind(path)
            assert here.ctl("--socket", path, "poweroff").status == 5


def test_a_supervisor_of_another_protocol_is_named() -> None:
    with world() as here:
        code = (
            "import sys; from linit.control import messages; messages.PROTOCOL = 2; "
            "from linitctl.main import main; sys.exit(main(['list']))"
        )
        ran = here.ctl_end(here.ctl_begin("list", code=code))
        assert ran == Ran(
            1,
            "",
            "linitctl: this linit (0.1.0) speaks protocol 1, the client 2\nuse the linitctl of linit 0.1.0\n",
        )


def test_options_of_every_command_may_stand_before_it() -> None:
    assert split(["--socket", "list", "stop", "-x", "a"]) == ("stop", ["--socket", "list", "-x", "a"])
    assert split(["--json", "list"]) == ("list", ["--json"])
    assert split(["--json"]) == ("", ["--json"])


def test_the_supervisor_is_chosen_by_socket_folder_or_environment() -> None:
    with world(service("net")) as here:
        for choice in (["--socket", here.paths.control], ["--user", here.folder]):
            assert here.ctl("list", "net", *choice, LINIT_CONTROL="/nowhere").status == 0
        assert here.ctl("list", "net").status == 0
        assert here.ctl("list", "net", LINIT_CONTROL="/nowhere").status == 5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_text_with_an_example(name: str) -> None:
    with world() as here:
        ran = here.ctl(name, "--help")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith(f"usage: linitctl {name} ")
        example = ran.out.rpartition("example")[2]
        assert name in example, "no example of the command"


def test_help_lists_every_command() -> None:
    with world() as here:
        ran = here.ctl("--help")
        assert ran.status == 0
        listed = [line.split()[0] for line in ran.out.partition("commands:\n")[2].partition("\n\n")[0].splitlines()]
        assert listed == list(COMMANDS)


def test_a_reader_that_goes_away_is_no_error_to_talk_about() -> None:
    with world(*(service(f"s-{number}", description="x" * 500) for number in range(400))) as here:
        read, write = os.pipe()
        os.close(read)
        running = here.ctl_begin("list", "--all", out=write)
        os.close(write)
        ran = here.ctl_end(running)
        assert (ran.status, ran.err) == (1, "")


# -- waiting


def test_ctrl_c_ends_the_waiting_and_says_that_the_wish_goes_on() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        running = here.ctl_begin("start", "web")
        here.loop.run_until(lambda: here.state("web") == "starting")
        running.process.send_signal(signal.SIGINT)
        assert here.ctl_end(running) == Ran(
            130,
            "",
            f"linitctl: no longer waiting; what was asked for goes on: start web\n{HINT}",
        )
        assert here.state("web") == "starting"


def test_no_wait_returns_at_once() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        assert here.ctl("start", "--no-wait", "web") == Ran(0, "", "")
        assert here.state("web") == "starting"


def test_a_wish_that_was_replaced_is_status_1_and_says_by_what() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        running = here.ctl_begin("start", "web")
        here.loop.run_until(lambda: here.state("web") == "starting")
        here.supervisor.request(Verb.STOP, ("web",), "the test", lambda answer: None)
        ran = here.ctl_end(running)
        assert (ran.status, ran.err.splitlines()[0]) == (1, "web: superseded by stop of the test")


def test_on_a_terminal_a_long_wait_shows_what_is_waited_for_and_clears_it() -> None:
    with world(service("net", readiness=NOTIFY), service("web", ("need", "net"))) as here:
        here.supervisor.held.add("net")
        master, slave = os.openpty()
        running = here.ctl_begin("start", "web", err=slave)
        os.close(slave)
        os.set_blocking(master, False)
        seen = b""

        def shows_progress() -> bool:
            nonlocal seen
            with contextlib.suppress(OSError):
                seen += os.read(master, 4096)
            return b"web: waits for net" in seen

        here.loop.run_until(shows_progress, "the progress")
        assert b"[1 s] net: starting for 0 s, web: waits for net" in seen
        here.supervisor.dispatch(Ready("net"))
        ran = here.ctl_end(running)
        assert (ran.status, ran.out) == (0, "web: up after 0.00 s\n")
        assert os.read(master, 4096).endswith(b"\r\x1b[K")
        os.close(master)


def test_watch_tells_each_change_until_linit_ends() -> None:
    with world(service("net"), service("web", ("need", "net"))) as here:
        running = here.ctl_begin("watch", "--json")
        here.loop.run_until(lambda: any(one.topics for one in here.server._clients), "the subscription")
        here.start("web")
        here.loop.run_until(lambda: '"name": "web", "before": "starting", "after": "up"' in running.text(0))
        here.server.close()
        ran = here.ctl_end(running)
        told = [json.loads(line) for line in ran.out.splitlines()]
        assert [each["after"] for each in told if each["name"] == "net"] == ["starting", "up"]
        assert (ran.status, ran.err) == (5, "linitctl: linit has ended\n")


# -- start-up


def test_list_imports_nothing_heavy() -> None:
    """linitctl starts about as fast as Python does: DESIGN.md section 2."""
    linits = ("linit", "linit.control", "linit.control.frames", "linit.control.messages", "linit.messagepack")
    ours = ("arguments", "client", "failure", "listing", "main", "rows", "session", "style", "table")
    heavy = ("yaml", "networkx", "psutil", "asyncio", "subprocess", "socket", "typing", "dataclasses", "json", "shutil",
             "os", "argparse", "re", "collections", "datetime", "msgpack", "select", "enum", "contextlib")  # fmt: skip
    with world(service("net")) as here:
        code = (
            "import sys; from linitctl.main import main; status = main(['list', 'net']); "
            f"print([each for each in {heavy!r} if each in sys.modules]); "
            "print(sorted(each for each in sys.modules if each.startswith('linit')))"
        )
        # With -S: site may import whatever is installed.
        ran = here.ctl_end(here.ctl_begin(code=code))
        assert ran.out.splitlines()[-2:] == [
            "[]",
            str(sorted([*linits, "linitctl", *(f"linitctl.{each}" for each in ours)])),
        ]


def test_ctl_imports_nothing_of_linit_but_the_messages() -> None:
    """DESIGN.md section 1, "Which way things point". The version is the package's own; names and faults are shown by
    the words that linit has for them."""
    folder = Path(os.path.abspath(linitctl.__file__)).parent
    for file in folder.glob("*.py"):
        for line in file.read_text().splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and words[1].partition(".")[0] == "linit":
                allowed = ("linit", *(f"linit.control{each}" for each in ("", ".messages", ".nearest", ".excerpt")))
                assert words[1] in allowed, f"{file.name}: {line}"
                if words[1] == "linit.control":
                    assert " ".join(words[2:]) in ("import messages", "import frames, messages"), f"{file.name}: {line}"
                if words[1] == "linit":
                    assert words[2:] == ["import", "VERSION"], f"{file.name}: {line}"


def test_it_runs_under_the_names_by_which_machines_are_ended(tmp_path: Path) -> None:
    with world() as here:
        launcher = tmp_path / "reboot"
        launcher.write_text(
            f"import sys; sys.path[:] = {sys.path!r}\nfrom linitctl.main import main\nsys.exit(main())\n"
        )
        done = subprocess.run(
            [sys.executable, str(launcher), "--help"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.stdout.startswith("usage: linitctl reboot "), here
