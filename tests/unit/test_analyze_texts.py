"""What `linitctl analyze` tells a person, whole. Source: ctl/README.md, "Where the time of a boot goes"."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from linitctl import analyze_tables
from linitctl.style import Style, clock

from linit.planning import analyze, world
from linit.record import recorder
from linit.record.ring import Ring
from linit.runtime.boot_costs import told_exec_s
from tests.unit.recorded import deliver
from tests.unit.test_analyze import NOON, SHOP, TIMES, booting

PLAIN = Style(has_colour=False)
Analyze = Callable[..., dict[str, Any]]


@pytest.fixture
def analyzed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Analyze:
    """The program's JSON about two recorded boots: -1, and 0, in which the database was faster."""
    for seconds in (TIMES, TIMES | {"db": 1.0}):
        machine, _ = booting(SHOP, **seconds)
        source, to = recorder.Recorder(machine.engine, 0.0), Ring(str(tmp_path))
        machine.on_event = lambda machine, event, source=source: source.note(event, machine.now_s)
        for mark, at_s in (("kernel", -3.0), ("exec", -2.0), ("linit", -1.75), ("loop", 0.25)):
            source.note_mark(recorder.Mark(mark), at_s)
        source.note_load(0.0, 2000, 200, 3800, cpus=2)
        world.begin(machine)
        world.settle(machine)
        source.note_cpu(4.0, "db", 250_000, 100_000)
        deliver(source, to)
        to.close()

    def run(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        status = analyze.main([*arguments, "--log", str(tmp_path)])
        told = capsys.readouterr()
        if status:
            return {"status": status, "err": told.err}
        found: dict[str, Any] = json.loads(told.out)
        for head in (found, found.get("before"), found.get("now")):
            if isinstance(head, dict):
                head["origin_s"] = NOON  # the clock of the machine that runs the test
        return found

    return run


BOOT = f"boot of {clock(NOON)}: default reached after"


def test_time_tells_the_phases(analyzed: Analyze) -> None:
    assert list(analyze_tables.time(analyzed("time", "--boot", "-1"), PLAIN)) == [
        f"{BOOT} 7.500 s",
        "",
        "MOMENT                      AT    AFTER",
        "linit executed         1.000 s  1.000 s  kernel and initramfs; the firmware's time is not known",
        "first line of linit    1.250 s  0.250 s  the interpreter",
        "plan loaded            3.000 s  1.750 s  its modules, and the plan",
        "first service spawned  3.000 s  0.000 s",
        "event loop runs        3.250 s  0.250 s  the first services, and the control socket",
        "default reached        7.500 s  4.250 s",
        "",
        "AT: since the beginning of the kernel. AFTER: since the moment before.",
    ]


def test_blame_tells_the_longest_start_first(analyzed: Analyze) -> None:
    assert list(analyze_tables.blame(analyzed("blame", "--boot", "-1"), PLAIN)) == [
        f"{BOOT} 7.500 s",
        "",
        "   TOOK      CPU   QUEUED   WAITED       AT     SERVICE",
        "3.000 s  0.250 s  0.100 s  1.000 s  7.000 s  *  db",
        "2.000 s                    0.000 s  5.000 s     mail",
        "1.000 s                    1.000 s  5.000 s     cache",
        "1.000 s                    0.000 s  4.000 s  *  disk",
        "0.500 s                    4.000 s  7.500 s  *  shop",
        "",
        "* is on the critical path. QUEUED is for a processor. WAITED is for others, before its start.",
        "AT: since the beginning of the kernel.",
        "The CPU time of 4 is not known: they had no cgroup, or nothing ran for them.",
    ]


def test_the_critical_path_tells_the_chain_and_why(analyzed: Analyze) -> None:
    assert list(analyze_tables.critical_path(analyzed("critical-path", "--boot", "-1"), PLAIN)) == [
        f"{BOOT} 7.500 s",
        "",
        "     AT     TOOK  SERVICE                                            BECAUSE IT",
        "0.000 s  3.000 s  (before the first service: linitctl analyze time)",
        "3.000 s  1.000 s  disk",
        "4.000 s  3.000 s  db                                                 needs disk",
        "7.000 s  0.500 s  shop                                               needs db",
        "",
        "default was there after 7.500 s; the starts on its path took 4.500 s.",
    ]


def test_a_path_leads_to_the_service_that_was_asked_for(analyzed: Analyze) -> None:
    told = list(analyze_tables.critical_path(analyzed("critical-path", "mail"), PLAIN))
    assert told[3:] == [
        "0.000 s  3.000 s  (before the first service: linitctl analyze time)",
        "3.000 s  2.000 s  mail",
        "",
        "mail was there after 5.000 s; the starts on its path took 2.000 s.",
    ]


def test_what_had_no_part_in_the_boot_has_no_path(analyzed: Analyze) -> None:
    assert analyzed("critical-path", "nginx") == {"status": 3, "err": "linitctl: 'nginx' had no part in this boot\n"}


def test_a_comparison_tells_the_largest_effect_first(analyzed: Analyze) -> None:
    assert list(analyze_tables.compare(analyzed("compare", "-1", "0"), PLAIN)) == [
        f"before  {BOOT} 7.500 s",
        f"now     {BOOT} 5.500 s",
        "        -2.000 s",
        "",
        "  EFFECT   BEFORE      NOW             SERVICE",
        "-2.000 s  3.000 s  1.000 s  faster  *  db",
        "",
        "* is on the critical path of one of them. In brackets: of linit itself, not a service.",
        "4 services took as long as before, within 10 ms or a twentieth.",
    ]


def test_a_boot_that_is_not_kept_is_told_with_those_that_are(analyzed: Analyze, tmp_path: Path) -> None:
    assert analyzed("blame", "--boot", "-2") == {
        "status": 1,
        "err": f"linitctl: {tmp_path}/record: there is no recording of boot -2; there are: 0, -1\n",
    }


def test_a_picture_is_not_thrown_at_a_terminal(analyzed: Analyze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert analyzed("plot") == {
        "status": 2, "err": "linitctl: plot writes a picture: say where, with -o FILE\n",
    }  # fmt: skip


def test_everything_in_the_picture_is_there_for_programs(analyzed: Analyze) -> None:
    told = analyzed("plot", "--json", "--boot", "-1")
    (db,) = [each for each in told["services"] if each["name"] == "db"]
    assert (db["after"], db["edge"], db["cpu_s"], db["is_critical"]) == ("disk", "needs", 0.25, True)
    assert [each["state"] for each in db["spans"]] == ["waiting", "starting", "up"]
    assert [each["name"] for each in told["critical_path"]] == ["disk", "db", "shop"]
    assert told["cpus"] == 2
    assert told["load"] == [{"from_s": 0.0, "until_s": 3.0, "busy": 2 / 6, "waiting": pytest.approx(0.2 / 6)}]


@pytest.mark.parametrize(
    ("environ", "told_s"),
    [("LINIT_EXEC_S=0.01\0TERM=linux\0", 0.01), ("TERM=linux\0", None), ("LINIT_EXEC_S=soon\0", None), ("", None),
     ("LINIT_EXEC_S=-1\0", None), ("LINIT_EXEC_S=1e99\0", None), ("LINIT_EXEC_S=nan\0", None)],
)  # fmt: skip
def test_when_linit_was_executed_is_what_its_parent_says_if_that_makes_sense(environ: str, told_s: float) -> None:
    """The kernel's command line may have such a word, too: bootparam(7)."""
    assert told_exec_s(environ) == told_s
