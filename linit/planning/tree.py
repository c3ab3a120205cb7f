"""A graph as lines of text: under each service what it depends on, and around one service also who depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from linit.model.service import Kind
from linit.planning.drawing import STARTS, Drawing, Edge, Standing

MARKS = {
    Standing.KEPT: "",
    Standing.CUT: "  [cut: ignored, it closes a loop]",
    Standing.LOOP: "  [loop: cannot start]",
    Standing.DEAD: "  [not in force]",
}
BACK = {  # the words of an edge seen from its other end
    "need": "needed by",
    "bind": "bound to by",
    "want": "wanted by",
    "use": "used by",
    "after": "before",
    "provided_by": "provides",
    "conflicts": "conflicts with",
    STARTS: "started by",
}
ABOVE = " (see above)"

Ends = Callable[[Edge], tuple[str, str]]  # where a walk over the edge comes from, where it goes


def lines(drawing: Drawing) -> Iterator[str]:
    """The whole: each runlevel and each service that nothing depends on, as roots. Or both sides of the centre."""
    if drawing.centre:
        yield _title(drawing, drawing.centre)
        yield from _branches(drawing, drawing.centre, {drawing.centre}, _down, lambda edge: edge.kind)
        up = list(_branches(drawing, drawing.centre, {drawing.centre}, _up, lambda edge: BACK[edge.kind]))
        if up:
            yield from ("", f"{drawing.centre}, from the other side", *up)
        return
    shown: set[str] = set()
    for number, root in enumerate(roots(drawing)):
        if number:
            yield ""
        shown.add(root)
        yield _title(drawing, root)
        yield from _branches(drawing, root, shown, _down, lambda edge: edge.kind)


def roots(drawing: Drawing) -> list[str]:
    """Where to begin so that everything is reached: what nobody depends on, runlevels first; then one of each loop."""
    depended_on = {edge.on for edge in drawing.edges if edge.kind != "conflicts"}
    below: dict[str, set[str]] = {}
    for edge in drawing.edges:
        below.setdefault(edge.owner, set()).add(edge.on)
    order = sorted(drawing.nodes, key=lambda name: (drawing.nodes[name].kind is not Kind.RUNLEVEL, name))
    found: list[str] = []
    reached: set[str] = set()
    for candidates in ([name for name in order if name not in depended_on], order):
        for name in candidates:
            if name not in reached:
                found.append(name)
                _reach(name, below, reached)
    return found


def _reach(name: str, below: dict[str, set[str]], reached: set[str]) -> None:
    todo = [name]
    while todo:
        here = todo.pop()
        if here not in reached:
            reached.add(here)
            todo.extend(below.get(here, ()))


def _down(edge: Edge) -> tuple[str, str]:
    return edge.owner, edge.on


def _up(edge: Edge) -> tuple[str, str]:
    return edge.on, edge.owner


def _title(drawing: Drawing, name: str) -> str:
    node = drawing.nodes[name]
    broken = f"  [broken: {node.broken}]" if node.broken else ""
    return f"{name}  {node.kind.value}{broken}"


def _branches(drawing: Drawing, root: str, shown: set[str], ends: Ends, words: Callable[[Edge], str]) -> Iterator[str]:
    """The lines below `root`; `shown` holds what was unfolded already. Not recursive: chains may be long."""
    next_to: dict[str, list[Edge]] = {}
    for edge in drawing.edges:
        next_to.setdefault(ends(edge)[0], []).append(edge)
    stack = [("", iter(next_to.get(root, [])), len(next_to.get(root, [])))]
    while stack:
        indent, edges, left = stack.pop()
        if not left:
            continue
        edge = next(edges)
        stack.append((indent, edges, left - 1))
        is_last = left == 1
        other = ends(edge)[1]
        is_known = other in shown and other in next_to
        branch = "└─" if is_last else "├─"
        yield f"{indent}{branch} {words(edge)} {other}{ABOVE if is_known else ''}{MARKS[edge.standing]}"
        if other not in shown and edge.kind != "conflicts":
            shown.add(other)
            below = next_to.get(other, [])
            stack.append((f"{indent}{'   ' if is_last else '│  '}", iter(below), len(below)))
