"""Web servers and load balancers from Debian's packages, by the definitions in services/. A reload under load fails no
request."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest

from tests.integration.daemons import NOBODY, NOGROUP, Machine, free_port, get, processes_below, talk
from tests.integration.load import Load
from tests.integration.running import is_alive

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


def nginx(machine: Machine, name: str = "nginx") -> tuple[int, Callable[[str], None]]:
    """A web server that is up: its port, and what gives it another page. In the foreground or, nginx-forking, not."""
    machine.packages.need("nginx")
    port = free_port()

    def configure(page: str) -> None:
        text = NGINX.format(user=NOBODY, group=NOGROUP, run=machine.run, var=machine.var, port=port, page=page)
        machine.configure("nginx.conf", text)

    configure("one")
    if name == "nginx":
        machine.define("nginx", config=machine.etc / "nginx.conf", pidfile=machine.run / "nginx.pid")
    else:
        machine.define("nginx-forking", config=machine.etc / "nginx.conf", pidfile=machine.run / "nginx.pid")
    machine.boot(name)
    assert machine.linit.pid(name) == int((machine.run / "nginx.pid").read_text())
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
    with Load(port, "one", "two") as load:
        for number, page in enumerate(("two", "one", "two"), start=1):
            load.wait_served()
            configure(page)
            machine.reload(name)
            machine.linit.ask_until(lambda page=page: get(port) == page, f"page {page}")  # type: ignore[misc]
            wait(number)
        assert load.end() == []


@pytest.mark.parametrize("name", ["nginx", "nginx-forking"])
def test_nginx_reloads_under_load_without_a_failed_request(machine: Machine, name: str) -> None:
    """HUP: new workers, the old ones finish what they have. nginx(8), control."""
    port, configure = nginx(machine, name)
    reload_under_load(machine, name, port, configure, lambda _: None)
    machine.stop(name)


@pytest.mark.parametrize("name", ["nginx", "nginx-forking"])
def test_nginx_that_was_killed_is_back_though_its_workers_held_the_port(machine: Machine, name: str) -> None:
    """The workers of a dead master would serve on: they are ended first. Its pidfile stays, and names nobody then."""
    port, _ = nginx(machine, name)
    for _ in range(2):
        machine.crash(name)
        assert get(port) == "one"
    machine.stop(name)


@pytest.mark.parametrize("name", ["nginx", "nginx-forking"])
def test_without_cgroups_nginx_is_back_and_leaves_nothing_either(bare_machine: Machine, name: str) -> None:
    """The workers stay in the master's session, be it linit's or, in the background, the master's own."""
    port, _ = nginx(bare_machine, name)
    bare_machine.crash(name)
    assert get(port) == "one"
    bare_machine.stop(name)


def test_nginx_that_cannot_open_its_port_fails_as_its_command_does(machine: Machine) -> None:
    """In the background it opens the port before its command ends, so the start fails, with the reason in the log."""
    machine.packages.need("nginx")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = NGINX.format(user=NOBODY, group=NOGROUP, run=machine.run, var=machine.var, port=port, page="one")
        config = machine.configure("nginx.conf", text)
        machine.define("nginx-forking", config=config, pidfile=machine.run / "nginx.pid")
        machine.change("nginx-forking", pre=["/bin/true"], restart="never")
        machine.boot()
        assert machine.linit.states["nginx-forking"] == "failed"
    assert machine.linit.text("nginx-forking") == "exited with status 1"
    machine.wait_for_log("nginx-forking", "Address already in use")


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
    assert machine.linit.told == []
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
