"""What does the machine have that definitions speak of: users, groups, programs?

Nothing of this is an error: accounts and programs may appear after the definitions were checked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cache
from typing import Final

from linit.definitions.definition import Definition
from linit.definitions.document import quoted
from linit.definitions.folders import inside
from linit.definitions.nearest import suggestion
from linit.model.place import Fault, Severity
from linit.model.service import Command, Service

PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
ACCOUNTS: Final = {"user": "/etc/passwd", "group": "/etc/group"}


class Machine:
    """The machine whose root is the folder `root` ("" for this one)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.accounts = {what: self._names(path) for what, path in ACCOUNTS.items()}
        self.is_program = cache(self._is_program)

    def _names(self, path: str) -> frozenset[str] | None:
        """The names in an account file; None when it cannot be read. Source: passwd(5), group(5)."""
        try:
            with open(inside(self.root, path), encoding="utf-8", errors="replace") as file:
                return frozenset(line.partition(":")[0] for line in file if not line.startswith("#"))
        except OSError:
            return None

    def _is_program(self, path: str) -> bool:
        try:
            mode = os.stat(inside(self.root, path)).st_mode
        except OSError:
            return False
        return stat.S_ISREG(mode) and bool(mode & 0o111)

    def faults(self, definition: Definition) -> Iterator[Fault]:
        """A warning for each account and program that is not there."""
        service = definition.service
        for what, name, place in definition.accounts:
            known = self.accounts[what]
            if known is not None and not name.isdigit() and name not in known:
                yield Fault(
                    Severity.WARNING, place, what, quoted(name), f"a {what} in {ACCOUNTS[what]}",
                    suggestion(name, known), service.name,
                )  # fmt: skip
        path = dict(service.execution.environment).get("PATH", PATH)
        told: set[str] = set()
        for key, command in _commands(service):
            program = command.argv[0]
            if program not in told and not self.has(program, path, service.execution.chroot):
                told.add(program)
                where = "on this machine" if program.startswith("/") else f"in {path}"
                where += f" (below {service.execution.chroot})" if service.execution.chroot else ""
                found = f"{quoted(program)}, which is not an executable file {where}"
                yield Fault(
                    Severity.WARNING, command.place, key, found, "an installed program",
                    "without it the service cannot start", service.name,
                )  # fmt: skip

    def has(self, program: str, path: str, top: str = "") -> bool:
        """Can `program` be executed, looked up in `path` where it is a bare name? `top`: as if that folder were /."""
        if program.startswith("/"):
            return self.is_program(f"{top}{program}")
        return any(self.is_program(f"{top}{folder}/{program}") for folder in path.split(":") if folder)


def _commands(service: Service) -> Iterator[tuple[str, Command]]:
    groups = (
        ("run", (service.run,)), ("pre", service.pre), ("post", service.post), ("stop", service.stop),
        ("reload", (service.reload,)), ("ready", (service.readiness.probe,)),
        ("health", (service.health.probe if service.health is not None else None,)),
        ("when", tuple(each.command for each in service.when)),
    )  # fmt: skip
    for key, commands in groups:
        yield from ((key, command) for command in commands if command is not None)
