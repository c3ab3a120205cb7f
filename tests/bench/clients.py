"""Which commands of others are linitctl's compared with, and who answers them? Supervisors that run here, outside a
machine of their own, with the same services.

What needs a machine that was booted with it (systemctl, rc-status, herd, initctl) is measured there: vm-tests/bench.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import bosses, loggers
from tests.bench.bosses import Boss

SERVER: Final = """\
[unix_http_server]
file={socket}
[supervisorctl]
serverurl=unix://{socket}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers. `asks(place, folder)`: the commands by name, where the boss was fetched to `place` and has its
    configuration in `folder`; `ends_at`: the signal with which it ends its services too."""

    boss: Boss
    asks: Callable[[Path, Path], dict[str, list[str]]]
    ends_at: int = signal.SIGTERM


def answering(folder: Path) -> list[Answering]:
    """All of them; a boss is fetched to the folder below `folder` that has its name."""
    supervisord, circusd, s6_svscan = bosses.peers(folder)
    runsvdir = Boss("runsvdir", partial(_runsvdir, folder / "runsvdir"), _programs, partial(loggers.fetch, "runit"))
    return [
        Answering(replace(supervisord, prepare=_supervisord), _supervisorctl),
        Answering(circusd, _circusctl),
        Answering(runsvdir, _sv, signal.SIGHUP),
        Answering(s6_svscan, _svstat),
    ]


def _supervisord(folder: Path, job: Path, count: int) -> list[str]:
    """With the server that supervisorctl asks."""
    argv = bosses.supervisord(folder, job, count)
    with (folder / "supervisord.conf").open("a") as file:
        file.write(SERVER.format(socket=folder / "socket"))
    return argv


def _supervisorctl(_place: Path, folder: Path) -> dict[str, list[str]]:
    ask = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(folder / "supervisord.conf"), "status"]
    return {"supervisorctl status": ask, "supervisorctl status s00000": [*ask, "s00000"]}


def _circusctl(_place: Path, folder: Path) -> dict[str, list[str]]:
    ask = [sys.executable, "-m", "circus.circusctl", "--endpoint", f"ipc://{folder}/endpoint", "status"]
    return {"circusctl status": ask, "circusctl status s00000": [*ask, "s00000"]}


def _runsvdir(place: Path, folder: Path, job: Path, count: int) -> list[str]:
    """A folder of service directories."""
    for name in bosses.names(count):
        (folder / name).mkdir(parents=True)
        (folder / name / "run").symlink_to(job)
    return [_program(place, "runsvdir"), str(folder)]


def _sv(place: Path, folder: Path) -> dict[str, list[str]]:
    services = sorted(str(path) for path in folder.iterdir())
    sv = _program(place, "sv")
    return {"sv status": [sv, "status", *services], "sv status s00000": [sv, "status", services[0]]}


def _svstat(place: Path, folder: Path) -> dict[str, list[str]]:
    """It is told of one service at a time."""
    return {"s6-svstat s00000": [_program(place, "s6-svstat"), str(folder / "s00000")]}


def _program(place: Path, name: str) -> str:
    return str(next(path for path in place.rglob(name) if path.is_file() and os.access(path, os.X_OK)))


def _programs(place: Path) -> dict[str, str]:
    folders = sorted({str(path.parent) for path in place.rglob("runsv") if path.is_file()})
    return {"PATH": ":".join([*folders, "/usr/bin", "/bin"])}
