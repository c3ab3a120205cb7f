"""Where does what a service writes go? The key `output`: a word, or a mapping of a word to more about it."""

from __future__ import annotations

from typing import Final

from linit.definitions import values
from linit.definitions.document import Map, Node, Text
from linit.definitions.values import Reading, Wrong
from linit.model.service import Output

Destination = tuple[Output, tuple[str, ...]]  # as Execution.output and output_to

WORDS: Final = (Output.LOG, Output.CONSOLE, Output.SYSLOG, Output.NULL)  # that say enough alone
DEFAULT_SYSLOG: Final = "daemon.info"
# syslog(3). The log process knows their numbers: linit.logs.elsewhere.
FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    *(f"local{number}" for number in range(8)),
)  # fmt: skip
LEVELS: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FORMS: Final = "log, console, syslog, null, or a mapping with one of file, syslog, command"


def destination(reading: Reading, node: Node, key: str) -> Destination:
    """`log`, `console`, `syslog`, `null`, `{file: PATH}`, `{syslog: FACILITY.LEVEL}` or `{command: ARGV}`."""
    if isinstance(node, Text):
        word = values.text(reading, node, key)
        found = next((each for each in WORDS if each.value == word), None)
        if found is None:
            raise Wrong(node, FORMS)
        return found, (DEFAULT_SYSLOG,) if found is Output.SYSLOG else ()
    if not isinstance(node, Map) or len(node.items) != 1:
        raise Wrong(node, FORMS)
    readers = {"file": _file, "syslog": _syslog, "command": values.words}
    chosen = values.fields(readers)(reading, node, key)
    for word, to in chosen.items():
        return Output(word), to
    raise Wrong(node, FORMS)


def _file(reading: Reading, node: Node, key: str) -> tuple[str, ...]:
    return (values.absolute_path(reading, node, key),)


def _syslog(reading: Reading, node: Node, key: str) -> tuple[str, ...]:
    written = values.text(reading, node, key)
    facility, _, level = written.partition(".")
    if facility not in FACILITIES or level not in LEVELS:
        raise Wrong(node, "FACILITY.LEVEL of syslog(3), such as daemon.info")
    return (written,)
