"""What the kernel's files say of a service: its use, its limits, its kills. Source: admin-guide/cgroup-v2.

The files are a fake cgroup in a folder, so that each case is certain; tests/integration and vm-tests have real ones.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from linit.model.service import Limits
from linit.runtime import limits, out_of_memory
from linit.runtime.failure import StepFailed
from linit.runtime.out_of_memory import Kills, exit_note
from linit.runtime.usage import Usage, of_processes, usage

FULL = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\n",
    "memory.current": "1048576\n",
    "memory.peak": "2097152\n",
    "memory.max": "max\n",
    "io.stat": "8:0 rbytes=4096 wbytes=10 rios=1 wios=1 dbytes=7 dios=0\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n",
    "pids.current": "3\n",
    "pids.peak": "7\n",
    "pids.max": "100\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cgroup of a service, below two others."""
    made = tmp_path / "top" / "linit" / "a"
    made.mkdir(parents=True)
    return made


def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


# -- use


def test_a_cgroup_with_all_controllers_is_the_whole_answer(folder: Path) -> None:
    """Bytes of all devices together; `max` is no limit."""
    fill(folder, **FULL)
    assert usage(str(folder), [1]) == Usage(
        cpu_s=1.5, memory_bytes=1 << 20, memory_peak_bytes=2 << 20, read_bytes=4097, written_bytes=12, tasks=3,
        tasks_peak=7, tasks_max=100,
    )  # fmt: skip


def test_an_empty_io_stat_is_nothing_read(folder: Path) -> None:
    """A service that has touched no disk has an empty file."""
    fill(folder, **{**FULL, "io.stat": ""})
    found = usage(str(folder), [])
    assert (found.read_bytes, found.written_bytes, found.lost) == (0, 0, "")


def test_what_controllers_lack_is_added_up_from_processes_and_said(folder: Path) -> None:
    """cpu.stat is there without any controller."""
    fill(folder, **{"cpu.stat": FULL["cpu.stat"], "pids.current": "1\n"})
    found = usage(str(folder), [os.getpid()])
    assert found.cpu_s == 1.5
    assert found.tasks == 1
    assert found.memory_bytes is not None
    assert found.memory_bytes > 1 << 20
    assert found.lost == (
        "its cgroup has no controllers memory and io: added up from 1 process; what has ended is not in it"
    )


def test_without_a_cgroup_all_is_added_up_from_processes_and_said() -> None:
    found = usage("", [os.getpid(), os.getppid()])
    assert found.tasks is not None
    assert found.tasks >= 2
    assert found.memory_peak_bytes is None
    assert found.lost == "no cgroup: added up from 2 processes; what has ended or cannot be found is not in it"


def test_a_process_that_has_gone_counts_nothing() -> None:
    """It may end between the list and the look."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert of_processes([pid]) == Usage(0.0, 0, read_bytes=0, written_bytes=0, tasks=0)


# -- limits


def test_each_limit_is_written_to_its_file(folder: Path) -> None:
    names = ("memory.max", "memory.high", "cpu.weight", "cpu.max", "pids.max", "io.weight")
    fill(folder, **dict.fromkeys(names, ""))
    limits.apply(str(folder), Limits(64 << 20, 32 << 20, 20, (50_000, 100_000), 9, 300))
    written = [(folder / name).read_text() for name in names]
    assert written == ["67108864", "33554432", "20", "50000 100000", "9", "300"]


def test_what_is_not_set_is_not_touched(folder: Path) -> None:
    fill(folder, **{"pids.max": "max\n"})
    limits.apply(str(folder), Limits())
    assert (folder / "pids.max").read_text() == "max\n"


def test_a_controller_is_enabled_above_where_a_limit_asks_for_it(folder: Path) -> None:
    """From the top down; the kernel then makes the file, which here is missing for ever."""
    for path in (folder.parent, folder.parent.parent):
        fill(path, **{"cgroup.subtree_control": ""})
    fill(folder.parent.parent, **{"cgroup.controllers": "cpu pids\n"})
    with pytest.raises(StepFailed) as failed:
        limits.apply(str(folder), Limits(cpu_weight=20))
    assert [(path / "cgroup.subtree_control").read_text() for path in (folder.parent.parent, folder.parent)] == [
        "+cpu", "+cpu",
    ]  # fmt: skip
    assert str(failed.value) == f"limits: cpu_weight: {folder}/cpu.weight: ENOENT (no such file or directory)"


def test_a_controller_that_is_not_offered_is_named(folder: Path) -> None:
    fill(folder.parent.parent, **{"cgroup.controllers": "cpu pids\n"})
    with pytest.raises(StepFailed) as failed:
        limits.apply(str(folder), Limits(memory_max_bytes=1 << 20))
    control = f"{folder.parent.parent}/cgroup.subtree_control"
    assert str(failed.value) == (
        f"limits: memory_max: {control}: ENOENT (no such file or directory); "
        "there is no controller memory (cgroup.controllers: cpu pids)"
    )


@pytest.mark.parametrize(("weight", "bfq"), [(1, "1"), (100, "100"), (200, "109"), (10_000, "1000")])
def test_where_only_bfq_weighs_its_file_is_used(folder: Path, weight: int, bfq: str) -> None:
    """Its weights go to 1000, and 100 is the default in both."""
    fill(folder, **{"io.bfq.weight": ""})
    for path in (folder.parent, folder.parent.parent):
        fill(path, **{"cgroup.subtree_control": ""})
    limits.apply(str(folder), Limits(io_weight=weight))
    assert (folder / "io.bfq.weight").read_text() == bfq


# -- kills

KILLED = int(signal.SIGKILL)
LIMITED = Limits(memory_max_bytes=64 << 20)


@pytest.mark.parametrize(
    ("status", "now", "limits", "note"),
    [
        (KILLED, Kills(0, 0), LIMITED, ""),
        (KILLED, Kills(1, 1), LIMITED, "killed by the kernel: out of memory (memory_max 64M)"),
        (KILLED, Kills(0, 1), LIMITED, "killed by the kernel: out of memory (of the whole machine)"),
        (KILLED, Kills(1, 1), Limits(), "killed by the kernel: out of memory"),
        (1 << 8, Kills(2, 2), LIMITED, "exited with status 1; since its start the kernel has killed 2 of its "
                                       "processes: out of memory (memory_max 64M)"),
    ],
)  # fmt: skip
def test_an_end_for_lack_of_memory_is_told_as_such(status: int, now: Kills, limits: Limits, note: str) -> None:
    assert exit_note(status, Kills(), now, limits) == note


def test_kills_of_an_earlier_life_do_not_count() -> None:
    assert exit_note(KILLED, Kills(3, 3), Kills(3, 3), LIMITED) == ""


def test_the_counters_are_those_of_memory_events(folder: Path) -> None:
    fill(folder, **{"memory.events": "low 0\nhigh 5\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n"})
    assert out_of_memory.counted(str(folder)) == Kills(2, 3)
    assert out_of_memory.counted(str(folder / "nowhere")) == out_of_memory.counted("") == Kills()


@pytest.mark.parametrize(("size", "words"), [(64 << 20, "64M"), (3 << 29, "1536M"), (1 << 40, "1T"), (1000, "1000")])
def test_a_size_is_said_as_a_definition_would(size: int, words: str) -> None:
    assert out_of_memory.size_words(size) == words
