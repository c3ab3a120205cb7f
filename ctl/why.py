"""`why`: why is a service in its state? A paragraph, the chain behind it, and the last lines of what failed.

Takes the answer map of the method `why`, or of a replayed recording (linitctl.recording): both come from
linit.engine.explain. `wall_s` of it is the clock of the machine at the moment that is told of.
"""

from __future__ import annotations

from linitctl import table
from linitctl.failure import DENIED, OK, Failure
from linitctl.session import Command
from linitctl.style import COLOUR_OF_STATE, age, clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from linitctl.logs import Line
    from linitctl.session import Session

    Reader = Callable[[str, float, float | None], list[Line]]  # service, from, until: seconds since the epoch

SHOWN_LINES: Final = 5
READ_LINES: Final = 200  # first; more when the run began before them
READ_GROWTH: Final = 16
EARLY_S: Final = 0.01  # two clocks are read one after the other
EXACT_S: Final = 60.0  # much happens in the first minute of a boot
SETTLE_S: Final = 1.0  # a line gets its time when the log process reads it, which may be after the end of its writer
OWN: Final = b"linit: "
START: Final = b"linit: starting"

RUNS: Final = ("process", "forking", "oneshot")
ENDED: Final = frozenset(  # causes that are about a run of the service's own processes
    {
        "exited", "spawn_failed", "readiness_failed", "unhealthy", "start_timeout", "step_timeout", "stop_timeout",
        "respawn", "respawn_limit",
    }
)  # fmt: skip
FINAL: Final = ENDED - {"respawn", "respawn_limit", "stop_timeout"}
LASTING: Final = frozenset({"runlevel", "pulled_in"})  # wishes that hold since a moment
ACTS: Final = frozenset(  # what somebody did at a moment
    {"requested", "activated", "stopped", "restarted", "shutdown", "runlevel_left", "conflict", "removed"}
)
AT_REST: Final = ("down", "failed")
STARTS_WHEN: Final = {
    "socket": "at the first client",
    "timer": "by the clock",
    "watch": "when one of its paths says so",
}
STOP_STEPS: Final = {
    "command": "Its stop command runs.",
    "signals": "It has been sent its stop signal.",
    "kill": "It has been sent SIGKILL.",
}


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a service")
    parser.add_argument(
        "--at", default="", metavar="TIME", help="as of then: seconds after the boot, HH:MM[:SS], or YYYY-MM-DD HH:MM"
    )
    parser.add_argument("--boot", type=int, default=0, metavar="-N", help="of an earlier boot; -1 is the one before")
    parser.add_argument("--file", default="", metavar="FILE", help="of a saved recording")


def _why(session: Session, options: Namespace) -> int:
    if options.at or options.boot or options.file:
        from linitctl import recording  # only for what is past

        result = recording.why(session, options)
    else:
        result = session.call("why", name=options.name)
    # The lines of a machine that a saved recording came from are not on this one.
    read = None if options.file else reader(session)
    return show(session, result, read)


def show(session: Session, result: dict[str, Any], read: Reader | None) -> int:
    """The whole answer. `read` gives lines of the log; None: there are none to be had."""
    output = output_of(result, read)
    if session.is_json:
        session.print_json({**result, "output": as_json(output)})
        return OK
    if "at_s" in result:
        at_s = result["at_s"]
        after = f"{at_s:.2f} s" if at_s < EXACT_S else age(at_s)
        session.print(f"As of {clock(result['wall_s'])}, {after} after the beginning:")
    session.print(" ".join(sentences(result)))
    session.print(*tree(session, result["chain"]))
    if output is not None:
        name, lines, problem = output
        from linitctl.logs import Printer  # only for who has failed: it imports re

        session.print("", problem or f"last lines of {name}:")
        Printer(session, with_names=False).lines(lines)
    return OK


def as_json(output: tuple[str, list[Line], str] | None) -> dict[str, Any] | None:
    """The last lines as data."""
    if output is None:
        return None
    name, lines, problem = output
    texts = [{"time": stamp, "text": data.decode("utf-8", "replace")} for stamp, _, data in lines]
    return {"name": name, "lines": texts, "problem": problem}


# -- the paragraph


