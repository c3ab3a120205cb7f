"""linitctl boot-plan, impact and graph against a real linit: durations of this boot, definitions on disk."""

from __future__ import annotations

import json

from tests.integration.running import Running
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
