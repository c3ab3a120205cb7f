"""`record`, `replay`, and `why` about the past: what happened? A program of its own replays it; this one becomes it."""

from __future__ import annotations

from linitctl.client import NoAnswer
from linitctl.definitions import become, interpreted, output_of
from linitctl.failure import USAGE, Failure
from linitctl.session import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final, NoReturn

    from linitctl.session import Session


def program(*arguments: str) -> list[str]:
    """The argv of the program that replays."""
    return interpreted("linit.replay.__main__", *arguments)


def place(session: Session, waits: bool) -> list[str]:
    """Options of the program: where the recordings are, and which is that of the running linit.

    With `waits` it waits until the log process has written what had happened by now.
    """
    found = ["--log", str(session.paths()["log"])]
    try:
        report = session.call("report")
    except NoAnswer:
        return found
    if report.get("recording"):
        found += ["--key", report["recording"]]
        if waits:
            found += ["--events", str(report["recorded"])]
    return found


def why(session: Session, options: Namespace) -> dict[str, Any]:
    """What the method `why` would have answered at a moment of a recording. Raises Failure."""
    import json  # only here: linitctl starts faster without

    about = ["--at", options.at] if options.at else []
    where = ["--file", options.file] if options.file else place(session, waits=not options.boot)
    argv = program("why", options.name, "--json", "--boot", str(options.boot), *about, *where)
    status, answer = output_of(argv, "the replay")
    if status:
        raise Failure(status, "")  # it has said why
    result: dict[str, Any] = json.loads(answer)
    return result


def _become(session: Session, *arguments: str) -> NoReturn:
    become(program(*arguments, *(["--json"] if session.is_json else [])), "the replay")


def _record_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("verb", choices=("list", "save"), help="what to do")
    parser.add_argument("file", metavar="FILE", nargs="?", default="", help="where to save it")
    parser.add_argument("--boot", type=int, default=0, metavar="-N", help="save that of an earlier boot")


def _record(session: Session, options: Namespace) -> int:
    if (options.verb == "save") is not bool(options.file):
        raise Failure(USAGE, "save needs a FILE" if options.verb == "save" else "list needs no FILE")
    if options.verb == "list":
        return _become(session, "record", "list", *place(session, waits=False))
    boot = ["--boot", str(options.boot)]
    return _become(session, "record", "save", options.file, *boot, *place(session, waits=not options.boot))


def _replay_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a saved recording")
    parser.add_argument("--to", default="", metavar="WHEN", help="no further than event N, or that moment")
    parser.add_argument("--to-test", default="", metavar="FILE", help="write a pytest file; `-` is standard output")


def _replay(session: Session, options: Namespace) -> int:
    to = ["--to", options.to] if options.to else []
    to_test = ["--to-test", options.to_test] if options.to_test else []
    return _become(session, "replay", options.file, *to, *to_test)


COMMANDS: Final = {
    "record": Command(
        _record_arguments,
        _record,
        "The flight recorder keeps every event and request of the last boots. `list`: what there is. `save FILE`: one\n"
        "file of this boot's recording, or with --boot -1 of the one before, that can be replayed on any machine.",
        "linitctl record list",
        "linitctl record save crash.rec --boot -1",
    ),
    "replay": Command(
        _replay_arguments,
        _replay,
        "Give the events of a recording to the engine again. On a terminal: step forward and back (n, p, goto, why,\n"
        "q); else everything is printed. --to WHEN: up to event N, or to a moment: seconds with a point or an s after\n"
        "them (12.5, 30s), HH:MM[:SS], YYYY-MM-DD HH:MM. --to-test FILE: write a pytest file from it.",
        "linitctl replay crash.rec --to 03:20",
        "linitctl replay crash.rec --to-test test_crash.py",
    ),
}