def sentences(result: dict[str, Any]) -> Iterator[str]:
    """What it is, what it should be, and each cause down to the root."""
    now = Clock(result)
    for link in result["chain"]:
        yield _ended(f"{link['name']} {now.state(link)}: {now.reason(link['text'], link['reason'])}")
        yield from _more(link)
        is_first = link is result["chain"][0]
        if is_first and link["desired"] == "up" and (link["state"] != "up" or link["kind"] == "virtual"):
            is_over = link.get("finished") and link["reason"]["cause"] == "exited"
            yield _ended(f"It {'ran' if is_over else 'should be up'}: {now.wishes(result['wishes'])}")
        elif link.get("desired") == "down" and _is_stop(link) and link["wish"] != link["text"]:
            yield _ended(f"It should be down: {now.reason(link['wish'], link['wish_reason'])}")
        if is_first and link["state"] in AT_REST:
            yield from (_started_by(each) for each in result.get("triggers", ()) if each["starts"])
    told = " ".join(link["text"] for link in result["chain"])
    yield from (_ended(fault) for fault in result["faults"] if fault not in told)


def _started_by(trigger: dict[str, Any]) -> str:
    """`web.socket starts it at the first client, and is armed: listens on tcp 0.0.0.0:80 (fd web).`"""
    name, when = trigger["name"], STARTS_WHEN[trigger["kind"]]
    if trigger["state"] != "up":
        return _ended(f"{name} would start it {when}, but is {trigger['state']}: {trigger['text']}")
    words = ", ".join(trigger["waits_for"])
    return _ended(f"{name} starts it {when}, and is armed{': ' if words else ''}{words}")


def _is_stop(link: dict[str, Any]) -> bool:
    return bool(link["state"] == "stopping" or link["reason"]["cause"] == "stop_timeout")


