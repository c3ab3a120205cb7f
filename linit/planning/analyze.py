"""The program behind `linitctl analyze`: how recorded boots went, as JSON, or drawn.

Exit status: 0 told, 1 there is no such recording or no boot in it, 2 wrong usage, 3 there is no such service.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from linit import program
from linit.planning import boot_change, boot_chart, boot_course
from linit.planning.boot_course import Course, CourseError
from linit.planning.world import UnknownName
from linit.record.recorder import Mark
from linit.record.recording import Recording, RecordingError, load
from linit.replay import kept, text

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3

NO_EXEC: Final = "not known when linit was executed: with the kernel's time"
FIRMWARE: Final = "the firmware's time is not known"


class UsageError(Exception):
    """What was asked for cannot be done so."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    statuses = {
        RecordingError: FAILED, CourseError: FAILED, OSError: FAILED, UnknownName: UNKNOWN, UsageError: USAGE,
    }  # fmt: skip
    return program.run(_parser().parse_args(argv), statuses)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="linitctl analyze", description="Where did the time of a boot go?")
    verbs = parser.add_subparsers(required=True, metavar="time|blame|critical-path|plot|compare")
    phases = verbs.add_parser("time", help="the phases of the boot")
    phases.set_defaults(run=_time)
    blame = verbs.add_parser("blame", help="the services, the longest start first")
    blame.set_defaults(run=_blame)
    critical = verbs.add_parser("critical-path", help="the chain that made the boot as long as it was")
    critical.add_argument("name", nargs="?", default="", metavar="NAME", help="up to this service or runlevel")
    critical.set_defaults(run=_critical_path)
    plot = verbs.add_parser("plot", help="an SVG picture")
    plot.add_argument("-o", "--output", default="", metavar="FILE", help="write it there")
    plot.set_defaults(run=_plot)
    compare = verbs.add_parser("compare", help="what changed from one boot to another")
    compare.add_argument("before", metavar="BOOT", help="0, -1, or a saved recording")
    compare.add_argument("now", metavar="BOOT")
    compare.set_defaults(run=_compare)
    for verb in (phases, blame, critical, plot):
        verb.add_argument(
            "--boot", type=kept.boot_option, default=0, metavar="-N", help="0 is this boot, -1 the one before"
        )
        verb.add_argument("--file", default="", metavar="FILE", help="a saved recording")
    for verb in (phases, blame, critical, plot, compare):
        kept.add_place(verb)
        verb.add_argument("--json", action="store_true", help="for programs")
    return parser


def _course(options: argparse.Namespace) -> Course:
    """The boot that is meant. Raises RecordingError, CourseError, OSError."""
    return _read(options, options.file or str(options.boot))


def _read(options: argparse.Namespace, word: str) -> Course:
    """A boot by its number, or that in a file."""
    try:
        boot = kept.boot_number(word)
    except ValueError:
        return _told(load(word), None)
    recording, _ = kept.recording_of(kept.place_of(options), boot)
    is_running = bool(options.key) and boot == 0
    return _told(recording, time.monotonic() if is_running else None)


def _told(recording: Recording, now_s: float | None) -> Course:
    for line in text.remarks(recording):
        print(f"linitctl: {line}", file=sys.stderr)
    course = boot_course.of(recording, now_s)
    if course.note:
        print(f"linitctl: {course.note}", file=sys.stderr)
    return course


def _head(course: Course) -> dict[str, Any]:
    """What every answer begins with. Times are seconds since the origin, `origin_s` is since the epoch."""
    return {
        "runlevel": course.runlevel,
        "version": course.version,
        "origin_s": course.wall_s,
        "origin": "kernel" if course.is_machine else "linit",
        "is_reached": course.reached_s is not None,
        "reached_s": course.reached_s,
        "ends_s": course.ends_s,
        "is_under_way": course.is_under_way,
        "failed": list(course.failed),
    }


def _print(value: object) -> int:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=lambda member: member.value))  # of an enum
    return OK


