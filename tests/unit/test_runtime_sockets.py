"""When do clients start a service? Sources: triggers.py and sockets.py of linit/runtime."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linit.engine.events import Ready, SpawnFailed, Triggered
from linit.model.service import (
    Kind,
    Listen,
    ListenKind,
    Readiness,
    ReadinessKind,
    Service,
)
from linit.model.state import Role, UnitState
from linit.runtime.attendance import Attendance
from linit.runtime.sockets import AGAIN_S
from tests.unit.sockets_world import DOWN, FAILED, HERE, STARTING, UP, World, at, connect, worlds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from worlds(tmp_path)


def sockets(*listens: Listen) -> Service:
    return Service("web.socket", HERE, kind=Kind.SOCKET, listen=listens, activates="web")


def test_the_first_client_starts_a_service_and_no_second_one_does(world: World, tmp_path: Path) -> None:
    """On demand. The others wait in the queue until the service takes them, too."""
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path, on_demand=True)))
    assert world.events == [Ready("web.socket")]
    world.loop.turn()
    assert world.events == [Ready("web.socket")]
    with connect(path), connect(path):
        world.loop.turn()
        world.loop.turn()
    assert world.events[1:] == [Triggered("web.socket", f"a client of unix {path}")]


def test_while_the_service_runs_its_clients_are_its_own(world: World, tmp_path: Path) -> None:
    """Nothing of linit wakes up for them."""
    world.unit("web", UP)
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path, on_demand=True)))
    assert world.loop.readers == {}
    world.moves("web", UP, DOWN)
    assert len(world.loop.readers) == 1
    world.moves("web", DOWN, UnitState.WAITING)
    assert world.loop.readers == {}


def test_a_client_that_still_waits_when_the_service_rests_starts_it_again(world: World, tmp_path: Path) -> None:
    """It ended before it took everybody. The engine sees to it that this does not go on for ever."""
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path, on_demand=True)))
    with connect(path):
        world.loop.turn()
        world.moves("web", DOWN, STARTING)
        world.moves("web", STARTING, FAILED)
        world.loop.turn()
    assert world.events[1:] == [Triggered("web.socket", f"a client of unix {path}")] * 2


def test_a_client_that_started_nothing_is_seen_again(world: World, tmp_path: Path) -> None:
    """The service rests, but only until another is back: if that never is, no change of state says so."""
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path, on_demand=True)))
    with connect(path):
        world.loop.turn()
        world.loop.advance(AGAIN_S)
        assert len(world.events) == 3
        world.moves("web", DOWN, STARTING)
        world.loop.advance(AGAIN_S)
    assert world.events[1:] == [Triggered("web.socket", f"a client of unix {path}")] * 2


def test_only_what_is_on_demand_starts_a_service(world: World, tmp_path: Path) -> None:
    early, lazy = tmp_path / "early", tmp_path / "lazy"
    world.triggers.arm(sockets(at(early), at(lazy, on_demand=True)))
    with connect(early):
        world.loop.turn()
        assert world.events == [Ready("web.socket")]
        with connect(lazy):
            world.loop.turn()
    assert world.events[1:] == [Triggered("web.socket", f"a client of unix {lazy}")]


def test_a_reload_changes_an_open_socket_and_refuses_nobody(world: World, tmp_path: Path) -> None:
    """Who waits in the queue stays there; mode, name and who may start the service are those of the new definition."""
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path, mode=0o666)))
    before = path.stat()
    with connect(path):
        world.triggers.arm(sockets(at(path, mode=0o600, name="http", backlog=7, on_demand=True)))
        world.loop.turn()
    after = path.stat()
    assert (after.st_ino, after.st_mode & 0o777) == (before.st_ino, 0o600)
    assert world.events == [Ready("web.socket")] * 2 + [Triggered("web.socket", f"a client of unix {path}")]
    assert [name for _, name in world.triggers.sockets_of(Service("web", HERE, listen=(at(path),)))] == ["http"]
    assert world.told == []


def test_what_cannot_be_changed_about_an_open_socket_is_told_and_it_stays_open(world: World, tmp_path: Path) -> None:
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path, mode=0o640)))
    world.triggers.arm(sockets(at(path, owner="nobody-of-that-name")))
    assert world.events == [Ready("web.socket")] * 2
    assert world.told == [
        ("web.socket", f'listen unix {path}: no user "nobody-of-that-name" in /etc/passwd; it stays as it was')
    ]
    assert path.stat().st_mode & 0o777 == 0o640
    with connect(path):
        world.loop.turn()


def test_every_start_is_handed_the_same_sockets(world: World, tmp_path: Path) -> None:
    """Named as the definition says, else as the service: systemd.socket(5), FileDescriptorName."""
    world.triggers.arm(sockets(at(tmp_path / "a", name="http"), at(tmp_path / "b")))
    web = Service("web", HERE, listen=(at(tmp_path / "a"),))
    pairs = world.triggers.sockets_of(web)
    assert [name for _, name in pairs] == ["http", "web"]
    assert world.triggers.sockets_of(web) == pairs


def test_a_service_whose_sockets_are_not_open_is_not_started_without_them(world: World, tmp_path: Path) -> None:
    world.triggers.arm(sockets(at(tmp_path / "a")))
    world.triggers.disarm("web.socket")
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError, match=r"^web\.socket is not open$"):
        world.triggers.sockets_of(Service("web", HERE, listen=(at(tmp_path / "a"),)))


@pytest.mark.parametrize("what_it_left", ["nothing", "its own socket"])
def test_a_path_that_the_service_has_removed_is_there_again(world: World, tmp_path: Path, what_it_left: str) -> None:
    """asyncio's servers, for example, remove the path of a socket that they close: Python 3.13."""
    path = tmp_path / "s"
    world.unit("web", UP)
    world.triggers.arm(sockets(at(path, on_demand=True)))
    path.unlink()
    if what_it_left == "its own socket":
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(str(path))
    world.moves("web", UP, DOWN)
    with connect(path):
        world.loop.turn()
    assert world.events[1:] == [Triggered("web.socket", f"a client of unix {path}")]
    assert world.told == [("web.socket", f"unix {path} was removed by somebody: opened again")]
    path.unlink()
    ((fd, _),) = world.triggers.sockets_of(Service("web", HERE, listen=(at(path),)))
    with connect(path), socket.socket(fileno=os.dup(fd)) as same:
        same.accept()[0].close()


