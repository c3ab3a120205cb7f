"""A service that is up and not well any more: health probes and the sd_notify watchdog, with real processes. What the
clock decides is only how soon: no test fails on a slow machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.puppets import Puppet
from tests.integration.running import Running, is_alive

SOON = "20ms"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def puppet(linit: Running, tmp_path: Path) -> Iterator[Puppet]:
    """A service that is ready by sd_notify and respawns at once; it is not started yet."""
    puppet = Puppet(linit, tmp_path / "puppet")
    yield puppet
    puppet.close()


# -- probes


@pytest.fixture
def well(tmp_path: Path) -> Path:
    """A mark: as long as it is there, the health check succeeds. Each check adds a line to `checks`."""
    mark = tmp_path / "well"
    mark.touch()
    return mark


def check(well: Path, **keys: object) -> dict[str, object]:
    """The key `health` for that."""
    return {"script": f"echo >> {well.parent}/checks; test -e {well}", "interval": SOON, **keys}


def checks(well: Path) -> int:
    """How many have begun."""
    path = well.parent / "checks"
    return path.read_text().count("\n") if path.exists() else 0


def test_a_service_whose_check_fails_again_and_again_is_replaced(linit: Running, well: Path) -> None:
    """health: retries failures in a row; then it is as if it had crashed."""
    linit.define(
        "web", run=["/bin/sleep", "1000"], health=check(well, retries=3), restart={"policy": "always", "delay": "10ms"}
    )
    linit.boot()
    before = linit.pid("web")
    linit.ask_until(lambda: checks(well) >= 5, "five checks")
    assert linit.pid("web") == before  # it is well
    well.unlink()
    linit.wait_for_transition("web", "backoff")
    why = "no longer well: its health check failed 3 times: exited with status 1; starts again after 0.01 s"
    assert ("web", "backoff", why) in linit.transitions
    well.touch()
    linit.ask_until(lambda: linit.states["web"] == "up" and linit.pid("web") != before, "another process")
    assert not is_alive(before)


def test_one_success_forgives_all_failures(linit: Running, well: Path) -> None:
    """In a row: two failures, a success, two failures are not four. Meanwhile the status tells of them."""
    script = f"echo >> {well.parent}/checks; test $(($(wc -l < {well.parent}/checks) % 3)) = 0"
    linit.define("web", run=["/bin/sleep", "1000"], health={"script": script, "interval": SOON, "retries": 3})
    linit.boot()
    text = "health check failed 2 of 3 times: exited with status 1"
    linit.ask_until(lambda: linit.call("status", name="web")["said"] == text, "two failures")
    linit.ask_until(lambda: checks(well) >= 10, "ten checks")
    assert linit.states["web"] == "up"


def test_a_check_that_hangs_has_failed(linit: Running, tmp_path: Path) -> None:
    """timeout; it is killed with its children, and the next one does not wait for it."""
    script = f"sleep 1000 & echo $! >> {tmp_path}/hangs; wait"
    health = {"script": script, "interval": SOON, "timeout": "500ms", "retries": 1}
    linit.define("web", run=["/bin/sleep", "1000"], health=health, restart="never")
    linit.boot()
    linit.wait_for("web", "failed")
    assert linit.text("web") == "no longer well: its health check failed: has not ended within 0.5 s"
    assert linit.left() == []


def test_a_check_that_cannot_be_run_has_failed(linit: Running) -> None:
    """Nobody knows whether it is well."""
    linit.define(
        "web", run=["/bin/sleep", "1000"], health={"run": ["/nowhere/check"], "interval": SOON, "retries": 2},
        restart="never",
    )  # fmt: skip
    linit.boot()
    linit.wait_for("web", "failed")
    assert linit.text("web") == (
        "no longer well: its health check failed 2 times: exec /nowhere/check: ENOENT (no such file or directory)"
    )


def test_no_check_runs_within_the_grace(linit: Running, well: Path) -> None:
    """It may still warm up."""
    linit.define("web", run=["/bin/sleep", "1000"], health=check(well, grace="1h"))
    linit.boot()
    linit.listen(0.2)
    assert (linit.states["web"], checks(well)) == ("up", 0)


def test_a_check_that_runs_does_not_outlive_its_service(linit: Running, tmp_path: Path) -> None:
    """Nobody asks any more when it is stopped."""
    mark = tmp_path / "checking"
    health = {"script": f": > {mark}; exec sleep 1000", "interval": SOON, "timeout": "1h"}
    linit.define("web", run=["/bin/sleep", "1000"], health=health)
    linit.boot()
    linit.ask_until(mark.exists, "the check")
    linit.call("stop", names=["web"])
    assert linit.left() == []


# -- the watchdog


def test_a_service_that_says_nothing_any_more_is_replaced(puppet: Puppet) -> None:
    """watchdog: the time within which WATCHDOG=1 must come. It hangs and does not hear TERM: nobody waits for it."""
    puppet.define(watchdog="300ms", stop_timeout="100ms", restart={"policy": "always", "delay": "10ms"})
    puppet.do(DEAF)
    puppet.boot()
    linit = puppet.linit
    linit.wait_for_transition("puppet", "backoff")
    why = "no longer well: no sign of life for 0.3 s (watchdog); starts again after 0.01 s"
    assert ("puppet", "backoff", why) in linit.transitions
    puppet.do("say('READY=1\\nWATCHDOG_USEC=3600000000')")
    linit.wait_for("puppet", "up")
    assert puppet.ask("os.getpid()") == str(puppet.pid)


def test_signs_of_life_keep_it_up(puppet: Puppet) -> None:
    """As often as it likes; here for longer than one limit."""
    puppet.define(watchdog="10s", restart="never")
    puppet.boot()
    puppet.ask("[(say('WATCHDOG=1'), time.sleep(0.25)) for _ in range(50)]")
    assert puppet.status()["state"] == "up"


def test_it_is_told_of_its_watchdog(puppet: Puppet) -> None:
    """sd_watchdog_enabled(3)."""
    puppet.define(watchdog="1h")
    puppet.boot()
    asked = "[os.environ.get(name) for name in ('WATCHDOG_USEC', 'WATCHDOG_PID')]"
    assert puppet.ask(asked) == f"['3600000000', '{puppet.pid}']"


def test_it_may_say_itself_that_it_is_not_well(puppet: Puppet) -> None:
    """WATCHDOG=trigger."""
    puppet.define(watchdog="1h", restart="never")
    puppet.boot()
    puppet.do("say('WATCHDOG=trigger')")
    puppet.linit.wait_for("puppet", "failed")
    assert puppet.linit.text("puppet") == "no longer well: it says so itself (watchdog)"


def test_it_may_choose_another_limit(puppet: Puppet) -> None:
    """WATCHDOG_USEC=, also before it is up."""
    puppet.define(watchdog="1h", restart="never")
    puppet.do("say('WATCHDOG_USEC=100000')")
    puppet.boot()
    puppet.linit.wait_for("puppet", "failed")
    assert puppet.linit.text("puppet") == "no longer well: no sign of life for 0.1 s (watchdog)"


def test_one_that_hangs_gets_abrt_first(puppet: Puppet, tmp_path: Path) -> None:
    """A core, or a trace of where it hangs, is all that is ever learnt of it."""
    puppet.define(watchdog="1h", restart="never")
    trace = tmp_path / "trace"
    puppet.do(f"import faulthandler; trace = open({str(trace)!r}, 'w'); faulthandler.enable(trace)")
    puppet.boot()
    puppet.do("say('WATCHDOG=trigger'); time.sleep(1000)")
    puppet.linit.wait_for("puppet", "failed")
    assert trace.read_text().startswith("Fatal Python error: Aborted")


def test_one_that_is_stopped_by_a_signal_is_killed(puppet: Puppet) -> None:
    """SIGSTOP: it takes neither ABRT nor TERM."""
    puppet.define(watchdog="1h", stop_timeout="100ms", restart="never")
    puppet.boot()
    pid = puppet.pid
    puppet.do("say('WATCHDOG_USEC=1000000'); os.kill(os.getpid(), signal.SIGSTOP)")
    puppet.linit.wait_for("puppet", "failed")
    assert not is_alive(pid)