def _time(options: argparse.Namespace) -> int:
    course = _course(options)
    return _print({**_head(course), "moments": moments(course)})


def moments(course: Course) -> list[dict[str, Any]]:
    """The phases of a boot: each moment, when it was, how long after the one before, and what is not known."""
    found = course.moments
    kernel_note = ("kernel and initramfs; " if Mark.EXEC in found else "") + FIRMWARE if course.is_machine else ""
    rows: list[tuple[str, float | None, str]] = [
        ("linit executed", found.get(Mark.EXEC), kernel_note if Mark.EXEC in found else "not known"),
        ("first line of linit", found.get(Mark.LINIT), "the interpreter" if Mark.EXEC in found else NO_EXEC),
        ("plan loaded", course.plan_s, "its modules, and the plan"),
        ("first service spawned", course.first_spawn_s, "" if course.first_spawn_s is not None else "none was"),
        ("event loop runs", found.get(Mark.LOOP), "the first services, and the control socket"),
        (f"{course.runlevel} reached", course.reached_s, "" if course.reached_s is not None else _unreached(course)),
    ]
    if Mark.EXEC not in found and not course.is_machine:
        rows[1] = ("first line of linit", found.get(Mark.LINIT), "" if Mark.LINIT in found else "not known")
    if Mark.LOOP not in found:
        rows[4] = (rows[4][0], None, "not known")
    if course.reached_s is not None and course.reached_s < found.get(Mark.LOOP, 0.0):
        rows[4], rows[5] = rows[5], rows[4]  # a boot of nothing that takes time
    result = []
    before_s = 0.0
    for what, at_s, note in rows:
        result.append({"what": what, "at_s": at_s, "took_s": None if at_s is None else at_s - before_s, "note": note})
        before_s = before_s if at_s is None else at_s
    return result


def _unreached(course: Course) -> str:
    return f"not {'yet' if course.is_under_way else 'by the last event'}, after {course.ends_s:.2f} s"


def _blame(options: argparse.Namespace) -> int:
    course = _course(options)
    runs = sorted(course.services, key=lambda run: (-(run.took_s or 0.0), run.name))
    services = [
        {
            "name": run.name,
            "took_s": run.took_s,
            "cpu_s": run.cpu_s,
            "queued_s": run.queued_s,
            "waited_s": run.waited_s,
            "at_s": run.ends_s,
            "outcome": run.outcome,
            "attempts": run.attempts,
            "is_critical": run.is_critical,
        }
        for run in runs
    ]
    return _print({**_head(course), "services": services})


def _critical_path(options: argparse.Namespace) -> int:
    course = _course(options)
    to = options.name or course.runlevel
    try:
        links = course.path_to(to)
    except KeyError:
        raise UnknownName(f"{to!r} had no part in this boot") from None
    end = course.by_name[to].ends_s
    value = {**_head(course), "to": to, "to_s": end, "links": [asdict(link) for link in links]}
    return _print({**value, "begins_s": course.first_spawn_s})


def _plot(options: argparse.Namespace) -> int:
    course = _course(options)
    if options.json:
        return _print(_everything(course))
    if not options.output:
        if sys.stdout.isatty():
            raise UsageError("plot writes a picture: say where, with -o FILE")
        print(*boot_chart.lines(course), sep="\n")
        return OK
    with open(options.output, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in boot_chart.lines(course))
    return OK


def _everything(course: Course) -> dict[str, Any]:
    return {
        **_head(course),
        "moments": moments(course),
        "services": [asdict(run) for run in course.runs],
        "critical_path": [asdict(link) for link in course.critical],
        "cpus": course.cpus,
        "load": [asdict(each) for each in course.load],
    }


def _compare(options: argparse.Namespace) -> int:
    before, now = (_read(options, word) for word in (options.before, options.now))
    found = boot_change.of(before, now)
    changes = [asdict(each) for each in found.changes]
    return _print({"before": _head(before), "now": _head(now), "same": found.same, "changes": changes})


if __name__ == "__main__":
    sys.exit(main())
