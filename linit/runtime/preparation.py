"""What is a main process given besides what its definition says: descriptors, and variables that tell of them?"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Preparation:
    """`keep`: (descriptor of ours, its number in the child). `own`: those of ours that only the child is to have.

    `with_pid`: variables whose value is the child's own pid (LISTEN_PID).
    """

    environment: dict[str, str] = field(default_factory=dict)
    keep: tuple[tuple[int, int], ...] = ()
    own: tuple[int, ...] = ()
    with_pid: tuple[str, ...] = ()

    def __or__(self, other: Preparation) -> Preparation:
        """Both."""
        return Preparation(
            self.environment | other.environment,
            self.keep + other.keep,
            self.own + other.own,
            self.with_pid + other.with_pid,
        )

    def close(self) -> None:
        """The child has its copies: ours would keep a pipe from ending."""
        for fd in self.own:
            os.close(fd)


NOTHING: Final = Preparation()
