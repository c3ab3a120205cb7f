"""What a service says, and what it leaves with linit, without processes: this test speaks, and is believed or not."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linit.engine.effects import Signal, To
from linit.engine.events import Extended, Ready, Unhealthy
from linit.model.service import Execution, Kind, Readiness, ReadinessKind, Service
from linit.runtime.attendance import Attendance
from linit.runtime.notify import stored_name
from linit.runtime.preparation import Preparation
from tests.unit.means_world import HERE, World


class Speaking(World):
    """A service `a` whose only process, and main process, is this one. `signalled`: what it was sent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.makedirs(self.paths.run, exist_ok=True)
        self.own = {os.getpid()}
        self.signalled: list[Signal] = []
        members = SimpleNamespace(
            has=lambda _name, pid: pid in self.own,
            main_pid=lambda _name: os.getpid(),
            told_main_s=lambda _name: 0.0,
            signal=self.signalled.append,
        )
        self.means = replace(self.means, members=cast("Any", members))
        self.parts = Attendance(self.means)

    def prepare(self, **keys: Any) -> Preparation:
        """As before its main process is spawned."""
        service = Service("a", HERE, readiness=Readiness(ReadinessKind.NOTIFY), **keys)
        self.unit("a").service = service
        prepared = self.parts.prepare(service)
        self.address = prepared.environment["NOTIFY_SOCKET"]
        return prepared

    def say(self, text: str, *fds: int) -> None:
        """Say it, and have it heard."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
            speaking.connect(self.address.replace("@", "\0", 1))
            socket.send_fds(speaking, [text.encode()], list(fds))
        self.loop.turn(1.0)

    @property
    def said(self) -> str:
        """What is shown of it."""
        return self.parts.status_text("a")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Speaking]:
    """A world that ends without descriptors."""
    before = os.listdir("/proc/self/fd")
    world = Speaking(tmp_path)
    yield world
    world.parts.close()
    assert world.loop.readers == {}
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_in_a_network_of_its_own_it_is_given_a_path(world: Speaking) -> None:
    """Abstract names are of one network namespace: unix(7)."""
    world.prepare(execution=Execution(private_network=True))
    assert world.address == f"{world.paths.run}/notify/a"
    world.say("STATUS=heard")
    assert world.said == "heard"
    world.parts.voices.forget("a")
    assert not os.path.exists(world.address)


def test_a_path_that_no_socket_can_have_is_told(tmp_path: Path) -> None:
    """107 bytes: unix(7)."""
    world = Speaking(tmp_path / ("x" * 120))
    with pytest.raises(OSError, match="longer than 107 bytes"):
        world.prepare(execution=Execution(private_network=True))


def test_the_watchdog_of_a_forking_service_names_no_pid(world: Speaking) -> None:
    """WATCHDOG_PID: sd_watchdog_enabled(3). The daemon is another process than the one that is spawned."""
    assert world.prepare(watchdog_s=30.0).with_pid == ("WATCHDOG_PID",)
    prepared = world.prepare(watchdog_s=30.0, kind=Kind.FORKING)
    assert (prepared.environment["WATCHDOG_USEC"], prepared.with_pid) == ("30000000", ())


def test_ready_counts_also_when_it_was_said_before_anybody_waited(world: Speaking) -> None:
    """The program may be faster than the news that it executes."""
    world.prepare()
    world.say("READY=1")
    assert world.events == []
    world.parts.watches.watch(world.units["a"].service)
    world.loop.turn()
    assert world.events == [Ready("a")]


def test_of_a_word_said_twice_the_first_counts_and_a_line_that_is_none_is_skipped(world: Speaking) -> None:
    """A datagram is a list of assignments: sd_notify(3)."""
    world.prepare()
    world.say("nonsense\n\nSTATUS=one\nSTATUS=two\nEXTEND_TIMEOUT_USEC=1500000\nMAINPID=abc\nERRNO=-1")
    assert world.said == "one"
    assert world.events == [Extended("a", 1.5)]


def test_a_datagram_that_was_cut_off_is_not_believed(world: Speaking) -> None:
    """Its end could say the contrary."""
    world.prepare()
    world.say("STATUS=" + "x" * 5000)
    assert world.said == ""


def test_descriptors_are_closed_also_where_there_is_no_room_for_them(world: Speaking) -> None:
    """RLIMIT_NOFILE is reached: MSG_CTRUNC, unix(7). The fixture counts what is left."""
    world.prepare(fd_store=4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
        speaking.connect(world.address.replace("@", "\0", 1))
        socket.send_fds(speaking, [b"X=1\nSTATUS=heard"], [0] * 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (speaking.fileno() + 10, hard))
        try:
            world.loop.turn(1.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert world.said == "heard"


def test_of_a_stranger_nothing_is_heard_and_nothing_kept(world: Speaking) -> None:
    """Only the service's own processes: SCM_CREDENTIALS."""
    world.prepare(fd_store=4)
    world.own.clear()
    world.say("STATUS=mine\nFDSTORE=1", 0)
    assert world.said == ""
    assert world.parts.fd_store.pairs("a") == []


def test_what_is_stored_comes_after_its_sockets_and_stays_ours(world: Speaking) -> None:
    """LISTEN_FDS: sd_listen_fds(3)."""
    world.prepare(fd_store=4)
    end, far_end = socket.socketpair()
    with end, far_end:
        world.say("FDSTORE=1\nFDNAME=b:ad", end.fileno())
        world.say("FDSTORE=1\nFDNAME=good", far_end.fileno())
        prepared = world.prepare(fd_store=4)
    assert prepared.environment["LISTEN_FDNAMES"] == "stored:good"
    assert [number for _, number in prepared.keep] == [3, 4]
    assert prepared.own == ()


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "ü", "x" * 256])
def test_a_name_that_cannot_be_in_a_list_of_names_is_replaced(name: str) -> None:
    """FDNAME=: sd_notify(3)."""
    assert stored_name(name) == "stored"


def test_a_watchdog_looks_once_for_all_signs_of_life(world: Speaking) -> None:
    """Each is only noted: one timer, however often it is fed. ABRT, and a moment to die of it, come before the rest."""
    world.prepare(watchdog_s=30.0)
    world.parts.health.watch(world.units["a"].service)
    for _ in range(10):
        world.loop.advance(9.0)
        world.say("WATCHDOG=1")
        assert len(world.loop.waiting) == 1
    world.loop.advance(29.0)
    assert world.signalled == []
    world.loop.advance(1.0)
    assert [(sent.signal, sent.to) for sent in world.signalled] == [(6, To.MAIN)]
    assert world.events == []
    world.loop.advance(2.0)
    assert world.events == [Unhealthy("a", "no sign of life for 30 s (watchdog)")]
    assert world.loop.waiting == []


def test_a_sign_of_life_that_nobody_has_read_yet_counts(world: Speaking) -> None:
    """It was linit that had no time."""
    world.prepare(watchdog_s=30.0)
    world.parts.health.watch(world.units["a"].service)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
        speaking.sendto(b"WATCHDOG=1", world.address.replace("@", "\0", 1))
    world.loop.now_s += 31.0
    (look,) = world.loop.waiting
    world.loop.calls.remove(look)
    look.callback()
    assert world.signalled == []
    world.parts.health.unwatch("a")
    assert world.loop.waiting == []
