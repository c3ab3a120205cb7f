"""`linit.testing`: what those who package services write tests with. Its docstrings are the specification."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from linit.planning.durations import DurationsError
from linit.planning.world import UnknownName
from linit.testing import Boot, simulate
from tests.simulation import graphs

SHOP = {
    "db": "run: [/bin/db]\nready: notify\nrestart: {policy: on_failure, delay: 1s, limit: 2}\n",
    "cache": "run: [/bin/cache]\nrestart: never\n",
    "init-db": "kind: oneshot\nrun: [/bin/init]\nneed: db\nstart_timeout: 30\n",
    "shop": "run: [/bin/shop]\nneed: init-db\nuse: cache\nready: {tcp: 80}\n",
    "spare": "run: [/bin/spare]\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A shop: shop needs init-db needs db, and uses cache; spare is not enabled."""
    for name, text in SHOP.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    enabled = tmp_path / "runlevels" / "default"
    enabled.mkdir(parents=True)
    for name in ("shop", "cache"):
        (enabled / name).touch()
    return tmp_path


@pytest.fixture
def boot(folder: Path) -> Boot:
    """Its boot; a start that takes time takes 0.1 s."""
    return simulate(folder)


def test_a_boot_starts_what_is_enabled_and_what_that_needs(boot: Boot) -> None:
    assert boot.order() == ("cache", "db", "init-db", "shop")
    assert boot.states() == {
        "cache": "up", "db": "up", "default": "up", "init-db": "up", "shop": "up", "spare": "down",
    }  # fmt: skip
    assert boot.failed() == boot.faults() == ()


def test_a_failure_takes_down_what_needs_it_and_says_so(boot: Boot, folder: Path) -> None:
    """Two respawns after the first attempt, then it is given up: DESIGN.md section 3."""
    boot.fail("db", status=3)
    assert boot.failed() == ("db", "init-db", "shop")
    assert boot.why("shop") == (
        f"shop failed: needs init-db, which failed ({folder}/shop.yaml:2:7). "
        f"init-db failed: needs db, which failed ({folder}/init-db.yaml:3:7). "
        "db failed: exited with status 3; gave up after 2 respawns within 60 s."
    )


def test_what_healed_comes_back_with_its_dependents_when_it_is_started(boot: Boot) -> None:
    boot.fail("db")
    assert boot.state("shop") == "failed"
    boot.heal("db")
    assert (boot.state("db"), boot.start("db"), boot.state("shop")) == ("failed", "done", "up")


def test_a_missing_program_is_a_failure(boot: Boot) -> None:
    boot.miss("init-db")
    assert boot.why("init-db") == "init-db failed: could not be run: execve: ENOENT."


def test_a_hanging_start_ends_with_its_timeout(boot: Boot) -> None:
    boot.hang("init-db")
    assert boot.why("init-db") == "init-db failed: not up within 30 s (starting)."


def test_what_cannot_hang_is_refused(boot: Boot) -> None:
    with pytest.raises(ValueError, match="cache cannot hang: without `ready` it is up as soon as it runs"):
        boot.hang("cache")


def test_what_runs_nothing_cannot_fail(boot: Boot) -> None:
    with pytest.raises(ValueError, match="default is a runlevel and runs nothing"):
        boot.fail("default")


def test_a_crash_is_followed_by_a_respawn_within_its_limit(boot: Boot) -> None:
    """What needs it stays up meanwhile; the third crash in a minute is one too many."""
    boot.crash("db")
    boot.crash("db")
    assert (boot.state("db"), boot.restarts("db"), boot.stops()) == ("up", 2, ())
    boot.crash("db")
    assert (boot.failed(), boot.stops()) == (("db", "init-db", "shop"), ("shop", "init-db"))
    assert boot.why("db") == "db failed: killed by SIGKILL; gave up after 2 respawns within 60 s."
    with pytest.raises(ValueError, match="db has no process that could crash: db failed: killed by SIGKILL"):
        boot.crash("db")


@pytest.fixture
def supervised() -> Boot:
    """web is started by clients, job by a clock; web needs db, which is asked whether it is well."""
    services = {
        "db": {"kind": "forking", "health": True, "restart": "always"},
        "job": {"kind": "oneshot", "remains": False, "when": True},
        "job.timer": {"kind": "timer", "activates": "job"},
        "web": {"need": ["web.socket", "db"]},
        "web.socket": {"kind": "socket", "activates": "web"},
        "default": {"kind": "runlevel", "want": ["web.socket", "job.timer"]},
    }
    return Boot(graphs.plan(services))


