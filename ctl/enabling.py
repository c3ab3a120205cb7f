"""`enable` and `disable`: symlinks in the runlevels' folders, then a new plan."""

from __future__ import annotations

import os
import stat

from linitctl.client import NoAnswer
from linitctl.definitions import run_compiler
from linitctl.failure import DENIED, FAILED, OK, UNKNOWN, Failure
from linitctl.progress import ask
from linitctl.session import Command
from linitctl.wishes import show

from linit.control.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable
    from typing import Any, Final

    from linitctl.session import Session

DEFAULT_RUNLEVEL: Final = "default"
RUNLEVELS: Final = ("sysinit", "boot", "default", "single", "shutdown")  # those that linit itself knows
FILE_MAX_BYTES: Final = 1 << 20  # of a file that is searched for definitions
TRIGGERS: Final = (".socket", ".timer", ".watch")  # what names of those end in that start services
PLAN_NOT_WRITTEN: Final = 3  # exit status of the compiler


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+", help="a service")
    parser.add_argument("--runlevel", metavar="NAME", default=DEFAULT_RUNLEVEL, help="default: %(default)s")
    parser.add_argument("--now", action="store_true", help="start (or stop) it as well")


def _enable_arguments(parser: ArgumentParser) -> None:
    from linitctl.overriding import edge_arguments

    _arguments(parser)
    edge_arguments(parser)


def _enable(session: Session, options: Namespace) -> int:
    from linitctl import overriding

    paths = session.paths()
    _check_runlevel(session, paths, options.runlevel)
    files = {name: definition_of(name, paths["services"]) for name in options.names}
    for name, file in files.items():
        if not file and name not in known_services(session):
            raise unknown(session, name, paths["services"])
    folder = os.path.join(paths["runlevels"], options.runlevel)
    edges = overriding.edges_of(options)
    overridden = [overriding.add(session, name, overriding.OVERRIDE, edges) for name in files] if edges else []
    said = [_link(folder, options.runlevel, name, file) for name, file in files.items()]
    if not session.is_json:
        session.print(*overridden)
    return _apply(session, options, said, "start")


def _disable(session: Session, options: Namespace) -> int:
    paths = session.paths()
    _check_runlevel(session, paths, options.runlevel)
    folder = os.path.join(paths["runlevels"], options.runlevel)
    for name in options.names:
        is_known = os.path.lexists(os.path.join(folder, name)) or definition_of(name, paths["services"])
        if not is_known and name not in known_services(session):
            raise unknown(session, name, paths["services"])
    said = [_unlink(folder, options.runlevel, name) for name in options.names]
    return _apply(session, options, said, "stop")


def _link(folder: str, runlevel: str, name: str, file: str) -> tuple[bool, str]:
    """Has anything changed, and what to say. Raises Failure."""
    path = os.path.join(folder, name)
    if os.path.lexists(path):
        return False, f"{name}: enabled in {runlevel} already"
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        os.symlink(file or "/dev/null", path)
    except OSError as fault:
        raise _cannot(path, fault) from fault
    return True, f"{name}: enabled in {runlevel} ({path})"


def _unlink(folder: str, runlevel: str, name: str) -> tuple[bool, str]:
    path = os.path.join(folder, name)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False, f"{name}: not enabled in {runlevel}"
    except OSError as fault:
        raise _cannot(path, fault) from fault
    return True, f"{name}: disabled in {runlevel}"


def _cannot(path: str, fault: OSError) -> Failure:
    status = DENIED if isinstance(fault, PermissionError) else FAILED
    return Failure(status, f"{path}: {fault.strerror}", "only root may" if status == DENIED else "")


def _apply(session: Session, options: Namespace, said: list[tuple[bool, str]], verb: str) -> int:
    """A new plan, known to linit; with --now the services as well. The exit status.

    linit compiles by itself what changed; when none answers, the plan for the next boot is made from here.
    """
    if not session.is_json:
        session.print(*(text for _, text in said))
        session.out.flush()
    try:
        faults = session.call("reload_plan", start_enabled=False)["faults"]
    except NoAnswer:
        if options.now:
            raise
        if run_compiler(session) == PLAN_NOT_WRITTEN:
            raise Failure(FAILED, "the plan could not be written: it will be made at the next boot") from None
        session.complain("no linit answers: it takes effect when one starts")
        return OK
    about_these = [fault for fault in faults if fault["service"] in options.names and fault["severity"] != "note"]
    session.complain(*(f"{fault['severity']}: {fault['text']}" for fault in about_these))
    if options.now:
        return show(session, ask(session, verb, names=_meant(session, options.names, verb)))
    if session.is_json:
        session.print_json([{"name": name, "changed": one[0]} for name, one in zip(options.names, said, strict=True)])
    return OK


