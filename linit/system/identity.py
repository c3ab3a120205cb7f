"""What does a machine need to speak with itself before its first service? Its name, and the loopback interface.

Each was a service of its own, which took PID 1 ten times as long. The kernel gives the interface its addresses itself,
and a machine has no earlier name to go back to, so nothing is undone. Sources: sethostname(2), hostname(5),
netdevice(7).
"""

from __future__ import annotations

import _socket
import fcntl
from collections.abc import Callable
from typing import Final

from linit.runtime.failure import error_words
from linit.runtime.kernel_files import read

HOSTNAME: Final = "/etc/hostname"
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1
REQUEST_BYTES: Final = 40  # struct ifreq: 16 of the name, then the flags
FLAGS: Final = slice(16, 18)


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


def raise_loopback() -> None:
    """`ip link set lo up`. Raises OSError."""
    asking = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = bytearray(fcntl.ioctl(asking.fileno(), SIOCGIFFLAGS, b"lo".ljust(REQUEST_BYTES, b"\0")))
        request[FLAGS] = bytes((request[FLAGS][0] | IFF_UP, request[FLAGS][1]))
        fcntl.ioctl(asking.fileno(), SIOCSIFFLAGS, bytes(request))
    finally:
        asking.close()
