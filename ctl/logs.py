"""`logs`: what did services write? Reads the files of the log process (linit/logs/README.md); PID 1 is asked only where
they are."""

from __future__ import annotations

import os

from linitctl.client import NoAnswer
from linitctl.failure import DENIED, FAILED, OK, UNKNOWN, Failure
from linitctl.session import Command
from linitctl.style import BOLD, DIM, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator
    from typing import Final

    from linitctl.session import Session

    Line = tuple[str, str, bytes]  # time, service, text

LINES: Final = 50
STAMP_CHARACTERS: Final = 27  # 2026-11-22T14:50:01.123456Z
OLD_FILES: Final = ("", ".1", ".2")  # suffixes, youngest first
BLOCK_BYTES: Final = 1 << 16


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+", help="a service; lines of several are merged by time")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument("-n", "--lines", metavar="LINES", type=int, default=LINES, help="default: %(default)s; 0: none")


def _logs(session: Session, options: Namespace) -> int:
    folder = session.paths()["log"]
    files = {name: os.path.join(folder, f"{name}.log") for name in dict.fromkeys(options.names)}
    for name, path in files.items():
        check(session, name, path)
    show = Printer(session, with_names=len(files) > 1)
    # The followers begin where the files end now, so that no line is lost or told twice in between.
    followers = [Follower(name, path) for name, path in files.items()] if options.follow else []
    ends = {follower.path: follower.position() for follower in followers}
    found = [line for name, path in files.items() for line in tail(name, path, options.lines, ends.get(path))]
    found.sort(key=lambda line: line[0])
    show.lines(found[-options.lines :] if options.lines else [])
    if options.follow:
        follow(folder, followers, show)
    elif not found and options.lines and not session.is_json:
        session.complain(f"{', '.join(files)}: nothing was written")
    return OK


def check(session: Session, name: str, path: str) -> None:
    """Raises Failure when there is no such service, or its file may not be read."""
    if not name or "/" in name or name.startswith("."):
        raise Failure(UNKNOWN, f"no service is called {name!r}")
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        try:
            session.call("status", name=name)  # a service that has written nothing yet, or none at all
        except NoAnswer as fault:
            raise Failure(FAILED, f"{path}: no such file", fault.message) from fault
    except OSError as fault:
        status = DENIED if isinstance(fault, PermissionError) else FAILED
        raise Failure(status, f"{path}: {fault.strerror}") from fault


def tail(name: str, path: str, count: int, end: int | None = None) -> list[Line]:
    """The last `count` lines of a service, from its old files as well. `end`: up to which byte of the youngest."""
    lines: list[bytes] = []
    for suffix in OLD_FILES:
        if len(lines) < count:
            lines = _last_lines(path + suffix, count - len(lines), end if not suffix else None) + lines
    return [parse(name, line) for line in lines]


def _last_lines(path: str, count: int, end: int | None) -> list[bytes]:
    """The last lines of a file, read from its end; [] when there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    position = os.fstat(fd).st_size if end is None else end
    data = b""
    while position and data.count(b"\n") <= count:
        step = min(BLOCK_BYTES, position)
        position -= step
        data = os.pread(fd, step, position) + data
    os.close(fd)
    lines = data.split(b"\n")
    return [line for line in lines if line][-count:]


def parse(name: str, line: bytes) -> Line:
    """A line of a file; one without a time (half a line after a crash) has the time ""."""
    if line[STAMP_CHARACTERS : STAMP_CHARACTERS + 1] == b" " and line[STAMP_CHARACTERS - 1 : STAMP_CHARACTERS] == b"Z":
        return line[:STAMP_CHARACTERS].decode("ascii", "replace"), name, line[STAMP_CHARACTERS + 1 :]
    return "", name, line


class Printer:
    """Writes lines: for people with dim times, for programs one JSON object a line."""

    def __init__(self, session: Session, with_names: bool) -> None:
        self._session = session
        self._with_names = with_names
        self._is_terminal = session.out.isatty()

    def lines(self, lines: Iterable[Line]) -> None:
        """Write them, and see to it that they are seen."""
        for line in lines:
            self._session.print(self._json(line) if self._session.is_json else self._text(line))
        self._session.out.flush()

    def _text(self, line: Line) -> str:
        stamp, name, data = line
        text = data.decode("utf-8", "replace")
        if self._is_terminal:
            text = printable(text)
        style = self._session.style
        who = f"{style.paint(name, BOLD)}: " if self._with_names else ""
        return f"{style.paint(stamp, DIM)} {who}{text}" if stamp else f"{who}{text}"

    def _json(self, line: Line) -> str:
        import json

        stamp, name, data = line
        return json.dumps({"time": stamp, "name": name, "text": data.decode("utf-8", "replace")}, ensure_ascii=False)


class Follower:
    """Reads what is added to a service's file, through rotations: the name is followed, not the file."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self.path = path
        self._rest = b""
        self._fd = -1
        self._open()
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_END)

    def position(self) -> int:
        """Up to which byte of the file everything was read."""
        return os.lseek(self._fd, 0, os.SEEK_CUR) if self._fd >= 0 else 0

    def new_lines(self) -> Iterator[Line]:
        """Complete lines that have come since the last call."""
        yield from self._read()
        if self._was_replaced():
            yield from self._read()  # what came between the last read and the rotation
            if self._fd >= 0:
                os.close(self._fd)
            self._open()
            yield from self._read()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def _was_replaced(self) -> bool:
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        if self._fd < 0:
            return True
        ours = os.fstat(self._fd)
        if (ours.st_dev, ours.st_ino) != (now.st_dev, now.st_ino):
            return True
        if self.position() > now.st_size:  # somebody emptied it
            os.lseek(self._fd, 0, os.SEEK_SET)
        return False

    def _read(self) -> Iterator[Line]:
        while self._fd >= 0 and (data := os.read(self._fd, BLOCK_BYTES)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                yield parse(self._name, line)


def follow(folder: str, followers: list[Follower], show: Printer) -> None:
    """Write new lines until Ctrl-C."""
    from linitctl.inotify import Watch

    watch = Watch(folder)
    while True:
        lines = [line for follower in followers for line in follower.new_lines()]
        lines.sort(key=lambda line: line[0])
        show.lines(lines)
        watch.wait()


COMMANDS: Final = {
    "logs": Command(
        _arguments,
        _logs,
        "Show the last lines that services wrote, and what linit said about them. Times are UTC.",
        "linitctl logs nginx",
        "linitctl logs -f -n 0 nginx redis",
    ),
}
