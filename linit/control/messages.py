"""What is spoken on the control socket? Records, error codes, limits. Its methods: `signatures.py`, bytes: `frames.py`.

linitctl imports it too, so it is cheap to import: the standard library's `typing` is seen by
type checkers only, and records are TypedDicts that exist for them alone. ctl/README.md describes the protocol for
people.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
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

TOPICS: Final = ("transitions", "told")

SOCKET_PATH_MAX_BYTES: Final = 107  # of sun_path without the final NUL, unix(7)


def socket_address(path: str) -> tuple[str, int]:
    """An address of the socket at `path` that fits sun_path, and a descriptor to close after its use (-1: none).

    A path that is too long is reached through its opened folder. Raises OSError when there is no such folder.
    """
    if len(path.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())) <= SOCKET_PATH_MAX_BYTES:
        return path, -1
    import os  # only here: linitctl starts faster without

    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{fd}/{name}", fd


def error(code: str, message: str, hint: str = "", **more: Any) -> ErrorRecord:
    """The error of a response: `hint` says what to do."""
    record: dict[str, Any] = {"code": code, "message": message, "hint": hint, **more}
    return record  # type: ignore[return-value]


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
