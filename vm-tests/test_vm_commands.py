"""linit's Python in the image has only what linit uses: every command and every program of it runs all the same.

What a module imports when it is imported is tried at the build; here is what a function imports when it is called.
"""

from __future__ import annotations

from typing import Final

import pytest
from linitctl.main import COMMANDS

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

SCRIPTS: Final = {
    "list": "linitctl list && linitctl list --json",
    "status": "linitctl status && linitctl status redis && linitctl status redis --json",
    "start": "linitctl start redis",
    "need": "linitctl run --oneshot -- linitctl need redis",
    "want": "linitctl run --oneshot -- linitctl want redis",
    "stop": "linitctl stop crond && linitctl start crond",
    "restart": "linitctl restart crond",
    "reload": "linitctl reload nginx && linitctl reload",
    "reset": "linitctl reset redis",
    "run": "linitctl run --name told --oneshot -- echo told",
    "lock": "linitctl lock door -- true",
    "locks": "linitctl locks",
    "kill": "linitctl kill --signal HUP nginx",
    "enable": "linitctl enable netmount",
    "disable": "linitctl disable netmount",
    "override": "linitctl override crond --after redis && linitctl override crond && linitctl override crond --clear",
    "logs": "linitctl logs redis && linitctl logs -n 5 --json",
    "deps": "linitctl deps nginx",
    "rdeps": "linitctl rdeps localmount",
    "why": "linitctl why redis && linitctl why redis --json",
    "boot-plan": "linitctl boot-plan && linitctl boot-plan --diff",
    "impact": "linitctl impact network",
    "graph": "linitctl graph && linitctl graph --output /run/g.dot && linitctl graph --all --output /run/g.svg",
    "record": "linitctl record list && linitctl record save /run/boot.record",
    "replay": "linitctl record save /run/a.record && linitctl replay /run/a.record && "
              "linitctl replay /run/a.record --to 50 --to-test /run/boot.py",
    "analyze": "linitctl analyze time && linitctl analyze blame && linitctl analyze critical-path && "
               "linitctl analyze plot -o /run/boot.svg && linitctl analyze compare 0 0",
    "verify": "linitctl verify && linitctl verify /usr/lib/linit/services",
    "compile": "linitctl compile && linitctl compile --force",
    "runlevel": "linitctl runlevel",
    "watch": "linitctl run --name watching -- linitctl watch && "
             "until linitctl logs watching | grep -q 'crond: up'; do linitctl restart crond; done; "
             "linitctl kill --signal INT watching; "
             "until linitctl why watching | grep -q 'status 130'; do sleep 0.1; done; linitctl reset watching",
    "report": "linitctl report && linitctl report --json",
    "poweroff": "linitctl poweroff --help",
    "reboot": "linitctl reboot --help",
    "halt": "linitctl halt --help",
    "shutdown": "linitctl shutdown --help",
    "version": "linitctl version",
}  # fmt: skip
"""A call of each, or several. (Those that end the machine: test_vm_power.py.)"""


def test_every_command_is_tried_here() -> None:
    """The table of linitctl itself."""
    assert list(SCRIPTS) == list(COMMANDS)


@pytest.mark.parametrize("command", SCRIPTS)
def test_a_command_has_all_that_it_imports(command: str, booted: Machine) -> None:
    """It does what it is asked, and says nothing of Python."""
    done = booted.execute(SCRIPTS[command])
    assert (done.status, "Traceback" in done.errors + done.output) == (0, False), done.output + done.errors


def test_a_traceback_shows_the_lines_of_linits_sources(booted: Machine) -> None:
    """The modules are bytecode; what a person reads is packed, and found where it is unpacked."""
    booted.succeed("mkdir /usr/lib/linit/source && tar -xJf /usr/lib/linit/source.tar.xz -C /usr/lib/linit/source")
    program = "from linit.plan import codec; codec.decode(None)"
    said = booted.fail(f"python3 -c '{program}'")
    assert "/usr/lib/linit/source/linit/plan/codec.py" in said
    assert "\n    " in said.split("codec.py", 1)[1]


def test_a_program_in_python_runs_with_what_linit_has(booted: Machine) -> None:
    """/usr/bin/python3 is linit's: with site and a prompt, without what linit does not use."""
    assert booted.succeed("echo 'print(6 * 7)' | python3") == "42\n"
    assert "No module named 'sqlite3'" in booted.fail("python3 -c 'import sqlite3'")
