"""The log process with real pipes: the messages and the promises of linit/logs/README.md."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

import linit

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (.*)")
PATIENCE_S = 20.0
FULL_LINE = b"x" * 4095


class Logger:
    """PID 1's side of a log process. What is waited for has a deadline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "linit.logs"],
            {"LINIT_LOG_DIR": str(folder), "PYTHONPATH": str(Path(linit.__file__).parent.parent)},
            file_actions=[(os.POSIX_SPAWN_DUP2, far_end.fileno(), 3)],
        )
        far_end.close()
        self.pidfd = os.pidfd_open(self.pid)

    def say(self, *message: str) -> None:
        self.control.send(msgpack.packb(list(message)))

    def give_pipe(self, service: str, reading_end: int) -> None:
        socket.send_fds(self.control, [msgpack.packb(["pipe", service])], [reading_end])

    def wait_end(self) -> int:
        """Its exit status, or minus the signal that killed it."""
        assert select.select([self.pidfd], [], [], PATIENCE_S)[0], "the log process did not end"
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> int:
        self.say("close")
        return self.wait_end()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait_end()

    def abandon(self) -> None:
        if self.pid:
            self.kill()
        os.close(self.pidfd)
        self.control.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Logger]]:
    """Log processes that do not outlive the test."""
    started: list[Logger] = []

    class Started(Logger):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            started.append(self)

    yield Started
    for logger in started:
        logger.abandon()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading_end, writing_end = os.pipe()
    yield reading_end, writing_end
    for fd in (reading_end, writing_end):
        with contextlib.suppress(OSError):
            os.close(fd)


def texts(file: Path) -> list[bytes]:
    """The lines of a log without their times; each must have one."""
    found = []
    for line in file.read_bytes().splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        found.append(match[1])
    return found


def test_what_a_service_wrote_is_in_its_file_when_the_log_was_closed(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    logger = start(tmp_path / "log")
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"one\ntwo\n\xff not text\nunfinished")
    logger.say("line", "web", "up (pid 4)")
    assert logger.close() == 0
    found = texts(tmp_path / "log/web.log")
    assert sorted(found) == sorted([b"one", b"two", b"\xff not text", b"unfinished", b"linit: up (pid 4)"])
    assert [line for line in found if not line.startswith(b"linit: ")][:3] == [b"one", b"two", b"\xff not text"]


def test_the_end_of_the_socket_means_close(start: type[Logger], tmp_path: Path, pipe: tuple[int, int]) -> None:
    """PID 1 is gone or executes itself anew."""
    logger = start(tmp_path / "log")
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"last words\n")
    logger.control.shutdown(socket.SHUT_RDWR)
    assert logger.wait_end() == 0
    assert texts(tmp_path / "log/web.log") == [b"last words"]


def test_a_line_is_taken_without_anybody_asking(start: type[Logger], tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A pipe that is full is writable again when it has been read: so nobody's writes stand still."""
    logger = start(tmp_path / "log")
    fill(pipe[1])
    logger.give_pipe("web", pipe[0])
    wait_taken(pipe[1])
    logger.kill()  # whatever is in the file now was written before the pipe was read again
    assert (tmp_path / "log/web.log").exists() or (tmp_path / "log/.spool/web.log.0").stat().st_size > 4096


def fill(writing_end: int) -> None:
    """One line that takes the whole pipe, which is made as small as can be: fcntl(2), F_SETPIPE_SZ."""
    fcntl.fcntl(writing_end, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing_end, FULL_LINE + b"\n")


def wait_taken(writing_end: int) -> None:
    assert select.select([], [writing_end], [], PATIENCE_S)[1], "the pipe was not read"


def test_term_int_and_hup_do_not_end_the_log(start: type[Logger], tmp_path: Path, pipe: tuple[int, int]) -> None:
    """kill(-1, SIGTERM) of a shutdown reaches it, too."""
    logger = start(tmp_path / "log")
    fill(pipe[1])
    logger.give_pipe("web", pipe[0])
    wait_taken(pipe[1])  # by now it runs, and ignores them
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(logger.pid, number)
    os.write(pipe[1], b"after\n")
    assert logger.close() == 0
    assert texts(tmp_path / "log/web.log") == [FULL_LINE, b"after"]


def test_nothing_is_read_while_the_folder_cannot_be_written(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """An early boot: the root is read-only. The lines stay in the pipe for the next log process."""
    (tmp_path / "mnt").symlink_to("/proc/linit-not-there")
    logger = start(tmp_path / "mnt/log")
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"early\n")
    logger.say("line", "web", "started")
    assert logger.close() == 0
    assert select.select([pipe[0]], [], [], 0)[0] == [pipe[0]]


def test_what_waited_is_written_as_soon_as_the_folder_is_there(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    (tmp_path / "mnt").symlink_to("/proc/linit-not-there")
    logger = start(tmp_path / "mnt/log")
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"early\n")
    logger.say("line", "web", "started")
    (tmp_path / "real").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / "real")
    (tmp_path / "new").replace(tmp_path / "mnt")
    logger.say("writable")
    assert logger.close() == 0
    assert sorted(texts(tmp_path / "real/log/web.log")) == [b"early", b"linit: started"]


def test_a_new_pipe_is_reason_enough_to_try_the_folder_again(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    (tmp_path / "mnt").symlink_to("/proc/linit-not-there")
    logger = start(tmp_path / "mnt/log")
    logger.give_pipe("web", pipe[0])
    (tmp_path / "new").symlink_to(tmp_path)
    (tmp_path / "new").replace(tmp_path / "mnt")
    fill(pipe[1])
    logger.give_pipe("db", pipe[0])
    wait_taken(pipe[1])
    assert logger.close() == 0
    assert sum(len(texts(file)) for file in (tmp_path / "log").glob("*.log")) == 1


def test_a_pipe_without_a_writer_is_forgotten(start: type[Logger], tmp_path: Path, pipe: tuple[int, int]) -> None:
    logger = start(tmp_path / "log")
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"goodbye, without a newline")
    os.close(pipe[1])
    os.close(pipe[0])
    assert logger.close() == 0
    assert texts(tmp_path / "log/web.log") == [b"goodbye, without a newline"]


def test_a_message_that_is_none_ends_nothing(start: type[Logger], tmp_path: Path, pipe: tuple[int, int]) -> None:
    logger = start(tmp_path / "log")
    logger.control.send(b"\xc1")
    logger.say("no such message")
    logger.say("pipe", "without a descriptor")
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"still here\n")
    assert logger.close() == 0
    assert texts(tmp_path / "log/web.log") == [b"still here"]


def test_a_killed_log_process_costs_no_line(start: type[Logger], tmp_path: Path, pipe: tuple[int, int]) -> None:
    """PID 1 keeps the pipe: the next log process goes on with it. Killed ten times in full flow."""
    lines = [b"line %06d" % number for number in range(60_000)]
    data = memoryview(b"".join(line + b"\n" for line in lines))
    os.set_blocking(pipe[1], False)
    logger = start(tmp_path / "log")
    logger.give_pipe("web", pipe[0])
    killed_at = [len(data) * part // 11 for part in range(1, 11)]
    sent = 0
    while sent < len(data):
        assert select.select([], [pipe[1]], [], PATIENCE_S)[1], "the pipe is full and nobody reads it"
        sent += os.write(pipe[1], data[sent : sent + 4096])
        if killed_at and sent > killed_at[0]:
            del killed_at[0]
            logger.kill()
            logger = start(tmp_path / "log")
            logger.give_pipe("web", pipe[0])
    assert logger.close() == 0
    assert texts(tmp_path / "log/web.log") == lines
