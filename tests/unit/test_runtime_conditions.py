"""What `when` asks for, and in what a system runs. Sources: linit/runtime/conditions.py, systemd-detect-virt(1)."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linit.engine.events import ConditionsChecked
from linit.model.place import Place
from linit.model.service import Command, Condition, ConditionKind, Service
from linit.model.state import UnitState
from linit.runtime import stamps
from linit.runtime.conditions import Conditions, is_on_cmdline
from linit.runtime.virtualisation import detect
from tests.unit.means_world import HERE, World

MET = ""


class Asked(World):
    """`svc` has conditions; commands end when the test says so. `root`: where /proc and /sys are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / "root"
        self.probes: list[Any] = []
        members = SimpleNamespace(spawn_probe=self._spawn)
        self.means = dataclasses.replace(
            self.means, members=cast("Any", members), launch_probe=lambda _service, command: cast("Any", command.argv)
        )
        self.conditions = Conditions(self.means, str(self.root))

    def check(self, *conditions: Condition) -> None:
        """Begin to look at them; the condition with index 0 stands in line 1 of its file."""
        when = tuple(
            dataclasses.replace(each, place=Place("svc.yaml", index + 1, 5)) for index, each in enumerate(conditions)
        )
        self.conditions.check(Service("svc", HERE, when=when))

    def answers(self) -> list[str]:
        """What was reported since this was last asked."""
        texts = [event.text for event in self.events if isinstance(event, ConditionsChecked)]
        assert len(texts) == len(self.events)
        self.events.clear()
        return texts

    def text(self, kind: ConditionKind, value: str = "", negated: bool = False) -> str:
        """Why one condition is not met."""
        self.check(Condition(kind, value, HERE, negated))
        (text,) = self.answers()
        return text

    def file(self, path: str, text: str) -> None:
        """A file below `root`."""
        written(self.root, path, text)

    def _spawn(self, name: str, launch: object, owner: object) -> int:
        assert name == "svc"
        if launch == ("/cannot",):
            raise OSError(12, os.strerror(12))
        self.probes.append(owner)
        return 0  # a probe that no test can kill by accident


def written(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def command(*argv: str, negated: bool = False) -> Condition:
    return Condition(ConditionKind.COMMAND, " ".join(argv), HERE, negated, Command(argv, HERE))


def path(value: object, negated: bool = False) -> Condition:
    return Condition(ConditionKind.PATH, str(value), HERE, negated)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Asked]:
    yield Asked(tmp_path)


# -- one of each kind


