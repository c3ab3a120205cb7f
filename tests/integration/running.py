"""A real `linit --user DIR` for tests: written definitions in, transitions out. Nothing here sleeps: every wait is for
something that is told, and has a limit that only a hang reaches."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from linit.control import frames, messages

LIMIT_S: Final = 180.0
ANSWER_MAX_BYTES: Final = 64 << 20
TOP: Final = Path(__file__).resolve().parents[2]


class Running:
    """A supervisor of the services in `folder`. `transitions`: (name, state, text of the reason), in their order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.transitions: list[tuple[str, str, str]] = []
        self.states: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.has_booted = False
        self._printed = b""
        self._socket: socket.socket | None = None
        self._decoder = frames.Decoder(ANSWER_MAX_BYTES)
        self._answers: dict[int, tuple[Any, Any]] = {}
        self._next_id = 0
        self._selector = selectors.DefaultSelector()
        (folder / "services").mkdir(parents=True)

    # -- definitions

    def define(self, name: str, **keys: Any) -> None:
        """Write DIR/services/NAME.yaml. JSON is YAML."""
        self.write(name, json.dumps(keys))

    def write(self, name: str, text: str) -> None:
        """Write DIR/services/NAME.yaml as it stands."""
        (self.folder / "services" / f"{name}.yaml").write_text(text)

    def enable(self, name: str, runlevel: str = "default") -> None:
        """Make a service a member of a runlevel."""
        folder = self.folder / "runlevels" / runlevel
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()

    # -- its life

    def start(self, *options: str, **environment: str) -> None:
        """Start linit; returns when it can be asked and everything that happens is heard."""
        self.process = subprocess.Popen(
            command(self.folder, *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment},
        )
        assert self.process.stdout is not None
        self._selector.register(self.process.stdout, selectors.EVENT_READ, self._read_lines)
        self.wait(lambda: any(" listens on " in line for line in self.lines), "that it listens")
        self._connect()
        self.call("hello", client="tests", protocol=messages.PROTOCOL)
        page = self.call("subscribe")
        self.has_booted |= page["boot_state"] == "running"
        while True:
            for record in page["services"]:
                self.states.setdefault(record["name"], record["state"])
            if not page["more"]:
                break
            page = self.call("list", after=page["services"][-1]["name"])

    def boot(self, *options: str, **environment: str) -> None:
        """Start linit, and wait until everything is up or has failed."""
        self.start(*options, **environment)
        self.wait(lambda: self.has_booted, "the end of the boot")

    def send(self, number: int) -> None:
        """Send linit a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> int:
        """TERM, and wait for the orderly end; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        status = self.process.wait(LIMIT_S)
        self._read_rest()
        return status

    def kill(self) -> None:
        """What the end of a test needs, however it went."""
        if self._socket is not None:
            self._socket.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._selector.close()

    def left(self) -> list[int]:
        """Processes of this linit's services that still live: known by the environment they were given."""
        mark = f"LINIT_CONTROL={self.folder}/run/control.sock".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    # -- what is asked

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; its number, for `answer`."""
        assert self._socket is not None
        self._next_id += 1
        self._socket.setblocking(True)
        self._socket.sendall(frames.request(self._next_id, method, params))
        self._socket.setblocking(False)
        return self._next_id

    def answer(self, number: int) -> Any:
        """Wait for the result of a request. Raises AssertionError with its error."""
        self.wait(lambda: number in self._answers, f"the answer to request {number}")
        error, result = self._answers.pop(number)
        assert error is None, error
        return result

    def call(self, method: str, **params: Any) -> Any:
        """Send a request and wait for its result."""
        return self.answer(self.ask(method, **params))

    def pid(self, name: str) -> int:
        """The main process of a service."""
        pid = self.call("status", name=name)["pid"]
        assert isinstance(pid, int), f"{name} has no main process"
        return pid

    def text(self, name: str) -> str:
        """Why a service is in its state, in words."""
        return str(self.call("status", name=name)["text"])

    def report(self) -> dict[str, Any]:
        """The report of linit about itself."""
        return dict(self.call("report"))

    # -- what is heard

    def wait(self, is_so: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
        """Take in what is told until it is so."""
        until_s = time.monotonic() + limit_s
        while not is_so():
            left_s = until_s - time.monotonic()
            assert left_s > 0, f"waited {limit_s:g} s for {what}\n{self.story()}"
            assert self._selector.get_map(), f"linit ended; waited for {what}\n{self.story()}"
            self._take(left_s)

    def ask_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Until it is so, where nobody tells: asked again after each round trip to linit."""
        until_s = time.monotonic() + LIMIT_S
        while not is_so():
            assert time.monotonic() < until_s, f"waited {LIMIT_S:g} s for {what}\n{self.story()}"
            self.call("runlevel")

    def wait_for(self, name: str, state: str) -> None:
        """Until a service is in a state."""
        self.wait(lambda: self.states.get(name) == state, f"{name} {state}")

    def wait_for_transition(self, name: str, state: str, count: int = 1) -> None:
        """Until a service has been seen to enter a state `count` times."""
        self.wait(
            lambda: sum(seen[:2] == (name, state) for seen in self.transitions) >= count,
            f"{name} {state}, {count} times",
        )

    def listen(self, seconds: float) -> int:
        """Hear what happens for so long; how much that was."""
        until_s = time.monotonic() + seconds
        heard = 0
        while (left_s := until_s - time.monotonic()) > 0:
            heard += self._take(left_s)
        return heard

    def order(self, state: str, *names: str) -> list[str]:
        """In which order these services entered a state for the first time."""
        seen = dict.fromkeys(name for name, after, _ in self.transitions if after == state and name in names)
        return list(seen)

    def log(self, name: str) -> str:
        """What is in the log of a service, old files first, without times; what linit says begins with `linit: `."""
        files = sorted((self.folder / "log").glob(f"{name}.log.*"))
        files += [self.folder / "log" / f"{name}.log"]
        data = b"".join(_content(file) for file in files)
        fields = [line.split(" ", 4) for line in data.decode().split("\n")[:-1]]
        return "\n".join(f"linit: {text}" if stream == "linit" else text for _, _, stream, _, text in fields)

    def story(self) -> str:
        """Everything a person needs to find out what happened."""
        text = ["-- printed", *self.lines, "-- states", *(f"{name}: {state}" for name, state in self.states.items())]
        for file in sorted((self.folder / "log").glob("*.log")):
            text += [f"-- {file.name}", file.read_text(errors="replace")[-4000:]]
        return "\n".join(text)

    # -- how

    def _connect(self) -> None:
        address, folder_fd = messages.socket_address(str(self.folder / "run" / "control.sock"))
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        self._socket.setblocking(False)
        if folder_fd >= 0:
            os.close(folder_fd)
        self._selector.register(self._socket, selectors.EVENT_READ, self._read_messages)

    def _take(self, limit_s: float) -> int:
        ready = self._selector.select(limit_s)
        for key, _ in ready:
            key.data()
        return len(ready)

    def _read_lines(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            self._selector.unregister(self.process.stdout)
        *lines, self._printed = (self._printed + data).split(b"\n")
        self.lines += [line.decode() for line in lines]

    def _read_rest(self) -> None:
        assert self.process is not None
        while self.process.stdout in {key.fileobj for key in self._selector.get_map().values()}:
            self._read_lines()

    def _read_messages(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(self._socket)
            return
        self._decoder.feed(data)
        for frame in self._decoder:
            self._on_frame(frame)

    def _on_frame(self, frame: list[Any]) -> None:
        if frame[0] == messages.RESPONSE:
            self._answers[frame[1]] = (frame[2], frame[3])
            return
        (params,) = frame[2]
        if frame[1] == messages.TRANSITION:
            self.states[params["name"]] = params["after"]
            self.transitions.append((params["name"], params["after"], params["text"]))
        elif frame[1] == messages.TOLD:
            self.told.append((params["name"], params["text"]))
        elif frame[1] == messages.BOOT_FINISHED:
            self.has_booted = True


def _content(file: Path) -> bytes:
    """Of a file of the log, made small or not; nothing if there is none."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return b""
    return gzip.decompress(data) if file.suffix == ".gz" else data


def command(folder: Path, *options: str) -> list[str]:
    """How linit is started here."""
    return [sys.executable, "-P", "-m", "linit", "--user", str(folder), *options]


class Gate:
    """A FIFO that a service waits at until the test opens it: `read line < gate`, no clock involved.

    The test holds both its ends, so nobody who waits there finds its end instead. Source: fifo(7).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def open(self) -> None:
        """Let one pass: who stands there, or comes next."""
        os.write(self._fd, b"go\n")

    def close(self) -> None:
        """The end of the test."""
        os.close(self._fd)


def is_alive(pid: int) -> bool:
    """Is there such a process, and not only its exit status? Source: proc_pid_stat(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def writable_cgroup() -> Iterator[str]:
    """A cgroup2 folder in which cgroups may be made; nothing where there is none."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            folder = Path(place) / f"linit-tests-{os.getpid()}"
            try:
                folder.mkdir()
            except OSError:
                continue
            yield str(folder)
            for below in sorted(folder.rglob("*"), reverse=True):
                if below.is_dir():
                    below.rmdir()
            folder.rmdir()
            return
