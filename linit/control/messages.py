"""What is spoken on the control socket? MessagePack-RPC frames, the table of methods, error codes, limits.

The only module of linit that linitctl imports, so it is cheap to import: the standard library's `typing` is seen by
type checkers only, and records are TypedDicts that exist for them alone. Source of the framing:
https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md. ctl/README.md describes the protocol for people.
"""

from __future__ import annotations

import os

import msgpack

from linit.control.nearest import nearest as nearest  # noqa: PLC0414 - for ctl: it imports nothing else

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, TypedDict

    from linit.model.paths import Paths

    class Hello(TypedDict):
        """The answer to `hello`. `paths`: services (strongest first), runlevels, plan, control, run, log, state."""

        protocol: int
        version: str
        pid: int
        mode: str  # system | user
        boot_state: str  # booting | running | stopping
        runlevel: str
        paths: dict[str, Any]
        uid: int
        may_write: bool

    class ServiceRecord(TypedDict):
        """One service, as in `list`. Durations in seconds."""

        name: str
        kind: str
        state: str
        desired: str
        description: str
        text: str  # the reason for its state, in words
        reason: dict[str, Any]
        pid: int | None  # of the main process
        pids: dict[str, int]  # by role
        since_s: float  # in this state
        duration_s: float | None  # of its last start
        restarts: int
        runlevels: list[str]
        outdated: bool
        broken: str
        transient: bool  # made at run time
        activates: str  # of a trigger: the service that it starts
        waits_for: list[str]  # of a trigger that is up, in words

    class EdgeRecord(TypedDict):
        """One edge: `owner` depends on `on`. `state` is that of the end that was walked to."""

        owner: str
        on: str
        kind: str
        place: str
        implied: bool
        learned: bool  # asked for at run time
        state: str

    class NameResult(TypedDict):
        """What became of a wish for one service."""

        name: str
        outcome: str
        text: str

    class WishResult(TypedDict):
        """The answer to start, stop, restart, reload, reset, runlevel."""

        outcome: str
        results: list[NameResult]

    class ErrorRecord(TypedDict, total=False):
        """The error of a response; `code` and `message` are always there."""

        code: str
        message: str
        hint: str
        near: str
        name: str


PROTOCOL: Final = 1
DEFAULT_SOCKET: Final = "/run/linit/control.sock"
USER_SOCKET: Final = "run/control.sock"  # below the folder of `linit --user FOLDER`

# Frame types: the first element of every message.
REQUEST: Final = 0
RESPONSE: Final = 1
NOTIFICATION: Final = 2

REQUEST_MAX_BYTES: Final = 1 << 20  # what PID 1 accepts from anybody
ANSWER_MAX_BYTES: Final = 64 << 20  # what a client accepts from PID 1
ELEMENTS_MAX: Final = 4096  # of one array or map in a request: each slot is allocated before its value has come
PAGE_MAX: Final = 500  # services in one answer
CLIENT_TEXT_MAX: Final = 200  # characters of `hello.client`

# Error codes.
UNKNOWN_METHOD: Final = "unknown_method"  # near
BAD_PARAMS: Final = "bad_params"
DENIED: Final = "denied"
UNKNOWN_SERVICE: Final = "unknown_service"  # name, near
BUSY: Final = "busy"
TOO_LARGE: Final = "too_large"
INTERNAL: Final = "internal"
NOT_POSSIBLE: Final = "not_possible"
MALFORMED: Final = "malformed"  # not MessagePack, or not a frame: the connection is closed
TOO_SLOW: Final = "too_slow"  # did not read what was sent to it: the connection is closed
WRONG_PROTOCOL: Final = "wrong_protocol"  # no hello, or one of another protocol: the connection is closed

# Notifications.
TRANSITION: Final = "transition"
TOLD: Final = "told"
BOOT_FINISHED: Final = "boot_finished"
NAMED: Final = "named"  # to who called `run` and waits: the name that the service got
CLOSED: Final = "closed"  # the connection ends now; its map is an error

# Outcomes of a wish, besides those of linit.model.state.Outcome: the answer to `wait: false`.
ACCEPTED: Final = "accepted"
DONE: Final = "done"
FAILED: Final = "failed"
SUPERSEDED: Final = "superseded"
REFUSED: Final = "refused"  # the wait would never end

# Types of parameters.
TEXT: Final = "a text"
TEXTS: Final = "a list of texts"
FLAG: Final = "true or false"
ANY_TEXTS: Final = "a list of texts, which may be empty"
TEXT_MAP: Final = "a map of texts"
WHOLE: Final = "a whole number"
TEXT_OR_WHOLE: Final = "a text or a whole number"


class Parameter:
    """One parameter of a method: its type, and its default (`None`: it may be left out; REQUIRED: it may not)."""

    __slots__ = ("choices", "default", "type")

    def __init__(self, type_: str, default: object = None, choices: tuple[str, ...] = ()) -> None:
        self.type = type_
        self.default = default
        self.choices = choices


REQUIRED: Final = object()


class Method:
    """One row of the table of methods."""

    __slots__ = ("parameters", "writes")

    def __init__(self, writes: bool = False, **parameters: Parameter) -> None:
        self.writes = writes
        self.parameters = parameters


_NAME: Final = Parameter(TEXT, REQUIRED)
_NAMES: Final = Parameter(TEXTS, REQUIRED)
_WAIT: Final = Parameter(FLAG, True)

