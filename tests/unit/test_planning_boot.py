"""`linitctl boot-plan`: what a boot of the definitions on disk would do. Source: issue 3, "It explains itself"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linit import compiler
from linit.plan import codec
from linit.planning import __main__ as planner
from linit.planning import boot_plan, measured, world
from linit.planning.durations import Durations
from linit.record.recorder import Recorder
from linit.record.ring import Ring
from linit.replay import __main__ as replayer
from tests.simulation.graphs import plan
from tests.unit.recorded import deliver

SHOP = {
    "db": {"ready": True},
    "index": {"kind": "oneshot", "need": ["db"]},
    "shop": {"ready": True, "need": ["index"], "use": ["cache"]},
    "cache": {"ready": True},
    "default": {"kind": "runlevel", "want": ["shop", "cache"]},
}


def planned(services: dict[str, Any], **durations: float) -> boot_plan.BootPlan:
    return boot_plan.of(plan(services), Durations(durations))


def test_a_service_is_in_the_wave_after_what_released_it() -> None:
    found = {each.name: each for each in planned(SHOP, db=1.0, cache=9.0).services}
    assert {name: (each.wave, each.after, each.edge) for name, each in found.items()} == {
        "db": (0, "", ""), "cache": (0, "", ""), "index": (1, "db", "need"), "shop": (1, "cache", "use"),
        "default": (2, "shop", "want"),
    }  # fmt: skip
    assert found["shop"].starts_s == pytest.approx(9.0)


def test_the_critical_path_is_the_chain_on_which_the_time_goes() -> None:
    assert planned(SHOP, db=1.0, cache=9.0).critical == ("cache", "shop")
    slow_db = planned(SHOP, db=20.0, cache=9.0)
    assert slow_db.critical == ("db", "index", "shop")
    assert slow_db.total_s == pytest.approx(20.2)


def test_what_is_not_known_is_assumed_and_says_so() -> None:
    found = {each.name: each.duration for each in planned(SHOP | {"cache": {}}, db=1.0).services}
    assert found == {"db": "known", "index": "assumed", "shop": "assumed", "cache": "none", "default": "none"}


def test_a_difference_tells_earlier_later_new_gone_and_failing() -> None:
    changed = SHOP | {
        "db": {"ready": True, "need": ["disk"]},
        "disk": {"kind": "oneshot"},
        "cache": {"ready": True, "broken": "definition"},
        "default": {"kind": "runlevel", "want": ["shop", "cache"]},
    }
    before, now = planned(SHOP, cache=9.0), planned(changed, cache=9.0)
    told = {each.name: each.what for each in boot_plan.difference(before, now)}
    assert told == {
        "cache": "fails", "db": "later", "default": "earlier", "disk": "new", "index": "later", "shop": "earlier",
    }  # fmt: skip
    back = {each.name: each.what for each in boot_plan.difference(now, before)}
    assert back == {
        "cache": "recovers", "db": "earlier", "default": "later", "disk": "gone", "index": "earlier", "shop": "later",
    }  # fmt: skip
    assert boot_plan.difference(now, now) == ()


def test_a_broken_service_that_the_boot_does_not_want_is_not_told() -> None:
    found = planned(SHOP | {"other": {"broken": "definition"}})
    assert "other" not in [each.name for each in found.services]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: web needs db; both enabled; the plan compiled."""
    for name, text in {"db": "ready: notify", "web": "ready: notify\nneed: db"}.items():
        (tmp_path / "services").mkdir(exist_ok=True)
        (tmp_path / "services" / f"{name}.yaml").write_text(f"run: [/bin/sh]\n{text}\n")
        (tmp_path / "runlevels/default").mkdir(parents=True, exist_ok=True)
        (tmp_path / "runlevels/default" / name).touch()
    compiler.main(["compile", "--user", str(tmp_path)])
    return tmp_path


def test_the_plan_is_told_as_waves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    durations = folder / "durations.json"
    durations.write_text('{"db": 1.5}')
    assert planner.main(["boot-plan", "--user", str(folder), "--durations", str(durations)]) == planner.OK
    assert capsys.readouterr().out == (
        "boot of runlevel default: over after 1.60 s\n"
        "durations: 1 given, 1 assumed to be 0.10 s (?)\n"
        "\n"
        "WAVE  STARTS  UP      TAKES       SERVICE  AFTER\n"
        "0     0.00 s  1.50 s  1.50 s   *  db\n"
        "1     1.50 s  1.60 s  0.10 s?  *  web      need db\n"
        "2     1.60 s  1.60 s           *  default  want web\n"
        "\n"
        "critical path (*): db 1.50 s > web 0.10 s\n"
    )


