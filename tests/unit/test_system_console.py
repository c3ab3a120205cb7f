"""The console never makes PID 1 wait: linit/system/console.py. A pseudo-terminal or a pipe stands for /dev/console."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from linit.system.console import Console


class Loop:
    """Who asked to be told of room."""

    def __init__(self) -> None:
        self.writers: dict[int, Callable[..., object]] = {}

    def add_writer(self, fd: int, callback: Callable[..., object], *_args: Any) -> None:
        self.writers[fd] = callback

    def remove_writer(self, fd: int) -> None:
        self.writers.pop(fd, None)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A console that takes what a pipe holds, and our end of it."""
    path = str(tmp_path / "console")
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, fd
    os.close(fd)


def read_all(fd: int) -> bytes:
    found = b""
    while True:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return found
        if not data:
            return found
        found += data


def test_a_line_is_shown_at_once(fifo: tuple[str, int]) -> None:
    console = Console(fifo[0])
    console.write("hello")
    assert read_all(fifo[1]) == b"hello\n"


def test_what_a_stuck_console_does_not_take_waits_and_what_is_beyond_is_counted(fifo: tuple[str, int]) -> None:
    loop = Loop()
    console = Console(fifo[0], kept_max_bytes=1000)
    console.attach(loop)
    line = "x" * 99
    for _ in range(65536 // 100 + 1):  # until the pipe is full, and a part of a line is left
        console.write(line)
    assert len(loop.writers) == 1
    for _ in range(20):
        console.write(line)
    taken = read_all(fifo[1])
    (flush,) = loop.writers.values()
    flush()
    taken += read_all(fifo[1])
    *lines, last = taken.decode().splitlines()
    assert set(lines) == {line}
    shown = len(lines)
    assert last == f"linit: {65536 // 100 + 21 - shown} lines not shown, the console took no text"
    assert loop.writers == {}


def test_without_a_console_nothing_happens_and_it_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "console"
    console = Console(str(path))
    console.write("early")
    path.touch()
    console.write("late")
    assert path.read_text() == "early\nlate\n"


def test_after_a_hangup_the_console_is_opened_anew(tmp_path: Path) -> None:
    """A descriptor that was hung up answers EIO: tty_ioctl(4), TIOCNOTTY."""
    master, terminal = os.openpty()
    link = tmp_path / "console"
    link.symlink_to(os.ttyname(terminal))
    console = Console(str(link))
    assert console.is_terminal
    os.close(terminal)
    os.close(master)
    console.write("one")
    link.unlink()
    link.touch()
    console.write("two")
    assert link.read_text() == "one\ntwo\n"


def test_what_is_kept_can_be_waited_for_at_the_end(fifo: tuple[str, int]) -> None:
    console = Console(fifo[0])
    console.write("the last line")
    console.drain(1.0)
    assert read_all(fifo[1]) == b"the last line\n"


def test_waiting_for_a_stuck_console_ends(fifo: tuple[str, int]) -> None:
    console = Console(fifo[0])
    for _ in range(700):
        console.write("x" * 99)
    console.drain(0.05)
    assert len(read_all(fifo[1])) >= 60_000
