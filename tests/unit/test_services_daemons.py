"""What holds for the definitions in services/daemons: of programs that Panux does not ship. Source: issue 4, "Shown
with real daemons"; each is run with its program in tests/integration/test_daemons_*.py."""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from linit.model.service import EdgeKind, Kind, Plan, ReadinessKind, RestartPolicy, Service
from tests.unit.shipped_services import INSTALLED, REPOSITORY, SERVICES, install, plan, plan_of

DAEMONS = SERVICES / "daemons"
FILES = sorted(DAEMONS.glob("*.yaml"))
ACCOUNTS = ("root", "redis", "postgres", "memcache", "www-data")
MISSING_PROGRAM = "an installed program"  # this machine need not have them


@functools.cache
def whole() -> Plan:
    """The plan of a machine that has all that is shipped."""
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        for file in FILES:
            shutil.copy(file, Path(folder) / INSTALLED.lstrip("/"))
        for name in ("passwd", "group"):
            (Path(folder) / "etc" / name).write_text("".join(f"{account}:x:0\n" for account in ACCOUNTS))
        return plan_of(Path(folder))


def daemons() -> dict[str, Service]:
    """The services of services/daemons by name."""
    return {
        service.name: service for service in whole().services
        if service.kind is not Kind.VIRTUAL and file_of(service) in FILES
    }  # fmt: skip


def file_of(service: Service) -> Path:
    """The file that defines a service, if it is one of these."""
    return DAEMONS / Path(service.place.file).name


PROCESSES = sorted(name for name, service in daemons().items() if service.kind.is_daemon)
ACCEPTING = sorted(name for name, service in daemons().items() if service.kind is Kind.SOCKET and not service.activates)
"""A process for each connection."""
ONESHOTS = sorted(name for name, service in daemons().items() if service.kind is Kind.ONESHOT)


def test_beside_what_panux_ships_they_verify_without_a_fault() -> None:
    """No name is taken, nothing that they depend on lacks, no loop: `linitctl verify`."""
    assert [str(fault) for fault in whole().faults if fault.expected != MISSING_PROGRAM] == []
    assert whole().cuts == ()
    assert [service.name for service in whole().services if service.broken] == []


def test_each_file_has_one_daemon_and_what_that_needs() -> None:
    """`linitctl enable` takes the daemon; the rest follows."""
    assert sorted(file.stem for file in FILES) == sorted([*PROCESSES, *ACCEPTING])
    for name, service in daemons().items():
        assert name.startswith(file_of(service).stem)


def test_panux_has_none_of_their_names() -> None:
    """A file in a stronger folder would replace one of Panux's, whole."""
    assert not set(daemons()) & {service.name for service in plan().services if service.kind is not Kind.VIRTUAL}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_daemon_says_when_it_is_ready(name: str) -> None:
    """By itself: no probe, no time that is waited. One that forks says it by the end of its command."""
    service = daemons()[name]
    assert service.readiness.kind is not ReadinessKind.PROBE
    assert (service.kind is Kind.FORKING) == (service.readiness.kind is ReadinessKind.NONE)
    assert (service.kind is Kind.FORKING) == bool(service.pidfile)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_daemon_is_back_when_it_dies_and_its_stop_has_a_limit(name: str) -> None:
    """Whatever the status: none of them has a reason to end by itself."""
    service = daemons()[name]
    assert service.restart.policy is RestartPolicy.ALWAYS
    assert service.start_timeout_s is not None and service.stop_timeout_s is not None


@pytest.mark.parametrize("name", [*PROCESSES, *ACCEPTING])
def test_a_daemon_is_run_without_a_shell(name: str) -> None:
    """Nothing is to be decided there."""
    service = daemons()[name]
    commands = [each for each in (service.run, service.reload) if each is not None]
    commands += [*service.pre, *service.post, *service.stop]
    assert [command.argv for command in commands if command.argv[0].endswith("sh")] == []


@pytest.mark.parametrize("name", [*PROCESSES, *ACCEPTING])
def test_a_daemon_that_stays_root_says_why(name: str) -> None:
    """It is another user by `user:`, or its file tells who it is and until when."""
    service = daemons()[name]
    assert service.execution.user or re.search(r"^# .*\broot\b", (DAEMONS / f"{name}.yaml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", [*PROCESSES, *ACCEPTING])
def test_a_daemon_can_reload_or_its_file_says_why_not(name: str) -> None:
    """As `linitctl reload` would ask."""
    service = daemons()[name]
    text = " ".join((DAEMONS / f"{name}.yaml").read_text().replace("#", "").split())
    assert service.reload or service.reload_signal or "nothing to reload" in text


@pytest.mark.parametrize("name", [*PROCESSES, *ACCEPTING, *ONESHOTS])
def test_each_says_what_it_is_for(name: str) -> None:
    """`linitctl list` shows it."""
    assert daemons()[name].description


@pytest.mark.parametrize("name", [*PROCESSES, *ACCEPTING, "redis", "nginx", "dropbear"])
def test_each_is_run_with_its_program(name: str) -> None:
    """An integration test defines it by its file."""
    tests = "".join(file.read_text() for file in (REPOSITORY / "tests/integration").glob("test_daemons_*.py"))
    assert re.search(rf'machine\.define\(\s*"{name}"', tests)


def test_what_listens_for_another_is_open_before_anybody_may_want_it() -> None:
    """The bus is what most of a machine waits for: its socket waits for a file system, and for nothing else."""
    everything = {service.name: service for service in whole().services}
    assert everything["dbus.socket"].activates == "dbus"
    assert {edge.on for edge in everything["dbus.socket"].dependencies} <= {"localmount", "sysinit", "dbus"}


@pytest.mark.parametrize(("one", "other"), [("nginx", "nginx-forking"), ("dropbear", "dropbear-accept")])
def test_two_ways_to_run_one_program_exclude_each_other(one: str, other: str) -> None:
    """They would take the same port: the one that is started stops the other."""
    assert one in {edge.on for edge in daemons()[other].dependencies if edge.kind is EdgeKind.CONFLICTS}
