"""What stands in a YAML text, and at which line and column?

Built from libyaml's events, not with `yaml.compose`: composing recurses in C, and a few thousand opening brackets end
the process with a segmentation fault. Nothing is interpreted: a plain `no` or `0755` stays the text it is. Depth and
number of nodes are bounded, aliases counted at the size of what they repeat, so no text costs more than its length.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from linit.model.place import Fault, Place, Severity
from linit.model.value import value

DEPTH_MAX: Final = 32
NODES_MAX: Final = 100_000
SHOWN_MAX: Final = 60  # characters of a value that a fault repeats
PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")) | {"!"}
IN_QUOTES: Final = "a text that begins with one of * @ & % ! stands in quotes"
SPECIAL: Final = ("scanning an alias", "scanning an anchor", "cannot start any token")  # of libyaml, about these
NAME_LINE: Final = re.compile(r"^name:[ \t]*['\"]?([A-Za-z0-9_.@-]+)", re.MULTILINE)


@value
class Text:
    """A scalar as it is written; "" also for a key with nothing behind it."""

    place: Place
    value: str


@value
class List:
    """A sequence."""

    place: Place
    items: list[Node]


@value
class Map:
    """A mapping, in the order of the file. Its keys are texts, each there once."""

    place: Place
    items: dict[str, tuple[Text, Node]]


Node = Text | List | Map


@dataclass(slots=True)
class Document:
    """One document of a file. `top` is None where there is none that could be read: then `faults` say why."""

    place: Place
    top: Map | None = None
    faults: list[Fault] = field(default_factory=list)
    name_hint: str = ""  # what a broken document seems to call itself


def shown(node: Node) -> str:
    """A node as a fault names it: `'netwrok'`, `nothing`, `a list`."""
    if isinstance(node, List):
        return "a list" if node.items else "an empty list"
    if isinstance(node, Map):
        return "a mapping" if node.items else "an empty mapping"
    if not node.value:
        return "nothing"
    return quoted(node.value)


def quoted(value: str) -> str:
    """A text in quotes, not too long, and without anything that would do something to a terminal."""
    short = value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "…"
    return "'" + "".join(each if each.isprintable() else repr(each)[1:-1] for each in short) + "'"


def parse(file: str, text: str) -> list[Document]:
    """The documents of a YAML text. `file` is the name that places carry. Empty documents are left out."""
    builder = _Builder(file)
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(text)
    try:
        while (event := loader.get_event()) is not None:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(builder, event)
    except (yaml.YAMLError, _Refused) as error:
        builder.fail(error, text)
    finally:
        with contextlib.suppress(AttributeError):  # only the pure Python loader has it
            loader.dispose()
    return builder.documents


class _Refused(Exception):
    """A text that is YAML, but more of it than a definition can be."""

    def __init__(self, place: Place, found: str, expected: str, hint: str = "") -> None:
        super().__init__(found)
        self.place, self.found, self.expected, self.hint = place, found, expected, hint


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been seen. `key`: of a mapping, the key that waits for its value."""

    node: List | Map
    anchor: str | None
    nodes_before: int
    key: Node | None = None


