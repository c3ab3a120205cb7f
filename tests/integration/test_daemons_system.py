"""What a machine runs for itself, from Debian's packages, by the definitions in services/: bus, log, clock, cron."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from tests.integration.daemons import NOBODY, Machine, needs_mounts, talk

DBUS = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <user>{user}</user>
  <fork/>
  <pidfile>{run}/dbus/pid</pidfile>
  <auth>EXTERNAL</auth>
  <listen>unix:path={run}/dbus/socket</listen>
  <policy context="default"><allow user="*"/></policy>
</busconfig>
"""
RSYSLOG = """
module(load="imuxsock" SysSock.Name="{run}/log" SysSock.Unlink="on")
$WorkDirectory {var}/spool
template(name="line" type="string" string="%msg%\\n")
action(type="omfile" file="{var}/messages" template="line")
"""
CHRONY = """
port 0
cmdport 0
bindcmdaddress {run}/chrony/chronyd.sock
pidfile {run}/chrony/chronyd.pid
driftfile {var}/drift
sourcedir {etc}/sources
"""
CRON = """#!/bin/sh
# Debian's cron has no options for its places: it gets its own, in a mount namespace.
exec unshare --mount sh -e -c '
    mount -t tmpfs tables /var/spool
    mkdir -p /var/spool/cron/crontabs
    cp -p {tables}/* /var/spool/cron/crontabs
    [ ! -e /etc/cron.d ] || mount --bind {empty} /etc/cron.d
    [ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab
    mount --bind {run} /run
    exec {program} "$@"
' cron "$@"
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_dbus_lets_in_whoever_asks_and_says_when_it_has_reloaded(machine: Machine) -> None:
    """ready: notify, at a socket of linit's; a pidfile or a fork that the configuration wants is overruled."""
    machine.packages.need("dbus-daemon")
    config = machine.configure("dbus.conf", DBUS.format(user=NOBODY, run=machine.run))
    address = machine.run / "dbus/socket"
    machine.define("dbus", config=config, socket=address)
    machine.boot("dbus.socket", "dbus")
    # Source: D-Bus Specification, Authentication Mechanisms; the name is uid 0 in hexadecimal.
    login = (address, b"\0AUTH EXTERNAL 30\r\n", b"\r\n")
    assert talk(*login).startswith(b"OK ")
    machine.reload("dbus")
    machine.wait_for_log("dbus", "Reloaded configuration")
    machine.configure("dbus.conf", "<nonsense/>")
    machine.reload("dbus")
    machine.wait_for_log("dbus", "Unable to reload configuration")
    assert talk(*login).startswith(b"OK ")
    machine.configure("dbus.conf", DBUS.format(user=NOBODY, run=machine.run))
    machine.crash("dbus")
    assert talk(*login).startswith(b"OK ")
    os.kill(machine.linit.pid("dbus"), signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(address))  # to the socket alone
        machine.linit.call("stop", names=["dbus"])
    machine.linit.call("start", names=["dbus"])
    assert talk(*login).startswith(b"OK ")
    machine.stop("dbus", "dbus.socket")
    assert not address.exists()


def test_rsyslog_writes_what_is_said_and_follows_a_rotation(machine: Machine) -> None:
    """ready: notify. HUP: files are opened again, rsyslogd(8), SIGNALS."""
    machine.packages.need("rsyslog")
    written = machine.var / "messages"
    config = machine.configure("rsyslog.conf", RSYSLOG.format(run=machine.run, var=machine.var))
    modules = machine.packages.file("usr/lib/*-linux-gnu*/rsyslog")
    machine.define("rsyslog", config=config, folder=machine.var / "spool", environment={"RSYSLOG_MODDIR": str(modules)})
    machine.boot("rsyslog")

    def say(text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as saying:
            saying.connect(str(machine.run / "log"))
            saying.send(f"<13>Jan  1 00:00:00 test: {text}".encode())

    def see(text: str) -> None:
        say(text)
        machine.linit.ask_until(lambda: f" {text}" in lines(written), f"'{text}' in the log")

    see("first")
    written.rename(machine.var / "messages.1")
    machine.reload("rsyslog")

    def is_new_file_there() -> bool:
        say("between")  # what it takes in before it comes to the signal goes where all went before
        return written.exists()

    machine.linit.ask_until(is_new_file_there, "the new file")
    see("second")
    machine.crash("rsyslog")
    see("third")
    machine.stop("rsyslog")
    assert lines(machine.var / "messages.1")[0] == " first"
    assert [line for line in lines(written) if line != " between"] == [" second", " third"]


def test_chrony_answers_and_learns_of_servers_by_a_reload(machine: Machine) -> None:
    """ready: unix, the socket of chronyc(1). -x: the clock of this machine is left alone."""
    machine.packages.need("chrony")
    sources = machine.etc / "sources"
    sources.mkdir()
    text = CHRONY.format(run=machine.run, var=machine.keep("chrony"), etc=machine.etc)
    config, address = machine.configure("chrony.conf", text), machine.run / "chrony/chronyd.sock"
    chronyc = ("chronyc", "-n", "-h", str(address))
    machine.define("chrony", config=config, socket=address, user=NOBODY, options="-x")
    machine.boot("chrony")
    assert "Reference ID" in machine.ask(*chronyc, "tracking")
    (sources / "one.sources").write_text("server 192.0.2.1 port 9\n")
    machine.reload("chrony")
    assert "192.0.2.1" in machine.ask(*chronyc, "sources")
    machine.crash("chrony")
    assert "192.0.2.1" in machine.ask(*chronyc, "sources")
    machine.stop("chrony")


def test_cron_runs_what_its_tables_say(machine: Machine) -> None:
    """@reboot is the one time that a test need not wait for: crontab(5)."""
    machine.packages.need("cron")
    needs_mounts()
    out, tables, programs = machine.var / "out", machine.etc / "tables", machine.etc / "bin"
    for folder in (tables, programs):
        folder.mkdir()
    (tables / "root").write_text(f"@reboot echo ran >> {out}\n")
    (tables / "root").chmod(0o600)
    places = {"run": machine.run, "tables": tables, "empty": machine.keep("empty")}
    (programs / "cron").write_text(CRON.format(program=machine.packages.program("cron"), **places))
    (programs / "cron").chmod(0o755)
    machine.define("vixie-cron", pidfile=machine.run / "crond.pid", environment=machine.packages.environment(programs))
    machine.boot("vixie-cron")
    machine.linit.ask_until(lambda: lines(out) == ["ran"], "what the table says")
    machine.crash("vixie-cron")
    machine.stop("vixie-cron", keeps=("crond.reboot",))  # that @reboot has been
    assert lines(out) == ["ran"]
