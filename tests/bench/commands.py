"""What does one command cost, from its start to its end? linitctl beside a bare interpreter, and the clients of others.

All are run in turns, so that who disturbs the machine disturbs all of them; their medians are compared. Beside that,
where valgrind is installed, the instructions that the process executes: those no neighbour changes.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench import bosses, clients
from tests.bench.crowd import Boss, Crowd
from tests.bench.figures import Figure

RUNS: Final = 40
BARE: Final = "python3 -I -S -c pass"
BARE_ARGV: Final = [sys.executable, "-I", "-S", "-c", "pass"]
LINITCTL: Final = bosses.TOP / ".venv/bin/linitctl"
ASKED: Final = (("list",), ("status",), ("status", "s00000"), ("why", "s00000"), ("runlevel",), ("version",))
AIMS: Final = {"linitctl list": "at most 1.5 times the bare one"}


@dataclass(slots=True)
class Command:
    """One to be measured; `times_s` are (wall clock, processor)."""

    name: str
    argv: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    times_s: list[tuple[float, float]] = field(default_factory=list)

    def run(self) -> None:
        """Once. Raises RuntimeError when it fails."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        began_s = time.perf_counter()
        pid = os.posix_spawn(
            self.argv[0], self.argv, {**os.environ, **self.environment},
            file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, end) for end in (0, 1, 2)],
        )  # fmt: skip
        _, status, used = os.wait4(pid, 0)
        self.times_s.append((time.perf_counter() - began_s, used.ru_utime + used.ru_stime))
        os.close(nowhere)
        if status:
            raise RuntimeError(f"{' '.join(self.argv)}: wait status {status}")

    def instructions(self) -> int | None:
        """How many it executes itself, the kernel's left out; None without valgrind."""
        if not shutil.which("valgrind"):
            return None
        argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *self.argv]
        ended = subprocess.run(argv, env={**os.environ, **self.environment}, capture_output=True, check=False)
        words = ended.stderr.partition(b"Collected :")[2].split()
        return int(words[0]) if words else None


def measure(size: int, runs: int = RUNS, with_peers: bool = True) -> Iterator[Figure]:
    """With so many services."""
    folder = Path(tempfile.mkdtemp(prefix="linit-bench-"))
    crowd = Crowd(folder / "crowd")
    try:
        argv = bosses.LINIT.prepare(folder / "linit", crowd.job, size)
        with Boss(argv, bosses.LINIT.environment(folder), folder / "log") as linit:
            linit.wait_said(b" listens on ")
            crowd.wait_begun(size)
            ours = [_linitctl(folder / "linit", *asked) for asked in ASKED]
            yield from _compared([Command(BARE, BARE_ARGV), *ours], size, runs)
        if with_peers:
            yield from _theirs(folder, crowd, size, runs)
    finally:
        crowd.close()
        shutil.rmtree(folder, ignore_errors=True)


def _linitctl(folder: Path, *asked: str) -> Command:
    return Command(" ".join(["linitctl", *asked]), [str(LINITCTL), "--user", str(folder), *asked])


def _theirs(folder: Path, crowd: Crowd, size: int, runs: int) -> Iterator[Figure]:
    """The commands of others, each beside bare interpreters of the same minute."""
    for each in clients.answering(folder):
        boss, place, configuration = each.boss, folder / each.boss.name, folder / f"{each.boss.name}-services"
        place.mkdir()
        if problem := boss.fetch(place):
            print(f"ctl: without {boss.name}: {problem}", file=sys.stderr)
            continue
        argv, environment = boss.prepare(configuration, crowd.job, size), boss.environment(place)
        with Boss(argv, environment, folder / f"{boss.name}-log") as running:
            try:
                crowd.wait_begun(size)
                asked = each.asks(place, configuration).items()
                theirs = [Command(name, ask, environment) for name, ask in asked]
                _, *figures = _compared([Command(BARE, BARE_ARGV), *theirs], size, runs)
                yield from figures
            finally:
                running.end(each.ends_at)


def _compared(commands: list[Command], size: int, runs: int) -> Iterator[Figure]:
    for _ in range(runs):
        for command in commands:
            command.run()
    bare = commands[0]
    bare_instructions = bare.instructions()
    for command in commands:
        wall_s, cpu_s = (statistics.median(times) for times in zip(*command.times_s, strict=True))
        bare_wall_s, bare_cpu_s = (statistics.median(times) for times in zip(*bare.times_s, strict=True))
        more = f"{wall_s / bare_wall_s:.2f} times the bare one, processor {cpu_s / bare_cpu_s:.2f}"
        if bare_instructions and (instructions := command.instructions()):
            more += f", instructions {instructions / bare_instructions:.2f} ({instructions / 1e6:.1f} million)"
        yield Figure(f"ctl: {command.name}", size, wall_s * 1e3, "ms", AIMS.get(command.name, ""), more)
