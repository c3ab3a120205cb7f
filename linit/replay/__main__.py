"""The program behind `linitctl record`, `linitctl replay` and `linitctl why --at`: recordings, read and replayed.

Exit status: 0 told, 1 there is no such recording or it cannot be read, 2 wrong usage, 3 there is no such service.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from linit import program
from linit.record.recording import Recording, RecordingError, load, save
from linit.replay import generated_test, interactive, kept, moment, text
from linit.replay.stepper import Stepper, why

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    statuses = {RecordingError: FAILED, OSError: FAILED, moment.MomentError: USAGE}
    return program.run(_parser().parse_args(argv), statuses)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="linitctl", description="What happened in a boot?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    record = commands.add_parser("record", help="the recordings that are kept")
    verbs = record.add_subparsers(required=True, metavar="VERB")
    saving = verbs.add_parser("save", help="make a file of a recording")
    saving.add_argument("file", metavar="FILE")
    saving.set_defaults(run=_save)
    listing = verbs.add_parser("list", help="which recordings are there")
    listing.set_defaults(run=_list)
    replay = commands.add_parser("replay", help="step the engine through a recording")
    replay.add_argument("file", metavar="FILE")
    replay.add_argument("--to", default="", metavar="WHEN", help=f"up to event N, or {moment.FORMS}")
    replay.add_argument("--to-test", default="", metavar="FILE", help="write a pytest file; `-` is standard output")
    replay.set_defaults(run=_replay)
    reason = commands.add_parser("why", help="why a service was in its state")
    reason.add_argument("name", metavar="NAME")
    reason.add_argument("--at", default="", metavar="TIME", help=f"{moment.FORMS}; default: the end")
    reason.add_argument("--file", default="", metavar="FILE", help="a saved recording")
    reason.set_defaults(run=_why)
    for command in (saving, reason):
        command.add_argument(
            "--boot", type=kept.boot_option, default=0, metavar="-N", help="0 is this boot, -1 the one before"
        )
    for command in (saving, listing, reason):
        kept.add_place(command, waits=command is not listing)
    for command in (saving, listing, replay, reason):
        command.add_argument("--json", action="store_true", help="for programs")
    return parser


def _list(options: argparse.Namespace) -> int:
    found = []
    for boot, each in kept.numbered(kept.Place(options.log, options.key)).items():
        try:
            recording = load(*each.paths)
        except RecordingError as error:
            print(f"linitctl: {error}", file=sys.stderr)
            continue
        began_s, ended_s = (recording.wall_s(at_s) for at_s in (recording.began_s, recording.ended_s))
        size, count = sum(map(os.path.getsize, each.paths)), len(recording.entries)
        found.append(
            {"boot": boot, "began_s": began_s, "ended_s": ended_s, "events": count, "key": each.key, "bytes": size,
             "version": recording.version, "paths": each.paths, **_missing(recording)}
        )  # fmt: skip
        if not options.json:
            print(f"{boot:>3}  {text.clock(began_s)} to {text.clock(ended_s)}  {count} events  {size} bytes")
            for line in text.remarks(recording):
                print(f"     {line}")
    if options.json:
        print(json.dumps(found, indent=2))
    return OK


def _missing(recording: Recording) -> dict[str, Any]:
    """What is not in it, for programs."""
    return {
        "kept_from_s": recording.wall_s(recording.kept_from_s),
        "dropped": recording.dropped,
        "lost": sum(each.lost for each in recording.losses),
        "fault": recording.fault,
    }


def _recording(options: argparse.Namespace) -> tuple[Recording, tuple[str, ...]]:
    """The recording that is meant, and its files. Raises RecordingError, OSError."""
    if options.run is _why and options.file:
        return load(options.file), (options.file,)
    return kept.recording_of(kept.place_of(options), options.boot)


def _save(options: argparse.Namespace) -> int:
    recording = save(options.file, *_recording(options)[1])
    if options.json:
        value = {"file": options.file, "events": len(recording.entries), **_missing(recording)}
        print(json.dumps(value, indent=2))
    else:
        print(f"{options.file}: {text.head(recording)}")
    _tell_remarks(recording)
    return OK


def _tell_remarks(recording: Recording) -> None:
    for line in text.remarks(recording):
        print(f"linitctl: {line}", file=sys.stderr)


def _replay(options: argparse.Namespace) -> int:
    stepper = Stepper(load(options.file))
    recording = stepper.recording
    _tell_remarks(recording)
    if options.to_test:
        return _write_test(options.to_test, recording)
    last = interactive.target(stepper, options.to) if options.to else len(recording.entries)
    if options.json:
        steps = []
        while stepper.number < last and (step := stepper.forward()) is not None:
            steps.append(text.step_data(step, recording))
        states = {name: unit.state.value for name, unit in stepper.engine.units.items()}
        value: dict[str, Any] = {"version": recording.version, **_missing(recording), "steps": steps}
        print(json.dumps({**value, "states": states}, indent=2, ensure_ascii=False))
    elif sys.stdin.isatty() and sys.stdout.isatty():
        if options.to:
            stepper.go_to(last)
        interactive.run(stepper, input, print)
    else:
        print(text.head(recording))
        while stepper.number < last and (step := stepper.forward()) is not None:
            print(*text.step(step, recording.began_s), sep="\n")
    return OK


def _write_test(path: str, recording: Recording) -> int:
    source = "".join(f"{line}\n" for line in generated_test.lines(recording))
    if path == "-":
        sys.stdout.write(source)
        return OK
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(source)
    return OK


def _why(options: argparse.Namespace) -> int:
    recording, _ = _recording(options)
    stepper = Stepper(recording)
    at_s = moment.at(options.at, recording) if options.at else recording.ended_s
    _tell_remarks(recording)
    stepper.go_to(stepper.number_at(at_s))
    try:
        found = why(stepper, options.name, at_s)
    except KeyError:
        return program.complain(f"no service was called {options.name!r} then", UNKNOWN)
    found |= {"at_s": round(at_s - recording.began_s, 6), "wall_s": recording.wall_s(at_s)}
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(f"{text.clock(found['wall_s'])}, {found['at_s']:.3f} s after the beginning:")
        for link in found["chain"]:
            print(f"{link['name']}: {link['state']} ({link['text']})")
    return OK


if __name__ == "__main__":
    sys.exit(main())
