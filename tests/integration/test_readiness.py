"""Every way of saying "I can serve", with real processes. Each service stands at a gate until the test has seen that it
is not up yet: no clock decides."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.integration.running import Gate, Running

PYTHON = [sys.executable, "-I", "-c"]
WAIT = "open(gate).readline(); "
STAY = "; import signal; signal.pause()"


def program(text: str, gate: Gate, tmp_path: Path) -> list[str]:
    """A Python program that passes the gate, says that it is ready, and stays."""
    before = f"import os, socket; gate = {str(gate.path)!r}; tmp = {str(tmp_path)!r}; "
    return [*PYTHON, before + WAIT + text + STAY]


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as trying:
        trying.bind(("127.0.0.1", 0))
        return int(trying.getsockname()[1])


NOTIFY = (
    "address = os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1); "
    "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto({what!r}, address)"
)
LISTEN = "listening = socket.socket(socket.{family}, socket.{kind}); listening.bind({address}); {listen}"

WAYS = {
    "notify": ("notify", NOTIFY.format(what=b"STATUS=nearly there\nREADY=1")),
    "fd": ({"fd": 3}, "os.write(3, b'half a '); os.write(3, b'line\\n')"),
    "pidfile": ({"pidfile": "{tmp}/pid"}, "open(tmp + '/pid', 'w').write(str(os.getpid()))"),
    "path": ({"path": "{tmp}/mark"}, "open(tmp + '/mark', 'w')"),
    "unix": (
        {"unix": "{tmp}/socket"},
        LISTEN.format(family="AF_UNIX", kind="SOCK_STREAM", address="tmp + '/socket'", listen="listening.listen()"),
    ),
    "unix datagrams": (
        {"unix": "{tmp}/socket"},
        LISTEN.format(family="AF_UNIX", kind="SOCK_DGRAM", address="tmp + '/socket'", listen="pass"),
    ),
    "tcp": (
        {"tcp": "127.0.0.1:{port}"},
        LISTEN.format(family="AF_INET", kind="SOCK_STREAM", address="('', {port})", listen="listening.listen()"),
    ),
    "probe": ({"probe": "/usr/bin/test -e {tmp}/mark", "interval": "10ms"}, "open(tmp + '/mark', 'w')"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_service_is_up_when_it_says_so_and_not_before(linit: Running, gate: Gate, tmp_path: Path, way: str) -> None:
    """ready: services/README.md."""
    ready, says = WAYS[way]
    port = free_port()
    if isinstance(ready, dict):
        ready = {
            key: value.format(tmp=tmp_path, port=port) if isinstance(value, str) else value
            for key, value in ready.items()
        }
    linit.define("slow", run=program(says.replace("{port}", str(port)), gate, tmp_path), ready=ready)
    linit.define("dependent", run=["/bin/sleep", "1000"], need="slow")
    linit.start()
    linit.wait_for("slow", "starting")
    assert linit.states["dependent"] == "waiting"
    gate.open()
    linit.wait_for("dependent", "up")
    assert linit.states["slow"] == "up"


def test_a_descriptor_closed_without_a_line_is_a_failed_start(linit: Running) -> None:
    """DESIGN.md section 3: readiness `fd` is a complete line."""
    run = [*PYTHON, "import os; os.write(3, b'half'); os.close(3)" + STAY]
    linit.define("mute", run=run, ready={"fd": 3}, restart="never")
    linit.boot()
    assert linit.states["mute"] == "failed"
    assert linit.text("mute") == "never became ready: closed descriptor 3 without a line"


def test_a_process_that_ends_before_it_is_ready_is_told_by_its_exit(linit: Running) -> None:
    """Its end closes the descriptor too, but says less."""
    linit.define("short", run=["/bin/sh", "-c", "exit 4"], ready={"fd": 3}, restart="never")
    linit.boot()
    assert linit.text("short") == "exited with status 4"


def test_a_stranger_cannot_say_that_a_service_is_ready(linit: Running, gate: Gate, tmp_path: Path) -> None:
    """Only the service's own processes are believed: SCM_CREDENTIALS, unix(7). This test is a stranger that lives."""
    address = tmp_path / "address"
    says = NOTIFY.format(what=b"READY=1")
    before = f"open({str(address)!r}, 'w').write(os.environ['NOTIFY_SOCKET']); open(gate).readline(); "
    linit.define("slow", run=program(before + says, gate, tmp_path), ready="notify")
    linit.start()
    linit.wait_for("slow", "starting")
    gate.open()  # the address is being written
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        linit.ask_until(lambda: address.exists() and bool(address.read_text()), "the address")
        stranger.sendto(b"READY=1", address.read_text().replace("@", "\0", 1))
    linit.call("runlevel")  # whatever linit makes of the datagram, it has made when it answers this
    linit.call("runlevel")
    assert linit.call("status", name="slow")["state"] == "starting"
    gate.open()
    linit.wait_for("slow", "up")


def test_a_stale_pidfile_makes_nobody_ready(linit: Running, gate: Gate, tmp_path: Path) -> None:
    """It must name a process of the service; one of somebody else's is from an earlier run."""
    (tmp_path / "pid").write_text("1\n")
    says = "open(tmp + '/pid.new', 'w').write(str(os.getpid())); os.rename(tmp + '/pid.new', tmp + '/pid')"
    linit.define("slow", run=program(says, gate, tmp_path), ready={"pidfile": str(tmp_path / "pid")})
    linit.start()
    linit.wait_for("slow", "starting")
    gate.open()
    linit.wait_for("slow", "up")


def test_a_probe_that_cannot_be_run_is_a_failed_start(linit: Running) -> None:
    """It would never succeed."""
    linit.define("probed", run=["/bin/sleep", "1000"], ready={"probe": "/nowhere/probe"}, restart="never")
    linit.boot()
    assert linit.text("probed") == (
        "never became ready: probe: exec /nowhere/probe: ENOENT (no such file or directory)"
    )


def test_a_probe_that_hangs_does_not_outlive_its_service(linit: Running, tmp_path: Path) -> None:
    """It is one of the service's processes."""
    mark = tmp_path / "probing"
    linit.define("probed", run=["/bin/sleep", "1000"], ready={"probe": {"script": f": > {mark}; exec sleep 1000"}})
    linit.start()
    linit.ask_until(mark.exists, "the probe")
    linit.call("stop", names=["probed"])
    assert linit.left() == []


def test_a_name_is_not_looked_up_over_the_network(linit: Running) -> None:
    """tcp: numeric addresses only; PID 1 never asks a resolver."""
    linit.define("named", run=["/bin/sleep", "1000"], ready={"tcp": "www.example.org:80"}, restart="never")
    linit.boot()
    assert linit.states["named"] == "failed"
