"""Which services have a room, and when is it given back? PID 1's side of `linit.runtime.room`.

Taking a tmpfs down frees what is in it, which may be much: a child does it, PID 1 does not wait.
"""

from __future__ import annotations

import contextlib
import itertools
import os

from linit.runtime.processes import Processes
from linit.runtime.spawn import Launch


class Rooms:
    """The rooms of services, in `folder`. Each has a path of its own: an old one may still be leaving."""

    def __init__(self, folder: str, processes: Processes) -> None:
        self._folder = folder
        self._processes = processes
        self._numbers = itertools.count(1)
        self._leaving: set[str] = set()

    def new(self, name: str) -> str:
        """A path for a room that does not exist; the first command that needs it makes it."""
        paths = (f"{self._folder}/{name}-{number}" for number in self._numbers)
        return next(path for path in paths if not os.path.lexists(path))

    def give_back(self, path: str) -> None:
        """Nothing of the service is left: nor shall its room be."""
        if os.path.isdir(path):
            self._leaving.add(path)
            self._processes.start(Launch(("umount", "-l", path)), _Removal(self, path))

    def remove(self, path: str) -> None:
        """What has no file system on it any more."""
        self._leaving.discard(path)
        with contextlib.suppress(OSError):
            os.rmdir(path)

    def remove_now(self, path: str) -> None:
        """Where there is nobody to leave it to."""
        from linit.runtime import system_calls

        with contextlib.suppress(OSError):  # it never was mounted, or the child has done it
            system_calls.unmount(path)
        self.remove(path)

    def close(self) -> None:
        """Nobody will hear any more how a removal ended."""
        for path in tuple(self._leaving):
            self.remove_now(path)


class _Removal:
    """Owner of the program that takes a room down."""

    def __init__(self, rooms: Rooms, path: str) -> None:
        self._rooms, self._path = rooms, path

    def executing(self, pid: int) -> None:
        pass

    def exited(self, _pid: int, status: int) -> None:
        if status:
            self._rooms.remove_now(self._path)
        else:
            self._rooms.remove(self._path)

    def failed(self, _pid: int, _text: str) -> None:
        self._rooms.remove_now(self._path)