def test_a_trigger_starts_its_service_when_it_sees_something(supervised: Boot) -> None:
    assert supervised.state("web") == "down"
    supervised.trigger("web.socket", "a client of :80")
    assert (supervised.state("web"), supervised.state("db")) == ("up", "up")
    assert supervised.why("web") == "web is up: started by web.socket: a client of :80. " + supervised.why("web.socket")
    supervised.trigger("job.timer", "every 1h")
    assert supervised.why("job") == "job is down: exited with status 0."


def test_only_a_trigger_that_is_up_sees_something(supervised: Boot) -> None:
    with pytest.raises(ValueError, match="web is a process: it starts nothing by itself"):
        supervised.trigger("web")
    supervised.stop("web.socket")
    with pytest.raises(ValueError, match=r"web\.socket is not up, so it sees nothing: web\.socket is down: stopped by"):
        supervised.trigger("web.socket")


def test_a_service_that_is_not_well_is_restarted(supervised: Boot) -> None:
    supervised.trigger("web.socket")
    supervised.unhealthy("db")
    assert (supervised.state("db"), supervised.restarts("db"), supervised.stops()) == ("up", 1, ("db",))


def test_only_what_is_up_and_looked_after_can_be_found_unwell(supervised: Boot) -> None:
    with pytest.raises(ValueError, match=r"nobody asks whether web is well \(keys: health, watchdog\)"):
        supervised.unhealthy("web")
    with pytest.raises(ValueError, match="db is not up: db is down: nothing has asked for it"):
        supervised.unhealthy("db")


def test_a_condition_that_is_not_met_keeps_a_service_down(supervised: Boot) -> None:
    supervised.unmet("job")
    assert supervised.start("job") == "done"
    assert supervised.why("job") == "job is down: a condition is not met: command /bin/test."
    supervised.heal("job")
    supervised.trigger("job.timer")
    assert supervised.why("job") == "job is down: exited with status 0."
    with pytest.raises(ValueError, match=r"web has no conditions \(key: when\)"):
        supervised.unmet("web")


def test_time_that_passes_forgives_crashes(boot: Boot) -> None:
    """healthy_after: 10 s of uptime."""
    for _ in range(6):
        boot.crash("db")
        boot.advance(20.0)
    assert boot.state("db") == "up"


def test_times_are_those_of_the_durations_given(folder: Path) -> None:
    boot = simulate(folder, durations={"db": 2.0, "init-db": 0.5}, assumed_s=0.25)
    assert boot.time_to("cache") < 0.01
    assert boot.time_to("db") == pytest.approx(2.0)
    assert boot.time_to("shop") == pytest.approx(2.75)
    assert boot.total() == boot.time_to("shop")


def test_a_duration_can_be_said_of_one_service(boot: Boot) -> None:
    boot.takes("db", 7.0)
    assert boot.time_to("db") == pytest.approx(7.0)


def test_durations_are_read_from_a_report(folder: Path) -> None:
    """`linitctl report --json`. A start that failed, or was not over, says nothing."""
    file = folder / "report.json"
    report = [
        {"name": "db", "outcome": "up", "start_s": 3.0},
        {"name": "init-db", "outcome": "failed", "start_s": 9.0},
        {"name": "shop", "outcome": "", "start_s": None},
    ]
    file.write_text(json.dumps({"total_s": 1, "services": report}))
    assert simulate(folder, durations=file).time_to("shop") == pytest.approx(3.2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ('{"db": -1}', "db: found -1, expected seconds"),
        ('{"db": "fast"}', 'db: found "fast", expected seconds'),
        ("[]", "found neither a report (linitctl report --json) nor a map of names to seconds"),
    ],
)
def test_durations_that_make_no_sense_are_refused(folder: Path, text: str, problem: str) -> None:
    file = folder / "durations.json"
    file.write_text(text)
    with pytest.raises(DurationsError) as refused:
        simulate(folder, durations=file)
    assert str(refused.value) == f"{file}: {problem}"


