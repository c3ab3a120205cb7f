"""A supervisor for the tests of control and ctl: the real engine and the real server, simulated processes, a loop that
is stepped by the test and a clock that stands still."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from linit.control import frames, messages
from linit.control.authorisation import Peer
from linit.control.server import ControlServer
from linit.engine import effects, events
from linit.engine.engine import Engine
from linit.engine.unit import Unit
from linit.model.paths import Paths
from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Kind, Plan, Readiness, ReadinessKind, Service
from linit.model.state import Finish, Outcome, Role

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 180.0


def service(name: str, *edges: tuple[str, str], **fields: Any) -> Service:
    """A service with edges such as ("need", "net"), each at its own line of services/NAME.yaml."""
    file = f"services/{name}.yaml"
    dependencies = tuple(
        Dependency(EdgeKind(kind), on, Place(file, line, 3)) for line, (kind, on) in enumerate(edges, 3)
    )
    kind = fields.pop("kind", Kind.PROCESS)
    run = Command((f"/usr/sbin/{name}",), Place(file, 2)) if kind in (Kind.PROCESS, Kind.ONESHOT) else None
    fields.setdefault("digest", f"{name}-1")
    return Service(name, Place(file), kind=kind, run=run, dependencies=dependencies, **fields)


def runlevel(name: str, *members: str) -> Service:
    """A runlevel that wants its members."""
    edges = tuple(
        Dependency(EdgeKind.WANT, member, Place(f"runlevels/{name}/{member}"), implied=True) for member in members
    )
    return Service(name, Place(f"services/{name}.yaml"), kind=Kind.RUNLEVEL, dependencies=edges, digest=name)


NOTIFY = Readiness(ReadinessKind.NOTIFY)


class StepLoop:
    """An event loop that runs only while a test waits. Its clock stands still unless the test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.selector = selectors.DefaultSelector()
        self.soon: deque[Callable[[], Any]] = deque()
        self.turns = 0

    def time(self) -> float:
        return self.now_s

    def call_soon(self, callback: Callable[..., Any], /, *args: Any) -> None:
        self.soon.append(lambda: callback(*args))

    def add_reader(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        self._change(fd, selectors.EVENT_READ, lambda: callback(*args))

    def remove_reader(self, fd: int, /) -> None:
        self._change(fd, selectors.EVENT_READ, None)

    def add_writer(self, fd: int, callback: Callable[..., Any], /, *args: Any) -> None:
        self._change(fd, selectors.EVENT_WRITE, lambda: callback(*args))

    def remove_writer(self, fd: int, /) -> None:
        self._change(fd, selectors.EVENT_WRITE, None)

    def _change(self, fd: int, event: int, callback: Callable[[], Any] | None) -> None:
        key = self.selector.get_map().get(fd)
        callbacks: dict[int, Callable[[], Any]] = dict(key.data) if key else {}
        if callback:
            callbacks[event] = callback
        else:
            callbacks.pop(event, None)
        if key:
            self.selector.unregister(fd)
        if callbacks:
            self.selector.register(fd, sum(callbacks), callbacks)

    def step(self, timeout_s: float) -> None:
        """One turn. Waits for something to happen, at most `timeout_s`."""
        ready = self.selector.select(0 if self.soon else timeout_s)
        self.turns += bool(ready or self.soon)
        for _ in range(len(self.soon)):
            self.soon.popleft()()
        for key, mask in ready:
            for event, callback in key.data.items():
                current = self.selector.get_map().get(key.fd)
                if mask & event and current is not None and event in current.data:
                    callback()

    def run_until(self, is_done: Callable[[], object], what: str = "the condition") -> None:
        """Turn until something is so. Fails after a deadline."""
        until = time.monotonic() + DEADLINE_S
        while not is_done():
            assert time.monotonic() < until, f"{what} did not come true within {DEADLINE_S:g} s"
            self.step(0.05)


class FakeSupervisor:
    """Does what the runtime does, to processes that exist only as numbers.

    `held` services never say that they are ready; `exits` gives the wait status with which a process ends at once;
    `stubborn` ones ignore every signal but KILL, the commands of `hanging` ones do not end.
    """

    def __init__(self, plan: Plan, loop: StepLoop) -> None:
        self.engine = Engine(plan)
        self.loop = loop
        self.held: set[str] = set()
        self.exits: dict[str, int] = {}
        self.stubborn: set[str] = set()
        self.hanging: set[str] = set()
        self.signals: list[tuple[str, int, str]] = []
        self.asked_by: list[str] = []
        self.caller = ""  # the service that whoever asks is a process of
        self.held_claims: tuple[int, ...] = ()  # to locks, of whoever asks
        self.finished: list[Finish] = []
        self.next_plan: Plan | None = None
        self.status_texts: dict[str, str] = {}
        self.unmet: dict[str, str] = {}  # the condition of a service that is not met
        self.words_of_triggers: dict[str, list[str]] = {}
        self.usages: dict[str, dict[str, Any]] = {}
        self.is_behind = False  # with the effects of an event
        self.on_done: list[Callable[[], object]] = []
        self._last_pid = 100
        self._last_id = 0
        self._answers: dict[int, Callable[[effects.Answer], object]] = {}
        self._observers: list[Callable[[Any], object]] = []
        self._events: deque[events.Event] = deque()
        self._is_busy = False

    def observe(self, callback: Callable[[Any], object]) -> None:
        self._observers.append(callback)

    def figures(self) -> dict[str, Any]:
        return {"wakeups": 7, "orphans_reaped": 2, "logger_pid": 99, "logger_restarts": 0}

    def request(
        self,
        verb: events.Verb,
        names: tuple[str, ...],
        by: str,
        on_answer: Callable[[effects.Answer], object],
        *,
        cascade: bool = True,
        only: bool = False,
        caller: str = "",
        waits: bool = True,
        held: tuple[int, ...] = (),
    ) -> None:
        number = self._expect(by, on_answer)
        self.dispatch(events.Request(number, verb, names, by, cascade, only, caller, waits, held))

    def run(
        self,
        service: Service,
        by: str,
        on_answer: Callable[[effects.Answer], object],
        *,
        caller: str = "",
        waits: bool = True,
        held: tuple[int, ...] = (),
    ) -> None:
        number = self._expect(by, on_answer)
        self.dispatch(events.RunTransient(number, service, by, caller, waits, held))

    def lock(
        self,
        name: str,
        by: str,
        on_answer: Callable[[effects.Answer], object],
        *,
        pid: int = 0,
        caller: str = "",
        waits: bool = True,
    ) -> int:
        number = self._expect(by, on_answer)
        self.dispatch(events.LockAsked(number, name, by, caller, waits))
        return number

    def unlock(self, number: int) -> None:
        self.dispatch(events.LockReleased(number))

    def locks_of(self, pid: int) -> tuple[int, ...]:
        return self.held_claims

    def _expect(self, by: str, on_answer: Callable[[effects.Answer], object]) -> int:
        self.asked_by.append(by)
        self._last_id += 1
        self._answers[self._last_id] = on_answer
        return self._last_id

    def unit_of(self, pid: int) -> str:
        return self.caller

    def reload_plan(
        self, by: str, on_answer: Callable[[effects.Answer], object], *, start_enabled: bool = True
    ) -> None:
        self.asked_by.append(by)
        self._last_id += 1
        if self.next_plan is None:
            text = "the compiler exited with status 3: no space left on device"
            on_answer(effects.Answer(self._last_id, Outcome.FAILED, (("", Outcome.FAILED, text),)))
            return
        self._answers[self._last_id] = on_answer
        self.dispatch(events.PlanLoaded(self._last_id, self.next_plan, by, start_enabled))

    def status_text(self, name: str) -> str:
        return self.status_texts.get(name, "")

    def when_done(self, callback: Callable[[], object]) -> None:
        if self.is_behind:
            self.on_done.append(callback)
        else:
            callback()

    def trigger_words(self, name: str) -> list[str]:
        return self.words_of_triggers.get(name, [])

    def usage(self, unit: Unit) -> dict[str, Any]:
        return self.usages.get(unit.name, {})

    def shutdown(self, finish: Finish, by: str) -> None:
        self.asked_by.append(by)
        self.dispatch(events.Shutdown(finish, by))

    def signal(self, name: str, number: int, to: effects.To) -> None:
        self.signals.append((name, number, to.value))

    def dispatch(self, event: events.Event) -> None:
        self._events.append(event)
        if self._is_busy:
            return
        self._is_busy = True
        while self._events:
            for effect in self.engine.handle(self._events.popleft(), self.loop.now_s):
                self._perform(effect)
        self._is_busy = False

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Spawn(definition, role):
                self._spawn(definition, role)
            case effects.WatchReadiness(definition):
                if definition.name not in self.held and definition.name not in self.exits:
                    self._events.append(events.Ready(definition.name))
            case effects.CheckConditions(definition):
                self._events.append(events.ConditionsChecked(definition.name, self.unmet.get(definition.name, "")))
            case effects.Arm(definition):
                failed = events.SpawnFailed(definition.name, Role.MAIN, "its address is taken")
                is_armed = definition.name not in self.exits
                self._events.append(events.Ready(definition.name) if is_armed else failed)
            case effects.Signal(name, number):
                if name not in self.stubborn and self.engine.units[name].pids:
                    self._events.append(events.Exited(name, Role.MAIN, number))
            case effects.KillAll(name):
                if Role.MAIN in self.engine.units[name].pids:
                    self._events.append(events.Exited(name, Role.MAIN, 9))
                self._events.append(events.Emptied(name))
            case effects.Answer(id_):
                self._answers.pop(id_)(effect)
            case effects.AllDown(finish):
                self.finished.append(finish)
            case effects.Transition() | effects.Told() | effects.BootFinished():
                for callback in self._observers:
                    callback(effect)

    def _spawn(self, definition: Service, role: Role) -> None:
        self._last_pid += 1
        self._events.append(events.Spawned(definition.name, role, self._last_pid))
        if definition.name in self.exits:
            self._events.append(events.Exited(definition.name, role, self.exits[definition.name]))
        elif definition.name not in self.hanging and (role is not Role.MAIN or definition.kind is Kind.ONESHOT):
            self._events.append(events.Exited(definition.name, role, 0))


class Talker:
    """A client that speaks frames; the world turns while it waits."""

    def __init__(self, world: World, connection: socket.socket) -> None:
        self.world = world
        self.socket = connection
        self.socket.setblocking(False)
        self.decoder = frames.Decoder(messages.ANSWER_MAX_BYTES)
        self.frames: deque[list[Any]] = deque()
        self.is_closed = False
        self._last_id = 0

    def send(self, data: bytes) -> None:
        """Send all of it, as fast as it is taken; what is not taken because the connection ended is dropped."""
        rest = memoryview(data)

        def is_sent() -> bool:
            nonlocal rest
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                return False
            except OSError:
                return True
            return not rest

        self.world.loop.run_until(is_sent, "sending")

    def frame(self) -> list[Any] | None:
        """The next frame; None when the connection is closed."""
        self.world.loop.run_until(self.has_frame, "a frame")
        return self.frames.popleft() if self.frames else None

    def has_frame(self) -> bool:
        """Is there a frame, or the end? Reads what has come."""
        self._read()
        return bool(self.frames) or self.is_closed

    def _read(self) -> None:
        while not self.is_closed:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            self.is_closed = not data
            self.decoder.feed(data)
            self.frames.extend(self.decoder)

    def call(self, method: str, **params: Any) -> tuple[Any, Any]:
        """(error, result)."""
        id_ = self.ask(method, **params)
        frame = self.frame()
        assert frame is not None and frame[:2] == [messages.RESPONSE, id_], frame
        return frame[2], frame[3]

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        self._last_id += 1
        self.send(frames.request(self._last_id, method, params))
        return self._last_id

    def hello(self) -> Talker:
        """Say hello as the tests do."""
        error, _ = self.call("hello", client="a test", protocol=messages.PROTOCOL)
        assert error is None, error
        return self


class World:
    """A supervisor with a control server, and clients of it."""

    def __init__(self, folder: str, *services: Service, mode: str = "user", **plan: Any) -> None:
        self.folder = folder
        self.loop = StepLoop()
        self.plan = Plan(tuple(sorted(services, key=lambda each: each.name)), **plan)
        self.supervisor = FakeSupervisor(self.plan, self.loop)
        self.paths = Paths.user(folder)
        self.server = ControlServer(self.supervisor, self.loop, self.paths, mode)
        self.server.listen()

    def start(self, *names: str) -> None:
        """Have services started, as if by the boot."""
        self.supervisor.request(events.Verb.START, names, "the test", lambda answer: None)

    def state(self, name: str) -> str:
        return self.supervisor.engine.units[name].state.value

    def talker(self) -> Talker:
        """A client that has said nothing yet."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(self.paths.control)
        return Talker(self, client)

    def talker_of(self, peer: Peer) -> Talker:
        """A client of whom the kernel says that it is `peer`."""
        ours, theirs = socket.socketpair()
        self.server.attach(ours, peer)
        return Talker(self, theirs)

    def client(self) -> Talker:
        """A client that has said hello."""
        return self.talker().hello()

    def ctl(self, *arguments: str, **environment: str) -> Ran:
        """Run linitctl against this supervisor, to its end."""
        return self.ctl_end(self.ctl_begin(*arguments, environment=environment))

    def ctl_begin(
        self,
        *arguments: str,
        out: int = -1,
        err: int = -1,
        code: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Run linitctl; the world must turn for it to get answers.

        `out`, `err`: descriptors to write to. `code`: what to run instead, in an interpreter without site.
        """
        import linitctl

        path = os.pathsep.join([str(ROOT), os.path.dirname(os.path.dirname(os.path.abspath(linitctl.__file__)))])
        # Not pipes: nobody reads while the world turns.
        files: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", code] if code else [sys.executable, "-m", "linitctl", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=files[0] if out < 0 else out,
            stderr=files[1] if err < 0 else err,
            env={
                **{key: value for key, value in os.environ.items() if key in ("PATH", "HOME")},
                "PYTHONPATH": os.pathsep.join([*sys.path, path]),
                "LINIT_CONTROL": self.paths.control,
                **(environment or {}),
            },
        )
        return Running(process, files)

    def ctl_end(self, running: Running) -> Ran:
        """Turn until it has ended."""
        self.loop.run_until(lambda: running.process.poll() is not None, "the end of linitctl")
        texts = [running.text(index) for index in range(2)]
        for file in running.files:
            file.close()
        return Ran(running.process.returncode, *texts)

    def close(self) -> None:
        self.server.close()
        assert not self.loop.selector.get_map(), "a descriptor is still watched"


