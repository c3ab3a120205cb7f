"""How do messages travel? MessagePack-RPC frames out of bytes and into bytes; what they say is in `messages.py`.

Both sides use it: to read the answer for a hundred services in Python costs linitctl more than to load the C extension
(48.7 million instructions instead of 41.5). Source of the framing: https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md.
"""

from __future__ import annotations

from linit import messagepack
from linit.control.messages import MALFORMED, NOTIFICATION, REQUEST, RESPONSE, TOO_LARGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from linit.control.messages import ErrorRecord

BUFFER_BYTES: Final = 16384  # that a decoder begins with; what the library begins with is a megabyte


class MessageError(Exception):
    """What came in is not a message of this protocol. `code` is one of the error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(frame: list[Any]) -> bytes:
    """One frame as bytes. A text that is not valid Unicode (a file name, say) travels with question marks."""
    data: bytes = messagepack.packb(frame, use_bin_type=True, unicode_errors="replace")
    return data


def request(id_: int, method: str, params: dict[str, Any]) -> bytes:
    """A request as bytes."""
    return encode([REQUEST, id_, method, [params]])


def response(id_: int, error_: ErrorRecord | None, result: object) -> bytes:
    """A response as bytes."""
    return encode([RESPONSE, id_, error_, result])


def notification(method: str, params: dict[str, Any] | ErrorRecord) -> bytes:
    """A notification as bytes."""
    return encode([NOTIFICATION, method, [params]])


class Decoder:
    """Frames out of a stream of bytes, however it is cut into pieces.

    `message_max_bytes` bounds one frame. `elements_max` bounds one array or map, for input that is not trusted:
    MessagePack announces lengths before the values come, so nested announcements are a cheap way to ask for memory.
    """

    def __init__(self, message_max_bytes: int, elements_max: int = 1 << 24) -> None:
        self._message_max_bytes = message_max_bytes
        self._fed = 0  # bytes, since the beginning of the stream
        self._boundary = 0  # where the frame begins that is being read
        self._unpacker = messagepack.Unpacker(
            read_size=BUFFER_BYTES,
            max_buffer_size=message_max_bytes + (1 << 20),
            max_array_len=elements_max,
            max_map_len=elements_max,
            max_ext_len=0,
        )

    def feed(self, data: bytes) -> None:
        """More of the stream. Raises MessageError when a single frame becomes too large."""
        self._fed += len(data)
        try:
            self._unpacker.feed(data)
        except messagepack.BufferFull as full:
            raise self._too_large() from full

    def take(self) -> list[Any] | None:
        """The next frame that is complete, None when more bytes are needed.

        Raises MessageError when the stream is not MessagePack, when a frame is too large, and when it is not an
        array. After that nothing can be said of the bytes that follow: the connection has to end.
        """
        try:
            frame = self._unpacker.unpack()
        except messagepack.OutOfData:
            if self._fed - self._boundary > self._message_max_bytes:
                raise self._too_large() from None
            return None
        except (ValueError, messagepack.UnpackException) as fault:
            raise MessageError(MALFORMED, f"not a message: {str(fault) or type(fault).__name__}") from fault
        begin, self._boundary = self._boundary, self._unpacker.tell()
        if self._boundary - begin > self._message_max_bytes:
            raise self._too_large()
        if not isinstance(frame, list):
            raise MessageError(MALFORMED, f"found {_kind(frame)}, expected an array: a MessagePack-RPC frame")
        return frame

    def __iter__(self) -> Iterator[list[Any]]:
        while (frame := self.take()) is not None:
            yield frame

    def _too_large(self) -> MessageError:
        return MessageError(TOO_LARGE, f"a message of more than {self._message_max_bytes} bytes")


def open_request(frame: list[Any]) -> tuple[int, str, dict[str, Any]]:
    """(id, method, parameters) of a request frame.

    Raises MessageError with MALFORMED when it is not one. No parameters may be said as `[]` or `[{}]`.
    """
    match frame:
        case [0, int(id_), str(method), [dict(params)]] if not isinstance(id_, bool):
            return id_, method, params
        case [0, int(id_), str(method), []] if not isinstance(id_, bool):
            return id_, method, {}
    raise MessageError(MALFORMED, "not a request: expected [0, id, method, [{parameters}]]")


def _kind(value: object) -> str:
    words = {int: "a number", str: "a text", bytes: "bytes", dict: "a map", bool: "a flag", type(None): "nil"}
    return words.get(type(value), type(value).__name__)
