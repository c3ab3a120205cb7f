"""How bytes become lines of a log: linit/logs/README.md, "The files"."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from linit.logs import lines

NOON_NS = 1_795_359_001_123_456_789  # 2026-11-22T14:50:01.123456789Z


def test_a_line_ends_with_its_newline_and_the_rest_waits() -> None:
    assert lines.split(b"be", b"gin\nmiddle\nen") == ([b"begin", b"middle"], b"en")


def test_an_empty_line_is_a_line() -> None:
    assert lines.split(b"", b"\n\n") == ([b"", b""], b"")


def test_a_line_of_the_longest_length_is_not_cut() -> None:
    assert lines.split(b"", b"12345678\n", line_max_bytes=8) == ([b"12345678"], b"")


def test_a_longer_line_is_cut_and_each_piece_but_the_last_is_marked() -> None:
    assert lines.split(b"", b"1234567890\n", line_max_bytes=4) == (
        [b"1234 [continues]", b"5678 [continues]", b"90"],
        b"",
    )


def test_a_line_that_never_ends_does_not_grow_in_memory() -> None:
    assert lines.split(b"123", b"4567", line_max_bytes=4) == ([b"1234 [continues]"], b"567")


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_chunking_of_the_same_bytes_changes_the_lines(chunks: list[bytes]) -> None:
    whole, rest = lines.split(b"", b"".join(chunks))
    found: list[bytes] = []
    tail = b""
    for chunk in chunks:
        complete, tail = lines.split(tail, chunk)
        found += complete
    assert (found, tail) == (whole, rest)


def test_the_time_is_utc_with_microseconds_that_are_cut() -> None:
    """RFC 3339; always 27 characters."""
    assert lines.stamp(NOON_NS) == b"2026-11-22T14:50:01.123456Z"
    assert lines.stamp(1_000) == b"1970-01-01T00:00:00.000001Z"
    assert len(lines.stamp(NOON_NS)) == 27


def test_lines_of_one_read_carry_the_same_time() -> None:
    assert lines.format_lines([b"one", b"two"], NOON_NS) == (
        b"2026-11-22T14:50:01.123456Z one\n2026-11-22T14:50:01.123456Z two\n"
    )


def test_every_line_of_linits_own_text_is_marked() -> None:
    assert lines.own_lines("up\nand well") == [b"linit: up", b"linit: and well"]
    assert lines.own_lines("") == [b"linit: "]


def test_what_was_dropped_is_told_in_words() -> None:
    assert lines.dropped_text(1) == "dropped 1 line"
    assert lines.dropped_text(17) == "dropped 17 lines"