def record_boot(folder: Path, unmet: Mapping[str, str] | None = None, **seconds: float) -> None:
    """A recorded boot of the plan in `folder` in which these starts took so long, and these conditions were not met."""
    boot = world.of(codec.load(str(folder / "run/plan.msgpack")), Durations(seconds))
    for name, text in (unmet or {}).items():
        boot.behaviours[name] = replace(boot.behaviour(name), condition=text)
    source, to = Recorder(boot.engine, 0.0), Ring(str(folder / "log"))
    boot.on_event = lambda boot, event: source.note(event, boot.now_s)
    world.begin(boot)
    world.settle(boot)
    deliver(source, to)
    to.close()


def durations_of(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, dict[str, Any]]:
    """The line about durations, and how long each start would take."""
    capsys.readouterr()
    assert planner.main(["boot-plan", "--user", str(folder), *options]) == planner.OK
    line = capsys.readouterr().out.splitlines()[1]
    planner.main(["boot-plan", "--user", str(folder), "--json", *options])
    told = json.loads(capsys.readouterr().out)
    took = {each["name"]: round(each["ends_s"] - each["starts_s"], 2) for each in told["services"]}
    return line, took


def test_starts_take_as_long_as_on_the_boots_that_are_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The median: one boot on which a disk was checked says nothing of the next. What a person gives counts before."""
    for seconds in (1.0, 40.0, 2.0):
        record_boot(folder, db=seconds, web=0.5)
    report = folder / "report.json"
    report.write_text('{"db": 7.0, "mail": 3.0}')
    (folder / "services/mail.yaml").write_text("run: [/bin/sh]\nready: notify\n")
    (folder / "runlevels/default/mail").touch()
    line, took = durations_of(folder, capsys, "--report", str(report))
    assert line == "durations: 2 measured in 3 boots, 1 as linit reports of this boot"
    assert took == {"db": 2.0, "web": 0.5, "mail": 3.0, "default": 0.0}
    given = folder / "given.json"
    given.write_text('{"web": 9.0}')
    line, took = durations_of(folder, capsys, "--durations", str(given))
    assert line == "durations: 1 given, 1 measured in 3 boots, 1 assumed to be 0.10 s (?)"
    assert took == {"db": 2.0, "web": 9.0, "mail": 0.1, "default": 0.0}


def test_what_was_measured_is_remembered_and_a_boot_that_goes_on_is_measured_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A boot that is over does not change; reading five long recordings takes seconds."""
    replayed: list[str] = []
    starts_of = measured.starts_of

    def counted(*paths: str) -> dict[str, float]:
        replayed.append(paths[0])
        return starts_of(*paths)

    monkeypatch.setattr(measured, "starts_of", counted)
    for seconds in (1.0, 2.0):
        record_boot(folder, db=seconds)
    logs, state = str(folder / "log"), str(folder / "run")
    found = [measured.of(logs, state) for _ in range(2)]
    assert (found[0], len(replayed)) == (found[1], 2)
    assert found[0].boots == 2
    assert found[0].seconds["db"] == pytest.approx(1.5)
    record_boot(folder, db=9.0)
    assert measured.of(logs, state).seconds["db"] == pytest.approx(2.0)
    assert len(replayed) == 3
    with open(replayed[-1], "ab") as file:
        file.write(b"\x93")
    measured.of(logs, state)
    assert len(replayed) == 4
    (folder / "run" / measured.CACHE).write_text('{"format": 1, "boots": {"x": 7}}')
    assert measured.of(logs, state).boots == 3, "what is damaged is measured again"


def test_recordings_that_may_not_be_read_are_named_and_the_report_is_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who is not root; the tests are, so the folder is made one that nobody can list."""
    (folder / "log").mkdir()
    (folder / "log/record").write_text("")
    report = folder / "report.json"
    report.write_text('{"db": 7.0}')
    capsys.readouterr()
    assert planner.main(["boot-plan", "--user", str(folder), "--report", str(report)]) == planner.OK
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "durations: 1 as linit reports of this boot, 1 assumed to be 0.10 s (?)",
        f"recordings: {folder}/log/record: cannot be read (Not a directory)",
    ]


def plan_of(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """What is told of the boot."""
    capsys.readouterr()
    assert planner.main(["boot-plan", "--user", str(folder), *options]) == planner.OK
    return capsys.readouterr().out.splitlines()


def test_conditions_are_taken_as_met_and_the_plan_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has recorded a boot: what was true on this machine at another time is no better guess."""
    (folder / "services/web.yaml").write_text("run: [/bin/sh]\nwhen: [{path: /x}, {first_boot: false}]\n")
    assert plan_of(folder, capsys)[1:3] == [
        "durations: 1 assumed to be 0.10 s (?)",
        "condition taken as met: web: path /x, not first_boot",
    ]


