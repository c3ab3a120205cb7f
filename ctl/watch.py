"""`watch`: what happens, as it happens?"""

from __future__ import annotations

import time

from linitctl.client import NoAnswer
from linitctl.failure import INTERRUPTED, NO_SUPERVISOR
from linitctl.session import Command
from linitctl.style import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final

    from linitctl.session import Session


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these services")


def _watch(session: Session, options: Namespace) -> int:
    for name in options.names:
        session.call("status", name=name)  # an unknown name is an error, not a long silence

    def tell(method: str, params: dict[str, Any]) -> None:
        if options.names and params.get("name") not in options.names:
            return
        if session.is_json:
            import json

            session.print(json.dumps({"event": method, "time": time.time(), **params}, ensure_ascii=False))
        else:
            session.print(f"{time.strftime('%H:%M:%S')} {line(session, method, params)}")
        session.out.flush()

    session.client.on_notification = tell
    session.call("subscribe", topics=["transitions", "told"])
    try:
        session.client.wait_notifications()
    except KeyboardInterrupt:
        return INTERRUPTED
    except NoAnswer:
        session.complain("linitctl: linit has ended")
    return NO_SUPERVISOR


def line(session: Session, method: str, params: dict[str, Any]) -> str:
    """One event: `nginx: up (ready, took 0.21 s)`."""
    match method:
        case "transition":
            took = duration(params["duration_s"])
            details = f"{params['text']}, took {took}" if took else params["text"]
            return f"{params['name']}: {session.style.state(params['after'])} ({details})"
        case "told":
            return f"{params['name']}: {params['text']}"
        case "boot_finished":
            failed = f", failed: {', '.join(params['failed'])}" if params["failed"] else ""
            return f"runlevel {params['runlevel']} reached{failed}"
    return method


COMMANDS: Final = {
    "watch": Command(
        _arguments,
        _watch,
        "Tell every change of a service's state, as it happens, until Ctrl-C.",
        "linitctl watch",
        "linitctl watch nginx --json",
    ),
}
