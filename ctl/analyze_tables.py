"""How is the analysis of a boot told to a person? Lines from what `linit.planning.analyze` gives."""

from __future__ import annotations

from linitctl import table
from linitctl.style import BOLD, CYAN, DIM, GREEN, RED, YELLOW, clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from linitctl.style import Style

COLOUR_OF_CHANGE: Final = {"slower": RED, "faster": GREEN, "new": CYAN, "gone": DIM, "fails": RED, "recovers": GREEN}
CRITICAL: Final = "*"


def seconds(value: float | None) -> str:
    """`0.214 s`: a boot is a matter of milliseconds; "" for None."""
    return "" if value is None else f"{value:.3f} s"


def _boot(head: dict[str, Any]) -> str:
    """Which boot it was, and how long it took."""
    begun = f"boot of {clock(head['origin_s'])}"
    if not head["is_reached"]:
        when = "yet" if head["is_under_way"] else "by the last event"
        return f"{begun}: not at {head['runlevel']} {when}, after {seconds(head['ends_s'])}"
    return f"{begun}: {head['runlevel']} reached after {seconds(head['reached_s'])}"


def _origin(head: dict[str, Any]) -> str:
    return "the beginning of the kernel" if head["origin"] == "kernel" else "the start of linit"


def time(told: dict[str, Any], style: Style) -> Iterator[str]:
    """The phases."""
    yield _boot(told)
    yield ""
    rows = [
        [each["what"], seconds(each["at_s"]) or "?", seconds(each["took_s"]), each["note"]] for each in told["moments"]
    ]
    yield from table.render(("MOMENT", "AT", "AFTER", ""), rows, style, right=(1, 2))
    yield ""
    yield f"AT: since {_origin(told)}. AFTER: since the moment before."
    if told["failed"]:
        yield style.paint(f"failed: {', '.join(told['failed'])}", RED)


def blame(told: dict[str, Any], style: Style) -> Iterator[str]:
    """The services."""
    yield _boot(told)
    yield ""
    rows = [_blamed(each) for each in told["services"]]
    header = ("TOOK", "CPU", "QUEUED", "WAITED", "AT", "", "SERVICE", "")
    yield from table.render(header, rows, style, right=(0, 1, 2, 3, 4))
    yield ""
    yield f"{CRITICAL} is on the critical path. QUEUED is for a processor. WAITED is for others, before its start."
    yield f"AT: since {_origin(told)}."
    lacking = sum(each["cpu_s"] is None and each["took_s"] is not None for each in told["services"])
    if lacking:
        yield f"The CPU time of {lacking} is not known: they had no cgroup, or nothing ran for them."


def _blamed(each: dict[str, Any]) -> list[table.Cell]:
    notes = [each["outcome"]] if each["outcome"] != "up" else []
    notes += [f"{each['attempts']} attempts"] if each["attempts"] > 1 else []
    return [
        seconds(each["took_s"]),
        seconds(each["cpu_s"]),
        seconds(each.get("queued_s")),
        seconds(each["waited_s"]),
        seconds(each["at_s"]),
        CRITICAL if each["is_critical"] else "",
        (each["name"], RED if each["outcome"] == "failed" else BOLD if each["is_critical"] else ""),
        (", ".join(notes), RED if each["outcome"] == "failed" else YELLOW),
    ]


def critical_path(told: dict[str, Any], style: Style) -> Iterator[str]:
    """The chain, from the first to the last."""
    yield _boot(told)
    yield ""
    if not told["links"]:
        yield f"{told['to']} waited for nothing that took time."
        return
    begins_s = told["begins_s"]
    rows: list[list[table.Cell]] = []
    if begins_s is not None:
        rows.append([seconds(0.0), seconds(begins_s), ("(before the first service: linitctl analyze time)", DIM), ""])
    for each in told["links"]:
        if each["waited_s"] >= 0.001:
            rows.append(
                [seconds(each["from_s"] - each["waited_s"]), seconds(each["waited_s"]), ("(waits)", YELLOW), ""]
            )
        why = f"{each['edge']} {each['after']}" if each["after"] else ""
        rows.append([seconds(each["from_s"]), seconds(each["until_s"] - each["from_s"]), (each["name"], BOLD), why])
    yield from table.render(("AT", "TOOK", "SERVICE", "BECAUSE IT"), rows, style, right=(0, 1))
    yield ""
    spent_s = sum(each["until_s"] - each["from_s"] for each in told["links"])
    is_up = f"{told['to']} was there after {seconds(told['to_s'])}" if told["to_s"] is not None else "not there yet"
    yield f"{is_up}; the starts on its path took {seconds(spent_s)}."


def compare(told: dict[str, Any], style: Style) -> Iterator[str]:
    """What changed."""
    before, now = told["before"], told["now"]
    yield f"before  {_boot(before)}"
    yield f"now     {_boot(now)}"
    if before["is_reached"] and now["is_reached"]:
        yield f"        {_signed(now['reached_s'] - before['reached_s'])}"
    yield ""
    if told["changes"]:
        rows = [_changed(each) for each in told["changes"]]
        header = ("EFFECT", "BEFORE", "NOW", "", "", "SERVICE")
        yield from table.render(header, rows, style, right=(0, 1, 2))
        yield ""
        yield f"{CRITICAL} is on the critical path of one of them. In brackets: of linit itself, not a service."
    services = f"{told['same']} service{'' if told['same'] == 1 else 's'}"
    yield f"{services} took as long as before, within 10 ms or a twentieth."


def _changed(each: dict[str, Any]) -> list[table.Cell]:
    return [
        _signed(each["effect_s"]),
        seconds(each["before_s"]),
        seconds(each["now_s"]),
        (each["what"], COLOUR_OF_CHANGE[each["what"]]),
        CRITICAL if each["is_critical"] else "",
        f"({each['name']})" if each["is_phase"] else each["name"],
    ]


def _signed(value: float) -> str:
    return f"{value:+.3f} s"
