"""`list` and `status`: what is there, and how is it?"""

from __future__ import annotations

from linitctl import table
from linitctl.failure import OK
from linitctl.session import Command
from linitctl.style import BOLD, COLOUR_OF_STATE, RED, YELLOW, age, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    from linitctl.session import Session

    from linit.control.messages import ServiceRecord

# States whose reason says more than the description of the service.
TELLING: Final = ("failed", "waiting", "starting", "stopping", "backoff")
UNMET: Final = "condition"  # the cause of a service that is down because its conditions are not met
OUTDATED: Final = "its definition changed: a restart puts the new one to use"


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", default="", help="part of a name, or with * and ?")
    parser.add_argument("--all", action="store_true", help="also what is down and in no runlevel, and runlevels")
    parser.add_argument("--failed", action="store_true", help="only what has failed")
    parser.add_argument("--runlevel", metavar="NAME", default="", help="only what is enabled in this runlevel")


def _list(session: Session, options: Namespace) -> int:
    everything: list[ServiceRecord] = session.services()
    chosen = [record for record in everything if is_chosen(record, options)]
    if session.is_json:
        session.print_json(chosen)
        return OK
    rows = [_row(record, is_below) for record, is_below in grouped(chosen)]
    header = ("NAME", "STATE", "PID", "FOR", "TOOK", "DESCRIPTION")
    if rows:
        session.print(*table.render(header, rows, session.style, session.width(), right=(2, 3, 4)))
    else:
        session.print("nothing has failed" if options.failed else "no such services")
    hidden = len(everything) - len(chosen)
    if hidden and session.width() and not (options.pattern or options.failed or options.runlevel):
        session.print("", f"{hidden} more: linitctl list --all")
    return OK


def is_chosen(record: ServiceRecord, options: Namespace) -> bool:
    """Does `list` show this service?"""
    if options.failed and record["state"] != "failed":
        return False
    if options.runlevel and options.runlevel not in record["runlevels"]:
        return False
    if options.pattern:
        return _matches(record["name"], options.pattern)
    if options.all or options.failed or options.runlevel:
        return True
    if record["kind"] in ("runlevel", "virtual"):
        return False
    return record["state"] != "down" or record["desired"] == "up" or bool(record["runlevels"])


def _matches(name: str, pattern: str) -> bool:
    if not any(letter in pattern for letter in "*?["):
        return pattern in name
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)


def grouped(records: list[ServiceRecord]) -> Iterator[tuple[ServiceRecord, bool]]:
    """What starts a service stands below it: each record, and whether it does."""
    names = {record["name"] for record in records}
    for record in sorted(
        records, key=lambda each: (each["activates"] or each["name"], each["activates"], each["name"])
    ):
        yield record, record["activates"] in names


def _row(record: ServiceRecord, is_below: bool) -> list[table.Cell]:
    state = record["state"]
    mark = " (transient)" if record["transient"] else ""
    told = ", ".join(record["waits_for"]) or f"{record['description']}{mark}"
    is_told = state in TELLING or record["reason"]["cause"] == UNMET
    text = record["text"] if is_told else told
    colour = RED if state == "failed" else ""
    if record["outdated"]:
        text, colour = OUTDATED, YELLOW
    return [
        ("  " * is_below + record["name"], RED if state == "failed" else ""),
        (state, COLOUR_OF_STATE.get(state, "")),
        str(record["pid"] or ""),
        age(record["since_s"]),
        duration(record["duration_s"]) if state == "up" else "",
        (text, colour),
    ]


def _status_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a service; none: the system as a whole")


def _status(session: Session, options: Namespace) -> int:
    if not options.names:
        return _system_status(session)
    records = [session.call("status", name=name) for name in options.names]
    if session.is_json:
        session.print_json(records if len(records) > 1 else records[0])
        return OK
    for index, record in enumerate(records):
        if index:
            session.print("")
        session.print(*describe(session, record))
    return OK


def describe(session: Session, record: dict[str, Any]) -> list[str]:
    """Everything about one service, as lines."""
    style = session.style
    state = record["state"]
    took = f", took {duration(record['duration_s'])}" if state == "up" and record["duration_s"] is not None else ""
    left = f", {age(record['deadline_s'])} left" if record["deadline_s"] is not None else ""
    name = style.paint(record["name"], BOLD)
    rows = [(key, value) for key, value in _details(record) if value]
    return [
        f"{name}: {style.state(state)} for {age(record['since_s'])}{took}{left}",
        *(f"  {line}" for line in table.render((), rows, style)),
    ]


