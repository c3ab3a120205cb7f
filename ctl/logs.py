"""`logs`: what did services write? The files of the log process are read (linit/logs/README.md, linitctl.logfiles);
PID 1 is asked only where they are."""

from __future__ import annotations

import os
import re

from linitctl import logfiles
from linitctl.client import NoAnswer
from linitctl.failure import DENIED, FAILED, OK, UNKNOWN, USAGE, Failure
from linitctl.logfiles import Entry, Folders
from linitctl.logprocess import late_words
from linitctl.session import Command
from linitctl.style import BOLD, DIM, RED, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    from linitctl.session import Session

    Line = tuple[str, str, bytes]  # time, service, text

LINES: Final = 50
BLOCK_BYTES: Final = logfiles.BLOCK_BYTES
FORMS: Final = "'10:30[:20]', '2026-11-22 10:30[:20]', '2026-11-22', '-10min', 'yesterday', 'today', 'now'"
UNITS_S: Final = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0}


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a service, `kernel` or `linit`; none: all that wrote")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument("-n", "--lines", metavar="LINES", type=int, help=f"the last ones; default: {LINES}, or all that"
                        " the other options choose; 0: none")  # fmt: skip
    parser.add_argument("--since", metavar="TIME", default="", help=f"not older: {FORMS}")
    parser.add_argument("--until", metavar="TIME", default="", help="not younger")
    parser.add_argument("--grep", metavar="RE", default="", help="only lines in which this regular expression is found")
    parser.add_argument("--boot", metavar="N", type=int, help="of one boot: 0 is this one, -1 the one before")
    # `--since -10min` is no option; argparse has no other way to say so.
    parser._negative_number_matcher = re.compile(r"-\d+(\.\d+)?[a-z]*")


def _logs(session: Session, options: Namespace) -> int:
    paths = session.paths()
    folders = Folders(paths["log"], paths["run"])
    if late := late_words(paths["run"]):
        session.complain(late)
    names = list(dict.fromkeys(options.names)) or folders.names()
    for name in names:
        check(session, name, folders.live(name))
    choice = chosen(options, folders)
    is_bounded = options.lines is not None or not choice.tests
    count = options.lines if options.lines is not None else LINES
    show = Printer(session, with_names=len(options.names) != 1)
    # The followers begin where the files end now, so that no line is lost or told twice in between.
    followers = {name: logfiles.Follower(folders, name) for name in names} if options.follow else {}
    ends = {name: follower.begun_at() for name, follower in followers.items()}
    if is_bounded:
        found = logfiles.merged([iter(last(folders, name, count, choice, ends.get(name))) for name in names])
        last_ones = list(found)[-count:] if count else []
        show.entries(last_ones)
        is_empty = not last_ones
    else:
        sources = [logfiles.forward(folders, name, choice.since, ends.get(name)) for name in names]
        all_ones = filter(choice.has, logfiles.merged(sources))
        is_empty = not show.entries(all_ones)
    if options.follow:
        follow(folders, followers, None if options.names else names, choice, show)
    elif is_empty and count and not session.is_json:
        session.complain(f"{', '.join(names) or folders.kept}: nothing was written")
    return OK


class Choice:
    """Which entries are wanted: those that pass all tests. `since`: the stamp before which none is, or ""."""

    __slots__ = ("since", "tests")

    def __init__(self, tests: Iterable[Callable[[Entry], bool]] = (), since: str = "") -> None:
        self.tests = tuple(tests)
        self.since = since

    def has(self, entry: Entry) -> bool:
        """Is this one wanted?"""
        return all(test(entry) for test in self.tests)


def chosen(options: Namespace, folders: Folders) -> Choice:
    """What the options ask for. Raises Failure."""
    tests: list[Callable[[Entry], bool]] = []
    since = logfiles.stamp(moment(options.since)) if options.since else ""
    if since:
        tests.append(lambda entry: entry.time >= since)
    if options.until:
        until = logfiles.stamp(moment(options.until))
        tests.append(lambda entry: entry.time <= until)
    if options.boot is not None:
        boot = folders.boot(options.boot)
        numbers = (boot, logfiles.NO_BOOT) if boot == folders.last_boot() else (boot,)
        tests.append(lambda entry: entry.boot in numbers)
    if options.grep:
        try:
            pattern = re.compile(options.grep.encode())
        except re.error as fault:
            raise Failure(USAGE, f"--grep: {options.grep!r} is no regular expression: {fault}") from fault
        tests.append(lambda entry: pattern.search(entry.text) is not None)
    return Choice(tests, since)


