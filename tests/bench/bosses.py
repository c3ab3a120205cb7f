"""Which supervisors run a thousand processes here, and how is each told to? linit, and who can be had to compare with.

Each as its manual has it for so many: no limits in the way, nothing logged but what it says itself. A peer is fetched
into a folder of the run, by pip or apt-get; one that cannot be had is left out, with a note.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import loggers

TOP: Final = Path(__file__).resolve().parents[2]
FETCH_LIMIT_S: Final = 300
INSTALLED: Final = b"/usr/bin/s6-supervise"
NEVER_GIVE_UP: Final = {"policy": "always", "delay": "0s", "limit": 1_000_000}


@dataclass(frozen=True, slots=True)
class Boss:
    """`prepare` writes what it is to run (so many of this program) into a folder; the argv."""

    name: str
    prepare: Callable[[Path, Path, int], list[str]]
    environment: Callable[[Path], dict[str, str]] = lambda _peers: {}
    fetch: Callable[[Path], str] = lambda _peers: ""  # what went wrong, or ""


def names(count: int) -> Iterable[str]:
    """Of the services."""
    return (f"s{number:05}" for number in range(count))


def linit(folder: Path, job: Path, count: int) -> list[str]:
    """The folder of `linit --user`, all in its default runlevel."""
    (folder / "services").mkdir(parents=True)
    (folder / "runlevels/default").mkdir(parents=True)
    definition = json.dumps({"run": [str(job)], "output": "null", "restart": NEVER_GIVE_UP})
    for name in names(count):
        (folder / "services" / f"{name}.yaml").write_text(definition)
        (folder / "runlevels/default" / name).touch()
    return [sys.executable, "-P", "-m", "linit", "--user", str(folder)]


def supervisord(folder: Path, job: Path, count: int) -> list[str]:
    """supervisord.conf, without the server that supervisorctl asks. Silent, as it waits for who reads its lines."""
    folder.mkdir(parents=True)
    base = "[supervisord]\nnodaemon=true\nsilent=true\nminfds=20000\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
    base += f"pidfile={folder}/pid\n"
    program = f"command={job}\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"
    text = base + "".join(f"[program:{name}]\n{program}" for name in names(count))
    (folder / "supervisord.conf").write_text(text)
    return [sys.executable, "-m", "supervisor.supervisord", "-c", str(folder / "supervisord.conf")]


def circusd(folder: Path, job: Path, count: int) -> list[str]:
    """circus.ini."""
    folder.mkdir(parents=True)
    sockets = "".join(f"{each} = ipc://{folder}/{each}\n" for each in ("endpoint", "pubsub_endpoint"))
    text = f"[circus]\n{sockets}" + "".join(f"[watcher:{name}]\ncmd = {job}\n" for name in names(count))
    (folder / "circus.ini").write_text(text)
    return [sys.executable, "-m", "circus.circusd", "--log-level", "error", str(folder / "circus.ini")]


def s6_svscan(peers: Path, folder: Path, job: Path, count: int) -> list[str]:
    """A scan directory."""
    for name in names(count):
        (folder / name).mkdir(parents=True)
        (folder / name / "run").symlink_to(job)
    return [str(next(peers.rglob("s6-svscan"))), "-c", str(max(count, 4)), str(folder)]


def _by_pip(package: str, peers: Path) -> str:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    argv = [*pip, "--target", str(peers), package]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"pip does not get it in {FETCH_LIMIT_S} s"
    return (ended.stderr.strip().splitlines() or ["pip fails"])[-1] if ended.returncode else ""


def _s6(peers: Path) -> str:
    """Debian's s6-svscan knows where s6-supervise is installed, and here it is not: it is given a link to it instead.

    In its bytes, where there is room for a path that is no longer: so the link is in a folder with a short name.
    """
    problem = loggers.fetch("s6", peers)
    if problem:
        return problem
    program = next(peers.rglob("s6-svscan"))
    link = f"{tempfile.mkdtemp(prefix='l', dir='/tmp')}/s6".encode()
    os.symlink(next(peers.rglob("s6-supervise")), link)
    if len(link) > len(INSTALLED) or (code := program.read_bytes()).count(INSTALLED + b"\0") != 1:
        return "s6-svscan is not as Debian has it"
    program.write_bytes(code.replace(INSTALLED + b"\0", link.ljust(len(INSTALLED) + 1, b"\0")))
    return ""


def _python(peers: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(peers)}


def _binaries(peers: Path) -> dict[str, str]:
    programs = sorted({str(path.parent) for path in peers.rglob("s6-supervise")})
    libraries = sorted({str(path.parent) for path in peers.rglob("lib*.so.*")})
    return {"PATH": ":".join([*programs, "/usr/bin", "/bin"]), "LD_LIBRARY_PATH": ":".join(libraries)}


LINIT: Final = Boss("linit", linit, lambda _peers: {"PYTHONPATH": str(TOP)})


def peers(folder: Path) -> list[Boss]:
    """The others; `folder` is where they are fetched to."""
    return [
        Boss("supervisord", supervisord, _python, functools.partial(_by_pip, "supervisor")),
        Boss("circusd", circusd, _python, functools.partial(_by_pip, "circus")),
        Boss("s6-svscan", functools.partial(s6_svscan, folder / "s6-svscan"), _binaries,
             _s6),
    ]  # fmt: skip
