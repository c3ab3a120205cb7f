"""What does a person see who waits? On a terminal, after a second, what is being waited for; after Ctrl-C, that the
wish goes on."""

from __future__ import annotations

import time

from linitctl.failure import INTERRUPTED, Failure
from linitctl.style import age

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from linitctl.session import Session

    from linit.control.messages import ServiceRecord

PATIENCE_S: Final = 1.0
SHOWN_MAX: Final = 3
COLUMNS: Final = 80  # of a terminal that does not say: a serial console
# What is told first: who works, then who waits for them.
MOVING: Final = ("starting", "stopping", "backoff", "waiting")
CLEAR_LINE: Final = "\r\x1b[K"


def ask(session: Session, method: str, **params: Any) -> Any:
    """Call a method that may take its time. Raises Failure, with INTERRUPTED after Ctrl-C."""
    names = params.get("names") or ([params["name"]] if "name" in params else [])
    try:
        if session.is_json or not session.err.isatty():
            return session.call(method, **params)
        return _ask_aloud(session, method, params)
    except KeyboardInterrupt:
        what = " ".join([method, *names])
        hint = " ".join(["see: linitctl status", *names[:1]])
        raise Failure(INTERRUPTED, f"no longer waiting; what was asked for goes on: {what}", hint) from None


def _ask_aloud(session: Session, method: str, params: dict[str, Any]) -> Any:
    client = session.client
    id_ = client.send(method, params)
    began_s = time.monotonic()
    if client.wait(id_, PATIENCE_S):
        return client.result(id_)
    movers = Movers(time.monotonic())
    client.on_notification = movers.note
    for record in client.all_services(client.call("subscribe", {"topics": ["transitions"]})):
        movers.begin(record)
    try:
        while True:
            now_s = time.monotonic()
            line = movers.line(now_s, now_s - began_s)
            columns = session.width(session.err) or COLUMNS
            session.err.write(CLEAR_LINE + line[: columns - 1])
            session.err.flush()
            if client.wait(id_, PATIENCE_S):
                return client.result(id_)
    finally:
        session.err.write(CLEAR_LINE)
        session.err.flush()


class Movers:
    """The services that are on their way, and since when. Times are seconds of a monotonic clock."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._services: dict[str, tuple[str, str, float]] = {}  # name -> (state, reason, since)

    def begin(self, record: ServiceRecord) -> None:
        """How a service was when somebody began to watch."""
        self._set(record["name"], record["state"], record["text"], self._now_s - record["since_s"])

    def note(self, method: str, params: dict[str, Any]) -> None:
        """A notification came."""
        if method == "transition":
            self._set(params["name"], params["after"], params["text"], time.monotonic())

    def _set(self, name: str, state: str, text: str, since_s: float) -> None:
        self._services.pop(name, None)
        if state in MOVING:
            self._services[name] = (state, text, since_s)

    def line(self, now_s: float, waited_s: float) -> str:
        """`[3 s] net: starting for 3 s, nginx: waits for net`."""
        moving = sorted(self._services.items(), key=lambda item: MOVING.index(item[1][0]))
        parts = [
            f"{name}: {text}" if state == "waiting" else f"{name}: {state} for {age(now_s - since_s)}"
            for name, (state, text, since_s) in moving[:SHOWN_MAX]
        ]
        if len(moving) > SHOWN_MAX:
            parts.append(f"{len(moving) - SHOWN_MAX} more")
        return f"[{age(waited_s)}] {', '.join(parts)}"
