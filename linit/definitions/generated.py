"""What did programs write, beside people? The output of generators, as values: `linit.generators` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from linit.model.place import Fault
from linit.model.service import Source


@dataclass(frozen=True, slots=True)
class Generated:
    """`files`: path to content, of definitions (`FOLDER/NAME.yaml`), drop-ins (`FOLDER/NAME.d/X.yaml`), and entries of
    runlevels (`FOLDER/runlevels/RUNLEVEL/NAME`, which hold the place that people are shown, or nothing). The paths are
    where they are kept for people to read. `sources`: the generators, and what they looked at."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    faults: tuple[Fault, ...] = ()


NOTHING = Generated()
