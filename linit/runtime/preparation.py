"""What is a main process given besides what its definition says: descriptors, and variables that tell of them?

Descriptors that linit opened, or kept for the service, are numbered as sd_listen_fds(3) says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from linit.runtime.spawn import Launch

FIRST_HANDED: Final = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


@dataclass(frozen=True, slots=True)
class Preparation:
    """`keep`: (descriptor of ours, its number in the child). `own`: those of ours that only the child is to have.

    `with_pid`: variables whose value is the child's own pid. `connection`: a descriptor of ours that becomes the
    child's standard input and output; None: they are what the definition says.
    """

    environment: dict[str, str] = field(default_factory=dict)
    keep: tuple[tuple[int, int], ...] = ()
    own: tuple[int, ...] = ()
    with_pid: tuple[str, ...] = ()
    connection: int | None = None

    def __or__(self, other: Preparation) -> Preparation:
        """Both."""
        return Preparation(
            self.environment | other.environment,
            self.keep + other.keep,
            self.own + other.own,
            self.with_pid + other.with_pid,
            self.connection if other.connection is None else other.connection,
        )

    def given_to(self, launch: Launch) -> Launch:
        """What is to be launched, with all of this."""
        return replace(
            launch,
            environment={**launch.environment, **self.environment},
            keep=self.keep,
            connection=self.connection,
            with_pid=self.with_pid,
        )

    def number_taken_twice(self) -> int | None:
        """A number that two descriptors would have in the child; None if there is none."""
        numbers = [number for _, number in self.keep]
        return next((number for number in numbers if numbers.count(number) > 1), None)

    def close(self) -> None:
        """The child has its copies: ours would keep a pipe from ending."""
        for fd in self.own:
            os.close(fd)


NOTHING: Final = Preparation()


def handed(pairs: Sequence[tuple[int, str]]) -> Preparation:
    """Hand over descriptors of ours, each with its name, in this order: sd_listen_fds(3). They stay ours, too."""
    if not pairs:
        return NOTHING
    environment = {"LISTEN_FDS": str(len(pairs)), "LISTEN_FDNAMES": ":".join(name for _, name in pairs)}
    keep = tuple((fd, number) for number, (fd, _) in enumerate(pairs, FIRST_HANDED))
    return Preparation(environment, keep, with_pid=("LISTEN_PID",))
