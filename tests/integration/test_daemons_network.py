"""Servers of a network from Debian's packages, by the definitions in services/: names, logins."""

from __future__ import annotations

import re
import socket
import subprocess

from tests.integration.daemons import NOBODY, Machine, free_port
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
