"""Services that their clients start, or that find their clients waiting: real programs, sockets and fifos.

No clock decides: a client waits for its answer, a test for what is told.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.integration.daemons import Machine
from tests.integration.running import LIMIT_S, Gate, Running
from tests.integration.test_daemons_network import shown
from tests.integration.test_readiness import free_port

# Told to end, it serves whom it has accepted; who waits in the queue is served by the next one.
WEB = """
import http.server, os, select, signal, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_FDNAMES"] == "http"

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.HTTPServer(("", 0), Page, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)
end, far_end = os.pipe()
os.set_blocking(far_end, False)
signal.set_wakeup_fd(far_end)
signal.signal(signal.SIGTERM, lambda *_: None)
while True:
    readable, _, _ = select.select([server.socket, end], [], [])
    if end in readable:
        break
    server.handle_request()
"""
ONE_CLIENT = "import os, socket; c, _ = socket.socket(fileno=3).accept(); c.sendall(str(os.getpid()).encode())"


def program(folder: Path, text: str) -> list[str]:
    """A Python program as a file: what it is shows in the list of processes."""
    path = folder / "program.py"
    path.write_text(text)
    return [sys.executable, "-I", str(path)]


def unix_client(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, kind)
    client.settimeout(LIMIT_S)
    client.connect(str(path))
    return client


def everything(client: socket.socket) -> bytes:
    """Until the other end closes."""
    found = b""
    while data := client.recv(4096):
        found += data
    client.close()
    return found


class Web:
    """Clients of a web server. Each asks at once, and is answered some time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.waiting: list[socket.socket] = []

    def come(self, count: int) -> None:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", self.port), LIMIT_S)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.waiting.append(client)

    def answers(self) -> set[int]:
        """The servers that have answered those who came; each of them got a whole page."""
        found = set()
        for client in self.waiting:
            head, _, body = everything(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.0 200 "), head
            found.add(int(body))
        self.waiting.clear()
        return found


def test_no_client_of_a_web_server_is_refused_while_it_is_restarted_or_crashes(linit: Running, tmp_path: Path) -> None:
    """Five restarts, with clients who come before, while it stops and while it starts; and one kill -9."""
    web = Web(free_port())
    listen = {"tcp": f"127.0.0.1:{web.port}", "name": "http"}
    linit.define("web", run=program(tmp_path, WEB), listen=listen, restart="always")
    linit.enable("web")
    linit.boot()
    linit.wait_for("web", "up")
    web.come(5)
    servers = web.answers()
    for count in range(1, 6):
        web.come(5)
        seen = len([each for each in linit.transitions if each[:2] == ("web", "starting")])
        restart = linit.ask("restart", names=["web"])
        web.come(5)
        linit.wait_for_transition("web", "stopping", count)
        web.come(5)
        linit.wait_for_transition("web", "starting", seen + 1)
        web.come(5)
        linit.answer(restart)
        servers |= web.answers()
    pid = linit.pid("web")
    os.kill(pid, signal.SIGSTOP)  # so that it takes none of those with it who come now
    web.come(5)
    os.kill(pid, signal.SIGKILL)
    web.come(5)
    assert pid not in (last := web.answers())
    assert len(servers | last) == 7
    assert not any(name == "web.socket" and state == "stopping" for name, state, _ in linit.transitions)


def test_clients_may_come_before_a_service_runs(linit: Running, gate: Gate, tmp_path: Path) -> None:
    """The socket is open before what its service waits for is up; the service itself opens nothing."""
    path = tmp_path / "s"
    linit.define("slow", kind="oneshot", run=["/bin/sh", "-c", f"read line < {gate.path}"])
    linit.define("one", run=[sys.executable, "-I", "-c", ONE_CLIENT], listen={"unix": str(path)}, need=["slow"])
    linit.enable("one")
    linit.start()
    linit.wait_for("one.socket", "up")
    client = unix_client(path)
    assert linit.states["one"] == "waiting"
    gate.open()
    assert int(everything(client)) > 0


def test_the_first_client_starts_a_service_and_the_next_one_starts_it_again(linit: Running, tmp_path: Path) -> None:
    """On demand. It ends when it has nothing to do, which is no failure."""
    path = tmp_path / "run" / "s"
    listen = {"unix": str(path), "on_demand": True, "mode": "0600"}
    linit.define("one", run=[sys.executable, "-I", "-c", ONE_CLIENT], listen=listen)
    linit.enable("one")
    linit.boot()
    assert (linit.states["one.socket"], linit.states["one"]) == ("up", "down")
    pids = []
    for count in (1, 2, 3):
        pids.append(int(everything(unix_client(path))))
        linit.wait_for_transition("one", "down", count)
    assert len(set(pids)) == 3
    why = [text for name, state, text in linit.transitions if (name, state) == ("one", "starting")]
    assert why == [f"started by one.socket: a client of unix {path}"] * 3
    assert path.stat().st_mode & 0o777 == 0o600
    linit.call("stop", names=["one.socket"])
    assert not path.exists()


def test_a_client_that_was_not_served_starts_the_service_again(linit: Running, tmp_path: Path) -> None:
    """Two come at once, each start serves one."""
    path = tmp_path / "s"
    listen = {"unix": str(path), "on_demand": True}
    linit.define("one", run=[sys.executable, "-I", "-c", ONE_CLIENT], listen=listen)
    linit.enable("one")
    linit.boot()
    clients = [unix_client(path) for _ in range(2)]
    assert len({everything(client) for client in clients}) == 2


def test_a_service_that_fails_refuses_its_clients(linit: Running, tmp_path: Path) -> None:
    path = tmp_path / "s"
    linit.define("broken", run=["/bin/false"], listen={"unix": str(path), "on_demand": True}, restart="never")
    linit.enable("broken")
    linit.boot()
    client = unix_client(path)
    linit.wait_for("broken.socket", "failed")
    assert linit.states["broken"] == "failed"
    with pytest.raises((ConnectionResetError, FileNotFoundError)):
        client.recv(1)
        unix_client(path)


def test_a_socket_that_another_process_has_open_fails_its_service_and_says_so(linit: Running, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        linit.define("late", run=["sleep", "1000"], listen={"unix": str(path)})
        linit.enable("late")
        linit.boot()
        assert linit.states["late"] == "failed"
        text = f"listen unix {path}: EADDRINUSE, another process accepts there"
        assert text in linit.text("late.socket")
        unix_client(path).close()


READ = {
    "unix_dgram": "data, _ = socket.socket(fileno=3).recvfrom(100)",
    "udp": "data, _ = socket.socket(fileno=3).recvfrom(100)",
    "fifo": "data = os.read(3, 100)",
    "unix_seqpacket": "data = socket.socket(fileno=3).accept()[0].recv(100)",
}


@pytest.mark.parametrize("kind", READ)
def test_what_was_sent_before_the_service_ran_is_there_for_it(linit: Running, tmp_path: Path, kind: str) -> None:
    """The first message starts the service, which takes that one, and waits on a blocking descriptor as usual."""
    path = tmp_path / "s"
    port = free_port()
    address = f"127.0.0.1:{port}" if kind == "udp" else str(path)
    text = f"import os, socket; {READ[kind]}; print('got', data.decode(), flush=True)"
    listen = {kind: address, "on_demand": True}
    linit.define("reader", run=[sys.executable, "-I", "-c", text], listen=listen)
    linit.enable("reader")
    linit.boot()
    for count, message in enumerate((b"one", b"two"), 1):
        if kind == "fifo":
            path.write_bytes(message)
        elif kind == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(message, ("127.0.0.1", port))
        else:
            type_ = socket.SOCK_DGRAM if kind == "unix_dgram" else socket.SOCK_SEQPACKET
            with unix_client(path, type_) as client:
                client.send(message)
        linit.wait_for_transition("reader", "down", count)
    assert linit.end() == 0
    lines = linit.log("reader").splitlines()
    assert [line for line in lines if line.startswith("got")] == ["got one", "got two"]
    assert not path.exists()


# -- a process for each connection


def connections(linit: Running) -> list[str]:
    """The services of connections that linit knows now."""
    return [record["name"] for record in linit.call("list")["services"] if "@" in record["name"]]


def test_each_client_has_a_process_of_its_own_and_no_more_than_allowed_at_once(linit: Running, tmp_path: Path) -> None:
    """Twenty clients come together, three are served at a time, none is refused. inetd(8)."""
    path = tmp_path / "s"
    linit.define("echo", run=["/bin/cat"], listen={"unix": str(path), "accept": True, "most": 3})
    linit.enable("echo")
    linit.boot()
    clients = [unix_client(path) for _ in range(20)]
    for number, client in enumerate(clients):
        client.sendall(f"hello {number}".encode())
        client.shutdown(socket.SHUT_WR)
    assert [everything(client) for client in clients] == [f"hello {number}".encode() for number in range(20)]
    linit.wait(lambda: sum(each[1] == "down" for each in linit.transitions if "@" in each[0]) == 20, "20 ends")
    served: set[str] = set()
    most = 0
    for name, state, _ in linit.transitions:
        if "@" in name:
            served = served - {name} if state == "down" else served | {name}
            most = max(most, len(served))
    assert most == 3
    assert connections(linit) == []
    assert not any("@" in name for name in os.listdir(linit.folder / "log"))


def test_a_connection_is_input_and_output_and_errors_are_logged(linit: Running, tmp_path: Path) -> None:
    """The client's address is in the environment; it is no socket activation."""
    port = free_port()
    script = 'echo "$REMOTE_ADDR $REMOTE_PORT $LISTEN_FDS."; echo trouble >&2; exit 4'
    linit.define("hello", run=["/bin/sh", "-c", script], listen={"tcp": f"127.0.0.1:{port}", "accept": True})
    linit.enable("hello")
    linit.boot()
    client = socket.create_connection(("127.0.0.1", port), LIMIT_S)
    own_port = client.getsockname()[1]
    assert everything(client) == f"127.0.0.1 {own_port} .\n".encode()
    linit.wait_for_transition("hello@1", "down")
    assert linit.end() == 0
    lines = linit.log("hello").splitlines()
    assert "trouble" in lines
    assert f"linit: hello@1: connected with 127.0.0.1:{own_port}" in lines
    assert "linit: hello@1: exited with status 4" in lines


def test_to_stop_the_listener_disturbs_no_connection(linit: Running, tmp_path: Path) -> None:
    """Who is logged in by ssh stops the listener of ssh. At the end of linit all end."""
    path = tmp_path / "s"
    linit.define("echo", run=["/bin/cat"], listen={"unix": str(path), "accept": True})
    linit.enable("echo")
    linit.boot()
    client = unix_client(path)
    client.sendall(b"before")
    assert client.recv(100) == b"before"
    linit.call("stop", names=["echo"])
    with pytest.raises(FileNotFoundError):
        unix_client(path)
    client.sendall(b"after")
    assert client.recv(100) == b"after"
    linit.call("start", names=["echo"])
    second = unix_client(path)
    second.sendall(b"second")
    assert second.recv(100) == b"second"
    assert connections(linit) == ["echo@1", "echo@2"]
    assert linit.end() == 0
    assert everything(client) == everything(second) == b""


def test_a_command_that_cannot_be_run_closes_each_connection_and_piles_nothing_up(
    linit: Running, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    linit.define("gone", run=[str(tmp_path / "nothing")], listen={"unix": str(path), "accept": True, "most": 2})
    linit.enable("gone")
    linit.boot()
    for _ in range(5):
        assert everything(unix_client(path)) == b""
    linit.wait(lambda: sum(each[1] == "down" for each in linit.transitions if "@" in each[0]) == 5, "5 ends")
    assert connections(linit) == []
    assert linit.states["gone"] == "up"
    linit.end()
    text = f"linit: gone@5: could not be run: exec {tmp_path}/nothing: ENOENT (no such file or directory)"
    assert text in linit.log("gone").splitlines()


def test_dropbear_serves_each_client_in_a_process_that_ends_with_it(machine: Machine) -> None:
    """dropbear(8), -i, which speaks to syslog alone. Nobody may log in here, but who fails to has seen the key."""
    machine.packages.need("dropbear-bin")
    linit, port, key = machine.linit, free_port(), machine.var / "key"
    fingerprint = shown(machine, "dropbearkey", "-t", "ed25519", "-f", str(key))
    linit.define(
        "ssh",
        run=[machine.packages.program("dropbear"), "-i", "-s", "-r", str(key)],
        environment=machine.packages.environment(),
        listen={"tcp": f"127.0.0.1:{port}", "accept": True, "most": 2},
    )
    linit.enable("ssh")
    machine.boot("ssh")
    for _ in range(3):
        client = ("dbclient", "-y", "-T", "-p", str(port), "nobody@127.0.0.1", "true")
        assert shown(machine, *client) == fingerprint
    linit.wait(lambda: sum(each[1] == "down" for each in linit.transitions if "@" in each[0]) == 3, "3 ends")
    assert connections(linit) == []
    if machine.cgroup:
        assert list(Path(machine.cgroup).rglob("ssh@*")) == []
    linit.call("stop", names=["ssh"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LIMIT_S)
