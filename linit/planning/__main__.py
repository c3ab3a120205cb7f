"""The program behind `linitctl boot-plan`, `impact`, `graph` and `--dry-run`: what is on disk, without asking PID 1.

Exit status: 0 told, 1 there is no such plan or file, 2 wrong usage, 3 there is no such service or runlevel.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Final

from linit import compiler, program
from linit.engine.events import Verb
from linit.model.paths import Paths
from linit.model.runlevel import DEFAULT_RUNLEVEL, with_a_runlevel
from linit.model.service import Plan
from linit.plan import codec
from linit.planning import boot_plan, conditions, dry_run, durations, measured, text
from linit.planning.durations import ASSUMED_S, Durations, DurationsError
from linit.planning.impact import Booted
from linit.planning.world import UnknownName
from linit.record import restoring

OK: Final = 0
FAILED: Final = 1
UNKNOWN: Final = 3

NEAR: Final = 2
FORMATS: Final = ("text", "dot", "svg")
SUFFIXES: Final = {".dot": "dot", ".gv": "dot", ".svg": "svg"}


class CannotTell(Exception):
    """What was asked for is not there; the text says so."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    statuses = {CannotTell: FAILED, DurationsError: FAILED, UnknownName: UNKNOWN}
    return program.run(_parser().parse_args(argv), statuses)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="linitctl", description="What would happen, before anybody does it?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    boot = commands.add_parser("boot-plan", help="what a boot would do")
    boot.add_argument("runlevel", nargs="?", default=DEFAULT_RUNLEVEL, metavar="RUNLEVEL", help="default: default")
    boot.add_argument("--diff", action="store_true", help="only what changes against the plan in use")
    boot.add_argument("--plan", default="", metavar="FILE", help="the plan to compare with (default: the one in use)")
    boot.set_defaults(run=_boot_plan)
    impact = commands.add_parser("impact", help="what a service carries")
    impact.add_argument("name", nargs="?", default="", metavar="NAME", help="a service; none: what others hang on")
    impact.add_argument("--runlevel", default=DEFAULT_RUNLEVEL, metavar="NAME", help="default: default")
    impact.set_defaults(run=_impact)
    dry = commands.add_parser("dry-run", help="what a request would do now: linitctl start|stop|... --dry-run")
    dry.add_argument("verb", choices=[verb.value for verb in dry_run.VERBS])
    dry.add_argument("names", nargs="+", metavar="NAME")
    dry.add_argument("--only", action="store_true")
    dry.add_argument("--no-cascade", action="store_true")
    dry.add_argument("--state", required=True, metavar="FILE", help="where linit stands: its method `checkpoint`")
    dry.add_argument("--now", type=float, required=True, metavar="SECONDS", help="on its clock")
    dry.add_argument("--compiled-at", type=float, required=True, metavar="SECONDS", help="of the plan in use")
    dry.set_defaults(run=_dry_run)
    for command in (boot, impact, dry):
        command.add_argument(
            "--durations", action="append", default=[], metavar="FILE",
            help="how long starts take: linitctl report --json, or a JSON map of names to seconds; a later FILE wins",
        )  # fmt: skip
        command.add_argument("--report", default="", metavar="FILE", help="where nothing was measured: such a report")
        command.add_argument(
            "--assume", type=_seconds, default=ASSUMED_S, metavar="SECONDS",
            help=f"how long a start takes of which nothing is known (default: {ASSUMED_S:g})",
        )  # fmt: skip
    graph = commands.add_parser("graph", help="the graph as a tree, for graphviz, or as a picture")
    graph.add_argument("--around", default="", metavar="NAME", help="only what is near this service")
    graph.add_argument("--depth", type=int, default=NEAR, metavar="N", help=f"how near, in edges (default: {NEAR})")
    graph.add_argument("--all", action="store_true", help="also the order after sysinit that every service has")
    graph.add_argument("--format", choices=FORMATS, default="", help="default: as --output ends, or text")
    graph.add_argument("--output", default="", metavar="FILE", help="write it there")
    graph.set_defaults(run=_graph)
    for command in (boot, impact, dry, graph):
        command.add_argument("--root", default="", metavar="DIR", help="the root of the machine that is meant")
        command.add_argument("--user", default="", metavar="DIR", help="the folder of a supervisor run by a user")
        command.add_argument("--json", action="store_true", help="for programs")
    return parser


def _seconds(word: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(word)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"found {word!r}, expected seconds, 0 or more")


def _place(options: argparse.Namespace) -> compiler.Place:
    if options.user:
        return compiler.Place(Paths.user(os.path.abspath(options.user)))
    root = os.path.abspath(options.root) if options.root else ""
    return compiler.Place(Paths.system(), "" if root == "/" else root)


