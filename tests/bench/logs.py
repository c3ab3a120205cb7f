"""What does a line of a service cost, in the log process and in its peers? And which of them loses lines when killed?

Each is given the same pipe full of the same lines, on the same file system in memory, so that processors are compared
and not disks. Then each is killed with SIGKILL in full flow and started again on the same pipe, as its supervisor
would.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import select
import signal
import socket
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgpack

import linit
from tests.bench import loggers
from tests.bench.figures import Figure

LINES: Final = 1_000_000
KILLED_LINES: Final = 600_000
SLOW_LINES: Final = 50_000
KILLS: Final = 5
TEXT: Final = b"the quick brown fox jumps over the lazy dog, again and again, until the line is full"
LINE: Final = re.compile(rb"line (\d{8}) " + TEXT + rb"\n")
PIPE_BYTES: Final = 256 * 1024
PATIENCE_S: Final = 60.0
AIM: Final = "2 x svlogd"
BENEATH: Final = "/dev/shm"  # a file system in memory, as /run is


def text_of(count: int) -> bytes:
    """Numbered lines of a hundred bytes."""
    return b"".join(b"line %08d %s\n" % (number, TEXT) for number in range(count))


class Running:
    """A logger that reads the pipe `reading_end`. What comes from it is below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid = 0
        self.cpu_s = 0.0

    def start(self, reading_end: int) -> None:
        """Run it."""
        raise NotImplementedError

    def end(self) -> None:
        """The pipe has no writer any more: let it write everything and end."""
        self._wait()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def _wait(self) -> None:
        _, _, usage = os.wait4(self.pid, 0)
        self.cpu_s += usage.ru_utime + usage.ru_stime

    def content(self) -> bytes:
        """Everything that it has written, files in their order or not."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        datas = [(path.read_bytes(), path.suffix == ".gz") for path in files]
        return b"".join(gzip.decompress(data) if is_packed else data for data, is_packed in datas)


class PeerRunning(Running):
    """One that reads standard input."""

    def __init__(self, folder: Path, peer: loggers.Peer, found: loggers.Found) -> None:
        super().__init__(folder)
        folder.mkdir(parents=True)
        peer.prepare(folder)
        self._argv = peer.argv(found.path, folder)
        self._environment = {**os.environ, **found.environment}

    def start(self, reading_end: int) -> None:
        to_stdin = [(os.POSIX_SPAWN_DUP2, reading_end, 0)]
        self.pid = os.posix_spawn(self._argv[0], self._argv, self._environment, file_actions=to_stdin)


class LogProcessRunning(Running):
    """linit's own, with this process in the place of PID 1."""

    def __init__(self, folder: Path, *, packs: bool) -> None:
        super().__init__(folder / "log")
        (folder / "run").mkdir(parents=True)
        self._argv, limits = loggers.log_process(packs=packs)
        (folder / "log.conf").write_text(limits)
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(Path(linit.__file__).parent.parent),
            "LINIT_LOG_DIR": str(self.folder),
            "LINIT_RUN_DIR": str(folder / "run"),
            "LINIT_LOG_LIMITS": str(folder / "log.conf"),
        }
        self._control: socket.socket | None = None

    def start(self, reading_end: int) -> None:
        self._control, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        to_control = [(os.POSIX_SPAWN_DUP2, far_end.fileno(), 3)]
        self.pid = os.posix_spawn(self._argv[0], self._argv, self._environment, file_actions=to_control)
        far_end.close()
        socket.send_fds(self._control, [msgpack.packb(["pipe", "bench", "out", "", 1])], [reading_end])

    def end(self) -> None:
        assert self._control is not None
        self._control.send(msgpack.packb(["close"]))
        self._wait()