def moment(word: str, now_s: float | None = None) -> float:
    """Seconds since the epoch of what a person writes. Times without a zone are local ones. Raises Failure."""
    import datetime

    now = datetime.datetime.now() if now_s is None else datetime.datetime.fromtimestamp(now_s)
    days = {"now": now, "today": now.date(), "yesterday": now.date() - datetime.timedelta(days=1)}
    if match := re.fullmatch(r"-\s*(\d+(?:\.\d+)?)\s*([a-z]+)", word):
        if match[2] not in UNITS_S:
            raise Failure(USAGE, f"found {word!r}, expected {FORMS}")
        return now.timestamp() - float(match[1]) * UNITS_S[match[2]]
    try:
        if word in days:
            return datetime.datetime.fromisoformat(days[word].isoformat()).timestamp()
        if re.fullmatch(r"\d\d?:\d\d(:\d\d(\.\d+)?)?", word):
            return datetime.datetime.combine(now.date(), datetime.time.fromisoformat(word.zfill(5))).timestamp()
        return datetime.datetime.fromisoformat(word).timestamp()
    except ValueError:
        raise Failure(USAGE, f"found {word!r}, expected {FORMS}") from None


def last(
    folders: Folders, name: str, count: int, choice: Choice, end: logfiles.Position | None = None
) -> list[Entry]:
    """The last entries of a service that are wanted."""
    found: list[Entry] = []
    for entry in logfiles.backward(folders, name, end):
        if len(found) >= count or (choice.since and entry.time and entry.time < choice.since):
            break
        if choice.has(entry):
            found.append(entry)
    return found[::-1]


def check(session: Session, name: str, path: str) -> None:
    """Raises Failure when there is no such service, or its file may not be read."""
    if not name or "/" in name or name.startswith("."):
        raise Failure(UNKNOWN, f"no service is called {name!r}")
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        if name in logfiles.OWN_LOGS:
            return
        try:
            session.call("status", name=name)  # a service that has written nothing yet, or none at all
        except NoAnswer as fault:
            raise Failure(FAILED, f"{path}: no such file", fault.message) from fault
    except OSError as fault:
        status = DENIED if isinstance(fault, PermissionError) else FAILED
        raise Failure(status, f"{path}: {fault.strerror}") from fault


def tail(name: str, path: str, count: int) -> list[Line]:
    """The last `count` lines of the service whose file is `path`, from its old files as well, for `why`."""
    folders = Folders(os.path.dirname(path), "")
    return [entry.line() for entry in last(folders, name, count, Choice())]


class Printer:
    """Writes lines: for people with dim times, for programs one JSON object a line."""

    def __init__(self, session: Session, with_names: bool) -> None:
        self._session = session
        self._with_names = with_names
        self._is_terminal = session.out.isatty()

    def entries(self, entries: Iterable[Entry]) -> int:
        """Write them, and see to it that they are seen; how many there were."""
        count = 0
        for entry in entries:
            count += 1
            self._session.print(self._json(entry) if self._session.is_json else self._text(entry))
        self._session.out.flush()
        return count

    def lines(self, lines: Iterable[Line]) -> None:
        """The same for lines of which no more is known."""
        self.entries(Entry(time, name, text) for time, name, text in lines)

    def _text(self, entry: Entry) -> str:
        text = entry.shown().decode("utf-8", "replace")
        if self._is_terminal:
            text = printable(text)
        style = self._session.style
        who = f"{style.paint(entry.name, BOLD)}: " if self._with_names else ""
        what = style.paint(text, RED) if entry.stream == logfiles.ERR else text
        return f"{style.paint(entry.time, DIM)} {who}{what}" if entry.time else f"{who}{what}"

    def _json(self, entry: Entry) -> str:
        import json

        record: dict[str, Any] = {"time": entry.time, "name": entry.name}
        if entry.stream:
            record |= {"boot": entry.boot, "stream": entry.stream, "pid": entry.pid}
        return json.dumps(record | {"text": entry.text.decode("utf-8", "replace")}, ensure_ascii=False)


def follow(
    folders: Folders,
    followers: dict[str, logfiles.Follower],
    known: list[str] | None,
    choice: Choice,
    show: Printer,
) -> None:
    """Write new lines until Ctrl-C. `known`: nobody was asked for by name; who begins to write is followed, too."""
    from linitctl.inotify import Watch

    folder = folders.present()
    watch = Watch(folder)
    while True:
        if known is not None:
            for name in folders.names():
                if name not in followers:
                    followers[name] = logfiles.Follower(folders, name, from_begin=True)
        entries = [entry for follower in followers.values() for entry in follower.new_entries()]
        entries.sort(key=Entry.order)
        show.entries(filter(choice.has, entries))
        if folders.present() != folder:  # the lines of the early boot were brought to the disk
            folder = folders.present()
            watch = Watch(folder)
        else:
            watch.wait()


COMMANDS: Final = {
    "logs": Command(
        _arguments,
        _logs,
        "Show what services wrote, and what linit said about them, merged by time. Times are shown in UTC; those that\n"
        f"are asked for are local ones: {FORMS}.",
        "linitctl logs nginx",
        "linitctl logs -f -n 0 nginx redis",
        "linitctl logs --since yesterday --grep 'timed? ?out'",
        "linitctl logs kernel --boot -1",
    ),
}
