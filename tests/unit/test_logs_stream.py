"""From a pipe into the file, whatever happened to the log process before: linit/logs/stream.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.logs.flood import Flood
from linit.logs.limits import Limits
from linit.logs.lines import Batch
from linit.logs.recovery import recover
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
    """The lines of the log without what stands before them."""
    fields = [line.split(" ", 4) for line in (folder / "web.log").read_text().splitlines()]
    return [f"linit: {text}" if stream == "linit" else text for _, _, stream, _, text in fields]


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
    first._spool.mark(store.file("web").length)
    store.file("web").append(Batch(first._spool.take(pipe[0]), 0), first._spool.mark)
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
    store.say("web", "something")
    os.write(pipe[1], b"two\n")
    assert first._spool is not None
    first._spool.mark(store.file("web").length)
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
    spool = f"{tmp_path}/nowhere/web.log.out.0"
    assert texts(tmp_path) == [
        f"linit: its lines are not safe from a kill of the log process: {spool}: ENOENT (no such file or directory)",
        "one",
    ]


def test_a_line_bears_its_stream_and_the_pid_of_its_process(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """What was in the pipe when another process took over is the earlier one's."""
    store = opened(tmp_path)
    stream = Stream("web", pipe[0], name="err", pid=12)
    stream.begin(store)
    os.write(pipe[1], b"of the first\n")
    stream.of_process(34, store)
    os.write(pipe[1], b"of the second\n")
    stream.pump(store)
    lines = (tmp_path / "web.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["err 12 of the first", "err 34 of the second"]


def test_two_streams_of_a_service_do_not_take_back_each_others_lines(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """One file, two spools: only the one that was being written when the kill came may cut the file back."""
    err_end, err_writer = os.pipe()
    store = opened(tmp_path)
    out, err = Stream("web", pipe[0]), Stream("web", err_end, name="err")
    for stream in (out, err):
        stream.begin(store)
    os.write(pipe[1], b"out 1\nha")
    out.pump(store)
    os.write(err_writer, b"err 1\nlf")
    err.pump(store)
    again = opened(tmp_path)
    recover(again, is_early=False)
    out, err = Stream("web", pipe[0]), Stream("web", err_end, name="err")
    for stream in (out, err):
        stream.begin(again)
    os.write(pipe[1], b"lf\n")
    os.write(err_writer, b" an error\n")
    out.pump(again)
    err.pump(again)
    for fd in (err_end, err_writer):
        os.close(fd)
    assert texts(tmp_path) == ["out 1", "err 1", "half", "lf an error"]


def test_lines_of_a_killed_log_process_are_written_though_nobody_gives_the_pipe_again(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """The service was removed meanwhile."""
    store = opened(tmp_path)
    first = Stream("web", pipe[0], pid=7)
    first.begin(store)
    os.write(pipe[1], b"one\n")
    first.pump(store)
    os.write(pipe[1], b"two\n")
    assert first._spool is not None
    first._spool.mark(store.file("web").length)
    first._spool.take(pipe[0])
    recover(opened(tmp_path), is_early=False)
    assert texts(tmp_path) == ["one", "two"]
    assert (tmp_path / "web.log").read_text().splitlines()[1].endswith(" out 7 two")


def test_a_spool_whose_log_was_rotated_cuts_nothing_back(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """The kill came between the rotation and the note of it: the new file is another one."""
    store = opened(tmp_path)
    first = Stream("web", pipe[0])
    first.begin(store)
    os.write(pipe[1], b"one\n")
    first.pump(store)
    os.write(pipe[1], b"two\n")
    assert first._spool is not None
    first._spool.take(pipe[0])
    (tmp_path / "web.log").rename(tmp_path / "web.log.000001")
    (tmp_path / "web.log").write_text("2026-11-22T14:50:01.123456Z 1 linit 1 more than one line is long here\n")
    recover(opened(tmp_path), is_early=False)
    assert texts(tmp_path) == ["linit: more than one line is long here", "two"]


def test_of_a_flood_what_is_too_much_is_dropped_and_told_when_the_window_is_over(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    store = opened(tmp_path)
    flood = Flood(Limits(flood_bytes=8, flood_window_s=3600))
    stream = Stream("web", pipe[0], flood=flood)
    stream.begin(store)
    for line in (b"one\n", b"two\n", b"three\n", b"four\n"):
        os.write(pipe[1], line)
        stream.pump(store)
    assert texts(tmp_path) == ["one", "two"]
    (file,) = store.losing
    assert (file.dropped, file.dropped_until_s) == (2, flood.until_s)
    file.tell_dropped(0)
    assert texts(tmp_path)[2:] == ["linit: dropped 2 lines: more than 0 MiB in 3600 s"]
    assert not store.losing


def test_a_flood_is_measured_in_windows_of_time() -> None:
    flood = Flood(Limits(flood_bytes=100, flood_window_s=10))
    assert [flood.is_over(60, at_s) for at_s in (0.0, 1.0, 9.9, 10.0, 11.0, 25.0)] == [
        False, True, True, False, True, False,
    ]  # fmt: skip
    assert not Flood(Limits(flood_bytes=0)).is_over(1 << 40, 0.0)
