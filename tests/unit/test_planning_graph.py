"""`linitctl graph`: the graph as a tree, for graphviz, and as a picture. Source: issue 3, "It explains itself"."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from linit.planning import __main__ as planner
from linit.planning import svg, tree
from linit.planning.drawing import Drawing, Edge, Node, Standing
from linit.testing import Boot
from tests.unit.shipped_services import plan as shipped

SVG = "{http://www.w3.org/2000/svg}"
SHOP = {
    "db": "need: disk\nprovide: store",
    "disk": "kind: oneshot",
    "shop": "need: store\nuse: cache\nafter: mail",
    "mail": "want: shop\nconflicts: news",
    "cache": "",
    "news": "",
    "hen": "need: egg",
    "egg": "bind: hen",
    "farm": "need: hen",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a loop that is cut (shop, mail), one that cannot be (hen, egg), and a virtual name."""
    (tmp_path / "services").mkdir()
    for name, text in SHOP.items():
        (tmp_path / "services" / f"{name}.yaml").write_text(f"run: [/bin/sh]\n{text}\n")
    (tmp_path / "runlevels/default").mkdir(parents=True)
    for name in ("mail", "farm", "news"):
        (tmp_path / "runlevels/default" / name).touch()
    return tmp_path


def run(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert planner.main(["graph", "--user", str(folder), *arguments]) == planner.OK
    return capsys.readouterr().out


def test_the_whole_is_a_tree_below_the_runlevels_with_loops_and_cuts_marked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was unfolded once is not unfolded again."""
    assert run(folder, capsys).splitlines() == [
        "default  runlevel",
        "├─ want farm",
        "│  └─ need hen",
        "│     └─ need egg  [loop: cannot start]",
        "│        └─ bind hen (see above)  [loop: cannot start]",
        "├─ want mail",
        "│  ├─ conflicts news",
        "│  └─ want shop",
        "│     ├─ after mail (see above)  [cut: ignored, it closes a loop]",
        "│     ├─ need store",
        "│     │  └─ provided_by db",
        "│     │     └─ need disk",
        "│     └─ use cache",
        "└─ want news",
    ]


def test_around_a_service_both_sides_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, capsys, "--around", "store", "--depth", "1").splitlines() == [
        "store  virtual",
        "└─ provided_by db",
        "",
        "store, from the other side",
        "└─ needed by shop",
    ]


def test_dot_has_a_line_for_every_node_and_edge(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder / "services" / "hen.yaml"
    told = run(folder, capsys, "--format", "dot", "--around", "egg", "--depth", "1").splitlines()
    assert told == [
        "digraph linit {",
        "  rankdir=LR; node [fontname=sans, fontsize=11]; edge [fontname=sans, fontsize=9];",
        '  "egg" [shape=box, tooltip="", color=red, fontcolor=red, penwidth=2];',
        '  "hen" [shape=box, tooltip="", color=red, fontcolor=red];',
        f'  "egg" -> "hen" [color=black, penwidth=2, color=red, penwidth=2, label=loop, tooltip="bind ({place.parent}'
        '/egg.yaml:2:7)"];',
        f'  "hen" -> "egg" [color=black, color=red, penwidth=2, label=loop, tooltip="need ({place}:2:7)"];',
        "}",
    ]


def test_a_picture_shows_each_service_and_each_edge_by_its_kind(folder: Path) -> None:
    file = folder / "graph.svg"
    assert planner.main(["graph", "--user", str(folder), "--output", str(file)]) == planner.OK
    picture = ET.parse(file).getroot()
    names = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") is None]
    assert sorted(filter(None, names)) == sorted([*SHOP, "store", "default"])
    edges = [path for path in picture.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    assert Counter(path.get("class") for path in edges) == {
        "after cut": 1, "bind loop": 1, "conflicts": 1, "need": 3, "need loop": 1, "provided_by": 1, "use": 1,
        "want": 4,
    }  # fmt: skip


def test_a_file_that_cannot_be_written_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planner.main(["graph", "--user", str(folder), "--output", f"{folder}/no/graph.svg"]) == planner.FAILED
    assert capsys.readouterr().err == (
        f"linitctl: {folder}/no/graph.svg: cannot be written (No such file or directory)\n"
    )


def test_an_unknown_centre_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planner.main(["graph", "--user", str(folder), "--around", "x"]) == planner.UNKNOWN
    assert capsys.readouterr().err == "linitctl: no service is called 'x'\n"


def test_programs_get_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(folder, capsys, "--json", "--around", "hen", "--depth", "0"))
    assert [node["name"] for node in told["nodes"]] == ["hen"]
    assert told["edges"] == []


def drawing_of_shipped() -> Drawing:
    """Of the Panux VM; nothing of it is cut or looping."""
    plan = Boot(shipped()).plan
    nodes = {each.name: Node(each.name, each.kind, "", each.broken) for each in plan.services}
    edges = {
        Edge(each.name, edge.on, edge.kind.value, Standing.KEPT, "")
        for each in plan.services
        for edge in each.dependencies
        if edge.on in nodes
    }
    return Drawing(nodes, tuple(sorted(edges, key=lambda each: (each.owner, each.kind, each.on))))


def test_no_two_boxes_overlap_and_dependencies_stand_to_the_left() -> None:
    drawing = drawing_of_shipped()
    boxes = svg.layout(drawing)
    for one in boxes:
        for other in boxes:
            first, second = boxes[one], boxes[other]
            apart_x = first.x + first.width <= second.x or second.x + second.width <= first.x
            apart_y = abs(first.y - second.y) >= svg.HEIGHT
            assert one == other or apart_x or apart_y, f"{one} and {other} overlap"
    for edge in drawing.edges:
        assert boxes[edge.on].x + boxes[edge.on].width < boxes[edge.owner].x, f"{edge.owner} {edge.kind} {edge.on}"


def test_every_service_of_a_panux_machine_is_in_its_tree() -> None:
    told = " ".join(tree.lines(drawing_of_shipped())).split()
    assert {service.name for service in shipped().services} <= set(told)


def test_a_chain_longer_than_any_stack_is_drawn() -> None:
    """5,000 services in a row."""
    names = [f"s{number:04}" for number in range(5000)]
    kind = shipped().services[0].kind
    nodes = {name: Node(name, kind, "", "") for name in names}
    edges = tuple(Edge(owner, on, "need", Standing.KEPT, "") for on, owner in pairwise(names))
    assert sum(1 for _ in tree.lines(Drawing(nodes, edges))) == 5000


