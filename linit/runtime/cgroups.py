"""Which processes belong to a service? One cgroup (version 2) for each, where there are cgroups.

The kernel keeps the list: nothing that a process does to its session or parent takes it off. Source: cgroups(7),
the kernel's admin-guide/cgroup-v2 (cgroup.procs, cgroup.kill, cgroup.events).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from linit.runtime import kernel_files
from linit.runtime.loop import Loop

SYSTEM_ROOT: Final = "/sys/fs/cgroup"
FOLDER: Final = "linit"  # below the root: the cgroups of services
COUNTERS: Final = ("memory", "io", "pids")  # controllers that count, and limit nothing by themselves
EVERYBODYS_WEIGHT: Final = 100


def cgroup_of(pid: int) -> str:
    """The path of the cgroup (version 2) that a process is in, from the hierarchy's root; "" if it is in none."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")


class Cgroups:
    """The cgroups of services, named after them, below `root`/linit. With `root` "" there are none.

    On PID 1's first services the file system is not mounted yet: they get along without, later ones do not.
    """

    def __init__(self, root: str, loop: Loop, emptied: Callable[[str], None]) -> None:
        self._root = root
        self._folder = f"{root}/{FOLDER}"
        self._loop = loop
        self._emptied = emptied
        self.keeps_empty = False  # until `let_go`: to remove one costs as much as to make it
        self.is_new = False  # was the one that `create` gave last made by it?
        self._kept: dict[str, str] = {}  # those that are to be removed then
        self._is_counting = False
        self._weights: dict[str, int] = {}  # by service, of those that are weighed otherwise than all
        self._epoll: select.epoll | None = None  # cgroup.events says POLLPRI, which asyncio cannot wait for
        self._watched: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def create(self, name: str) -> str:
        """The directory of the cgroup of a service, made if it is not there; "" where there are no cgroups.

        Raises OSError when there are but none can be made.
        """
        if not self.are_there():
            return ""
        folder = f"{self._folder}/{name}"
        self.is_new = False
        self._kept.pop(name, None)
        if not self._is_counting:
            self._make_folder()
            self._count()
        try:
            os.mkdir(folder, 0o755)
            self.is_new = True
            self._weigh(name, self._weights.get(name))
        except FileExistsError:
            if not self.is_populated(folder) and next(_below(folder), ""):
                # What it left has controllers, perhaps, and then would take no process.
                self.remove(name, folder)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o755)
        return folder

    def are_there(self) -> bool:
        """Is there a cgroup file system (version 2) by now?"""
        return bool(self._root) and os.path.exists(f"{self._root}/cgroup.procs")

    def _make_folder(self) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._folder, 0o755)

    def _count(self) -> None:
        """Have the kernel count for each service what it can. Where it cannot, `linit.runtime.usage` says so.

        Before anything else runs: the kernel then rewrites its own code (memcg_kmem_online); with programs on another
        emulated processor it was seen to panic there. To count from the end of a boot on would save that 0.02 s.
        """
        self._is_counting = True
        offered = kernel_files.read(f"{self._root}/cgroup.controllers").split()
        for each in COUNTERS:
            if each in offered:
                with contextlib.suppress(OSError):
                    for path in (self._root, self._folder):
                        kernel_files.write(f"{path}/cgroup.subtree_control", f"+{each}")

    def weigh(self, weights: Mapping[str, int]) -> None:
        """Give the cgroups of these services, when they are made, other shares of the processors than all have: from 1
        to 10000. Where that cannot be, nothing happens."""
        self._weights = dict(weights)
        if self._weights and self.are_there():
            self._make_folder()
            if not self._control("+cpu"):
                self._control("-cpu")  # as far as it came
                self._weights = {}

    def weigh_as_all(self, name: str) -> None:
        """A service shall have no other share of the processors than all have."""
        if self._weights.pop(name, None) is not None:
            self._weigh(name, EVERYBODYS_WEIGHT)

    def stop_weighing(self, keeps_controller: bool) -> None:
        """All have the same share from now on. `keeps_controller`: limits of services need it."""
        if self._weights and not keeps_controller:
            self._control("-cpu")
        else:
            for name in list(self._weights):
                self.weigh_as_all(name)
        self._weights = {}

    def _weigh(self, name: str, weight: int | None) -> None:
        if weight is not None:
            with contextlib.suppress(OSError):  # its share is the usual one; or it is gone
                kernel_files.write(f"{self._folder}/{name}/cpu.weight", str(weight))

    def _control(self, word: str) -> bool:
        """Enable a controller from above, disable it from below; was that possible?"""
        paths = (self._root, self._folder) if word[0] == "+" else (self._folder, self._root)
        done = 0
        for path in paths:
            with contextlib.suppress(OSError):
                kernel_files.write(f"{path}/cgroup.subtree_control", word)
                done += 1
        return done == len(paths)

    def is_populated(self, folder: str) -> bool:
        """Is a live process in the cgroup or below it? A zombie is none."""
        return "populated 1" in kernel_files.read(f"{folder}/cgroup.events")

    def pids(self, folder: str) -> list[int]:
        """The processes in the cgroup and below it."""
        found: list[int] = []
        for path in _walk(folder):
            words = kernel_files.read(f"{path}/cgroup.procs").split()
            found += (int(word) for word in words if word != "0")  # 0: of another pid namespace
        return found

    def kill(self, folder: str) -> None:
        """SIGKILL everything in the cgroup, also what is being forked at this moment."""
        try:
            fd = os.open(f"{folder}/cgroup.kill", os.O_WRONLY)
        except FileNotFoundError:  # no such cgroup, or a kernel before 5.14
            for pid in self.pids(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        try:
            os.write(fd, b"1")
        finally:
            os.close(fd)

    def watch(self, name: str, folder: str) -> None:
        """Call `emptied(name)`, from the loop, when nothing is left in the cgroup. Raises OSError."""
        if name in self._watched:
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._changed)
        fd = os.open(f"{folder}/cgroup.events", os.O_RDONLY)
        self._watched[name] = fd
        self._names[fd] = name
        self._epoll.register(fd, select.EPOLLPRI)

    def remove(self, name: str, folder: str) -> None:
        """Forget an empty cgroup. What is not empty after all stays, and is used again at the next start."""
        self._unwatch(name)
        if self.keeps_empty:
            self._kept[name] = folder
        elif not _removed(folder):
            with contextlib.suppress(OSError):
                for path in reversed(list(_walk(folder))):
                    os.rmdir(path)

    def let_go(self) -> None:
        """Remove what was kept, and keep nothing from now on."""
        self.keeps_empty = False
        kept, self._kept = self._kept, {}
        for name, folder in kept.items():
            self.remove(name, folder)

    def close(self) -> None:
        """Let go of all descriptors."""
        for name in list(self._watched):
            self._unwatch(name)
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _changed(self) -> None:
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0):
            name = self._names[fd]
            if b"populated 1" in os.pread(fd, 4096, 0):  # reading also clears POLLPRI
                continue
            self._unwatch(name)
            self._emptied(name)

    def _unwatch(self, name: str) -> None:
        fd = self._watched.pop(name, -1)
        if fd >= 0:
            assert self._epoll is not None
            del self._names[fd]
            self._epoll.unregister(fd)
            os.close(fd)


def _removed(folder: str) -> bool:
    """Could it be removed, having none below it? Most services make none of their own."""
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _walk(folder: str) -> Iterator[str]:
    """The cgroup and those below it, parents first. A service may have made some of its own."""
    yield folder
    for path in _below(folder):
        yield from _walk(path)


def _below(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path
