"""What does a service run? Readers of commands in all their forms; services/README.md lists these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from linit.definitions import values
from linit.definitions.document import List, Map, Node, Text
from linit.definitions.values import Reader, Reading, Wrong
from linit.model.service import Command

INTERPRETER: Final = ("/bin/sh", "-e")


def script(reading: Reading, node: Node, key: str) -> Command:
    """A text for the shell: `/bin/sh -e -c TEXT NAME`."""
    return Command((*INTERPRETER, *_script_words(reading, node, key)), node.place)


def _script_words(reading: Reading, node: Node, key: str) -> tuple[str, ...]:
    """What follows the interpreter; `$0` is the service's name."""
    return ("-c", values.some_text(reading, node, key), reading.name)


_WORDS: Final[dict[str, Reader[Any]]] = {"run": values.words, "script": _script_words, "interpreter": values.words}
_WITH_TIMEOUT: Final[dict[str, Reader[Any]]] = {**_WORDS, "timeout": values.some_duration}
_FIELDS: Final = values.fields(_WITH_TIMEOUT)
_FIELDS_OF_RUN: Final = values.fields(_WORDS)


def command(reading: Reading, node: Node, key: str) -> Command:
    """One command, in any of its forms."""
    return _command(reading, node, key, _FIELDS)


def run(reading: Reading, node: Node, key: str) -> Command:
    """The command of `run:`, whose timeout is the service's."""
    return _command(reading, node, key, _FIELDS_OF_RUN)


def _command(reading: Reading, node: Node, key: str, fields: Reader[dict[str, Any]]) -> Command:
    if not isinstance(node, Map):
        return Command(values.words(reading, node, key), node.place)
    faults = len(reading.faults)
    found = fields(reading, node, key)
    if len(reading.faults) > faults:
        return Command(("",), node.place)  # never run: the service is broken
    return _joined(node, found, found.get("timeout"))


def command_with(more: Mapping[str, Reader[Any]]) -> Reader[tuple[Command, dict[str, Any]]]:
    """A mapping that is a command and has keys of its own besides: the command, and what these say."""
    fields = values.fields({**_WORDS, **more})

    def read(reading: Reading, node: Node, key: str) -> tuple[Command, dict[str, Any]]:
        faults = len(reading.faults)
        found = fields(reading, node, key)
        if len(reading.faults) > faults:
            return Command(("",), node.place), {}  # never run: the service is broken
        return _joined(node, found), {each: value for each, value in found.items() if each in more}

    return read


def _joined(node: Node, found: Mapping[str, Any], timeout_s: float | None = None) -> Command:
    if ("run" in found) == ("script" in found):
        raise Wrong(node, "a mapping with either run or script")
    if "run" in found and "interpreter" in found:
        raise Wrong(node, "interpreter only together with script", found="'interpreter' together with 'run'")
    argv = found["run"] if "run" in found else (*found.get("interpreter", INTERPRETER), *found["script"])
    return Command(argv, node.place, timeout_s)


def commands(reading: Reading, node: Node, key: str) -> tuple[Command, ...]:
    """A command, or a list of them. A list of texts only is one argv."""
    if not isinstance(node, List) or all(isinstance(item, Text) for item in node.items):
        return (command(reading, node, key),)
    found = [reading.attempt(command, item, key) for item in node.items]
    return tuple(each for each in found if each is not None)
