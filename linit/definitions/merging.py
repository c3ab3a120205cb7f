"""What does a definition say with its drop-ins merged over it?

Lists of dependencies grow, mappings merge, the rest is replaced. Each value keeps the place that wrote it, since the
nodes themselves are merged.
"""

from __future__ import annotations

from typing import Final

from linit.definitions.document import List, Map, Node, Text
from linit.definitions.keys import KEYS

ALTERNATIVES: Final = {"run": "script", "script": "run"}  # one replaces the other
MERGED: Final = ("vars", "environment", "rlimits", "restart", "success", "health")


def merged(base: Map, over: Map) -> Map:
    """`over` over `base`; neither is changed."""
    items = dict(base.items)
    for key, (key_node, node) in over.items.items():
        items.pop(ALTERNATIVES.get(key, ""), None)
        items[key] = (key_node, _merged_value(key, items[key][1], node) if key in items else node)
    return Map(base.place, items)


def _merged_value(key: str, base: Node, over: Node) -> Node:
    known = KEYS.get(key)
    if known is not None and known.appends:
        return List(over.place, [*_items(base), *_items(over)])
    if key == "restart" and isinstance(base, Text) and isinstance(over, Map):
        base = Map(base.place, {"policy": (base, base)})
    if key in MERGED and isinstance(base, Map) and isinstance(over, Map):
        left = {sub: pair for sub, pair in base.items.items() if key != "health" or _stays(sub, over)}
        return Map(base.place, {**left, **over.items})
    return over


def _stays(sub: str, over: Map) -> bool:
    """Of a probe: a new command replaces the old one, whichever way both are written."""
    is_command = sub in (*ALTERNATIVES, "interpreter")
    return not is_command or not ALTERNATIVES.keys() & over.items.keys()


def _items(node: Node) -> list[Node]:
    return node.items if isinstance(node, List) else [node]
