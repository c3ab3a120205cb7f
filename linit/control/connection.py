"""What does one client say, and what is sent to it? Frames, order, back-pressure; what methods mean is elsewhere.

A client can hurt only itself: what it sends is bounded, and read only while it reads its answers; what is queued for
it is bounded, and a subscriber that does not read is cut off.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from linit import VERSION
from linit.control import frames, messages
from linit.control.authorisation import Peer, asker, printable
from linit.control.frames import Decoder, MessageError

if TYPE_CHECKING:
    from linit.control.messages import ErrorRecord

READ_BYTES: Final = 16384  # at once; then others have their turn
QUEUE_PAUSE_BYTES: Final = 256 << 10  # with more than this to send, no further request is taken
QUEUE_MAX_BYTES: Final = 4 << 20  # with more than this to send, a notification cuts the client off
IN_FLIGHT_MAX: Final = 256  # requests that wait for their answer


class Connection:
    """One client. `take` is called with (connection, id, method, parameters) for each request after the hello."""

    def __init__(
        self,
        fd: int,
        peer: Peer,
        take: Callable[[Connection, int, str, dict[str, Any]], None],
        ended: Callable[[Connection], None],
    ) -> None:
        self.fd = fd
        self.peer = peer
        self.session = 0  # counts hosts that came and went on a port; an answer for an earlier one is dropped
        self.watch: Any = None  # a Watch, given by the server right after construction
        self.locks: dict[str, Callable[[], object]] = {}  # held or waited for, each with what lets go of it
        self.come: Callable[[Connection], object] = lambda _: None  # asks for a turn, given as the watch is
        self._take = take
        self._ended = ended
        self._begin()

    def _begin(self) -> None:
        """As if newly connected."""
        self.session += 1
        self.said_hello = False
        self.is_closing = False
        self.is_ended = False
        self.client = ""
        self.topics: frozenset[str] = frozenset()
        self.in_flight: set[int] = set()
        self.queued_bytes = 0
        self._queue: deque[memoryview] = deque()
        self._is_half_sent = False  # the first of the queue
        self._has_rest = False  # of what was read, which waits for its turn
        self._decoder = Decoder(messages.REQUEST_MAX_BYTES, messages.ELEMENTS_MAX)

    @property
    def by(self) -> str:
        """Who asks, for people."""
        return asker(self.peer, self.client)

    # -- what comes in

    def on_readable(self) -> bool:
        """The descriptor may be read. Of a port: returns whether data came, and so there may be more."""
        if self._has_rest:
            return False
        if not self.peer.port:
            self.come(self)  # it can still be read when its turn comes
            return False
        has_data = self._read()
        if has_data and not self.is_closing:
            self._has_rest = True
            self.come(self)
        return has_data

    def go_on(self, is_over: Callable[[], bool]) -> bool:
        """It is this client's turn, until that is over. Returns whether it needs another one for what was read."""
        had_rest, self._has_rest = self._has_rest, False
        if had_rest and self._pump(is_over):
            return self._has_rest
        if not self.is_ended and self.queued_bytes <= QUEUE_PAUSE_BYTES and self._read():
            self._pump(is_over)
        return self._has_rest

    def _read(self) -> bool:
        """Returns whether data came."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end()
            return False
        if not self.is_closing:
            try:
                self._decoder.feed(data)
            except MessageError as fault:
                self.cut_off(messages.error(fault.code, str(fault)))
        return True

    def _pump(self, is_over: Callable[[], bool]) -> bool:
        """Take the requests that have come in, as long as their answers are read. Were there any?"""
        has_taken = False
        while not self.is_closing and not self.is_ended and self.queued_bytes <= QUEUE_PAUSE_BYTES:
            try:
                frame = self._decoder.take()
                if frame is None:
                    break
                id_, method, params = frames.open_request(frame)
            except MessageError as fault:
                self.cut_off(messages.error(fault.code, str(fault)))
                break
            self._accept(id_, method, params)
            has_taken = True
            if is_over():
                self._has_rest = not self.is_closing and not self.is_ended
                break
        if self.is_closing:
            self.watch.reading(bool(self.peer.port))  # a port is read, and ignored, until its other side is closed
        elif not self.is_ended:
            self.watch.reading(not self._has_rest and self.queued_bytes <= QUEUE_PAUSE_BYTES)
        return has_taken

    def _accept(self, id_: int, method: str, params: dict[str, Any]) -> None:
        if method == "hello":
            # A client may say hello again; what it says of itself then is what counts.
            self._hello(id_, params)
        elif not self.said_hello:
            refusal = messages.error(
                messages.WRONG_PROTOCOL,
                f"the first request was {printable(method, 40)!r}, expected hello",
                'begin with [0, 1, "hello", [{"client": NAME, "protocol": 1}]]',
            )
            self.refuse(id_, refusal)
            self.cut_off(refusal)
        elif id_ in self.in_flight:
            refusal = messages.error(messages.BAD_PARAMS, f"the id {id_} is still in use")
            self._send(frames.response(id_, refusal, None))  # the earlier request of that id goes on
        elif len(self.in_flight) >= IN_FLIGHT_MAX:
            text = f"{IN_FLIGHT_MAX} requests of this connection wait for their answers already"
            self.refuse(id_, messages.error(messages.BUSY, text, "wait for one of them"))
        else:
            self.in_flight.add(id_)
            self._take(self, id_, method, params)

    def _hello(self, id_: int, params: dict[str, Any]) -> None:
        protocol = params.get("protocol")
        if protocol != messages.PROTOCOL or isinstance(protocol, bool):
            refusal = messages.error(
                messages.WRONG_PROTOCOL,
                f"this linit ({VERSION}) speaks protocol {messages.PROTOCOL}, "
                f"the client {printable(str(protocol), 20)}",
                f"use the linitctl of linit {VERSION}",
                protocol=messages.PROTOCOL,
                version=VERSION,
            )
            self.refuse(id_, refusal)
            self.cut_off(refusal)
            return
        self.client = printable(str(params.get("client", "")))
        self.said_hello = True
        self.in_flight.add(id_)
        self._take(self, id_, "hello", params)

    # -- what goes out

    def answer(self, id_: int, result: object) -> None:
        """The result of a request."""
        self._respond(id_, None, result)

    def refuse(self, id_: int, error: ErrorRecord) -> None:
        """The error of a request."""
        self._respond(id_, error, None)

    def _respond(self, id_: int, error: ErrorRecord | None, result: object) -> None:
        self.in_flight.discard(id_)
        self._send(frames.response(id_, error, result))

    def notify(self, data: bytes) -> None:
        """A notification, encoded once for all who get it. Who does not read them is cut off."""
        if self.queued_bytes + len(data) > QUEUE_MAX_BYTES:
            text = f"{self.queued_bytes} bytes wait to be read by this client"
            self.cut_off(messages.error(messages.TOO_SLOW, text, "read what you subscribe to"))
        else:
            self._send(data)

    def cut_off(self, error: ErrorRecord) -> None:
        """End the connection with an error. For one that does not read, what had not begun to be sent is dropped.

        It ends when the error is sent, or when the server needs the place for another client.
        """
        if self.is_closing or self.is_ended:
            return
        if self.queued_bytes > QUEUE_PAUSE_BYTES:
            self._drop_unsent()
        self.topics = frozenset()
        self.in_flight = set()
        self._send(frames.notification(messages.CLOSED, error))
        self.is_closing = True
        if not self._queue:
            self._closed()

    def _drop_unsent(self) -> None:
        kept = [self._queue[0]] if self._is_half_sent else []
        self._queue = deque(kept)
        self.queued_bytes = sum(map(len, kept))

    def _send(self, data: bytes) -> None:
        if self.is_closing or self.is_ended:
            return
        self._queue.append(memoryview(data))
        self.queued_bytes += len(data)
        if len(self._queue) == 1:
            self._write()

    def on_writable(self) -> None:
        """There is room to write."""
        self._write()
        if self.is_closing and not self._queue:
            self._closed()
        elif not self.is_ended and self.queued_bytes <= QUEUE_PAUSE_BYTES:
            self._has_rest = True
            self.come(self)

    def _write(self) -> None:
        while self._queue:
            part = self._queue[0]
            try:
                count = os.write(self.fd, part)
            except BlockingIOError:
                break
            except OSError:
                self._end()
                return
            self.queued_bytes -= count
            self._is_half_sent = count < len(part)
            if self._is_half_sent:
                self._queue[0] = part[count:]
            else:
                self._queue.popleft()
        self.watch.writing(bool(self._queue))

    # -- the end

    def release(self) -> None:
        """It has ended, and nothing is read or sent any more: give back what takes memory. A request that waits for
        its answer may keep the rest for long."""
        assert self.is_ended, "linit bug: a connection that goes on is released"
        self._queue.clear()
        del self._decoder

    def let_go(self) -> None:
        """What belongs to the connection ends with it: its locks."""
        while self.locks:
            self.locks.popitem()[1]()

    def _closed(self) -> None:
        """The last word is sent. A port cannot be closed from here: it is deaf until the host opens it anew."""
        if not self.peer.port:
            self._end()

    def _end(self) -> None:
        """Nobody is there any more. On a port, somebody may come again."""
        if self.is_ended:
            return
        self.is_ended = True
        self.let_go()
        if self.peer.port:
            self.watch.writing(False)
            self._begin()
            self.watch.reading(True)
        else:
            self._ended(self)
