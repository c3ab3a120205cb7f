"""Servers of a network from Debian's packages, by the definitions in services/: names, logins."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.daemons import NOBODY, Machine, free_port, needs_mounts
from tests.integration.running import LIMIT_S

DNSMASQ = """
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
no-poll
addn-hosts={hosts}
"""


def resolve(port: int, name: str) -> str:
    """The IPv4 address of a name, or "". Source: RFC 1035, 4."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(LIMIT_S)
        asking.connect(("127.0.0.1", port))
        asking.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + question)
        answer = asking.recv(512)
    answers = int.from_bytes(answer[6:8], "big")
    return socket.inet_ntoa(answer[-4:]) if answers else ""


def test_dnsmasq_knows_new_names_after_a_reload(machine: Machine) -> None:
    """ready: pidfile; the one that a crash leaves behind names nobody of this service. HUP: dnsmasq(8), NOTES."""
    machine.packages.need("dnsmasq-base")
    port, hosts = free_port(socket.SOCK_DGRAM), machine.configure("hosts", "192.0.2.1 one.test\n")
    config = machine.configure("dnsmasq.conf", DNSMASQ.format(port=port, hosts=hosts))
    machine.define("dnsmasq", config=config, folder=machine.run / "dnsmasq", user=NOBODY)
    machine.boot("dnsmasq")
    assert (resolve(port, "one.test"), resolve(port, "two.test")) == ("192.0.2.1", "")
    machine.configure("hosts", "192.0.2.1 one.test\n192.0.2.2 two.test\n")
    machine.reload("dnsmasq")
    machine.linit.ask_until(lambda: resolve(port, "two.test") == "192.0.2.2", "the new name")
    machine.crash("dnsmasq")
    assert resolve(port, "two.test") == "192.0.2.2"
    machine.stop("dnsmasq")


def test_dnsmasq_knows_new_names_as_soon_as_they_are_written_where_that_is_watched(machine: Machine) -> None:
    """watch: changes, of a file that editors replace; when: service. The reload is asked for as people do it."""
    machine.packages.need("dnsmasq-base")
    port, hosts, programs = free_port(socket.SOCK_DGRAM), machine.configure("hosts", ""), machine.etc / "bin"
    config = machine.configure("dnsmasq.conf", DNSMASQ.format(port=port, hosts=hosts))
    programs.mkdir()
    modules = os.pathsep.join(path for path in sys.path if path)
    (programs / "linitctl").write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec {sys.executable} -m linitctl "$@"\n')
    (programs / "linitctl").chmod(0o755)
    machine.define(
        "dnsmasq", "dnsmasq-hosts", "dnsmasq", config=config, folder=machine.run / "dnsmasq", user=NOBODY, hosts=hosts,
        environment=machine.packages.environment(programs),
    )  # fmt: skip
    machine.linit.enable("dnsmasq-hosts")
    machine.boot("dnsmasq", "dnsmasq-hosts.watch")
    for number in (1, 2):
        machine.configure("hosts", f"192.0.2.{number} new.test\n")
        machine.linit.ask_until(lambda at=f"192.0.2.{number}": resolve(port, "new.test") == at, "the name")  # type: ignore[misc]
        machine.linit.wait_for_transition("dnsmasq-hosts", "down", number)
    machine.stop("dnsmasq")
    machine.configure("hosts", "192.0.2.3 new.test\n")
    machine.linit.wait_for_transition("dnsmasq-hosts", "down", 3)
    assert "a condition is not met" in machine.linit.text("dnsmasq-hosts")


def test_dropbear_shows_its_key_as_soon_as_it_is_up_and_keeps_it(machine: Machine) -> None:
    """ready: tcp. The key is made by a oneshot, once. Nobody may log in here, but who fails to has seen the key."""
    machine.packages.need("dropbear-bin")
    port, folder = free_port(), machine.var / "dropbear"
    machine.define("dropbear-keys", folder=folder)
    machine.define("dropbear", folder=folder, port=port, pidfile=machine.run / "dropbear.pid")
    machine.boot("dropbear-keys", "dropbear")
    key = shown(machine, "dropbearkey", "-y", "-f", str(folder / "dropbear_ed25519_host_key"))
    # -y takes whatever key there is, and says which.
    client = ("dbclient", "-y", "-T", "-p", str(port), "nobody@127.0.0.1", "true")
    for way in ("crash", "restart", "none"):
        assert (shown(machine, *client), way) == (key, way)
        if way == "crash":
            machine.crash("dropbear")
        elif way == "restart":
            machine.linit.call("restart", names=["dropbear"])
    machine.stop("dropbear")


# Whoever is root here may log in by a key of the test's own, which the machine's own ~/.ssh need not know.
DROPBEAR = """#!/bin/sh
exec unshare --mount sh -e -c '
    mount -t tmpfs -o mode=700 home {home}
    mkdir -m 700 {home}/.ssh
    cp {key} {home}/.ssh/authorized_keys
    chmod 600 {home}/.ssh/authorized_keys
    exec {program} "$@"
' dropbear "$@"
"""


