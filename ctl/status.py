"""`status`: how is a service, or the system as a whole?"""

from __future__ import annotations

from linitctl import table, usage
from linitctl.failure import OK
from linitctl.session import Command
from linitctl.style import BOLD, KEPT, OUTDATED, RED, age, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

    from linitctl.session import Session
    from linitctl.style import Style

# What a shell takes as it is.
PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")
# What the system as a whole needs of a service.
SHOWN: Final = ("name", "kind", "state", "text", "activates")


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
        yield "out of date", KEPT if record["broken"] else OUTDATED


def command_text(argv: list[str]) -> str:
    """A command as one would type it; of a script only who runs it, and how long it is."""
    script = next((argument for argument in argv if "\n" in argument), "")
    if script:
        count = len(script.splitlines())
        return f"{argv[0]}, a script of {count} line{'s' if count > 1 else ''}"
    return " ".join(map(_quoted, argv))


def _quoted(argument: str) -> str:
    """As shlex.quote has it, which imports more than all of linitctl."""
    return argument if argument and PLAIN.issuperset(argument) else "'" + argument.replace("'", "'\"'\"'") + "'"


def _health(check: dict[str, Any]) -> str:
    count = check["retries"]
    failures = "the first failure counts" if count == 1 else f"{count} failures in a row count"
    return f"{command_text(check['run'])}, every {check['interval_s']:g} s; {failures}"


def _limit(seconds: float | None) -> str:
    return f"{seconds:g} s" if seconds is not None else "never"


def _counted(style: Style, counts: Mapping[str, int]) -> str:
    order = ("up", "starting", "waiting", "backoff", "stopping", "failed", "down")
    return ", ".join(style.state(state, f"{counts[state]} {state}") for state in order if state in counts)


def _system_status(session: Session) -> int:
    hello = session.client.hello
    records = list(session.client.brief_services(SHOWN))
    faults = session.call("faults")
    counts: dict[str, int] = {}
    triggers: dict[str, int] = {}
    for record in records:
        if record["kind"] not in ("runlevel", "virtual"):
            counted = triggers if record["activates"] else counts
            counted[record["state"]] = counted.get(record["state"], 0) + 1
    failed = [record for record in records if record["state"] == "failed" and record["kind"] != "virtual"]
    if session.is_json:
        names = [record["name"] for record in failed]
        session.print_json({**hello, "counts": counts, "triggers": triggers, "failed": names, **faults})
        return OK
    told = "\n".join(record["text"] for record in failed)
    errors = [each["text"] for each in faults["faults"] if each["severity"] == "error" and each["text"] not in told]
    rows: list[tuple[table.Cell, table.Cell]] = [
        ("system", f"{hello['boot_state']}, runlevel {hello['runlevel'] or 'none yet'}"),
        ("services", _counted(session.style, counts) or "none"),
        *((("triggers", _counted(session.style, triggers)),) if triggers else ()),
        *(("failed", (f"{record['name']}: {record['text']}", RED)) for record in failed),
        *(("fault", text) for text in errors),
        ("linit", f"{hello['version']}, pid {hello['pid']}, {hello['mode']} mode"),
    ]
    session.print(*table.render((), rows, session.style))
    return OK


COMMANDS: Final = {
    "status": Command(
        _status_arguments,
        _status,
        "Show everything about services; without a name, how the system as a whole is.",
        "linitctl status",
        "linitctl status nginx",
    ),
}
