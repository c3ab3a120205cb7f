"""In which surroundings does PID 1 find itself, and which does it need? Descriptors, environment, mask, directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from linit.runtime.failure import error_words

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT_VARIABLES: Final = ("TERM", "LANG")  # the kernel passes on every word of its command line that it does not know
SERIAL_TERM: Final = "vt102"  # what nearly everything at the end of a serial line understands; the kernel says "linux"
CTRL_ALT_DEL: Final = "/proc/sys/kernel/ctrl-alt-del"
ACTIVE_CONSOLES: Final = "/sys/class/tty/console/active"


def clean_environment(found: Mapping[str, str], active_consoles: str) -> dict[str, str]:
    """What PID 1 keeps of the environment. `active_consoles`: the last one named is /dev/console."""
    kept = {name: found[name] for name in KEPT_VARIABLES if name in found}
    names = active_consoles.split()
    if names and not names[-1].removeprefix("tty").isdigit() and kept.get("TERM", "linux") == "linux":
        kept["TERM"] = SERIAL_TERM
    return {"PATH": PATH, **kept}


def settle(console: str) -> None:
    """Descriptors 0 to 2 on the console, nobody's session, a plain mask, the root directory, a clean environment.

    Each step for itself: what fails is what the kernel gave us already.
    """
    steps: tuple[Callable[[], object], ...] = (
        partial(_standard_descriptors, console),
        partial(os.chdir, "/"),
        os.setsid,
        _clean,
    )
    for step in steps:
        with contextlib.suppress(OSError):
            step()
    os.umask(0o022)


def take_ctrl_alt_del(tell: Callable[[str], object]) -> None:
    """Have the kernel send SIGINT instead of resetting the machine: proc_sys_kernel(5)."""
    try:
        fd = os.open(CTRL_ALT_DEL, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)
    except OSError as failure:
        tell(f"ctrl-alt-del stays the kernel's: {error_words(failure)}")


def read_text(path: str) -> str:
    """The contents of a small file of the kernel's; "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _standard_descriptors(console: str) -> None:
    try:
        # Non-blocking, and it stays so: what Python itself writes to standard error must not hold PID 1, either.
        fd = os.open(console, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        fd = os.open("/dev/null", os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(fd, target)
    if fd > 2:
        os.close(fd)


def _clean() -> None:
    kept = clean_environment(os.environ, read_text(ACTIVE_CONSOLES))
    os.environ.clear()
    os.environ.update(kept)
