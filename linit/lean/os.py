"""What linit asks of `os`, without that module: its mapping of the environment alone makes the library's abstract
classes of collections, which take a fifth of an interpreter's start.

The functions are those of `posix`, which has them in the library's `os`, too. Both see one environment, whichever is
imported first: what is changed here is changed in `posix.environ`, from which the library's is made.
"""

from __future__ import annotations

import posix
import sys
from posix import *  # noqa: F403 the same functions and constants
from posix import _exit
from typing import TYPE_CHECKING

from linit.lean import posixpath as path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["_exit", "environ", "fsdecode", "fsencode", "makedirs", "path"]  # and posix's
SURROGATES = "surrogateescape"


def fsencode(name: str | bytes) -> bytes:
    """A path as the kernel knows it."""
    return name if isinstance(name, bytes) else name.encode(sys.getfilesystemencoding(), SURROGATES)


def fsdecode(name: str | bytes) -> str:
    """A path as a text."""
    return name if isinstance(name, str) else name.decode(sys.getfilesystemencoding(), SURROGATES)


class _Environment(dict[str, str]):
    """The environment as texts; of the ways to change it, those that linit uses."""

    __slots__ = ()

    def clear(self) -> None:
        for name in posix.environ:
            posix.unsetenv(name)
        posix.environ.clear()
        super().clear()

    def update(self, more: Mapping[str, str]) -> None:  # type: ignore[override]
        for name, value in more.items():
            self[name] = value

    def __setitem__(self, name: str, value: str) -> None:
        posix.putenv(name, value)
        posix.environ[fsencode(name)] = fsencode(value)
        super().__setitem__(name, value)


environ = _Environment(  # type: ignore[assignment]
    {fsdecode(name): fsdecode(value) for name, value in posix.environ.items()}
)


def makedirs(name: str, mode: int = 0o777, exist_ok: bool = False) -> None:
    """Make a folder and those above it that are not there. Raises OSError."""
    above = path.dirname(name.rstrip("/"))
    if above and not path.exists(above):
        makedirs(above, exist_ok=True)
    try:
        posix.mkdir(name, mode)
    except OSError:
        if not exist_ok or not path.isdir(name):
            raise
