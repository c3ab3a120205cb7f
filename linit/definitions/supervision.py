"""What do the keys mean that say how a service is looked after while it runs, and what starts it or keeps it down?

Readers for `linit.definitions.keys`: health, schedule, watch, when. `listen` is in `linit.definitions.listening`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from linit.definitions import values
from linit.definitions.commands import command, command_with
from linit.definitions.document import List, Map, Node, Text
from linit.definitions.values import Reader, Reading, Wrong
from linit.model import calendar
from linit.model.service import (
    Command,
    Condition,
    ConditionKind,
    Health,
    Kind,
    Schedule,
    WatchedPath,
    WatchKind,
)

T = TypeVar("T")

FD_STORE_MAX: Final = 512
RETRIES_MAX: Final = 1000

_HEALTH: Final[dict[str, Reader[Any]]] = {
    "interval": values.some_duration,
    "timeout": values.some_duration,
    "retries": values.whole(1, RETRIES_MAX),
    "grace": values.duration,
}
_HEALTH_FIELDS: Final = command_with(_HEALTH)


def health(reading: Reading, node: Node, key: str) -> Health:
    """A command that succeeds while the service is well, and how often it is asked."""
    probe, more = _HEALTH_FIELDS(reading, node, key)
    seconds = {f"{each}_s": value for each, value in more.items() if each != "retries"}
    return Health(probe, **seconds, **({"retries": more["retries"]} if "retries" in more else {}))


def _calendar(reading: Reading, node: Node, key: str) -> str:
    """An expression as it is written; the clock reads it again."""
    written = values.some_text(reading, node, key)
    try:
        calendar.parse(written)
    except calendar.NoCalendar as error:
        raise Wrong(node, error.expected, found=error.found) from None
    return " ".join(written.split())


_SCHEDULE: Final[dict[str, Reader[Any]]] = {
    "every": values.some_duration,
    "after_boot": values.duration,
    "calendar": values.list_of(_calendar),
    "persistent": values.yes_or_no,
}
_SCHEDULE_FIELDS: Final = values.fields(_SCHEDULE)
_MOMENTS: Final = ("every", "after_boot", "calendar")


def schedule(reading: Reading, node: Node, key: str) -> Schedule:
    """When the clock starts a service."""
    faults = len(reading.faults)
    found = _SCHEDULE_FIELDS(reading, node, key)
    made = Schedule(
        node.place,
        every_s=found.get("every"),
        after_boot_s=found.get("after_boot"),
        calendar=found.get("calendar", ()),
        persistent=found.get("persistent", False),
    )
    if len(reading.faults) > faults:
        return made
    if made.every_s is None and made.after_boot_s is None and not made.calendar:
        raise Wrong(node, "a mapping with " + ", ".join(_MOMENTS[:-1]) + f" or {_MOMENTS[-1]}")
    if made.persistent and made.every_s is None and not made.calendar:
        raise Wrong(node, "persistent only together with every or calendar", found="'persistent'")
    return made


_WATCH_FORMS: Final = "a path, or a mapping with one of " + ", ".join(each.value for each in WatchKind)
_WATCH: Final = values.one_of({kind.value: values.absolute_path for kind in WatchKind}, _WATCH_FORMS)


def watch(reading: Reading, node: Node, key: str) -> tuple[WatchedPath, ...]:
    """A path that starts a service, or a list of them."""
    return _each(reading, node, key, _watched, _WATCH_FORMS)


def _each(reading: Reading, node: Node, key: str, reader: Reader[T | None], forms: str) -> tuple[T, ...]:
    """One value or a list of them, but not none."""
    items = node.items if isinstance(node, List) else [node]
    if not items:
        raise Wrong(node, forms)
    found = [reading.attempt(reader, item, key) for item in items]
    return tuple(each for each in found if each is not None)


def _watched(reading: Reading, node: Node, key: str) -> WatchedPath | None:
    if isinstance(node, Text):
        return WatchedPath(values.absolute_path(reading, node, key), WatchKind.CHANGES, node.place)
    found = _WATCH(reading, node, key)
    return found and WatchedPath(found[1], WatchKind(found[0]), node.place)


def _cmdline(reading: Reading, node: Node, key: str) -> str:
    written = values.some_text(reading, node, key)
    if any(each.isspace() for each in written):
        raise Wrong(node, "a word of the kernel command line, such as single or root=/dev/vda1")
    return written


def _machine(reading: Reading, node: Node, key: str) -> str:
    written = values.some_text(reading, node, key)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", written):
        raise Wrong(node, "any, none, or a name such as kvm, qemu, container or docker")
    return written


_CONDITIONS: Final[dict[str, Reader[Any]]] = {
    "path": values.absolute_path,
    "cmdline": _cmdline,
    "first_boot": values.yes_or_no,
    "virtualisation": _machine,
    "service": values.name,
}
_COMMANDS: Final = ("run", "script")
_CONDITION_FORMS: Final = "a mapping with one of " + ", ".join((*_CONDITIONS, *_COMMANDS, "not"))
# Commands have fields of their own, and are read before; here they are named where a key is unknown.
_CONDITION: Final = values.one_of({**_CONDITIONS, **dict.fromkeys((*_COMMANDS, "not"), values.text)}, _CONDITION_FORMS)


def when(reading: Reading, node: Node, key: str) -> tuple[Condition, ...]:
    """A condition, or a list of them: all must be met."""
    return _each(reading, node, key, _condition, _CONDITION_FORMS)


def _condition(reading: Reading, node: Node, key: str) -> Condition | None:
    if not isinstance(node, Map) or list(node.items) != ["not"]:
        return _plain_condition(reading, node, key)
    inner = node.items["not"][1]
    if isinstance(inner, Map) and "not" in inner.items:
        raise Wrong(inner, "a condition", found="'not' in a not")
    found = _plain_condition(reading, inner, f"{key}.not")
    return found and replace(found, negated=not found.negated)


def _plain_condition(reading: Reading, node: Node, key: str) -> Condition | None:
    if isinstance(node, Map) and any(each in node.items for each in _COMMANDS):
        run = command(reading, node, key)
        return Condition(ConditionKind.COMMAND, _words_of(run), node.place, command=run)
    found = _CONDITION(reading, node, key)
    if found is None:
        return None
    word, value = found
    if word == "first_boot":
        return Condition(ConditionKind.FIRST_BOOT, "", node.place, negated=not value)
    if (word, value) == ("virtualisation", "none"):
        return Condition(ConditionKind.VIRTUALISATION, "any", node.place, negated=True)
    return Condition(ConditionKind(word), value, node.place)


def _words_of(run: Command) -> str:
    """A command in a line, for `why`: of a script its text."""
    is_script = len(run.argv) > 3 and run.argv[-3] == "-c"
    return " ".join(run.argv[-2].split()) if is_script else shlex.join(run.argv)


UNHEARD: Final = "with private_network and chroot it does not reach the socket for that"


def check(reading: Reading, top: Map, kind: Kind, found: Mapping[str, Any]) -> None:
    """What each key allows by itself, and all of them together do not."""
    for trigger in ("schedule", "watch"):
        if kind is Kind.ONESHOT and trigger in found and "health" in found:
            place, hint = top.items["health"][0].place, f"with {trigger} a oneshot does not stay up"
            reading.error(place, "health", f"the key together with {trigger}", "one of them", hint)
    if found.get("private_network") and found.get("chroot"):
        hint = UNHEARD
        for key in ("watchdog", "fd_store", "reload"):
            if found.get(key) and (key != "reload" or found[key].notifies):
                reading.error(top.items[key][1].place, key, "sd_notify", "another way", hint)
