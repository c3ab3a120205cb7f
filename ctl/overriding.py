"""`override`: what does the administrator of this machine add to the dependencies of a service? Also behind the options
of `enable` that add edges, and `deps --learn`.

An override is a drop-in, `NAME.d/override.yaml` in the strongest folder of definitions; what was learned at run time is
`NAME.d/learned.yaml`. Nothing is written that `linitctl verify` would have something against.
"""

from __future__ import annotations

import os
import sys

from linitctl import dropin
from linitctl.client import NoAnswer
from linitctl.definitions import compiler, output_of, run_compiler
from linitctl.enabling import PLAN_NOT_WRITTEN, definition_of, known_services, unknown
from linitctl.failure import FAILED, OK, USAGE, Failure
from linitctl.session import Command
from linitctl.style import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final

    from linitctl.dropin import Edges
    from linitctl.session import Session

OVERRIDE: Final = "override.yaml"
LEARNED: Final = "learned.yaml"
KINDS: Final = ("need", "want", "use", "after", "before")
HEADER: Final = {
    OVERRIDE: "# What the administrator of this machine adds to the definition of {name}: linitctl override.\n",
    LEARNED: "# What processes of {name} asked for at run time: linitctl deps {name} --learn.\n",
}


def edge_arguments(parser: ArgumentParser) -> None:
    """The options that name edges."""
    for kind in KINDS:
        parser.add_argument(
            f"--{kind}", metavar="NAME", action="append", default=[], help=f"`{kind}: NAME` in its override"
        )


def edges_of(options: Namespace) -> Edges:
    """What these options name."""
    return {kind: getattr(options, kind) for kind in KINDS if getattr(options, kind)}


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a service")
    edge_arguments(parser)
    parser.add_argument("--remove", action="store_true", help="take these edges back")
    parser.add_argument("--clear", action="store_true", help="take all of the override back")


def _override(session: Session, options: Namespace) -> int:
    edges = edges_of(options)
    check_defined(session, options.name)
    path = path_of(session, options.name, OVERRIDE)
    if options.clear and edges:
        raise Failure(USAGE, "--clear takes everything back; with names use --remove")
    if not (edges or options.clear):
        return _show(session, options.name, path)
    if options.clear or options.remove:
        said = take_back(session, options.name, path, None if options.clear else edges)
    else:
        said = add(session, options.name, OVERRIDE, edges)
    if not session.is_json:
        session.print(said)
        session.out.flush()
    renew(session)
    if session.is_json:
        return _show(session, options.name, path)
    return OK


def _show(session: Session, name: str, path: str) -> int:
    text = dropin.read(path)
    if session.is_json:
        session.print_json({"name": name, "path": path, "edges": _names(path, text)})
    elif text:
        session.print(f"{path}:", text.rstrip("\n"))
    else:
        session.print(f"{name}: no override")
    return OK


def path_of(session: Session, name: str, file: str) -> str:
    """Where a drop-in of the administrator's stands."""
    return os.path.join(session.paths()["services"][0], f"{name}.d", file)


def check_defined(session: Session, name: str) -> None:
    """Raises Failure for a service that nobody defined."""
    folders = session.paths()["services"]
    known = known_services(session)
    if name in known and known[name]["transient"]:
        text = f"{name} was made at run time: it has no definition to add to"
        raise Failure(FAILED, text, "see: linitctl run --help")
    if name in known and known[name]["activates"]:
        service = known[name]["activates"]
        raise Failure(FAILED, f"{name} is made of the definition of {service}", f"linitctl override {service}")
    if name not in known and not definition_of(name, folders):
        raise unknown(session, name, folders)


