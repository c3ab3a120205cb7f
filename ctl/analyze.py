"""`analyze`: where did the time of a boot go? Another program reads the recordings; it is told here, or it draws."""

from __future__ import annotations

import json

from linitctl import analyze_tables, recording
from linitctl.definitions import become, interpreted, output_of
from linitctl.failure import OK, USAGE, Failure
from linitctl.session import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    from linitctl.session import Session
    from linitctl.style import Style

    Tell = Callable[[dict[str, Any], Style], Iterable[str]]

TELL: Final[dict[str, Tell]] = {
    "time": analyze_tables.time,
    "blame": analyze_tables.blame,
    "critical-path": analyze_tables.critical_path,
    "compare": analyze_tables.compare,
}
PLOT: Final = "plot"


def _no_arguments(parser: ArgumentParser) -> None:
    pass


def _analyze(session: Session, options: Namespace) -> int:
    verb = options.rest[0] if options.rest else ""
    if verb not in TELL and verb != PLOT:
        found = f"found {verb!r}, expected" if verb else "say what:"
        raise Failure(USAGE, f"analyze: {found} {', '.join([*TELL, PLOT])}", "see: linitctl analyze --help")
    argv = interpreted("linit.planning.analyze", *options.rest, *_place(session, options.rest))
    if verb == PLOT or session.is_json:
        return become([*argv, *(["--json"] if session.is_json else [])], "the analysis")
    status, answer = output_of([*argv, "--json"], "the analysis")
    if status:
        raise Failure(status, "")  # it has said why
    session.print(*TELL[verb](json.loads(answer), session.style))
    return OK


def _place(session: Session, rest: list[str]) -> list[str]:
    """Where recordings are. Saved ones can be read where no linit is, and the boot that runs is waited for."""
    if any(each == "--file" or each.startswith("--file=") for each in rest):
        return []
    return recording.place(session, waits=True)


COMMANDS: Final = {
    "analyze": Command(
        _no_arguments,
        _analyze,
        "Show where the time of a boot went, from its recording.\n"
        "  time                   its phases: kernel, interpreter, plan, first service, event loop, runlevel\n"
        "  blame                  the services, the longest start first, with the CPU time that it took\n"
        "  critical-path [NAME]   the chain that made the boot, or NAME, as late as it was\n"
        "  plot [-o FILE]         a picture of all that, as SVG for a browser\n"
        "  compare BOOT BOOT      what got slower, faster, new or gone, the largest effect first\n"
        "--boot -1: of the boot before; --file FILE: of a recording that `linitctl record save` made. A BOOT is a\n"
        "number, 0 for this boot and -1 for the one before, or such a file.",
        "linitctl analyze critical-path sshd",
        "linitctl analyze plot -o boot.svg --boot -1",
        "linitctl analyze compare -1 0",
        passes_on=True,
    )
}