def flow(running: Running, data: bytes, kills: int) -> float:
    """Give a logger all of `data`, killing it on the way; the seconds until everything is written."""
    reading_end, writing_end = os.pipe()
    grown = _grow(writing_end)
    os.set_blocking(writing_end, False)
    began_s = time.perf_counter()
    running.start(reading_end)
    killed_at = [len(data) * part // (kills + 1) for part in range(1, kills + 1)]
    view, sent = memoryview(data), 0
    while sent < len(data):
        if not select.select([], [writing_end], [], PATIENCE_S)[1]:
            raise TimeoutError("the pipe is full, and nobody reads it")
        sent += os.write(writing_end, view[sent : sent + grown])
        if killed_at and sent > killed_at[0]:
            del killed_at[0]
            running.kill()
            running.start(reading_end)
    os.close(writing_end)
    os.close(reading_end)
    running.end()
    return time.perf_counter() - began_s


def trickle(running: Running, data: bytes) -> None:
    """Give a logger one line after the other, each when the pipe is empty."""
    reading_end, writing_end = os.pipe()
    running.start(reading_end)
    for line in data.splitlines(keepends=True):
        os.write(writing_end, line)
        until_s = time.monotonic() + PATIENCE_S
        while _waiting_bytes(reading_end):
            if time.monotonic() > until_s:
                raise TimeoutError("nobody reads the pipe")
    os.close(writing_end)
    os.close(reading_end)
    running.end()


def _waiting_bytes(fd: int) -> int:
    """What is in a pipe: FIONREAD of ioctl_pipe(2)."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def _grow(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return 64 * 1024


def losses(content: bytes, count: int) -> tuple[int, int]:
    """How many lines are missing, and how many are there more than once."""
    found = [int(number) for number in LINE.findall(content)]
    return count - len(set(found)), len(found) - len(set(found))


def measure() -> Iterator[Figure]:
    """The log process first, then each peer that can be had."""
    with tempfile.TemporaryDirectory(dir=BENEATH if os.access(BENEATH, os.W_OK) else None) as name:
        folder = Path(name)
        text = text_of(LINES)
        for packs in (False, True):
            what = "linit, old files packed" if packs else "linit"
            make = partial(LogProcessRunning, packs=packs)
            yield from _measure(what, partial(_made, make, folder / what), text, is_ours=not packs)
        for peer in loggers.PEERS:
            found = loggers.find(peer, folder / peer.package)
            if isinstance(found, str):
                yield Figure(f"logs: {peer.name}", 0, 0.0, "lines/s", more=f"left out: {found}")
                continue
            make_peer = partial(PeerRunning, peer=peer, found=found)
            yield from _measure(peer.name, partial(_made, make_peer, folder / peer.name), text)


def _made(make: Callable[[Path], Running], folder: Path, what: str) -> Running:
    return make(folder / what)


def _measure(what: str, make: Callable[[str], Running], text: bytes, *, is_ours: bool = False) -> Iterator[Figure]:
    subject, unit = f"logs: {what}", "cpu s/million lines"
    fast, slow, killed = make("fast"), make("slow"), make("killed")
    taken_s = flow(fast, text, 0)
    lost, doubled = losses(fast.content(), LINES)
    told = f"{lost} lost, {doubled} doubled" if lost or doubled else ""
    yield Figure(subject, LINES, LINES / taken_s, "lines/s", more=told)
    yield Figure(subject, LINES, fast.cpu_s * 1e6 / LINES, unit, AIM if is_ours else "", "in full flow")
    trickle(slow, text[: SLOW_LINES * (len(text) // LINES)])
    yield Figure(subject, SLOW_LINES, slow.cpu_s * 1e6 / SLOW_LINES, unit, "", "each line alone")
    flow(killed, text[: KILLED_LINES * (len(text) // LINES)], KILLS)
    lost, doubled = losses(killed.content(), KILLED_LINES)
    more = f"{KILLS} x SIGKILL in full flow; {doubled} doubled"
    yield Figure(subject, KILLED_LINES, lost, "lines lost", "0" if is_ours else "", more)
