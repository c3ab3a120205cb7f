"""How does a service look in `list`?"""

from __future__ import annotations

from linitctl import table
from linitctl.style import COLOUR_OF_STATE, KEPT, OUTDATED, RED, YELLOW, age, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from linitctl.style import Style

    Brief = dict[str, Any]  # the keys that `list` asks for

HEADER: Final = ("NAME", "STATE", "PID", "FOR", "TOOK", "DESCRIPTION")
NUMBERS: Final = (2, 3, 4)  # the columns that are
# States whose reason says more than the description of the service.
TELLING: Final = ("failed", "waiting", "starting", "stopping", "backoff")
UNMET: Final = "condition"  # the cause of a service that is down because its conditions are not met


def render(records: list[Brief], style: Style, width: int) -> list[str]:
    """The lines of a table; `width` as of linitctl.table.render."""
    lines = [_row(record, is_below) for record, is_below in grouped(records)]
    return table.render(HEADER, lines, style, width, NUMBERS)


def grouped(records: list[Brief]) -> Iterator[tuple[Brief, bool]]:
    """What starts a service stands below it: each record, and whether it does."""
    names = {record["name"] for record in records}
    for record in sorted(
        records, key=lambda each: (each["activates"] or each["name"], each["activates"], each["name"])
    ):
        yield record, record["activates"] in names


def _row(record: Brief, is_below: bool) -> list[table.Cell]:
    state = record["state"]
    mark = " (transient)" if record["transient"] else ""
    told = ", ".join(record["waits_for"]) or f"{record['description']}{mark}"
    is_told = state in TELLING or record["cause"] == UNMET
    text = record["text"] if is_told else told
    colour = RED if state == "failed" else ""
    if record["outdated"]:
        text, colour = KEPT if record["broken"] else OUTDATED, YELLOW
    return [
        ("  " * is_below + record["name"], RED if state == "failed" else ""),
        (state, COLOUR_OF_STATE.get(state, "")),
        str(record["pid"] or ""),
        age(record["since_s"]),
        duration(record["duration_s"]) if state == "up" else "",
        (text, colour),
    ]
