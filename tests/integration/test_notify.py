"""What services say by sd_notify(3), word by word, with real processes."""

from __future__ import annotations

import _socket
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.puppets import PROGRAM, Puppet
from tests.integration.running import Running, is_alive

FORK = "pid = os.fork() or (signal.pause(), os._exit(0))"
"""A line for the puppet: a child that stays."""


@pytest.fixture
def puppet(linit: Running, tmp_path: Path) -> Iterator[Puppet]:
    """A service that is ready by sd_notify and respawns at once; it is not started yet."""
    puppet = Puppet(linit, tmp_path / "puppet")
    yield puppet
    puppet.close()


# -- STATUS, STOPPING, ERRNO, BUSERROR


def test_its_status_is_shown(puppet: Puppet) -> None:
    """STATUS=: the last one, until it rests."""
    puppet.boot()
    puppet.say("STATUS=reads its files")
    puppet.say("STATUS=serves 3 clients")
    assert puppet.status()["said"] == "serves 3 clients"
    puppet.linit.call("stop", names=["puppet"])
    assert puppet.status()["said"] == ""


def test_a_status_cannot_move_the_cursor_of_a_terminal(puppet: Puppet) -> None:
    """Escape sequences in it would be those of whoever the service talks to."""
    puppet.boot()
    puppet.say("STATUS=\x1b[2Jgone")
    assert puppet.status()["said"] == "?[2Jgone"


def test_a_status_said_before_anybody_waits_is_heard(puppet: Puppet) -> None:
    """The socket is read from before the program runs."""
    puppet.do("say('STATUS=begins'); barrier()")
    puppet.linit.start()
    puppet.linit.ask_until(lambda: puppet.status()["said"] == "begins", "its status")
    assert puppet.status()["state"] == "starting"


def test_it_says_that_it_stops(puppet: Puppet) -> None:
    """STOPPING=1."""
    puppet.boot()
    puppet.say("STOPPING=1\nSTATUS=writes its index")
    assert puppet.status()["said"] == "stopping; writes its index"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("ERRNO=2", "exited with status 1; it said: ENOENT (no such file or directory)"),
        ("BUSERROR=org.example.Busy", "exited with status 1; it said: org.example.Busy"),
    ],
)
def test_what_it_says_of_its_failure_is_in_the_reason(puppet: Puppet, words: str, text: str) -> None:
    """ERRNO=, BUSERROR=: heard also if it is said in the last moment."""
    puppet.define(restart="never")
    puppet.boot()
    puppet.do(f"say({words!r}); os._exit(1)")
    puppet.linit.wait_for("puppet", "failed")
    assert puppet.linit.text("puppet") == text


# -- who is believed


def test_a_stranger_is_not_heard(puppet: Puppet) -> None:
    """SCM_CREDENTIALS, unix(7). This test is a stranger that lives."""
    puppet.boot()
    address = puppet.ask("os.environ['NOTIFY_SOCKET']")
    end, far_end = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(address.replace("@", "\0", 1))
        stranger.send(b"STATUS=mine now")
        socket.send_fds(stranger, [b"FDSTORE=1"], [far_end])
    os.close(far_end)
    assert os.read(end, 1) == b""  # nobody has kept it
    os.close(end)
    assert puppet.status()["said"] == ""


def test_a_sender_that_is_gone_is_believed_if_it_was_of_the_same_user(puppet: Puppet) -> None:
    """systemd-notify(1) has ended before anybody can look."""
    puppet.boot()
    puppet.do("os.fork() or (say('STATUS=by a child'), os._exit(0))")
    puppet.linit.ask_until(lambda: puppet.status()["said"] == "by a child", "its status")


# -- MAINPID


def test_it_names_another_main_process(puppet: Puppet) -> None:
    """MAINPID=, here of a child that is not linit's: when it ended is known, how is not."""
    puppet.define(restart="never")
    puppet.boot()
    puppet.do(FORK)
    puppet.do("say(f'MAINPID={pid}'); barrier()")
    child = int(puppet.ask("pid"))
    assert puppet.pid == child
    os.kill(child, signal.SIGKILL)
    puppet.linit.wait_for("puppet", "down")
    assert puppet.linit.text("puppet") == "ended; with which status is not known, as it was not a child of linit"


def test_it_hands_over_to_another_main_process_and_ends(puppet: Puppet) -> None:
    """As a server that executes its new version does. What it said comes before its end; the heir is linit's child."""
    puppet.define(restart="never")
    puppet.boot()
    first = puppet.pid
    puppet.do(FORK)
    puppet.do("say(f'MAINPID={pid}\\nSTATUS=handed over'); os._exit(0)")
    puppet.linit.ask_until(lambda: not is_alive(first), "the end of the first")
    puppet.linit.ask_until(lambda: puppet.status()["pid"] not in (None, first), "the heir")
    second = puppet.pid
    assert (puppet.status()["state"], puppet.status()["said"]) == ("up", "handed over")
    assert second != first
    os.kill(second, signal.SIGKILL)
    puppet.linit.wait_for("puppet", "failed")
    assert puppet.linit.text("puppet") == "killed by SIGKILL"


