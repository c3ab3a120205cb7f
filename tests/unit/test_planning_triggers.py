"""What plans of a boot, graphs, impacts and dry runs tell of daemons in the background and of what starts services."""

from __future__ import annotations

from pathlib import Path

import pytest

from linit import compiler
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.model.paths import Paths
from linit.model.service import Kind, Plan
from linit.model.state import UnitState
from linit.planning import __main__ as planner
from linit.planning import boot_plan, dot, dry_run, svg, text, world
from linit.planning.durations import Durations, failing
from linit.planning.impact import Booted

SERVICES = {
    "web": "listen: {tcp: 80}",
    "backup": "kind: oneshot\nschedule: {every: 1h}",
    "old": "kind: forking\nready: {tcp: 81}\nneed: web",
    "sshd": "listen: {tcp: 22, on_demand: true}\nneed: keys\nrun: [/usr/sbin/sshd]",
    "inetd-ssh": "listen: {tcp: 23, accept: true}\nrun: [/usr/sbin/dropbear, -i]",
    "keys": "kind: oneshot",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder in which all of these are enabled but keys."""
    (tmp_path / "services").mkdir()
    (tmp_path / "runlevels/default").mkdir(parents=True)
    for name, written in SERVICES.items():
        run = "" if "run:" in written else "run: [/bin/sh]\n"
        (tmp_path / "services" / f"{name}.yaml").write_text(f"{run}{written}\n")
        if name != "keys":
            (tmp_path / "runlevels/default" / name).touch()
    return tmp_path


@pytest.fixture
def plan(folder: Path) -> Plan:
    made = compiler.build(compiler.Place(Paths.user(str(folder))))
    assert [str(fault) for fault in made.faults if fault.severity.value == "error"] == []
    return made


def test_a_boot_opens_sockets_and_sets_clocks_and_starts_only_what_is_not_waited_with(plan: Plan) -> None:
    found = boot_plan.of(plan, Durations())
    assert sorted(each.name for each in found.services if each.kind is not Kind.VIRTUAL) == [
        "backup.timer", "default", "inetd-ssh", "old", "sshd.socket", "web", "web.socket",
    ]  # fmt: skip
    assert {each.outcome for each in found.services} == {"up"}


def test_a_forking_service_takes_as_long_as_is_known(plan: Plan) -> None:
    """Its command and its readiness share the time."""
    found = {each.name: each for each in boot_plan.of(plan, Durations({"old": 6.0})).services}
    old = found["old"]
    assert old.starts_s is not None
    assert old.ends_s is not None
    assert old.ends_s - old.starts_s == pytest.approx(6.0, abs=0.01)
    assert (old.duration, old.after, found["web.socket"].duration) == ("known", "web", "none")


@pytest.mark.parametrize(
    ("name", "why"),
    [("old", "exited with status 3"), ("web.socket", "could not be run: it failed with status 3")],
)
def test_a_forking_service_and_a_trigger_fail_when_a_fault_is_asked_for(plan: Plan, name: str, why: str) -> None:
    machine = world.of(plan, Durations())
    unit = machine.engine.units[name]
    machine.behaviours[name] = failing(unit.service, machine.behaviour(name), 3)
    world.begin(machine)
    machine.run(until_s=0.5)
    assert str(unit.reason).partition("; ")[0] == why
    assert unit.state is not UnitState.UP


def test_the_ways_to_log_in_are_also_those_that_begin_with_a_client(plan: Plan) -> None:
    """Of a server that the first client starts it is the socket that must be up."""
    booted = Booted(plan, Durations())
    assert booted.logins == ("inetd-ssh", "sshd.socket")
    assert [each.name for each in booted.points()] == ["web"]
    lost = [(each.name, each.is_lost, each.after_failure_s is None) for each in booted.impact("sshd.socket").logins]
    assert lost == [("inetd-ssh", False, False), ("sshd.socket", True, True)]


def test_a_socket_that_is_closed_takes_its_service_down(plan: Plan) -> None:
    assert Booted(plan, Durations()).impact("web.socket").stops == ("web", "old")


@pytest.mark.parametrize(
    ("name", "stops", "unstarted"),
    [
        ("sshd.socket", "0 services stop", "sshd by clients"),
        ("backup.timer", "0 services stop", "backup by the clock"),
        ("mail.watch", "0 services stop", "mail by its paths"),
        ("web.socket", "2 services stop", ""),  # it starts nothing: it is opened early
    ],
)
def test_the_impact_of_a_trigger_is_what_it_no_longer_starts(
    folder: Path, name: str, stops: str, unstarted: str
) -> None:
    (folder / "services/mail.yaml").write_text("run: [/bin/sh]\nwatch: {not_empty: /spool}\n")
    (folder / "runlevels/default/mail").touch()
    booted = Booted(compiler.build(compiler.Place(Paths.user(str(folder)))), Durations())
    lines = list(text.impact(booted.impact(name)))
    assert lines[0] == f"{name}: {stops} with it"
    told = [line.removeprefix("  no longer started").strip() for line in lines if line.startswith("  no longer")]
    assert told == ([unstarted] if unstarted else [])


def test_a_dry_run_tells_of_triggers_as_of_services(plan: Plan) -> None:
    machine = world.of(plan, Durations())
    world.begin(machine)
    world.settle(machine)
    engine: Engine = machine.engine
    told = dry_run.of(engine, machine.now_s, (Verb.STOP, ("web.socket",)), Durations())
    assert [line.split("(")[0].rstrip() for line in dry_run.lines(told, Durations())][:6] == [
        "+0.00 s  stop  old",
        "+0.05 s  down  old",
        "+0.05 s  stop  web",
        "+0.10 s  down  web",
        "+0.10 s  stop  web.socket",
        "+0.10 s  down  web.socket",
    ]


def test_a_graph_shows_what_starts_what(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planner.main(["graph", "--user", str(folder)]) == planner.OK
    assert capsys.readouterr().out.splitlines() == [
        "default  runlevel",
        "├─ want backup.timer",
        "│  └─ starts backup",
        "├─ want inetd-ssh",
        "├─ want old",
        "│  └─ need web",
        "│     └─ need web.socket",
        "├─ want sshd.socket",
        "│  └─ starts sshd",
        "│     ├─ need keys",
        "│     └─ need sshd.socket (see above)",
        "├─ want web (see above)",
        "└─ want web.socket",
    ]


def test_a_graph_of_a_service_shows_what_starts_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planner.main(["graph", "--around", "backup", "--user", str(folder)]) == planner.OK
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "",
        "backup, from the other side",
        "└─ started by backup.timer",
        "   └─ wanted by default",
    ]


def test_every_kind_has_a_shape_and_every_edge_a_look() -> None:
    assert set(dot.SHAPES) == set(Kind)
    assert dot.EDGES.keys() == set(svg.LEGENDS) - {"cut", "loop"}