def test_a_path_that_another_process_has_taken_is_not_taken_back(world: World, tmp_path: Path) -> None:
    path = tmp_path / "s"
    world.triggers.arm(sockets(at(path)))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        world.triggers.sockets_of(Service("web", HERE, listen=(at(path),)))
    text = f"listen unix {path}: EADDRINUSE, another process accepts there"
    assert world.told == [("web.socket", f"removed by somebody, and cannot be opened again: {text}")]


def test_a_socket_that_cannot_be_opened_is_a_failed_start_that_says_so(world: World, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        world.triggers.arm(sockets(at(path)))
    text = f"listen unix {path}: EADDRINUSE, another process accepts there"
    assert world.events == [SpawnFailed("web.socket", Role.MAIN, text)]


def test_what_sockets_wait_for_is_told(world: World, tmp_path: Path) -> None:
    tcp = Listen(ListenKind.TCP, "127.0.0.1:0", HERE, name="http")
    world.triggers.arm(sockets(tcp, at(tmp_path / "s")))
    expected = ["listens on tcp 127.0.0.1:0 (fd http)", f"listens on unix {tmp_path}/s (fd web)"]
    assert world.triggers.words("web.socket") == expected


def test_a_readiness_descriptor_is_none_of_those_that_are_handed_over(world: World, tmp_path: Path) -> None:
    """The compiler says so already; who comes here all the same is not given one in place of the other."""
    attendance = Attendance(replace(world.means, members=cast("Any", SimpleNamespace())))
    listen = (at(tmp_path / "a"), at(tmp_path / "b"))
    attendance.triggers.arm(sockets(*listen))
    web = Service("web", HERE, listen=listen, readiness=Readiness(ReadinessKind.FD, "4"))
    with pytest.raises(OSError) as raised:
        attendance.prepare(web)
    text = "descriptor 4 is the one of `ready` and one that is handed over: take a higher one"
    assert str(raised.value) == text
    attendance.watches.forget("web")
    prepared = attendance.prepare(replace(web, readiness=Readiness(ReadinessKind.FD, "5")))
    assert [number for _, number in prepared.keep] == [3, 4, 5]
    prepared.close()
    attendance.watches.forget("web")
    attendance.close()
