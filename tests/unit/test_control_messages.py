"""What is spoken on the control socket: linit/control/frames.py. Framing after the MessagePack-RPC specification."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linit.control import frames, messages
from linit.control.frames import Decoder, MessageError, open_request
from linit.model.paths import Paths

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
some_frames = st.lists(st.lists(values, max_size=5), max_size=6)


@given(some_frames, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_frames_arrive_whole_and_in_order_however_the_stream_is_cut(sent: list[list[Any]], sizes: list[int]) -> None:
    stream = b"".join(map(frames.encode, sent))
    decoder = Decoder(1 << 16)
    arrived = []
    position = piece = 0
    while position < len(stream):
        size = sizes[piece % len(sizes)]
        decoder.feed(stream[position : position + size])
        arrived += list(decoder)
        position += size
        piece += 1
    assert arrived == sent


@given(st.binary(max_size=200))
def test_any_bytes_give_frames_or_a_message_error_and_nothing_else(data: bytes) -> None:
    decoder = Decoder(messages.REQUEST_MAX_BYTES, messages.ELEMENTS_MAX)
    try:
        decoder.feed(data)
        for frame in decoder:
            open_request(frame)
    except MessageError as fault:
        assert fault.code in (messages.MALFORMED, messages.TOO_LARGE)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xc1", "not a message: FormatError"),  # a byte that MessagePack never uses
        (b"\x91" * 3000, "not a message: StackError"),  # nested without an end
        (b"\x91\xa2\xff\xfe", "not a message: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"\x91\x81\x01\x02", "not a message: int is not allowed for map key when strict_map_key=True"),
        (b"\xdd\x00\x01\x00\x00", "not a message: 65536 exceeds max_array_len(4096)"),
        (b"\x07", "found a number, expected an array: a MessagePack-RPC frame"),
        (b"\x80", "found a map, expected an array: a MessagePack-RPC frame"),
    ],
)
def test_what_is_not_a_frame_is_named(data: bytes, text: str) -> None:
    decoder = Decoder(messages.REQUEST_MAX_BYTES, messages.ELEMENTS_MAX)
    decoder.feed(data)
    with pytest.raises(MessageError) as caught:
        decoder.take()
    assert (caught.value.code, str(caught.value)) == (messages.MALFORMED, text)


def test_a_frame_may_be_as_large_as_the_limit_and_no_larger() -> None:
    def frame_of(size: int) -> bytes:
        overhead = len(frames.encode(["x" * 70000])) - 70000
        return frames.encode(["x" * (size - overhead)])

    decoder = Decoder(100_000)
    decoder.feed(frame_of(100_000) * 3)
    assert len(list(decoder)) == 3
    decoder.feed(frame_of(100_001))
    with pytest.raises(MessageError, match="a message of more than 100000 bytes"):
        decoder.take()


def test_a_frame_that_never_ends_is_cut_off_even_when_it_is_made_of_small_values() -> None:
    """The unpacker consumes what it has seen, so its own limit does not bound a large tree of small values."""
    decoder = Decoder(10_000)
    with pytest.raises(MessageError) as caught:
        for _ in range(100):
            decoder.feed(b"\xdc\x00\x64" + b"\x01" * 99)  # an array of 100, one short, within the one before
            assert decoder.take() is None
            assert decoder._fed <= 10_000 + 102
    assert caught.value.code == messages.TOO_LARGE


def test_messages_before_a_malformed_one_are_still_given() -> None:
    decoder = Decoder(1000)
    decoder.feed(frames.encode([1]) + b"\xc1")
    assert decoder.take() == [1]
    with pytest.raises(MessageError):
        decoder.take()


NO_REQUESTS: list[list[Any]] = [[], [0], [0, 1, "x"], [1, 1, "x", []], [0, True, "x", []], [0, 1, "x", [1]]]


@pytest.mark.parametrize("frame", NO_REQUESTS)
def test_a_frame_that_is_no_request_is_refused(frame: list[Any]) -> None:
    with pytest.raises(MessageError, match="not a request"):
        open_request(frame)


def test_parameters_are_a_map_or_nothing() -> None:
    assert open_request([0, 7, "list", []]) == (7, "list", {})
    assert open_request([0, 7, "why", [{"name": "x"}]]) == (7, "why", {"name": "x"})


def test_requests_responses_and_notifications_are_those_of_messagepack_rpc() -> None:
    assert msgpack.unpackb(frames.request(3, "list", {})) == [0, 3, "list", [{}]]
    assert msgpack.unpackb(frames.response(3, None, "r")) == [1, 3, None, "r"]
    assert msgpack.unpackb(frames.notification("told", {"a": 1})) == [2, "told", [{"a": 1}]]


def test_a_text_that_is_no_unicode_still_travels() -> None:
    assert msgpack.unpackb(frames.encode(["a\udcffb"])) == ["a?b"]


def test_the_socket_paths_are_those_of_the_model() -> None:
    assert Paths.system().control == messages.DEFAULT_SOCKET
    assert Paths.user("/x").control == f"/x/{messages.USER_SOCKET}"


def test_the_messages_are_cheap_to_import() -> None:
    """linitctl imports them at every start."""
    code = (
        "import sys; sys.path[:] = %r; import linit.control.messages; "
        "print([m for m in ('typing', 'enum', 'dataclasses', 'asyncio', 'socket', 'json') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", code % sys.path], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
