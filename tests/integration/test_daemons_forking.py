"""Daemons from Debian's packages that put themselves into the background, as the scripts of other init systems start
them: what is shipped runs them in the foreground, but not every configuration is ours to change.

kind: forking, with cgroups and without, by the pidfile or, where cgroups tell whose it is, without one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.integration.daemons import NOBODY, NOGROUP, Machine, free_port
from tests.integration.test_daemons_system import CHRONY, DBUS, RSYSLOG
from tests.integration.test_daemons_web import HAPROXY

# Source: D-Bus specification, "Authentication Protocol": a client without a mechanism is told which there are.
ASKS_THE_BUS: Final = """
import socket, sys
bus = socket.socket(socket.AF_UNIX)
bus.connect(sys.argv[1])
bus.sendall(bytes(1) + b"AUTH\\r\\n")
assert bus.recv(100).startswith(b"REJECTED"), "no bus"
"""


@dataclass(frozen=True)
class Started:
    """How a daemon is started: its command, where it writes its pid, when it serves, what else it needs."""

    run: list[str]
    pidfile: str
    ready: dict[str, Any]
    keys: dict[str, Any] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()
    """What it leaves below `run` by its nature, whoever starts it."""


def redis(machine: Machine) -> Started:
    """Its command ends before it opens its port."""
    machine.packages.need("redis-server")
    port, folder = free_port(), machine.keep("redis", "root")
    text = f"bind 127.0.0.1\nport {port}\ndir {folder}\nlogfile /dev/null\n"
    text += f"daemonize yes\npidfile {machine.run}/redis.pid\n"
    run = ["redis-server", str(machine.configure("redis.conf", text))]
    return Started(run, "redis.pid", {"tcp": f"127.0.0.1:{port}"})


def memcached(machine: Machine) -> Started:
    machine.packages.need("memcached")
    port, pidfile = free_port(), f"{machine.run}/m.pid"
    run = ["memcached", "-d", "-u", "root", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-P", pidfile]
    return Started(run, "m.pid", {"tcp": f"127.0.0.1:{port}"})


def dropbear(machine: Machine) -> Started:
    machine.packages.need("dropbear-bin")
    port, key = free_port(), machine.var / "key"
    machine.ask("dropbearkey", "-t", "ed25519", "-f", str(key))
    run = ["dropbear", "-p", f"127.0.0.1:{port}", "-P", f"{machine.run}/dropbear.pid", "-r", str(key)]
    return Started(run, "dropbear.pid", {"tcp": f"127.0.0.1:{port}"})


def dnsmasq(machine: Machine) -> Started:
    """It waits in its command until the daemon has bound its sockets; the folder of the pidfile is the daemon's."""
    machine.packages.need("dnsmasq-base")
    folder = machine.run / "d"
    run = [
        "dnsmasq", "-C", "/dev/null", "-p", str(free_port()), "-a", "127.0.0.1", "--bind-interfaces", "-R", "-h",
        "-u", NOBODY, "-x", f"{folder}/d.pid",
    ]  # fmt: skip
    pre = [["install", "-d", "-o", NOBODY, str(folder)]]
    return Started(run, "d/d.pid", {"pidfile": f"{folder}/d.pid"}, {"pre": pre})


def rsyslog(machine: Machine) -> Started:
    machine.packages.need("rsyslog")
    (machine.var / "spool").mkdir()
    config = machine.configure("rsyslog.conf", RSYSLOG.format(run=machine.run, var=machine.var))
    modules = machine.packages.file("usr/lib/*-linux-gnu*/rsyslog")
    run = ["rsyslogd", "-i", f"{machine.run}/rsyslogd.pid", "-f", str(config)]
    environment = {**machine.packages.environment(), "RSYSLOG_MODDIR": str(modules)}
    ready = {"path": str(machine.run / "log")}
    return Started(run, "rsyslogd.pid", ready, {"environment": environment, "stop_timeout": "30s"})


