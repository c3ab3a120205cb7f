"""From a pipe into the file, whatever happened to the log process before: linit/logs/stream.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.logs.store import Store
from linit.logs.stream import Stream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for fd in ends:
        os.close(fd)


def opened(folder: Path) -> Store:
    store = Store(str(folder))
    assert store.open()
    return store


def texts(folder: Path) -> list[str]:
    """The lines of the log without their times."""
    return [line[28:] for line in (folder / "web.log").read_text().splitlines()]


def test_a_chunk_is_in_the_file_when_pump_returns(tmp_path: Path, pipe: tuple[int, int]) -> None:
    store = opened(tmp_path)
    stream = Stream("web", pipe[0])
    stream.begin(store)
    os.write(pipe[1], b"one\ntwo\nthr")
    assert stream.pump(store)
    assert texts(tmp_path) == ["one", "two"]
    assert not stream.pump(store)
    assert not stream.is_ended


def test_a_line_that_was_begun_before_a_kill_is_finished_after_it(tmp_path: Path, pipe: tuple[int, int]) -> None:
    store = opened(tmp_path)
    first = Stream("web", pipe[0])
    first.begin(store)
    os.write(pipe[1], b"one\ntw")
    first.pump(store)
    again = opened(tmp_path)
    second = Stream("web", pipe[0])
    second.begin(again)
    os.write(pipe[1], b"o\n")
    second.pump(again)
    assert texts(tmp_path) == ["one", "two"]


def test_lines_written_but_not_committed_before_a_kill_are_not_doubled(tmp_path: Path, pipe: tuple[int, int]) -> None:
    store = opened(tmp_path)
    first = Stream("web", pipe[0])
    first.begin(store)
    os.write(pipe[1], b"one\n")
    first.pump(store)
    os.write(pipe[1], b"two\n")
    # The steps of `pump` up to the kill, which comes between the write and the commit.
    assert first._spool is not None
    first._spool.mark(store.file("web").size_bytes)
    store.file("web").append([first._spool.take(pipe[0]).rstrip(b"\n")], 0, first._spool.mark)
    assert texts(tmp_path) == ["one", "two"]
    again = opened(tmp_path)
    Stream("web", pipe[0]).begin(again)
    assert texts(tmp_path) == ["one", "two"]


def test_linits_own_lines_between_two_chunks_survive_a_kill(tmp_path: Path, pipe: tuple[int, int]) -> None:
    store = opened(tmp_path)
    first = Stream("web", pipe[0])
    first.begin(store)
    os.write(pipe[1], b"one\n")
    first.pump(store)
    store.append("web", [b"linit: something"])
    os.write(pipe[1], b"two\n")
    assert first._spool is not None
    first._spool.mark(store.file("web").size_bytes)
    first._spool.take(pipe[0])  # and the kill comes before the write
    again = opened(tmp_path)
    Stream("web", pipe[0]).begin(again)
    assert texts(tmp_path) == ["one", "linit: something", "two"]


def test_the_end_of_the_pipe_writes_the_last_line_and_leaves_no_spool(tmp_path: Path) -> None:
    reading_end, writing_end = os.pipe()
    store = opened(tmp_path)
    stream = Stream("web", reading_end)
    stream.begin(store)
    os.write(writing_end, b"goodbye")
    os.close(writing_end)
    stream.finish(store)
    os.close(reading_end)
    assert stream.is_ended
    assert texts(tmp_path) == ["goodbye"]
    assert list((tmp_path / ".spool").iterdir()) == []


def test_without_a_spool_lines_still_arrive_and_it_is_told(tmp_path: Path, pipe: tuple[int, int]) -> None:
    store = opened(tmp_path)
    store.spools = str(tmp_path / "nowhere")
    stream = Stream("web", pipe[0])
    stream.begin(store)
    os.write(pipe[1], b"one\n")
    assert stream.pump(store)
    spool = f"{tmp_path}/nowhere/web.log.0"
    assert texts(tmp_path) == [
        f"linit: its lines are not safe from a kill of the log process: {spool}: ENOENT (no such file or directory)",
        "one",
    ]