class Running:
    """A linitctl that has not ended, and the files that it writes to."""

    def __init__(self, process: subprocess.Popen[bytes], files: list[IO[bytes]]) -> None:
        self.process = process
        self.files = files

    def text(self, index: int) -> str:
        """What it has written until now: 0 standard output, 1 standard error."""
        return os.pread(self.files[index].fileno(), 1 << 26, 0).decode()


class Ran:
    """What a run of linitctl left behind. Not the same each time: who asked is told as WHO, moments as CLOCK."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out, self.err = map(_repeatable, (out, err))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ran) and (self.status, self.out, self.err) == (other.status, other.out, other.err)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.out}--\n{self.err}"


def _repeatable(text: str) -> str:
    text = re.sub(r"(\d{4}-\d\d-\d\d )?\b\d\d:\d\d:\d\d\b", "CLOCK", text)
    return re.sub(r"(root|uid \d+) \([^()]*, pid \d+\)", "WHO", text)


@contextmanager
def world(*services: Service, mode: str = "user", **plan: Any) -> Iterator[World]:
    """A world that is gone afterwards, with its folder; whoever still watches a descriptor then is found out."""
    with tempfile.TemporaryDirectory(prefix="linit-test-") as folder:
        made = World(folder, *services, mode=mode, **plan)
        try:
            yield made
        finally:
            made.close()


WEB = [  # a system to ask about
    service("net", description="the network", kind=Kind.ONESHOT),
    service("web", ("need", "net"), description="HTTP server", runlevels=("default",)),
    service("shop", ("need", "web"), ("want", "cache")),
    service("cache", ("after", "net")),
    runlevel("default", "web"),
    runlevel("single"),
]


def result_of(talker: Talker, method: str, **params: Any) -> Any:
    error, result = talker.call(method, **params)
    assert error is None, error
    return result


def error_of(talker: Talker, method: str, **params: Any) -> Any:
    error, _ = talker.call(method, **params)
    assert error is not None
    return error


def outcomes(result: dict[str, Any]) -> list[str]:
    return [result["outcome"], *(f"{each['name']}: {each['outcome']}" for each in result["results"])]
