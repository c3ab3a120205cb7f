"""Who may come in, and what does a bad client do to others? Nothing. linit/control/server.py, connection.py."""

from __future__ import annotations

import errno
import gc
import os
import resource
import socket
import stat
import tty
import weakref
from pathlib import Path
from typing import Any

import pytest

from linit import VERSION
from linit.control import frames, messages
from linit.control.authorisation import Peer
from linit.control.connection import IN_FLIGHT_MAX, QUEUE_MAX_BYTES, QUEUE_PAUSE_BYTES, READ_BYTES, Connection
from linit.control.rota import REQUESTS_AT_ONCE
from linit.control.server import CLIENTS_MAX, CLIENTS_PER_USER_MAX, CLIENTS_RESERVED, ControlServer
from linit.engine.events import Ready, Verb
from linit.model.paths import Paths
from linit.model.service import Plan
from linit.runtime.turn import TURN_S

from .control_world import NOTIFY, FakeSupervisor, StepLoop, Talker, World, service, world

ALICE = Peer(pid=400, uid=1000, gid=1000)
BOB = Peer(pid=401, uid=1001, gid=1001)
ROOT = Peer(pid=312, uid=0, gid=0)
MANY = [service(f"service-{number:04}", description="x" * 900) for number in range(300)]  # a list of over 256 KiB


def closed_with(talker: Talker) -> str:
    """The error code with which the connection ends."""
    while (frame := talker.frame()) is not None:
        if frame[:2] == [messages.NOTIFICATION, messages.CLOSED]:
            assert talker.frame() is None
            return str(frame[2][0]["code"])
    return "no word"


# -- the socket


def test_everybody_may_connect_to_the_socket_and_only_its_owner_may_replace_it() -> None:
    with world() as here:
        assert stat.S_IMODE(os.stat(here.paths.control).st_mode) == 0o666
        assert stat.S_IMODE(os.stat(here.paths.run).st_mode) & 0o022 == 0


def test_the_socket_of_an_earlier_run_is_replaced_and_removed_at_the_end(tmp_path: Path) -> None:
    paths = Paths.user(str(tmp_path))
    os.mkdir(paths.run)
    with socket.socket(socket.AF_UNIX) as earlier:
        earlier.bind(paths.control)
    loop = StepLoop()
    here = World.__new__(World)
    server = ControlServer(FakeSupervisor(Plan(()), loop), loop, paths, "user")
    server.listen()
    here.loop, here.paths = loop, paths
    here.client()
    server.close()
    assert not os.path.exists(paths.control)


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    paths = Paths.user(str(tmp_path))
    os.mkdir(paths.run)
    Path(paths.control).write_text("mine")
    loop = StepLoop()
    server = ControlServer(FakeSupervisor(Plan(()), loop), loop, paths, "user")
    with pytest.raises(FileExistsError, match="is in the way of the control socket"):
        server.listen()
    server.close()
    assert Path(paths.control).read_text() == "mine"


def test_a_folder_whose_name_is_too_long_for_a_socket_address_works_all_the_same(tmp_path: Path) -> None:
    """sun_path holds 108 bytes: unix(7)."""
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    here = World(str(folder), service("net"))
    address, folder_fd = messages.socket_address(here.paths.control)
    client = socket.socket(socket.AF_UNIX)
    client.connect(address)
    os.close(folder_fd)
    assert Talker(here, client).hello().call("list")[0] is None
    assert here.ctl("--user", str(folder), "list", "net").status == 0
    here.close()


# -- hello


def test_hello_tells_protocol_version_and_where_everything_is() -> None:
    with world(service("net")) as here:
        _, result = here.talker().call("hello", client="a test", protocol=1)
        assert result == {
            "protocol": 1,
            "version": VERSION,
            "pid": os.getpid(),
            "mode": "user",
            "boot_state": "booting",
            "runlevel": "",
            "uid": os.getuid(),
            "may_write": True,
            "paths": {
                "services": [f"{here.folder}/services"],
                "runlevels": f"{here.folder}/runlevels",
                "plan": f"{here.folder}/run/plan.msgpack",
                "control": f"{here.folder}/run/control.sock",
                "run": f"{here.folder}/run",
                "log": f"{here.folder}/log",
                "state": f"{here.folder}/run",
            },
        }


def test_the_first_request_is_hello_or_the_connection_ends() -> None:
    with world() as here:
        talker = here.talker()
        error, _ = talker.call("list")
        assert error == {
            "code": "wrong_protocol",
            "message": "the first request was 'list', expected hello",
            "hint": 'begin with [0, 1, "hello", [{"client": NAME, "protocol": 1}]]',
        }
        assert closed_with(talker) == "wrong_protocol"