METHODS: Final[dict[str, Method]] = {
    "hello": Method(client=Parameter(TEXT, ""), protocol=Parameter(WHOLE, REQUIRED)),
    "list": Method(after=Parameter(TEXT, ""), most=Parameter(WHOLE, PAGE_MAX)),
    "status": Method(name=_NAME),
    "start": Method(True, names=_NAMES, wait=_WAIT),
    "stop": Method(True, names=_NAMES, cascade=Parameter(FLAG, True), wait=_WAIT),
    "restart": Method(True, names=_NAMES, only=Parameter(FLAG, False), wait=_WAIT),
    "reload": Method(True, names=_NAMES, wait=_WAIT),
    "need": Method(True, names=_NAMES, wait=_WAIT),  # from a process of a service
    "want": Method(True, names=_NAMES, wait=_WAIT),
    "reload_plan": Method(True, start_enabled=Parameter(FLAG, True)),
    "reset": Method(True, names=_NAMES),
    "run": Method(
        True,
        argv=Parameter(TEXTS, REQUIRED),
        name=Parameter(TEXT, ""),  # "": one is chosen
        oneshot=Parameter(FLAG, False),
        need=Parameter(ANY_TEXTS, ()),
        want=Parameter(ANY_TEXTS, ()),
        description=Parameter(TEXT, ""),
        user=Parameter(TEXT, ""),
        directory=Parameter(TEXT, "/"),
        environment=Parameter(TEXT_MAP, {}),
        restart=Parameter(TEXT, "never", choices=("always", "on_failure", "on_abnormal", "never")),
        wait=_WAIT,
    ),
    "lock": Method(True, lock=Parameter(TEXT, REQUIRED), wait=_WAIT),  # held until the connection ends
    "unlock": Method(True, lock=Parameter(TEXT, REQUIRED)),
    "locks": Method(),
    "kill": Method(
        True,
        name=_NAME,
        signal=Parameter(TEXT_OR_WHOLE, "TERM"),
        to=Parameter(TEXT, "main", choices=("main", "all")),
    ),
    "deps": Method(name=_NAME),
    "rdeps": Method(name=_NAME),
    "why": Method(name=_NAME),
    "runlevel": Method(name=Parameter(TEXT), wait=_WAIT),  # asking is free, switching needs rights
    "faults": Method(),
    "shutdown": Method(True, finish=Parameter(TEXT, REQUIRED, choices=("poweroff", "reboot", "halt", "exit"))),
    "subscribe": Method(topics=Parameter(TEXTS, ("transitions", "told"))),
    "modules": Method(),
    "checkpoint": Method(True),  # changes nothing, but tells everything
    "report": Method(),
}

TOPICS: Final = ("transitions", "told")

SOCKET_PATH_MAX_BYTES: Final = 107  # of sun_path without the final NUL, unix(7)


def socket_address(path: str) -> tuple[str, int]:
    """An address of the socket at `path` that fits sun_path, and a descriptor to close after its use (-1: none).

    A path that is too long is reached through its opened folder. Raises OSError when there is no such folder.
    """
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX_BYTES:
        return path, -1
    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{fd}/{name}", fd


class MessageError(Exception):
    """What came in is not a message of this protocol. `code` is one of the error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(frame: list[Any]) -> bytes:
    """One frame as bytes. A text that is not valid Unicode (a file name, say) travels with question marks."""
    data: bytes = msgpack.packb(frame, use_bin_type=True, unicode_errors="replace")
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


def error(code: str, message: str, hint: str = "", **more: Any) -> ErrorRecord:
    """The error of a response: `hint` says what to do."""
    record: dict[str, Any] = {"code": code, "message": message, "hint": hint, **more}
    return record  # type: ignore[return-value]


class Decoder:
    """Frames out of a stream of bytes, however it is cut into pieces.

    `message_max_bytes` bounds one frame. `elements_max` bounds one array or map, for input that is not trusted:
    MessagePack announces lengths before the values come, so nested announcements are a cheap way to ask for memory.
    """

    def __init__(self, message_max_bytes: int, elements_max: int = 1 << 24) -> None:
        self._message_max_bytes = message_max_bytes
        self._fed = 0  # bytes, since the beginning of the stream
        self._boundary = 0  # where the frame begins that is being read
        self._unpacker = msgpack.Unpacker(
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
        except msgpack.BufferFull as full:
            raise self._too_large() from full

    def take(self) -> list[Any] | None:
        """The next frame that is complete, None when more bytes are needed.

        Raises MessageError when the stream is not MessagePack, when a frame is too large, and when it is not an
        array. After that nothing can be said of the bytes that follow: the connection has to end.
        """
        try:
            frame = self._unpacker.unpack()
        except msgpack.OutOfData:
            if self._fed - self._boundary > self._message_max_bytes:
                raise self._too_large() from None
            return None
        except (ValueError, msgpack.UnpackException) as fault:
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


def paths_record(paths: Paths) -> dict[str, Any]:
    """Where a supervisor reads and writes, as in `Hello.paths`."""
    return {
        "services": list(paths.services),
        "runlevels": paths.runlevels,
        "plan": paths.plan,
        "control": paths.control,
        "run": paths.run,
        "log": paths.log,
        "state": paths.state,
    }


def default_paths(user_folder: str) -> dict[str, Any]:
    """Where a supervisor would read and write when none answers: PID 1, or the one of `linit --user FOLDER`."""
    from linit.model.paths import Paths  # not needed by a client that got an answer

    return paths_record(Paths.user(user_folder) if user_folder else Paths.system())
