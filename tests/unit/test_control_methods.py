"""What each method that reads answers: linit/control/methods.py, graph_methods.py, report.py, calls.py."""

from __future__ import annotations

from typing import Any

import pytest

from linit.control.methods import HANDLERS
from linit.control.signatures import METHODS
from linit.engine.events import Ready
from linit.model.place import Fault, Place, Severity
from linit.model.service import CutEdge, Dependency, EdgeKind, Kind, Restart, RestartPolicy, Service

from .control_world import NOTIFY, WEB, error_of, result_of, runlevel, service, world


def test_every_method_of_the_table_has_a_handler_and_every_handler_is_in_the_table() -> None:
    assert set(HANDLERS) == set(METHODS)


# -- what is asked wrongly


@pytest.mark.parametrize(
    ("method", "params", "code", "message", "hint"),
    [
        ("strat", {}, "unknown_method", "no method is called 'strat'", "did you mean start?"),
        ("status", {}, "bad_params", "status: name: missing, expected a text", ""),
        ("status", {"name": 7}, "bad_params", "status: name: found 7, expected a text", ""),
        ("status", {"nmae": "web"}, "bad_params", "status: nmae: no such parameter, it takes name", ""),
        ("list", {"all": True}, "bad_params", "list: all: no such parameter, it takes after, most, keys", ""),
        ("start", {"names": []}, "bad_params", "start: names: found [], expected a list of texts", ""),
        ("start", {"names": "web"}, "bad_params", "start: names: found 'web', expected a list of texts", ""),
        ("start", {"names": ["web"], "wait": 1}, "bad_params", "start: wait: found 1, expected true or false", ""),
        ("shutdown", {"finish": "explode"}, "bad_params",
         "shutdown: finish: found 'explode', expected one of poweroff, reboot, halt, exit", ""),
        ("kill", {"name": "web", "to": "some"}, "bad_params", "kill: to: found 'some', expected one of main, all", ""),
        ("subscribe", {"topics": ["transition"]}, "bad_params",
         "subscribe: topics: found 'transition', expected transitions or told", "did you mean transitions?"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_refused_with_what_was_expected(
    method: str, params: dict[str, Any], code: str, message: str, hint: str
) -> None:
    with world(*WEB) as here:
        error = error_of(here.client(), method, **params)
        assert (error["code"], error["message"], error["hint"]) == (code, message, hint)


def test_an_unknown_service_is_refused_with_the_nearest_and_nothing_is_begun() -> None:
    with world(*WEB) as here:
        error = error_of(here.client(), "start", names=["net", "wbe"])
        assert error == {
            "code": "unknown_service",
            "message": "no service is called 'wbe'",
            "hint": "did you mean web?",
            "name": "wbe",
            "near": "web",
        }
        assert here.state("net") == "down"
        assert error_of(here.client(), "why", name="zzzz")["near"] == ""


def test_an_instance_that_nobody_names_is_told_how_to_come_into_being() -> None:
    with world(service("getty@ttyS0")) as here:
        error = error_of(here.client(), "start", names=["getty@ttyS1"])
        assert (error["message"], error["hint"], error["near"]) == (
            "no service is called 'getty@ttyS1'",
            "an instance exists once a runlevel or a service names it: linitctl enable --now getty@ttyS1",
            "getty@ttyS0",
        )


def test_a_bug_in_a_method_ends_that_call_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with world(*WEB) as here:

        def broken(call: Any, params: dict[str, Any]) -> None:
            raise ZeroDivisionError("oh")

        monkeypatch.setitem(HANDLERS, "list", broken)
        talker = here.client()
        assert error_of(talker, "list") == {
            "code": "internal",
            "message": "a bug in linit: list: ZeroDivisionError: oh",
            "hint": "please report it",
        }
        assert result_of(talker, "runlevel")["runlevel"] == ""
    assert "ZeroDivisionError: oh" in capsys.readouterr().err


# -- what is


def test_list_has_every_service_in_name_order() -> None:
    with world(*WEB) as here:
        here.start("default")
        here.loop.now_s += 5
        records = result_of(here.client(), "list")["services"]
        assert [each["name"] for each in records] == ["cache", "default", "net", "shop", "single", "web"]
        assert records[-1] == {
            "name": "web",
            "kind": "process",
            "state": "up",
            "desired": "up",
            "description": "HTTP server",
            "text": "wanted by runlevel default (runlevels/default/web)",
            "reason": {
                "cause": "runlevel", "since_s": 5.0, "of": "default", "by": "the test", "text": "",
                "place": "runlevels/default/web", "status": None, "limit_s": None,
            },
            "pid": 102,
            "pids": {"main": 102},
            "since_s": 5.0,
            "duration_s": 0.0,
            "restarts": 0,
            "runlevels": ["default"],
            "outdated": False,
            "broken": "",
            "transient": False,
            "activates": "",
            "waits_for": [],
        }  # fmt: skip


def test_status_adds_what_is_defined_and_what_the_service_says_of_itself() -> None:
    with world(service("web", readiness=NOTIFY, restart=Restart(RestartPolicy.ON_FAILURE))) as here:
        here.supervisor.held.add("web")
        here.supervisor.status_texts["web"] = "loading"
        here.start("web")
        here.loop.now_s += 20
        record = result_of(here.client(), "status", name="web")
        brief = next(each for each in result_of(here.client(), "list")["services"] if each["name"] == "web")
        assert {key: record[key] for key in brief} == brief
        assert {key: record[key] for key in record if key not in brief and key != "wish"} == {
            "place": "services/web.yaml",
            "deadline_s": 40.0,
            "finished": False,
            "last_exit": "",
            "run": ["/usr/sbin/web"],
            "readiness": "notify",
            "restart": "on_failure",
            "start_timeout_s": 60.0,
            "stop_timeout_s": 15.0,
            "user": "",
            "output": "log",
            "can_reload": False,
            "faults": [],
            "has_process": True,
            "pidfile": "",
            "conditions": [],
            "health": None,
            "watchdog_s": None,
            "enabled_as": ["web"],
            "triggers": [],
            "said": "loading",
            "usage": {},
        }


def test_deps_and_rdeps_tell_each_edge_once_with_who_wrote_it() -> None:
    with world(*WEB) as here:
        talker = here.client()
        edges = result_of(talker, "deps", name="shop")["edges"]
        assert [(each["owner"], each["kind"], each["on"], each["place"]) for each in edges] == [
            ("shop", "need", "web", "services/shop.yaml:3:3"),
            ("shop", "want", "cache", "services/shop.yaml:4:3"),
            ("web", "need", "net", "services/web.yaml:3:3"),
            ("cache", "after", "net", "services/cache.yaml:3:3"),
        ]
        edges = result_of(talker, "rdeps", name="web")["edges"]
        assert [(each["owner"], each["kind"], each["on"], each["implied"]) for each in edges] == [
            ("default", "want", "web", True),
            ("shop", "need", "web", False),
        ]


def test_rdeps_tells_who_would_stop_as_well() -> None:
    with world(*WEB) as here:
        talker = here.client()
        assert result_of(talker, "rdeps", name="net")["stops"] == []
        here.start("shop")
        assert result_of(talker, "rdeps", name="net")["stops"] == ["web", "shop"]
        assert result_of(talker, "rdeps", name="cache")["stops"] == []


def test_a_virtual_name_stops_with_its_last_provider_and_not_before() -> None:
    virtual = Service(
        "mta",
        Place("services/a.yaml", 4),
        kind=Kind.VIRTUAL,
        dependencies=tuple(Dependency(EdgeKind.PROVIDED_BY, each, Place(f"services/{each}.yaml", 4)) for each in "ab"),
    )
    with world(service("a"), service("b"), virtual, service("user", ("need", "mta"))) as here:
        talker = here.client()
        here.start("user", "a", "b")
        assert result_of(talker, "rdeps", name="a")["stops"] == []
        here.start("user")
        result_of(talker, "stop", names=["b"])
        assert result_of(talker, "rdeps", name="a")["stops"] == ["user"], "nobody stops a name"


def test_why_has_the_chain_down_to_the_root_with_ages_as_of_now() -> None:
    with world(*WEB) as here:
        here.supervisor.exits["net"] = 1 << 8
        here.start("web")
        here.loop.now_s += 30
        result = result_of(here.client(), "why", name="web")
        assert [(each["name"], each["state"], each["text"], each["since_s"]) for each in result["chain"]] == [
            ("web", "failed", "needs net, which failed (services/web.yaml:3:3)", 30.0),
            ("net", "failed", "exited with status 1", 30.0),
        ]


def test_a_service_that_waits_tells_what_it_waits_for_now() -> None:
    slow = [service(name, readiness=NOTIFY) for name in "ab"]
    with world(*slow, service("c", ("need", "a"), ("need", "b"))) as here:
        here.supervisor.held.update("ab")
        here.start("c")
        talker = here.client()
        assert result_of(talker, "status", name="c")["text"] == "waits for a and 1 more"
        here.supervisor.dispatch(Ready("a"))
        assert result_of(talker, "status", name="c")["text"] == "waits for b"


def test_faults_are_those_of_the_plan_with_the_edges_that_were_cut() -> None:
    place = Place("services/web.yaml", 4, 10)
    hint = "did you mean 'net'?"
    fault = Fault(Severity.ERROR, place, "need", "'netwrok'", "a defined service", hint, "web")
    cut = CutEdge("net", Dependency(EdgeKind.AFTER, "web", Place("services/net.yaml", 9)), ("net", "web"))
    with world(*WEB, faults=(fault,), cuts=(cut,), compiler="0.1.0", compiled_at=5.0) as here:
        assert result_of(here.client(), "faults") == {
            "faults": [
                {
                    "severity": "error",
                    "place": "services/web.yaml:4:10",
                    "key": "need",
                    "found": "'netwrok'",
                    "expected": "a defined service",
                    "hint": "did you mean 'net'?",
                    "service": "web",
                    "text": "services/web.yaml:4:10: need: found 'netwrok', expected a defined service; " + hint,
                }
            ],
            "cuts": [
                {"owner": "net", "on": "web", "kind": "after", "place": "services/net.yaml:9", "cycle": ["net", "web"]}
            ],
            "compiled_at": 5.0,
            "compiler": "0.1.0",
        }  # fmt: skip


def test_modules_are_those_that_are_loaded() -> None:
    with world() as here:
        assert {"linit.control.server", "sys"} <= set(result_of(here.client(), "modules")["modules"])


def test_the_report_tells_the_boot_and_what_linit_costs() -> None:
    members = [service("net", readiness=NOTIFY), service("web", ("need", "net")), service("bad")]
    with world(*members, runlevel("default", "web", "bad")) as here:
        here.supervisor.held.add("net")
        here.supervisor.exits["bad"] = 256
        here.start("default")
        here.loop.now_s += 2
        here.supervisor.dispatch(Ready("net"))
        here.loop.now_s += 60
        report = result_of(here.client(), "report")
        assert {each["name"]: each for each in report["services"]} == {
            "bad": {"name": "bad", "outcome": "failed", "wait_s": 0.0, "start_s": 0.0, "at_s": 0.0},
            "default": {"name": "default", "outcome": "up", "wait_s": 2.0, "start_s": 0.0, "at_s": 2.0},
            "net": {"name": "net", "outcome": "up", "wait_s": 0.0, "start_s": 2.0, "at_s": 2.0},
            "web": {"name": "web", "outcome": "up", "wait_s": 2.0, "start_s": 0.0, "at_s": 2.0},
        }
        keys = ("runlevel", "is_finished", "total_s", "failed", "wakeups", "orphans_reaped")
        chosen = {key: report[key] for key in keys}
        assert chosen == {
            "runlevel": "default",
            "is_finished": True,
            "total_s": 2.0,
            "failed": ["bad"],
            "wakeups": 7,
            "orphans_reaped": 2,
        }
        assert report["memory"]["rss_bytes"] > 1 << 20


# -- what happens


def test_a_subscriber_gets_a_snapshot_and_then_every_transition_in_order() -> None:
    with world(*WEB) as here:
        watcher = here.client()
        snapshot = result_of(watcher, "subscribe", topics=["transitions"])
        assert sorted(snapshot) == ["boot_state", "more", "runlevel", "services"]
        here.start("default")
        seen: list[tuple[Any, ...]] = []
        while not seen or seen[-1][0] != "boot_finished":
            frame = watcher.frame() or []
            seen.append((frame[1], frame[2][0].get("name"), frame[2][0].get("after")))
        assert [after for _, name, after in seen if name == "net"] == ["starting", "up"]
        assert seen.index(("transition", "net", "up")) < seen.index(("transition", "web", "starting"))
        assert seen[-1] == ("boot_finished", None, None)


def test_who_subscribes_while_effects_are_being_performed_is_answered_when_these_have_been_told() -> None:
    """The engine is ahead of what is told then: the snapshot would have what comes once more, or go back in time."""
    with world(*WEB) as here:
        watcher = here.client()
        here.supervisor.is_behind = True
        asked = watcher.ask("subscribe", topics=["transitions"])
        result_of(watcher, "runlevel")
        here.start("default")
        here.supervisor.is_behind = False
        (answer,) = here.supervisor.on_done
        answer()
        frame = watcher.frame() or []
        assert frame[1:3] == [asked, None]
        assert {each["state"] for each in frame[3]["services"] if each["name"] == "web"} == {"up"}


def test_only_the_topics_that_were_asked_for_are_told() -> None:
    with world(*WEB) as here:
        watcher = here.client()
        result_of(watcher, "subscribe", topics=["told"])
        here.start("web")
        assert result_of(watcher, "runlevel")["runlevel"] == ""