@pytest.mark.parametrize("pid", ["1", "{stranger}", "-1", "x", "99999999999999999999999"])
def test_a_main_process_that_is_none_of_its_own_is_not_believed(puppet: Puppet, pid: str) -> None:
    """Its end would be the service's, and a signal for the service would kill it."""
    puppet.boot()
    before = puppet.pid
    puppet.say(f"MAINPID={pid.format(stranger=os.getpid())}")
    assert puppet.pid == before


def test_a_daemon_of_kind_forking_speaks_after_its_command_has_ended(puppet: Puppet) -> None:
    """Its command names the daemon and ends; the daemon says that it is ready."""
    fork = "pid = os.fork()\nif pid:\n    say(f'MAINPID={pid}')\n    os._exit(0)\nos.setsid()\norders ="
    puppet.define(PROGRAM.replace("orders =", fork, 1), kind="forking")
    puppet.boot()
    assert puppet.pid == int(puppet.ask("os.getpid()"))
    puppet.say("STATUS=in the background")
    assert puppet.status()["said"] == "in the background"


# -- RELOADING, EXTEND_TIMEOUT_USEC, BARRIER


def test_a_reload_is_over_when_it_says_so(puppet: Puppet) -> None:
    """RELOADING=1, then READY=1. One that it had begun before it was told to does not count."""
    puppet.define(reload={"signal": "HUP", "notify": True})
    puppet.boot()
    puppet.ask("signal.signal(signal.SIGHUP, lambda *_: tell('told to'))")
    puppet.say("RELOADING=1\nMONOTONIC_USEC=1")
    assert puppet.status()["said"] == "reloading"
    number = puppet.linit.ask("reload", names=["puppet"])
    assert puppet.told() == "told to"
    puppet.say("READY=1")
    assert puppet.status()["said"] == ""
    assert number not in puppet.linit._answers
    puppet.do("say(f'RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}'); say('READY=1')")
    assert puppet.linit.answer(number)["results"] == [{"name": "puppet", "outcome": "done", "text": "reloaded"}]


def test_it_asks_for_more_time(puppet: Puppet) -> None:
    """EXTEND_TIMEOUT_USEC: from now on, not in addition."""
    puppet.define(start_timeout="10min")
    puppet.linit.start()
    puppet.linit.wait_for("puppet", "starting")
    assert puppet.status()["deadline_s"] <= 600
    puppet.say("EXTEND_TIMEOUT_USEC=3000000000")
    assert puppet.status()["deadline_s"] > 2000
    puppet.do("say('READY=1')")
    puppet.linit.wait_for("puppet", "up")


def test_descriptors_that_nobody_wants_are_closed(puppet: Puppet) -> None:
    """BARRIER=1 is nothing else: its descriptor is closed when all that was said before is done."""
    puppet.boot()
    assert puppet.linit.process is not None
    ours = Path(f"/proc/{puppet.linit.process.pid}/fd")
    before = len(list(ours.iterdir())) + 20  # linit may open some for itself when a boot is over
    puppet.say("STATUS=first")
    assert puppet.status()["said"] == "first"
    puppet.ask("(say('X=1', 0, 1, 2), say('FDSTORE=1', *[0] * 200), say('STATUS=second'), barrier())")
    assert puppet.status()["said"] == "second"
    puppet.linit.ask_until(lambda: len(list(ours.iterdir())) <= before, "that all are closed")


# -- FDSTORE


STORE = "end, far_end = os.pipe(); os.write(far_end, b'kept'); say('FDSTORE=1\\nFDNAME=mine', end, far_end); barrier()"
HANDED = "[os.environ.get(name) for name in ('LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID')]"


def test_its_descriptors_survive_a_crash(puppet: Puppet) -> None:
    """FDSTORE=1: handed back as LISTEN_FDS, sd_listen_fds(3)."""
    puppet.define(fd_store=4)
    puppet.boot()
    assert puppet.ask(HANDED) == "[None, None, None]"
    puppet.do(STORE)
    puppet.renew(int(puppet.ask("os.getpid()")))
    assert puppet.ask(HANDED) == f"['2', 'mine:mine', '{puppet.pid}']"
    assert puppet.ask("os.read(3, 100).decode()") == "kept"


def test_its_descriptors_survive_a_restart_but_not_a_stop(puppet: Puppet) -> None:
    """Somebody who stops a service is done with it."""
    puppet.define(fd_store=4)
    puppet.boot()
    puppet.do(STORE)
    puppet.ask("'stored'")
    puppet.restart()
    assert puppet.ask(HANDED) == f"['2', 'mine:mine', '{puppet.pid}']"
    puppet.linit.call("stop", names=["puppet"])
    puppet.do("say('READY=1')")
    puppet.linit.call("start", names=["puppet"])
    assert puppet.ask(HANDED) == "[None, None, None]"