def test_a_path_exists_or_does_not(world: Asked, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert world.text(ConditionKind.PATH, f"{tmp_path}/x") == MET
    assert world.text(ConditionKind.PATH, f"{tmp_path}/y") == f"path {tmp_path}/y does not exist (svc.yaml:1:5)"
    assert world.text(ConditionKind.PATH, f"{tmp_path}/x/y") == f"path {tmp_path}/x/y does not exist (svc.yaml:1:5)"
    assert world.text(ConditionKind.PATH, f"{tmp_path}/x", negated=True) == f"path {tmp_path}/x exists (svc.yaml:1:5)"
    assert world.text(ConditionKind.PATH, f"{tmp_path}/y", negated=True) == MET


def test_a_path_that_cannot_be_looked_at_is_neither_there_nor_missing(world: Asked, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    text = f"path {tmp_path}/loop cannot be looked at: ELOOP (too many levels of symbolic links) (svc.yaml:1:5)"
    assert world.text(ConditionKind.PATH, f"{tmp_path}/loop") == text
    assert world.text(ConditionKind.PATH, f"{tmp_path}/loop", negated=True) == text


def test_a_word_of_the_kernel_command_line(world: Asked) -> None:
    world.file("proc/cmdline", "quiet root=/dev/vda1 linit.want=a\n")
    assert world.text(ConditionKind.CMDLINE, "quiet") == MET
    assert world.text(ConditionKind.CMDLINE, "root=/dev/vda1") == MET
    assert world.text(ConditionKind.CMDLINE, "debug") == "debug is not on the kernel command line (svc.yaml:1:5)"
    assert world.text(ConditionKind.CMDLINE, "quiet", negated=True) == (
        "quiet is on the kernel command line (svc.yaml:1:5)"
    )


@pytest.mark.parametrize(
    ("wanted", "line", "is_there"),
    [
        ("a", "a=b", True),  # a key, with whatever value
        ("a=b", "a=b", True),
        ("a=b", "a=bc", False),
        ("a", "ab a.b=c", False),
        ("b", 'a="b c"', False),  # what is quoted is one word
        ('a="b"', "", False),
        ("a=b", '"a=b"', True),
    ],
)
def test_what_is_a_word_of_the_kernel_command_line(wanted: str, line: str, is_there: bool) -> None:
    """As the kernel takes it apart: bootparam(7)."""
    assert is_on_cmdline(wanted, line) is is_there


def test_another_service_is_up_now(world: Asked) -> None:
    world.unit("db", UnitState.UP)
    world.unit("web", UnitState.STARTING)
    assert world.text(ConditionKind.SERVICE, "db") == MET
    assert world.text(ConditionKind.SERVICE, "web") == "service web is not up (svc.yaml:1:5)"
    assert world.text(ConditionKind.SERVICE, "nobody") == "service nobody is not up (svc.yaml:1:5)"
    assert world.text(ConditionKind.SERVICE, "db", negated=True) == "service db is up (svc.yaml:1:5)"


def test_virtualisation_is_any_none_a_kind_or_a_name(world: Asked) -> None:
    world.file("run/systemd/container", "docker\n")
    for value in ("any", "container", "docker"):
        assert world.text(ConditionKind.VIRTUALISATION, value) == MET
    assert world.text(ConditionKind.VIRTUALISATION, "vm") == "virtualisation is docker, not vm (svc.yaml:1:5)"
    assert world.text(ConditionKind.VIRTUALISATION, "none") == "virtualisation is docker, not none (svc.yaml:1:5)"
    assert world.text(ConditionKind.VIRTUALISATION, "any", negated=True) == "virtualisation is docker (svc.yaml:1:5)"


def test_a_real_machine_has_no_virtualisation(world: Asked) -> None:
    assert world.text(ConditionKind.VIRTUALISATION, "none") == MET
    assert world.text(ConditionKind.VIRTUALISATION, "any", negated=True) == MET
    assert world.text(ConditionKind.VIRTUALISATION, "any") == "virtualisation is none, not any (svc.yaml:1:5)"


# -- the first boot


def test_the_first_boot_lasts_until_linit_ends(world: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that starts again in it still sees it; the next linit does not."""
    assert world.text(ConditionKind.FIRST_BOOT) == MET
    assert stamps.end_first_boot(world.paths, ()) == ""
    assert world.text(ConditionKind.FIRST_BOOT) == MET
    assert world.text(ConditionKind.FIRST_BOOT, negated=True) == "this is the first boot (svc.yaml:1:5)"
    monkeypatch.setattr(stamps, "boot_key", lambda _proc="/proc": "another boot")
    assert world.text(ConditionKind.FIRST_BOOT) == "this is not the first boot (svc.yaml:1:5)"
    assert world.text(ConditionKind.FIRST_BOOT, negated=True) == MET


def test_a_boot_that_reached_no_runlevel_does_not_count(world: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hung, or was switched off: what it was to set up may be half done."""
    assert world.text(ConditionKind.FIRST_BOOT) == MET
    monkeypatch.setattr(stamps, "boot_key", lambda _proc="/proc": "another boot")
    assert world.text(ConditionKind.FIRST_BOOT) == MET


def test_that_a_first_boot_cannot_be_noted_is_told_where_it_matters(tmp_path: Path) -> None:
    world = World(tmp_path / "linit")
    (tmp_path / "linit").touch()
    first = Service("setup", HERE, when=(Condition(ConditionKind.FIRST_BOOT, "", HERE),))
    assert stamps.end_first_boot(world.paths, (Service("other", HERE),)) == ""
    assert stamps.end_first_boot(world.paths, (Service("other", HERE), first)) == (
        f"the next boot will pass for the first, too: {tmp_path}/linit/run: ENOTDIR (not a directory)"
    )


# -- commands


def test_a_command_is_met_when_it_ends_with_success(world: Asked) -> None:
    world.check(command("/bin/test", "-e", "/x"))
    assert world.answers() == []
    (probe,) = world.probes
    probe.exited(1, 0)
    assert world.answers() == [MET]


ENDS: dict[str, tuple[Callable[[Any], None], str]] = {
    "a failure": (lambda probe: probe.exited(1, 1 << 8), "exited with status 1"),
    "a signal": (lambda probe: probe.exited(1, signal.SIGSEGV), "killed by SIGSEGV"),
    "no program": (lambda probe: probe.failed(1, "exec: /x: ENOENT"), "could not be run: exec: /x: ENOENT"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_command_that_ends_otherwise_is_not_met(world: Asked, end: str) -> None:
    how, words = ENDS[end]
    world.check(command("/bin/test", "-e", "/x"))
    how(world.probes[0])
    assert world.answers() == [f"command /bin/test -e /x {words} (svc.yaml:1:5)"]
    world.check(command("/bin/test", "-e", "/x", negated=True))
    how(world.probes[1])
    assert world.answers() == [MET]


def test_a_command_that_must_fail_does_not(world: Asked) -> None:
    world.check(command("/bin/true", negated=True))
    world.probes[0].exited(1, 0)
    assert world.answers() == ["command /bin/true ended with success (svc.yaml:1:5)"]


def test_a_command_that_cannot_even_be_tried_is_not_met(world: Asked) -> None:
    world.check(command("/cannot"))
    assert world.answers() == [
        "command /cannot could not be run: ENOMEM (cannot allocate memory) (svc.yaml:1:5)",
    ]


# -- many


def test_who_asks_is_told_of_the_first_that_is_not_met(world: Asked, tmp_path: Path) -> None:
    """The first that is written, whichever is known first."""
    world.check(path(tmp_path), command("/a"), path("/nowhere"), command("/b"))
    first, second = world.probes
    second.exited(1, 1 << 8)
    assert world.answers() == []
    first.exited(1, 2 << 8)
    assert world.answers() == ["command /a exited with status 2 (svc.yaml:2:5)"]


def test_all_that_are_met_are_one_answer(world: Asked, tmp_path: Path) -> None:
    world.check(path(tmp_path), command("/a"), path("/nowhere", negated=True))
    world.probes[0].exited(1, 0)
    assert world.answers() == [MET]


def test_nobody_is_told_of_what_was_given_up(world: Asked) -> None:
    world.check(command("/a"))
    world.conditions.give_up("svc")
    world.conditions.give_up("svc")
    world.probes[0].exited(1, 9)
    assert world.answers() == []
    world.check(command("/a"))
    world.probes[1].exited(2, 0)
    assert world.answers() == [MET]


# -- in what a system runs

LAPTOP = {"sys/class/dmi/id/sys_vendor": "LENOVO\n", "proc/cpuinfo": "flags\t\t: fpu vme sse\n"}
CLOCKS = "sys/devices/system/clocksource/clocksource0/available_clocksource"
SYSTEMS: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "a laptop": (LAPTOP, ("", "none")),
    "nothing known": ({}, ("", "none")),
    "QEMU alone": (
        {"sys/class/dmi/id/sys_vendor": "QEMU\n", CLOCKS: "tsc hpet acpi_pm\n"},
        ("vm", "qemu"),
    ),
    "QEMU with KVM": ({"sys/class/dmi/id/sys_vendor": "QEMU\n", CLOCKS: "kvm-clock tsc\n"}, ("vm", "kvm")),
    "KVM without DMI": ({CLOCKS: "kvm-clock tsc\n"}, ("vm", "kvm")),
    "KVM on ARM": ({"proc/device-tree/hypervisor/compatible": "linux,kvm\0"}, ("vm", "kvm")),
    "EC2": ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", CLOCKS: "kvm-clock tsc\n"}, ("vm", "amazon")),
    "VMware": ({"sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, ("vm", "vmware")),
    "VirtualBox": (
        {"sys/class/dmi/id/product_name": "VirtualBox\n", "sys/class/dmi/id/sys_vendor": "innotek GmbH\n"},
        ("vm", "oracle"),
    ),
    "Hyper-V": (
        {
            "sys/class/dmi/id/product_name": "Virtual Machine\n",
            "sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
        },
        ("vm", "microsoft"),
    ),
    "a Surface": (
        {"sys/class/dmi/id/product_name": "Surface Pro\n", "sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n"},
        ("", "none"),
    ),
    "Xen": ({"sys/hypervisor/type": "xen\n"}, ("vm", "xen")),
    "Xen's own": ({"sys/hypervisor/type": "xen\n", "proc/xen/capabilities": "control_d\n"}, ("", "none")),
    "a hypervisor without a name": ({"proc/cpuinfo": "flags\t\t: fpu hypervisor sse\n"}, ("vm", "vm-other")),
    "docker, said to PID 1": ({"proc/1/environ": "PATH=/bin\0container=docker\0"}, ("container", "docker")),
    "docker, by its mark": ({".dockerenv": ""}, ("container", "docker")),
    "podman, said as oci": (
        {"proc/1/environ": "container=oci\0", "run/.containerenv": ""},
        ("container", "podman"),
    ),
    "some oci": ({"proc/1/environ": "container=oci\0"}, ("container", "container-other")),
    "lxc": ({"run/systemd/container": "lxc\n"}, ("container", "lxc")),
    "wsl": ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, ("container", "wsl")),
    "a container in a machine": (
        {"proc/1/environ": "container=lxc\0", "sys/class/dmi/id/sys_vendor": "QEMU\n"},
        ("container", "lxc"),
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_virtualisation_has_the_names_of_systemd_detect_virt(tmp_path: Path, system: str) -> None:
    files, expected = SYSTEMS[system]
    for name, text in files.items():
        written(tmp_path, name, text)
    assert detect(str(tmp_path)) == expected