def _ended(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _more(link: dict[str, Any]) -> Iterator[str]:
    """How far a stop has come, and what may follow an end."""
    state, respawns = link["state"], link.get("respawns")
    if state == "stopping" and link["stop_phase"] in STOP_STEPS:
        yield STOP_STEPS[link["stop_phase"]]
    elif state in ("failed", "down") and link["reason"]["cause"] in FINAL and link["kind"] in RUNS:
        if link["wish_reason"]["cause"] == "activated":
            return  # what started it will do so again
        yield f"With restart: {link['restart']} it is not started again."
    if respawns is None or not (state == "backoff" or (state == "up" and respawns["used"])):
        return
    used, limit, left = respawns["used"], respawns["limit"], respawns["left"]
    window = f"within {age(respawns['window_s'])}"
    if limit is None:
        yield f"It has respawned {_times(used)} {window}, without a limit."
    else:
        yield f"It has used {used} of {limit} respawns {window}, {left or 'none'} {'is' if left == 1 else 'are'} left."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


class Clock:
    """Words for moments: the answer has seconds before its own moment, people have clocks."""

    def __init__(self, result: dict[str, Any]) -> None:
        self._now_s: float = result["now_s"]
        self._wall_s: float = result["wall_s"]

    def moment(self, ago_s: float) -> str:
        """`14:50:01`; of another day with its date."""
        today, then = clock(self._wall_s), clock(self._wall_s - ago_s)
        return then[11:] if then[:11] == today[:11] else then

    def state(self, link: dict[str, Any]) -> str:
        """`has been starting for 12 s (since 14:49:49), 48 s left (until 14:50:49)`."""
        state = link["state"]
        if state == "missing":
            return "is not defined"
        if link["reason"]["cause"] in ("never_wanted", "broken", "cycle"):
            return "has failed" if state == "failed" else f"is {state}"
        until_s = link["until_s"]
        left = f", {age(until_s)} left (until {self.moment(-until_s)})" if until_s is not None else ""
        since = self.moment(link["since_s"])
        if state == "failed":
            return f"failed {age(link['since_s'])} ago ({since})"
        if state == "backoff" and until_s is not None:
            return f"is to be started again in {age(until_s)} ({self.moment(-until_s)})"
        return f"has been {state} for {age(link['since_s'])} (since {since}){left}"

    def reason(self, text: str, reason: dict[str, Any]) -> str:
        """A reason with its moment, where it is something that somebody wished or did."""
        cause = reason.get("cause")
        if cause in LASTING:
            return f"{text} since {self.moment(self._now_s - reason['at_s'])}"
        if cause in ACTS:
            by = reason.get("by", "somebody")
            who = {"runlevel_left": f", which {by} entered", "conflict": f", which {by} asked for"}.get(cause, "")
            return f"{text}{who} at {self.moment(self._now_s - reason['at_s'])}" if reason["at_s"] else text
        return text

    def wishes(self, wishes: list[dict[str, Any]]) -> str:
        """Who wants it, and who wants that."""
        first, *others = wishes
        parts = [self.reason(first["text"], first["reason"])]
        for each in others:
            verb = {"runlevel": "is", "never_wanted": "is up to nobody:"}.get(each["reason"]["cause"], "was")
            parts.append(f"{each['name']} {verb} {self.reason(each['text'], each['reason'])}")
        return "; ".join(parts)


def tree(session: Session, chain: list[dict[str, Any]]) -> list[str]:
    """The chain as lines, the root cause last; none for a chain of one."""
    if len(chain) < 2:
        return []
    rows: list[list[table.Cell]] = [
        [
            f"{'   ' * (depth - 1)}└─ {link['name']}" if depth else link["name"],
            (link["state"], COLOUR_OF_STATE.get(link["state"], "")),
            link["text"],
        ]
        for depth, link in enumerate(chain)
    ]
    return ["", *table.render((), rows, session.style)]


# -- the last lines


def output_of(result: dict[str, Any], read: Reader | None) -> tuple[str, list[Line], str] | None:
    """(service, its last lines, why there are none) of the root of the chain, if it ended otherwise than it should."""
    root = result["chain"][-1]
    is_about_a_run = root["state"] in ("failed", "backoff") and root["reason"].get("cause") in ENDED
    if read is None or not is_about_a_run or root.get("run_s") is None:
        return None
    name = root["name"]
    if root["output"] != "log":
        return name, [], f"what {name} wrote is not in the log: its output goes to {root['output']}"
    since_s = result["wall_s"] - root["run_s"]
    until_s = result["wall_s"] + SETTLE_S if "at_s" in result else None
    try:
        lines = read(name, since_s, until_s)
    except Failure as fault:
        hint = "; as root: " if fault.hint else "; see: "
        return name, [], f"what {name} wrote cannot be read: {fault.message}{hint}linitctl logs {name}"
    if lines:
        return name, lines, ""
    could_not_run = root["reason"]["cause"] == "spawn_failed" or root["text"].startswith("could not be run")
    return None if could_not_run else (name, [], f"{name} wrote nothing in that run")


def reader(session: Session) -> Reader:
    """Reads the files of the log process, as `linitctl logs` does. It raises Failure when these may not be read."""

    def read(name: str, since_s: float, until_s: float | None) -> list[Line]:
        from linitctl.logfiles import Folders
        from linitctl.logprocess import late_words
        from linitctl.logs import check

        paths = session.paths()
        if late := late_words(paths["run"]):
            session.complain(late)
        path = Folders(paths["log"], paths["run"]).live(name)
        try:
            check(session, name, path)
        except Failure as fault:
            raise Failure(fault.status, fault.message, "as root" if fault.status == DENIED else "") from fault
        return lines_of_run(name, path, since_s, until_s)

    return read


def lines_of_run(name: str, path: str, since_s: float, until_s: float | None, count: int = SHOWN_LINES) -> list[Line]:
    """The last lines that a service wrote in the run that began then; linit's own are left out."""
    from linitctl.logs import tail

    since, until = stamp(since_s - EARLY_S), stamp(until_s) if until_s is not None else ""
    wanted = READ_LINES
    while True:
        lines = tail(name, path, wanted)
        if len(lines) < wanted or any(time and time < since for time, _, _ in lines):
            break
        wanted *= READ_GROWTH
    later = [line for line in lines if line[0] >= since and (not until or line[0] <= until)]
    starts = [index for index, line in enumerate(later) if begins_run(line)]
    before = [index for index in starts if later[index][0] < stamp(since_s)]
    after = [index for index in starts if index not in before]
    if len(after) > 1 and until_s is not None:  # the second one begins the next run; of the last run there is none
        later = later[: after[1]]
    if before and after:  # the run before began just then, too; a line may be read before the start is told
        later = [line for line in later if line[0] >= stamp(since_s)]
    return [line for line in later if not is_own(line)][-count:]


def is_own(line: Line) -> bool:
    """Is it something that linit says of the service? Source: linit/logs/README.md."""
    return line[2].startswith(OWN)


def begins_run(line: Line) -> bool:
    """Does linit say here that a run begins?"""
    return line[2] == START


def stamp(wall_s: float) -> str:
    """A moment as the log process writes it: the text sorts as the time does."""
    import time  # only here: linitctl starts faster without

    whole = int(wall_s // 1)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((wall_s - whole) * 1e6):06d}Z"


COMMANDS: Final = {
    "why": Command(
        _arguments,
        _why,
        "Tell why a service is in its state, down to the root cause: what it waits for and until when, who asked and\n"
        "when, what failed with the last lines of its output, how many respawns are left.",
        "linitctl why nginx",
        "linitctl why nginx --boot -1 --at 03:20",
    ),
}
