"""How does each connection get a process? Sources: accepting.py and triggers.py of linit/runtime."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linit.engine.events import SpawnFailed, Verb
from linit.model.reason import Cause, Reason
from linit.model.service import (
    Command,
    Dependency,
    EdgeKind,
    Execution,
    Kind,
    Listen,
    ListenKind,
    RestartPolicy,
    Service,
)
from tests.unit.sockets_world import DOWN, FAILED, HERE, STARTING, UP, World, at, connect, worlds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from worlds(tmp_path)


NEED = Dependency(EdgeKind.NEED, "db", HERE)
WANT = Dependency(EdgeKind.WANT, "audit", HERE)


def accepting(path: Path, most: int = 2) -> Service:
    return Service(
        "echo",
        HERE,
        kind=Kind.SOCKET,
        description="Says it again",
        run=Command(("/bin/cat",), HERE),
        dependencies=(NEED, WANT),
        execution=Execution(user="nobody", environment=(("A", "1"),)),
        runlevels=("default",),
        listen=(at(path, accept=True, most=most),),
    )


def test_each_connection_is_a_service_made_of_the_listeners(world: World, tmp_path: Path) -> None:
    """inetd(8). What it only wants is not started again by each client; how it ends is its own affair."""
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path):
        world.loop.turn()
    (service,) = world.run
    assert (service.name, service.kind, service.transient) == ("echo@1", Kind.PROCESS, True)
    assert (service.run, service.execution) == (Command(("/bin/cat",), HERE), accepting(path).execution)
    assert service.description == f"Says it again: connection of pid {os.getpid()}, uid {os.getuid()}"
    assert (service.dependencies, service.listen, service.runlevels) == ((NEED,), (), ())
    assert service.restart.policy is RestartPolicy.NEVER
    assert set(range(256)) <= set(service.success_statuses)
    assert {1, 9, 11, 15} <= set(service.success_signals)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("[::]", "127.0.0.1")])
def test_a_connection_of_the_internet_knows_its_client(world: World, host: str, shown: str) -> None:
    """systemd.socket(5). A client of IPv4 is one also where it came to a socket of IPv6."""
    listen = Listen(ListenKind.TCP, f"{host}:0", HERE, accept=True)
    world.triggers.arm(Service("echo", HERE, kind=Kind.SOCKET, run=Command(("/bin/cat",), HERE), listen=(listen,)))
    if isinstance(world.events[0], SpawnFailed):
        pytest.skip("no IPv6")
    (fd,) = world.loop.readers
    with socket.socket(fileno=os.dup(fd)) as same:
        port = same.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        world.loop.turn()
        client_port = client.getsockname()[1]
    (service,) = world.run
    assert service.execution.environment == (("REMOTE_ADDR", shown), ("REMOTE_PORT", str(client_port)))
    assert service.description == f"echo: connection of {shown}:{client_port}"


def test_the_process_gets_the_connection_once_and_linit_keeps_none(world: World, tmp_path: Path) -> None:
    """Else the client would never see its end. It is blocking, as a program expects its standard input to be."""
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path) as client:
        world.loop.turn()
        prepared = world.triggers.connection_of("echo@1")
        assert prepared.connection is not None
        assert os.get_blocking(prepared.connection)
        prepared.close()
        assert client.recv(1) == b""
    assert world.triggers.connection_of("echo@1").connection is None
    assert world.triggers.connection_of("other@1").connection is None


def test_at_the_cap_clients_wait_and_are_served_when_one_ends(world: World, tmp_path: Path) -> None:
    path = tmp_path / "s"
    world.triggers.arm(accepting(path, most=2))
    clients = [connect(path) for _ in range(4)]
    world.loop.turn()
    assert [service.name for service in world.run] == ["echo@1", "echo@2"]
    assert world.triggers.words("echo") == [f"listens on unix {path}", "2 of 2 connections"]
    assert world.loop.readers == {}
    world.ends("echo@1")
    world.loop.turn()
    assert [service.name for service in world.run[2:]] == ["echo@3"]
    world.ends("echo@2")
    world.loop.turn()
    assert [service.name for service in world.run[3:]] == ["echo@4"]
    for client in clients:
        client.close()


def test_a_flood_of_clients_does_not_keep_the_loop(world: World, tmp_path: Path) -> None:
    """Between two handfuls others have their turn."""
    path = tmp_path / "s"
    world.triggers.arm(accepting(path, most=64))
    clients = [connect(path) for _ in range(20)]
    (look,) = world.loop.readers.values()
    look()
    assert len(world.run) == 16
    look()
    assert len(world.run) == 20
    for client in clients:
        client.close()


def test_a_connection_that_linit_may_not_serve_any_more_is_closed(world: World, tmp_path: Path) -> None:
    """The machine is shutting down."""
    world.refuses = "the system is shutting down"
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path) as client:
        world.loop.turn()
        assert client.recv(1) == b""
    assert world.triggers.words("echo")[1] == "0 of 2 connections"


def test_a_connection_whose_process_could_not_be_run_is_told_closed_and_forgotten(world: World, tmp_path: Path) -> None:
    """A transient service that failed would stay to be looked at: one for each client would fill the memory."""
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path) as client:
        world.loop.turn()
        world.moves("echo@1", STARTING, FAILED, Reason(Cause.SPAWN_FAILED, text="exec /bin/cat: ENOENT"))
        assert client.recv(1) == b""
    assert world.requests == [(Verb.STOP, ("echo@1",))]
    assert world.lines[-1] == ("echo", f"echo@1: {Reason(Cause.SPAWN_FAILED, text='exec /bin/cat: ENOENT')}")
    assert world.triggers.words("echo")[1] == "0 of 2 connections"


def test_connections_are_told_of_in_the_log_of_their_listener(world: World, tmp_path: Path) -> None:
    """A log for each client would be a file for each."""
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path):
        world.loop.turn()
    out, err = world.pipes.writing_ends(world.run[0])
    assert (out, err) == world.pipes.writing_ends(accepting(path))
    world.ends("echo@1")
    world.pipes.close()
    who = f"pid {os.getpid()}, uid {os.getuid()}"
    assert world.lines == [("echo", f"echo@1: connected with {who}"), ("echo", "echo@1: exited with status 0")]


def test_connections_outlive_their_listener_and_count_for_the_next(world: World, tmp_path: Path) -> None:
    """A restart of the listener disturbs nobody, and gives no one's name to another."""
    path = tmp_path / "s"
    world.triggers.arm(accepting(path, most=2))
    with connect(path), connect(path):
        world.loop.turn()
        world.triggers.disarm("echo")
        with pytest.raises(FileNotFoundError):
            connect(path)
        world.triggers.arm(accepting(path, most=3))
        assert world.triggers.words("echo")[1] == "2 of 3 connections"
        with connect(path):
            world.loop.turn()
    assert [service.name for service in world.run] == ["echo@1", "echo@2", "echo@3"]


