"""More of Debian's daemons under linit as PID 1, by the definitions of services/daemons as they are: each starts ready,
reloads, crashes and is back, stops in its time and leaves nothing.

Their programs come with a second disk (panux.image.daemons_disk); what their maintainer scripts would have done,
accounts and configurations, stands here. Each answers its own client. Source: issue 4, "Shown with real daemons".
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest

from panux.daemons import CGROUPS, assert_stops_without_a_trace, crash, pid, reload, start
from panux.image.progress import Progress
from panux.machine.hardware import escaped
from panux.machine.machine import Machine
from panux.preparation import prepare_daemons_disk

pytestmark = pytest.mark.vm

SHIPPED: Final = Path(__file__).resolve().parents[1] / "services/daemons"
PYTHON: Final = "/usr/bin/python3"
DEFINITIONS: Final = ("chrony", "dbus", "dnsmasq", "haproxy", "memcached", "postgresql", "rsyslog", "vixie-cron")
ACCOUNTS: Final = ("_chrony", "dnsmasq", "haproxy", "memcache", "messagebus", "postgres")
MOUNT: Final = """set -e
mkdir -p /mnt/daemons
mount -t ext4 -o ro /dev/vdb /mnt/daemons
modprobe overlay
mount -t overlay -o ro,lowerdir=/usr:/mnt/daemons/usr usr /usr
"""
"""Its programs are where their packages have them; of what both have the image's is used."""
ACCOUNT: Final = "echo {0}:x:{1}: >> /etc/group; echo {0}:x:{1}:{1}::/:/usr/sbin/nologin >> /etc/passwd"
PATIENT: Final = (
    "chrony", "crond", "dbus", "dnsmasq", "haproxy", "haproxy-folder", "klogd", "memcached", "ntpd",
    "postgresql-cluster", "postgresql-folders", "rsyslog", "syslogd", "vixie-cron",
)  # fmt: skip
PATIENCE: Final = {
    **{f"/etc/linit/services/{name}.d/test.yaml": "start_timeout: 15min\n" for name in PATIENT},
    "/etc/linit/services/postgresql.d/test.yaml": "health: {timeout: 5min}\n",
}
"""An emulated processor on a busy host takes its time, and that is not what is tested."""
HAPROXY: Final = """
global
    user haproxy
    group haproxy
    stats socket /run/haproxy/admin.sock mode 600 level admin
    log stdout format raw daemon
defaults
    mode http
    timeout connect 300s
    timeout client 300s
    timeout server 300s
frontend web
    bind 127.0.0.1:8082
    http-request return status 200 content-type text/plain string "{page}"
"""
ASK_MASTER: Final = """
import socket
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect("/run/haproxy/master.sock")
    asking.sendall(b"show proc\\n")
    print(*iter(asking.makefile().readline, "\\n"))
"""
CONFIGURATIONS: Final = {
    "/etc/chrony/chrony.conf": (
        "port 0\ncmdport 0\nbindcmdaddress /run/chrony/chronyd.sock\npidfile /run/chrony/chronyd.pid\n"
        "driftfile /var/lib/chrony/drift\nsourcedir /etc/chrony/sources\n"
    ),
    "/etc/cron.d/test": "@reboot root echo ran >> /run/ran\n",
    "/etc/dnsmasq.conf": (
        "listen-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nno-poll\naddn-hosts=/etc/dnsmasq.hosts\n"
    ),
    "/etc/dnsmasq.hosts": "192.0.2.1 one.test\n",
    "/etc/haproxy/haproxy.cfg": HAPROXY.format(page="one"),
    "/etc/pam.d/cron": "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session")),
    "/etc/rsyslog.conf": (
        'module(load="imuxsock")\n$WorkDirectory /var/spool/rsyslog\naction(type="omfile" file="/var/log/said")\n'
    ),
    "/run/test/ask-master": ASK_MASTER,
}
ACTIVATABLE: Final = {
    "/etc/dbus-1/system.d/test.conf": "<busconfig><servicedir>/run/activatable</servicedir></busconfig>\n",
    "/run/activatable/org.panux.Test.service": "[D-BUS Service]\nName=org.panux.Test\nExec=/bin/false\nUser=root\n",
}
HAS_REBOOTED: Final = "/run/crond.reboot"
"""By this either cron knows that this boot has had its @reboot."""
BUS: Final = "dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus"
PSQL: Final = "/usr/lib/postgresql/17/bin/psql -X -A -t -q -v ON_ERROR_STOP=1 -h /run/postgresql"


@pytest.fixture(scope="module")
def devices() -> tuple[str, ...]:
    """The disk with their programs, from the archive that the image is from."""
    disk = prepare_daemons_disk(Progress(stream=sys.__stderr__ or sys.stderr))
    return (
        "-drive", f"file={escaped(disk)},if=none,id=daemons,format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=daemons",
    )  # fmt: skip


