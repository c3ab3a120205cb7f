"""Every way to switch a machine off or on again leaves a clean file system."""

from __future__ import annotations

import re

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

STUBBORN = b"""\
description: ignores TERM
script: |
  trap '' TERM
  while :; do sleep 1000; done
stop_timeout: 2s
"""


def test_poweroff_leaves_a_clean_file_system(machine: Machine) -> None:
    """What was written is there: e2fsck finds nothing, and no journal to replay."""
    machine.succeed("dd if=/dev/urandom of=/root/data bs=64k count=50 2>/dev/null")
    machine.shutdown()
    machine.check_file_system()


def test_a_reboot_comes_back_with_what_was_written(machine: Machine) -> None:
    """The second boot of the same disk, then a poweroff by signal, as busybox's own poweroff sends it."""
    machine.succeed("echo kept > /root/data; linitctl disable redis")
    machine.reboot()
    assert machine.boots == 2
    assert machine.succeed("cat /root/data") == "kept\n"
    assert machine.control.states.get("redis") == "down"
    machine.succeed("linitctl enable redis")
    machine.reboot()
    machine.wait_for_service("redis")
    machine.execute("kill -USR2 1", check_answer=False)
    machine.wait_for_shutdown()
    machine.check_file_system()


def test_ctrl_alt_del_reboots(machine: Machine) -> None:
    """The keys reach PID 1 as SIGINT, reboot(2)."""
    machine.succeed("until grep -q keyboard /proc/bus/input/devices; do sleep 0.1; done")  # its driver is slow
    machine.ctrl_alt_del()
    machine.wait_for_boots(2)
    machine.wait_for_runlevel("default")
    machine.shutdown()
    machine.check_file_system()


def test_a_power_cut_is_survived(machine: Machine) -> None:
    """What was synced is there after the next boot; the journal is replayed."""
    machine.succeed("echo kept > /root/data; sync")
    machine.crash()
    machine.start()
    machine.wait_for_runlevel("default")
    assert machine.succeed("cat /root/data") == "kept\n"
    machine.shutdown()
    machine.check_file_system()


def test_a_service_that_ignores_term_is_killed_at_its_timeout_and_the_shutdown_says_so(machine: Machine) -> None:
    """The shutdown does not wait for ever, and tells whom it waits for."""
    machine.copy_in(STUBBORN, "/etc/linit/services/stubborn.yaml")
    machine.succeed("linitctl compile && linitctl reload && linitctl start stubborn")
    machine.wait_for_service("stubborn")
    begin = len(machine.console.text)
    machine.shutdown()
    assert re.search(r"stubborn.*(KILL|killed)", machine.console.text[begin:])
    machine.check_file_system()
