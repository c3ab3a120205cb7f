"""linitctl boot-plan, impact, graph and --dry-run against a real linit: durations of this boot, definitions on disk."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.running import Gate, Running
from tests.integration.test_ctl import ctl

READY = {"script": "sleep 0.2; echo >&3; exec sleep 1000", "ready": {"fd": 3}}


def test_a_boot_plan_uses_the_durations_of_this_boot(linit: Running) -> None:
    """`report` knows how long each start took; only what is new is assumed."""
    linit.define("db", **READY)
    linit.define("web", **READY, need="db")
    linit.start()
    linit.wait(lambda: linit.has_booted, "the end of the boot")
    linit.define("mail", **READY, need="web")
    told = json.loads(ctl(linit, "boot-plan", "--json").out)
    found = {each["name"]: each for each in told["services"]}
    assert {name: each["duration"] for name, each in found.items()} == {
        "db": "known", "web": "known", "mail": "assumed", "default": "none",
    }  # fmt: skip
    assert found["db"]["ends_s"] - found["db"]["starts_s"] >= 0.2
    assert told["critical_path"] == ["db", "web", "mail"]
    ran = ctl(linit, "boot-plan", "--diff")
    assert (ran.status, ran.err) == (0, "")
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [["new", "mail"], ["later", "default"]]


def test_plans_and_impacts_are_told_without_a_linit(linit: Running) -> None:
    linit.define("db", **READY)
    linit.define("web", **READY, need="db")
    assert json.loads(ctl(linit, "boot-plan", "--json").out)["critical_path"] == ["db", "web"]
    assert json.loads(ctl(linit, "impact", "db", "--json").out)["stops"] == ["web"]
    ran = ctl(linit, "impact", "bd")
    assert (ran.status, ran.err) == (3, "linitctl: no service is called 'bd'\n")


def test_what_a_generator_writes_is_there_after_a_reload(linit: Running) -> None:
    """The supervisor finds its plan out of date when an input of the generator changed."""
    linit.define("db", **READY)
    generators = linit.folder / "generators"
    generators.mkdir()
    disks = linit.folder / "disks"
    disks.write_text("")
    script = f'echo {disks}; for disk in $(cat {disks}); do echo "run: [sleep, 1000]" > "$1/cache-$disk.yaml"; done'
    (generators / "caches").write_text(f"#!/bin/sh\n{script}\n")
    (generators / "caches").chmod(0o755)
    linit.start()
    linit.wait(lambda: linit.has_booted, "the end of the boot")
    disks.write_text("a b\n")
    ran = ctl(linit, "reload")
    assert (ran.status, ran.err) == (0, "")
    listed = json.loads(ctl(linit, "list", "--all", "--json").out)
    assert {"cache-a", "cache-b"} <= {each["name"] for each in listed}
    place = json.loads(ctl(linit, "status", "cache-a", "--json").out)
    assert f"{linit.folder}/run/generated/caches/cache-a.yaml:1:1" in json.dumps(place)


DAEMON = {"script": "echo >&3; exec sleep 1000", "ready": {"fd": 3}}


@pytest.fixture
def shop(linit: Running) -> Running:
    """db <- cache <- web <- mail, one in each runlevel more; sick needs what does not exist. All but mail are up."""
    linit.define("db", **DAEMON)
    linit.define("cache", **DAEMON, need="db", pre=[["/bin/true"], ["/bin/true"]])
    linit.define("web", **DAEMON, need="cache", stop=["/bin/true"])
    linit.define("mail", **DAEMON, need="web")
    linit.define("sick", script="exit 3", kind="oneshot", need="nobody")
    for name in ("db", "cache", "web"):
        linit.enable(name)
    linit.enable("db", "single")
    linit.boot()
    return linit


@pytest.mark.parametrize(
    "words",
    [
        ("start", "mail"),
        ("stop", "db"),
        ("stop", "web", "db"),
        ("restart", "cache"),
        ("restart", "--only", "cache"),
        ("runlevel", "single"),
        ("start", "db"),
        ("start", "sick"),
        ("stop", "--no-cascade", "db"),
    ],
    ids=" ".join,
)
def test_what_a_dry_run_told_is_what_then_happens(shop: Running, words: tuple[str, ...]) -> None:
    """Every change of state, in its order; the exit status; and nothing had happened before."""
    verb, *rest = words
    heard = len(shop.transitions)
    ran = ctl(shop, verb, "--dry-run", *rest, "--json")
    told = json.loads(ran.out)
    assert ran.err == ""
    shop.call("list")
    assert shop.transitions[heard:] == [], "it did nothing"
    really = ctl(shop, verb, *rest)
    steps = len(told["steps"])
    shop.wait(lambda: len(shop.transitions) >= heard + steps, "what was foretold")  # who needs it may be up after it
    shop.call("list")
    assert [(name, after) for name, after, _ in shop.transitions[heard:]] == [
        (each["name"], each["after"]) for each in told["steps"]
    ]
    assert ran.status == really.status
    assert told["outcome"] == ("failed" if really.status else "done")


def test_a_dry_run_in_the_middle_of_a_start_goes_on_from_there(linit: Running, gate: Gate) -> None:
    """The live process becomes a simulated one in its role, that of a start in its second command."""
    linit.define("db", script=f"read line < {gate.path}; echo >&3; exec sleep 1000", ready={"fd": 3})
    linit.define("web", **DAEMON, need="db")
    linit.start()
    linit.wait_for("db", "starting")
    linit.call("status", name="db")
    told = json.loads(ctl(linit, "start", "--dry-run", "web", "--json").out)
    assert [(each["name"], each["after"]) for each in told["steps"]] == [
        ("db", "up"), ("web", "starting"), ("web", "up"), ("default", "starting"), ("default", "up"),
    ]  # fmt: skip
    told = json.loads(ctl(linit, "stop", "--dry-run", "db", "--json").out)
    heard = len(linit.transitions)
    assert ctl(linit, "stop", "db").status == 0
    linit.call("list")
    assert [(name, after) for name, after, _ in linit.transitions[heard:]] == [
        (each["name"], each["after"]) for each in told["steps"]
    ]


def test_a_dry_run_is_told_as_a_table(shop: Running) -> None:
    ran = ctl(shop, "restart", "--dry-run", "cache")
    assert (ran.status, ran.err) == (0, "")
    *rows, last = ran.out.splitlines()
    places = {name: f"{shop.folder}/services/{name}.yaml:1:" for name in ("web", "cache")}
    shown = [(row.split()[2], row.split()[3]) for row in rows]
    assert shown == [
        ("stop", "web"), ("down", "web"), ("stop", "cache"), ("down", "cache"),
        ("start", "cache"), ("up", "cache"), ("start", "web"), ("up", "web"),
    ]  # fmt: skip
    assert rows[0].startswith("+0.00 s  stop   web    (needs cache, which is down (" + places["web"])
    assert rows[2].endswith("(restarted by you)")
    assert rows[4].endswith("  start  cache  (restarted by you)")
    known = "2 measured in 1 boot|2 as linit reports of this boot"
    assert re.fullmatch(rf"in all \d+\.\d\d s; starts: ({known}); nothing was done", last)


def test_a_dry_run_says_what_would_fail_and_when_nothing_would_happen(shop: Running) -> None:
    ran = ctl(shop, "start", "--dry-run", "db")
    assert (ran.status, ran.out) == (0, "nothing would happen\n")
    ran = ctl(shop, "stop", "--dry-run", "--no-cascade", "db")
    assert (ran.status, ran.out) == (1, "nothing would happen\ndb: failed: cache would stop with it\n")
    ran = ctl(shop, "start", "--dry-run", "bd")
    assert (ran.status, ran.out, ran.err) == (3, "", "linitctl: no service is called 'bd'\n")


def test_a_dry_run_needs_the_plan_that_linit_uses(shop: Running) -> None:
    shop.define("mail", **DAEMON)
    ctl(shop, "compile")
    ran = ctl(shop, "start", "--dry-run", "mail")
    path = f"{shop.folder}/run/plan.msgpack"
    text = f"the plan in use is not there any more ({path} was compiled after linit read its plan)"
    assert (ran.status, ran.err) == (1, f"linitctl: {text}; first: linitctl reload\n")
    ctl(shop, "reload")
    assert ctl(shop, "start", "--dry-run", "mail").status == 0
