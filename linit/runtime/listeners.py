"""How is what clients connect to opened, so that it is never open wider than its definition says?

A path belongs to nobody else before its owner and mode are set, and is removed when it is closed, if it is the one
that was made here. What linit hands over is blocking, as most programs expect it. Sources: unix(7), ip(7), ipv6(7),
tcp(7), fifo(7), socket(7), systemd.socket(5).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from linit.model.service import Listen, ListenKind, Service
from linit.runtime import accounts
from linit.runtime.failure import errno_words

SOCKET_TYPES: Final = {
    ListenKind.UNIX_STREAM: socket.SOCK_STREAM,
    ListenKind.UNIX_DGRAM: socket.SOCK_DGRAM,
    ListenKind.UNIX_SEQPACKET: socket.SOCK_SEQPACKET,
    ListenKind.TCP: socket.SOCK_STREAM,
    ListenKind.UDP: socket.SOCK_DGRAM,
}
QUEUES: Final = (ListenKind.UNIX_STREAM, ListenKind.UNIX_SEQPACKET, ListenKind.TCP)
INTERNET: Final = (ListenKind.TCP, ListenKind.UDP)
FOLDER_UMASK: Final = 0o022  # of folders that are missing
CLOSED_UMASK: Final = 0o777
PORT_MAX: Final = 65535
# Addresses that the machine will have later may be listened on: ip(7), ipv6(7). Python has no names for these.
IP_FREEBIND: Final = 15
IPV6_FREEBIND: Final = 78

Made = tuple[int, int]  # device and inode of a file


@dataclass(slots=True)
class Listener:
    """One that is open. `made`: which file was made for it, None if none was."""

    listen: Listen
    fd: int
    made: Made | None = None

    def __str__(self) -> str:
        """`unix /run/x.sock`."""
        return words(self.listen)

    @property
    def is_lost(self) -> bool:
        """Has its file been removed, or replaced? Many a server removes the path of each socket that it closes."""
        try:
            return self.made is not None and _identity(os.lstat(self.listen.address)) != self.made
        except OSError:
            return True

    def close(self) -> None:
        """No client finds it any more; those who are connected stay so."""
        if self.made is not None and not self.is_lost:
            with contextlib.suppress(OSError):
                os.unlink(self.listen.address)
        os.close(self.fd)

    def hand_over(self) -> None:
        """Undo what a program has done to it that the next one does not expect. Raises OSError.

        The kernel keeps O_NONBLOCK with the socket, not with the descriptor; and shutdown(2) ends a TCP listener for
        all who have it.
        """
        os.set_blocking(self.fd, True)
        if self.listen.kind is ListenKind.TCP:
            with socket.socket(fileno=os.dup(self.fd)) as same:
                if not same.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    with _told_of(self.listen):
                        same.listen(self.listen.backlog)


def open_all(service: Service) -> list[Listener]:
    """All that a service listens on, in the order written. Raises OSError, whose text names the address."""
    opened: list[Listener] = []
    try:
        for listen in service.listen:
            opened.append(open_one(listen, service))
    except OSError:
        for listener in opened:
            listener.close()
        raise
    return opened


def open_one(listen: Listen, service: Service) -> Listener:
    """One of those that a service listens on. Raises OSError, whose text names the address."""
    with _told_of(listen):
        return _open(listen, service.listen)


def change(listener: Listener, listen: Listen) -> None:
    """Give what is open at that address the name, queue, owner and mode of another definition. Raises OSError."""
    before, listener.listen = listener.listen, listen
    with _told_of(listen):
        if listen.backlog != before.backlog and listen.kind in QUEUES:
            with socket.socket(fileno=os.dup(listener.fd)) as same:
                same.listen(listen.backlog)  # once more: the kernel takes the new length
        rights = (listen.owner, listen.group, listen.mode)
        if listener.made is not None and rights != (before.owner, before.group, before.mode):
            _give_again(listener.made, listen)


def _give_again(made: Made, listen: Listen) -> None:
    fd = os.open(listen.address, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _identity(os.fstat(fd)) != made:
            raise OSError("another process has put something else there")
        _give(f"/proc/self/fd/{fd}", listen, os.geteuid(), os.getegid())
    finally:
        os.close(fd)


# -- owners


def is_named(listen: Listen) -> bool:
    """Must it be looked up whose it is? A user brings the own group along: systemd.socket(5), SocketUser."""
    is_user_known = not listen.owner or (listen.owner.isdigit() and bool(listen.group))
    return not (is_user_known and (not listen.group or listen.group.isdigit()))


def look_up(service: Service) -> str:
    """Whose its listeners are, in numbers, for `numbered`. Raises OSError, whose text names the address. It reads files
    of the machine: not for PID 1."""
    return "\n".join(_numbers(listen) for listen in service.listen)


def _numbers(listen: Listen) -> str:
    with _told_of(listen):
        account = accounts.user(listen.owner) if listen.owner else None
        group = accounts.group_id(listen.group) if listen.group else account.gid if account else ""
        return f"{account.uid if account else ''} {group}"


def numbered(service: Service, answer: str) -> Service:
    """The service, whose listeners belong to numbers; `answer` is that of `look_up`."""
    pairs = (line.split(" ") for line in answer.split("\n"))
    listens = zip(service.listen, pairs, strict=True)
    return replace(service, listen=tuple(replace(one, owner=uid, group=gid) for one, (uid, gid) in listens))


def words(listen: Listen) -> str:
    """`unix /run/x.sock`, `tcp 0.0.0.0:80`."""
    return f"{listen.kind.value} {listen.address}"


@contextlib.contextmanager
def _told_of(listen: Listen) -> Iterator[None]:
    try:
        yield
    except (OSError, accounts.UnknownAccount) as error:
        # The path is in the text already, or one below /proc that means nothing to people.
        cause = errno_words(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise OSError(f"listen {words(listen)}: {cause}") from error


def _open(listen: Listen, others: tuple[Listen, ...]) -> Listener:
    if listen.kind is ListenKind.FIFO:
        return _open_fifo(listen)
    if listen.kind in INTERNET:
        return _open_port(listen, others)
    if listen.address.startswith("@"):
        with _made_socket(socket.AF_UNIX, listen) as made:
            made.bind("\0" + listen.address[1:])
            return _listening(made, listen)
    return _open_path(listen)


@contextlib.contextmanager
def _made_socket(family: socket.AddressFamily, listen: Listen) -> Iterator[socket.socket]:
    """A socket that is closed if anything goes wrong with it."""
    made = socket.socket(family, SOCKET_TYPES[listen.kind])
    try:
        yield made
    except BaseException:
        made.close()
        raise


def _listening(made: socket.socket, listen: Listen, file: Made | None = None) -> Listener:
    if made.type != socket.SOCK_DGRAM:
        made.listen(listen.backlog)
    return Listener(listen, made.detach(), file)


# -- ports


def _open_port(listen: Listen, others: tuple[Listen, ...]) -> Listener:
    family, host, port = internet_address(listen.address)
    with _made_socket(family, listen) as made:
        if listen.kind is ListenKind.TCP:
            # Not for UDP, where it would let another process take the port over.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # a kernel that is older: then the address must be there
            made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            if family is socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        if family is socket.AF_INET6:
            # [::] is for clients of IPv4, too, whatever the machine's default, unless they have their own.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(_has_other_family(listen, port, others)))
        made.bind((host, port))
        return _listening(made, listen)


def _has_other_family(listen: Listen, port: int, others: tuple[Listen, ...]) -> bool:
    """Does the service listen on that port with IPv4, too?"""
    found = (internet_address(other.address) for other in others if other.kind is listen.kind)
    return any(family is socket.AF_INET and other == port for family, _host, other in found)


def internet_address(text: str) -> tuple[socket.AddressFamily, str, int]:
    """The family, host and port of "0.0.0.0:80", "[::]:80"; of a port alone, as of ":80", for all of IPv4.

    Raises OSError. No name is looked up: the answer could come over the network, or not at all.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "0.0.0.0"
    if port.isascii() and port.isdigit() and int(port) <= PORT_MAX:
        for family in (socket.AF_INET, socket.AF_INET6):
            with contextlib.suppress(OSError):
                socket.inet_pton(family, host)
                return family, host, int(port)
    raise OSError("expected a port, or a numeric host and a port")