@pytest.mark.parametrize("protocol", [2, 0, "1", None, True])
def test_another_protocol_is_refused_with_what_to_do(protocol: object) -> None:
    with world() as here:
        talker = here.talker()
        error, _ = talker.call("hello", client="a test", protocol=protocol)
        assert error == {
            "code": "wrong_protocol",
            "message": f"this linit ({VERSION}) speaks protocol 1, the client {protocol}",
            "hint": f"use the linitctl of linit {VERSION}",
            "protocol": 1,
            "version": VERSION,
        }
        assert closed_with(talker) == "wrong_protocol"


# -- bad clients


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xc1", "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
        (frames.encode([7, 7]), "malformed"),
        (frames.encode([0, 1, "list", ["x"]]), "malformed"),
        (frames.encode([0, 1, "list", [{"x": "x" * (1 << 20)}]]), "too_large"),
        (b"\x94\x00\x01\xa4list" + b"\xdc\x10\x00" * 400_000, "malformed"),
    ],
)
def test_a_client_that_sends_nonsense_is_cut_off_with_an_error_and_no_one_else_is(data: bytes, code: str) -> None:
    with world(service("net")) as here:
        good = here.client()
        bad = here.client()
        bad.send(data)
        assert closed_with(bad) == code
        assert good.call("list")[0] is None


def test_a_subscriber_that_does_not_read_is_cut_off_and_no_one_waits_for_it() -> None:
    with world(*MANY, service("web")) as here:
        slow = here.client()
        slow.call("subscribe", topics=["transitions"])
        good = here.client()
        turns = 0
        while any(one.topics for one in here.server._clients):
            assert good.call("start", names=["web"])[0] is None
            assert good.call("stop", names=["web"])[0] is None
            turns += 1
            assert turns < 100_000, "the slow one was never cut off"
            for one in here.server._clients:
                assert one.queued_bytes <= QUEUE_MAX_BYTES
        assert closed_with(slow) == "too_slow"
        assert good.call("list")[0] is None


def test_requests_of_a_client_that_does_not_read_answers_are_not_taken() -> None:
    """Otherwise 16 KiB of requests would be answered with gigabytes."""
    with world(*MANY) as here:
        greedy = here.client()
        for number in range(10, 210):
            greedy.send(frames.request(number, "list", {}))
        good = here.client()
        for _ in range(50):
            assert good.call("runlevel")[0] is None
        (connection,) = [one for one in here.server._clients if one.queued_bytes]
        one_answer = len(frames.response(1, None, good.call("list")[1]))
        assert connection.queued_bytes <= QUEUE_PAUSE_BYTES + one_answer
        got = [frame[1] for _ in range(200) if (frame := greedy.frame())]
        assert got == list(range(10, 210))


def test_an_answer_larger_than_any_socket_buffer_arrives_whole() -> None:
    with world(*MANY) as here:
        _, result = here.client().call("list")
        assert [each["name"] for each in result["services"]] == [each.name for each in MANY]


def test_the_answer_for_a_client_that_is_gone_is_dropped_and_the_request_goes_on() -> None:
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        talker = here.client()
        talker.ask("start", names=["web"])
        here.loop.run_until(lambda: here.state("web") == "starting")
        talker.socket.close()
        here.loop.run_until(lambda: not here.server._clients)
        here.supervisor.dispatch(Ready("web"))
        assert here.state("web") == "up"


def test_many_requests_wait_on_one_connection_and_are_answered_as_they_come_true() -> None:
    with world(service("a", readiness=NOTIFY), service("b", readiness=NOTIFY)) as here:
        here.supervisor.held.update("ab")
        talker = here.client()
        first = talker.ask("start", names=["a"])
        second = talker.ask("start", names=["b"])
        assert talker.call("runlevel")[0] is None
        here.supervisor.dispatch(Ready("b"))
        here.supervisor.dispatch(Ready("a"))
        answers = [talker.frame(), talker.frame()]
        assert [frame[1] for frame in answers if frame] == [second, first]


def test_an_id_that_is_in_use_is_refused_and_so_are_too_many_requests() -> None:
    with world(service("a", readiness=NOTIFY)) as here:
        here.supervisor.held.add("a")
        talker = here.client()
        for number in range(1000, 1000 + IN_FLIGHT_MAX - 1):
            talker.send(frames.request(number, "start", {"names": ["a"]}))
        talker.send(frames.request(1000, "list", {}))
        frame = talker.frame() or []
        assert (frame[1], frame[2]["message"]) == (1000, "the id 1000 is still in use")
        talker.send(frames.request(5000, "start", {"names": ["a"]}))
        talker.send(frames.request(5001, "list", {}))
        frame = talker.frame() or []
        assert (frame[1], frame[2]["code"]) == (5001, "busy")


