"""A real daemon under a real linit, by the definition that is shipped: what a test says is only where things are.

Paths, ports and users are `vars:` of the definitions; a drop-in sets them to places below the test's own folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.packages import Packages
from tests.integration.running import LIMIT_S, TOP, Running, is_alive

SHIPPED: Final = TOP / "services"
OUTSIDE: Final = ("localmount", "net", "loopback")
"""What the definitions need of the machine; here a target stands for each."""
NOBODY: Final = "nobody"
"""The user of the tests' daemons: every Debian has it, and it owns nothing."""
NOGROUP: Final = "nogroup"


@dataclass
class Machine:
    """A supervisor, and folders for its daemons: everybody may go there, as to `/run`, `/etc` and `/var`."""

    linit: Running
    folder: Path
    packages: Packages
    cgroup: str

    def __post_init__(self) -> None:
        for folder in (self.run, self.etc, self.var):
            folder.mkdir()
        for name in OUTSIDE:
            self.linit.define(name, kind="target")

    @property
    def run(self) -> Path:
        """Sockets and pidfiles: nothing is left here when all is stopped."""
        return self.folder / "r"

    @property
    def etc(self) -> Path:
        """Configurations."""
        return self.folder / "etc"

    @property
    def var(self) -> Path:
        """What daemons keep."""
        return self.folder / "var"

    def define(self, file: str, *services: str, environment: dict[str, str] | None = None, **values: object) -> None:
        """Use a shipped definition, with these `vars` in each of its services (the file's name, if it is one); the last
        is enabled, as `linitctl enable` does it."""
        below = "daemons/" if (SHIPPED / f"daemons/{file}.yaml").exists() else ""
        shutil.copy(SHIPPED / f"{below}{file}.yaml", self.linit.folder / "services")
        variables = {key: str(value) for key, value in values.items()}
        for name in services or (file,):
            drop_in = self.linit.folder / f"services/{name}.d/test.yaml"
            drop_in.parent.mkdir()
            surroundings = {**self.packages.environment(), **(environment or {})}
            # Less than 0 asks for a capability that root of a container has not, and is not for the daemons of a test.
            drop_in.write_text(json.dumps({"vars": variables, "environment": surroundings, "oom_score_adj": "0"}))
        self.linit.enable((services or (file,))[-1])

    def change(self, name: str, **keys: Any) -> None:
        """One more drop-in of a service: what is not only a place."""
        (self.linit.folder / f"services/{name}.d/then.yaml").write_text(json.dumps(keys))

    def configure(self, name: str, text: str) -> Path:
        """Write a configuration, also one that daemons read now: whole."""
        file = self.etc / name
        file.with_suffix(".new").write_text(text)
        return file.with_suffix(".new").replace(file)

    def keep(self, name: str, owner: str = NOBODY) -> Path:
        """A folder for what a daemon keeps, as the installation of its package makes it."""
        folder = self.var / name
        folder.mkdir()
        shutil.chown(folder, owner)
        return folder

    def boot(self, *up: str) -> None:
        """Start everything; these are up then."""
        self.linit.boot(*(("--cgroup", self.cgroup) if self.cgroup else ()))
        for name in up:
            assert self.linit.states[name] == "up", f"{name}: {self.linit.text(name)}\n{self.linit.story()}"

    def reload(self, name: str) -> None:
        """As `linitctl reload NAME`: the process stays."""
        before = self.linit.pid(name)
        answer = self.linit.call("reload", names=[name])
        assert answer["outcome"] == "done", answer
        assert self.linit.pid(name) == before

    def crash(self, name: str) -> None:
        """KILL to the main process, as a bug of the daemon's would end it; returns when it is back, with nothing of the
        old one left."""
        before = self.linit.pid(name)
        family = processes_below(before)
        ups = self.ups(name)
        os.kill(before, signal.SIGKILL)
        self.linit.wait_for_transition(name, "up", ups + 1)
        assert self.linit.pid(name) != before
        assert [pid for pid in family if is_alive(pid)] == [], f"{name}: left of the old one\n{self.linit.story()}"

    def stop(self, *names: str, keeps: tuple[str, ...] = ()) -> None:
        """Stop these (and what needs them); in their time, by their own will, and nothing of them is left: no process,
        no cgroup, no socket, no pidfile. `keeps`: files that are to stay until the machine is off."""
        mains = {name: self.linit.call("status", name=name)["pid"] for name in names}
        family = {pid for main in mains.values() if main for pid in processes_below(main)}
        assert family
        answer = self.linit.call("stop", names=list(names))
        assert answer["outcome"] == "done", answer
        assert [told for told in self.linit.told if "killed" in told[1]] == []
        assert [self.linit.states[name] for name in names] == ["down"] * len(names)
        assert [pid for pid in family if is_alive(pid)] == []
        self.linit.ask_until(lambda: self._left() == list(keeps), "that no socket and no pidfile is left")
        if self.cgroup:
            assert [name for name in names if Path(self.cgroup, "linit", name).exists()] == []

    def wait_for_log(self, name: str, text: str) -> None:
        """Until a service has printed a text."""
        self.linit.ask_until(lambda: text in self.linit.log(name), f"'{text}' in the log of {name}")

    def ask(self, *argv: str, user: str | None = None) -> str:
        """What a client program prints; it must succeed."""
        ended = subprocess.run(
            [self.packages.program(argv[0]), *argv[1:]], env={**self.packages.environment(), "HOME": str(self.folder)},
            user=user, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"{argv}: {ended.returncode}\n{ended.stdout}{ended.stderr}\n{self.linit.story()}"
        return ended.stdout

    def _left(self) -> list[str]:
        """Of a folder that is being removed, what is still there."""
        return [os.path.relpath(f"{at}/{name}", self.run) for at, _, files in os.walk(self.run) for name in files]

    def ups(self, name: str) -> int:
        """How often it has been seen to come up."""
        return sum(seen[:2] == (name, "up") for seen in self.linit.transitions)


def needs_mounts() -> None:
    """Skip the test where root may not make a mount namespace, as in a container."""
    ended = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"no mount namespace may be made here: {ended.stderr.strip()}")


def processes_below(pid: int) -> list[int]:
    """This process and all its descendants. Source: proc_pid_task(5), children."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):  # one that ends meanwhile has no more
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(word) for word in task.read_text().split()]
    return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as trying:
        trying.bind(("127.0.0.1", 0))
        return int(trying.getsockname()[1])


def talk(address: int | Path, question: bytes, ending: bytes) -> bytes:
    """Say this to a port of this machine or to a socket, and read what is answered up to this ending."""
    answer = b""
    until_s = time.monotonic() + LIMIT_S
    with socket.socket(socket.AF_INET if isinstance(address, int) else socket.AF_UNIX) as speaking:
        speaking.settimeout(LIMIT_S)
        speaking.connect(("127.0.0.1", address) if isinstance(address, int) else str(address))
        speaking.sendall(question)
        while not answer.endswith(ending):
            data = speaking.recv(65536)
            assert data and time.monotonic() < until_s, answer
            answer += data
    return answer


def get(port: int, path: str = "/") -> str:
    """The body of a web page."""
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as asking:
        asking.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"200", answer
    return body.decode()