def _details(record: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "description", record["description"]
    yield "starts", record["activates"]
    yield "reason", record["text"]
    if record["wish"]["text"] != record["text"]:
        is_over = record["finished"] and record["reason"]["cause"] == "exited"
        wanted = record["wish"]["text"]
        yield ("it ran", wanted) if is_over else ("should be", f"{record['desired']}: {wanted}")
    for words in record["waits_for"]:
        yield "waits for", words
    for trigger in record["triggers"]:
        yield "triggers", f"{trigger['name']} ({trigger['state']}): {', '.join(trigger['waits_for'])}".rstrip(": ")
    for condition in record["conditions"]:
        yield "condition", condition
    for fault in record["faults"]:
        yield "fault", fault
    yield "processes", ", ".join(f"{pid} ({role})" for role, pid in record["pids"].items())
    yield "last exit", record["last_exit"]
    from linitctl import usage

    yield from usage.rows(record["usage"])
    yield "command", command_text(record["run"])
    yield "says", record["said"]
    yield "user", record["user"]
    yield "ready by", record["readiness"]
    yield "pidfile", record["pidfile"]
    if record["health"] is not None:
        yield "health", _health(record["health"])
    if record["watchdog_s"] is not None:
        yield "watchdog", f"at least every {record['watchdog_s']:g} s"
    if record["has_process"]:
        respawns = f", {record['restarts']} so far" if record["restarts"] else ""
        yield "restarts", f"{record['restart']}{respawns}"
        yield "timeouts", f"start {_limit(record['start_timeout_s'])}, stop {_limit(record['stop_timeout_s'])}"
    yield "runlevels", ", ".join(record["runlevels"])
    yield "definition", f"{record['place']} (transient)" if record["transient"] else record["place"]
    if record["outdated"]:
        yield "out of date", OUTDATED


def command_text(argv: list[str]) -> str:
    """A command as one would type it; of a script only who runs it, and how long it is."""
    script = next((argument for argument in argv if "\n" in argument), "")
    if script:
        count = len(script.splitlines())
        return f"{argv[0]}, a script of {count} line{'s' if count > 1 else ''}"
    import shlex

    return shlex.join(argv)


def _health(check: dict[str, Any]) -> str:
    count = check["retries"]
    failures = "the first failure counts" if count == 1 else f"{count} failures in a row count"
    return f"{command_text(check['run'])}, every {check['interval_s']:g} s; {failures}"


def _limit(seconds: float | None) -> str:
    return f"{seconds:g} s" if seconds is not None else "never"


def _system_status(session: Session) -> int:
    hello = session.client.hello
    records: list[ServiceRecord] = session.services()
    faults = session.call("faults")
    counts: dict[str, int] = {}
    for record in records:
        if record["kind"] not in ("runlevel", "virtual") and not record["activates"]:
            counts[record["state"]] = counts.get(record["state"], 0) + 1
    failed = [record for record in records if record["state"] == "failed"]
    if session.is_json:
        value = {**hello, "counts": counts, "failed": [record["name"] for record in failed], **faults}
        session.print_json(value)
        return OK
    order = ("up", "starting", "waiting", "backoff", "stopping", "failed", "down")
    said = ", ".join(session.style.state(state, f"{counts[state]} {state}") for state in order if state in counts)
    rows: list[tuple[table.Cell, table.Cell]] = [
        ("system", f"{hello['boot_state']}, runlevel {hello['runlevel'] or 'none yet'}"),
        ("services", said or "none"),
        *(("failed", (f"{record['name']}: {record['text']}", RED)) for record in failed),
        *(("fault", fault["text"]) for fault in faults["faults"] if fault["severity"] == "error"),
        ("linit", f"{hello['version']}, pid {hello['pid']}, {hello['mode']} mode"),
    ]
    session.print(*table.render((), rows, session.style))
    return OK


COMMANDS: Final = {
    "list": Command(
        _list_arguments,
        _list,
        "List services: what runs, what should run, and what is in a runlevel.",
        "linitctl list",
        "linitctl list 'getty*' --json",
    ),
    "status": Command(
        _status_arguments,
        _status,
        "Show everything about services; without a name, how the system as a whole is.",
        "linitctl status",
        "linitctl status nginx",
    ),
}