def _meant(session: Session, names: list[str], verb: str) -> list[str]:
    """What a runlevel wants with these services: also, or only, what starts them. What stops, stops with that."""
    found: dict[str, None] = {}
    for name in names:
        wanted = session.call("status", name=name)["enabled_as"]
        found.update(dict.fromkeys(wanted if verb == "start" else (*wanted, name)))
    return list(found)


# -- what exists


def definition_of(name: str, folders: Iterable[str]) -> str:
    """The file that defines a service, "" if none is found. Raises Failure when the service is masked.

    An instance (getty@ttyS0) is defined by its template, a trigger (web.socket) with what it starts. A file of several
    documents names its services inside: it is searched for the line, which is enough to know that the name exists; the
    compiler reads it properly.
    """
    template = f"{name.partition('@')[0]}@" if "@" in name else ""
    candidates = [f"{each}.yaml" for each in (name, template) if each and "/" not in each and each.strip(".")]
    folders = list(folders)
    for file in candidates:
        for folder in folders:
            path = os.path.join(folder, file)
            if os.path.lexists(path):
                _refuse_masked(name, path)
                return path
    service = started_by(name)
    if service and (found := definition_of(service, folders)):
        return found
    names = {each.encode() for each in (name, template) if each}
    for folder in folders:
        for path in _files(folder):
            if names & set(_names_inside(path)):
                return path
    return ""


def started_by(name: str) -> str:
    """`web` of `web.socket`, which its definition makes; "" of a name that is not like that of a trigger."""
    return next((name.removesuffix(each) for each in TRIGGERS if name.endswith(each)), "")


def _refuse_masked(name: str, path: str) -> None:
    try:
        found = os.stat(path)
    except OSError:
        return  # the compiler will say what is wrong with it
    if not found.st_size or stat.S_ISCHR(found.st_mode):
        raise Failure(FAILED, f"{name} is masked by {path}", f"to unmask it: rm {path}")


def _files(folder: str) -> list[str]:
    try:
        return sorted(os.path.join(folder, file) for file in os.listdir(folder) if file.endswith(".yaml"))
    except OSError:
        return []


def _names_inside(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            lines = file.read(FILE_MAX_BYTES).splitlines()
    except OSError:
        return []
    return [line[5:].split(b"#")[0].strip().strip(b"'\"") for line in lines if line.startswith(b"name:")]


def known_services(session: Session) -> dict[str, Any]:
    """The services that the supervisor has, by name; none when none answers."""
    try:
        return {record["name"]: record for record in session.services()}
    except NoAnswer:
        return {}


def unknown(session: Session, name: str, folders: Iterable[str]) -> Failure:
    files = [path for folder in folders for path in _files(folder)]
    names: set[str] = {os.path.basename(path).removesuffix(".yaml") for path in files} | known_services(session).keys()
    near = nearest(name, sorted(names))
    hint = f"did you mean {near}?" if near else f"no such file in {', '.join(folders)}"
    return Failure(UNKNOWN, f"no service is called {name!r}", hint)


def _check_runlevel(session: Session, paths: dict[str, Any], runlevel: str) -> None:
    """A runlevel with a wrong letter must not come into being. Raises Failure."""
    folder = paths["runlevels"]
    try:
        known = {*RUNLEVELS, *os.listdir(folder)}
    except OSError:
        known = set(RUNLEVELS)
    if runlevel in known:
        return
    near = nearest(runlevel, sorted(known))
    hint = f"did you mean {near}?" if near else f"to make it: mkdir -p {os.path.join(folder, runlevel)}"
    raise Failure(UNKNOWN, f"no runlevel is called {runlevel!r}", hint)


COMMANDS: Final = {
    "enable": Command(
        _enable_arguments,
        _enable,
        "Have services start with a runlevel: a symlink in the runlevel's folder. Takes effect at the next boot, or\n"
        "when the runlevel is entered again; with --now the services start as well. --need, --after and the like add\n"
        "to what it depends on, as `linitctl override` does, which takes them back as well.",
        "linitctl enable nginx --now",
        "linitctl enable getty@ttyS1 --runlevel default",
    ),
    "disable": Command(
        _arguments,
        _disable,
        "No longer have services start with a runlevel. What runs goes on; with --now it stops as well.",
        "linitctl disable nginx --now",
    ),
}