def add(session: Session, name: str, file: str, edges: Edges) -> str:
    """Write edges into a drop-in of a service; what to say. Raises Failure, and nothing is written, when verify
    would have more to say than before; a note is told, and no more."""
    path = path_of(session, name, file)
    before = dropin.read(path)
    text = before or _header(name, file)
    try:
        for key, names in edges.items():
            text = dropin.with_names(text, key, names)
    except dropin.Unreadable as fault:
        raise Failure(FAILED, f"{path}{fault}", "it was left as it is") from fault
    if text == before:
        return f"{name}: said already ({path})"
    candidate = dropin.Candidate(path, text)
    try:
        faults = _new_faults(session, candidate)
    except BaseException:
        candidate.drop()
        raise
    notes = [fault for fault in faults if fault.startswith("note: ")]  # of what need not exist
    if len(notes) < len(faults):
        candidate.drop()
        refused = [fault for fault in faults if fault not in notes]
        raise Failure(FAILED, "\n".join([*refused, f"{path}: nothing was written"]))
    candidate.put()
    session.complain(*notes)
    return f"{name}: {_words(edges)} ({path})"


def take_back(session: Session, name: str, path: str, edges: Edges | None) -> str:
    """Take edges (None: everything) out of the override; what to say. Raises Failure."""
    before = dropin.read(path)
    if not before:
        return f"{name}: no override"
    if edges is None:
        dropin.remove(path)
        return f"{name}: override removed ({path})"
    text = before
    try:
        for key, names in edges.items():
            text = dropin.without_names(text, key, names)
    except dropin.Unreadable as fault:
        raise Failure(FAILED, f"{path}{fault}", "it was left as it is") from fault
    if text == before:
        return f"{name}: not in its override ({path})"
    if dropin.is_empty(text):
        dropin.remove(path)
        return f"{name}: override removed ({path})"
    dropin.Candidate(path, text).put()
    return f"{name}: no longer {_words(edges)} ({path})"


def _header(name: str, file: str) -> str:
    import time

    who = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    command = "".join(letter if letter.isprintable() else "?" for letter in " ".join(["linitctl", *sys.argv[1:]]))
    return f"{HEADER[file].format(name=name)}# Begun {clock(time.time())} by {who}: {command}\n"


def _words(edges: Edges) -> str:
    return ", ".join(f"{key} {' '.join(names)}" for key, names in edges.items())


def _names(path: str, text: str) -> Edges:
    try:
        return dropin.names_in(text)
    except dropin.Unreadable as fault:
        raise Failure(FAILED, f"{path}{fault}") from fault


def _new_faults(session: Session, candidate: dropin.Candidate) -> list[str]:
    """What verify would say with the candidate in place and does not say without."""
    after = _faults(session, "--with", f"{candidate.path}={candidate.written}")
    if not after:
        return []
    before = set(_faults(session))
    return [fault for fault in after if fault not in before]


def _faults(session: Session, *arguments: str) -> list[str]:
    import json

    status, answer = output_of(compiler(session, "verify", "--json", *arguments))
    try:
        faults: list[dict[str, Any]] = json.loads(answer)["faults"]
    except (ValueError, KeyError) as fault:
        raise Failure(FAILED, f"the compiler ended with status {status} and no answer") from fault
    return [f"{each['severity']}: {each['text']}" for each in faults]


def renew(session: Session) -> None:
    """Have linit take a new plan; without one, make the plan for its next start. Raises Failure."""
    try:
        session.call("reload_plan", start_enabled=False)
    except NoAnswer:
        if run_compiler(session) == PLAN_NOT_WRITTEN:
            raise Failure(FAILED, "the plan could not be written: it will be made at the next boot") from None
        session.complain("no linit answers: it takes effect when one starts")


COMMANDS: Final = {
    "override": Command(
        _arguments,
        _override,
        "Add dependencies to a service on this machine, without touching its definition: a drop-in,\n"
        "NAME.d/override.yaml in the folder of the administrator's definitions. --remove takes edges back, --clear\n"
        "all. Without edges: show it. What `linitctl verify` would have something against is not written.",
        "linitctl override nginx --after redis --want cache",
        "linitctl override nginx --remove --after redis",
    ),
}
