"""A machine that has booted to `default`: what is up, in which order, and what PID 1 is like then."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from linit.plan import weights

from panux.faults import MachineError
from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

REAL_SERVICES = ("crond", "dropbear", "getty@ttyS0", "network", "nginx", "ntpd", "redis", "syslogd")
ORDERING = {"need", "bind", "want", "use", "after"}
KEPT_LIMIT_S = 300.0
IDLE_WINDOWS = 6
NOT_AFTER_A_BOOT = (
    "_asyncio", "ast", "asyncio.tasks", "asyncio.transports", "asyncio.unix_events", "concurrent", "contextlib",
    "dataclasses", "enum", "functools", "hashlib", "inspect", "logging", "re", "selectors", "signal", "socket",
    "string", "subprocess", "threading", "traceback", "typing", "linit.system.shutdown",
)  # fmt: skip
NEVER_IN_PID_1 = ("yaml", "networkx", "psutil", "linit.compiler", "linit.definitions", "linit.graph")


def test_every_service_of_the_runlevel_is_up(booted: Machine) -> None:
    """The boot reports nothing failed, and what is enabled is up."""
    assert booted.boot_report()["failed"] == []
    states = booted.control.states
    assert {name: states.get(name) for name in REAL_SERVICES} == dict.fromkeys(REAL_SERVICES, "up")
    assert booted.succeed("linitctl runlevel").startswith("default")


def test_services_came_up_in_an_order_that_respects_the_graph(booted: Machine) -> None:
    """Nothing began to start before what it comes after was up."""
    order: dict[tuple[str, str], int] = {}
    for number, change in enumerate(booted.control.transitions):
        order.setdefault((change["name"], change["after"]), number)  # later ones are no part of the boot
    edges = booted.call("deps", {"name": "default"})["edges"]
    compared = 0
    for edge in edges:
        began, was_up = order.get((edge["owner"], "starting")), order.get((edge["on"], "up"))
        if edge["kind"] in ORDERING and began is not None and was_up is not None:
            assert was_up < began, f"{edge['owner']} began before {edge['on']} was up, against {edge['place']}"
            compared += 1
    assert compared > 20


def test_ssh_and_http_answer_from_the_host(booted: Machine) -> None:
    """Over the forwarded ports."""
    assert booted.ssh("cat /etc/hostname; id -u") == "panux\n0\n"
    status, text = booted.http_get("/")
    assert status == 200
    assert "<html" in text


def test_a_boot_leaves_what_its_starts_took_and_the_same_share_for_all(booted: Machine, tmp_path: Path) -> None:
    """A child keeps it for the next boot; only limits may give a service more of the processors than others now."""
    kept = tmp_path / weights.FILE
    until_s = time.monotonic() + KEPT_LIMIT_S
    while time.monotonic() < until_s:
        kept.write_bytes(booted.execute(f"cat /var/lib/linit/{weights.FILE}").raw_output)
        if weights.history(str(kept)):
            break
        booted.pause(1.0)
    assert {"network", "redis", "nginx"} <= weights.history(str(kept)).keys()
    found = weights.load(str(kept))
    assert max(found.values()) == weights.WEIGHT_MAX
    assert found["network"] > found["ntpd"]  # ssh waits for it
    assert "cpu" not in booted.succeed("cat /sys/fs/cgroup/cgroup.subtree_control").split()


def test_pid_1_has_loaded_nothing_that_belongs_to_the_compiler(booted: Machine) -> None:
    """DESIGN.md: PID 1 parses nothing that a person wrote."""
    modules = set(booted.call("modules")["modules"])
    assert [name for name in NEVER_IN_PID_1 if name in modules] == []


def test_pid_1_comes_out_of_its_bundle_and_holds_what_trouble_needs_packed(booted: Machine) -> None:
    """linit/bundling/README.md: a file in memory (proc_pid_fd(5)). Why none of these: tests/unit/test_bundling.py."""
    booted.succeed("until ls -l /proc/1/fd | grep -q linit-modules; do sleep 0.1; done")
    modules = set(booted.call("modules")["modules"])
    assert "asyncio.selector_events" in modules
    assert [name for name in NOT_AFTER_A_BOOT if name in modules] == []
    assert booted.succeed("cat /var/log/linit/linit.log").count("giving memory back") == 0


def test_pid_1_is_in_small_pages_and_services_are_as_the_kernel_has_them(booted: Machine) -> None:
    """linit/runtime/thrift.py. Sources: proc_pid_smaps(5) for VmFlags, proc_pid_status(5) for THP_enabled."""
    heap = "sed -n '/\\[heap\\]/,/^VmFlags/p'"
    booted.succeed(f"until {heap} /proc/1/smaps | grep -q '^VmFlags.* nh'; do sleep 0.1; done")
    assert set(booted.succeed(f"{heap} /proc/1/smaps | grep AnonHugePages").split()[1::3]) == {"0"}
    service = "$(cat /run/crond.pid || pidof crond)"
    assert "THP_enabled:\t1" in booted.succeed(f"cat /proc/{service}/status")
    assert booted.succeed(f"grep -c '^VmFlags.* nh' /proc/{service}/smaps || true").strip() == "0"


def test_pid_1_does_not_wake_up_when_nothing_happens(booted: Machine) -> None:
    """Ten seconds without a context switch of PID 1, as the kernel counts them: at the latest when all timers of the
    boot and of what was started since have run.

    Measured by one command in the guest: each message of ours over any virtio-serial port makes the kernel look at all
    of them, and so wakes those who wait at another, some time after the command has begun.
    """
    count = "grep ctxt_switches /proc/1/status"
    for _ in range(IDLE_WINDOWS):
        before, _, after = booted.succeed(f"sleep 2; {count}; echo ---; sleep 10; {count}").partition("---\n")
        if after == before:
            break
    assert after == before


def test_a_killed_dropbear_is_back_and_lets_in_again(booted: Machine) -> None:
    """The sudden end of a daemon costs its sessions, not the service."""
    seen = len(booted.control.transitions)
    booted.succeed("kill -KILL $(cat /sys/fs/cgroup/linit/dropbear/cgroup.procs 2>/dev/null || pidof dropbear)")
    booted.wait_for_transition("dropbear", "backoff", seen)
    booted.wait_for_transition("dropbear", "up", seen)
    assert booted.ssh("echo back") == "back\n"


def test_stopping_the_network_stops_what_needs_it_first(booted: Machine) -> None:
    """And starting what was stopped brings all of it back."""
    seen = len(booted.control.transitions)
    stopped = booted.call("rdeps", {"name": "network"})["stops"]
    assert "dropbear" in stopped
    booted.call("stop", {"names": ["network"]})
    order = [change["name"] for change in booted.control.transitions[seen:] if change["after"] == "down"]
    assert order.index("dropbear") < order.index("network")
    assert set(stopped) <= set(order)
    booted.call("start", {"names": ["network"]})
    for name in stopped:
        booted.wait_for_service(name)
    assert booted.ssh("echo back") == "back\n"


def test_an_administrator_on_ssh_may_restart_what_the_session_came_by(booted: Machine) -> None:
    """The service waits for none of its sessions: that is no loop, though the session belongs to it."""
    seen = len(booted.control.transitions)
    with contextlib.suppress(MachineError):  # the session ends with the service, before the client can say anything
        booted.ssh("linitctl restart dropbear")
    booted.wait_for_transition("dropbear", "down", seen)
    booted.wait_for_transition("dropbear", "up", seen)
    assert booted.ssh("echo back") == "back\n"
