"""linit waits for a program only where it could not do without the disk anyway, and never looks at another one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from linit.model.service import Execution
from linit.runtime import programs
from linit.runtime.disks import Disks, mount_of
from linit.runtime.plain import EXECUTES, Launcher
from linit.runtime.spawn import Launch


def program(path: Path, text: str = "#!/bin/sh\nexit 3\n") -> str:
    """One that the kernel has just looked at, as when it was started before."""
    path.write_text(text)
    path.chmod(0o755)
    os.stat(path)
    return str(path)


def test_a_script_on_the_disk_of_the_folder_is_held(tmp_path: Path) -> None:
    """Its interpreter is the system's."""
    script = program(tmp_path / "job")
    assert Disks(str(tmp_path)).hold(script) is True


def test_a_program_that_is_no_script_is_held(tmp_path: Path) -> None:
    """With its loader, which the system has. elf(5)."""
    copy = tmp_path / "cat"
    copy.write_bytes(Path("/bin/cat").read_bytes())
    assert Disks(str(tmp_path)).hold(str(copy)) is True


def test_a_link_leads_to_what_it_names(tmp_path: Path) -> None:
    """execve(2) follows it; the kernel has read it before."""
    script = program(tmp_path / "job")
    (tmp_path / "link").symlink_to(script)
    os.stat(tmp_path / "link")
    assert Disks(str(tmp_path)).hold(str(tmp_path / "link")) is True
    (tmp_path / "away").symlink_to("/proc/self/exe")
    os.stat(tmp_path / "away")
    assert Disks(str(tmp_path)).hold(str(tmp_path / "away")) is False


def test_another_file_system_is_not_asked(tmp_path: Path) -> None:
    """As /proc here, a network elsewhere: not even where the file is there."""
    assert os.path.exists("/proc/self/exe")
    assert Disks(str(tmp_path)).hold("/proc/self/exe") is False


def test_a_script_for_an_interpreter_elsewhere_is_not_held(tmp_path: Path) -> None:
    """The kernel opens that, too."""
    assert Disks(str(tmp_path)).hold(program(tmp_path / "job", "#!/proc/self/exe\n")) is False
    inner = program(tmp_path / "inner")
    assert Disks(str(tmp_path)).hold(program(tmp_path / "outer", f"#!{inner} word\n")) is True


def test_scripts_in_a_circle_end_nowhere(tmp_path: Path) -> None:
    """ELOOP of execve(2)."""
    circle = tmp_path / "job"
    assert Disks(str(tmp_path)).hold(program(circle, f"#!{circle}\n")) is False


@pytest.mark.parametrize(
    "content",
    [b"", b"#!\n", b"#!/bin/sh", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 58, b"\x7fELF\x01\x01", b"x"],
)
def test_what_the_kernel_may_load_something_else_for_is_not_held(tmp_path: Path, content: bytes) -> None:
    """Formats unknown here (binfmt_misc), and broken ones: a fork tells what is wrong with them."""
    job = tmp_path / "job"
    job.write_bytes(content)
    os.stat(job)
    assert Disks(str(tmp_path)).hold(str(job)) is False


def test_no_file_and_no_plain_file(tmp_path: Path) -> None:
    """None: surely none. A FIFO is not waited for."""
    missing = tmp_path / "missing"
    os.path.exists(missing)
    assert Disks(str(tmp_path)).hold(str(missing)) is None
    os.mkfifo(tmp_path / "fifo")
    os.stat(tmp_path / "fifo")
    assert Disks(str(tmp_path)).hold(str(tmp_path / "fifo")) is False
    assert Disks(str(tmp_path)).hold(str(tmp_path)) is False
    assert Disks(str(tmp_path)).hold("job") is False


def test_the_mount_of_a_folder_is_the_topmost_on_its_file_system() -> None:
    """/proc is one of its own everywhere."""
    assert mount_of("/proc/sys/kernel") == "/proc"
    assert mount_of("/") == "/"


def test_nothing_stays_open(tmp_path: Path) -> None:
    """Whatever was asked."""
    before = os.listdir("/proc/self/fd")
    disks = Disks(str(tmp_path), "/proc/sys")
    for path in (program(tmp_path / "job"), "/proc/self/exe", "/proc/sys/kernel/ostype", str(tmp_path / "missing")):
        disks.hold(path)
    assert os.listdir("/proc/self/fd") == before


def test_a_program_of_the_folder_needs_no_fork(tmp_path: Path) -> None:
    """By its path, and found in PATH behind a folder that has it not."""
    script = program(tmp_path / "job")
    (tmp_path / "empty").mkdir()
    os.path.exists(tmp_path / "empty/job")
    launcher = Launcher()
    launcher.folders = (str(tmp_path),)
    for argv0 in (script, "job"):
        launch = Launch((argv0,), Execution(), {"PATH": f"{tmp_path}/empty:{tmp_path}:/bin"})
        pid, gate = launcher.start(launch, (), ())
        assert gate == EXECUTES
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_what_is_the_systems_own_is_found_without_asking() -> None:
    """And what may be elsewhere is not looked for behind it."""

    def nobody(path: str) -> bool:
        raise AssertionError(path)

    assert programs.found("sh", {"PATH": "/usr/bin:/bin"}, nobody) == "/usr/bin/sh"
    assert programs.found("sh", {"PATH": "/srv/bin:/bin"}, lambda _: False) == ""
    assert programs.found("sh", {"PATH": "/srv/bin:/usr/bin"}, lambda _: None) == "/usr/bin/sh"
    assert programs.found("sh", {"PATH": ":/usr/bin"}, lambda _: None) == ""  # the service's own folder