def test_conditions_come_out_as_on_the_last_boot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only those that the definition still has. What is to run at the first boot only does not run at the next."""
    sh = "run: [/bin/sh]\n"
    (folder / "services/web.yaml").write_text(f"{sh}when: {{path: /x}}\n")
    (folder / "services/db.yaml").write_text(f"{sh}when: {{first_boot: false}}\n")
    (folder / "services/mail.yaml").write_text(f"{sh}when: {{first_boot: true}}\n")
    for name in ("db", "mail"):
        (folder / "runlevels/default" / name).touch()
    compiler.main(["compile", "--user", str(folder)])
    record_boot(folder, unmet={"web": "path /x does not exist", "db": "this is the first boot"})
    lines = plan_of(folder, capsys)
    assert lines[2:4] == ["conditions as on the last boot: mail, web", "condition taken as met: db: not first_boot"]
    assert lines[lines.index("not up:") :] == [
        "not up:",
        "  mail: down: a condition is not met: this is not the first boot",
        "  web: down: a condition is not met: path /x does not exist",
    ]
    (folder / "services/web.yaml").write_text(f"{sh}when: {{path: /y}}\n")
    assert "condition taken as met: web: path /y" in plan_of(folder, capsys)


def test_a_definition_that_changed_shows_in_the_difference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    (folder / "services/web.yaml").write_text("run: [/bin/sh]\nready: notify\n")
    (folder / "runlevels/default/mail").touch()
    (folder / "services/mail.yaml").write_text("run: [/bin/sh]\nneed: nobody\n")
    assert planner.main(["boot-plan", "--diff", "--user", str(folder)]) == planner.OK
    assert capsys.readouterr().out == (
        f"against the plan in use ({folder}/run/plan.msgpack): over after 0.20 s then, 0.10 s now\n"
        "fails    mail\n"
        "earlier  default  0.20 s -> 0.10 s (-0.10 s)\n"
        "earlier  web      0.10 s -> 0.00 s (-0.10 s)\n"
    )
    assert planner.main(["boot-plan", "--diff", "--user", str(folder), "--json"]) == planner.OK
    told = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["what"]) for each in told["changes"]] == [
        ("default", "earlier"), ("mail", "fails"), ("web", "earlier"),
    ]  # fmt: skip


def test_what_would_fail_is_told_with_its_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    (folder / "services/db.yaml").write_text("run: [/bin/sh]\nneed: web\n")
    planner.main(["boot-plan", "--user", str(folder)])
    told = capsys.readouterr().out
    assert "not up:\n  db: failed: in a dependency cycle: db needs web" in told


def test_an_unknown_runlevel_or_plan_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planner.main(["boot-plan", "single", "--user", str(folder)]) == planner.UNKNOWN
    assert capsys.readouterr().err == "linitctl: no runlevel is called 'single'; there are: default\n"
    (folder / "run/plan.msgpack").unlink()
    assert planner.main(["boot-plan", "--diff", "--user", str(folder)]) == planner.FAILED
    told = f"linitctl: there is no plan {folder}/run/plan.msgpack: run 'linitctl compile'\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        (planner, ["boot-plan", "--assume", "-1"], "--assume: found '-1', expected seconds, 0 or more"),
        (planner, ["boot-plan", "--assume", "soon"], "--assume: found 'soon', expected seconds, 0 or more"),
        (replayer, ["why", "db", "--boot", "3"], "--boot: found '3', expected 0 for this boot, -1 for the one before"),
    ],
)
def test_what_is_wrong_on_a_command_line_is_said_in_the_users_words(
    capsys: pytest.CaptureFixture[str], program: Any, arguments: list[str], words: str
) -> None:
    """Who typed `linitctl` is told by `linitctl`: no other program's name, none of a function."""
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"linitctl {arguments[0]}: error: argument {words}"
