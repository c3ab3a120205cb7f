"""The boot benchmark in a machine: it must go on working while the image and linit change.

No package of another init is fetched: linit and busybox's init are in the image.
"""

from __future__ import annotations

import pytest

from panux import places
from panux.bench.disk import disk_of
from panux.bench.measure import measure
from panux.bench.peers import busybox, linit
from panux.bench.peers.peer import Peer
from panux.bench.sets import job_set
from panux.image.archive import open_archive
from panux.image.mirror import machine_mirror
from panux.image.progress import Progress
from panux.preparation import Prepared

pytestmark = pytest.mark.vm


@pytest.mark.parametrize("peer", [linit.PEER, busybox.PEER], ids=lambda peer: peer.name)
def test_a_peer_is_booted_asked_and_switched_off(peer: Peer, prepared: Prepared) -> None:
    """With instructions counted, so the host's own work changes nothing but how long this takes."""
    archive = open_archive(places.downloads(), machine_mirror())
    disk = disk_of(peer, "graph", prepared.image, archive, Progress(quiet=True))
    run = measure(peer, disk, job_set("graph", lambda name: name), "icount")
    assert (run.error, run.notes) == ("", ())
    assert 0 < run.said_s <= run.up_s
    assert 0 < run.pid1_pss_kib <= run.pid1_rss_kib
    assert (run.status_s is None) == (not peer.status)
    assert run.shutdown_s is not None