def _durations(options: argparse.Namespace) -> Durations:
    """Given by hand, measured on the machine that is meant (and remembered, if it is this one), or reported; and how
    conditions came out there."""
    given: dict[str, float] = {}
    for path in options.durations:
        given |= durations.load(path)
    place = _place(options)
    found = measured.of(place.root + place.paths.log, "" if place.root else place.paths.state)
    reported = durations.load(options.report) if options.report else {}
    known = durations.joined(given, found, reported, options.assume)
    return replace(known, conditions=conditions.of(place.root + place.paths.log))


def _plan_in_use(place: compiler.Place, asked: str) -> tuple[Plan, str]:
    """The compiled plan that is there, and where. Raises CannotTell."""
    problems = []
    for path in place.outputs(asked):
        try:
            return codec.load(path), path
        except codec.PlanError as error:
            problems.append(str(error))
    raise CannotTell("; ".join(problems))


def _boot_plan(options: argparse.Namespace) -> int:
    place, known = _place(options), _durations(options)
    now = boot_plan.of(compiler.build(place), known, options.runlevel)
    if not options.diff:
        _print(text.boot_plan(now, known), text.boot_plan_json(now, known), options.json)
        return OK
    plan, where = _plan_in_use(place, options.plan)
    before = boot_plan.of(plan, known, options.runlevel)
    changes = boot_plan.difference(before, now)
    value = {
        "runlevel": now.runlevel,
        "plan": where,
        "total_before_s": before.total_s,
        "total_s": now.total_s,
        "changes": [asdict(each) for each in changes],
    }
    _print(text.difference(changes, before, now, where), value, options.json)
    return OK


def _dry_run(options: argparse.Namespace) -> int:
    place, known = _place(options), _durations(options)
    plan = _plan_of(place, options.compiled_at)
    try:
        with open(options.state, "rb") as file:
            engine = restoring.restore(with_a_runlevel(plan) if options.user else plan, file.read())
    except (OSError, restoring.CheckpointError) as error:
        raise CannotTell(f"the state of linit cannot be read: {error}") from error
    request = (Verb(options.verb), tuple(options.names))
    cascade = not options.no_cascade
    found = dry_run.of(engine, options.now, request, known, only=options.only, cascade=cascade)
    _print(dry_run.lines(found, known), dry_run.as_data(found), options.json)
    return OK if found.outcome in ("done", "") else FAILED


def _plan_of(place: compiler.Place, compiled_at: float) -> Plan:
    """The plan file that linit uses. Raises CannotTell when it is none of those that are there."""
    problems = []
    for path in place.outputs(""):
        try:
            plan = codec.load(path)
        except codec.PlanError as error:
            problems.append(str(error))
            continue
        if plan.compiled_at == compiled_at:
            return plan
        problems.append(f"{path} was compiled after linit read its plan")
    raise CannotTell(f"the plan in use is not there any more ({'; '.join(problems)}); first: linitctl reload")


def _impact(options: argparse.Namespace) -> int:
    booted = Booted(compiler.build(_place(options)), _durations(options), options.runlevel)
    if options.name:
        found = booted.impact(options.name)
        _print(text.impact(found), asdict(found), options.json)
    else:
        points = booted.points()
        value = {"logins": booted.logins, "points": [asdict(each) for each in points]}
        _print(text.points(booted, points), value, options.json)
    return OK


def _graph(options: argparse.Namespace) -> int:
    from linit.planning import dot, drawing, svg, tree  # the other commands draw nothing

    definitions = compiler.read(_place(options))
    drawn = drawing.of(definitions, compiler.plan_of(definitions), options.all)
    if options.around:
        drawn = drawing.around(drawn, options.around, options.depth)
    if options.json:
        nodes = [asdict(node) | {"kind": node.kind.value} for node in drawn.nodes.values()]
        edges = [asdict(edge) | {"standing": edge.standing.value} for edge in drawn.edges]
        lines: Iterable[str] = [json.dumps({"nodes": nodes, "edges": edges}, indent=2, ensure_ascii=False)]
    else:
        form = options.format or SUFFIXES.get(os.path.splitext(options.output)[1], "text")
        lines = {"text": tree, "dot": dot, "svg": svg}[form].lines(drawn)
    if not options.output:
        print(*lines, sep="\n")
        return OK
    try:
        with open(options.output, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise CannotTell(f"{options.output}: cannot be written ({error.strerror})") from error
    return OK


def _print(lines: Iterable[str], value: object, is_json: bool) -> None:
    if is_json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print(*lines, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
