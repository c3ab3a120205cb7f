"""The log process with real pipes: the messages and the promises of linit/logs/README.md."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

import linit

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \d+ ([a-z.]+) \d+ (.*)")
PATIENCE_S = 120.0
FULL_LINE = b"x" * 4095


class Logger:
    """PID 1's side of a log process. What is waited for has a deadline."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.control, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "linit.logs"],
            {"LINIT_LOG_DIR": str(folder), "PYTHONPATH": str(Path(linit.__file__).parent.parent), **environment},
            file_actions=[(os.POSIX_SPAWN_DUP2, far_end.fileno(), 3)],
        )
        far_end.close()
        self.pidfd = os.pidfd_open(self.pid)

    def say(self, *message: str | int) -> None:
        self.control.send(msgpack.packb(list(message)))

    def give_pipe(self, service: str, reading_end: int, stream: str = "out", value: str = "", pid: int = 0) -> None:
        socket.send_fds(self.control, [msgpack.packb(["pipe", service, stream, value, pid])], [reading_end])

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
        def __init__(self, folder: Path, **environment: str) -> None:
            super().__init__(folder, **environment)
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
    """The lines of a log without what stands before them; linit's own begin with `linit: `."""
    found = []
    for line in file.read_bytes().split(b"\n")[:-1]:
        match = LINE.fullmatch(line)
        assert match, line
        found.append(b"linit: " + match[2] if match[1] == b"linit" else match[2])
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
    assert (tmp_path / "log/web.log").exists() or (tmp_path / "log/.spool/web.log.out.0").stat().st_size > 4096


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


# -- /run, the early boot, full disks


