"""What must be remembered while linit does not run? When a schedule last ran, and that this is not the first boot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Final

from linit.model.paths import Paths
from linit.model.service import ConditionKind, Service
from linit.runtime.failure import error_words
from linit.runtime.kernel_files import read

EPOCH_S: Final = 1_577_836_800  # 2020: a clock that shows an earlier time was never set


# -- when a schedule last ran


def last_run_s(paths: Paths, name: str) -> float | None:
    """When the service last started by its schedule, in seconds since the epoch; None if it is not known."""
    try:
        at_s = os.stat(_stamp(paths, name)).st_mtime
    except OSError:
        return None
    return at_s if at_s >= EPOCH_S else None


def keep_last_run(paths: Paths, name: str, at_s: float) -> None:
    """The service started now. The time is that of an empty file: a full disk has room for it. Raises OSError."""
    path = _stamp(paths, name)
    _make_folder(os.path.dirname(path))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644))
    os.utime(path, (at_s, at_s))


def _stamp(paths: Paths, name: str) -> str:
    return f"{paths.state}/timers/{name}"


# -- whether this is the first boot


def is_first_boot(paths: Paths, proc: str = "/proc") -> bool:
    """Has no earlier linit here come as far as a runlevel? So it stays until linit ends, and a first boot that hung or
    was switched off half-way is followed by another one."""
    known = read(_marker(paths))
    return not known or known == boot_key(proc)


def end_first_boot(paths: Paths, services: Iterable[Service]) -> str:
    """A runlevel was reached. What went wrong, "" if nothing, or nothing that one of the services would ask about."""
    path = _marker(paths)
    if os.path.exists(path):
        return ""
    try:
        _make_folder(paths.state)
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(boot_key())
        os.replace(f"{path}.new", path)
    except OSError as error:
        asked = any(each.kind is ConditionKind.FIRST_BOOT for service in services for each in service.when)
        return f"the next boot will pass for the first, too: {error_words(error)}" if asked else ""
    return ""


def boot_key(proc: str = "/proc") -> str:
    """Names this linit: the kernel's boot, and when within it the process began, which for PID 1 is at once."""
    return f"{read(f'{proc}/sys/kernel/random/boot_id').strip()} {began_ticks(proc)}\n"


def began_ticks(proc: str = "/proc") -> int:
    """When this process began on CLOCK_BOOTTIME, in clock ticks; 0 if that cannot be read. Source: proc_pid_stat(5)."""
    with contextlib.suppress(ValueError, IndexError):
        return int(read(f"{proc}/self/stat").rpartition(")")[2].split()[19])
    return 0


def _marker(paths: Paths) -> str:
    return f"{paths.state}/first-boot-done"


def _make_folder(path: str) -> None:
    """As mkdir -p. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, 0o755)
