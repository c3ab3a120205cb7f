"""How does each init say what is to be started? One module each; `peer` has what they share."""

from __future__ import annotations

from typing import Final

from panux.bench.peers import busybox, finit, linit, openrc, runit, s6, shepherd, systemd, sysvinit
from panux.bench.peers.peer import Peer

ALL: Final[tuple[Peer, ...]] = (
    linit.PEER, busybox.PEER, runit.PEER, s6.PEER, sysvinit.PEER, finit.PEER, shepherd.PEER, systemd.PEER, openrc.PEER,
)  # fmt: skip
"""In the order in which they are booted and shown."""
