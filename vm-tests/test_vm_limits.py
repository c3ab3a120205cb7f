"""What a service may use, on a machine whose cgroups have all controllers: services/README.md, "How much it may use".

Here PID 1 is linit, and the image has no util-linux: what confines a service takes nothing but the kernel.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

CGROUPS: Final = "/sys/fs/cgroup/linit"
EATS: Final = ["/usr/bin/python3", "-c", "bytearray(256 << 20)"]
FORKS: Final = """
import os, time
for _ in range(9):
    try:
        if not os.fork():
            break
    except OSError:
        break
time.sleep(1000)
"""
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "hungry": {"run": EATS, "restart": "never", "limits": {"memory_max": "32M"}},
    "feeding": {"script": f"{EATS[0]} -c '{EATS[2]}' || exit 3", "restart": "never", "limits": {"memory_max": "32M"}},
    "crowded": {"run": ["/usr/bin/python3", "-c", FORKS], "limits": {"pids_max": 5}},
    "busy": {
        "script": "while :; do :; done",
        "limits": {"cpu_max": "10%", "cpu_weight": 20, "io_weight": 30, "memory_high": "24M", "memory_max": "1G"},
    },
    "delegating": {
        "script": (
            "cd /sys/fs/cgroup/linit/delegating; mkdir below; echo $$$$ > below/cgroup.procs; "
            "echo +pids > cgroup.subtree_control; mkdir below/deep; "
            "sh -c 'echo $$$$ > below/deep/cgroup.procs; setsid sleep 1000' & touch /run/delegating; exec sleep 1000"
        ),
        "ready": {"path": "/run/delegating"},
        "reload": "/bin/touch /run/reloaded",
    },
    "confined": {
        "script": (
            "ls /dev | wc -l; ls /tmp | wc -l; ls /sys/class/net > /dev/null; cat /proc/net/dev | grep -c :; "
            "grep -E 'CapBnd|NoNewPrivs' /proc/self/status; touch /etc/x 2> /dev/null || echo refused; "
            "ls /root | wc -l; touch /tmp/x; exec sleep 1000"
        ),
        "private_tmp": True, "private_network": True, "private_devices": True, "no_new_privs": True,
        "capabilities": ["dac_override"], "read_only_paths": "/etc", "hidden_paths": "/root", "ionice": "idle",
        "scheduler": "batch", "cpu_affinity": "0",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def limited(booted: Machine) -> Machine:
    """The machine with these definitions in use."""
    for name, definition in DEFINITIONS.items():
        booted.copy_in(json.dumps(definition).encode(), f"/etc/linit/services/{name}.yaml")
    booted.succeed("linitctl reload")
    return booted


def cgroup(machine: Machine, name: str, file: str) -> str:
    return machine.succeed(f"cat {CGROUPS}/{name}/{file}").strip()


def test_a_main_process_without_memory_is_told_with_its_limit(limited: Machine) -> None:
    limited.call("start", {"names": ["hungry"]})
    limited.wait_for_service("hungry", "failed")
    record = limited.call("status", {"name": "hungry"})
    assert record["text"] == record["last_exit"] == "killed by the kernel: out of memory (memory_max 32M)"
    assert "killed by the kernel: out of memory (memory_max 32M)" in limited.succeed("linitctl why hungry")


def test_a_child_without_memory_is_told_at_the_end_of_the_main_process(limited: Machine) -> None:
    limited.call("start", {"names": ["feeding"]})
    limited.wait_for_service("feeding", "failed")
    assert limited.call("status", {"name": "feeding"})["text"] == (
        "exited with status 3; since its start the kernel has killed 1 of its processes: out of memory (memory_max 32M)"
    )


def test_a_fork_beyond_pids_max_fails_and_status_counts(limited: Machine) -> None:
    limited.call("start", {"names": ["crowded"]})
    limited.succeed(f"until grep -q '^max [1-9]' {CGROUPS}/crowded/pids.events; do sleep 0.1; done")
    usage = limited.call("status", {"name": "crowded"})["usage"]
    assert (usage["tasks_max"], usage["tasks_peak"]) == (5, 5)
    assert usage["lost"] == usage["unenforced"] == ""
    limited.call("stop", {"names": ["crowded"]})


def test_cpu_and_weights_are_in_force_and_status_shows_what_is_used(limited: Machine) -> None:
    limited.call("start", {"names": ["busy"]})
    limited.succeed(f"until grep -q 'nr_throttled [1-9]' {CGROUPS}/busy/cpu.stat; do sleep 0.1; done")
    assert cgroup(limited, "busy", "cpu.max") == "10000 100000"
    assert cgroup(limited, "busy", "cpu.weight") == "20"
    assert cgroup(limited, "busy", "memory.high") == str(24 << 20)
    usage = limited.call("status", {"name": "busy"})["usage"]
    assert usage["cpu_s"] > 0
    assert usage["memory_peak_bytes"] >= usage["memory_bytes"] > 0
    assert usage["memory_max_bytes"] == 1 << 30
    shown = limited.succeed("linitctl status busy")
    assert ", limit 1.0 GiB" in shown
    limited.call("stop", {"names": ["busy"]})
    limited.fail(f"test -e {CGROUPS}/busy")


def test_a_service_with_cgroups_of_its_own_reloads_and_ends_whole(limited: Machine) -> None:
    """Its own cgroup may hold no process then: a command of linit's goes beside them. cgroups(7), no internal ones."""
    limited.call("start", {"names": ["delegating"]})
    limited.wait_for_service("delegating")
    limited.succeed("linitctl reload delegating", "until test -e /run/reloaded; do sleep 0.1; done")
    limited.succeed(f"until grep -q . {CGROUPS}/delegating/below/deep/cgroup.procs; do sleep 0.1; done")
    pids = limited.succeed(f"cat {CGROUPS}/delegating/below/deep/cgroup.procs").split()
    limited.call("stop", {"names": ["delegating"]})
    limited.wait_for_service("delegating", "down")
    limited.succeed(*(f"while test -e /proc/{pid}; do sleep 0.1; done" for pid in pids))
    assert limited.succeed(f"find {CGROUPS}/delegating -type d 2> /dev/null || true") == ""


def test_confinement_needs_no_program_of_the_image(limited: Machine) -> None:
    """Python 3.13 and the kernel do it."""
    limited.call("start", {"names": ["confined"]})
    limited.wait_for_service("confined")
    limited.succeed("until linitctl logs confined | grep -q refused; do sleep 0.1; done")
    log = limited.succeed("linitctl logs confined")
    assert "CapBnd:\t0000000000000002" in log
    assert "NoNewPrivs:\t1" in log
    limited.fail("test -e /tmp/x")
    room = limited.succeed("grep -c /run/linit/private/confined /proc/mounts").strip()
    assert room == "2"
    limited.call("stop", {"names": ["confined"]})
    limited.succeed("until ! grep -q /run/linit/private /proc/mounts; do sleep 0.1; done")
