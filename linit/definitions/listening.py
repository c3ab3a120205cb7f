"""What do clients of a service connect to? The key `listen`, and what it allows together with others.

Addresses are numeric: PID 1 never asks a name server. Source: unix(7), ip(7), fifo(7), sd_listen_fds(3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from linit.definitions import values
from linit.definitions.document import List, Map, Node, Text, quoted
from linit.definitions.values import Reader, Reading, Wrong
from linit.model.place import Place
from linit.model.service import Kind, Listen, ListenKind, ReadinessKind

ANY_HOST: Final = "0.0.0.0"  # of a port alone
UNIX_MAX_BYTES: Final = 107  # sun_path of unix(7) without the NUL at its end
NAME_MAX: Final = 255
BACKLOG_MAX: Final = 65535
MOST_MAX: Final = 10_000
FD_FIRST: Final = 3  # SD_LISTEN_FDS_START

UNIX: Final = (ListenKind.UNIX_STREAM, ListenKind.UNIX_DGRAM, ListenKind.UNIX_SEQPACKET)
STREAMS: Final = (ListenKind.UNIX_STREAM, ListenKind.TCP)
QUEUING: Final = (*STREAMS, ListenKind.UNIX_SEQPACKET)  # those that listen(2) takes
# What belongs to a service as a whole, where there is a process for each connection.
NOT_WITH_ACCEPT: Final = (
    "pre", "post", "stop", "reload", "ready", "health", "watchdog", "fd_store", "restart", "schedule", "watch", "when",
)  # fmt: skip


def _unix_address(reading: Reading, node: Node, key: str) -> str:
    written = values.some_text(reading, node, key)
    if not written.startswith(("/", "@")) or written == "@":
        raise Wrong(node, "a path that begins with /, or @ and a name")
    if len(written.encode()) > UNIX_MAX_BYTES:
        raise Wrong(node, f"at most {UNIX_MAX_BYTES} bytes", found=f"{len(written.encode())} bytes")
    return written


def _port_address(reading: Reading, node: Node, key: str) -> str:
    return values.address(reading, node, key, ANY_HOST)


def _descriptor_name(reading: Reading, node: Node, key: str) -> str:
    written = values.some_text(reading, node, key)
    if ":" in written or not written.isprintable() or not written.isascii() or len(written) > NAME_MAX:
        raise Wrong(node, f"at most {NAME_MAX} ASCII characters, none of them ':'")
    return written


def octal(reading: Reading, node: Node, key: str) -> int:
    """Octal text: 022, 0022 or 0o22."""
    written = values.text(reading, node, key).removeprefix("0o")
    if not (1 <= len(written) <= 4 and all(each in "01234567" for each in written)) or int(written, 8) > 0o777:
        raise Wrong(node, "an octal number from 0 to 777")
    return int(written, 8)


_ADDRESSES: Final[dict[str, Reader[Any]]] = {
    **{kind.value: _unix_address for kind in UNIX},
    ListenKind.TCP.value: _port_address,
    ListenKind.UDP.value: _port_address,
    ListenKind.FIFO.value: values.absolute_path,
}
_MORE: Final[dict[str, Reader[Any]]] = {
    "name": _descriptor_name,
    "owner": values.account,
    "group": values.account,
    "mode": octal,
    "backlog": values.whole(1, BACKLOG_MAX),
    "on_demand": values.yes_or_no,
    "accept": values.yes_or_no,
    "most": values.whole(1, MOST_MAX, what="a number of connections"),
}
_FIELDS: Final = values.fields({**_ADDRESSES, **_MORE})
_FORMS: Final = "a mapping with one of " + ", ".join(_ADDRESSES)


def listen(reading: Reading, node: Node, key: str) -> tuple[Listen, ...]:
    """A socket, or a list of them."""
    items = node.items if isinstance(node, List) else [node]
    if not items:
        raise Wrong(node, _FORMS)
    found = [reading.attempt(_one, item, key) for item in items]
    sockets = tuple(each for each in found if each is not None)
    seen: dict[str, Place] = {}
    for each in sockets:
        first = seen.setdefault(identity(each), each.place)
        if first is not each.place:
            reading.error(each.place, key, f"{quoted(each.address)}, which {first} has", "each address once")
    for each in sockets:
        if each.accept and len(items) > 1:
            reading.error(each.place, key, "accept beside others", "it alone", "a service each for the others")
    return sockets


def identity(socket: Listen) -> str:
    """Two sockets with the same one cannot be open at the same time."""
    kind = "path" if socket.address.startswith("/") else "unix" if socket.kind in UNIX else socket.kind.value
    return f"{kind} {socket.address}"


def _one(reading: Reading, node: Node, key: str) -> Listen:
    if isinstance(node, Text) or not isinstance(node, Map):
        raise Wrong(node, _FORMS)
    faults = len(reading.faults)
    found = _FIELDS(reading, node, key)
    written = [each for each in node.items if each in _ADDRESSES]
    if len(written) != 1 and (written or len(reading.faults) == faults):
        found_words = "both " + " and ".join(written) if written else ""
        raise Wrong(node, _FORMS, found=found_words)
    if len(reading.faults) > faults:
        return Listen(ListenKind.FIFO, f"/{node.place}", node.place)  # never opened: the service is broken
    kind = ListenKind(written[0])
    socket = Listen(kind, found.pop(kind.value), node.place, **found)
    for sub, expected in _useless(socket, node):
        reading.error(node.items[sub][0].place, f"{key}.{sub}", f"the key for {kind.value}", expected)
    return socket


def _useless(socket: Listen, node: Map) -> Iterator[tuple[str, str]]:
    """The keys that say nothing for this kind, each with where it would."""
    wrong = {
        "a path (unix, unix_dgram, unix_seqpacket, fifo)": () if socket.address.startswith("/") else _OF_PATHS,
        "unix, unix_seqpacket or tcp": () if socket.kind in QUEUING else ("backlog",),
        "unix or tcp": () if socket.kind in STREAMS else ("accept",),
        "accept: true": () if socket.accept else ("most",),
    }
    for where, subs in wrong.items():
        yield from ((sub, f"it only with {where}") for sub in subs if sub in node.items)


_OF_PATHS: Final = ("owner", "group", "mode")


def accounts(sockets: tuple[Listen, ...]) -> Iterator[tuple[str, str, Place]]:
    """The users and groups that must exist, as `Definition.accounts`."""
    for each in sockets:
        yield from ((what, who, each.place) for what, who in (("user", each.owner), ("group", each.group)) if who)


def is_accepting(found: Mapping[str, Any]) -> bool:
    """Does each connection get a process of its own?"""
    return any(each.accept for each in found.get("listen", ()))


def check(reading: Reading, top: Map, kind: Kind, found: Mapping[str, Any]) -> None:
    """What each key allows by itself, and all of them together do not."""
    if is_accepting(found):
        if kind is not Kind.PROCESS:
            place, hint = top.items["listen"][0].place, "each connection has a process of its own"
            reading.error(place, "listen.accept", f"it in kind {kind.value}", "kind process", hint)
        for other in NOT_WITH_ACCEPT:
            if other in top.items:
                place, hint = top.items[other][0].place, "each connection has a process of its own"
                reading.error(place, other, f"the key together with {quoted('accept: true')}", "one of them", hint)
    _check_descriptor(reading, top, found)


def _check_descriptor(reading: Reading, top: Map, found: Mapping[str, Any]) -> None:
    """A service must not be told to write to a socket that it is handed."""
    readiness = found.get("ready")
    handed = len(found.get("listen", ())) + found.get("fd_store", 0)
    if readiness is None or readiness.kind is not ReadinessKind.FD or int(readiness.value) >= FD_FIRST + handed:
        return
    keys = " and ".join(key for key in ("listen", "fd_store") if found.get(key))
    last = FD_FIRST + handed - 1
    what = f"descriptor {FD_FIRST} is" if handed == 1 else f"descriptors {FD_FIRST} to {last} are"
    hint = f"{what} handed over for {keys}"
    reading.error(top.items["ready"][1].place, "ready.fd", quoted(readiness.value), f"{last + 1} or more", hint)
