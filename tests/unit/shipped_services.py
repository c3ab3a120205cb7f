"""The definitions in services/ as a Panux image has them: files, runlevels, accounts, compiled into a plan."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from linit.compiler import Place, build
from linit.model.paths import Paths
from linit.model.service import Plan, Service

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = REPOSITORY / "services"
IMAGE_ROOT: Final = REPOSITORY / "vm-tests/image/root"
INSTALLED: Final = "/usr/lib/linit/services"


def install(root: Path) -> None:
    """What the image builder does with services/, below `root`; and the accounts that the definitions name."""
    installed = root / INSTALLED.lstrip("/")
    installed.mkdir(parents=True)
    for file in SERVICES.glob("*.yaml"):
        shutil.copy(file, installed)
    for link in SERVICES.glob("runlevels/*/*"):
        place = root / "etc/linit/runlevels" / link.parent.name / link.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.readlink(link))
    for file_name in ("passwd", "group"):
        (root / "etc" / file_name).write_text("root:x:0\nredis:x:103\n")


def plan_of(root: Path) -> Plan:
    """The plan of the machine whose root is `root`."""
    return build(Place(Paths.system(), str(root)))


@functools.cache
def plan() -> Plan:
    """The plan of the image, as it is shipped."""
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        return plan_of(Path(folder))


def services() -> dict[str, Service]:
    """All services of that plan by name."""
    return {service.name: service for service in plan().services}
