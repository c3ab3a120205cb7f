"""The flight recorder in a machine: a boot can be replayed elsewhere. Source: linit/record/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from linit.record.recording import load
from linit.replay.stepper import Stepper

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm


def states(path: Path) -> list[tuple[str, str, str]]:
    """What the engine makes here of a recording: each change of state with its reason, in order."""
    recording = load(str(path))
    assert recording.fault == ""
    stepper = Stepper(recording)
    changes = []
    while (step := stepper.forward()) is not None:
        assert step.bug == ""
        changes += [(each.name, each.after.value, str(each.reason)) for each in step.transitions]
    return changes


def test_a_replay_of_a_boot_has_the_states_of_the_machine_in_their_order(machine: Machine, tmp_path: Path) -> None:
    """From what was told over the control port, which opens during the boot, to now; and the boot before is kept."""
    machine.succeed("linitctl restart nginx")
    path = tmp_path / "boot.rec"
    path.write_bytes(machine.recording())
    told = [(each["name"], each["after"], each["text"]) for each in machine.control.transitions]
    found = states(path)
    assert len(told) > 10
    assert found[-len(told) :] == told
    last = {name: state for name, state, _ in found}
    assert {name: state for name, state in machine.control.states.items() if name in last} == last

    machine.reboot()
    assert "nginx" in machine.succeed("linitctl why nginx --boot -1 --at 3600s")
    machine.succeed("linitctl record save /tmp/before.rec --boot -1")
    path.write_bytes(machine.copy_out("/tmp/before.rec"))
    whole = states(path)
    assert whole[: len(found)] == found
    assert {state for name, state, _ in whole if name == "nginx"} >= {"up", "down"}


def test_a_machine_that_no_longer_answers_leaves_the_recording_on_its_disk(machine: Machine, tmp_path: Path) -> None:
    """What the harness does for the report of a failed test: it cuts the power and reads what was written."""
    machine.succeed("linitctl restart nginx; linitctl record save /dev/null; sync")  # it waits for the log process
    machine.qmp.command("stop")
    path = tmp_path / "hung.rec"
    path.write_bytes(machine.salvaged_recording())
    assert not machine.is_running
    assert states(path)[-1][:2] == ("nginx", "up")
