"""When something is wrong before there is a graph: a person is let in, or linit helps itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

PROMPT = r"/# "  # the shell's; it may go on to ask the terminal where its cursor is
PLAN = "/var/lib/linit/plan.msgpack"


def test_a_corrupt_plan_is_made_anew_during_the_boot(machine: Machine) -> None:
    """The definitions are what counts; a plan is only their image."""
    machine.succeed(f"dd if=/dev/urandom of={PLAN} bs=1k count=4 2>/dev/null")
    machine.reboot()
    assert machine.boot_report()["failed"] == []
    assert "up to date" in machine.succeed("linitctl compile"), "the plan that was made was kept for the next boot"


def test_a_plan_that_is_older_than_a_definition_is_made_anew(machine: Machine) -> None:
    """PID 1 stats the files; only the compiler reads them."""
    machine.copy_in(b"run: [sleep, '1000']\n", "/etc/linit/services/fresh.yaml")
    machine.succeed("ln -s ../../services/fresh.yaml /etc/linit/runlevels/default/fresh")
    machine.reboot()
    machine.wait_for_service("fresh")


def test_where_no_plan_can_be_made_the_old_one_boots_the_machine_and_that_is_told(machine: Machine) -> None:
    """A fault of the compiler, a full disk: what booted the machine the last time is better than a shell."""
    compiler = "/usr/lib/linit/lib/python3.13/linit/compiler.pyc"
    machine.copy_in(b"run: [sleep, '1000']\n", "/etc/linit/services/fresh.yaml")
    machine.succeed("ln -s ../../services/fresh.yaml /etc/linit/runlevels/default/fresh")
    machine.succeed(f"mv {compiler} {compiler}.away")
    begin = len(machine.console.text)
    machine.reboot()
    machine.wait_for_console(r"booting by the old plan: what has changed since is not in it", begin)
    assert machine.boot_report()["failed"] == []
    assert "fresh" not in machine.control.states
    machine.succeed(f"mv {compiler}.away {compiler}; linitctl reload")
    machine.wait_for_service("fresh")


def test_without_plan_and_compiler_there_is_a_shell_that_says_why(machine: Machine) -> None:
    """And its end tries again: a person who repairs needs no second boot."""
    compiler = "/usr/lib/linit/lib/python3.13/linit/compiler.pyc"
    machine.succeed(f"rm {PLAN}; mv {compiler} {compiler}.away")
    begin = len(machine.console.text)
    machine.execute("kill -TERM 1", check_answer=False)
    machine.wait_for_console(r"there is no plan /var/lib/linit/plan\.msgpack", begin)
    machine.wait_for_console(PROMPT, machine.wait_for_console(r"exit: try again", begin).end())
    machine.console.type(f"mount -o remount,rw /; mv {compiler}.away {compiler}; mount -o remount,ro /; exit\n")
    machine.wait_for_runlevel("default")
    assert machine.boot_report()["failed"] == []


def test_an_emergency_shell_on_request_does_not_need_the_graph(new_machine: Callable[..., Machine]) -> None:
    """`linit.emergency` on the kernel command line; when the shell ends the boot goes on."""
    machine = new_machine()
    machine.start("linit.emergency")
    found = machine.wait_for_console(PROMPT, machine.wait_for_console(r"a root shell before any service").end())
    machine.console.type("echo services: $(ls /run/linit | grep -c control)\n")
    machine.wait_for_console(r"^services: 0$", found.end())
    machine.console.type("exit\n")
    machine.wait_for_runlevel("default")
    assert machine.boot_report()["failed"] == []
