"""Real daemons where PID 1 is linit and every service has its cgroup: kinds, sockets, clocks, conditions, health.

What is left behind is looked for where it would be: in /sys/fs/cgroup, in /run, and at the ports. Source: issue 4,
"Shown with real daemons"; with more daemons, but without PID 1, tests/integration/test_daemons_*.py.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from panux.daemons import CGROUPS, assert_stops_without_a_trace, crash, pid, processes, start, wait_gone
from panux.machine.machine import Machine
from panux.machine.ssh import ssh_command

pytestmark = pytest.mark.vm

SHIPPED: Final = Path(__file__).resolve().parents[1] / "services/daemons"
PYTHON: Final = "/usr/bin/python3"
WEB: Final = """
import os, select, signal, socket
listener = socket.socket(fileno=3)
end, far_end = os.pipe()
os.set_blocking(far_end, False)
signal.set_wakeup_fd(far_end)
signal.signal(signal.SIGTERM, lambda *_: None)
while end not in select.select([listener, end], [], [])[0]:
    client, _ = listener.accept()
    with client:
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nserved")
"""
CLIENT: Final = """
import os, signal, socket
over, done = [], 0
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
while not over:
    try:
        with socket.create_connection(("127.0.0.1", 8080), 60) as asking:
            asking.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b"".join(iter(lambda: asking.recv(4096), b""))
        said = "served" if answer.endswith(b"served") else "cut off"
    except OSError as error:
        said = type(error).__name__
    done += 1
    print(said, done, flush=True)
