"""How is a drop-in changed without losing what a person wrote there? Lists of names are added to and taken from in the
text itself: comments, other keys and the way it is written stay as they are.

YAML is read with PyYAML's marks, which say where in the text each node stands.
"""

from __future__ import annotations

import contextlib
import os

from linitctl.failure import DENIED, FAILED, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

    Edges = dict[str, list[str]]  # key (need, after ...) to names

FILE_MODE: Final = 0o644


class Unreadable(Exception):
    """The file is not one whose lists can be changed in place; the text says why."""


def names_in(text: str) -> Edges:
    """The lists of names that stand in a drop-in, by key. Raises Unreadable."""
    top = _top(text)
    if top is None:
        return {}
    found = {}
    for key, value in top.value:
        items = value.value if _is_list(value) else [value]
        if all(item.id == "scalar" for item in items):
            found[str(key.value)] = [str(item.value) for item in items]
    return found


def with_names(text: str, key: str, names: Iterable[str]) -> str:
    """The text with these names in the list `key`, each once. Raises Unreadable."""
    new = [name for name in dict.fromkeys(names) if name not in names_in(text).get(key, [])]
    if not new:
        return text
    value = _value(text, key)
    if value is None:
        if text and not text.endswith("\n"):
            text += "\n"
        return f"{text}{key}: [{', '.join(new)}]\n"
    if not _is_list(value):
        start, end = value.start_mark.index, value.end_mark.index
        return f"{text[:start]}[{', '.join([text[start:end], *new])}]{text[end:]}"
    if value.flow_style:
        at = value.value[-1].end_mark.index if value.value else value.start_mark.index + 1
        return text[:at] + ", ".join([*([""] if value.value else []), *new]) + text[at:]
    at = _line_end(text, value.value[-1].end_mark.index)
    line_break = "" if text[:at].endswith("\n") else "\n"
    return text[:at] + line_break + "".join(f"{' ' * value.start_mark.column}- {name}\n" for name in new) + text[at:]


def without_names(text: str, key: str, names: Iterable[str]) -> str:
    """The text without these names in the list `key`; the key goes with its last name. Raises Unreadable."""
    there = names_in(text).get(key, [])
    gone = set(names)
    kept = [name for name in there if name not in gone]
    value = _value(text, key)
    if value is None or len(kept) == len(there):
        return text
    if not kept:
        start = text.rfind("\n", 0, _key(text, key).start_mark.index) + 1
        # The mark of the end of a list in lines stands after the comments and empty lines that follow it.
        last = value.value[-1] if _is_list(value) and not value.flow_style else value
        return text[:start] + text[_line_end(text, last.end_mark.index) :]
    if value.flow_style:
        start, end = value.start_mark.index, value.end_mark.index
        return f"{text[:start]}[{', '.join(kept)}]{text[end:]}"
    for item in reversed(value.value):
        if item.value in gone:
            start = text.rfind("\n", 0, item.start_mark.index) + 1
            text = text[:start] + text[_line_end(text, item.end_mark.index) :]
    return text


def is_empty(text: str) -> bool:
    """Is nothing left in it but comments?"""
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def _top(text: str) -> Any:
    import yaml  # only here: linitctl starts faster without

    try:
        top = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise Unreadable(f"{where}: not YAML: {getattr(fault, 'problem', None) or fault}") from fault
    if top is not None and (not isinstance(top, yaml.MappingNode) or top.flow_style):
        raise Unreadable(":1: found no lines of KEY: VALUE")
    return top


def _pair(text: str, key: str) -> tuple[Any, Any] | None:
    top = _top(text)
    return next((pair for pair in top.value if pair[0].value == key), None) if top is not None else None


def _value(text: str, key: str) -> Any:
    pair = _pair(text, key)
    return None if pair is None else pair[1]


def _key(text: str, key: str) -> Any:
    pair = _pair(text, key)
    assert pair is not None, "its value was found"
    return pair[0]


def _is_list(node: Any) -> bool:
    return bool(node.id == "sequence")


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


# -- files


def read(path: str) -> str:
    """The text of a drop-in, "" when there is none. Raises Failure."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as fault:
        raise _cannot(path, fault) from fault


class Candidate:
    """A drop-in as it would be: written beside the file, under a name that nobody reads, until it is `put` there or
    dropped. Raises Failure."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._folder = os.path.dirname(path)
        self.written = os.path.join(self._folder, f".{os.path.basename(path)}.{os.getpid()}")
        try:
            os.makedirs(self._folder, mode=0o755, exist_ok=True)
            descriptor = os.open(self.written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        except OSError as fault:
            self.drop()
            raise _cannot(path, fault) from fault

    def put(self) -> None:
        """Have it take the place of the file, as a whole."""
        try:
            os.replace(self.written, self.path)
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            os.fsync(descriptor)  # the rename itself reaches the disk only with its folder: fsync(2)
            os.close(descriptor)
        except OSError as fault:
            self.drop()
            raise _cannot(self.path, fault) from fault

    def drop(self) -> None:
        """Leave everything as it was."""
        with contextlib.suppress(OSError):
            os.unlink(self.written)
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)  # only when it is empty, so when it was made for this


def remove(path: str) -> None:
    """Remove a drop-in, and its folder when nothing else is in it. Raises Failure."""
    try:
        os.unlink(path)
    except OSError as fault:
        raise _cannot(path, fault) from fault
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _cannot(path: str, fault: Exception) -> Failure:
    status = DENIED if isinstance(fault, PermissionError) else FAILED
    text = getattr(fault, "strerror", None) or str(fault)
    return Failure(status, f"{path}: {text}", "only root may" if status == DENIED else "")