def test_lines_of_the_early_boot_are_kept_and_nobody_waits(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """The root is read-only, /run is there: far more than a pipe holds is read, and killing costs no line of it."""
    (tmp_path / "mnt").symlink_to("/proc/linit-not-there")
    environment = {"LINIT_RUN_DIR": str(tmp_path / "run")}
    logger = start(tmp_path / "mnt/log", **environment)
    logger.give_pipe("web", pipe[0])
    lines = [b"line %05d" % number for number in range(8_000)]
    feed(pipe[1], lines[:6_000])
    logger.kill()
    logger = start(tmp_path / "mnt/log", **environment)
    logger.give_pipe("web", pipe[0])
    feed(pipe[1], lines[6_000:])
    (tmp_path / "new").symlink_to(tmp_path)
    (tmp_path / "new").replace(tmp_path / "mnt")
    logger.say("writable")
    assert logger.close() == 0
    assert texts(tmp_path / "log/web.log") == lines
    assert list((tmp_path / "run/log").iterdir()) == []


def feed(writing_end: int, lines: list[bytes]) -> None:
    """Write everything; what is waited for is that somebody reads."""
    data = memoryview(b"".join(line + b"\n" for line in lines))
    os.set_blocking(writing_end, False)
    sent = 0
    while sent < len(data):
        assert select.select([], [writing_end], [], PATIENCE_S)[1], "the pipe is full and nobody reads it"
        sent += os.write(writing_end, data[sent : sent + 4096])


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB: tmpfs(5). Only root may have one."""
    place = tmp_path / "tiny"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=256k", "tiny", str(place)]
    made = subprocess.run(argv, capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_services_go_on_and_the_loss_is_counted_and_told(
    start: type[Logger], tmp_path: Path, tiny: Path, pipe: tuple[int, int]
) -> None:
    """Told when it is over, though the service has nothing more to say."""
    logger = start(tiny / "log", LINIT_RUN_DIR=str(tmp_path / "run"))
    logger.give_pipe("web", pipe[0])
    lines = [b"line %05d " % number + b"x" * 88 for number in range(10_000)]
    (tiny / "ballast").write_bytes(b"x" * 100_000)
    feed(pipe[1], lines)  # a megabyte: nobody stands still
    wait_empty(pipe[0])
    (tiny / "ballast").unlink()
    wait_for(lambda: b" linit: dropped " in b"\n " + b"\n ".join(texts(tiny / "log/web.log")), "the count")
    assert logger.close() == 0
    kept = texts(tiny / "log/web.log")
    told = [line for line in kept if line.startswith(b"linit: ")]
    counts = [int(match[1]) for line in told if (match := re.match(rb"linit: dropped (\d+) lines: ", line))]
    assert len(counts) == len(told)
    own = [line for line in kept if line not in told]
    assert own == [line for line in lines if line in set(own)], "what is kept is whole and in order"
    assert len(own) + sum(counts) == len(lines)


def test_a_folder_made_read_only_loses_nothing_silently(
    start: type[Logger], tmp_path: Path, tiny: Path, pipe: tuple[int, int]
) -> None:
    """mount(8), remount: as the kernel does after an error of the disk."""
    logger = start(tiny / "log", LINIT_RUN_DIR=str(tmp_path / "run"))
    logger.give_pipe("web", pipe[0])
    feed(pipe[1], [b"before"])
    wait_for((tiny / "log/web.log").exists, "the first line")
    logger.kill()  # or its open files forbid the remount
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    logger = start(tiny / "log", LINIT_RUN_DIR=str(tmp_path / "run"))
    logger.give_pipe("web", pipe[0])
    feed(pipe[1], [b"meanwhile %05d" % number for number in range(20_000)])
    wait_empty(pipe[0])
    subprocess.run(["mount", "-o", "remount,rw", str(tiny)], check=True)
    subprocess.run(["mount", "-o", "remount,size=8m", str(tiny)], check=True)
    logger.say("writable")
    assert logger.close() == 0
    first, *found = texts(tiny / "log/web.log")
    own = [line for line in found if not line.startswith(b"linit: ")]
    counts = [re.match(rb"linit: dropped (\d+) lines: .* cannot be written", line) for line in found if line not in own]
    lost = sum(int(match[1]) for match in counts if match)
    assert first == b"before"
    assert own == [b"meanwhile %05d" % number for number in range(lost, 20_000)], "the oldest go where /run is small"


def wait_empty(reading_end: int) -> None:
    wait_for(lambda: not select.select([reading_end], [], [], 0)[0], "that the pipe is read")


def wait_for(is_so: Callable[[], object], what: str) -> None:
    """Until it is so, where nobody tells."""
    until_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until_s, f"waited {PATIENCE_S:g} s for {what}"
        select.select([], [], [], 0.01)


# -- floods


def test_a_flood_is_bounded_and_told_and_the_others_are_not_disturbed(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    (tmp_path / "conf").write_text("flood 1M\nflood_window 1h\n")
    quiet_end, quiet_writer = os.pipe()
    logger = start(tmp_path / "log", LINIT_RUN_DIR=str(tmp_path / "run"), LINIT_LOG_LIMITS=str(tmp_path / "conf"))
    logger.give_pipe("loud", pipe[0])
    logger.give_pipe("quiet", quiet_end)
    loud, quiet = [b"x" * 99] * 30_000, [b"quiet %d" % number for number in range(100)]
    for number, line in enumerate(quiet):
        feed(pipe[1], loud[300 * number : 300 * (number + 1)])
        feed(quiet_writer, [line])
    assert logger.close() == 0
    for fd in (quiet_end, quiet_writer):
        os.close(fd)
    assert texts(tmp_path / "log/quiet.log") == quiet
    *kept, told = texts(tmp_path / "log/loud.log")
    assert set(kept) == {b"x" * 99}
    assert len(kept) * 100 <= 1 << 20
    assert told == b"linit: dropped %d lines: more than 1 MiB in 3600 s" % (30_000 - len(kept))


def test_each_pipe_gets_its_turn_however_much_another_writes(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """A writer that never lets its pipe run empty: the line of another comes through all the same."""
    quiet_end, quiet_writer = os.pipe()
    (tmp_path / "conf").write_text("rotate 1M\ntotal 4M\nflood 0\npack 0\n")
    logger = start(tmp_path / "log", LINIT_RUN_DIR=str(tmp_path / "run"), LINIT_LOG_LIMITS=str(tmp_path / "conf"))
    logger.give_pipe("loud", pipe[0])
    logger.give_pipe("quiet", quiet_end)
    yes = subprocess.Popen(["yes"], stdout=pipe[1])
    try:
        for number in range(20):
            os.write(quiet_writer, b"quiet %d\n" % number)
            wait_empty(quiet_end)
    finally:
        yes.kill()
        yes.wait()
    assert logger.close() == 0
    for fd in (quiet_end, quiet_writer):
        os.close(fd)
    assert texts(tmp_path / "log/quiet.log") == [b"quiet %d" % number for number in range(20)]
    # The flood costs its own history only: the total is kept to.
    assert sum(path.stat().st_size for path in (tmp_path / "log").iterdir() if path.is_file()) < 6 << 20


# -- who reads it


def test_who_reads_the_log_is_kept_until_all_that_was_said_before_is_in_it(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """However late the log process gets a processor: here it is stopped when it is asked."""
    run = tmp_path / ("long" * 30)  # a path that no socket can have
    run.mkdir()
    logger = start(tmp_path / "log", LINIT_RUN_DIR=str(run))
    wait_for((run / "log.sock").exists, "that it can be asked")
    os.kill(logger.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, logger.pid, os.WSTOPPED)
    logger.give_pipe("web", pipe[0])
    os.write(pipe[1], b"one\ntwo\n")
    logger.say("line", "web", "up (pid 4)")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE_S)
        folder = os.open(run, os.O_PATH)
        asking.connect(f"/proc/self/fd/{folder}/log.sock")
        os.close(folder)
        assert not (tmp_path / "log/web.log").exists()
        os.kill(logger.pid, signal.SIGCONT)
        assert asking.recv(1) == b""
        assert sorted(texts(tmp_path / "log/web.log")) == [b"linit: up (pid 4)", b"one", b"two"]
    assert logger.close() == 0


# -- old files


def test_old_files_are_made_small_while_lines_go_on(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    (tmp_path / "conf").write_text("rotate 256K\n")
    logger = start(tmp_path / "log", LINIT_RUN_DIR=str(tmp_path / "run"), LINIT_LOG_LIMITS=str(tmp_path / "conf"))
    logger.give_pipe("web", pipe[0])
    lines = [b"line %06d" % number for number in range(40_000)]
    feed(pipe[1], lines)
    folder = tmp_path / "log"
    wait_empty(pipe[0])
    wait_for(lambda: not list(folder.glob("web.log.??????")) and list(folder.glob("*.gz")), "the last file made small")
    assert logger.close() == 0
    for packed in sorted(folder.glob("web.log.*.gz")):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    found = [line for path in sorted(folder.glob("web.log.??????")) for line in texts(path)]
    assert found + texts(folder / "web.log") == lines


# -- who wrote it


def test_a_line_bears_the_boot_the_stream_and_the_pid(
    start: type[Logger], tmp_path: Path, pipe: tuple[int, int]
) -> None:
    for key in ("first", "second"):
        logger = start(tmp_path / "log", LINIT_RUN_DIR=str(tmp_path / "run"), LINIT_LOG_BOOT=key)
        logger.give_pipe("web", pipe[0], "err", "", 41)
        os.write(pipe[1], key.encode() + b"\n")
        logger.say("main", "web", 42)
        assert logger.close() == 0
    fields = [line.split(b" ", 4)[1:] for line in (tmp_path / "log/web.log").read_bytes().splitlines()]
    assert [(boot, stream, text) for boot, stream, _, text in fields] == [
        (b"1", b"err", b"first"),
        (b"2", b"err", b"second"),
    ]
    assert {pid for _, _, pid, _ in fields} <= {b"41", b"42"}


# -- the kernel


def test_the_messages_of_the_kernel_are_in_the_store_once_each(start: type[Logger], tmp_path: Path) -> None:
    """/dev/kmsg gives the whole ring to each reader: who comes after a kill must not write it again."""
    one, two = f"linit-test {os.getpid()}: one".encode(), f"linit-test {os.getpid()}: two".encode()
    try:
        speak(one)
    except OSError:
        pytest.skip("no kernel log here")
    environment = {"LINIT_RUN_DIR": str(tmp_path / "run"), "LINIT_LOG_KERNEL": "1"}
    logger = start(tmp_path / "log", **environment)
    wait_for(lambda: one in content(tmp_path / "log/kernel.log"), "the kernel's first message")
    logger.kill()
    speak(two)
    logger = start(tmp_path / "log", **environment)
    wait_for(lambda: two in content(tmp_path / "log/kernel.log"), "the kernel's second message")
    assert logger.close() == 0
    lines = (tmp_path / "log/kernel.log").read_bytes().splitlines()
    ours = [line.split(b" ", 2)[2] for line in lines if one in line or two in line]
    assert ours == [b"user.warning 0 " + one, b"user.warning 0 " + two], "once each"


def speak(text: bytes) -> None:
    """Into the kernel's log. Without its newline a record is held back: more could follow."""
    with open("/dev/kmsg", "wb", buffering=0) as kmsg:
        kmsg.write(b"<12>" + text + b"\n")


def content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