@pytest.fixture(scope="module")
def daemons(booted: Machine) -> Machine:
    """The machine with their programs, accounts, configurations and definitions."""
    booted.succeed(MOUNT, *(ACCOUNT.format(name, at) for at, name in enumerate(ACCOUNTS, 200)))
    texts = {f"/etc/linit/services/{name}.yaml": (SHIPPED / f"{name}.yaml").read_text() for name in DEFINITIONS}
    write(booted, {**texts, **CONFIGURATIONS, **PATIENCE})
    booted.succeed("install -d -o _chrony /var/lib/chrony", "linitctl reload")
    return booted


def write(machine: Machine, files: dict[str, str]) -> None:
    """Writes files, with the folders above them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    done = machine.execute("tar -x -C /", standard_input=packed.getvalue())
    assert done.status == 0, done.errors


def until(machine: Machine, condition: str) -> None:
    """Waits until a shell command succeeds."""
    machine.succeed(f"until {condition}; do sleep 0.2; done")


def assert_told_up(machine: Machine, name: str) -> None:
    """As an operator sees it."""
    assert " up " in machine.succeed(f"linitctl status {name}").splitlines()[0]


def psql(statement: str) -> str:
    """The shell command of a database's own user that gives it this."""
    return f"su -s /bin/sh -c '{PSQL} -c \"{statement}\"' postgres"


def sql(machine: Machine, statement: str) -> str:
    """What the database answers."""
    return machine.succeed(psql(statement))


def test_postgresql_makes_its_cluster_reloads_recovers_and_stops_fast(daemons: Machine) -> None:
    """initdb as a oneshot, ready: notify, HUP, INT with a session open: pg_ctl(1). Killed, it replays its log."""
    start(daemons, "postgresql")
    assert_told_up(daemons, "postgresql")
    daemons.succeed("/usr/lib/postgresql/17/bin/pg_isready -q -h /run/postgresql")
    assert sql(daemons, "CREATE TABLE kept (value int); INSERT INTO kept VALUES (7); SHOW work_mem") == "4MB\n"
    sql(daemons, "ALTER SYSTEM SET work_mem = 7000")
    reload(daemons, "postgresql")
    until(daemons, f"{psql('SHOW work_mem')} | grep -q 7000")
    crash(daemons, "postgresql")
    assert sql(daemons, "SELECT value FROM kept") == "7\n"
    daemons.succeed(f"{psql('SELECT pg_sleep(10000)')} > /run/test/session 2>&1 &")
    until(daemons, f"{psql('SELECT wait_event FROM pg_stat_activity')} | grep -q PgSleep")
    pidfile, sockets = "/var/lib/postgresql/17/main/postmaster.pid", "/run/postgresql/.s.PGSQL.5432"
    assert_stops_without_a_trace(daemons, "postgresql", pidfile, sockets, f"{sockets}.lock")
    until(daemons, "grep -q 'terminating connection due to administrator command' /run/test/session")
    assert daemons.succeed("ls /dev/shm") == ""
    start(daemons, "postgresql")
    assert sql(daemons, "SELECT value FROM kept") == "7\n"
    assert_stops_without_a_trace(daemons, "postgresql", pidfile, sockets, f"{sockets}.lock")


def test_dbus_keeps_whoever_asks_while_it_is_away(daemons: Machine) -> None:
    """ready: notify, at a socket of linit's. A reload shows in what the bus can start."""
    start(daemons, "dbus")
    assert_told_up(daemons, "dbus")
    assert "org.freedesktop.DBus" in daemons.succeed(f"{BUS}.ListNames")
    write(daemons, ACTIVATABLE)
    reload(daemons, "dbus")
    until(daemons, f"{BUS}.ListActivatableNames | grep -q org.panux.Test")
    crash(daemons, "dbus", meanwhile=f"{BUS}.ListNames")
    assert "org.freedesktop.DBus" in daemons.succeed(f"{BUS}.ListNames")
    assert_stops_without_a_trace(daemons, "dbus")
    daemons.call("stop", {"names": ["dbus.socket"]})
    daemons.fail("test -e /run/dbus/system_bus_socket")


def test_haproxy_takes_another_configuration_and_is_back_after_a_crash(daemons: Machine) -> None:
    """ready: notify, reload by USR2 with RELOADING=1. Its sockets go with their folder."""
    page = "wget -q -O - http://127.0.0.1:8082/"
    # READY=1 comes a moment before it takes signals.
    master = f"{PYTHON} /run/test/ask-master 2> /dev/null | grep -q ' master '"
    start(daemons, "haproxy")
    assert_told_up(daemons, "haproxy")
    assert daemons.succeed(page) == "one"
    until(daemons, master)
    write(daemons, {"/etc/haproxy/haproxy.cfg": HAPROXY.format(page="two")})
    reload(daemons, "haproxy")
    until(daemons, f"{page} | grep -q two")
    crash(daemons, "haproxy")
    assert daemons.succeed(page) == "two"
    until(daemons, master)
    assert_stops_without_a_trace(daemons, "haproxy")
    daemons.wait_for_service("haproxy-folder", "down")
    daemons.fail(page, "test -e /run/haproxy", f"test -e {CGROUPS}/haproxy-folder")


