"""A graph that moves while it runs, and what linit says of it: needs asked for by scripts, refused loops, kinds of
trouble, and what a change will do to the next boot. ctl/README.md."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

SERVICES: Final = "/etc/linit/services"
RUNLEVEL: Final = "/etc/linit/runlevels/default"
RUNNING: Final = ("process", "oneshot")
SAME_S: Final = 1e-6  # what times may differ by that are one
SLEEPS: Final = "run: [sleep, '1000']\n"

ASKS: Final = """\
kind: oneshot
pre: {script: "linitctl need asked-early"}
script: |
  linitctl need asked > /tmp/asker.said 2>&1 && status=0 || status=$?
  echo "status $status" >> /tmp/asker.said
  [ -e /tmp/asked.up ]
"""
ASKED: Final = 'kind: oneshot\nscript: "sleep 1; : > /tmp/asked.up"\n'

LOOP: Final = {
    "shop": """\
pre:
  script: |
    linitctl need db > /tmp/shop.said 2>&1 && status=0 || status=$?
    echo "status $status" >> /tmp/shop.said
run: [sleep, '1000']
""",
    "db": f"{SLEEPS}need: pool\n",
    "pool": f"{SLEEPS}need: shop\n",
}

TROUBLE: Final = {
    "exits": "script: 'echo the disk is on fire >&2; exit 78'\nrestart: never\n",
    "killed": "script: 'echo about to crash; kill -SEGV $$$$'\nrestart: never\n",
    "slow": "kind: oneshot\nrun: [sleep, '1000']\nstart_timeout: 1s\n",
    "mute": "script: 'exec 3>&-; exec sleep 1000'\nready: {fd: 3}\nrestart: never\n",
    "not-there": "run: [/usr/bin/nothing-like-it]\nrestart: never\n",
    "flaps": "script: 'exit 3'\nrestart: {policy: always, delay: 50ms, limit: 2}\n",
    "leaf": f"{SLEEPS}need: branch\n",
    "branch": f"{SLEEPS}need: exits\n",
    "loop-left": f"{SLEEPS}need: loop-right\n",
    "loop-right": f"{SLEEPS}need: loop-left\n",
    "mistaken": f"{SLEEPS}need: ngnix\n",
    "mistyped": f"{SLEEPS}restrat: always\n",
    "coffee": SLEEPS,
    "tea": f"{SLEEPS}conflicts: coffee\n",
    "calm": SLEEPS,
    "unwanted": SLEEPS,
}
STARTS: Final = "exits killed slow mute not-there flaps leaf loop-left mistaken mistyped coffee calm"
WHY: Final = {  # what the answer of `linitctl why` must hold, in this order
    "exits": ("exits failed", "exited with status 78", "last lines of exits", "the disk is on fire"),
    "killed": ("killed failed", "killed by SIGSEGV", "last lines of killed", "about to crash"),
    "slow": ("slow failed", "not up within 1 s"),
    "mute": ("mute failed", "never became ready"),
    "not-there": ("not-there failed", "could not be run", "/usr/bin/nothing-like-it"),
    "flaps": ("flaps failed", "exited with status 3", "gave up after 2 respawns"),
    "leaf": ("leaf failed", "needs branch, which failed", f"{SERVICES}/leaf.yaml:2:7", "branch failed",
             f"needs exits, which failed ({SERVICES}/branch.yaml:2:7)", "exits failed", "exited with status 78",
             "the disk is on fire"),
    "loop-left": ("loop-left", "failed", "in a dependency cycle", f"{SERVICES}/loop-left.yaml:2:7",
                  f"{SERVICES}/loop-right.yaml:2:7"),
    "mistaken": ("mistaken", "failed", f"{SERVICES}/mistaken.yaml:2:7", "'ngnix'", "did you mean 'nginx'?"),
    "mistyped": ("mistyped", "failed", f"{SERVICES}/mistyped.yaml:2:1", "'restrat'", "did you mean 'restart'?"),
    "coffee": ("coffee", "down", "conflicts with tea"),
    "calm": ("calm", "down", "stopped by root", "linitctl stop calm"),
    "unwanted": ("unwanted", "down", "nothing has asked for it"),
}  # fmt: skip


def test_a_need_that_a_script_finds_while_it_starts_is_pulled_in_first(booted: Machine) -> None:
    """`linitctl need` in a pre command and in the start script; the edges are remembered."""
    define(booted, {"asker": ASKS, "asked": ASKED, "asked-early": SLEEPS})
    booted.succeed("linitctl start asker")
    order = [(each["name"], each["after"]) for each in booted.control.transitions]
    expected = [("asker", "starting"), ("asked-early", "up"), ("asked", "starting"), ("asked", "up"), ("asker", "up")]
    assert sorted(expected, key=order.index) == expected
    assert booted.succeed("cat /tmp/asker.said").splitlines()[-1] == "status 0"
    edges = {each["on"]: each for each in booted.call("deps", {"name": "asker"})["edges"] if each["owner"] == "asker"}
    for name in ("asked", "asked-early"):
        assert edges[name]["kind"] == "need"
        assert f"need {name}" in booted.succeed("linitctl deps asker")
        assert "run time" in edges[name]["place"]
    assert "pulled in by asker" in booted.succeed("linitctl why asked")


def test_a_need_that_would_close_a_loop_is_refused_and_the_script_goes_on(booted: Machine) -> None:
    """With exit status 6 and the whole loop; the service comes up all the same."""
    define(booted, LOOP)
    booted.succeed("linitctl start shop")
    said = booted.succeed("cat /tmp/shop.said").splitlines()
    assert said[0] == (
        f"db: shop would wait for db (need); db needs pool ({SERVICES}/db.yaml:2:7); "
        f"pool needs shop ({SERVICES}/pool.yaml:2:7)"
    )
    assert said[-1] == "status 6"
    assert [booted.call("status", {"name": name})["state"] for name in LOOP] == ["up", "down", "down"]


def test_why_tells_each_kind_of_trouble(booted: Machine) -> None:
    """The state, the cause and its place, down to the root; the last words of what failed."""
    define(booted, TROUBLE)
    booted.execute(f"linitctl start {STARTS}; linitctl start tea; linitctl stop calm")
    script = "".join(f"echo '== {name}'; linitctl why {name}; " for name in WHY)
    answers = dict(each.split("\n", 1) for each in booted.succeed(script).split("== ")[1:])
    for name, texts in WHY.items():
        at = 0
        for text in texts:
            assert text in answers[name][at:], f"{text!r} is not in what comes after in:\n{answers[name]}"
            at = answers[name].index(text, at) + len(text)


def test_boot_plan_tells_what_a_change_does_and_the_next_boot_is_as_it_said(machine: Machine) -> None:
    """`--diff` before a reboot; the reboot has the services, and the order of the waves, of the plan."""
    define(machine, {"added": f"{SLEEPS}need: redis\n"}, reload=False)
    machine.copy_in(b"need: slowly\n", f"{SERVICES}/nginx.d/10-later.yaml")
    machine.copy_in(b"kind: oneshot\nrun: [sleep, '2']\n", f"{SERVICES}/slowly.yaml")
    machine.succeed(f"ln -s ../../services/added.yaml {RUNLEVEL}/added; rm {RUNLEVEL}/acpid")
    changes = asked(machine, "boot-plan --diff")["changes"]
    found = {(each["name"], each["what"]) for each in changes}
    assert found >= {("added", "new"), ("slowly", "new"), ("acpid", "gone")}
    shown = [line.split()[:2] for line in machine.succeed("linitctl boot-plan --diff").splitlines()]
    for words in (["new", "added"], ["new", "slowly"], ["gone", "acpid"]):
        assert words in shown
    machine.succeed("echo '{\"slowly\": 55}' > /tmp/known.json")  # longer than any start took here
    changes = asked(machine, "boot-plan --diff --durations /tmp/known.json")["changes"]
    assert {each["name"] for each in changes if each["what"] == "later"} == {"nginx", "getty@ttyS0", "default"}

    planned = {each["name"]: each for each in asked(machine, "boot-plan")["services"]}
    machine.reboot()
    real = {each["name"]: each for each in machine.boot_report()["services"] if each["name"] != "vm-agent"}
    assert {name for name, each in planned.items() if each["outcome"] == "up"} == {
        name for name, each in real.items() if each["outcome"] == "up"
    }
    prompt = {name: each for name, each in planned.items() if each["edge"] != "idle"}
    running = {name for name, each in prompt.items() if each["kind"] in RUNNING}  # a target is up at once
    assert first_wave({name: each for name, each in real.items() if name in running}) == {
        name for name in running if prompt[name]["wave"] == 0
    }
    for name, each in prompt.items():
        if (before := each["after"]) in real:
            assert real[before]["at_s"] < began_s(real[name]) + SAME_S, f"{name} began before {before} was up"


def began_s(times: dict[str, Any]) -> float:
    """When a service of a report began to start."""
    return float(times["at_s"] - times["start_s"])


def first_wave(report: dict[str, dict[str, Any]]) -> set[str]:
    """The services of a report that began to start before any was up."""
    first_up_s = min(each["at_s"] for each in report.values())
    return {name for name, each in report.items() if began_s(each) < first_up_s - SAME_S}


def define(machine: Machine, definitions: dict[str, str], reload: bool = True) -> None:
    """Writes definitions of the administrator's, and has linit take them up."""
    for name, text in definitions.items():
        machine.copy_in(text.encode(), f"{SERVICES}/{name}.yaml")
    if reload:
        machine.execute("linitctl reload")  # its status tells of those that are broken


def asked(machine: Machine, command: str) -> dict[str, Any]:
    """What a command of linitctl answers to a program."""
    value: dict[str, Any] = json.loads(machine.succeed(f"linitctl {command} --json"))
    return value
