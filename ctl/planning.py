"""`boot-plan`, `impact`, `graph`: what would happen? The planner is another program, and this one becomes it."""

from __future__ import annotations

import os

from linitctl.client import NoAnswer
from linitctl.definitions import become, program
from linitctl.session import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence
    from typing import Final, NoReturn

    from linitctl.session import Session

def planner(session: Session, command: str, *arguments: str) -> list[str]:
    """The argv of the planner for the supervisor that is meant."""
    return program(session, "linit.planning.__main__", command, *arguments)


def reported(session: Session, arguments: Sequence[str]) -> list[str]:
    """The durations of the boot that the running linit reports, as an option of the planner; none for another machine
    (--root), or when no linit answers. They travel in a file without a name, which execve(2) leaves open."""
    if any(argument.partition("=")[0] == "--root" for argument in arguments):
        return []
    try:
        report = session.call("report")
    except NoAnswer:
        return []
    import json  # only here: linitctl starts faster without

    file = os.memfd_create("durations", 0)
    with open(file, "w", encoding="utf-8", closefd=False) as stream:
        json.dump(report, stream)
    return ["--report", f"/proc/self/fd/{file}"]


def _become(
    command: str, more: Callable[[Session, Sequence[str]], list[str]] | None, text: str, *examples: str
) -> Command:
    def run(session: Session, options: Namespace) -> NoReturn:
        before = more(session, options.rest) if more else []
        become(planner(session, command, *before, *options.rest), "the planner")

    return Command(_no_arguments, run, text, *examples, passes_on=True)


def _no_arguments(parser: ArgumentParser) -> None:
    pass


COMMANDS: Final = {
    "boot-plan": _become(
        "boot-plan",
        reported,
        "Show what a boot of [RUNLEVEL] (default) with the definitions on disk would do: what starts when, after\n"
        "what, and on which path the time goes. Starts take as long as measured on the boots that are recorded (the\n"
        "median), else as in this boot; unknown ones 0.1 s (--assume SECONDS). --durations FILE: as in FILE (linitctl\n"
        "report --json). Conditions (`when`) come out as on the last of these boots, else as met,\n"
        "which is told. --diff: what changes against the plan in use. --root DIR: for another machine's image.",
        "linitctl boot-plan",
        "linitctl boot-plan --diff",
    ),
    "impact": _become(
        "impact",
        reported,
        "Show what stops and what degrades with the service [NAME], which logins remain, and what it is lost with\n"
        "itself. Without NAME: all that others are lost with. --runlevel NAME, --durations FILE, --root DIR.",
        "linitctl impact network",
        "linitctl impact",
    ),
    "graph": _become(
        "graph",
        None,
        "Draw the definitions on disk: as a tree, or with --output FILE.dot, FILE.svg (--format text|dot|svg) for\n"
        "graphviz or a browser. --around NAME: only what is near it; --depth N: within so many edges (2). --all: also\n"
        "the order after sysinit that every service has. Loops and edges that were cut are marked.",
        "linitctl graph --around nginx --depth 1",
        "linitctl graph --output graph.svg",
    ),
}
