"""Who is asking, and what may they do? The kernel says who (SO_PEERCRED, unix(7)); what a client says of itself is
only ever shown to people."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from linit.control.messages import CLIENT_TEXT_MAX

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. `port` names the virtio port that it came through; "" for a socket."""

    pid: int
    uid: int
    gid: int
    port: str = ""

    @staticmethod
    def host(port: str) -> Peer:
        """Whoever runs the virtual machine: its rights are root's, for it could change our memory as well."""
        return Peer(pid=0, uid=0, gid=0, port=port)


def peer_of(connection: socket.socket) -> Peer:
    """The process that called connect(2), as the kernel recorded it then. Raises OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    return Peer(pid, uid, gid)


def may_write(peer: Peer, mode: str, own_uid: int | None = None) -> bool:
    """May this peer change anything? Root may; so may, in user mode, the user whose supervisor this is."""
    if peer.uid == 0:
        return True
    return mode == "user" and peer.uid == (os.geteuid() if own_uid is None else own_uid)


def asker(peer: Peer, client: str) -> str:
    """Who asks, for people: `root (linitctl stop nginx, pid 312)`.

    No user name is looked up: that may ask a directory over the network, and PID 1 does not wait for one.
    """
    who = f"the host ({peer.port})" if peer.port else "root" if peer.uid == 0 else f"uid {peer.uid}"
    details = [text for text in (client, f"pid {peer.pid}" if peer.pid else "") if text]
    return f"{who} ({', '.join(details)})" if details else who


def printable(text: str, limit: int = CLIENT_TEXT_MAX) -> str:
    """`text` fit for a console: control characters become question marks, length is bounded.

    An escape sequence in a client's command line must not reach an operator's terminal through a log.
    """
    clean = "".join(letter if letter.isprintable() else "?" for letter in text[: limit + 1])
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
