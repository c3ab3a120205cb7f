"""How is a child confined, before its program runs? Priorities, namespaces, capabilities: one method for each key.

`linit.runtime.spawn` calls them as steps of the child, in its order, and names the key whose step failed. System calls
only: a program of util-linux in front (setpriv, unshare, ionice) would cost an exec each, could not name its failure
through the gate, and is not in every image. Source: mount_namespaces(7), network_namespaces(7), capabilities(7),
ioprio_set(2).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final

from linit.model.capabilities import NAMES, NUMBERS, OF_DEVICES
from linit.model.service import Execution
from linit.runtime import prctl, room
from linit.runtime import system_calls as calls
from linit.runtime.failure import StepFailed, error_words
from linit.runtime.spawn import confining

IO_CLASSES: Final = {"realtime": 1, "best-effort": 2, "idle": 3}
IO_CLASS_SHIFT: Final = 13
TMP_FOLDERS: Final = ("/tmp", "/var/tmp")
DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_FOLDERS: Final = ("pts", "shm", "mqueue", "hugepages")  # kept where the machine has them
DEVICE_LINKS: Final = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx", "core": "/proc/kcore",
}  # fmt: skip
NO_DATA: Final = "mode=0755,nr_inodes=1"


class Confinement:
    """What confines one child. `wanted`: the fields of its definition that ask for something here.

    The methods are its steps. They raise OSError, or StepFailed where the key does not say enough.
    """

    def __init__(self, execution: Execution, room_folder: str) -> None:
        self.wanted = confining(execution)
        self._execution = execution
        self._room = room_folder
        self._has_own_mounts = False
        self._writable: list[str] = []  # what a read-only path above it does not make read-only
        self._steps: dict[str, Callable[[], None]] = {
            "ionice": self._ionice,
            "private_network": self._private_network,
            "private_tmp": self._private_tmp,
            "private_devices": self._private_devices,
            "read_only_paths": self._read_only_paths,
            "hidden_paths": self._hidden_paths,
            "capabilities": self._capabilities,
            "ambient": self._ambient,
        }

    def do(self, name: str) -> None:
        """One step."""
        self._steps[name]()

    def keep_capabilities(self) -> None:
        """The change of user that follows does not take the permitted capabilities."""
        prctl.prctl(prctl.KEEP_CAPABILITIES, 1)

    def _ionice(self) -> None:
        word, _, level = self._execution.ionice.partition(":")
        calls.set_io_priority(IO_CLASSES[word] << IO_CLASS_SHIFT | int(level or 0))

    def _private_network(self) -> None:
        """The network of the service's commands: nothing but a lo."""
        room.join_network(self._room)

    def _own_mounts(self) -> None:
        """A mount namespace of its own, from the first key on that needs one."""
        if not self._has_own_mounts:
            calls.unshare(calls.CLONE_NEWNS)
            # What is mounted here is not seen outside; what is mounted outside is seen here, if it is shared.
            calls.mount("", "/", "", calls.MS_REC | calls.MS_SLAVE)
            self._has_own_mounts = True

    def _private_tmp(self) -> None:
        """Folders of the room of the service's commands become /tmp and /var/tmp."""
        room.furnish(self._room)  # outside: the next command looks for it there
        self._own_mounts()
        targets = [target for target in TMP_FOLDERS if target == "/tmp" or os.path.isdir(target)]
        # All are opened first: a supervisor that a user runs may have its rooms below /tmp.
        sources = [os.open(room.tmp(self._room, target), os.O_PATH) for target in targets]
        for source, target in zip(sources, targets, strict=True):
            calls.mount(f"/proc/self/fd/{source}", target, "", calls.MS_BIND)
            os.close(source)
        self._writable += targets

    def _private_devices(self) -> None:
        """A /dev with what reaches no hardware."""
        self._own_mounts()
        old = os.open("/dev", os.O_PATH | os.O_DIRECTORY)
        calls.mount("tmpfs", "/dev", "tmpfs", calls.MS_NOSUID | calls.MS_NOEXEC, "mode=0755,size=4m")
        for name in DEVICES:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=old)
                os.mknod(f"/dev/{name}", found.st_mode, found.st_rdev)
                os.chmod(f"/dev/{name}", stat.S_IMODE(found.st_mode))
        for name, target in DEVICE_LINKS.items():
            os.symlink(target, f"/dev/{name}")
        for name in (*DEVICE_FOLDERS, "log"):
            with contextlib.suppress(FileNotFoundError):
                _keep(old, name)
        os.close(old)
        self._writable += ["/dev", "/dev/shm"]

    def _read_only_paths(self) -> None:
        """These, and what is mounted below them, cannot be written to."""
        self._own_mounts()
        paths = self._execution.read_only_paths
        for path in paths:
            if os.path.normpath(path) != "/":  # a bind over the root would be seen by nobody
                calls.mount(path, path, "", calls.MS_BIND | calls.MS_REC)
            calls.set_read_only(path, is_read_only=True, recursive=True)
        for path in self._writable:
            if path not in paths and os.path.ismount(path):
                calls.set_read_only(path, is_read_only=False, recursive=False)

    def _hidden_paths(self) -> None:
        """Nothing is in these folders, and in these files."""
        self._own_mounts()
        for path in self._execution.hidden_paths:
            if stat.S_ISDIR(os.stat(path).st_mode):
                calls.mount("tmpfs", path, "tmpfs", calls.MS_RDONLY | calls.MS_NOSUID | calls.MS_NODEV, NO_DATA)
            else:
                calls.mount("/dev/null", path, "", calls.MS_BIND)

    def _capabilities(self) -> None:
        """What no process of the service shall ever have leaves the bounding set, and the inheritable one.

        What this process itself may do stays: there are steps to come.
        """
        kept = set(NAMES if self._execution.capabilities is None else self._execution.capabilities)
        if self._execution.private_devices:
            kept.difference_update(OF_DEVICES)
        for number in _known_capabilities():
            is_kept = number < len(NAMES) and NAMES[number] in kept
            if not is_kept and prctl.prctl(prctl.READ_BOUND, number):
                prctl.prctl(prctl.DROP_BOUND, number)
        effective, permitted, inheritable = calls.capabilities()
        calls.set_capabilities(effective, permitted, inheritable & _bits(kept))

    def _ambient(self) -> None:
        """The program has these, whoever its user is."""
        names = self._execution.ambient
        bits = _bits(names)
        _, permitted, inheritable = calls.capabilities()
        effective = permitted if os.geteuid() == 0 else permitted & bits
        calls.set_capabilities(effective, permitted, inheritable | bits)
        for name in names:
            try:
                prctl.prctl(prctl.AMBIENT, prctl.AMBIENT_RAISE, NUMBERS[name])
            except OSError as error:
                raise StepFailed(f"ambient_capabilities: {name}: {error_words(error)}") from error

def _known_capabilities() -> Iterator[int]:
    """The numbers that this kernel has a meaning for."""
    number = 0
    while True:
        try:
            prctl.prctl(prctl.READ_BOUND, number)
        except OSError:  # EINVAL: the one before was the last
            return
        yield number
        number += 1


def _keep(old: int, name: str) -> None:
    """What is mounted on, or listens at, a name of the old /dev. Raises FileNotFoundError if there is no such name."""
    found = os.stat(name, dir_fd=old, follow_symlinks=False)
    target = f"/dev/{name}"
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=old), target)
        return
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(target)
        os.chmod(target, 0o755)
    else:
        os.mknod(target)
    calls.mount(f"/proc/self/fd/{old}/{name}", target, "", calls.MS_BIND | calls.MS_REC)


def _bits(names: set[str] | tuple[str, ...]) -> int:
    return sum(1 << NUMBERS[name] for name in names)
