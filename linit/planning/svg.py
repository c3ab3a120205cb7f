"""A graph as a picture that any browser shows. Columns by depth: what starts first stands on the left, and each edge
leads from a service to what it depends on. The order within a column is improved by a few sweeps that move each node to
the mean of its neighbours (Sugiyama's method), which is enough for the graphs of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from linit.model.service import Kind
from linit.planning.drawing import Drawing, Edge, Standing
from linit.planning.markup import escape

# All lengths in pixels.
LETTER: Final = 7.0  # of the text, on average
HEIGHT: Final = 24.0  # of a node
GAP_Y: Final = 12.0
GAP_X: Final = 90.0
MARGIN: Final = 20.0
LEGEND: Final = 40.0
LEGEND_STEP: Final = 105.0
SWEEPS: Final = 6

STYLE: Final = """\
text { font: 12px sans-serif; fill: #222; text-anchor: middle; dominant-baseline: central }
text.legend { text-anchor: start }
rect { fill: #fff; stroke: #444 } rect.socket, rect.timer, rect.watch { fill: #fbf3e0 }
rect.runlevel { fill: #e4ecf8 } rect.target { fill: #eef4e8 } rect.virtual { fill: #f6f6f6; stroke-dasharray: 4 3 }
rect.broken { stroke: #c00; stroke-width: 2 } rect.centre { stroke-width: 3 }
path { fill: none; stroke: #222 } path.bind { stroke-width: 2.5 } path.want { stroke: #26c }
path.use { stroke: #26c; stroke-dasharray: 6 4 } path.after { stroke: #999; stroke-dasharray: 2 3 }
path.provided_by { stroke: #282 } path.conflicts { stroke: #d70; stroke-width: 2 }
path.starts { stroke: #83a; stroke-dasharray: 8 3 }
path.dead { opacity: .35 } path.cut { stroke: #c00; stroke-dasharray: 3 5 } path.loop { stroke: #c00; stroke-width: 3 }
"""
LEGENDS: Final = ("need", "bind", "want", "use", "after", "provided_by", "conflicts", "starts", "cut", "loop")


@dataclass(frozen=True, slots=True)
class Box:
    """Where a node stands: its left upper corner and its width."""

    x: float
    y: float
    width: float


def lines(drawing: Drawing) -> Iterator[str]:
    """The text of the file."""
    boxes = layout(drawing)
    width = max([box.x + box.width for box in boxes.values()] + [len(LEGENDS) * LEGEND_STEP]) + MARGIN
    height = max([box.y + HEIGHT for box in boxes.values()], default=LEGEND) + MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">'
    )
    yield f"<style>{STYLE}</style>"
    yield (
        '<marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8" /></marker>'
    )
    yield from _legend()
    for edge in drawing.edges:
        yield _edge(edge, boxes)
    for name, box in boxes.items():
        yield _node(drawing, name, box)
    yield "</svg>"


def layout(drawing: Drawing) -> dict[str, Box]:
    """A place for each node; no two overlap."""
    columns: dict[int, list[str]] = {}
    for name, depth in sorted(drawing.depths.items()):
        columns.setdefault(depth, []).append(name)
    _untangle(drawing, columns)
    tallest = max(map(len, columns.values()), default=0)
    boxes: dict[str, Box] = {}
    x = MARGIN
    for depth in sorted(columns):
        names = columns[depth]
        width = max(len(name) for name in names) * LETTER + 16
        y = MARGIN + LEGEND + (tallest - len(names)) * (HEIGHT + GAP_Y) / 2
        for number, name in enumerate(names):
            boxes[name] = Box(x, y + number * (HEIGHT + GAP_Y), width)
        x += width + GAP_X
    return boxes


def _untangle(drawing: Drawing, columns: dict[int, list[str]]) -> None:
    """Sort each column by the mean position of its neighbours, to and fro."""
    neighbours: dict[str, list[str]] = {}
    for edge in drawing.edges:
        if edge.owner != edge.on:
            neighbours.setdefault(edge.owner, []).append(edge.on)
            neighbours.setdefault(edge.on, []).append(edge.owner)
    position = {name: _relative(number, names) for names in columns.values() for number, name in enumerate(names)}
    for sweep in range(SWEEPS):
        for depth in sorted(columns, reverse=bool(sweep % 2)):
            means = {
                name: sum(position[other] for other in near) / len(near) if near else position[name]
                for name in columns[depth]
                for near in [neighbours.get(name, [])]
            }
            columns[depth].sort(key=lambda name, means=means: (means[name], name))  # type: ignore[misc]
            for number, name in enumerate(columns[depth]):
                position[name] = _relative(number, columns[depth])


def _relative(number: int, names: list[str]) -> float:
    """Columns are centred, so positions count from the middle."""
    return number - (len(names) - 1) / 2


def _edge(edge: Edge, boxes: dict[str, Box]) -> str:
    owner, on = boxes[edge.owner], boxes[edge.on]
    x1, y1 = owner.x, owner.y + HEIGHT / 2
    x2, y2 = on.x + on.width, on.y + HEIGHT / 2
    bend = max(GAP_X / 2, abs(x1 - x2) / 3)
    marker = "" if edge.kind == "conflicts" else ' marker-end="url(#end)"'
    look = edge.kind if edge.standing is Standing.KEPT else f"{edge.kind} {edge.standing.value}"
    curve = f"M{x1:.1f} {y1:.1f} C{x1 - bend:.1f} {y1:.1f} {x2 + bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    title = escape(f"{edge.owner} {edge.kind} {edge.on} ({edge.place})")
    return f'<path class="{look}" d="{curve}"{marker}><title>{title}</title></path>'


def _node(drawing: Drawing, name: str, box: Box) -> str:
    node = drawing.nodes[name]
    classes = [node.kind.value, *(["broken"] if node.broken else []), *(["centre"] if name == drawing.centre else [])]
    radius = 10 if node.kind in (Kind.ONESHOT, Kind.VIRTUAL) else 2
    title = ": ".join(filter(None, (name, node.description, node.broken and f"broken ({node.broken})")))
    return (
        f'<g><title>{escape(title)}</title><rect class="{" ".join(classes)}" x="{box.x:.1f}" y="{box.y:.1f}" '
        f'width="{box.width:.1f}" height="{HEIGHT:.0f}" rx="{radius}" />'
        f'<text x="{box.x + box.width / 2:.1f}" y="{box.y + HEIGHT / 2:.1f}">{escape(name)}</text></g>'
    )


def _legend() -> Iterator[str]:
    for number, kind in enumerate(LEGENDS):
        x = MARGIN + number * LEGEND_STEP
        yield f'<path class="{kind}" d="M{x:.0f} {MARGIN:.0f} h25" />'
        yield f'<text class="legend" x="{x + 30:.0f}" y="{MARGIN:.0f}">{kind.replace("_", " ")}</text>'
