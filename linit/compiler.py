"""The compiler: definitions in, a plan for PID 1 out. Run by `linitctl compile` and `verify`, and by PID 1 in a child
when the plan is stale. The only program that parses what a person wrote.

Exit status of compile: 0 the plan is written, nothing worse than warnings; 1 it is written, with errors (what they take
out is marked in it); 2 wrong usage; 3 no plan could be written. Of verify: 0, 1 on errors (--strict: or warnings), 2.

Heavy imports are inside the functions that need them: the answer "up to date" costs a stat for each source.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from linit import VERSION
from linit.model.paths import Paths
from linit.model.place import Fault, Severity
from linit.model.service import Kind, Plan, Service
from linit.plan import codec, freshness

if TYPE_CHECKING:
    from linit.definitions import Definitions, Generated

DONE: Final = 0
ERRORS: Final = 1
USAGE: Final = 2
NOT_WRITTEN: Final = 3

PLAN_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Place:
    """Whose definitions: `paths` as the machine sees them, `root` where that machine's root is on this one.

    `with_generators`: run its generators? None: unless it is another machine, whose programs this one does not run
    without being told to, and which finds the plan out of date on its first boot if it has any.
    """

    paths: Paths
    root: str = ""
    with_generators: bool | None = None

    @property
    def runs_generators(self) -> bool:
        """Are they to be run?"""
        return not self.root if self.with_generators is None else self.with_generators

    def outputs(self, asked: str) -> tuple[str, ...]:
        """Where the plan may be written, best first."""
        if asked:
            return (asked,)
        return tuple(dict.fromkeys((self.root + self.paths.plan, self.root + self.paths.plan_fallback)))


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compilation did. `output` is "" when nothing could be written, `complaints` say why. `made` is the new
    plan, None when `stored` was still true: of that only the head was read."""

    output: str
    made: Plan | None = None
    stored: codec.Stored | None = None
    complaints: tuple[str, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Was there nothing to do?"""
        return self.stored is not None

    @property
    def summary(self) -> codec.Summary:
        """What the plan holds."""
        return self.stored.summary if self.stored is not None else codec.summary_of(self.plan())

    def plan(self) -> Plan:
        """The plan; of one that was still true this reads the rest. Raises PlanError."""
        if self.made is not None:
            return self.made
        assert self.stored is not None, "a compilation makes a plan or finds one"
        return self.stored.plan()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    options = _parser().parse_args(argv)
    gc.disable()  # nearly everything made here lives until the end: looking for garbage doubles the time
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be UTF-8
    try:
        return int(options.run(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERRORS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="linitctl", description="Check service definitions, compile the plan.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    compile_ = commands.add_parser("compile", help="write the plan that PID 1 boots from")
    compile_.add_argument("--output", default="", metavar="FILE", help="where the plan goes")
    compile_.add_argument("--force", action="store_true", help="also when the plan is up to date")
    compile_.set_defaults(run=_compile_command)
    verify = commands.add_parser("verify", help="say all that is wrong with the definitions")
    verify.add_argument("--strict", action="store_true", help="warnings are errors")
    verify.add_argument("--all", action="store_true", help="also when very much is wrong in the same way")
    verify.add_argument("--with", dest="instead", action="append", default=[], metavar="PATH=FILE",
                        help="as if FILE stood in place of PATH")  # fmt: skip
    verify.add_argument("files", nargs="*", metavar="PATH", help="only these files and folders, by themselves")
    verify.set_defaults(run=_verify_command)
    for command in (compile_, verify):
        command.add_argument("--generators", action="store_true", help="run those of --root DIR, too")
        command.add_argument("--root", default="", metavar="DIR", help="the root of the machine that is meant")
        command.add_argument("--user", default="", metavar="DIR", help="the folder of a supervisor run by a user")
        command.add_argument("--json", action="store_true", help="for programs")
    return parser


def _place(options: argparse.Namespace) -> Place:
    if options.user:
        return Place(Paths.user(os.path.abspath(options.user)))
    root = os.path.abspath(options.root) if options.root else ""
    return Place(Paths.system(), "" if root == "/" else root, with_generators=options.generators or None)


def generate(place: Place) -> Generated:
    """What the generators of `place` write."""
    from linit import generators

    act = generators.run if place.runs_generators else generators.not_run
    return act(place.paths, place.root)


def read(place: Place, generated: Generated | None = None) -> Definitions:
    """Everything that was written for `place`, by people and by generators (which are run unless that was done)."""
    from linit import definitions

    return definitions.read(place.paths, place.root, generated or generate(place))


def build(place: Place) -> Plan:
    """Read, resolve and check everything. Raises nothing for what a person wrote."""
    return plan_of(read(place))


def plan_of(read: Definitions) -> Plan:
    """The plan that follows from definitions."""
    from linit import graph

    resolved = graph.resolve(read)
    faults = _in_order((*read.faults, *resolved.faults))
    return Plan(resolved.services, faults, resolved.cuts, read.sources, time.time(), VERSION)


def compile_plan(place: Place, output: str = "", force: bool = False) -> Compiled:
    """The plan of `place`, written unless a fresh one is there already."""
    outputs = place.outputs(output)
    if not force:
        for path in outputs:
            found = _fresh(path, place.root)
            if found is not None:
                return found
    generated = generate(place)
    plan = plan_of(read(place, generated))
    data = codec.encode(plan)
    complaints: list[str] = []
    for path in outputs:
        try:
            write(path, data)
        except OSError as error:
            complaints.append(f"{path}: the plan cannot be written ({error.strerror})")
        else:
            _keep(generated, place)
            _weigh(plan, place)
            return Compiled(path, plan, complaints=tuple(complaints))
    return Compiled("", plan, complaints=tuple(complaints))


def _keep(generated: Generated, place: Place) -> None:
    from linit import generators

    if place.runs_generators:
        generators.keep(generated, place.paths, place.root)


def _weigh(plan: Plan, place: Place) -> None:
    """Whose start gets more of a processor than another's, by what is known of earlier boots. A machine that cannot be
    told so boots all the same."""
    from linit.plan import weights

    if place.paths == Paths.system():
        with contextlib.suppress(OSError):
            weights.keep(f"{place.root}{place.paths.state}/{weights.FILE}", plan.services)


def _fresh(path: str, root: str) -> Compiled | None:
    """The plan in `path` if it is still true. Times that moved without a change are brought up to date, so that the
    next check needs no hash. Of another machine's tree they say nothing: it may have been put together anew, of files
    that all have one time."""
    try:
        stored = codec.load_stored(path)
        trusted_ns = freshness.NOTHING if root else os.stat(path).st_ctime_ns - freshness.RACY_NS
    except (codec.PlanError, OSError):
        return None
    found = freshness.examine_rows(zip(*stored.sources, strict=True), root, trusted_ns)
    if found.stale or stored.compiler != VERSION:
        return None
    if found.moved:
        with contextlib.suppress(OSError):  # the old one is as true, only slower to check
            write(path, stored.moved(found.moved))
    return Compiled(path, stored=stored)


def write(path: str, data: bytes) -> None:
    """Replace the file `path` as a whole, or leave it as it was. Raises OSError."""
    folder = os.path.dirname(path) or "."
    with contextlib.suppress(FileExistsError):  # also a file: then opening says so in better words
        os.makedirs(folder)
    temporary = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PLAN_MODE)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        _remove(temporary)
        raise
    _sync_folder(folder)


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def _sync_folder(folder: str) -> None:
    """The rename itself reaches the disk only with its folder. Source: fsync(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _compile_command(options: argparse.Namespace) -> int:
    done = compile_plan(_place(options), options.output, options.force)
    if options.json:
        extra = {"output": done.output or None, "up_to_date": done.is_fresh, "services": done.summary.services}
        print(json.dumps(_as_json(done.plan().faults) | extra | {"complaints": done.complaints}, indent=2))
    else:
        _print_compiled(done)
    for complaint in done.complaints:
        print(complaint, file=sys.stderr)
    if not done.output:
        return NOT_WRITTEN
    return ERRORS if done.summary.faults[Severity.ERROR] else DONE


def _print_compiled(done: Compiled) -> None:
    """What is wrong, unless it was said when the plan was made; then the plan in one line."""
    if done.made is not None:
        _print_faults(fault for fault in done.made.faults if fault.severity is not Severity.NOTE)
    what = f"{_number(done.summary.services, 'service')}, {_summary(done.summary.faults)}"
    if done.is_fresh:
        print(f"{done.output}: up to date ({what})")
    elif done.output:
        print(f"{done.output}: compiled ({what})")


def _verify_command(options: argparse.Namespace) -> int:
    faults, services = _verified(options)
    count = _count(faults)
    if options.json:
        print(json.dumps(_as_json(faults) | {"services": services}, indent=2))
    else:
        _print_faults(faults, options.all)
        print(f"{_number(services, 'service')} checked: {_summary(count)}")
    is_wrong = count[Severity.ERROR] or (options.strict and count[Severity.WARNING])
    return ERRORS if is_wrong else DONE


def _verified(options: argparse.Namespace) -> tuple[tuple[Fault, ...], int]:
    if not options.files:
        place = _place(options)
        plan = plan_of(read(place, _with_files(generate(place), options.instead)))
        return plan.faults, _services(plan.services)
    from linit import definitions, graph

    found = definitions.read_paths(options.files, _place(options).root)
    resolved = graph.resolve(found)
    return _in_order((*found.faults, *resolved.faults)), _services(resolved.services)


def _with_files(generated: Generated, pairs: Iterable[str]) -> Generated:
    """With what is in FILE for each PATH=FILE. What was generated counts for the text of a path that is on disk, too.
    Raises OSError."""
    files = dict(generated.files)
    for pair in pairs:
        path, _, written = pair.partition("=")
        with open(written, "rb") as file:
            files[path] = file.read()
    return replace(generated, files=files)


def _services(services: Iterable[Service]) -> int:
    """How many a person wrote: without the names that they provide, and what starts them."""
    return sum(service.kind is not Kind.VIRTUAL and not service.activates for service in services)


def _in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: (fault.place, fault.key, fault.found, fault.severity.value)))


def _count(faults: Iterable[Fault]) -> Counter[Severity]:
    return Counter(fault.severity for fault in faults)


def _summary(count: Mapping[Severity, int]) -> str:
    return ", ".join(_number(count[severity], severity.value) for severity in Severity)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _print_faults(faults: Iterable[Fault], are_all_shown: bool = False) -> None:
    from linit.control.excerpt import excerpt

    if are_all_shown:
        lines: Iterable[str] = (f"{fault.severity.value}: {fault}" for fault in faults)
    else:
        lines = excerpt((fault.severity.value, fault.key, fault.expected, str(fault)) for fault in faults)
    for line in lines:
        print(line)


def _as_json(faults: Sequence[Fault]) -> dict[str, Any]:
    count = _count(faults)
    return {
        "faults": [
            {
                "severity": fault.severity.value,
                "file": fault.place.file,
                "line": fault.place.line,
                "column": fault.place.column,
                "key": fault.key,
                "found": fault.found,
                "expected": fault.expected,
                "hint": fault.hint,
                "service": fault.service,
                "text": str(fault),
            }
            for fault in faults
        ],
        **{f"{severity.value}s": count[severity] for severity in Severity},
    }


if __name__ == "__main__":
    sys.exit(main())
