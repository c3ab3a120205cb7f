"""`deps`, `rdeps`, `why`: what hangs on what, and why is a service in its state?"""

from __future__ import annotations

from linitctl import table
from linitctl.failure import OK
from linitctl.session import Command
from linitctl.style import BOLD, COLOUR_OF_STATE, DIM, age, clock

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


def _deps(session: Session, options: Namespace) -> int:
    return _show(session, options, session.call("deps", name=options.name), lambda edge: (edge["owner"], edge["on"]))


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


def _why_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a service")
    parser.add_argument(
        "--at", default="", metavar="TIME", help="as of then: seconds after the boot, HH:MM[:SS], or YYYY-MM-DD HH:MM"
    )
    parser.add_argument("--boot", type=int, default=0, metavar="-N", help="of an earlier boot; -1 is the one before")
    parser.add_argument("--file", default="", metavar="FILE", help="of a saved recording")


def _why(session: Session, options: Namespace) -> int:
    if options.at or options.boot or options.file:
        from linitctl import recording  # only for what is past

        result = recording.why(session, options)
    else:
        result = session.call("why", name=options.name)
    if session.is_json:
        session.print_json(result)
        return OK
    if "wall_s" in result:
        session.print(f"As of {clock(result['wall_s'])}, {age(result['at_s'])} after the beginning:")
    session.print(" ".join(sentences(result)))
    chain = result["chain"]
    if len(chain) > 1:
        rows: list[list[table.Cell]] = [
            [
                f"{'   ' * (depth - 1)}└─ {link['name']}" if depth else link["name"],
                (link["state"], COLOUR_OF_STATE.get(link["state"], "")),
                link["text"],
            ]
            for depth, link in enumerate(chain)
        ]
        session.print("", *table.render((), rows, session.style))
    return OK


def sentences(result: dict[str, Any]) -> Iterator[str]:
    """The paragraph: what it is, what it should be, and each cause down to the root."""
    first, *others = result["chain"]
    yield f"{first['name']} {_is(first)}: {first['text']}."
    if first.get("desired") == "up" and first["state"] != "up" and first["wish"] != first["text"]:
        yield f"It should be up: {first['wish']}."
    for link in others:
        yield f"{link['name']} {_is(link)}: {link['text']}."
    for fault in result["faults"]:
        if fault not in first["text"]:
            yield f"{fault}."


def _is(link: dict[str, Any]) -> str:
    verb = "has been" if link["state"] in ("up", "down", "waiting", "starting", "stopping") else "is"
    words = {"backoff": "about to be started again", "missing": "not defined"}.get(link["state"], link["state"])
    if "since_s" not in link:
        return f"is {words}"
    left = f", {age(link['until_s'])} left" if link.get("until_s") is not None else ""
    if verb == "has been":
        return f"has been {words} for {age(link['since_s'])}{left}"
    if link["state"] == "failed":
        return f"failed {age(link['since_s'])} ago"
    return f"is {words}{left}"


COMMANDS: Final = {
    "deps": Command(
        _arguments,
        _deps,
        "Show what a service depends on: each edge with its kind, the state at its other end, and who wrote it where.",
        "linitctl deps nginx",
        "linitctl deps nginx --flat --all",
    ),
    "rdeps": Command(
        _arguments,
        _rdeps,
        "Show what depends on a service: each edge with its kind, the state at its other end, and who wrote it where.",
        "linitctl rdeps net",
    ),
    "why": Command(
        _why_arguments,
        _why,
        "Tell why a service is in its state, down to the root cause: what it waits for, who asked, what failed.",
        "linitctl why nginx",
        "linitctl why nginx --boot -1 --at 03:20",
    ),
}
