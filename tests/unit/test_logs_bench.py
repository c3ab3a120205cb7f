"""The benchmark of the log process (tests/bench/logs.py) loses and doubles nothing by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import loggers, logs
from tests.bench.logs import LogProcessRunning, PeerRunning

COUNT = 5_000


@pytest.mark.parametrize("kills", [0, 2])
def test_every_line_is_counted_once(tmp_path: Path, kills: int) -> None:
    running = LogProcessRunning(tmp_path, packs=False)
    assert logs.flow(running, logs.text_of(COUNT), kills) > 0
    assert logs.losses(running.content(), COUNT) == (0, 0)
    assert running.cpu_s > 0


def test_losses_and_doubles_are_seen() -> None:
    lines = logs.text_of(4).splitlines(keepends=True)
    assert logs.losses(b"".join(lines[:2] + lines[1:2] + [lines[3][:20]]), 4) == (2, 1)


def test_a_trickle_arrives(tmp_path: Path) -> None:
    running = LogProcessRunning(tmp_path, packs=True)
    logs.trickle(running, logs.text_of(20))
    assert logs.losses(running.content(), 20) == (0, 0)


def test_a_peer_is_run_on_the_pipe(tmp_path: Path) -> None:
    """Any program that reads its standard input and writes below its folder."""
    peer = loggers.Peer("tee", "tee", "coreutils", lambda program, folder: [program, str(folder / "current")])
    found = loggers.find(peer, tmp_path / "fetched")
    assert isinstance(found, loggers.Found)
    running = PeerRunning(tmp_path / "tee", peer, found)
    logs.flow(running, logs.text_of(COUNT), 0)
    assert logs.losses(running.content(), COUNT) == (0, 0)


def test_a_peer_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert loggers.find(loggers.PEERS[0], tmp_path / "fetched") == "runit is not installed, and there is no apt-get"
