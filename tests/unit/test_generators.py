"""Generators: programs that write definitions for what only this machine knows. Source: linit/generators.py."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from linit import compiler, generators
from linit.model.place import Severity
from linit.model.service import Plan, Service
from linit.plan import codec
from linit.testing import Boot
from tests.unit.shipped_services import REPOSITORY, install

SHIPPED = REPOSITORY / "services/generators"
FOLDER = "/usr/lib/linit/generators"
GOOD = 'echo /etc/input; cp "$LINIT_ROOT/etc/input" "$1/made.yaml"'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a machine with one generator, which copies /etc/input."""
    folder = tmp_path / "root"
    generator(folder, "good", GOOD)
    put(folder, "/etc/input", "run: [/bin/sh]\n")
    return folder


def put(root: Path, name: str, text: str) -> Path:
    path = root / name[1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def generator(root: Path, name: str, script: str, folder: str = FOLDER) -> Path:
    path = put(root, f"{folder}/{name}", f"#!/bin/sh\nset -eu\n{script}\n")
    path.chmod(0o755)
    settle(path)
    return path


def settle(path: Path) -> None:
    """As if written long ago: what was written just now is compared by content, which says nothing of times."""
    os.utime(path, (1.6e9, 1.6e9))


def compiled(root: Path) -> Plan:
    compiler.main(["compile", "--root", str(root), "--generators"])
    return codec.load(f"{root}/var/lib/linit/plan.msgpack")


def names(plan: Plan) -> list[str]:
    return [service.name for service in plan.services]


def warnings(plan: Plan) -> list[str]:
    return [
        str(fault) for fault in plan.faults
        if fault.severity is Severity.WARNING and fault.expected != "an installed program"
    ]  # fmt: skip


def out_of_date(root: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    capsys.readouterr()
    compiler.main(["compile", "--root", str(root), "--generators"])
    return "up to date" not in capsys.readouterr().out


def test_what_a_generator_writes_is_in_the_plan_and_kept_for_people(root: Path) -> None:
    plan = compiled(root)
    (service,) = plan.services
    assert str(service.place) == "/var/lib/linit/generated/good/made.yaml:1:1"
    assert (root / "var/lib/linit/generated/good/made.yaml").read_text() == "run: [/bin/sh]\n"
    assert warnings(plan) == []


def test_a_plan_is_out_of_date_when_an_input_or_the_generator_changes(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled(root)
    assert not out_of_date(root, capsys)
    put(root, "/etc/input", "run: [/bin/other]\n")
    assert out_of_date(root, capsys)
    generator(root, "good", GOOD + "; echo /etc/more")
    assert out_of_date(root, capsys)
    put(root, "/etc/more", "")
    assert out_of_date(root, capsys)
    generator(root, "another", "true", "/etc/linit/generators")
    assert out_of_date(root, capsys)
    assert not out_of_date(root, capsys)


def test_an_unchanged_tree_runs_no_generator(root: Path) -> None:
    generator(root, "good", f'{GOOD}; echo >> "$LINIT_ROOT/runs"')
    compiled(root)
    compiled(root)
    assert (root / "runs").read_text() == "\n"


def test_of_the_kernel_command_line_only_the_words_that_were_asked_for_count(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another boot has other words, and other times: neither makes the plan stale."""
    generator(root, "good", 'echo "/proc/cmdline console= linit.want="')
    put(root, "/proc/cmdline", "quiet console=ttyS0\n")
    compiled(root)
    put(root, "/proc/cmdline", "debug console=ttyS0 linit.debug\n")
    assert not out_of_date(root, capsys)
    put(root, "/proc/cmdline", "debug console=ttyS0 linit.want=redis\n")
    assert out_of_date(root, capsys)


def test_people_s_definitions_are_stronger_than_generated_ones(root: Path) -> None:
    put(root, "/usr/lib/linit/services/made.yaml", "run: [/bin/mine]\n")
    (service,) = compiled(root).services
    assert str(service.place) == "/usr/lib/linit/services/made.yaml:1:1"


def test_drop_ins_and_entries_of_runlevels_can_be_generated(root: Path) -> None:
    put(root, "/etc/linit/services/web.yaml", "run: [/bin/sh]\n")
    put(root, "/etc/linit/runlevels/default/web", "")
    script = 'mkdir -p "$1/web.d" "$1/runlevels/default"; echo "need: made" > "$1/web.d/x.yaml"'
    generator(root, "extra", f'{script}; : > "$1/runlevels/default/made"')
    services = {service.name: service for service in compiled(root).services}
    assert [edge.on for edge in services["web"].dependencies] == ["made"]
    assert [edge.on for edge in services["default"].dependencies] == ["made", "web"]
    assert services["made"].runlevels == ("default",)


def test_a_stronger_folder_replaces_and_masks_generators(root: Path) -> None:
    generator(root, "good", 'echo "run: [/bin/sh]" > "$1/mine.yaml"', "/etc/linit/generators")
    assert names(compiled(root)) == ["mine"]
    put(root, "/etc/linit/generators/good", "")
    assert names(compiled(root)) == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo broken pipes >&2; exit 3", "a program that exited with status 3: broken pipes"),
        ("kill -9 $$", "a program that was killed by SIGKILL"),
        ('echo "run: [" > "$1/x.yaml"', "what is no definition ("),
        ('echo x > "$1/x.txt"', "the file 'x.txt' in its output"),
        ('mkdir -p "$1/runlevels/default"; : > "$1/runlevels/default/a b"', "the file 'runlevels/default/a b' in its"),
        ('mkfifo "$1/x.yaml"', "'x.yaml' in its output, which is no file"),
        ("echo hello", "the line 'hello' on its standard output"),
    ],
)
def test_a_generator_that_fails_or_writes_nonsense_is_named_and_left_out(root: Path, script: str, found: str) -> None:
    generator(root, "bad", f'echo "run: [/bin/sh]" > "$1/bad.yaml"; {script}')
    plan = compiled(root)
    assert names(plan) == ["made"]
    (warning,) = warnings(plan)
    assert warning.startswith(f"{FOLDER}/bad: found {found}")
    assert warning.endswith(", expected definitions; all that it wrote is left out")


def test_one_that_failed_gets_another_chance_when_what_it_looked_at_changes(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator(root, "good", 'echo /etc/ready; [ -e "$LINIT_ROOT/etc/ready" ]')
    compiled(root)
    assert not out_of_date(root, capsys)
    put(root, "/etc/ready", "")
    assert out_of_date(root, capsys)
    assert warnings(compiled(root)) == []


def test_without_a_folder_to_write_to_the_plan_is_out_of_date(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Early in a boot, perhaps; later there is one."""

    def nowhere(**_options: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory")

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", nowhere)
        assert warnings(compiled(root)) == [
            f"{FOLDER}/good: found no folder to write to (No usable temporary directory), expected definitions; "
            "all that it wrote is left out"
        ]
    assert out_of_date(root, capsys)
    assert names(compiled(root)) == ["made"]


def test_a_generator_that_hangs_is_killed_with_all_that_it_started(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "LIMIT_S", 0.3)
    generator(root, "bad", 'sleep 1000 & echo $! > "$LINIT_ROOT/pid"; wait')
    plan = compiled(root)
    assert names(plan) == ["made"]
    assert warnings(plan) == [
        f"{FOLDER}/bad: found nothing after 0.3 s, killed, expected definitions; all that it wrote is left out"
    ]
    pid = int((root / "pid").read_text())
    status = Path(f"/proc/{pid}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_cannot_be_run_is_named(root: Path) -> None:
    put(root, f"{FOLDER}/readme", "not a program\n")
    put(root, f"{FOLDER}/wrong", "#!/no/such/interpreter\n").chmod(0o755)
    assert warnings(compiled(root)) == [
        f"{FOLDER}/readme: found no executable file, expected a generator; it is not run",
        f"{FOLDER}/wrong: found a program that cannot be run (No such file or directory), expected definitions; "
        "all that it wrote is left out",
    ]


def test_for_another_machine_they_are_not_run_and_its_first_boot_makes_a_new_plan(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image is no program of this machine."""
    compiler.main(["compile", "--root", str(root)])
    plan = codec.load(f"{root}/var/lib/linit/plan.msgpack")
    assert (names(plan), plan.faults) == ([], ())
    assert out_of_date(root, capsys)
    assert names(compiled(root)) == ["made"]


def test_verify_runs_them_and_keeps_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiler.main(["verify", "--root", str(root), "--generators"])
    assert "1 service checked" in capsys.readouterr().out
    assert not (root / "var").exists()


# -- those that are shipped --------------------------------------------------------------------------------------


@pytest.fixture
def panux(tmp_path: Path) -> Path:
    """A Panux machine with the generators that are shipped."""
    folder = tmp_path / "panux"
    install(folder)
    for file in sorted(SHIPPED.iterdir()):
        generator(folder, file.name, file.read_text())
    return folder


def enabled(plan: Plan, runlevel: str) -> set[str]:
    return {service.name for service in plan.services if runlevel in service.runlevels}


def test_without_an_fstab_and_a_console_they_add_nothing(panux: Path) -> None:
    plan = compiled(panux)
    assert warnings(plan) == []
    assert not (panux / "var/lib/linit/generated").exists()


def test_each_console_of_the_kernel_has_a_login(panux: Path) -> None:
    put(panux, "/proc/cmdline", "console=tty0 console=ttyS1,115200n8 console=ttyS7 quiet\n")
    put(panux, "/sys/class/tty/console/active", "tty0 hvc0\n")
    for name in ("tty1", "ttyS1", "hvc0"):
        (panux / "sys/class/tty" / name).mkdir()
    plan = compiled(panux)
    gettys = {name for name in enabled(plan, "default") if name.startswith("getty@")}
    assert gettys == {"getty@hvc0", "getty@tty1", "getty@ttyS0", "getty@ttyS1"}
    assert warnings(plan) == []


@pytest.mark.parametrize(("words", "runlevel"), [("", "default"), ("linit.runlevel=boot", "boot"), ("S", "single")])
def test_a_service_named_on_the_kernel_command_line_starts_with_the_runlevel(
    panux: Path, words: str, runlevel: str
) -> None:
    put(panux, "/proc/cmdline", f"quiet {words} linit.want=netmount,swap linit.want=redis\n")
    services = {service.name: service for service in compiled(panux).services}
    for name in ("netmount", "swap", "redis"):
        assert runlevel in services[name].runlevels
    places = {edge.on: str(edge.place) for edge in services[runlevel].dependencies}
    assert places["netmount"] == "linit.want=netmount on the kernel command line"


FSTAB = """\
# device        point              type  options   dump pass
/dev/vda        /                  ext4  rw        0 1
/dev/vdb        /srv               ext4  rw        0 2
/dev/vdc        /srv/my\\040data's$x ext4 noauto   0 2
host:/home      /home              nfs   _netdev   0 0
/dev/vdd        none               swap  sw        0 0
tmpfs           /dev/shm           tmpfs rw        0 0
tmpfs           /srv/fast          tmpfs size=1m   0 0
"""


def needs(service: Service) -> set[str]:
    return {edge.on for edge in service.dependencies if edge.kind.is_hard}


@pytest.mark.parametrize(
    "line", ["# /dev/vdd none swap sw 0 0", "/dev/vdd none swap noauto 0 0", "swap /mnt ext4 rw 0 2"]
)
def test_swap_is_enabled_only_where_fstab_lists_some(panux: Path, line: str) -> None:
    """A boot starts nothing that has nothing to do."""
    put(panux, "/etc/fstab", f"/dev/vda / ext4 rw 0 1\n{line}\n")
    assert "swap" not in enabled(compiled(panux), "boot")


@pytest.mark.parametrize(
    "line",
    ["tmpfs /tmp tmpfs rw 0 0", "/dev/vdb /srv ext4 rw 0 0", "/dev/vdb /srv ext4 noauto 0 2", "host:/ /srv nfs rw 0 2"],
)
def test_nothing_is_checked_where_fstab_lists_nothing_to_check(panux: Path, line: str) -> None:
    """A disk is, before anything is mounted: see the test of all file systems."""
    put(panux, "/etc/fstab", f"/dev/vda / ext4 rw 0 1\n{line}\n")
    services = {service.name: service for service in compiled(panux).services}
    assert needs(services["localmount"]) == {"root"}


def test_what_is_in_memory_is_localmounts_unless_its_mount_point_must_be_made(panux: Path) -> None:
    """A service of its own is for who needs it, and makes the mount point."""
    put(panux, "/etc/fstab", "/dev/vda / ext4 rw 0 1\n/dev/vdb /srv ext4 rw 0 0\n"
        "tmpfs /tmp tmpfs rw 0 0\ntmpfs /tmp2 tmpfs rw 0 0\ntmpfs /srv/fast tmpfs rw 0 0\n")  # fmt: skip
    for folder in ("tmp", "srv/fast"):
        (panux / folder).mkdir(parents=True)
    plan = compiled(panux)
    mounts = {service.name for service in plan.services if service.name.startswith("mount-")}
    assert mounts == {"mount-srv", "mount-tmp", "mount-tmp2", "mount-srv-fast"}
    assert enabled(plan, "boot") & mounts == mounts - {"mount-tmp"}


@pytest.mark.parametrize("path", ["/etc/modules", "/usr/lib/modules-load.d/sound.conf", "/run/modules-load.d/a.conf"])
def test_modules_are_loaded_only_where_a_file_lists_some(panux: Path, path: str) -> None:
    """modules-load.d(5)."""
    put(panux, path, "# none yet\n\n; nor here\n")
    assert "modules" not in enabled(compiled(panux), "boot")
    put(panux, path, "# none yet\nsnd-dummy index=1\n")
    assert "modules" in enabled(compiled(panux), "boot")


def test_each_file_system_of_fstab_is_a_service(panux: Path) -> None:
    put(panux, "/etc/fstab", FSTAB)
    plan = compiled(panux)
    services = {service.name: service for service in plan.services}
    mounts = {name for name in services if name.startswith("mount-")}
    assert mounts == {"mount-srv", "mount-srv-my_data_s_x", "mount-srv-fast", "mount-home"}
    assert enabled(plan, "boot") & mounts == {"mount-srv", "mount-srv-fast"}
    assert enabled(plan, "default") & mounts == {"mount-home"}
    assert "swap" in enabled(plan, "boot")
    inner = services["mount-srv-my_data_s_x"]
    assert inner.run is not None
    assert inner.run.argv[-2:] == ("/srv/my\\040data's$x", "/srv/my data's$x")
    assert needs(inner) == {"root", "fsck", "mount-srv"}
    assert needs(services["mount-srv-fast"]) == {"root", "mount-srv"}, "what is on no disk needs no check of one"
    assert needs(services["mount-home"]) == {"root", "net"}
    assert needs(services["localmount"]) == {"root", "fsck"}
    assert {"mount-srv", "mount-srv-my_data_s_x"} <= {edge.on for edge in services["localmount"].dependencies}
    assert warnings(plan) == []
    assert (plan.cuts, [each.name for each in plan.services if each.broken]) == ((), [])
    boot = Boot(plan)
    assert boot.failed() == ()
    assert boot.time_to("mount-srv") < boot.time_to("localmount")
    assert boot.state("mount-srv-my_data_s_x") == "down"
