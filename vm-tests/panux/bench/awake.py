"""Which functions of linit run in a boot? `vm-tests/bench --awake` writes them to linit/bundling/awake.txt.

linit's launcher is preceded by files/awake, which notes each function of PID 1 at its first call. Everything until all
services are up counts, in first and second boots of both sets.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from panux.bench.disk import Disk
from panux.bench.guest import Guest
from panux.bench.job import JobSet
from panux.image.python_library import SOURCES
from panux.places import REPOSITORY

ARGUMENT: Final = "bench.awake=1"
TABLE: Final = REPOSITORY / "linit/bundling/awake.txt"
WIDTH: Final = 118


def awake(disk: Disk, jobs: JobSet) -> str:
    """What was noted in a boot of this disk: lines of file and name. Raises MachineError where it does not come up."""
    with Guest(disk.image, "icount", jobs.writable_root, arguments=ARGUMENT) as guest:
        guest.wait_for("up")
        _, written = guest.ask("cat /run/bench-awake")
    return written


def table_text(noted: Iterable[str]) -> str:
    """The table, as `linit.bundling.halves` reads it."""
    found: dict[str, set[str]] = {}
    for line in "".join(noted).splitlines():
        file, _, name = line.partition(" ")
        module = file.removeprefix(f"/{SOURCES}/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if module.partition(".")[0] in ("linit", "asyncio"):
            found.setdefault(module, set()).add(name.partition(".<locals>")[0])
    return "".join(map(entry, sorted(found), (found[module] for module in sorted(found))))


def entry(module: str, names: Iterable[str]) -> str:
    """A module with its functions."""
    words = " ".join([module, *sorted(name for name in names if "<" not in name)])
    return textwrap.fill(words, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) + "\n"


def write(noted: Iterable[str], table: Path = TABLE) -> None:
    """Replaces the table."""
    table.write_text(table_text(noted))
