"""What does a value of a definition mean? Readers: each takes a node and gives a value, or raises Wrong.

A reader of a list or mapping goes on after a wrong item, so that all of them are reported together; it says so through
`Reading.attempt`, which keeps the fault. Durations are seconds.
"""

from __future__ import annotations

import enum
import math
import re
import shlex
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from linit.definitions.document import List, Map, Node, Text, quoted, shown
from linit.definitions.nearest import suggestion
from linit.model.place import Fault, Place, Severity

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)
Reader = Callable[["Reading", Node, str], T]

NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(@[A-Za-z0-9_.-]*)?")
NAME_MAX: Final = 200
NAME_FORMS: Final = "a name of letters, digits, '_', '.', '-' and at most one '@' that is not the first"
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE: Final = re.compile(r"\$\$|\$\{([^}\n]*)(\}?)")
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|h|)")
DURATION_UNITS_S: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
DURATION_FORMS: Final = "a duration such as 90, 1.5s, 500ms, 2min or 1h"
DURATION_MAX_S: Final = 366 * 86400.0
SIGNALS: Final = {each.name.removeprefix("SIG"): int(each) for each in signal.Signals}


class Wrong(Exception):
    """A value that cannot be what its key asks for."""

    def __init__(self, node: Node, expected: str, hint: str = "", found: str = "") -> None:
        super().__init__(expected)
        self.place, self.expected, self.hint, self.found = node.place, expected, hint, found or shown(node)


@dataclass(slots=True)
class Reading:
    """One definition while it is read: its variables, and the faults found so far."""

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def attempt(self, reader: Reader[T], node: Node, key: str) -> T | None:
        """What `reader` gives, or None with the fault kept."""
        try:
            return reader(self, node, key)
        except Wrong as wrong:
            self.error(wrong.place, key, wrong.found, wrong.expected, wrong.hint)
            return None

    def error(self, place: Place, key: str, found: str, expected: str = "", hint: str = "") -> None:
        """Keep an error."""
        self.faults.append(Fault(Severity.ERROR, place, key, found, expected, hint, self.name))

    def substituted(self, node: Text, value: str) -> str:
        """`value` with each `${name}` replaced and `$$` as `$`. Raises Wrong for an unknown variable."""

        def replacement(match: re.Match[str]) -> str:
            if match.group(0) == "$$":
                return "$"
            name = match.group(1)
            if not match.group(2) or name not in self.variables:
                known = "one of " + ", ".join(f"${{{each}}}" for each in sorted(self.variables))
                raise Wrong(node, known, _variable_hint(name, self.variables), quoted(match.group(0)))
            return self.variables[name]

        return REFERENCE.sub(replacement, value) if "$" in value else value


def _variable_hint(name: str, variables: Mapping[str, str]) -> str:
    return suggestion(name, variables) or "a shell's own variable is written $name or $${name}"


def text(reading: Reading, node: Node, _key: str) -> str:
    """A text, variables replaced; may be empty. Without NUL, which execve(2) cannot pass on."""
    if not isinstance(node, Text):
        raise Wrong(node, "text")
    if "\0" in node.value:
        raise Wrong(node, "text without NUL characters")
    return reading.substituted(node, node.value) if "$" in node.value else node.value


def some_text(reading: Reading, node: Node, key: str) -> str:
    """A text that is not empty."""
    value = text(reading, node, key)
    if not value:
        raise Wrong(node, "text", found="nothing")
    return value


def name(reading: Reading, node: Node, key: str) -> str:
    """The name of a service."""
    value = text(reading, node, key) if isinstance(node, Text) else ""
    if len(value) > NAME_MAX or not NAME.fullmatch(value):
        raise Wrong(node, NAME_FORMS)
    return value


