"""`when`: a service that is not to start here, or not now, is down for a reason, which is no failure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from linit.runtime.virtualisation import detect
from tests.integration.running import Running

STAY = ["/bin/sleep", "1000"]


def definition(linit: Running, name: str) -> str:
    """Where it is written."""
    return f"{linit.folder}/services/{name}.yaml"


def test_a_service_starts_when_all_its_conditions_are_met(linit: Running, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    linit.define("other", run=STAY)
    when: list[dict[str, Any]] = [
        {"path": str(tmp_path / "x")},
        {"not": {"path": str(tmp_path / "y")}},
        {"not": {"cmdline": "linit.test.no.such.word"}},
        {"service": "other"},
        {"first_boot": True},
        {"run": ["/usr/bin/test", "-e", str(tmp_path / "x")]},
        {"not": {"script": "exit 3"}},
    ]
    linit.define("svc", run=STAY, when=when, after="other")
    linit.boot()
    assert linit.states["svc"] == "up"


def test_a_service_whose_condition_is_not_met_is_down_and_no_failure(linit: Running, tmp_path: Path) -> None:
    """Its dependents that want it start; `why` names the condition and where it is written."""
    linit.write("svc", f"run: [/bin/sleep, '1000']\nwhen:\n  - path: /\n  - path: {tmp_path}/x\n")
    linit.define("fan", run=STAY, want="svc")
    linit.boot()
    assert (linit.states["svc"], linit.states["fan"]) == ("down", "up")
    assert linit.text("svc") == (
        f"a condition is not met: path {tmp_path}/x does not exist ({definition(linit, 'svc')}:4:5)"
    )


def test_conditions_are_looked_at_again_at_each_start(linit: Running, tmp_path: Path) -> None:
    linit.define("svc", run=STAY, when={"path": f"{tmp_path}/x"})
    linit.boot()
    assert linit.states["svc"] == "down"
    answer = linit.call("start", names=["svc"])
    assert [result["outcome"] for result in answer["results"]] == ["done"]
    (tmp_path / "x").touch()
    linit.call("start", names=["svc"])
    linit.wait_for("svc", "up")


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"run": ["/bin/false"]}, "command /bin/false exited with status 1"),
        (
            {"run": ["/nowhere/x"]},
            "command /nowhere/x could not be run: exec /nowhere/x: ENOENT (no such file or directory)",
        ),
        ({"not": {"run": ["/bin/true"]}}, "command /bin/true ended with success"),
        ({"run": ["/bin/sleep", "1000"], "timeout": "0.1s"}, "command /bin/sleep 1000 has not ended within 0.1 s"),
        ({"script": "echo looked; exit 7"}, "command echo looked; exit 7 exited with status 7"),
        ({"cmdline": "linit.test.no.such.word"}, "linit.test.no.such.word is not on the kernel command line"),
        ({"service": "other"}, "service other is not up"),
        ({"first_boot": False}, "this is the first boot"),
        ({"virtualisation": "no-such"}, f"virtualisation is {detect()[1]}, not no-such"),
    ],
)
def test_each_kind_of_condition_says_why_it_is_not_met(linit: Running, condition: Any, text: str) -> None:
    linit.define("other", kind="oneshot", run="/bin/false", restart="never")
    linit.define("svc", run=STAY, when=condition)
    linit.boot()
    assert linit.states["svc"] == "down"
    assert linit.text("svc").startswith(f"a condition is not met: {text} ({definition(linit, 'svc')}:1:")


def test_a_stop_while_a_condition_is_looked_at_ends_its_command(linit: Running, tmp_path: Path) -> None:
    mark = tmp_path / "looks"
    linit.define("svc", run=STAY, when={"script": f"echo $$$$ > {mark}; exec sleep 1000", "timeout": "100s"})
    linit.start()
    linit.ask_until(lambda: mark.exists() and mark.read_text().endswith("\n"), "the command")
    linit.call("stop", names=["svc"])
    linit.wait_for("svc", "down")
    linit.ask_until(lambda: not _lives(int(mark.read_text())), "the end of the command")


def _lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_the_first_boot_is_the_first_that_reached_a_runlevel(tmp_path: Path) -> None:
    """Twice linit in the same folder."""
    states = []
    folder = tmp_path / "linit"
    for boot in range(2):
        linit = Running(folder) if not boot else _again(folder)
        try:
            if not boot:
                linit.define("setup", kind="oneshot", run="/bin/true", when={"first_boot": True})
            linit.boot()
            states.append((linit.states["setup"], linit.text("setup").partition(" (")[0]))
            assert linit.end() == 0
        finally:
            linit.kill()
    assert states[0][0] == "up"
    assert states[1] == ("down", "a condition is not met: this is not the first boot")


def _again(folder: Path) -> Running:
    """A supervisor in the folder of an earlier one."""
    services = folder / "services"
    services.rename(folder / "kept")
    linit = Running(folder)
    services.rmdir()
    (folder / "kept").rename(services)
    return linit
