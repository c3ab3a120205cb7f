"""What do services say of themselves? sd_notify(3): datagrams on a socket that only the service's own processes are
believed on.

It is read from before the main process is spawned until the service rests: whatever it says, at whatever time, is
kept or passed on to the other parts of `linit.runtime.attendance`. Sources: sd_notify(3), sd_pid_notify_barrier(3),
sd_watchdog_enabled(3), unix(7) for SCM_CREDENTIALS, SCM_RIGHTS and autobind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from linit.engine.events import Extended, Reloaded
from linit.model.service import Kind, Service
from linit.runtime.failure import errno_words
from linit.runtime.means import Means
from linit.runtime.preparation import Preparation

if TYPE_CHECKING:
    from linit.runtime.attendance import Attendance

DATAGRAM_MAX_BYTES: Final = 4096
DATAGRAMS_AT_ONCE: Final = 32  # a flood must not keep the loop
DATAGRAMS_AT_LAST: Final = 1024  # more than a socket holds: net.unix.max_dgram_qlen
STATUS_MAX: Final = 200  # characters of STATUS= that are kept
DIGITS_MAX: Final = 20  # of a number: 2**64
FDS_MAX: Final = 253  # in one datagram: SCM_MAX_FD
PATH_MAX_BYTES: Final = 107  # of a Unix socket
STORED_NAME: Final = "stored"  # of a descriptor that was given no other: sd_notify(3)
STORED_NAME_MAX: Final = 255
UCRED: Final = struct.Struct("iII")  # pid, uid, gid
FD: Final = struct.Struct("i")  # `array` would bring the abstract classes of collections
USEC: Final = 1_000_000
FOLDER: Final = "notify"  # below Paths.run: the sockets of services that have a network of their own


class Voices:
    """The sockets of all services that were given one. `parts` act on what is said."""

    def __init__(self, means: Means, parts: Attendance) -> None:
        self.means = means
        self.parts = parts
        self._voices: dict[str, _Voice] = {}

    def prepare(self, service: Service) -> Preparation:
        """Before the main process is spawned: make its socket. Raises OSError."""
        self.forget(service.name)
        voice = self._voices[service.name] = _Voice(self, service)
        environment = {"NOTIFY_SOCKET": voice.address}
        if service.watchdog_s is None:
            return Preparation(environment)
        environment["WATCHDOG_USEC"] = str(int(service.watchdog_s * USEC))
        # The daemon of a forking service is another process than the one that is spawned.
        return Preparation(environment, with_pid=() if service.kind is Kind.FORKING else ("WATCHDOG_PID",))

    def take_ready(self, name: str) -> bool:
        """Has it said that it is ready, before anybody waited for that?"""
        voice = self._voices.get(name)
        is_ready = voice is not None and voice.is_ready
        if voice is not None:
            voice.is_ready = False
        return is_ready

    def hear(self, name: str) -> str:
        """Take in now what it has said until now; what it said of a failure, "" if nothing."""
        voice = self._voices.get(name)
        if voice is None:
            return ""
        voice.read(DATAGRAMS_AT_LAST)
        return voice.failure

    def text(self, name: str) -> str:
        """What it last said of itself, "" if nothing."""
        voice = self._voices.get(name)
        return "; ".join(part for part in (voice.phase, voice.status, voice.failure) if part) if voice else ""

    def forget(self, name: str) -> None:
        """It rests, or is about to be started anew."""
        voice = self._voices.pop(name, None)
        if voice is not None:
            voice.close()

    def close(self) -> None:
        """Let go of all descriptors."""
        for name in tuple(self._voices):
            self.forget(name)


class _Voice:
    """The socket of one service.

    Its name is given by the kernel (autobind): no path to be too long, or on a root that is still read-only. Such names
    are of one network namespace: a service that has its own is given a path.
    """

    def __init__(self, voices: Voices, service: Service) -> None:
        """Raises OSError."""
        self.is_ready = False
        self.status = ""
        self.phase = ""
        self.failure = ""
        self._parts = voices.parts
        self._means = voices.means
        self._name = service.name
        self._uid = -1
        self._reloading_s: float | None = None  # since when, as it says
        self._path = f"{self._means.paths.run}/{FOLDER}/{service.name}" if service.execution.private_network else ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.address = self._bind()
        except OSError:
            self._socket.close()
            raise
        self._means.loop.add_reader(self._socket.fileno(), self.read)

    def _bind(self) -> str:
        if not self._path:
            self._socket.bind("")
            return "@" + os.fsdecode(self._socket.getsockname()[1:])
        if len(os.fsencode(self._path)) > PATH_MAX_BYTES:
            raise OSError(f"{self._path}: longer than {PATH_MAX_BYTES} bytes, which is all that a Unix socket may have")
        folder = os.path.dirname(self._path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._socket.bind(self._path)
        os.chmod(self._path, 0o666)  # who may speak is told by the credentials
        return self._path

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._means.loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    # -- datagrams

    def read(self, most: int = DATAGRAMS_AT_ONCE) -> None:
        """Take in what is there."""
        size = socket.CMSG_SPACE(UCRED.size) + socket.CMSG_SPACE(FDS_MAX * FD.size)
        for _ in range(most):
            if self._socket.fileno() < 0:
                return  # what it said has ended it
            try:
                data, ancillary, flags, _sender = self._socket.recvmsg(
                    DATAGRAM_MAX_BYTES, size, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                return
            fds = _descriptors(ancillary)
            try:
                if not flags & socket.MSG_TRUNC and self._is_from_service(ancillary):
                    self._take(data, fds)
            finally:
                # Those that nobody has taken. A barrier is such a one: with this everything before it is done.
                for fd in fds:
                    os.close(fd)

    def _is_from_service(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """The kernel says who sent it: one of the service's processes.

        A sender that is gone already (a short-lived systemd-notify) cannot be traced to the service any more; it is
        believed if it was root or of the same user, who could do anything to the service anyway.
        """
        members = self._means.members
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= UCRED.size:
                pid, uid, _gid = UCRED.unpack_from(data)
                if members.has(self._name, pid):
                    self._uid = uid
                    return True
                if pid and os.path.exists(f"/proc/{pid}"):
                    return False
                return uid in (0, self._uid, _uid_of(members.main_pid(self._name)))
        return False

    def _take(self, data: bytes, fds: list[int]) -> None:
        words: dict[str, str] = {}
        for line in data.decode("utf-8", "replace").split("\n"):
            key, is_there, value = line.partition("=")
            if is_there:
                words.setdefault(key, value)
        for key, act in ACTS.items():
            if key in words:
                act(self, words, fds)

    # -- what it says

    def _on_main(self, words: dict[str, str], _fds: list[int]) -> None:
        pid = _number(words["MAINPID"])
        if pid:
            self._parts.background.said(self._name, pid)

    def _on_status(self, words: dict[str, str], _fds: list[int]) -> None:
        self.status = _printable(words["STATUS"])

    def _on_errno(self, words: dict[str, str], _fds: list[int]) -> None:
        number = _number(words["ERRNO"])
        self.failure = errno_words(number) if number else ""

    def _on_bus_error(self, words: dict[str, str], _fds: list[int]) -> None:
        self.failure = _printable(words["BUSERROR"])

    def _on_stopping(self, words: dict[str, str], _fds: list[int]) -> None:
        if words["STOPPING"] == "1":
            self.phase = "stopping"

    def _on_extend(self, words: dict[str, str], _fds: list[int]) -> None:
        delay_us = _number(words["EXTEND_TIMEOUT_USEC"])
        if delay_us:
            self._means.report(Extended(self._name, delay_us / USEC))

    def _on_watchdog_time(self, words: dict[str, str], _fds: list[int]) -> None:
        limit_us = _number(words["WATCHDOG_USEC"])
        if limit_us:
            self._parts.health.change_limit(self._name, limit_us / USEC)

    def _on_watchdog(self, words: dict[str, str], _fds: list[int]) -> None:
        if words["WATCHDOG"] == "1":
            self._parts.health.fed(self._name)
        elif words["WATCHDOG"] == "trigger":
            self._parts.health.said_ill(self._name)

    def _on_store(self, words: dict[str, str], fds: list[int]) -> None:
        if words["FDSTORE"] == "1":
            taken, fds[:] = tuple(fds), ()
            polls = words.get("FDPOLL") != "0"
            self._parts.fd_store.add(self._name, taken, stored_name(words.get("FDNAME", "")), polls)

    def _on_unstore(self, words: dict[str, str], _fds: list[int]) -> None:
        if words["FDSTOREREMOVE"] == "1" and "FDNAME" in words:
            self._parts.fd_store.remove(self._name, words["FDNAME"])

    def _on_reloading(self, words: dict[str, str], _fds: list[int]) -> None:
        if words["RELOADING"] == "1":
            self.phase = "reloading"
            self.is_ready = False
            at_us = _number(words.get("MONOTONIC_USEC", ""))
            self._reloading_s = at_us / USEC if at_us else self._means.loop.time()

    def _on_ready(self, words: dict[str, str], _fds: list[int]) -> None:
        if words["READY"] != "1":
            return
        reloading_s, self._reloading_s = self._reloading_s, None
        if self.phase == "reloading":
            self.phase = ""
        if self._parts.watches.note_said(self._name):
            return
        self.is_ready = True
        # What it had begun before it was told to reload may be of the old configuration.
        if reloading_s is not None and reloading_s + 1 / USEC >= self._means.members.told_main_s(self._name):
            self._means.report(Reloaded(self._name))


# In this order: READY=1 after all that was said with it.
ACTS: Final[dict[str, Callable[[_Voice, dict[str, str], list[int]], None]]] = {
    "MAINPID": _Voice._on_main,
    "STATUS": _Voice._on_status,
    "ERRNO": _Voice._on_errno,
    "BUSERROR": _Voice._on_bus_error,
    "EXTEND_TIMEOUT_USEC": _Voice._on_extend,
    "WATCHDOG_USEC": _Voice._on_watchdog_time,
    "WATCHDOG": _Voice._on_watchdog,
    "FDSTOREREMOVE": _Voice._on_unstore,
    "FDSTORE": _Voice._on_store,
    "STOPPING": _Voice._on_stopping,
    "RELOADING": _Voice._on_reloading,
    "READY": _Voice._on_ready,
}


def stored_name(text: str) -> str:
    """The name that a stored descriptor has in LISTEN_FDNAMES. Source: FDNAME= of sd_notify(3)."""
    is_fit = text.isascii() and text.isprintable() and ":" not in text and 0 < len(text) <= STORED_NAME_MAX
    return text if is_fit else STORED_NAME


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Those that came along; they are ours now, also where some did not fit (MSG_CTRUNC)."""
    found: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found += (number for (number,) in FD.iter_unpack(data[: len(data) - len(data) % FD.size]))
    return found


def _number(text: str) -> int:
    """A number; 0 where there is none that means anything."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else 0


def _printable(text: str) -> str:
    """Nothing in it moves the cursor of a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:STATUS_MAX])


def _uid_of(pid: int) -> int:
    """The effective user of a process; -1 if it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid if pid else -1
    except OSError:
        return -1