def test_memcached_serves_forgets_by_a_crash_and_stops(daemons: Machine) -> None:
    """ready: tcp, with namespaces of its own and without capabilities. There is nothing to reload."""
    ask = "printf '{}\\r\\nquit\\r\\n' | nc 127.0.0.1 11211".format
    start(daemons, "memcached")
    assert_told_up(daemons, "memcached")
    assert daemons.succeed(ask("set key 0 0 5\\r\\nvalue")) == "STORED\r\n"
    assert daemons.succeed(ask("get key")) == "VALUE key 0 5\r\nvalue\r\nEND\r\n"
    crash(daemons, "memcached")
    assert daemons.succeed(ask("get key")) == "END\r\n"
    assert_stops_without_a_trace(daemons, "memcached")
    daemons.fail("nc 127.0.0.1 11211 < /dev/null")


def test_cron_takes_the_place_of_the_other_and_runs_what_its_tables_say(daemons: Machine) -> None:
    """conflicts, ready: pidfile. @reboot is the one time that a test need not wait for: crontab(5)."""
    until(daemons, f"rm {HAS_REBOOTED}")  # the other one makes it a moment after it is up
    start(daemons, "vixie-cron")
    assert daemons.control.states["crond"] == "down"
    assert_told_up(daemons, "vixie-cron")
    until(daemons, "test -e /run/ran")
    daemons.succeed(f"rm /run/ran {HAS_REBOOTED}")
    crash(daemons, "vixie-cron")
    assert pid(daemons, "vixie-cron") == int(daemons.succeed("cat /run/crond.pid"))
    until(daemons, "test -e /run/ran")
    assert_stops_without_a_trace(daemons, "vixie-cron", "/run/crond.pid")
    start(daemons, "crond")


def test_chrony_takes_the_place_of_the_other_and_learns_of_servers_by_a_reload(daemons: Machine) -> None:
    """conflicts, ready: unix, where chronyc(1) asks."""
    ask = "chronyc -n -h /run/chrony/chronyd.sock"
    start(daemons, "chrony")
    assert daemons.control.states["ntpd"] == "down"
    assert_told_up(daemons, "chrony")
    assert "Reference ID" in daemons.succeed(f"{ask} tracking")
    write(daemons, {"/etc/chrony/sources/one.sources": "server 192.0.2.1\n"})
    reload(daemons, "chrony")
    assert "192.0.2.1" in daemons.succeed(f"{ask} sources")
    crash(daemons, "chrony")
    until(daemons, f"{ask} sources | grep -q 192.0.2.1")
    assert_stops_without_a_trace(daemons, "chrony", "/run/chrony/chronyd.sock", "/run/chrony/chronyd.pid")
    start(daemons, "ntpd")


def test_rsyslog_takes_the_place_of_the_other_and_follows_a_rotation(daemons: Machine) -> None:
    """conflicts, ready: notify, HUP: rsyslogd(8), SIGNALS."""

    def see(word: str) -> None:
        daemons.succeed(f"logger {word}")
        until(daemons, f"grep -q {word} /var/log/said")

    start(daemons, "rsyslog")
    assert [daemons.control.states[name] for name in ("syslogd", "klogd")] == ["down", "down"]
    assert_told_up(daemons, "rsyslog")
    see("first")
    daemons.succeed("mv /var/log/said /var/log/said.1")
    reload(daemons, "rsyslog")
    # What it takes in before it comes to the signal goes where all went before.
    daemons.succeed("until test -e /var/log/said; do logger between; sleep 0.2; done")
    see("second")
    crash(daemons, "rsyslog")
    see("third")
    assert_stops_without_a_trace(daemons, "rsyslog", "/dev/log")
    daemons.fail("grep -E 'second|third' /var/log/said.1", "grep first /var/log/said")
    start(daemons, "syslogd", "klogd")


def test_dnsmasq_knows_new_names_after_a_reload(daemons: Machine) -> None:
    """ready: pidfile; the one that a crash leaves behind names nobody of this service. HUP: dnsmasq(8), NOTES."""
    ask = "nslookup -type=a {}.test 127.0.0.1".format
    start(daemons, "dnsmasq")
    assert_told_up(daemons, "dnsmasq")
    assert "192.0.2.1" in daemons.succeed(ask("one"))
    assert "192.0.2.2" not in daemons.execute(ask("two")).output
    write(daemons, {"/etc/dnsmasq.hosts": "192.0.2.1 one.test\n192.0.2.2 two.test\n"})
    reload(daemons, "dnsmasq")
    until(daemons, f"{ask('two')} | grep -q 192.0.2.2")
    crash(daemons, "dnsmasq")
    assert pid(daemons, "dnsmasq") == int(daemons.succeed("cat /run/dnsmasq/dnsmasq.pid"))
    assert "192.0.2.2" in daemons.succeed(ask("two"))
    assert_stops_without_a_trace(daemons, "dnsmasq", "/run/dnsmasq/dnsmasq.pid")
