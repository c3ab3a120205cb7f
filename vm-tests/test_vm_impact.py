"""What `linitctl impact` says of a stop is what a stop does, for every service of the machine. ctl/README.md."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from panux.machine.machine import Machine

pytestmark = pytest.mark.vm

ALL_IMPACTS: Final = """\
/usr/bin/python3.13 -IS - << 'END'
import dataclasses, json
from linit import compiler
from linit.model.paths import Paths
from linit.planning.durations import Durations
from linit.planning.impact import Booted
booted = Booted(compiler.build(compiler.Place(Paths.system())), Durations())
print(json.dumps({name: dataclasses.asdict(booted.impact(name)) for name in sorted(booted.units)}))
END
"""
"""What is behind `linitctl impact NAME --json`, for all names: each by itself would compile the definitions anew."""
PART: Final = ("name", "stops", "let_go", "degrades", "needs")  # of the answer; the rest is about times
RUNNING: Final = ("process", "oneshot")


def test_what_stops_with_each_service_is_what_impact_said(booted: Machine) -> None:
    """Every service that is up is stopped and started again, over PID 1's control port, which no service carries: also
    the agent's own. Virtual names count as well; what comes back is all that was there."""
    before = states(booted)
    names = [name for name, each in before.items() if each["state"] == "up" and each["kind"] in RUNNING]
    assert len(names) >= 20
    said = json.loads(booted.succeed(ALL_IMPACTS))
    asked = json.loads(booted.succeed("linitctl impact network --json"))
    assert {key: asked[key] for key in PART} == {key: said["network"][key] for key in PART}, "as a person asks it"
    wrong = {}
    for name in names:
        stopped, left = stop_and_start(booted, name, before)
        expected = {name, *said[name]["stops"], *said[name]["let_go"]}
        if stopped != expected or left:
            wrong[name] = {"too much": stopped - expected, "too little": expected - stopped, "not back": left}
    assert wrong == {}


def states(machine: Machine) -> dict[str, dict[str, Any]]:
    """All services of the machine, as PID 1 has them now."""
    return {each["name"]: each for each in machine.call("list")["services"]}


def up(machine: Machine) -> set[str]:
    """The names of those that are up."""
    return {name for name, each in states(machine).items() if each["state"] == "up"}


def stop_and_start(machine: Machine, name: str, before: dict[str, dict[str, Any]]) -> tuple[set[str], set[str]]:
    """Stops a service, starts it again; which went down with it, and which did not come back."""
    were_up = {each for each, record in before.items() if record["state"] == "up"}
    assert machine.call("stop", {"names": [name]})["outcome"] == "done"
    stopped = were_up - up(machine)
    assert machine.call("start", {"names": [name]})["outcome"] == "done"
    for other in sorted(stopped):
        machine.wait_for_service(other)
    return stopped, were_up - up(machine)
