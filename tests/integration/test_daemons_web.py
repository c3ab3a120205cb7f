"""Web servers and load balancers from Debian's packages, by the definitions in services/. A reload under load fails no
request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from tests.integration.daemons import NOBODY, NOGROUP, Machine, free_port, get, processes_below, talk
from tests.integration.running import LIMIT_S, is_alive

CLIENT = """
import select, socket, sys
port, done, failed = int(sys.argv[1]), 0, []
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as asking:
            asking.sendall(b"GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
            answer = b"".join(iter(lambda: asking.recv(65536), b""))
        if not answer.startswith((b"HTTP/1.0 200 ", b"HTTP/1.1 200 ")) or not answer.endswith((b"one", b"two")):
            failed.append(repr(answer))
    except OSError as error:
        failed.append(repr(error))
    done += 1
    if done % 50 == 0:
        print("served", done, flush=True)
print("failed", *failed)
"""
NGINX = """
user {user} {group};
worker_processes 2;
pid {run}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {var}/body;
    proxy_temp_path {var}/proxy;
    fastcgi_temp_path {var}/fastcgi;
    uwsgi_temp_path {var}/uwsgi;
    scgi_temp_path {var}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "{page}"; }}
    }}
}}
"""
HAPROXY = """
global
    user {user}
    group {group}
    stats socket {run}/haproxy/admin.sock mode 600 level admin
    log stdout format raw daemon
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string "{page}"
"""


def nginx(machine: Machine) -> tuple[int, Callable[[str], None]]:
    """A web server that is up: its port, and what gives it another page."""
    machine.packages.need("nginx")
    port = free_port()

    def configure(page: str) -> None:
        text = NGINX.format(user=NOBODY, group=NOGROUP, run=machine.run, var=machine.var, port=port, page=page)
        machine.configure("nginx.conf", text)

    configure("one")
    machine.define("nginx", config=machine.etc / "nginx.conf", port=port)
    machine.boot("nginx")
    assert get(port) == "one"
    return port, configure


def haproxy(machine: Machine) -> tuple[int, Callable[[str], None]]:
    """A load balancer that is up: its port, and what gives it another page."""
    machine.packages.need("haproxy")
    port = free_port()

    def configure(page: str) -> None:
        text = HAPROXY.format(user=NOBODY, group=NOGROUP, run=machine.run, port=port, page=page)
        machine.configure("haproxy.cfg", text)

    configure("one")
    config, folder = machine.etc / "haproxy.cfg", machine.run / "haproxy"
    machine.define("haproxy", "haproxy-folder", "haproxy", config=config, folder=folder)
    machine.boot("haproxy")
    assert get(port) == "one"
    wait_for_master(machine, reloads=0)
    return port, configure


def wait_for_master(machine: Machine, reloads: int | None) -> None:
    """Until the master takes signals: READY=1 comes a moment before, and what is sent in between it forgets (2.6)."""

    def has_reloaded() -> bool:
        try:
            told = talk(machine.run / "haproxy/master.sock", b"show proc\n", b"\n\n").decode()
        except OSError:
            return False
        masters = [line.split() for line in told.splitlines() if " master " in line]
        return any(reloads is None or master[2] == str(reloads) for master in masters)

    machine.linit.ask_until(has_reloaded, f"the master after {'some' if reloads is None else reloads} reloads")


def reload_under_load(
    machine: Machine, name: str, port: int, configure: Callable[[str], None], wait: Callable[[int], None]
) -> None:
    """Two clients ask all the time, while the page is changed again and again: each gets one or the other."""
    clients = [
        subprocess.Popen([sys.executable, "-I", "-c", CLIENT, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True) for _ in range(2)
    ]  # fmt: skip
    try:
        for number, page in enumerate(("two", "one", "two"), start=1):
            for client in clients:
                assert client.stdout is not None
                assert client.stdout.readline().startswith("served ")
            configure(page)
            machine.reload(name)
            machine.linit.ask_until(lambda page=page: get(port) == page, f"page {page}")  # type: ignore[misc]
            wait(number)
        for client in clients:
            assert client.communicate("end\n", LIMIT_S)[0].split("\n")[-2] == "failed"
    finally:
        for client in clients:
            client.kill()
            client.wait()


def test_nginx_reloads_under_load_without_a_failed_request(machine: Machine) -> None:
    """HUP: new workers, the old ones finish what they have. nginx(8), control."""
    port, configure = nginx(machine)
    reload_under_load(machine, "nginx", port, configure, lambda _: None)
    machine.stop("nginx")


def test_nginx_that_was_killed_is_back_though_its_workers_held_the_port(machine: Machine) -> None:
    """The workers of a dead master would serve on: they are ended first."""
    port, _ = nginx(machine)
    for _ in range(2):
        machine.crash("nginx")
        assert get(port) == "one"
    machine.stop("nginx")


def test_without_cgroups_nginx_is_back_and_leaves_nothing_either(bare_machine: Machine) -> None:
    """The workers stay in the master's session."""
    port, _ = nginx(bare_machine)
    bare_machine.crash("nginx")
    assert get(port) == "one"
    bare_machine.stop("nginx")


def test_nginx_refuses_a_configuration_with_an_error_and_goes_on(machine: Machine) -> None:
    """It says so, and keeps the old one: nginx(8), control."""
    port, configure = nginx(machine)
    configure('broken"; }')
    machine.reload("nginx")
    machine.wait_for_log("nginx", "[emerg]")
    assert get(port) == "one"
    configure("two")
    machine.reload("nginx")
    machine.linit.ask_until(lambda: get(port) == "two", "the page of the configuration that is right")
    machine.stop("nginx")


def test_a_worker_of_nginx_that_crashes_is_the_masters_affair(machine: Machine) -> None:
    """linit supervises the main process; nobody else is restarted for it."""
    port, _ = nginx(machine)
    master = machine.linit.pid("nginx")
    worker = processes_below(master)[-1]
    os.kill(worker, signal.SIGKILL)
    machine.linit.ask_until(lambda: not is_alive(worker) and get(port) == "one", "the next worker")
    assert machine.linit.pid("nginx") == master
    machine.stop("nginx")


def test_haproxy_reloads_under_load_without_a_failed_request(machine: Machine) -> None:
    """USR2: the master runs itself anew, with RELOADING=1 and READY=1. Source: haproxy's management guide, 4."""
    port, configure = haproxy(machine)
    reload_under_load(machine, "haproxy", port, configure, lambda number: wait_for_master(machine, number))
    assert b"Uptime_sec" in talk(machine.run / "haproxy/admin.sock", b"show info\n", b"\n\n")
    machine.stop("haproxy")


def test_haproxy_refuses_a_configuration_with_an_error_and_goes_on(machine: Machine) -> None:
    """The workers stay, and the log says why. Source: haproxy's management guide, 4."""
    port, configure = haproxy(machine)
    configure('broken" nonsense "')
    machine.reload("haproxy")
    machine.wait_for_log("haproxy", "[ALERT]")
    assert get(port) == "one"
    wait_for_master(machine, reloads=None)
    machine.stop("haproxy")


def test_haproxy_that_was_killed_is_back(machine: Machine) -> None:
    """Its workers end with it."""
    port, _ = haproxy(machine)
    machine.crash("haproxy")
    assert get(port) == "one"
    wait_for_master(machine, reloads=0)
    machine.stop("haproxy")

