"""The spool: which bytes are where when the log process dies between any two of its steps. linit/logs/spool.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.logs import spool
from linit.logs.appended import Length
from linit.logs.spool import CHUNK_BYTES, EMPTY_BYTES, HEADER, RENEW_BYTES, Spool


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for fd in ends:
        os.close(fd)


def test_what_is_taken_is_out_of_the_pipe_and_in_the_spool(tmp_path: Path, pipe: tuple[int, int]) -> None:
    kept = Spool(str(tmp_path / "s"))
    os.write(pipe[1], b"one\n")
    assert kept.take(pipe[0]) == b"one\n"
    assert kept.left() == b"one\n"
    with pytest.raises(BlockingIOError):
        kept.take(pipe[0])


def test_who_dies_before_writing_leaves_it_to_the_next(tmp_path: Path, pipe: tuple[int, int]) -> None:
    path = str(tmp_path / "s")
    first = Spool(path)
    first.mark(Length(100, 7))
    os.write(pipe[1], b"one\ntwo")
    first.take(pipe[0])
    second = Spool(path)
    assert (second.left(), second.log) == (b"one\ntwo", Length(100, 7))


def test_who_dies_after_the_commit_leaves_only_the_beginning_of_a_line(tmp_path: Path, pipe: tuple[int, int]) -> None:
    path = str(tmp_path / "s")
    first = Spool(path)
    os.write(pipe[1], b"one\ntwo")
    first.take(pipe[0])
    first.commit(Length(132, 7), b"two")
    second = Spool(path)
    assert (second.left(), second.log) == (b"two", Length(132, 7))


def test_after_the_commit_the_next_bytes_follow(tmp_path: Path, pipe: tuple[int, int]) -> None:
    kept = Spool(str(tmp_path / "s"))
    os.write(pipe[1], b"one\ntw")
    kept.take(pipe[0])
    kept.commit(Length(32, 7), b"tw")
    os.write(pipe[1], b"o\n")
    assert kept.take(pipe[0]) == b"o\n"
    assert kept.left() == b"two\n"


def test_a_spool_does_not_grow_for_ever(tmp_path: Path, pipe: tuple[int, int]) -> None:
    path = tmp_path / "s"
    kept = Spool(str(path))
    sizes = []
    for number in range(2 * RENEW_BYTES // 32768):
        os.write(pipe[1], b"x" * 32768)
        kept.take(pipe[0])
        kept.commit(Length(number, 7), b"xxx")
        sizes.append(path.stat().st_size)
        left = Spool(str(path))
        assert (left.left(), left.log) == (b"xxx", Length(number, 7))
    assert max(sizes) < RENEW_BYTES + CHUNK_BYTES


def test_a_spool_is_emptied_in_its_place_when_nothing_is_left_in_it(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A thousand services that wrote a little each must not fill /run."""
    path = tmp_path / "s"
    kept = Spool(str(path))
    os.write(pipe[1], b"x" * (EMPTY_BYTES - 1) + b"\n")
    kept.take(pipe[0])
    kept.commit(Length(9, 7), b"")
    assert path.stat().st_size == HEADER.size
    os.write(pipe[1], b"more\n")
    kept.take(pipe[0])
    again = Spool(str(path))
    assert (again.left(), again.log) == (b"more\n", Length(9, 7))


def test_a_kill_while_a_spool_is_emptied_leaves_nothing_to_be_doubled(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Cut first, then said so: a header that has consumed more than there is."""
    path = tmp_path / "s"
    kept = Spool(str(path))
    os.write(pipe[1], b"one\n")
    kept.take(pipe[0])
    kept.commit(Length(9, 7), b"")
    os.truncate(path, HEADER.size)
    assert Spool(str(path)).left() == b""


def test_the_pid_of_the_lines_is_kept(tmp_path: Path, pipe: tuple[int, int]) -> None:
    kept = Spool(str(tmp_path / "s"))
    kept.pid = 412
    os.write(pipe[1], b"one\n")
    kept.mark(Length(1, 7))
    kept.take(pipe[0])
    assert Spool(str(tmp_path / "s")).pid == 412


def test_a_spool_of_an_earlier_boot_is_not_believed(
    tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log and spool may have reached the disk at different times before the power went."""
    path = str(tmp_path / "s")
    first = Spool(path)
    first.mark(Length(100, 7))
    os.write(pipe[1], b"one\n")
    first.take(pipe[0])
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("4a1b2c3d-0000-4000-8000-000000000000\n")
    monkeypatch.setattr(spool, "BOOT_ID", str(boot_id))
    second = Spool(path)
    assert (second.left(), second.log) == (b"", Length())


def test_a_torn_or_foreign_file_in_its_place_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"not a header")
    assert Spool(str(path)).left() == b""
    assert path.stat().st_size == HEADER.size
