"""`deps`, `rdeps`: what hangs on what?"""

from __future__ import annotations

from linitctl import table
from linitctl.failure import OK
from linitctl.session import Command
from linitctl.style import BOLD, COLOUR_OF_STATE, DIM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from linitctl.session import Session

    from linit.control.messages import EdgeRecord

ABOVE: Final = " (see above)"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a service")
    parser.add_argument("--flat", action="store_true", help="a table of the edges instead of a tree")
    parser.add_argument("--all", action="store_true", help="also the order that every service has: after sysinit")


def _deps_arguments(parser: ArgumentParser) -> None:
    _arguments(parser)
    parser.add_argument("--learn", action="store_true", help="write down what it asked for at run time: a drop-in")


def _deps(session: Session, options: Namespace) -> int:
    result = session.call("deps", name=options.name)
    if options.learn:
        return _learn(session, options.name, result["edges"])
    return _show(session, options, result, lambda edge: (edge["owner"], edge["on"]))


def _learn(session: Session, name: str, edges: list[EdgeRecord]) -> int:
    from linitctl import overriding

    learned: dict[str, list[str]] = {}
    for edge in edges:
        if edge["owner"] == name and edge["learned"]:
            learned.setdefault(edge["kind"], []).append(edge["on"])
    if learned:
        overriding.check_defined(session, name)
        said = overriding.add(session, name, overriding.LEARNED, learned)
        overriding.renew(session)
    else:
        said = f"{name}: nothing was found at run time"
    if session.is_json:
        path = overriding.path_of(session, name, overriding.LEARNED)
        session.print_json({"name": name, "learned": learned, "path": path if learned else None})
    else:
        session.print(said)
    return OK


def _rdeps(session: Session, options: Namespace) -> int:
    return _show(session, options, session.call("rdeps", name=options.name), lambda edge: (edge["on"], edge["owner"]))


def _show(
    session: Session, options: Namespace, result: dict[str, Any], ends: Callable[[EdgeRecord], tuple[str, str]]
) -> int:
    """`ends` of an edge: where the walk comes from, where it goes."""
    if session.is_json:
        session.print_json(result)
        return OK
    edges = [edge for edge in result["edges"] if options.all or not (edge["implied"] and edge["kind"] == "after")]
    if options.flat:
        rows: list[list[table.Cell]] = [
            [edge["owner"], edge["kind"], edge["on"], _state(edge), (_place(edge), DIM)] for edge in edges
        ]
        session.print(*table.render(("SERVICE", "EDGE", "ON", "STATE", "PLACE"), rows, session.style))
        return OK
    by_end: dict[str, list[EdgeRecord]] = {}
    for edge in edges:
        by_end.setdefault(ends(edge)[0], []).append(edge)
    session.print(session.style.paint(result["name"], BOLD))
    rows = [
        [text, _state(edge), (_place(edge), DIM)]
        for text, edge in branches(result["name"], by_end, lambda edge: ends(edge)[1])
    ]
    session.print(*table.render((), rows, session.style))
    return OK


def _state(edge: EdgeRecord) -> table.Cell:
    return (edge["state"] or "missing", COLOUR_OF_STATE.get(edge["state"], ""))


def _place(edge: EdgeRecord) -> str:
    if edge["learned"]:
        return f"found {edge['place']}"
    return f"{edge['place']} (implied)" if edge["implied"] else edge["place"]


def branches(
    root: str, edges: dict[str, list[EdgeRecord]], end: Callable[[EdgeRecord], str]
) -> Iterator[tuple[str, EdgeRecord]]:
    """The lines of a tree: drawing and text, and the edge. What was shown once is not unfolded again."""
    shown = {root}

    def walk(name: str, indent: str) -> Iterator[tuple[str, EdgeRecord]]:
        below = edges.get(name, [])
        for index, edge in enumerate(below):
            is_last = index == len(below) - 1
            other = end(edge)
            is_known = other in shown and other in edges
            yield f"{indent}{'└─' if is_last else '├─'} {edge['kind']} {other}{ABOVE if is_known else ''}", edge
            if other not in shown:
                shown.add(other)
                yield from walk(other, f"{indent}{'   ' if is_last else '│  '}")

    return walk(root, "")


COMMANDS: Final = {
    "deps": Command(
        _deps_arguments,
        _deps,
        "Show what a service depends on: each edge with its kind, the state at its other end, and who wrote it where.\n"
        "Edges that its scripts asked for (`linitctl need`) are found at run time; --learn writes those of NAME down\n"
        "as a drop-in, NAME.d/learned.yaml: from then on they are as any other.",
        "linitctl deps nginx",
        "linitctl deps nginx --flat --all",
        "linitctl deps nginx --learn",
    ),
    "rdeps": Command(
        _arguments,
        _rdeps,
        "Show what depends on a service: each edge with its kind, the state at its other end, and who wrote it where.",
        "linitctl rdeps net",
    ),
}