# -- how many


def test_the_number_of_clients_is_bounded_and_places_are_kept_for_those_who_may_write() -> None:
    with world(mode="system") as here:
        clients = [here.talker_of(ALICE if number % 2 else BOB).hello() for number in range(CLIENTS_MAX)]
        assert not here.server.has_place_for(Peer(5, 1002, 1002))
        for _ in range(CLIENTS_RESERVED):
            assert here.server.has_place_for(ROOT)
            clients.append(here.talker_of(ROOT).hello())
        assert not here.server.has_place_for(ROOT)


def test_one_user_does_not_get_all_places() -> None:
    with world(mode="system") as here:
        clients = [here.talker_of(ALICE).hello() for _ in range(CLIENTS_PER_USER_MAX)]
        assert len(here.server._clients) == len(clients)
        assert not here.server.has_place_for(ALICE)
        assert here.server.has_place_for(BOB)


def test_who_has_not_said_hello_gives_way_to_a_new_client() -> None:
    with world(mode="system") as here:
        silent = here.talker_of(ALICE)
        others = [here.talker_of(ALICE).hello() for _ in range(CLIENTS_PER_USER_MAX - 1)]
        assert here.server.has_place_for(ALICE)
        assert silent.frame() is None
        assert all(each.call("list")[0] is None for each in others)


def test_a_client_too_many_is_told_so() -> None:
    with world() as here:
        talkers = [here.client() for _ in range(CLIENTS_MAX + CLIENTS_RESERVED)]
        one_more = here.talker()
        frame = one_more.frame() or []
        count = len(talkers)
        assert frame[2][0] == {
            "code": "busy",
            "message": f"{count} clients are connected already",
            "hint": "try again later",
        }
        assert one_more.frame() is None