def test_a_name_that_is_taken_is_passed_over(world: World, tmp_path: Path) -> None:
    """`linitctl run --name echo@1`, for example."""
    path = tmp_path / "s"
    world.unit("echo@1", UP)
    world.triggers.arm(accepting(path))
    with connect(path):
        world.loop.turn()
    assert [service.name for service in world.run] == ["echo@2"]
    world.moves("echo@1", UP, DOWN)  # it is no connection
    assert world.triggers.words("echo")[1] == "1 of 2 connections"


def accept_fails_with(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """The next accept(2) fails; the list has an item for each call."""
    calls: list[int] = []
    real_accept = socket.socket.accept

    def accept(one: socket.socket) -> Any:
        calls.append(number)
        if len(calls) == 1:
            raise OSError(number, os.strerror(number))
        return real_accept(one)

    monkeypatch.setattr(socket.socket, "accept", accept)
    return calls


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_without_a_descriptor_for_it_a_client_waits_a_second(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It stays readable: linit would spin. Source: accept(2)."""
    calls = accept_fails_with(monkeypatch, number)
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path):
        world.loop.advance(0.9)
        assert (len(calls), world.loop.readers, world.run) == (1, {}, [])
        world.loop.advance(0.2)
    assert [service.name for service in world.run] == ["echo@1"]
    name = errno.errorcode[number]
    ((who, text),) = world.told
    assert who == "echo"
    assert text.startswith(f"cannot accept a connection: {name} (")
    assert text.endswith("); tried again after 1 s")


def test_a_client_that_gave_up_keeps_nobody_waiting(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ECONNABORTED: accept(2). The next one is served in the same turn."""
    accept_fails_with(monkeypatch, errno.ECONNABORTED)
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path):
        world.loop.turn()
    assert [service.name for service in world.run] == ["echo@1"]
    assert world.told == []


def test_a_listener_that_is_closed_while_it_waits_for_descriptors_tries_nothing_more(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept_fails_with(monkeypatch, errno.EMFILE)
    path = tmp_path / "s"
    world.triggers.arm(accepting(path))
    with connect(path):
        world.loop.turn()
    world.triggers.disarm("echo")
    assert world.loop.waiting == []