# -- paths


def _open_path(listen: Listen) -> Listener:
    path = listen.address
    _make_folder(path)
    _clear_way(path, SOCKET_TYPES[listen.kind])
    with _made_socket(socket.AF_UNIX, listen) as made:
        with _umask(CLOSED_UMASK):
            made.bind(path)
        # Whoever may write to the folder could have put something else there by now: what is changed is what is open.
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if not stat.S_ISSOCK(status.st_mode):
                raise OSError("another process has put something else there")
            _give(f"/proc/self/fd/{fd}", listen)
        finally:
            os.close(fd)
        return _listening(made, listen, _identity(status))


def _open_fifo(listen: Listen) -> Listener:
    """One that is there already is used, and stays. Open for writing, too: it never comes to its end."""
    path = listen.address
    _make_folder(path)
    is_new = True
    try:
        os.mkfifo(path, stat.S_IRUSR | stat.S_IWUSR)
    except FileExistsError:
        is_new = False
    if not stat.S_ISFIFO(os.lstat(path).st_mode):  # it is not even opened: that of a device may do something
        raise OSError("EEXIST, what is there is no fifo")
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISFIFO(status.st_mode):
            raise OSError("another process has put something else there")
        _give(fd, listen)
    except BaseException:
        os.close(fd)
        raise
    return Listener(listen, fd, _identity(status) if is_new else None)


def _make_folder(path: str) -> None:
    with _umask(FOLDER_UMASK):
        os.makedirs(os.path.dirname(path), exist_ok=True)


def _clear_way(path: str, kind: socket.SocketKind) -> None:
    """A socket that nobody has open any more gives way. Source: connect(2)."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise OSError("EEXIST, what is there is no socket")
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as client:
        found = client.connect_ex(path)
    if found == errno.EACCES:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    if found != errno.ECONNREFUSED:  # connected, a long queue (EAGAIN), or a socket of another type (EPROTOTYPE)
        raise OSError("EADDRINUSE, another process accepts there")
    os.unlink(path)


def _give(file: str | int, listen: Listen, own_uid: int = -1, own_gid: int = -1) -> None:
    """Set owner, group and mode: the mode last, so that nobody else ever has what only these are to have."""
    assert not is_named(listen), f"linit bug: nobody has looked up whose {listen} is"
    uid = int(listen.owner) if listen.owner else own_uid
    gid = int(listen.group) if listen.group else own_gid
    if uid >= 0 or gid >= 0:
        os.chown(file, uid, gid)
    os.chmod(file, listen.mode)


def _identity(status: os.stat_result) -> Made:
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