class _Builder:
    """Events in, documents out. The stack holds what is open."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[Document] = []
        self.current: Document | None = None
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}  # with the number of nodes each stands for
        self.nodes = 0

    def place(self, mark: Any) -> Place:
        return Place(self.file, mark.line + 1, mark.column + 1)

    def begin_document(self, event: Any) -> None:
        self.current, self.anchors = Document(self.place(event.start_mark)), {}

    def end_document(self, _event: Any) -> None:
        if self.current is not None and (self.current.top is not None or self.current.faults):
            self.documents.append(self.current)
        self.current = None

    def scalar(self, event: Any) -> None:
        mark = event.start_mark
        place = Place(self.file, mark.line + 1, mark.column + 1)
        node = Text(place, event.value)
        self.count(place, 1)
        if event.tag is not None:
            self.check_tag(event, place)
        if event.anchor:
            self.anchors[event.anchor] = (node, 1)
        self.add(node)

    def begin(self, event: Any) -> None:
        place = self.place(event.start_mark)
        node: List | Map = List(place, []) if isinstance(event, yaml.SequenceStartEvent) else Map(place, {})
        if len(self.stack) >= DEPTH_MAX:
            raise _Refused(place, f"more than {DEPTH_MAX} lists and mappings inside each other", "fewer")
        self.check_tag(event, place)
        before = self.nodes
        self.count(place, 1)
        self.stack.append(_Open(node, event.anchor, before))

    def end(self, _event: Any) -> None:
        opened = self.stack.pop()
        if opened.anchor:
            self.anchors[opened.anchor] = (opened.node, self.nodes - opened.nodes_before)
        self.add(opened.node)

    def alias(self, event: Any) -> None:
        place = self.place(event.start_mark)
        if event.anchor not in self.anchors:
            raise _Refused(place, f"alias '*{event.anchor}'", f"an anchor '&{event.anchor}' before it", IN_QUOTES)
        node, size = self.anchors[event.anchor]
        self.count(place, size)
        self.add(node)

    def count(self, place: Place, size: int) -> None:
        self.nodes += size
        if self.nodes > NODES_MAX:
            raise _Refused(place, f"more than {NODES_MAX} values (aliases repeat what they stand for)", "fewer")

    def check_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None and event.tag not in PLAIN_TAGS:
            self.fault(place, "", f"tag '{event.tag}'", "no tag", "values are read as they are written")

    def add(self, node: Node) -> None:
        """Hang a finished node where it belongs."""
        if not self.stack:
            self.top(node)
            return
        opened = self.stack[-1]
        if isinstance(opened.node, List):
            opened.node.items.append(node)
        elif opened.key is None:
            opened.key = node
            if not isinstance(node, Text):
                self.fault(node.place, "", f"{shown(node)} as a key", "text")
        else:
            key, opened.key = opened.key, None
            if isinstance(key, Text):
                self.add_value(opened.node, key, node)

    def add_value(self, mapping: Map, key: Text, node: Node) -> None:
        if key.value in mapping.items:
            first = mapping.items[key.value][0].place
            self.fault(key.place, key.value, "the key a second time", "each key once", f"the first is at {first}")
        else:
            mapping.items[key.value] = (key, node)

    def top(self, node: Node) -> None:
        assert self.current is not None, "libyaml sends a value outside of a document"
        if isinstance(node, Map):
            self.current.top = node
        elif not isinstance(node, Text) or node.value:
            self.fault(node.place, "", shown(node), "a mapping of keys to values")

    def fault(self, place: Place, key: str, found: str, expected: str, hint: str = "") -> None:
        assert self.current is not None, "libyaml sends an event outside of a document"
        self.current.faults.append(Fault(Severity.ERROR, place, key, found, expected, hint))

    def fail(self, error: yaml.YAMLError | _Refused, text: str) -> None:
        """The text cannot be read on from here: what is open becomes a document without a top."""
        document = self.current or Document(Place(self.file, 1, 1))
        document.top = None
        document.faults.append(_fault(self.file, error, text))
        from_line = document.place.line - 1
        match = NAME_LINE.search("\n".join(text.split("\n")[from_line:]))
        document.name_hint = match.group(1) if match else ""
        self.documents.append(document)


_HANDLERS: Final = {
    yaml.DocumentStartEvent: _Builder.begin_document,
    yaml.DocumentEndEvent: _Builder.end_document,
    yaml.ScalarEvent: _Builder.scalar,
    yaml.SequenceStartEvent: _Builder.begin,
    yaml.SequenceEndEvent: _Builder.end,
    yaml.MappingStartEvent: _Builder.begin,
    yaml.MappingEndEvent: _Builder.end,
    yaml.AliasEvent: _Builder.alias,
}


def _fault(file: str, error: yaml.YAMLError | _Refused, text: str) -> Fault:
    """libyaml's complaint, or ours, at its place."""
    if isinstance(error, _Refused):
        return Fault(Severity.ERROR, error.place, "", error.found, error.expected, error.hint)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:  # a character that YAML forbids
        place, what = _forbidden(file, text)
        return Fault(Severity.ERROR, place, "", what, "valid YAML")
    words = " ".join(part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    place = Place(file, mark.line + 1, mark.column + 1)
    hint = "indent with spaces, not tabs" if "\\t" in words or _is_tab(text, place) else ""
    if not hint and any(each in words for each in SPECIAL):
        hint = IN_QUOTES
    return Fault(Severity.ERROR, place, "", f"invalid YAML ({words})", "valid YAML", hint)


def _is_tab(text: str, place: Place) -> bool:
    lines = text.split("\n")
    return place.line <= len(lines) and lines[place.line - 1].lstrip(" ").startswith("\t")


def _forbidden(file: str, text: str) -> tuple[Place, str]:
    """The first character that YAML does not allow. Source: YAML 1.1, section 5.1, Character Set."""
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            if not _is_printable(ord(character)):
                return Place(file, number, column), f"the control character U+{ord(character):04X}"
    return Place(file), "a character that YAML does not allow"


def _is_printable(code: int) -> bool:
    return code in (0x9, 0xA, 0xD, 0x85) or 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xD7FF or code >= 0xE000
