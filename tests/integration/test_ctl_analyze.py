"""`linitctl analyze` about a real linit: this boot, the one before, one that is under way, and saved ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.integration.running import Gate, Running
from tests.integration.test_ctl import Ran, boot_again, ctl

READY = {"script": "echo >&3; exec sleep 1000", "ready": {"fd": 3}}
BURNS = {"script": "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done", "kind": "oneshot"}


@pytest.fixture
def shop(linit: Running) -> Running:
    """A linit with three services in a row and one beside them, not started."""
    linit.define("disk", **BURNS)
    linit.define("db", **READY, need="disk", description="the tables")
    linit.define("shop", **READY, need="db")
    linit.define("mail", script="exit 78", kind="oneshot")
    for name in ("disk", "db", "shop", "mail"):
        linit.enable(name)
    return linit


def told(linit: Running, *arguments: str) -> dict[str, Any]:
    """What is said to programs."""
    ran = ctl(linit, "analyze", *arguments, "--json")
    assert (ran.status, ran.err) == (0, ""), ran
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_time_knows_the_whole_of_linits_own_start(shop: Running) -> None:
    """From the exec on; in the order in which it happened."""
    shop.boot()
    found = told(shop, "time")
    assert (found["is_reached"], found["origin"], found["failed"]) == (True, "linit", ["mail"])
    moments = found["moments"]
    assert [each["what"] for each in moments] == [
        "linit executed", "first line of linit", "plan loaded", "first service spawned", "event loop runs",
        "default reached",
    ]  # fmt: skip
    times = [each["at_s"] for each in moments]
    assert None not in times
    assert times == sorted(times)
    assert times[0] == 0.0


def test_the_path_of_a_real_boot_is_its_chain_of_needs(shop: Running) -> None:
    shop.boot()
    links = told(shop, "critical-path", "shop")["links"]
    assert [(each["name"], each["edge"], each["after"]) for each in links] == [
        ("disk", "", ""), ("db", "needs", "disk"), ("shop", "needs", "db"),
    ]  # fmt: skip
    assert [one["until_s"] for one in links[:-1]] == [other["from_s"] for other in links[1:]]
    ran = ctl(shop, "analyze", "critical-path", "shop")
    assert [line.split()[-1] for line in ran.out.splitlines() if " needs " in line] == ["disk", "db"]


def test_the_picture_is_of_the_boot_and_goes_where_it_is_told(shop: Running, tmp_path: Path) -> None:
    shop.boot()
    ran = ctl(shop, "analyze", "plot", "-o", str(tmp_path / "boot.svg"))
    assert ran == Ran(0, "", "")
    written = (tmp_path / "boot.svg").read_text()
    words = {each.text for each in ElementTree.fromstring(written).iter("{http://www.w3.org/2000/svg}text")}
    assert {"disk", "db", "shop", "mail", "linit", "CPU load", "100%"} <= words
    assert ctl(shop, "analyze", "plot").out == written
    ran = ctl(shop, "analyze", "plot", "-o", str(tmp_path / "none" / "boot.svg"))
    assert (ran.status, ran.err) == (
        1, f"linitctl: {tmp_path}/none/boot.svg: No such file or directory\n",
    )  # fmt: skip


def test_the_load_of_the_machine_was_read_until_the_boot_was_over(shop: Running) -> None:
    shop.boot()
    found = told(shop, "plot")
    assert found["cpus"] >= 1
    assert all(0 <= each["busy"] <= 1 and each["from_s"] < each["until_s"] for each in found["load"])
    assert found["load"][-1]["until_s"] <= found["reached_s"]


def test_the_boot_before_is_told_and_compared(shop: Running, tmp_path: Path) -> None:
    """Also with a saved recording, read where no linit runs."""
    shop.boot()
    saved = tmp_path / "before.rec"
    assert ctl(shop, "record", "save", str(saved)).status == 0
    blamed = told(shop, "blame")["services"]
    shop.define("cache", **READY)
    shop.enable("cache")
    (shop.folder / "runlevels/default/mail").unlink()
    boot_again(shop)
    assert told(shop, "blame", "--boot", "-1")["services"] == blamed
    for before in ("-1", str(saved)):
        changes = {each["name"]: each["what"] for each in told(shop, "compare", before, "0")["changes"]}
        assert (changes["cache"], changes["mail"]) == ("new", "gone")
    ran = ctl(shop, "analyze", "blame", "--boot", "-2")
    where = f"{shop.folder}/log/record"
    assert ran == Ran(1, "", f"linitctl: {where}: there is no recording of boot -2; there are: 0, -1\n")
    assert shop.end() == 0
    assert told(shop, "blame", "--file", str(saved))["services"] == blamed
    assert told(shop, "blame", "--boot", "-1")["services"] == blamed


def test_a_boot_that_is_under_way_is_told_as_far_as_it_is(shop: Running, gate: Gate) -> None:
    shop.define("db", script=f"read line < {gate.path}; echo >&3; exec sleep 1000", ready={"fd": 3}, need="disk")
    shop.start()
    shop.wait_for("db", "starting")
    found = told(shop, "critical-path")
    assert (found["is_reached"], found["is_under_way"]) == (False, True)
    assert [each["name"] for each in found["links"]] == ["disk", "db"]
    assert told(shop, "critical-path")["ends_s"] > found["ends_s"], "up to the present"
    lines = ctl(shop, "analyze", "time").out.splitlines()
    assert ": not at default yet, after " in lines[0]
    assert [line.split()[:3] for line in lines if line.startswith("default")] == [["default", "reached", "?"]]
    gate.open()
    shop.wait(lambda: shop.has_booted, "the end of the boot")
    assert told(shop, "time")["is_reached"]


def test_what_was_asked_for_wrongly_is_told_with_what_there_is(shop: Running, tmp_path: Path) -> None:
    shop.boot()
    hint = "\nsee: linitctl analyze --help\n"
    verbs = "time, blame, critical-path, compare, plot"
    assert ctl(shop, "analyze") == Ran(2, "", f"linitctl: analyze: say what: {verbs}{hint}")
    assert ctl(shop, "analyze", "blme") == Ran(2, "", f"linitctl: analyze: found 'blme', expected {verbs}{hint}")
    ran = ctl(shop, "analyze", "critical-path", "nginx")
    assert ran == Ran(3, "", "linitctl: 'nginx' had no part in this boot\n")
    (tmp_path / "x").write_text("nothing")
    ran = ctl(shop, "analyze", "time", "--file", str(tmp_path / "x"))
    assert ran == Ran(1, "", f"linitctl: {tmp_path}/x: this is no recording of linit\n")


def test_the_cpu_time_of_a_start_is_that_of_its_cgroup(cgroup: str, shop: Running) -> None:
    """Of one that ended, too: it is read before the cgroup goes."""
    shop.boot("--cgroup", cgroup)
    found = {each["name"]: each["cpu_s"] for each in told(shop, "blame")["services"]}
    assert found["disk"] > 0
    assert found["db"] > 0
