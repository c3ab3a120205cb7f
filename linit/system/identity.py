"""What does a machine need to speak with itself before its first service? Its name, and the loopback interface.

A service for each would take PID 1 longer. A machine has no earlier name to go back to, so nothing is undone.
Sources: sethostname(2), hostname(5).
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import Final

from linit.runtime.failure import error_words
from linit.runtime.kernel_files import read
from linit.runtime.loopback import raise_loopback

HOSTNAME: Final = "/etc/hostname"


def settle(tell: Callable[[str], object]) -> None:
    """Both. What fails is told, and the boot goes on."""
    name = first_word(read(HOSTNAME))
    try:
        if name:
            _socket.sethostname(name)
    except OSError as failure:
        tell(f"the machine cannot be called {name}: {error_words(failure)}")
    try:
        raise_loopback()
    except OSError as failure:
        tell(f"no loopback interface: {error_words(failure)}")


def first_word(text: str) -> str:
    """The name that a file says; lines that begin with # are comments. "" if there is none."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")
