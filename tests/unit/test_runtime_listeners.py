"""What clients connect to, opened with real sockets. Source: linit/runtime/listeners.py."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linit.model.place import Place
from linit.model.service import Kind, Listen, ListenKind, Service
from linit.runtime import listeners
from linit.runtime.listeners import Listener, internet_address, look_up, numbered, open_all

HERE = Place("web.yaml", 3, 9)
STREAM, DGRAM, SEQPACKET = ListenKind.UNIX_STREAM, ListenKind.UNIX_DGRAM, ListenKind.UNIX_SEQPACKET
TCP, UDP, FIFO = ListenKind.TCP, ListenKind.UDP, ListenKind.FIFO
NOBODY = 65534


@pytest.fixture
def opened() -> Iterator[Any]:
    """Opens listeners, and closes them at the end of the test."""
    all_opened: list[Listener] = []

    def open_these(*listens: Listen) -> list[Listener]:
        service = Service("web.socket", HERE, kind=Kind.SOCKET, listen=listens, activates="web")
        found = open_all(numbered(service, look_up(service)))
        all_opened.extend(found)
        return found

    yield open_these
    for listener in all_opened:
        listener.close()


def listen(kind: ListenKind, address: object, **more: Any) -> Listen:
    return Listen(kind, str(address), HERE, **more)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def port_of(listener: Listener) -> int:
    with socket.socket(fileno=os.dup(listener.fd)) as same:
        return int(same.getsockname()[1])


def refusal(opened: Any, *listens: Listen) -> str:
    with pytest.raises(OSError) as raised:
        opened(*listens)
    return str(raised.value)


@pytest.mark.parametrize(
    ("kind", "type_"),
    [(STREAM, socket.SOCK_STREAM), (DGRAM, socket.SOCK_DGRAM), (SEQPACKET, socket.SOCK_SEQPACKET)],
)
def test_a_path_is_a_socket_of_its_kind_that_clients_may_connect_to(
    opened: Any, tmp_path: Path, kind: ListenKind, type_: socket.SocketKind
) -> None:
    """unix(7). Missing folders are made, for everybody to enter."""
    path = tmp_path / "made" / "too" / "s"
    before = os.umask(0o077)
    try:
        (listener,) = opened(listen(kind, path))
        assert os.umask(0o077) == 0o077, "the umask of linit was changed"
    finally:
        os.umask(before)
    with socket.socket(socket.AF_UNIX, type_) as client:
        client.connect(str(path))
    assert mode_of(path) == 0o666
    assert [mode_of(folder) for folder in (path.parent, path.parent.parent)] == [0o755, 0o755]
    assert not os.get_inheritable(listener.fd)


def test_a_path_has_the_mode_that_is_written_and_never_had_a_wider_one(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between bind(2) and chmod(2) nobody may connect."""
    path = tmp_path / "s"
    seen = []
    real_chmod = os.chmod

    def chmod(file: Any, mode: int) -> None:
        seen.append(mode_of(path))
        with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))  # root may: it does not listen yet either
        real_chmod(file, mode)

    if os.geteuid() != 0:
        pytest.skip("a path of mode 0 answers EACCES to others than root")
    monkeypatch.setattr(os, "chmod", chmod)
    opened(listen(STREAM, path, mode=0o640))
    assert (seen, mode_of(path)) == ([0], 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("kind", [STREAM, FIFO])
def test_a_path_belongs_to_whom_the_definition_names(opened: Any, tmp_path: Path, kind: ListenKind) -> None:
    """A user alone brings its own group: systemd.socket(5), SocketUser."""
    paths = [tmp_path / name for name in ("both", "user", "group")]
    opened(
        listen(kind, paths[0], owner="nobody", group="0", mode=0o600),
        listen(kind, paths[1], owner="nobody"),
        listen(kind, paths[2], group=str(NOBODY)),
    )
    owners = [(path.lstat().st_uid, path.lstat().st_gid) for path in paths]
    assert owners == [(NOBODY, 0), (NOBODY, NOBODY), (0, NOBODY)]
    assert mode_of(paths[0]) == 0o600


def test_an_owner_that_nobody_knows_is_named(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    text = refusal(opened, listen(STREAM, path, owner="nobody-at-all"))
    assert text == f'listen unix {path}: no user "nobody-at-all" in /etc/passwd'


def test_a_socket_that_nobody_has_open_any_more_gives_way(opened: Any, tmp_path: Path) -> None:
    """linit, or the service when it still opened its own, was killed."""
    for kind, type_ in ((STREAM, socket.SOCK_STREAM), (DGRAM, socket.SOCK_DGRAM)):
        path = tmp_path / kind.value
        with socket.socket(socket.AF_UNIX, type_) as old:
            old.bind(str(path))
        opened(listen(STREAM, path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_socket_that_another_process_has_open_stays_its_own(
    opened: Any, tmp_path: Path, type_: socket.SocketKind
) -> None:
    """Whatever its type."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, type_) as other:
        other.bind(str(path))
        if type_ != socket.SOCK_DGRAM:
            other.listen(0)
        before = path.lstat().st_ino
        text = refusal(opened, listen(STREAM, path))
        assert text == f"listen unix {path}: EADDRINUSE, another process accepts there"
        assert path.lstat().st_ino == before


def test_what_is_no_socket_is_not_removed(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    assert refusal(opened, listen(STREAM, path)) == f"listen unix {path}: EEXIST, what is there is no socket"
    assert refusal(opened, listen(FIFO, path)) == f"listen fifo {path}: EEXIST, what is there is no fifo"
    link = tmp_path / "link"
    link.symlink_to(path)
    assert refusal(opened, listen(STREAM, link)) == f"listen unix {link}: EEXIST, what is there is no socket"
    assert path.read_text() == "precious"


def test_what_was_put_in_the_place_of_the_socket_is_not_given_away(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the folder must not get, say, /etc/shadow by a link."""
    path, target = tmp_path / "s", tmp_path / "shadow"
    target.touch(0o600)
    real_open = os.open

    def exchange(file: Any, flags: int, *more: Any) -> int:
        if file == str(path):
            path.unlink()
            path.symlink_to(target)
        return real_open(file, flags, *more)

    monkeypatch.setattr(os, "open", exchange)
    text = refusal(opened, listen(STREAM, path))
    assert text == f"listen unix {path}: another process has put something else there"
    assert mode_of(target) == 0o600


def test_the_file_goes_when_the_listener_is_closed_unless_it_is_anothers_by_now(tmp_path: Path) -> None:
    mine, replaced = tmp_path / "mine", tmp_path / "replaced"
    listens = tuple(listen(STREAM, path) for path in (mine, replaced))
    opened = open_all(Service("web.socket", HERE, listen=listens))
    replaced.unlink()
    replaced.touch()
    for listener in opened:
        listener.close()
    assert (mine.exists(), replaced.exists()) == (False, True)


def test_nothing_stays_open_when_one_of_them_cannot_be(opened: Any, tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    path = tmp_path / "s"
    text = refusal(opened, listen(STREAM, path), listen(FIFO, tmp_path / "f"), listen(TCP, "name:80"))
    assert text == "listen tcp name:80: expected a port, or a numeric host and a port"
    assert os.listdir(tmp_path) == []
    assert set(os.listdir("/proc/self/fd")) == before


def test_an_abstract_address_has_no_file(opened: Any) -> None:
    """unix(7)."""
    name = f"@linit-test-{os.getpid()}"
    opened(listen(SEQPACKET, name))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect("\0" + name[1:])
    text = refusal(opened, listen(SEQPACKET, name))
    assert text == f"listen unix_seqpacket {name}: EADDRINUSE (address already in use)"


def test_a_port_that_is_taken_is_named(opened: Any) -> None:
    """tcp(7), udp(7)."""
    for kind in (TCP, UDP):
        (first,) = opened(listen(kind, "127.0.0.1:0"))
        address = f"127.0.0.1:{port_of(first)}"
        text = refusal(opened, listen(kind, address))
        assert text == f"listen {kind.value} {address}: EADDRINUSE (address already in use)"


def test_a_port_may_be_opened_again_while_old_connections_fade(opened: Any) -> None:
    """TIME_WAIT: socket(7), SO_REUSEADDR."""
    (first,) = open_all(Service("web.socket", HERE, listen=(listen(TCP, "127.0.0.1:0"),)))
    port = port_of(first)
    with socket.socket(fileno=os.dup(first.fd)) as server, socket.create_connection(("127.0.0.1", port)) as client:
        server.accept()[0].close()  # who closes first has the state
        assert client.recv(1) == b""
    first.close()
    opened(listen(TCP, f"127.0.0.1:{port}"))


def test_an_address_that_the_machine_does_not_have_yet_can_be_listened_on(opened: Any) -> None:
    """ip(7), IP_FREEBIND. 192.0.2.0/24 is nobody's: RFC 5737."""
    opened(listen(TCP, "192.0.2.7:0"), listen(UDP, "192.0.2.7:0"))


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as trying:
            trying.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_all_of_ipv6_is_for_clients_of_ipv4_too_unless_these_have_their_own(opened: Any) -> None:
    """systemd.socket(5), BindIPv6Only: the default of the kernel. Beside 0.0.0.0 it would find the port taken."""
    (dual,) = opened(listen(TCP, "[::]:0"))
    with socket.create_connection(("127.0.0.1", port_of(dual))):
        pass
    port = port_of(dual)
    dual_v6 = socket.socket(fileno=os.dup(dual.fd))
    with dual_v6:
        assert dual_v6.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    (single, ipv4) = opened(listen(UDP, f"[::]:{port}"), listen(UDP, f"0.0.0.0:{port}"))
    with socket.socket(fileno=os.dup(single.fd)) as only:
        assert only.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    assert port_of(ipv4) == port


def test_addresses_are_numeric() -> None:
    """No name server is asked."""
    assert internet_address("127.0.0.1:80") == (socket.AF_INET, "127.0.0.1", 80)
    assert internet_address("[fe80::1]:8080") == (socket.AF_INET6, "fe80::1", 8080)
    assert internet_address(":80") == internet_address("80") == (socket.AF_INET, "0.0.0.0", 80)
    for wrong in ("localhost:80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:²", "", "[::1]"):
        with pytest.raises(OSError, match="expected a port, or a numeric host and a port"):
            internet_address(wrong)


def test_a_fifo_never_comes_to_its_end(opened: Any, tmp_path: Path) -> None:
    """fifo(7): a writer that goes leaves no end-of-file behind."""
    path = tmp_path / "f"
    (listener,) = opened(listen(FIFO, path, mode=0o620))
    assert mode_of(path) == 0o620
    with path.open("wb") as writer:
        writer.write(b"line\n")
    assert os.read(listener.fd, 100) == b"line\n"
    with pytest.raises(BlockingIOError):
        os.read(listener.fd, 100)


def test_a_fifo_that_was_there_is_used_and_stays(tmp_path: Path) -> None:
    """Somebody else may write to it, and has it open."""
    path, new = tmp_path / "f", tmp_path / "new"
    os.mkfifo(path)
    for listener in open_all(Service("web.socket", HERE, listen=(listen(FIFO, path), listen(FIFO, new)))):
        listener.close()
    assert os.listdir(tmp_path) == ["f"]


def test_what_a_program_did_to_a_socket_is_undone_for_the_next(opened: Any, tmp_path: Path) -> None:
    """O_NONBLOCK belongs to the socket, not to who has it; and shutdown(2) ends a TCP listener for everybody."""
    tcp, fifo = opened(listen(TCP, "127.0.0.1:0"), listen(FIFO, tmp_path / "f"))
    with socket.socket(fileno=os.dup(tcp.fd)) as program:
        program.setblocking(False)
        program.shutdown(socket.SHUT_RDWR)
    for listener in (tcp, fifo):
        listener.hand_over()
        assert os.get_blocking(listener.fd)
    with socket.create_connection(("127.0.0.1", port_of(tcp))):
        pass


def test_listeners_are_named_as_they_are_written() -> None:
    assert listeners.words(listen(TCP, "[::]:80")) == "tcp [::]:80"