@contextmanager
def session(machine: Machine, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who is logged in and has what is typed printed."""
    identity = ("-i", str(machine.var / "id"), "-l", "root")
    with subprocess.Popen(
        [machine.packages.program("dbclient"), "-y", "-T", "-p", str(port), *identity, "127.0.0.1", "exec cat"],
        env={**machine.packages.environment(), "HOME": str(machine.folder)}, bufsize=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as logged_in:  # fmt: skip
        try:
            assert typed(logged_in, "hello") == "hello", f"{logged_in.communicate()}\n{machine.linit.story()}"
            yield logged_in
        finally:
            logged_in.kill()


def typed(logged_in: subprocess.Popen[bytes], line: str) -> str:
    """What comes back of a line, "" when the session is over."""
    assert logged_in.stdin is not None and logged_in.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        logged_in.stdin.write(f"{line}\n".encode())
    return logged_in.stdout.readline().decode().rstrip("\n")


def with_logins(machine: Machine) -> dict[str, str]:
    """The environment of a dropbear that lets in whoever has the key at `id`."""
    needs_mounts()
    programs, public = machine.etc / "bin", machine.etc / "authorized"
    programs.mkdir()
    printed = machine.ask("dropbearkey", "-t", "ed25519", "-f", str(machine.var / "id"))
    public.write_text(next(line for line in printed.splitlines() if line.startswith("ssh-")) + "\n")
    home, program = pwd.getpwnam("root").pw_dir, machine.packages.program("dropbear")
    (programs / "dropbear").write_text(DROPBEAR.format(home=home, key=public, program=program))
    (programs / "dropbear").chmod(0o755)
    return machine.packages.environment(programs)


def sessions(machine: Machine) -> list[str]:
    """The connections that linit knows now."""
    return [each["name"] for each in machine.linit.call("list")["services"] if "-accept@" in each["name"]]


def test_a_dropbear_for_each_connection_serves_so_many_and_outlives_a_restart_of_the_listener(machine: Machine) -> None:
    """listen: accept. A stop closes the port; who is logged in stays, until the session or linit ends."""
    machine.packages.need("dropbear-bin")
    linit, port, folder = machine.linit, free_port(), machine.var / "dropbear"
    machine.define("dropbear-keys", folder=folder)
    machine.define(
        "dropbear-accept", folder=folder, address="127.0.0.1", port=port, most=2, environment=with_logins(machine)
    )
    machine.boot("dropbear-keys", "dropbear-accept")
    assert sessions(machine) == []
    with session(machine, port) as first:
        assert sessions(machine) == ["dropbear-accept@1"]
        assert linit.pid("dropbear-accept@1")
        linit.call("restart", names=["dropbear-accept"])
        assert typed(first, "after the restart") == "after the restart"
        with session(machine, port) as second, socket.create_connection(("127.0.0.1", port), LIMIT_S) as third:
            assert sessions(machine) == ["dropbear-accept@1", "dropbear-accept@2"]
            os.kill(linit.pid("dropbear-accept@2"), signal.SIGKILL)  # a crash is one client's
            assert typed(second, "after the crash") == ""
            assert third.recv(4) == b"SSH-"  # who had to wait
            assert typed(first, "after the crash") == "after the crash"
        linit.call("stop", names=["dropbear-accept"])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), LIMIT_S)
        assert typed(first, "after the stop") == "after the stop"
    linit.wait_for_transition("dropbear-accept@1", "down")
    linit.ask_until(lambda: sessions(machine) == [], "the end of the last session")
    if machine.cgroup:
        assert list(Path(machine.cgroup).rglob("dropbear-accept*")) == []
    assert list(machine.run.iterdir()) == []


def test_a_session_of_the_resident_dropbear_ends_when_that_is_restarted(machine: Machine) -> None:
    """Its processes are the service's: none is left of a service that is stopped."""
    machine.packages.need("dropbear-bin")
    port, folder = free_port(), machine.var / "dropbear"
    machine.define("dropbear-keys", folder=folder)
    machine.define(
        "dropbear", folder=folder, port=port, pidfile=machine.run / "dropbear.pid", environment=with_logins(machine)
    )
    machine.boot("dropbear-keys", "dropbear")
    with session(machine, port) as logged_in:
        machine.linit.call("restart", names=["dropbear"])
        assert typed(logged_in, "after the restart") == ""
    with session(machine, port):
        machine.stop("dropbear")


def shown(machine: Machine, program: str, *arguments: str) -> str:
    """The fingerprint that a program prints."""
    ended = subprocess.run(
        [machine.packages.program(program), *arguments],
        env={**machine.packages.environment(), "HOME": str(machine.folder)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    found = re.search(r"SHA256:[\w+/]{43}", ended.stdout)
    assert found, ended.stdout
    return found[0]
