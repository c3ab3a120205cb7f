"""Where does the time of a linit boot go? `vm-tests/bench --profile`.

In the guest linit's own launcher is preceded by files/profiled, which notes imports, spawns and the first call of a few
functions while PID 1 runs. Writing these notes costs instructions: the sum is some hundredths of a second longer than
an unprofiled boot. What services did is linit's own report. Outside, the same imports are timed on this machine.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from panux.bench.disk import Disk
from panux.bench.guest import Guest
from panux.bench.job import LAST, JobSet
from panux.places import REPOSITORY

PROFILE_ARGUMENT: Final = "bench.profile=1"
LONGEST: Final = 12
"""How many imports are shown."""
OUTSIDE_RUNS: Final = 7
OUTSIDE: Final = (
    ("interpreter alone", "pass"),
    ("with socket and msgpack", "import socket, msgpack"),
    ("with asyncio", "import asyncio"),
    ("with what linit imports as PID 1", "import linit.system.boot"),
)
"""What is timed on this machine: a name, and the program."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that PID 1 did. `at_s`: seconds since its exec."""

    at_s: float
    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class Wave:
    """Services that are equally deep in the order: how many, when the first was started, when the last was up."""

    depth: int
    names: tuple[str, ...]
    first_start_s: float
    last_up_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A boot of linit, taken apart. Seconds since its exec, but for `kernel_s` and `exec_s`, the guest's times at which
    the kernel had done its part and linit was executed."""

    kernel_s: float
    exec_s: float
    notes: tuple[Note, ...]
    waves: tuple[Wave, ...]
    up_s: float
    outside_s: tuple[tuple[str, float], ...]


def profile(disk: Disk, jobs: JobSet, mode: str) -> Profile:
    """Boots linit's disk with the notes on. Raises MachineError where that does not come up."""
    with Guest(disk.image, mode, jobs.writable_root, arguments=PROFILE_ARGUMENT) as guest:
        up_s = guest.wait_for("up")
        _, written = guest.ask("cat /run/bench-profile")
        _, report = guest.ask("sleep 2; linitctl report --json")
        _, kernel = guest.ask("dmesg | grep 'Run /init'")
        stamps = guest.stamps()
    exec_s, begin_s = stamps["exec"][0], stamps["interpreter"][0]
    notes = parsed_notes(written, begin_s - exec_s)
    waves = waves_of(json.loads(report), jobs, up_s - exec_s)
    return Profile(float(kernel[1 : kernel.index("]")]), exec_s, notes, waves, up_s - exec_s, tuple(outside()))


def parsed_notes(written: str, begin_s: float) -> tuple[Note, ...]:
    """The lines of /run/bench-profile; the first was written `begin_s` after the exec."""
    found = []
    begin_ns = 0
    for line in written.splitlines():
        at_ns, word, *detail = line.split(maxsplit=2)
        begin_ns = begin_ns or int(at_ns)
        found.append(Note(begin_s + (int(at_ns) - begin_ns) / 1e9, word, detail[0] if detail else ""))
    return tuple(found)


def waves_of(report: dict[str, Any], jobs: JobSet, up_s: float) -> tuple[Wave, ...]:
    """The services by their depth in the order, from linit's report, which ends when the last one does, at `up_s`."""
    depth: dict[str, int] = {}
    for job in jobs.jobs:
        depth[job.name] = max((depth.get(name, 0) for name in job.after), default=-1) + 1
    begin_s = up_s - next(service["at_s"] for service in report["services"] if service["name"] == LAST)
    found: dict[int, list[tuple[str, float, float]]] = {}
    for service in report["services"]:
        if service["name"] in depth and service["at_s"] is not None:
            ended_s = begin_s + service["at_s"]
            entry = (service["name"], ended_s - (service["start_s"] or 0.0), ended_s)
            found.setdefault(depth[service["name"]], []).append(entry)
    return tuple(
        Wave(at, tuple(name for name, _, _ in each), min(start for _, start, _ in each), max(up for _, _, up in each))
        for at, each in sorted(found.items())
    )


def outside() -> Iterable[tuple[str, float]]:
    """How long interpreters with these imports take on this machine: medians."""
    environment = {**os.environ, "PYTHONPATH": ""}
    path = [str(REPOSITORY), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    for name, program in OUTSIDE:
        command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {path!r}; {program}"]
        taken = []
        for _ in range(OUTSIDE_RUNS):
            begun_s = time.perf_counter()
            subprocess.run(command, env=environment, check=True)
            taken.append(time.perf_counter() - begun_s)
        yield name, statistics.median(taken)


def profile_text(found: Profile) -> str:
    """The breakdown for a person."""
    lines = [
        "where the time of a linit boot goes, in ms from the exec of linit",
        f"  {ms(-found.exec_s):>8}  the kernel begins",
        f"  {ms(found.kernel_s - found.exec_s):>8}  the initramfs begins; with instructions counted it copies the disk",
    ]
    lines += [f"  {ms(note.at_s):>8}  {title}" for note, title in milestones(found)]
    lines.append(f"  {ms(found.up_s):>8}  all up")
    lines += ["", "longest imports (until the next note)"]
    lines += [f"  {ms(taken_s):>8}  {name}" for name, taken_s in longest_imports(found.notes)]
    lines += ["", "waves: services equally deep in the order, first start to last up"]
    for wave in found.waves:
        names = " ".join(wave.names[:6]) + (" ..." if len(wave.names) > 6 else "")
        lines.append(f"  {ms(wave.first_start_s):>8} {ms(wave.last_up_s):>8}  {len(wave.names):3}  {names}")
    lines += ["", "on this machine, outside"]
    lines += [f"  {ms(taken_s):>8}  {name}" for name, taken_s in found.outside_s]
    return "\n".join(lines)


def milestones(found: Profile) -> list[tuple[Note, str]]:
    """The notes that mark a stage of the boot, each at its first time, in order, with their titles."""
    spawns = [replace(note, detail="") for note in found.notes if note.word == "spawn"]
    imports = [note for note in found.notes if note.word == "import"]
    marks = [(note, "the interpreter runs linit's launcher") for note in found.notes if note.word == "interpreter"]
    marks += [(note, f"{note.detail}: begins") for note in found.notes if note.word == "begin"]
    marks += [(note, f"{note.detail}: ended") for note in found.notes if note.word == "end"]
    marks += [(note, f"asyncio: first import ({len(imports)} in all)") for note in imports if note.detail == "asyncio"]
    marks += [(imports[-1], "last import")] if imports else []
    marks += (
        [(spawns[0], "first process spawned"), (spawns[-1], f"process number {len(spawns)} spawned")] if spawns else []
    )
    return sorted(marks, key=lambda mark: mark[0].at_s)


def longest_imports(notes: Sequence[Note]) -> list[tuple[str, float]]:
    """The modules whose import took longest, without what they import in turn: the time until the next note."""
    taken: dict[str, float] = {}
    for note, following in itertools.pairwise(notes):
        if note.word == "import" and following.word == "import":
            taken[note.detail] = taken.get(note.detail, 0.0) + following.at_s - note.at_s
    return sorted(taken.items(), key=lambda entry: -entry[1])[:LONGEST]


def ms(duration_s: float) -> str:
    """Milliseconds with one digit."""
    return f"{duration_s * 1000:.1f}"
