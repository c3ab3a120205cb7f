"""What a person wrote wrongly does not stop the boot, and is named."""

from __future__ import annotations

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

MISTYPED = b"run: [/bin/sleep, '1000']\nrestrat: always\n"
LEFT = b"run: [/bin/sleep, '1000']\nneed: loop-right\n"
RIGHT = b"run: [/bin/sleep, '1000']\nneed: loop-left\n"


def test_a_broken_definition_and_a_cycle_are_named_and_everything_else_boots(machine: Machine) -> None:
    """`list` and `why` tell; the boot ends."""
    for name, text in {"mistyped": MISTYPED, "loop-left": LEFT, "loop-right": RIGHT}.items():
        machine.copy_in(text, f"/etc/linit/services/{name}.yaml")
        machine.succeed(f"ln -s /etc/linit/services/{name}.yaml /etc/linit/runlevels/default/{name}")
    machine.reboot()
    states = machine.control.states
    broken = {"mistyped", "loop-left", "loop-right"}
    assert {name for name, state in states.items() if state == "failed"} == broken
    assert machine.ssh("echo up") == "up\n"
    listed = machine.succeed("linitctl list")
    for name in broken:
        assert any(name in line and "failed" in line for line in listed.splitlines()), listed
    assert "mistyped.yaml:2:1" in machine.execute("linitctl why mistyped").output
    why = machine.execute("linitctl why loop-left").output
    assert "loop-right" in why
    assert "loop-left.yaml:2:7" in why
