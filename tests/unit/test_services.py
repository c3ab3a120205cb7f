"""What holds for every definition that is shipped in services/. Source: issue 2, "services/: what the VM runs"."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.model.service import Command, EdgeKind, Kind, ReadinessKind, RestartPolicy, Service
from tests.unit.shipped_services import IMAGE_ROOT, INSTALLED, SERVICES, install, plan, plan_of, services

FILES = sorted(SERVICES.glob("*.yaml"))
LINKS = sorted(SERVICES.glob("runlevels/*/*"))
PROCESSES = sorted(service.name for service in plan().services if service.kind is Kind.PROCESS)
ONESHOTS = sorted(service.name for service in plan().services if service.kind is Kind.ONESHOT)
RUNNING = sorted([*PROCESSES, *ONESHOTS])
MISSING_PROGRAM = "an installed program"  # this machine is not the image


def file_of(name: str) -> Path:
    """The file that defines a service, or the template of an instance."""
    return SERVICES / f"{name.partition('@')[0]}@.yaml" if "@" in name else SERVICES / f"{name}.yaml"


def commands(service: Service) -> Iterator[Command]:
    """Every command of a service."""
    probe = service.readiness.probe
    yield from (each for each in (service.run, service.reload, probe) if each is not None)
    yield from (*service.pre, *service.post, *service.stop)


def scripts(service: Service) -> Iterator[str]:
    """The texts among them that a shell runs."""
    yield from (command.argv[3] for command in commands(service) if command.argv[:3] == ("/bin/sh", "-e", "-c"))


def on(name: str, *kinds: EdgeKind) -> set[str]:
    """What a service depends on by edges of these kinds that its file has written."""
    return {edge.on for edge in services()[name].dependencies if edge.kind in kinds and not edge.implied}


def test_they_verify_without_a_fault() -> None:
    """Programs that only the image has are no fault of a definition."""
    assert [str(fault) for fault in plan().faults if fault.expected != MISSING_PROGRAM] == []


def test_no_dependency_is_cut_and_nothing_is_broken() -> None:
    """A shipped system has no cycles, not even soft ones."""
    assert plan().cuts == ()
    assert [service.name for service in plan().services if service.broken] == []


def test_a_machine_without_the_accounts_is_told_about_redis_and_nothing_else(tmp_path: Path) -> None:
    """Whoever installs the definitions elsewhere learns what they want of the machine."""
    install(tmp_path)
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("root:x:0\n")
    told = [str(fault) for fault in plan_of(tmp_path).faults if fault.expected != MISSING_PROGRAM]
    assert [re.sub(r":\d+:\d+: ", ": ", text) for text in told] == [
        "/usr/lib/linit/services/redis.yaml: user: found 'redis', expected a user in /etc/passwd",
        "/usr/lib/linit/services/redis.yaml: group: found 'redis', expected a group in /etc/group",
    ]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link.parent.name}/{link.name}")
def test_an_enabled_service_is_defined_and_its_link_names_the_definition(link: Path) -> None:
    """`linitctl enable` links to the file: services/README.md, Runlevels."""
    assert services()[link.name].place.line >= 0
    assert os.readlink(link) == f"{INSTALLED}/{file_of(link.name).name}"


def test_the_runlevels_stack_as_openrc_has_them() -> None:
    """sysinit, then boot, then default; single is sysinit and a shell. Source: openrc(8)."""
    runlevels = {service.name for service in plan().services if service.kind is Kind.RUNLEVEL}
    stacks = {name: {edge.on for edge in services()[name].dependencies if edge.on in runlevels} for name in runlevels}
    assert stacks == {
        "sysinit": set(), "boot": {"sysinit"}, "default": {"boot"}, "single": {"sysinit"}, "shutdown": set(),
    }  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_definition_says_what_it_is_for(file: Path) -> None:
    """`linitctl list` shows it."""
    names = [name for name in services() if file_of(name) == file]
    assert names
    assert all(services()[name].description for name in names)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_says_when_it_is_ready_or_its_file_says_why_it_cannot(name: str) -> None:
    """Readiness real where there is a way: issue 2."""
    text = file_of(name).read_text()
    if services()[name].readiness.kind is ReadinessKind.NONE:
        assert re.search(r"^#.*no `ready`", text, re.MULTILINE | re.IGNORECASE), f"{name}: no readiness and no reason"
    else:
        assert "ready:" in text


@pytest.mark.parametrize("name", RUNNING)
def test_nothing_sleeps(name: str) -> None:
    """A sleep is either too short or too long; what happened is what counts."""
    for command in commands(services()[name]):
        assert not re.search(r"\bu?sleep\b", " ".join(command.argv))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_back_when_it_dies(name: str) -> None:
    """Respawn, whatever the status: none of them has a reason to end by itself."""
    assert services()[name].restart.policy is RestartPolicy.ALWAYS


@pytest.mark.parametrize("name", ONESHOTS)
def test_a_oneshot_that_failed_is_not_tried_again_by_itself(name: str) -> None:
    """The same command would fail for the same reason."""
    assert services()[name].restart.policy is RestartPolicy.NEVER


def test_only_checks_of_file_systems_may_take_for_ever() -> None:
    """Every start and stop has a limit by default; an fsck that is cut off does harm: e2fsck(8)."""
    assert {name for name in RUNNING if services()[name].start_timeout_s is None} == {"fsck", "root-check"}
    assert [name for name in RUNNING if services()[name].stop_timeout_s is None] == []


def test_nothing_is_polled_by_a_probe() -> None:
    """Whatever is shipped says by itself that it is ready."""
    assert [name for name in RUNNING if services()[name].readiness.kind is ReadinessKind.PROBE] == []


@pytest.mark.parametrize("name", [name for name in RUNNING if list(scripts(services()[name]))])
def test_the_scripts_are_shell(name: str) -> None:
    """As `sh -n` reads them, with linit's own variables replaced."""
    for script in scripts(services()[name]):
        checked = subprocess.run(["/bin/sh", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_scripts_are_few_and_daemons_are_run_without_a_shell() -> None:
    """A shell only where there is something to decide; network must find its interface, and becomes udhcpc."""
    assert [name for name in PROCESSES if list(scripts(services()[name]))] == ["network", "single-shell"]


def test_sysinit_is_early_and_everything_that_writes_comes_after_it() -> None:
    """What sysinit starts must not wait for it; what is not early does: services/README.md, Runlevels."""
    members = {link.name for link in LINKS if link.parent.name == "sysinit"}
    waiting = {
        name for name in RUNNING
        if any(edge.implied and edge.on == "sysinit" for edge in services()[name].dependencies)
    }  # fmt: skip
    assert members.isdisjoint(waiting)
    assert set(RUNNING) - waiting - members == {
        "hwclock", "hwdrivers", "modules", "network", "sysctl",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["crond", "netmount", "nginx", "ntpd", "random-seed", "redis", "swap", "syslogd"])
def test_what_writes_to_the_disk_needs_its_file_systems(name: str) -> None:
    """A root that could not be checked stays read-only; /var may be a file system of its own."""
    assert "localmount" in on(name, EdgeKind.NEED)


def test_the_host_key_is_there_before_the_ssh_server() -> None:
    """dropbear(8): without a host key it does not start."""
    assert "dropbear-keys" in on("dropbear", EdgeKind.NEED)


def test_what_the_network_carries_needs_it_and_a_clock_does_not() -> None:
    """A machine without a network has a login and a clock: issue 2, "ntpd (tolerating no network)"."""
    needing = {name for name in RUNNING if "net" in on(name, EdgeKind.NEED)}
    assert needing == {"dropbear", "netmount", "nginx"}
    assert on("ntpd", EdgeKind.NEED) == {"localmount"}
    assert "net" in on("ntpd", EdgeKind.USE)


def test_a_login_waits_for_nothing_that_may_take_long() -> None:
    """Neither a lease nor a database that is loaded holds up a prompt."""
    seen: set[str] = set()
    todo = ["getty@ttyS0"]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(edge.on for edge in services()[name].dependencies if edge.kind is not EdgeKind.CONFLICTS)
    assert seen.isdisjoint({"network", "dropbear", "nginx", "ntpd", "redis"})


def test_openrc_names_are_provided() -> None:
    """A definition that was written for OpenRC finds `need net`, `use logger`. Source: openrc-run(8)."""
    provided = {service.name: {edge.on for edge in service.dependencies if edge.kind is EdgeKind.PROVIDED_BY}
                for service in plan().services if service.kind is Kind.VIRTUAL}  # fmt: skip
    assert provided == {
        "net": {"network"},
        "logger": {"syslogd"},
        "clock": {"hwclock"},
        "cron": {"crond"},
        "time-sync": {"ntpd"},
        "dev": {"mdev"},
        "procfs": {"api-filesystems"},
        "sysfs": {"api-filesystems"},
        "devfs": {"api-filesystems"},
        "cgroups": {"api-filesystems"},
    }


def test_nginx_reloads_by_hup_and_finishes_its_requests_when_it_stops() -> None:
    """nginx(8), control: HUP, QUIT graceful, TERM fast."""
    nginx = services()["nginx"]
    assert nginx.reload_signal == signal.SIGHUP
    assert [step.signal for step in nginx.stop_steps] == [signal.SIGQUIT, signal.SIGTERM]


def test_redis_says_by_itself_when_its_data_is_loaded_and_is_not_root() -> None:
    """redis.conf, supervised systemd: sd_notify(3)."""
    redis = services()["redis"]
    assert redis.readiness.kind is ReadinessKind.NOTIFY
    assert (redis.execution.user, redis.execution.group) == ("redis", "redis")


def test_a_seed_or_a_key_is_never_readable_by_others() -> None:
    """random(4): the seed tells what comes next."""
    assert services()["random-seed"].execution.umask == services()["dropbear-keys"].execution.umask == 0o077


def test_a_login_is_always_offered_again() -> None:
    """Ten logouts in a minute are no failure."""
    assert services()["getty@ttyS0"].restart.limit == 0


@pytest.mark.parametrize("file", sorted(file for file in IMAGE_ROOT.rglob("*") if file.is_file()), ids=str)
def test_scripts_in_the_image_are_executable_shell(file: Path) -> None:
    """What begins with #!/bin/sh is run as a program by udhcpc, `local` or the harness."""
    if not file.read_bytes().startswith(b"#!/bin/sh"):
        assert not os.access(file, os.X_OK)
        return
    assert os.access(file, os.X_OK)
    subprocess.run(["/bin/sh", "-n", file], check=True)