def haproxy(machine: Machine) -> Started:
    """Without a master there may be several; one as it is configured here. It takes its pidfile away as little as its
    socket."""
    machine.packages.need("haproxy")
    port = free_port()
    (machine.run / "haproxy").mkdir()
    text = HAPROXY.format(user=NOBODY, group=NOGROUP, run=machine.run, port=port, page="one")
    config = machine.configure("haproxy.cfg", text)
    run = ["haproxy", "-D", "-p", f"{machine.run}/haproxy.pid", "-f", str(config)]
    ready = {"tcp": f"127.0.0.1:{port}"}
    return Started(
        run, "haproxy.pid", ready, {"success": {"statuses": [0, 143]}}, ("haproxy.pid", "haproxy/admin.sock")
    )


def chrony(machine: Machine) -> Started:
    """Its command ends when the daemon says by a pipe that it has begun."""
    machine.packages.need("chrony")
    (machine.etc / "sources").mkdir()
    text = CHRONY.format(run=machine.run, var=machine.keep("chrony"), etc=machine.etc)
    run = ["chronyd", "-f", str(machine.configure("chrony.conf", text)), "-u", NOBODY, "-x"]
    return Started(run, "chrony/chronyd.pid", {"unix": f"{machine.run}/chrony/chronyd.sock"})


def dbus(machine: Machine) -> Started:
    """A pidfile that a crash leaves behind keeps it from starting again. It is connected to before it knows what to do
    when it is to end; once it answers it does."""
    machine.packages.need("dbus-daemon")
    (machine.run / "dbus").mkdir()
    config = machine.configure("dbus.conf", DBUS.format(user="root", run=machine.run))
    pidfile, address = f"{machine.run}/dbus/pid", f"{machine.run}/dbus/socket"
    pre = [["rm", "-f", pidfile, address]]
    run = ["dbus-daemon", f"--config-file={config}", "--nosyslog"]
    asks = [sys.executable, "-I", "-S", "-c", ASKS_THE_BUS, address]
    return Started(run, "dbus/pid", {"probe": asks, "interval": "50ms"}, {"pre": pre})


DAEMONS: Final[dict[str, Callable[[Machine], Started]]] = {
    each.__name__: each for each in (redis, memcached, dropbear, dnsmasq, rsyslog, haproxy, chrony, dbus)
}


def run(machine: Machine, name: str, with_pidfile: bool) -> None:
    """It is up as the process that its pidfile names, is back after KILL, and is stopped without a trace."""
    started = DAEMONS[name](machine)
    keys: dict[str, Any] = {"environment": machine.packages.environment(), "restart": "always", **started.keys}
    pidfile = machine.run / started.pidfile
    if with_pidfile:
        keys["pidfile"] = str(pidfile)
    machine.linit.define(name, kind="forking", run=started.run, ready=started.ready, **keys)
    machine.linit.enable(name)
    machine.boot(name)

    def is_main() -> bool:
        return int(pidfile.read_text()) == machine.linit.pid(name)

    machine.linit.ask_until(is_main, f"the daemon is the one of {pidfile}")
    machine.crash(name)
    machine.linit.ask_until(is_main, f"the next daemon is the one of {pidfile}")
    assert machine.linit.told == []
    machine.stop(name, keeps=started.keeps)


@pytest.mark.parametrize("with_pidfile", [True, False], ids=["pidfile", "no pidfile"])
@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_in_the_background_is_found_back_after_a_crash_and_gone_after_a_stop(
    machine: Machine, name: str, with_pidfile: bool
) -> None:
    """Its cgroup tells whose it is."""
    run(machine, name, with_pidfile)


@pytest.mark.parametrize("name", DAEMONS)
def test_so_it_is_without_cgroups(bare_machine: Machine, name: str) -> None:
    """What it bears in its environment tells whose it is, else its pidfile: redis writes its title over it."""
    run(bare_machine, name, with_pidfile=True)
