"""linit: the image as it is shipped, with one more service, LAST, that comes after all others.

The set `real` is what the image has enabled. For `graph` the definitions of the machine make way for those of the set.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from panux.bench.job import LAST, Job, JobSet
from panux.bench.peers.peer import Peer, Tree
from panux.image.linit_files import GENERATORS, RUNLEVELS, SERVICES, enable

BEFORE: Final = ("profiled", "awake")
"""What may stand before linit's launcher, of the folder files: for --profile and --awake."""
KEPT: Final = ("sysinit.yaml", "boot.yaml", "default.yaml", "shutdown.yaml", "single.yaml")
"""The runlevels' own definitions, which stay."""


def configure(tree: Tree, jobs: JobSet) -> None:
    """Definitions in linit's own terms. The plan is compiled afterwards, by the builder of the disk.

    Linit's launcher once more, behind each of BEFORE.
    """
    first, _, rest = (tree.root / "usr/sbin/linit").read_text().partition("\n")
    for name in BEFORE:
        before = (Path(__file__).parents[1] / "files" / name).read_text()
        tree.program(f"usr/lib/bench/{name}", f"{first}\n{before}{rest}")
    if jobs.name == "real":
        add(tree, jobs.job(LAST))
        return
    shutil.rmtree(tree.root / RUNLEVELS)
    shutil.rmtree(tree.root / GENERATORS)
    for file in (tree.root / SERVICES).iterdir():
        if file.name not in KEPT:
            file.unlink()
    for job in jobs.jobs:
        add(tree, job)


def add(tree: Tree, job: Job) -> None:
    """A definition, enabled in the default runlevel. LAST comes after the others whatever becomes of them."""
    edge = "after" if job.name == LAST else "need"
    tree.write(
        f"{SERVICES}/{job.name}.yaml",
        f"kind: oneshot\nrun: {json.dumps(job.command)}\n{edge}: {json.dumps(job.after)}\n",
    )
    enable(tree.root, "default", job.name, f"{job.name}.yaml")


PEER = Peer(
    "linit", (), ("/usr/sbin/linit",), configure, status="linitctl status {job}", poweroff="/usr/sbin/poweroff",
    is_own=True,
)  # fmt: skip