"""
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "web": {"run": [PYTHON, "-c", WEB], "listen": {"tcp": 8080, "name": "http"}, "restart": "always"},
    "clients": {"run": [PYTHON, "-c", CLIENT], "output": {"file": "/run/clients.txt"}},
    "tick": {"kind": "oneshot", "script": "echo tick >> /run/ticks", "schedule": {"every": "1s"}},
    "spare": {"run": ["/bin/sleep", "1000"], "when": {"cmdline": "spare"}},
    "usual": {"run": ["/bin/sleep", "1000"], "when": {"cmdline": "panic=-1"}},
    "redis.d/limits": {"limits": {"memory_max": "48M"}},
}
HEALTH: Final = {
    "health": {"run": ["/usr/bin/redis-cli", "ping"], "interval": "1s", "timeout": "20s", "retries": 1},
}
"""Only while it is tested: a busy host may stop the whole machine for longer."""
FILL: Final = "for i = 1, 100 do redis.call('set', i, string.rep('x', 1000000)) end"


@pytest.fixture(scope="module")
def daemons(booted: Machine) -> Machine:
    """The machine with these definitions, and some of services/daemons, in use."""
    for name, definition in DEFINITIONS.items():
        booted.succeed(f"mkdir -p /etc/linit/services/{Path(name).parent}")
        booted.copy_in(json.dumps(definition).encode(), f"/etc/linit/services/{name}.yaml")
    for name in ("nginx-forking", "dropbear-accept"):
        booted.copy_in(SHIPPED / f"{name}.yaml", f"/etc/linit/services/{name}.yaml")
    booted.succeed("linitctl reload")
    return booted


def test_nginx_in_the_background_reloads_crashes_and_stops_without_a_trace(daemons: Machine) -> None:
    """kind: forking, by its pidfile; it takes the place of the nginx in the foreground, and gives it back."""
    start(daemons, "nginx-forking")
    assert daemons.control.states["nginx"] == "down"
    assert pid(daemons, "nginx-forking") == int(daemons.succeed("cat /run/nginx.pid"))
    assert daemons.http_get("/")[0] == 200
    daemons.copy_in(b"server { listen 8081; return 200 new; }", "/etc/nginx/conf.d/new.conf")
    daemons.succeed("linitctl reload nginx-forking")
    daemons.succeed("until wget -q -O - http://127.0.0.1:8081/ | grep -q new; do sleep 0.1; done")
    crash(daemons, "nginx-forking")
    assert pid(daemons, "nginx-forking") == int(daemons.succeed("cat /run/nginx.pid"))
    assert daemons.http_get("/")[0] == 200
    assert_stops_without_a_trace(daemons, "nginx-forking", "/run/nginx.pid")
    daemons.succeed("rm /etc/nginx/conf.d/new.conf")
    start(daemons, "nginx")
    assert daemons.http_get("/")[0] == 200


@contextlib.contextmanager
def session(machine: Machine) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who is logged in over the network, and has what is typed printed."""
    assert machine.key is not None
    argv = [*ssh_command(machine.key, machine.hardware.ssh_port), "-o", "BatchMode=yes", "exec cat"]
    with subprocess.Popen(argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as logged_in:
        try:
            assert typed(logged_in, b"hello\n") == b"hello\n"
            yield logged_in
        finally:
            logged_in.kill()


def typed(logged_in: subprocess.Popen[bytes], line: bytes) -> bytes:
    """What comes back of a line."""
    assert logged_in.stdin is not None and logged_in.stdout is not None
    logged_in.stdin.write(line)
    return logged_in.stdout.readline()


def test_a_dropbear_for_each_connection_is_restarted_by_whoever_is_logged_in(daemons: Machine) -> None:
    """listen: accept. A session outlives a restart and a stop; that the port is closed is seen from inside."""
    start(daemons, "dropbear-accept")
    assert daemons.control.states["dropbear"] == "down"
    daemons.fail(f"test -e {CGROUPS}/dropbear-accept@1")
    with session(daemons) as logged_in:
        daemons.succeed("linitctl restart dropbear-accept")
        assert typed(logged_in, b"after the restart\n") == b"after the restart\n"
        assert daemons.ssh("linitctl restart dropbear-accept > /dev/null && echo done") == "done\n"
        first = processes(daemons, "dropbear-accept@1")
        assert "cat" in daemons.succeed(*(f"cat /proc/{one}/comm" for one in first)).split()
        daemons.call("stop", {"names": ["dropbear-accept"]})
        daemons.fail("nc 127.0.0.1 22 < /dev/null")
        assert typed(logged_in, b"after the stop\n") == b"after the stop\n"
    daemons.succeed(f"until [ -z \"$(find {CGROUPS} -name 'dropbear-accept*')\" ]; do sleep 0.1; done")
    wait_gone(daemons, first)
    start(daemons, "dropbear")
    assert daemons.ssh("echo back") == "back\n"


def test_no_client_of_a_web_server_is_refused_while_it_is_restarted_or_crashes(daemons: Machine) -> None:
    """listen: tcp, LISTEN_FDS. Only whom it had accepted when it was killed gets no answer."""

    def wait_served() -> None:
        count = int(daemons.succeed("cat /run/clients.txt 2> /dev/null | grep -c served || true"))
        daemons.succeed(f"until [ $(cat /run/clients.txt | grep -c served) -gt {count + 5} ]; do sleep 0.1; done")

    start(daemons, "web", "clients")
    for _ in range(3):
        wait_served()
        daemons.call("restart", {"names": ["web"]})
        daemons.wait_for_service("web")
    wait_served()
    assert daemons.succeed("grep -v served /run/clients.txt || true") == ""
    crash(daemons, "web")
    wait_served()
    daemons.call("stop", {"names": ["clients"]})
    told = {line.rsplit(" ", 1)[0] for line in daemons.succeed("cat /run/clients.txt").splitlines()}
    assert told <= {"served", "cut off", "ConnectionResetError"}
    assert_stops_without_a_trace(daemons, "web")
    daemons.call("stop", {"names": ["web.socket"]})
    daemons.fail("nc 127.0.0.1 8080 < /dev/null")


def test_a_timer_starts_its_service_again_and_again_until_it_is_stopped(daemons: Machine) -> None:
    """schedule: every. `status` says when it is due."""
    daemons.call("start", {"names": ["tick.timer"]})
    daemons.succeed("until [ $(cat /run/ticks | grep -c tick) -ge 3 ]; do sleep 0.1; done")
    assert "next: " in daemons.succeed("linitctl status tick.timer")
    daemons.call("stop", {"names": ["tick.timer"]})
    daemons.wait_for_service("tick", "down")
    assert daemons.succeed(f"find {CGROUPS} -name 'tick*'") == ""


def test_why_tells_which_condition_on_the_kernel_command_line_is_not_met(daemons: Machine) -> None:
    """when: cmdline. It is no failure."""
    start(daemons, "usual")
    assert_stops_without_a_trace(daemons, "usual")
    daemons.call("start", {"names": ["spare"]})
    daemons.wait_for_service("spare", "down")
    place = "/etc/linit/services/spare.yaml:1:"
    text = f"a condition is not met: spare is not on the kernel command line ({place}"
    assert text in daemons.succeed("linitctl why spare")


def test_redis_that_hangs_is_found_by_its_health_check_and_is_back(daemons: Machine) -> None:
    """SIGSTOP stands for a program that hangs: it lives, and answers nobody."""
    daemons.copy_in(json.dumps(HEALTH).encode(), "/etc/linit/services/redis.d/health.yaml")
    daemons.succeed("linitctl reload")
    daemons.call("restart", {"names": ["redis"]})
    daemons.wait_for_service("redis")
    since = len(daemons.control.transitions)
    daemons.succeed(f"kill -STOP {pid(daemons, 'redis')}")
    daemons.wait_for_transition("redis", "up", since)
    told = [each["text"] for each in daemons.control.transitions[since:] if each["name"] == "redis"]
    assert "no longer well: its health check failed: has not ended within 20 s" in told[0]
    assert daemons.succeed("redis-cli ping") == "PONG\n"
    daemons.succeed("rm /etc/linit/services/redis.d/health.yaml", "linitctl reload")
    daemons.call("restart", {"names": ["redis"]})
    daemons.wait_for_service("redis")


def test_redis_without_memory_is_killed_by_the_kernel_and_is_back(daemons: Machine) -> None:
    """limits: memory_max. The cause is told; what it has written to disk is there again."""
    daemons.call("restart", {"names": ["redis"]})
    daemons.wait_for_service("redis")
    daemons.succeed("redis-cli set key kept", "redis-cli save")
    since = len(daemons.control.transitions)
    daemons.execute(f'redis-cli eval "{FILL}" 0')
    daemons.wait_for_transition("redis", "up", since)
    told = [each["text"] for each in daemons.control.transitions[since:] if each["name"] == "redis"]
    assert told[0].startswith("killed by the kernel: out of memory (memory_max 48M); starts again after ")
    assert daemons.succeed("redis-cli get key") == "kept\n"
    assert_stops_without_a_trace(daemons, "redis")
    daemons.fail("nc 127.0.0.1 6379 < /dev/null")