def list_of(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """One value, or a list of them."""

    def read(reading: Reading, node: Node, key: str) -> tuple[T, ...]:
        items = node.items if isinstance(node, List) else [node]
        values = [reading.attempt(reader, item, key) for item in items]
        return tuple(value for value in values if value is not None)

    return read


def placed(reader: Reader[T]) -> Reader[tuple[T, Place]]:
    """A value with the place that wrote it."""

    def read(reading: Reading, node: Node, key: str) -> tuple[T, Place]:
        return reader(reading, node, key), node.place

    return read


def mapping_of(reader: Reader[T], check: Callable[[str], str]) -> Reader[tuple[tuple[str, T], ...]]:
    """A mapping with keys of the administrator's choice. `check(key)` gives what was expected, "" if it is right."""

    def read(reading: Reading, node: Node, key: str) -> tuple[tuple[str, T], ...]:
        if not isinstance(node, Map):
            raise Wrong(node, "a mapping")
        pairs: list[tuple[str, T]] = []
        for sub, (written, value_node) in node.items.items():
            if expected := check(sub):
                reading.error(written.place, key, shown(written), expected)
            elif (value := reading.attempt(reader, value_node, f"{key}.{sub}")) is not None:
                pairs.append((sub, value))
        return tuple(pairs)

    return read


def fields(readers: Mapping[str, Reader[Any]]) -> Reader[dict[str, Any]]:
    """A mapping with fixed keys, each with its reader. Gives those that are written and right."""

    def read(reading: Reading, node: Node, key: str) -> dict[str, Any]:
        if not isinstance(node, Map):
            raise Wrong(node, "a mapping with " + ", ".join(readers))
        values: dict[str, Any] = {}
        for sub, (written, value_node) in node.items.items():
            reader = readers.get(sub)
            if reader is None:
                expected = "one of " + ", ".join(readers)
                reading.error(written.place, key, f"unknown key {shown(written)}", expected, suggestion(sub, readers))
            elif (value := reading.attempt(reader, value_node, f"{key}.{sub}")) is not None:
                values[sub] = value
        return values

    return read


def one_of(readers: Mapping[str, Reader[Any]], forms: str) -> Reader[tuple[str, Any] | None]:
    """A mapping with one of these keys: the key and its value, None where that is wrong. `forms`: what is expected."""
    read_fields = fields(readers)

    def read(reading: Reading, node: Node, key: str) -> tuple[str, Any] | None:
        if not isinstance(node, Map) or len(node.items) != 1:
            raise Wrong(node, forms)
        return next(iter(read_fields(reading, node, key).items()), None)

    return read


def choice(kinds: type[E], *left_out: E) -> Reader[E]:
    """One of the words of an enum."""
    words: dict[str, E] = {each.value: each for each in kinds if each not in left_out}

    def read(reading: Reading, node: Node, key: str) -> E:
        word = text(reading, node, key)
        if word not in words:
            raise Wrong(node, "one of " + ", ".join(words), suggestion(word, words))
        return words[word]

    return read


def yes_or_no(reading: Reading, node: Node, key: str) -> bool:
    """`true` or `false`."""
    value = text(reading, node, key)
    if value not in ("true", "false"):
        raise Wrong(node, "true or false")
    return value == "true"


def parse_duration(written: str) -> float:
    """Seconds written in `written`: '90', '1.5s', '500ms', '2min', '1h'; a bare number is seconds.

    Raises ValueError naming these forms, also for negative times and those of more than a year. Source:
    systemd.time(7), of which this is a small part.
    """
    match = DURATION.fullmatch(written)
    seconds = float(match.group(1)) * DURATION_UNITS_S[match.group(2)] if match else math.inf
    if seconds > DURATION_MAX_S:
        raise ValueError(f"expected {DURATION_FORMS}")
    return round(seconds, 6)


def duration(reading: Reading, node: Node, key: str) -> float:
    """Seconds."""
    try:
        return parse_duration(text(reading, node, key))
    except ValueError:
        raise Wrong(node, DURATION_FORMS) from None


def some_duration(reading: Reading, node: Node, key: str) -> float:
    """Seconds, more than none."""
    seconds = duration(reading, node, key)
    if not seconds:
        raise Wrong(node, f"{DURATION_FORMS}, more than 0")
    return seconds


def duration_or_never(reading: Reading, node: Node, key: str) -> float:
    """Seconds; `never` is infinite. (None would mean that the value is wrong.)"""
    if isinstance(node, Text) and node.value == "never":
        return math.inf
    try:
        return some_duration(reading, node, key)
    except Wrong as wrong:
        raise Wrong(node, f"{wrong.expected}, or never") from None


def whole(low: int, high: int, base: int = 10, what: str = "a whole number") -> Reader[int]:
    """A whole number within bounds."""

    def read(reading: Reading, node: Node, key: str) -> int:
        written = text(reading, node, key)
        digits = written.removeprefix("-")
        try:
            value = int(written, base) if digits.isascii() and digits.isdigit() else None
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            bounds = f"{low} to {high}" if base == 10 else f"{low:o} to {high:o}"
            raise Wrong(node, f"{what} from {bounds}")
        return value

    return read


def factor(reading: Reading, node: Node, key: str) -> float:
    """A number of at least 1."""
    try:
        value = float(text(reading, node, key))
    except ValueError:
        value = math.nan
    if not 1 <= value <= 1000:
        raise Wrong(node, "a number from 1 to 1000")
    return value


def signal_number(reading: Reading, node: Node, key: str) -> int:
    """A signal by name, with or without SIG, or by number."""
    written = text(reading, node, key)
    if written.isascii() and written.isdigit() and 1 <= int(written) <= 64:
        return int(written)
    word = written.upper().removeprefix("SIG")
    if word not in SIGNALS:
        raise Wrong(node, "a signal such as TERM, HUP or 15", suggestion(word, SIGNALS))
    return SIGNALS[word]


def absolute_path(reading: Reading, node: Node, key: str) -> str:
    """A path that begins with a slash."""
    value = some_text(reading, node, key)
    if not value.startswith("/"):
        raise Wrong(node, "a path that begins with /")
    return value


def account(reading: Reading, node: Node, key: str) -> str:
    """The name or number of a user or group; whether it exists is another question."""
    value = some_text(reading, node, key)
    if ":" in value or "/" in value or any(each.isspace() for each in value):
        raise Wrong(node, "a name or a number")
    return value


def address(reading: Reading, node: Node, key: str, any_host: str = "127.0.0.1") -> str:
    """`127.0.0.1:80` from itself, or of a port alone one of `any_host`. Numeric: PID 1 never asks a name server."""
    written = text(reading, node, key)
    host, _, port = written.rpartition(":")
    host = {"": any_host, "localhost": "127.0.0.1"}.get(host, host)
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535 and _is_numeric(host)):
        raise Wrong(node, 'a port, or a numeric address and a port such as "127.0.0.1:80" or "[::1]:80"')
    return f"{host}:{int(port)}"


def _is_numeric(host: str) -> bool:
    family = socket.AF_INET6 if host.startswith("[") and host.endswith("]") else socket.AF_INET
    try:
        socket.inet_pton(family, host.strip("[]") if family == socket.AF_INET6 else host)
    except OSError:
        return False
    return True


def words(reading: Reading, node: Node, key: str) -> tuple[str, ...]:
    """An argv: a list of texts, or a text split by the shell's quoting rules."""
    if isinstance(node, List):
        argv = tuple(text(reading, item, key) for item in node.items)
    else:
        try:
            argv = tuple(shlex.split(some_text(reading, node, key)))
        except ValueError as error:
            raise Wrong(node, "words that a shell could split", str(error).lower()) from None
    program(node, argv)
    return argv


def program(node: Node, argv: tuple[str, ...]) -> None:
    """Raise Wrong if `argv` could not be executed, whatever the machine."""
    if not argv or not argv[0]:
        raise Wrong(node, "a program and its arguments", found="no program")
    if "/" in argv[0] and not argv[0].startswith("/"):
        raise Wrong(node, "a path that begins with /, or a bare program name", found=quoted(argv[0]))
