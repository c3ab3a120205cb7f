"""A daemon in a machine whose PID 1 is linit: started, crashed, stopped, and is there nothing left of it?

Looked for where it would be: the process table, /sys/fs/cgroup, the paths that are given.
"""

from __future__ import annotations

from typing import Final

from panux.machine.machine import Machine

CGROUPS: Final = "/sys/fs/cgroup/linit"


def start(machine: Machine, *names: str) -> None:
    """Start these; they are up."""
    machine.call("start", {"names": list(names)})
    for name in names:
        machine.wait_for_service(name)


def pid(machine: Machine, name: str) -> int:
    """Of the main process."""
    return int(machine.call("status", {"name": name})["pid"])


def processes(machine: Machine, name: str) -> list[int]:
    """All of a service: those of its cgroup."""
    return [int(word) for word in machine.succeed(f"cat {CGROUPS}/{name}/cgroup.procs").split()]


def reload(machine: Machine, name: str) -> None:
    """As `linitctl reload NAME`: the process stays."""
    before = pid(machine, name)
    answer = machine.call("reload", {"names": [name]})
    assert answer["outcome"] == "done", answer
    assert pid(machine, name) == before


def crash(machine: Machine, name: str, meanwhile: str = "true") -> None:
    """KILL to the main process, and then this script; it is up again, and nobody is left who was there before."""
    before, since = processes(machine, name), len(machine.control.transitions)
    machine.succeed(f"kill -KILL {pid(machine, name)}; {meanwhile}")
    machine.wait_for_transition(name, "up", since)
    assert set(before) & set(processes(machine, name)) == set()
    wait_gone(machine, before)


def wait_gone(machine: Machine, pids: list[int]) -> None:
    """A process leaves its cgroup a moment before it is a zombie and reaped."""
    machine.succeed(*(f"while test -e /proc/{each}; do sleep 0.1; done" for each in pids))


def assert_stops_without_a_trace(machine: Machine, name: str, *files: str) -> None:
    """By its own will, in its time; no process, no cgroup, no socket, no pidfile."""
    before, since = processes(machine, name), len(machine.control.transitions)
    machine.call("stop", {"names": [name]})
    machine.wait_for_service(name, "down")
    told = machine.wait_for_transition(name, "down", since)["text"]
    assert "killed" not in told, told
    assert machine.succeed(f"find {CGROUPS} -maxdepth 1 -name '{name}' -o -name '{name}@*'") == ""
    wait_gone(machine, before)
    machine.fail(*(f"test -e {file}" for file in files))
