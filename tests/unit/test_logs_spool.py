"""The spool: which bytes are where when the log process dies between any two of its steps. linit/logs/spool.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linit.logs import spool
from linit.logs.spool import HEADER, RENEW_BYTES, Spool


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
    first.mark(100)
    os.write(pipe[1], b"one\ntwo")
    first.take(pipe[0])
    second = Spool(path)
    assert (second.left(), second.log_bytes) == (b"one\ntwo", 100)


def test_who_dies_after_the_commit_leaves_only_the_beginning_of_a_line(tmp_path: Path, pipe: tuple[int, int]) -> None:
    path = str(tmp_path / "s")
    first = Spool(path)
    os.write(pipe[1], b"one\ntwo")
    first.take(pipe[0])
    first.commit(132, b"two")
    second = Spool(path)
    assert (second.left(), second.log_bytes) == (b"two", 132)


def test_after_the_commit_the_next_bytes_follow(tmp_path: Path, pipe: tuple[int, int]) -> None:
    kept = Spool(str(tmp_path / "s"))
    os.write(pipe[1], b"one\ntw")
    kept.take(pipe[0])
    kept.commit(32, b"tw")
    os.write(pipe[1], b"o\n")
    assert kept.take(pipe[0]) == b"o\n"
    assert kept.left() == b"two\n"


def test_a_spool_does_not_grow_for_ever(tmp_path: Path, pipe: tuple[int, int]) -> None:
    path = tmp_path / "s"
    kept = Spool(str(path))
    for number in range(8):
        os.write(pipe[1], b"x" * 32768)
        kept.take(pipe[0])
        kept.commit(number, b"xxx")
        assert path.stat().st_size < RENEW_BYTES + 65536
        left = Spool(str(path))
        assert (left.left(), left.log_bytes) == (b"xxx", number)


def test_a_spool_of_an_earlier_boot_is_not_believed(
    tmp_path: Path, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log and spool may have reached the disk at different times before the power went."""
    path = str(tmp_path / "s")
    first = Spool(path)
    first.mark(100)
    os.write(pipe[1], b"one\n")
    first.take(pipe[0])
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("4a1b2c3d-0000-4000-8000-000000000000\n")
    monkeypatch.setattr(spool, "BOOT_ID", str(boot_id))
    second = Spool(path)
    assert (second.left(), second.log_bytes) == (b"", 0)


def test_a_torn_or_foreign_file_in_its_place_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"not a header")
    assert Spool(str(path)).left() == b""
    assert path.stat().st_size == HEADER.size
