"""A graph for graphviz: dot(1), https://graphviz.org/doc/info/lang.html. Arrows point at what is depended on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from linit.model.service import Kind
from linit.planning.drawing import STARTS, Drawing, Standing

EDGES: Final = {  # by kind
    "need": "color=black",
    "bind": "color=black, penwidth=2",
    "want": "color=blue",
    "use": "color=blue, style=dashed",
    "after": "color=gray, style=dotted",
    "provided_by": "color=darkgreen",
    STARTS: "color=purple, arrowhead=vee, constraint=false",
    "conflicts": "color=orange, dir=both, arrowhead=tee, arrowtail=tee, constraint=false",
}
STANDINGS: Final = {
    Standing.KEPT: "",
    Standing.CUT: ", color=red, style=dashed, label=cut, constraint=false",
    Standing.LOOP: ", color=red, penwidth=2, label=loop",
    Standing.DEAD: ", style=dotted",
}
SHAPES: Final = {
    Kind.PROCESS: "box",
    Kind.FORKING: "box, peripheries=2",
    Kind.ONESHOT: "box, style=rounded",
    Kind.TARGET: "hexagon",
    Kind.RUNLEVEL: "doubleoctagon",
    Kind.VIRTUAL: "ellipse, style=dashed",
    Kind.SOCKET: "cds",
    Kind.TIMER: "circle",
    Kind.WATCH: "note",
}


def lines(drawing: Drawing) -> Iterator[str]:
    """The text of the file."""
    yield "digraph linit {"
    yield "  rankdir=LR; node [fontname=sans, fontsize=11]; edge [fontname=sans, fontsize=9];"
    for name, node in drawing.nodes.items():
        broken = ", color=red, fontcolor=red" if node.broken else ""
        centre = ", penwidth=2" if name == drawing.centre else ""
        yield f"  {_quoted(name)} [shape={SHAPES[node.kind]}, tooltip={_quoted(node.description)}{broken}{centre}];"
    for edge in drawing.edges:
        look = f"{EDGES[edge.kind]}{STANDINGS[edge.standing]}, tooltip={_quoted(f'{edge.kind} ({edge.place})')}"
        yield f"  {_quoted(edge.owner)} -> {_quoted(edge.on)} [{look}];"
    yield "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
