"""`linitctl boot-plan`: what a boot of the definitions on disk would do. Source: issue 3, "It explains itself"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linit import compiler
from linit.planning import __main__ as planner
from linit.planning import boot_plan
from linit.planning.durations import Durations
from tests.simulation.graphs import plan

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
        "durations: 1 known, 1 assumed to be 0.10 s (?)\n"
        "\n"
        "WAVE  STARTS  UP      TAKES       SERVICE  AFTER\n"
        "0     0.00 s  1.50 s  1.50 s   *  db\n"
        "1     1.50 s  1.60 s  0.10 s?  *  web      need db\n"
        "2     1.60 s  1.60 s           *  default  want web\n"
        "\n"
        "critical path (*): db 1.50 s > web 0.10 s\n"
    )


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