def test_what_never_came_up_has_no_time(boot: Boot) -> None:
    boot.miss("cache")
    with pytest.raises(AssertionError, match="cache never came up: cache failed: could not be run"):
        boot.time_to("cache")


def test_stops_run_in_reverse_and_can_be_refused(boot: Boot) -> None:
    assert (boot.stop("db", cascade=False), boot.state("db")) == ("failed", "up")
    assert boot.stop("db") == "done"
    assert boot.stops() == ("shop", "init-db", "db")
    assert boot.why("shop").startswith("shop is down: needs init-db, which is down")


def test_a_restart_takes_dependents_along_unless_told_otherwise(boot: Boot) -> None:
    assert (boot.restart("db", only=True), boot.stops()) == ("done", ("db",))
    assert (boot.restart("db"), boot.stops()) == ("done", ("db", "shop", "init-db", "db"))
    assert boot.failed() == ()


def test_a_shutdown_takes_as_long_as_who_ignores_term(boot: Boot) -> None:
    boot.ignore_term("cache")
    assert 15.0 < boot.shut_down() < 16.0
    assert set(boot.states().values()) == {"down"}


def test_without_runlevels_everything_is_wanted(tmp_path: Path) -> None:
    """As `linit --user` has it."""
    (tmp_path / "services").mkdir()
    for name, text in SHOP.items():
        (tmp_path / "services" / f"{name}.yaml").write_text(text)
    assert simulate(tmp_path).state("spare") == "up"


def test_another_runlevel_can_be_booted_and_entered(folder: Path) -> None:
    (folder / "runlevels" / "small").mkdir()
    (folder / "runlevels" / "small" / "spare").touch()
    boot = simulate(folder, runlevel="small")
    assert boot.order() == ("spare",)
    assert (boot.switch("default"), boot.state("spare"), boot.state("shop")) == ("done", "down", "up")


def test_an_unknown_name_is_told(boot: Boot, folder: Path) -> None:
    with pytest.raises(UnknownName, match="no service is called 'bd'"):
        boot.fail("bd")
    with pytest.raises(UnknownName, match="no runlevel is called 'shop'; there are: default"):
        simulate(folder, runlevel="shop").run()
    with pytest.raises(FileNotFoundError):
        simulate(folder / "nothing")


def test_what_is_wrong_with_the_definitions_can_be_asked(folder: Path) -> None:
    (folder / "spare.yaml").write_text("run: [/bin/spare]\nned: db\n")
    boot = simulate(folder)
    assert boot.faults() == (
        f"{folder}/spare.yaml:2:1: found unknown key 'ned', expected a key of a definition; did you mean 'need'?",
    )
    assert boot.state("spare") == "failed"


def test_the_story_is_told_as_a_console_would(folder: Path) -> None:
    (folder / "runlevels/default/shop").unlink()
    boot = simulate(folder)
    boot.miss("cache")
    boot.run()
    assert boot.story().splitlines() == [
        f"    0.000 s  cache: starting (wanted by runlevel default ({folder}/runlevels/default/cache))",
        "    0.001 s  cache: failed (could not be run: execve: ENOENT)",
    ]


def test_the_plug_in_shows_what_happened_when_a_test_fails(folder: Path) -> None:
    """pytest -p linit.pytest_plugin"""
    test = folder / "test_shop.py"
    test.write_text(
        "from linit.testing import simulate\n"
        "def test_before():\n"
        f"    assert simulate({str(folder)!r}).state('shop') == 'up'\n"
        "def test_shop():\n"
        f"    boot = simulate({str(folder)!r})\n"
        "    boot.fail('init-db')\n"
        "    assert boot.state('shop') == 'up'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "linit.pytest_plugin", "-p", "no:cacheprovider", str(test)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stdout.count("simulated machine") == 1
    assert "init-db: failed (exited with status 1)" in ran.stdout


def test_the_root_of_an_image_is_read_as_it_would_read_itself(tmp_path: Path) -> None:
    services = tmp_path / "usr/lib/linit/services"
    services.mkdir(parents=True)
    (services / "a.yaml").write_text("run: [/bin/a]\n")
    enabled = tmp_path / "etc/linit/runlevels/default"
    enabled.mkdir(parents=True)
    (enabled / "a").symlink_to("/usr/lib/linit/services/a.yaml")
    assert simulate(root=tmp_path).order() == ("a",)
