"""Web servers whose socket linit has, with programs from Debian's packages: no client is refused while they are
restarted, or have crashed. Source: sd_listen_fds(3)."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any, Final

from tests.integration.daemons import NOBODY, NOGROUP, OUTSIDE, Machine, free_port, get, processes_below
from tests.integration.load import Load
from tests.integration.running import LIMIT_S, is_alive

LOADED: Final = "application loaded"
"""What each process says that serves. A worker of gunicorn takes signals only from then on: what its master tells it
before is lost, and waited for in vain (graceful_timeout)."""
WORKERS: Final = {"gunicorn": 2, "web": 1}
APPLICATION: Final = """
print("application loaded", flush=True)
def app(environ, start_response):
    page = {page!r}.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(page)))])
    return [page]
"""
# It ends by itself when everybody whom it has accepted is served: what waits in the queue is left to the next one.
NODE: Final = """
const server = require("http").createServer((request, response) => {
  response.setHeader("Connection", "close");
  response.end("one");
});
if (process.env.LISTEN_PID !== String(process.pid) || process.env.LISTEN_FDNAMES !== "http") process.exit(3);
server.listen({fd: 3}, () => console.log("application loaded"));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
"""


def gunicorn(machine: Machine, **values: object) -> int:
    """Its port, which linit has opened."""
    machine.packages.need("gunicorn")
    port, folder, programs = free_port(), machine.keep("app"), machine.etc / "bin"
    programs.mkdir()
    give(folder, "one")
    own = machine.packages.root / "usr/bin/python3"
    python = own if own.exists() else Path("/usr/bin/python3")  # Debian's, whose modules these are
    (programs / "gunicorn").write_text(f'#!/bin/sh\nexec {python} -m gunicorn "$@"\n')
    (programs / "gunicorn").chmod(0o755)
    modules = str(machine.packages.root / "usr/lib/python3/dist-packages")
    machine.define(
        "gunicorn", folder=folder, address=f"127.0.0.1:{port}", user=NOBODY, group=NOGROUP, **values,
        environment={**machine.packages.environment(programs), "PYTHONPATH": modules, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    return port


def give(folder: Path, page: str) -> None:
    """Another application."""
    (folder / "app.new").write_text(APPLICATION.format(page=page))
    (folder / "app.new").replace(folder / "app.py")


def wait_loaded(machine: Machine, name: str, starts: int) -> None:
    """Until all processes serve that belong to its first so many starts and reloads."""
    wanted = starts * WORKERS[name]
    machine.linit.ask_until(
        lambda: machine.linit.log(name).count(LOADED) >= wanted, f"the {wanted} processes that serve"
    )


def restart_under_load(machine: Machine, name: str, port: int) -> None:
    """Three restarts, and three times KILL to all of its processes: who has been accepted by one that is killed gets no
    answer, and nobody is refused."""
    wait_loaded(machine, name, 1)
    with Load(port, "one") as load:
        for starts in (2, 3, 4):
            load.wait_served()
            machine.linit.call("restart", names=[name])
            wait_loaded(machine, name, starts)
        assert load.end() == []
    with Load(port, "one") as load:
        for starts in (5, 6, 7):
            load.wait_served()
            machine.crash(name)
            wait_loaded(machine, name, starts)
        load.wait_served()
        assert set(load.end()) <= {"ConnectionResetError", repr(b"")}
    assert [seen for seen in machine.linit.transitions if seen[0] == f"{name}.socket" and seen[1] != "up"] == []


def served_though_it_starts_later(machine: Machine, name: str, port: int) -> None:
    """Who comes while there is no process waits, and is served by the next one."""
    old = machine.linit.pid(name)
    family = processes_below(old)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)  # so that none accepts
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as waiting:
        waiting.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        os.kill(old, signal.SIGKILL)
        assert b"".join(iter(lambda: waiting.recv(65536), b"")).endswith(b"one")
    assert [pid for pid in family if is_alive(pid)] == []
    assert machine.linit.pid(name) != old
    wait_loaded(machine, name, 8)


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), LIMIT_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_no_client_of_gunicorn_is_refused_while_it_is_restarted_or_crashes(machine: Machine) -> None:
    """ready: notify, listen: tcp. TERM: what it has accepted is answered. gunicorn's manual, "Signal Handling"."""
    port = gunicorn(machine)
    machine.boot("gunicorn.socket", "gunicorn")
    assert get(port) == "one"
    restart_under_load(machine, "gunicorn", port)
    served_though_it_starts_later(machine, "gunicorn", port)
    machine.stop("gunicorn")
    machine.linit.call("stop", names=["gunicorn.socket"])
    assert refused(port)


def test_gunicorn_reloads_its_application_under_load_without_a_failed_request(machine: Machine) -> None:
    """HUP: new workers, the old ones finish what they have."""
    port = gunicorn(machine)
    machine.boot("gunicorn")
    wait_loaded(machine, "gunicorn", 1)
    with Load(port, "one", "two") as load:
        load.wait_served()
        give(machine.var / "app", "two")
        machine.reload("gunicorn")
        machine.linit.ask_until(lambda: get(port) == "two", "the new application")
        load.wait_served()
        assert load.end() == []
    wait_loaded(machine, "gunicorn", 2)
    machine.stop("gunicorn")


def test_the_first_client_starts_gunicorn(machine: Machine) -> None:
    """on_demand: nothing of it runs before, and nothing after a stop, until the next client."""
    port = gunicorn(machine, on_demand="true")
    for name in OUTSIDE:
        machine.linit.enable(name)
    machine.boot("gunicorn.socket")
    assert machine.linit.states["gunicorn"] == "down"
    assert get(port) == "one"
    machine.linit.wait_for("gunicorn", "up")
    wait_loaded(machine, "gunicorn", 1)
    started = [text for name, state, text in machine.linit.transitions if (name, state) == ("gunicorn", "starting")]
    assert started == [f"started by gunicorn.socket: a client of tcp 127.0.0.1:{port}"]
    machine.stop("gunicorn")


def test_no_client_of_node_is_refused_while_it_is_restarted_or_crashes(machine: Machine) -> None:
    """A program of one's own: the descriptor 3 is all that it must know."""
    machine.packages.need("nodejs")
    port, program = free_port(), machine.configure("web.js", NODE)
    node: dict[str, Any] = {
        "run": [machine.packages.program("node"), str(program)], "environment": machine.packages.environment(),
        "listen": {"tcp": f"127.0.0.1:{port}", "name": "http"}, "user": NOBODY, "restart": "always",
    }  # fmt: skip
    machine.linit.define("web", **node)
    machine.linit.enable("web")
    machine.boot("web.socket", "web")
    assert get(port) == "one"
    restart_under_load(machine, "web", port)
    served_though_it_starts_later(machine, "web", port)
    machine.stop("web")
