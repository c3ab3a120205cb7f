"""From bytes to lines: linit/logs/README.md, "The files"."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from linit.logs import lines
from linit.logs.lines import CONTINUES, Batch

NOON_NS = 1_795_359_001_123_456_789


def test_a_line_ends_with_its_newline_and_the_rest_waits() -> None:
    assert lines.split(b"", b"one\ntwo\nthr") == (b"one\ntwo\n", b"thr")
    assert lines.split(b"thr", b"ee\n") == (b"three\n", b"")
    assert lines.split(b"a", b"b") == (b"", b"ab")


def test_an_empty_line_and_a_binary_one_are_lines() -> None:
    assert lines.split(b"", b"\n\n") == (b"\n\n", b"")
    assert lines.split(b"", b"\0\xff\r\n") == (b"\0\xff\r\n", b"")


def test_a_line_of_the_longest_length_is_not_cut() -> None:
    assert lines.split(b"", b"12345\n12345", line_max_bytes=5) == (b"12345\n", b"12345")


def test_a_longer_line_is_cut_and_each_piece_but_the_last_is_marked() -> None:
    cut = b"12345" + CONTINUES + b"\n67890" + CONTINUES + b"\nx\n"
    assert lines.split(b"", b"a\n1234567890x\nb\n", line_max_bytes=5) == (b"a\n" + cut + b"b\n", b"")


def test_a_line_that_never_ends_does_not_grow_in_memory() -> None:
    complete, rest = lines.split(b"", b"x" * 1_000_003, line_max_bytes=10)
    assert complete == (b"x" * 10 + CONTINUES + b"\n") * 100_000
    assert rest == b"xxx"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_chunking_of_the_same_bytes_changes_the_lines(chunks: list[bytes]) -> None:
    whole, rest = lines.split(b"", b"".join(chunks))
    found, tail = b"", b""
    for chunk in chunks:
        complete, tail = lines.split(tail, chunk)
        found += complete
    assert (found, tail) == (whole, rest)


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 20))
def test_no_byte_is_lost_by_cutting(chunks: list[bytes], line_max_bytes: int) -> None:
    found, tail = b"", b""
    for chunk in chunks:
        complete, tail = lines.split(tail, chunk, line_max_bytes)
        found += complete
        assert len(tail) <= line_max_bytes
    assert (found + tail).replace(CONTINUES + b"\n", b"") == b"".join(chunks)


def test_the_time_is_utc_with_microseconds_that_are_cut() -> None:
    """RFC 3339; always 27 characters."""
    assert lines.stamp(NOON_NS) == b"2026-11-22T14:50:01.123456Z"
    assert lines.stamp(1_000) == b"1970-01-01T00:00:00.000001Z"
    assert len(lines.stamp(NOON_NS)) == lines.STAMP_BYTES


def test_each_line_bears_time_boot_stream_and_pid() -> None:
    """Lines of one read carry the same time."""
    batch = Batch(b"one\n\ntwo\n", NOON_NS, "err", 412)
    assert lines.prefixed(batch.lines, lines.prefix(batch, 12)) == (
        b"2026-11-22T14:50:01.123456Z 12 err 412 one\n"
        b"2026-11-22T14:50:01.123456Z 12 err 412 \n"
        b"2026-11-22T14:50:01.123456Z 12 err 412 two\n"
    )


def test_every_line_of_linits_own_text_is_marked_by_its_stream() -> None:
    """A service cannot write one: the text of its line comes after the stream."""
    batch = lines.own("up\nand well", NOON_NS)
    assert (batch.lines, batch.stream) == (b"up\nand well\n", "linit")


def test_lines_of_the_early_boot_get_its_number_and_their_text_is_left_alone() -> None:
    early = b"2026-11-22T14:50:01.123456Z 0 out 4 2026-11-22T14:50:01.123456Z 0 out 4 x\n"
    assert lines.with_boot(early * 2, 12) == early.replace(b"Z 0 out", b"Z 12 out", 1) * 2


def test_what_was_lost_is_told_with_its_reason() -> None:
    assert lines.dropped_text(1) == "dropped 1 line"
    assert lines.dropped_text(17, "the disk is full") == "dropped 17 lines: the disk is full"
