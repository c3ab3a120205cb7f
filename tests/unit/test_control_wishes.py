"""What each method that changes something answers: linit/control/wish_methods.py."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from linit.control.authorisation import Peer
from linit.control.wish_methods import signal_name
from linit.model.place import Fault, Place, Severity
from linit.model.service import Plan

from .control_world import NOTIFY, WEB, Talker, World, error_of, outcomes, result_of, service, world


def test_start_answers_when_it_is_up_and_stop_when_it_is_down() -> None:
    with world(*WEB) as here:
        talker = here.client()
        assert outcomes(result_of(talker, "start", names=["web", "web"])) == ["done", "web: done"]
        assert here.state("web") == "up"
        assert outcomes(result_of(talker, "stop", names=["web"])) == ["done", "web: done"]
        assert here.state("web") == "down"


def test_a_start_that_fails_says_why() -> None:
    with world(*WEB) as here:
        here.supervisor.exits["net"] = 1 << 8
        assert result_of(here.client(), "start", names=["net"]) == {
            "outcome": "failed",
            "results": [{"name": "net", "outcome": "failed", "text": "failed: exited with status 1"}],
        }


def test_without_wait_the_answer_comes_at_once() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        assert outcomes(result_of(here.client(), "start", names=["web"], wait=False)) == ["accepted", "web: accepted"]
        assert here.state("web") == "starting"


def test_a_later_wish_replaces_an_earlier_one_which_is_told() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        first, second = here.client(), here.client()
        first.ask("start", names=["web"])
        here.loop.run_until(lambda: here.state("web") == "starting")
        assert outcomes(result_of(second, "stop", names=["web"])) == ["done", "web: done"]
        frame = first.frame() or []
        assert outcomes(frame[3]) == ["superseded", "web: superseded"]


def test_stop_without_cascade_is_refused_when_others_would_stop() -> None:
    with world(*WEB) as here:
        here.start("shop")
        result = result_of(here.client(), "stop", names=["net"], cascade=False)
        assert (result["outcome"], result["results"][0]["text"]) == ("failed", "web would stop with it")


def test_restart_takes_those_along_that_need_it_unless_only() -> None:
    with world(*WEB) as here:
        here.start("shop")
        talker = here.client()

        def pids() -> list[Any]:
            return [here.supervisor.engine.units[name].pids for name in ("web", "shop")]

        before = [dict(each) for each in pids()]
        assert outcomes(result_of(talker, "restart", names=["web"], only=True)) == ["done", "web: done"]
        assert [one != other for one, other in zip(before, pids(), strict=True)] == [True, False]
        before = [dict(each) for each in pids()]
        assert outcomes(result_of(talker, "restart", names=["web"])) == ["done", "web: done"]
        assert [one != other for one, other in zip(before, pids(), strict=True)] == [True, True]


def test_reload_of_a_service_that_cannot_fails() -> None:
    with world(*WEB, service("hup", reload_signal=signal.SIGHUP)) as here:
        here.start("web", "hup")
        here.supervisor.stubborn.add("hup")
        talker = here.client()
        assert outcomes(result_of(talker, "reload", names=["hup"])) == ["done", "hup: done"]
        assert outcomes(result_of(talker, "reload", names=["web"])) == ["failed", "web: failed"]


def test_reset_forgets_a_failure() -> None:
    with world(*WEB) as here:
        here.supervisor.exits["net"] = 1 << 8
        here.start("net")
        assert here.state("net") == "failed"
        assert outcomes(result_of(here.client(), "reset", names=["net"])) == ["done", "net: done"]
        assert here.state("net") == "down"


@pytest.mark.parametrize("named", ["HUP", "SIGHUP", "hup", "1", 1])
def test_kill_takes_a_signal_by_name_or_number(named: str | int) -> None:
    with world(*WEB) as here:
        here.start("web")
        result = result_of(here.client(), "kill", name="web", signal=named)
        assert result == {"outcome": "done", "signal": "SIGHUP", "pids": [102]}
        assert here.supervisor.signals == [("web", 1, "main")]


def test_kill_needs_a_process_and_a_signal_that_exists() -> None:
    with world(*WEB) as here:
        talker = here.client()
        error = error_of(talker, "kill", name="web", signal="KILL", to="all")
        text = "web is down: there is no process to send SIGKILL to"
        assert (error["code"], error["message"]) == ("not_possible", text)
        error = error_of(talker, "kill", name="web", signal="KILLL")
        assert (error["code"], error["message"], error["hint"]) == (
            "bad_params", "no signal is called 'KILLL'", "did you mean KILL?",
        )  # fmt: skip
        assert error_of(talker, "kill", name="web", signal=0)["code"] == "bad_params"
        assert error_of(talker, "kill", name="web", signal=65)["code"] == "bad_params"


def test_a_real_time_signal_has_a_number_only() -> None:
    assert (signal_name(15), signal_name(40)) == ("SIGTERM", "signal 40")


def test_runlevel_tells_and_switches() -> None:
    with world(*WEB) as here:
        here.start("default")
        talker = here.client()
        assert result_of(talker, "runlevel") == {
            "runlevel": "default",
            "boot_state": "running",
            "runlevels": ["default", "single"],
        }
        assert result_of(talker, "runlevel", name="single")["outcome"] == "done"
        assert (here.state("web"), result_of(talker, "runlevel")["runlevel"]) == ("down", "single")
        error = error_of(talker, "runlevel", name="singel")
        assert (error["code"], error["hint"]) == ("unknown_service", "did you mean single?")
        assert error_of(talker, "runlevel", name="web")["hint"] == "the runlevels are default, single"


def test_reload_plan_answers_with_the_difference_and_the_faults() -> None:
    with world(*WEB) as here:
        here.start("shop")
        changed = {each.name: replace(each, digest=f"{each.name}-2") for each in WEB if each.name in ("web", "single")}
        kept = [changed.get(each.name, each) for each in WEB if each.name != "cache"]
        fault = Fault(Severity.WARNING, Place("services/new.yaml", 2), "run", "'x'", service="new")
        here.supervisor.next_plan = Plan((*kept, service("new")), (fault,))
        result = result_of(here.client(), "reload_plan")
        assert [each["text"] for each in result.pop("faults")] == ["services/new.yaml:2: run: found 'x'"]
        assert result == {
            "outcome": "done", "added": ["new"], "removed": ["cache"], "changed": ["single"], "outdated": ["web"],
            "kept": [],
        }  # fmt: skip


def test_reload_plan_without_a_plan_is_refused_with_what_the_compiler_said() -> None:
    with world(*WEB) as here:
        assert error_of(here.client(), "reload_plan") == {
            "code": "not_possible",
            "message": "no new plan: the compiler exited with status 3: no space left on device",
            "hint": "see: linitctl verify",
        }


@pytest.mark.parametrize(("mode", "finish"), [("system", "poweroff"), ("system", "reboot"), ("user", "exit")])
def test_shutdown_is_answered_when_it_has_begun(mode: str, finish: str) -> None:
    with world(*WEB, mode=mode) as here:
        here.start("shop")
        talker = _writer(here)
        assert result_of(talker, "shutdown", finish=finish) == {"outcome": "accepted", "finish": finish}
        here.loop.run_until(lambda: here.supervisor.finished)
        assert [each.value for each in here.supervisor.finished] == [finish]


@pytest.mark.parametrize(
    ("mode", "finish", "can"), [("system", "exit", "poweroff, reboot or halt"), ("user", "halt", "exit")]
)
def test_shutdown_to_what_this_supervisor_cannot_do_is_refused(mode: str, finish: str, can: str) -> None:
    with world(*WEB, mode=mode) as here:
        error = error_of(_writer(here), "shutdown", finish=finish)
        assert (error["code"], error["hint"]) == ("not_possible", f"it can do {can}")


def _writer(here: World) -> Talker:
    return here.talker_of(Peer(312, 0, 0)).hello()
