"""Which sets of services are there?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from panux.bench.graph import graph_set
from panux.bench.job import JobSet
from panux.bench.real import real_set
from panux.places import REPOSITORY

SETS: Final = ("real", "graph")


def job_set(name: str, find: Callable[[str], str]) -> JobSet:
    """The set of this name; `find` gives the path of a program in the guest."""
    return graph_set() if name == "graph" else real_set(REPOSITORY / "services", find)