def test_without_a_free_descriptor_clients_are_turned_away_and_the_loop_does_not_spin() -> None:
    """accept(2): EMFILE leaves the connection in the queue, so the socket stays readable."""
    with world() as here:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = os.dup(0)
        os.close(highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        try:
            with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                os.dup(0)
            for client in clients:
                client.connect(here.paths.control)
            here.loop.step(0.05)
            here.loop.step(0.05)
            here.loop.step(0.05)
            turns = here.loop.turns
            here.loop.step(0.01)
            assert here.loop.turns == turns, "the listening socket is still readable"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            talker = Talker(here, client)
            frame = talker.frame() or []
            assert frame[2][0]["message"] == "linit has no file descriptor left"
        assert here.client().call("list")[0] is None


# -- the virtio port


class Port:
    """A pseudo-terminal stands in for a virtio port: its other side is opened and closed as a host does."""

    def __init__(self, here: World) -> None:
        self.here = here
        master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        here.server.attach(master, Peer.host("test.0"))

    def open(self) -> Talker:
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        return Talker(self.here, _FileSocket(fd))  # type: ignore[arg-type]


class _FileSocket:
    """As much of a socket as a Talker uses, over a descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def setblocking(self, on: bool) -> None:
        os.set_blocking(self.fd, on)

    def send(self, data: memoryview) -> int:
        return os.write(self.fd, data)

    def recv(self, size: int) -> bytes:
        return os.read(self.fd, size)

    def close(self) -> None:
        os.close(self.fd)


def test_the_host_speaks_through_a_port_with_roots_rights() -> None:
    with world(*MANY, mode="system") as here:
        host = Port(here).open()
        error, result = host.call("hello", client="vm-tests", protocol=1)
        assert (error, result["may_write"], result["uid"]) == (None, True, 0)
        assert len(host.call("list")[1]["services"]) == len(MANY)
        host.call("start", names=[MANY[0].name])
        assert here.supervisor.asked_by == ["the host (test.0) (vm-tests)"]


def test_a_port_outlives_its_host_and_an_idle_one_wakes_nobody_up() -> None:
    """While nobody is connected poll(2) calls a port readable: drivers/char/virtio_console.c, port_fops_poll."""
    with world(service("web", readiness=NOTIFY), mode="system") as here:
        here.supervisor.held.add("web")
        port = Port(here)
        for _ in range(3):
            host = port.open().hello()
            host.call("subscribe", topics=["transitions"])
            host.ask("start", names=["web"])
            assert host.frame()
            host.socket.close()
            here.loop.run_until(lambda: not any(one.topics for one in here.server._clients), "the end of the session")
            here.loop.step(0.01)
            turns = here.loop.turns
            for _ in range(5):
                here.loop.step(0.01)
            assert here.loop.turns == turns, "the loop spins"
            here.supervisor.request(Verb.STOP, ("web",), "the test", lambda answer: None)


def test_a_port_is_deaf_after_nonsense_until_the_host_comes_anew() -> None:
    with world(service("net"), mode="system") as here:
        port = Port(here)
        host = port.open().hello()
        host.send(b"\xc1")
        frame = host.frame() or []
        assert (frame[1], frame[2][0]["code"]) == ("closed", "malformed")
        host.send(frames.request(9, "list", {}))
        for _ in range(3):
            here.loop.step(0.01)
        host._read()
        assert not host.frames
        host.socket.close()
        here.loop.run_until(lambda: not any(one.is_closing for one in here.server._clients))
        assert port.open().hello().call("list")[0] is None


def test_many_clients_are_answered_some_in_each_turn_of_the_loop() -> None:
    """So that services are started and reaped meanwhile. In the end all are answered."""
    with world(service("net")) as here:
        clients = [here.client() for _ in range(5)]
        answered = list[str]()

        def ask(*_arguments: Any, **_options: Any) -> None:
            answered.append("one")
            here.loop.now_s += TURN_S / 2  # so long it takes

        here.supervisor.request = ask  # type: ignore[method-assign]
        for client in clients:
            client.ask("start", names=["net"])
        counts = list[int]()
        while len(answered) < len(clients):
            here.loop.step(1.0)
            counts.append(len(answered))
        assert counts == [2, 4, 5]


def test_who_sends_many_requests_at_once_waits_for_who_sends_one() -> None:
    """A few of each client, one client after the other, however many requests one read brings."""
    with world(service("many"), service("one")) as here:
        asked = list[str]()

        def ask(*arguments: Any, **_options: Any) -> None:
            asked.extend(arguments[1])

        here.supervisor.request = ask  # type: ignore[method-assign]
        many, one = here.client(), here.client()
        data = b"".join(frames.request(number, "start", {"names": ["many"]}) for number in range(10, 110))
        assert len(data) < READ_BYTES
        many.send(data)
        while not asked:
            here.loop.step(1.0)
        assert len(asked) == REQUESTS_AT_ONCE
        one.ask("start", names=["one"])
        here.loop.run_until(lambda: len(asked) == 101)
        assert [number for number, by in enumerate(asked) if by == "one"] == [3 * REQUESTS_AT_ONCE]
        many.socket.close()
        here.loop.run_until(lambda: len(here.server._clients) == 1)


def test_what_others_do_in_a_turn_is_not_counted_against_clients() -> None:
    """Reaping between two of them takes as long as a turn: the second is heard all the same, every time."""
    with world(service("net")) as here:
        first, second = here.client(), here.client()
        come = here.server._rota.come

        def late(connection: Connection) -> None:
            here.loop.now_s += TURN_S
            come(connection)

        for one in here.server._clients:
            one.come = late
        for talker in (first, second):
            talker.ask("runlevel")
        here.loop.step(1.0)
        for talker in (first, second):
            talker.socket.setblocking(False)
            assert talker.socket.recv(1)


def test_of_clients_that_all_ask_again_at_once_each_is_heard_about_as_often() -> None:
    """As many as are too many for one turn: who had to wait goes first in the next."""
    names = [f"service-{number}" for number in range(7)]
    with world(*map(service, names)) as here:
        clients = {name: here.client() for name in names}
        asked = list[str]()

        def ask(*arguments: Any, **_options: Any) -> None:
            asked.extend(arguments[1])
            clients[asked[-1]].ask("start", names=list(arguments[1]))
            here.loop.now_s += TURN_S / 2

        here.supervisor.request = ask  # type: ignore[method-assign]
        for name, client in clients.items():
            client.ask("start", names=[name])
        while len(asked) < 70:
            here.loop.step(1.0)
        assert all(abs(asked.count(name) - 10) <= 2 for name in names)


def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    """At once: thousands may come and go before anybody looks for garbage. Also while its request waits."""
    with world(service("web", readiness=NOTIFY)) as here:
        here.supervisor.held.add("web")
        gc.collect()
        gc.disable()
        try:
            one, other = here.client(), here.client()
            gone, waits = (weakref.ref(each) for each in here.server._clients)
            one.call("list")
            other.ask("start", names=["web"])
            here.loop.run_until(lambda: here.state("web") == "starting")
            for talker in (one, other):
                talker.socket.close()
            here.loop.run_until(lambda: not here.server._clients)
            here.loop.soon.clear()
            assert gone() is None
            connection = waits()
            assert connection is not None and not hasattr(connection, "_decoder")
            del connection
            here.supervisor.dispatch(Ready("web"))
            assert waits() is None
        finally:
            gc.enable()
