"""How does a network speak with itself? Its loopback interface is raised: the machine's, and that of a private network.

The kernel gives it its addresses itself. Source: netdevice(7).
"""

from __future__ import annotations

import _socket
import fcntl
from typing import Final

SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1
REQUEST_BYTES: Final = 40  # struct ifreq: 16 of the name, then the flags
FLAGS: Final = slice(16, 18)


def raise_loopback() -> None:
    """`ip link set lo up`. Raises OSError."""
    asking = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = bytearray(fcntl.ioctl(asking.fileno(), SIOCGIFFLAGS, b"lo".ljust(REQUEST_BYTES, b"\0")))
        request[FLAGS] = bytes((request[FLAGS][0] | IFF_UP, request[FLAGS][1]))
        fcntl.ioctl(asking.fileno(), SIOCSIFFLAGS, bytes(request))
    finally:
        asking.close()
