"""What a person wrote wrongly does not stop the boot, and is named."""

from __future__ import annotations

from typing import Final

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

SERVICES: Final = "/etc/linit/services"
SLEEPS: Final = "run: [/bin/sleep, '1000']\n"
WRITTEN: Final = {
    "mistyped": f"{SLEEPS}restrat: always\n",
    "loop-left": f"{SLEEPS}need: loop-right\n",
    "loop-right": f"{SLEEPS}need: loop-left\n",
    "behind-it": f"{SLEEPS}need: loop-left\n",
    "soft-left": f"{SLEEPS}after: soft-right\n",
    "soft-right": f"{SLEEPS}need: soft-left\n",
}
LOOP: Final = (
    f"loop-left needs loop-right ({SERVICES}/loop-left.yaml:2:7), "
    f"loop-right needs loop-left ({SERVICES}/loop-right.yaml:2:7)"
)
CUT: Final = (
    f"{SERVICES}/soft-left.yaml:2:8: after: found the loop soft-left starts after soft-right "
    f"({SERVICES}/soft-left.yaml:2:8), soft-right needs soft-left ({SERVICES}/soft-right.yaml:2:7), expected no loop; "
    "cut here: it is ignored that soft-left starts after soft-right"
)
BROKEN: Final = {"mistyped", "loop-left", "loop-right", "behind-it"}


def test_a_broken_definition_and_cycles_are_named_and_everything_else_boots(machine: Machine) -> None:
    """A loop of needs takes out its members and what needs them; a loop with a softer edge is cut there. Console,
    `list` and `why` tell, with every file and line; the boot ends."""
    for name, text in WRITTEN.items():
        machine.copy_in(text.encode(), f"{SERVICES}/{name}.yaml")
        machine.succeed(f"ln -s {SERVICES}/{name}.yaml /etc/linit/runlevels/default/{name}")
    begin = len(machine.console.text)
    machine.reboot()
    states = machine.control.states
    assert {name for name, state in states.items() if state == "failed"} == BROKEN
    assert (states["soft-left"], states["soft-right"]) == ("up", "up")
    assert machine.ssh("echo up") == "up\n"

    listed = machine.succeed("linitctl list")
    for name in BROKEN:
        assert any(name in line and "failed" in line for line in listed.splitlines()), listed
    assert f"{SERVICES}/mistyped.yaml:2:1" in machine.succeed("linitctl why mistyped")
    assert f"in a dependency cycle: {LOOP}" in machine.succeed("linitctl why loop-left")
    why = machine.succeed("linitctl why behind-it")
    assert f"needs loop-left, which failed ({SERVICES}/behind-it.yaml:2:7)" in why
    assert LOOP in why

    shown = machine.console.text[begin:]
    assert f"in a dependency cycle: {LOOP}" in shown
    assert f"] warning: {CUT}" in shown
    (cut,) = machine.call("faults")["cuts"]
    assert (cut["owner"], cut["kind"], cut["on"]) == ("soft-left", "after", "soft-right")
