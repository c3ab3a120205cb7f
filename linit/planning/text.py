"""How are plans and impacts told? Lines for people, plain values for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from linit.model.service import Kind
from linit.planning.boot_plan import BootPlan, Change, Planned
from linit.planning.durations import Durations, Origin
from linit.planning.impact import Booted, Impact, Login, Point

GAP = "  "
CHANGES = ("fails", "new", "gone", "recovers", "later", "earlier")  # in the order in which they are told


def seconds(value: float | None) -> str:
    """`0.21 s`; "" for None."""
    return "" if value is None else f"{value:.2f} s"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines whose cells line up."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def boot_plan(plan: BootPlan, durations: Durations) -> Iterator[str]:
    """The waves, the critical path, and what would fail."""
    shown = [each for each in plan.services if each.kind is not Kind.VIRTUAL]
    end = "never over" if plan.total_s is None else f"over after {seconds(plan.total_s)}"
    yield f"boot of runlevel {plan.runlevel}: {end}"
    yield f"durations: {durations_used([each.name for each in shown if each.duration != 'none'], durations)}"
    if durations.problem:
        yield f"recordings: {durations.problem}"
    yield from _conditions(shown)
    yield ""
    header = ("WAVE", "STARTS", "UP", "TAKES", "", "SERVICE", "AFTER")
    yield from columns([header, *(_planned(each) for each in shown if each.starts_s is not None)])
    yield ""
    yield f"critical path (*): {' > '.join(_critical(plan)) or 'none'}"
    failed = [f"{each.name}: {each.outcome}: {each.why}" for each in shown if each.outcome != "up"]
    if failed:
        yield from ("", "not up:", *(f"  {line}" for line in failed))


def _conditions(shown: Iterable[Planned]) -> Iterator[str]:
    """How they come out: as on the last boot, or, where that does not know them, as met."""
    asked = [each for each in shown if each.conditions]
    recorded = [each.name for each in asked if each.conditions_from == "recorded"]
    if recorded:
        yield f"conditions as on the last boot: {', '.join(recorded)}"
    for each in asked:
        if each.conditions_from == "assumed":
            yield f"condition taken as met: {each.name}: {', '.join(each.conditions)}"


def durations_used(names: Iterable[str], durations: Durations) -> str:
    """`38 measured in 4 boots, 2 assumed to be 0.10 s (?)`: where those of these services are from."""
    origins = Counter(map(durations.origin, names))
    boots = f"{durations.boots} boot{'s' if durations.boots != 1 else ''}"
    words = {
        Origin.GIVEN: "given",
        Origin.MEASURED: f"measured in {boots}",
        Origin.REPORTED: "as linit reports of this boot",
        Origin.ASSUMED: f"assumed to be {seconds(durations.assumed_s)} (?)",
    }
    return ", ".join(f"{origins[origin]} {text}" for origin, text in words.items() if origins[origin]) or "none needed"


def _planned(each: Planned) -> tuple[str, ...]:
    is_up = each.outcome == "up"
    took = each.ends_s - each.starts_s if each.ends_s is not None and each.starts_s is not None else None
    return (
        str(each.wave),
        seconds(each.starts_s),
        seconds(each.ends_s) if is_up else each.outcome,
        seconds(took) + ("?" if each.duration == "assumed" else "") if each.duration != "none" else "",
        "*" if each.is_critical else "",
        each.name,
        f"{each.edge} {each.after}" if each.after else "",
    )


def _critical(plan: BootPlan) -> Iterator[str]:
    services = {each.name: each for each in plan.services}
    for name in plan.critical:
        each = services[name]
        if each.ends_s is not None and each.starts_s is not None and each.duration != "none":
            yield f"{name} {seconds(each.ends_s - each.starts_s)}"
        else:
            yield name


def difference(changes: Sequence[Change], before: BootPlan, now: BootPlan, where: str) -> Iterator[str]:
    """What is new, gone, earlier, later, and fails; and the totals."""
    totals = f"over after {seconds(before.total_s) or 'never'} then, {seconds(now.total_s) or 'never'} now"
    yield f"against the plan in use ({where}): {totals}"
    if not changes:
        yield "no service starts at another time"
        return
    rows = []
    for what in CHANGES:
        rows += [(what, each.name, _times(each)) for each in changes if each.what == what]
    yield from columns(rows)


def _times(change: Change) -> str:
    if change.before_s is None or change.now_s is None:
        return seconds(change.before_s if change.now_s is None else change.now_s)
    return f"{seconds(change.before_s)} -> {seconds(change.now_s)} ({change.now_s - change.before_s:+.2f} s)"


def boot_plan_json(plan: BootPlan, durations: Durations) -> dict[str, Any]:
    """The same for a program."""
    services = [
        asdict(each) | {"kind": each.kind.value, "duration_from": _origin(each, durations)} for each in plan.services
    ]
    return {
        "runlevel": plan.runlevel,
        "total_s": plan.total_s,
        "assumed_s": durations.assumed_s,
        "measured_boots": durations.boots,
        "problem": durations.problem,
        "critical_path": list(plan.critical),
        "services": services,
    }


def _origin(each: Planned, durations: Durations) -> str:
    return "" if each.duration == "none" else durations.origin(each.name).value


def impact(found: Impact) -> Iterator[str]:
    """What is lost, what is worse off, and how somebody still gets in."""
    if not found.is_up:
        yield f"{found.name}: not up in this runlevel; nothing depends on it being up"
        return
    yield f"{found.name}: {_count(found.stops)} {'stops' if len(found.stops) == 1 else 'stop'} with it"
    rows = [
        ("stops", _list(found.stops)),
        ("let go", ", ".join(found.let_go)),
        ("degrades", _list(f"{each.name} ({each.kind} {each.on})" for each in found.degrades)),
        ("no longer started", ", ".join(f"{each.name} {each.how}" for each in found.unstarted)),
        ("logins", _list(f"{each.name} {'is lost' if each.is_lost else 'stays'}" for each in found.logins)),
        ("if it fails in a boot", _list(map(_login, found.logins))),
        ("is lost with", _list(found.needs)),
    ]
    yield from (f"  {line}" for line in columns([row for row in rows if row[1]]))


def _login(login: Login) -> str:
    if login.after_failure_s is None:
        return f"{login.name} never"
    return f"{login.name} after {seconds(login.after_failure_s)}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} {'service' if len(names) == 1 else 'services'}"


def points(booted: Booted, found: Sequence[Point]) -> Iterator[str]:
    """Single points of failure, the worst first."""
    everything = [each.name for each in found if each.logins_lost == booted.logins and booted.logins]
    yield f"ways to log in: {_list(booted.logins)}"
    yield f"lost with all of them: {_list(everything)}"
    yield ""
    rows = [(each.name, str(len(each.takes_down)), ", ".join(each.logins_lost)) for each in found]
    yield from columns([("SERVICE", "TAKES DOWN", "LOGINS LOST"), *rows])
