"""`list`: what is there, and how is it?"""

from __future__ import annotations

from linitctl.failure import OK
from linitctl.session import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping
    from typing import Any, Final

    from linitctl.session import Session

# What `list` needs of a service.
SHOWN: Final = (
    "name", "kind", "state", "desired", "description", "text", "cause", "pid", "since_s", "duration_s",
    "runlevels", "outdated", "broken", "transient", "activates", "waits_for",
)  # fmt: skip


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("patterns", metavar="PATTERN", nargs="*", help="part of a name, or with * and ?")
    parser.add_argument("--all", action="store_true", help="also what is down and in no runlevel, and runlevels")
    parser.add_argument("--failed", action="store_true", help="only what has failed")
    parser.add_argument("--runlevel", metavar="NAME", default="", help="only what is enabled in this runlevel")


def _list(session: Session, options: Namespace) -> int:
    if session.is_json:
        session.print_json([record for record in session.services() if is_chosen(record, options)])
        return OK
    asked = session.client.brief_services(SHOWN)
    from linitctl import rows  # only now: linit looks for the answer meanwhile

    everything = list(asked)
    chosen = [record for record in everything if is_chosen(record, options)]
    if chosen:
        session.print(*rows.render(chosen, session.style, session.width()))
    else:
        session.print("nothing has failed" if options.failed else "no such services")
    hidden = len(everything) - len(chosen)
    if hidden and session.width() and not (options.patterns or options.failed or options.runlevel):
        session.print("", f"{hidden} more: linitctl list --all")
    return OK


def is_chosen(record: Mapping[str, Any], options: Namespace) -> bool:
    """Does `list` show this service?"""
    if options.failed and record["state"] != "failed":
        return False
    if options.runlevel and options.runlevel not in record["runlevels"]:
        return False
    if options.patterns:
        return any(_matches(record["name"], pattern) for pattern in options.patterns)
    if options.all or options.failed or options.runlevel:
        return True
    if record["kind"] in ("runlevel", "virtual"):
        return False
    return record["state"] != "down" or record["desired"] == "up" or bool(record["runlevels"])


def _matches(name: str, pattern: str) -> bool:
    if not any(letter in pattern for letter in "*?["):
        return pattern in name
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)


COMMANDS: Final = {
    "list": Command(
        _list_arguments,
        _list,
        "List services: what runs, what should run, and what is in a runlevel.",
        "linitctl list",
        "linitctl list 'getty*' --json",
    ),
}
