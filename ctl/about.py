"""`version` and `report`: who are we, and what did it cost?"""

from __future__ import annotations

from linitctl import table
from linitctl.client import NoAnswer
from linitctl.failure import OK
from linitctl.session import Command
from linitctl.style import COLOUR_OF_STATE, duration

from linit.control.messages import PROTOCOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final

    from linitctl.session import Session


def _no_arguments(parser: ArgumentParser) -> None:
    pass


def _version(session: Session, options: Namespace) -> int:
    from linit import VERSION

    linit: dict[str, Any] | None = None
    try:
        hello = session.client.hello
        linit = {"version": hello["version"], "protocol": hello["protocol"], "pid": hello["pid"], "mode": hello["mode"]}
    except NoAnswer:
        pass  # the version of linitctl can be told all the same
    if session.is_json:
        session.print_json({"linitctl": {"version": VERSION, "protocol": PROTOCOL}, "linit": linit})
        return OK
    session.print(f"linitctl {VERSION}, protocol {PROTOCOL}")
    if linit is None:
        session.print(f"linit does not answer on {session.socket_path}")
    else:
        session.print("linit {version}, protocol {protocol}, pid {pid}, {mode} mode".format(**linit))
    return OK


def _report_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--by-time", action="store_true", help="the longest start first, not the first that was up")


def _report(session: Session, options: Namespace) -> int:
    result = session.call("report")
    if session.is_json:
        session.print_json(result)
        return OK
    services = [each for each in result["services"] if each["at_s"] is not None]
    services.sort(key=lambda each: -(each["start_s"] or 0.0) if options.by_time else each["at_s"])
    rows: list[list[table.Cell]] = [
        [
            each["name"],
            (each["outcome"], COLOUR_OF_STATE.get(each["outcome"], "")),
            duration(each["at_s"]),
            duration(each["wait_s"]),
            duration(each["start_s"]),
        ]
        for each in services
    ]
    header = ("NAME", "OUTCOME", "AT", "WAITED", "TOOK")
    session.print(*table.render(header, rows, session.style, right=(2, 3, 4)), "")
    session.print(*table.render((), _costs(result), session.style))
    return OK


def _costs(result: dict[str, Any]) -> list[tuple[str, str]]:
    memory = result["memory"]
    total = duration(result["total_s"])
    return [
        ("boot", f"{total} to {result['runlevel']}" if result["is_finished"] else f"not finished after {total}"),
        ("failed", ", ".join(result["failed"]) or "nothing"),
        ("memory", ", ".join(f"{key.split('_')[0].upper()} {memory[key] / 2**20:.1f} MiB" for key in memory)),
        ("wake-ups", str(result["wakeups"])),
        ("orphans", f"{result['orphans_reaped']} reaped"),
        ("log process", f"pid {result['logger_pid']}, {result['logger_restarts']} restarts"),
        ("interpreter", f"Python {result['interpreter']}, {result['modules']} modules"),
    ]


COMMANDS: Final = {
    "version": Command(_no_arguments, _version, "Show the versions of linitctl and of linit.", "linitctl version"),
    "report": Command(
        _report_arguments,
        _report,
        "Show when each service came up during the boot, how long it waited for others and how long its own start\n"
        "took; and what linit itself costs.",
        "linitctl report --by-time",
    ),
}