def test_no_more_descriptors_are_kept_than_it_may_leave(puppet: Puppet) -> None:
    """fd_store: N. Nor is one kept twice, which a service that stores all it has after each start would do."""
    puppet.define(fd_store=2)
    puppet.boot()
    puppet.do(STORE + "; say('FDSTORE=1\\nFDNAME=mine', end, far_end); barrier()")
    puppet.ask("'stored'")
    puppet.linit.call("runlevel")
    assert not any(name == "puppet" for name, _ in puppet.linit.told)
    puppet.ask("(say('FDSTORE=1', 0, 1), barrier())")
    told = ("puppet", "it may leave no more than 2 descriptors with linit; 2 closed")
    puppet.linit.wait(lambda: told in puppet.linit.told, "that two are closed")
    puppet.renew(puppet.pid)
    assert puppet.ask(HANDED) == f"['2', 'mine:mine', '{puppet.pid}']"


def test_it_takes_descriptors_back(puppet: Puppet) -> None:
    """FDSTOREREMOVE=1, by name."""
    puppet.define(fd_store=4)
    puppet.boot()
    puppet.do(STORE)
    puppet.ask("(say('FDSTORE=1\\nFDNAME=other', 0), say('FDSTOREREMOVE=1\\nFDNAME=mine'), barrier())")
    puppet.renew(puppet.pid)
    assert puppet.ask(HANDED) == f"['1', 'other', '{puppet.pid}']"


def held(puppet: Puppet) -> set[str]:
    """What linit has open, as proc_pid_fd(5) names it."""
    assert puppet.linit.process is not None
    found = set()
    for fd in Path(f"/proc/{puppet.linit.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(fd))
    return found


def test_a_connection_that_is_over_is_not_kept(puppet: Puppet) -> None:
    """EPOLLHUP, unless it said FDPOLL=0."""
    puppet.define(fd_store=4)
    puppet.boot()
    puppet.do("here, there = socket.socketpair(); this, that = socket.socketpair()")
    puppet.do("say('FDSTORE=1\\nFDNAME=gone', here.fileno())")
    puppet.ask("(say('FDSTORE=1\\nFDNAME=kept\\nFDPOLL=0', this.fileno()), barrier())")
    gone, kept = (puppet.ask(f"os.fstat({one}.fileno()).st_ino") for one in ("here", "this"))
    assert {f"socket:[{gone}]", f"socket:[{kept}]"} <= held(puppet)
    puppet.ask("(there.close(), that.close())")
    puppet.linit.ask_until(lambda: f"socket:[{gone}]" not in held(puppet), "one that is closed")
    assert f"socket:[{kept}]" in held(puppet)
    puppet.renew(puppet.pid)
    assert puppet.ask(HANDED) == f"['1', 'kept', '{puppet.pid}']"


# -- where no abstract socket is reached


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root")
def test_a_service_with_a_network_of_its_own_is_heard(puppet: Puppet) -> None:
    """network_namespaces(7): abstract sockets are seen in their own namespace only; its socket has a path."""
    puppet.define(private_network=True)
    puppet.boot()
    puppet.say("STATUS=alone")
    assert puppet.status()["said"] == "alone"


def copied(jail: Path, *paths: str) -> None:
    """Copy files and folders to the same places below a jail, with the libraries that they ask for. Source: ldd(1)."""
    for path in paths:
        target = jail / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(path):
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif not target.exists():
            shutil.copy(path, target)
            asked = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
            copied(jail, *re.findall(r"(?:=> |^\t)(/\S+)", asked, re.MULTILINE))


@pytest.mark.skipif(os.geteuid() != 0, reason="a chroot needs root")
def test_a_service_in_a_chroot_is_heard(linit: Running, tmp_path: Path) -> None:
    """An abstract socket is on no file system: unix(7)."""
    jail, python, library = tmp_path / "jail", os.path.realpath(sys.executable), os.path.dirname(os.__file__)
    copied(jail, python, f"{library}/os.py", f"{library}/encodings", *([_socket.__file__] if _socket.__file__ else []))
    program = (
        "import _signal, _socket, posix\n"
        "said = posix.environ[b'NOTIFY_SOCKET'].replace(b'@', b'\\0', 1)\n"
        "speaking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)\n"
        "speaking.sendto(b'STATUS=' + b' '.join(sorted(map(str.encode, posix.listdir('/')))) + b'\\nREADY=1', said)\n"
        "while True:\n    _signal.pause()\n"
    )
    folders = os.fsdecode(os.path.dirname(_socket.__file__)) if _socket.__file__ else library
    environment = {"PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}", "PYTHONPATH": folders}
    linit.define("jailed", run=[python, "-S", "-c", program], chroot=str(jail), ready="notify", environment=environment)
    linit.boot()
    assert linit.states["jailed"] == "up", linit.story()
    assert linit.call("status", name="jailed")["said"] == " ".join(sorted(os.listdir(jail)))
