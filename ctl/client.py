"""How is the supervisor asked? One connection: requests, their answers, and notifications in between.

Uses the C module under `socket`: that one imports selectors and makes enums of every constant, which costs as much as
the rest of `linitctl list` together. `os` is imported only where it is needed: that costs a sixth of an interpreter.
"""

from __future__ import annotations

import _socket
import sys
import time

from linitctl.failure import DENIED, FAILED, NO_SUPERVISOR, UNKNOWN, USAGE, Failure

from linit.control import frames, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final

    from linit.control.messages import ServiceRecord

HELLO_TIMEOUT_S: Final = 20.0  # a supervisor that is alive answers at once, where it gets a processor
READ_BYTES: Final = 65536

STATUS_OF_CODE: Final = {
    messages.UNKNOWN_SERVICE: UNKNOWN,
    messages.DENIED: DENIED,
    messages.BAD_PARAMS: USAGE,
}


class NoAnswer(Failure):
    """Nobody answers on the control socket."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(NO_SUPERVISOR, f"no linit answers on {path}: {why}")


class Client:
    """A connection that says hello first. What is asked is sent with it; its answer is awaited before all others."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.on_notification: Callable[[str, dict[str, Any]], None] = lambda method, params: None
        self._decoder = frames.Decoder(messages.ANSWER_MAX_BYTES)
        self._last_id = 0
        self._results: dict[int, Any] = {}
        self._socket = _connect(path)
        # ps(1) shows it to anybody anyway; PID 1 puts it beside our pid when it says who asked.
        client = " ".join(["linitctl", *sys.argv[1:]])
        params = {"client": client[: messages.CLIENT_TEXT_MAX], "protocol": messages.PROTOCOL}
        self._hello_id = self.send("hello", params)
        self._hello: messages.Hello | None = None

    @property
    def hello(self) -> messages.Hello:
        """What was answered to it. Raises NoAnswer, or Failure when it is refused."""
        if self._hello is None:
            if not self._read_until(self._hello_id, HELLO_TIMEOUT_S):
                raise NoAnswer(self.path, f"hello took more than {HELLO_TIMEOUT_S:g} s")
            self._hello = self.result(self._hello_id)
        return self._hello

    def call(self, method: str, params: dict[str, Any] | None = None, timeout_s: float | None = None) -> Any:
        """Ask and wait for the answer; `timeout_s` None waits as long as it takes.

        Raises Failure when the supervisor refuses, NoAnswer when it is gone or takes too long.
        """
        id_ = self.send(method, params)
        if not self.wait(id_, timeout_s):
            raise NoAnswer(self.path, f"{method} took more than {timeout_s:g} s")
        return self.result(id_)

    def brief_services(self, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        """These keys of all services, in name order; the first of them has to be `name`. Raises Failure.

        A third of the bytes of whole records, a quarter of the values: less to do on both sides. They are asked for at
        once; the answer is read when the first is taken.
        """
        return self._pages_of(keys, self.send("list", {"keys": keys}))

    def _pages_of(self, keys: Sequence[str], id_: int) -> Iterator[dict[str, Any]]:
        is_last = False
        while not is_last:
            self.wait(id_)
            page = self.result(id_)
            for values in page["services"]:
                yield dict(zip(keys, values, strict=True))
            is_last = not page["more"]
            if not is_last:
                id_ = self.send("list", {"keys": keys, "after": page["services"][-1][0]})

    def all_services(self, page: dict[str, Any]) -> Iterator[ServiceRecord]:
        """The services of a page (of `list` or `subscribe`), then those of the pages after it. Raises Failure.

        The next page is asked for when one was taken: who is told of changes meanwhile has them in their order.
        """
        yield from page["services"]
        while page["more"]:
            page = self.call("list", {"after": page["services"][-1]["name"]})
            yield from page["services"]

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Ask. Returns the id under which the answer will be found."""
        self._last_id += 1
        try:
            self._socket.sendall(frames.request(self._last_id, method, params or {}))
        except OSError as fault:
            # Why the connection was closed may be waiting to be read.
            self._read_until(self._last_id, HELLO_TIMEOUT_S)
            raise NoAnswer(self.path, fault.strerror or str(fault)) from fault
        return self._last_id

    def wait(self, id_: int, timeout_s: float | None = None) -> bool:
        """Read until the answer `id_` is there, or for `timeout_s` seconds. Is it there? Raises as `hello` does."""
        return bool(self.hello) and self._read_until(id_, timeout_s)

    def _read_until(self, id_: int, timeout_s: float | None) -> bool:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while id_ not in self._results:
                if until_s is not None:
                    self._socket.settimeout(max(0.0, until_s - time.monotonic()))
                self._read()
        except (TimeoutError, BlockingIOError):
            return False
        finally:
            self._socket.settimeout(None)
        return True

    def wait_notifications(self) -> None:
        """Read for ever; `on_notification` is called. Raises NoAnswer when the supervisor ends."""
        while self.hello:
            self._read()

    def result(self, id_: int) -> Any:
        """The result that `wait` found. Raises Failure when it is an error."""
        error, result = self._results.pop(id_)
        if error is not None:
            raise failure_of(error)
        return result

    def fileno(self) -> int:
        """The socket, to wait for."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Read what has come; False when the supervisor has closed the connection."""
        try:
            self._read()
        except Failure:
            return False
        return True

    def close(self) -> None:
        """Hang up; what was asked for goes on."""
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (TimeoutError, BlockingIOError):
            raise  # only under the timeout of `wait`
        except OSError as fault:
            raise NoAnswer(self.path, fault.strerror or str(fault)) from fault
        if not data:
            raise NoAnswer(self.path, "it closed the connection")
        try:
            self._decoder.feed(data)
            for frame in self._decoder:
                self._take(frame)
        except frames.MessageError as fault:
            raise Failure(FAILED, f"{self.path}: not linit: {fault}") from fault

    def _take(self, frame: list[Any]) -> None:
        match frame:
            case [messages.RESPONSE, int(id_), error, result]:
                self._results[id_] = (error, result)
            case [messages.NOTIFICATION, messages.CLOSED, [dict(error)]]:
                raise failure_of(error)
            case [messages.NOTIFICATION, str(method), [dict(params)]]:
                self.on_notification(method, params)


def _connect(path: str) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    folder_fd = -1
    try:
        address, folder_fd = messages.socket_address(path)
        connection.connect(address)
    except OSError as fault:
        connection.close()
        raise NoAnswer(path, fault.strerror or str(fault)) from fault
    finally:
        if folder_fd >= 0:
            import os

            os.close(folder_fd)
    return connection


def failure_of(error: dict[str, Any]) -> Failure:
    """What a refusal means for the exit status."""
    status = STATUS_OF_CODE.get(str(error.get("code")), FAILED)
    return Failure(status, str(error.get("message", error)), str(error.get("hint", "")))
