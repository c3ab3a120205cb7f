"""Files and syslog instead of the store, and the kernel's records: linit/logs/{elsewhere,kernel}.py."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from linit.definitions import destination
from linit.logs import elsewhere
from linit.logs.appended import Length
from linit.logs.elsewhere import FileSink, SyslogSink
from linit.logs.kernel import parsed
from linit.logs.limits import Limits
from linit.logs.lines import Batch
from linit.logs.store import LogFile, Place

AT_NS = 1_795_359_001_000_000_000


def log(folder: Path) -> LogFile:
    return LogFile(Place(str(folder), Limits()), "web")


def texts(folder: Path) -> list[str]:
    """What came to the store instead."""
    path = folder / "web.log"
    return [line.split(" ", 4)[4] for line in path.read_text().splitlines()] if path.exists() else []


def batch(text: str) -> Batch:
    return Batch(text.encode(), AT_NS, "syslog", 412)


# -- files


def test_a_file_gets_the_lines_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("before\n")
    store = log(tmp_path)
    sink = FileSink(str(path), lambda: store)
    sink.append(batch("one\ntwo\n"), None)
    assert path.read_text() == "before\none\ntwo\n"
    assert texts(tmp_path) == []


def test_what_the_file_does_not_take_goes_to_the_store_and_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    store = log(tmp_path)
    sink = FileSink(str(tmp_path / "mine"), lambda: store)
    sink.append(batch("one\n"), None)
    sink.append(batch("two\n"), None)
    told = f"what it writes goes to the log: {tmp_path}/mine: EISDIR (is a directory)"
    assert texts(tmp_path) == [told, "one", "two"]


@pytest.mark.parametrize("written", ["", "one\n", "one\ntw", "one\ntwo\n"])
def test_after_a_kill_a_file_gets_what_it_has_not_and_is_not_cut(tmp_path: Path, written: str) -> None:
    """Others may write to it, too."""
    path = tmp_path / "mine"
    path.write_text("before\n" + written)
    sink = FileSink(str(path), lambda: log(tmp_path))
    sink.resume(batch("one\ntwo\n"), Length(7, path.stat().st_ino), None)
    assert path.read_text() == "before\none\ntwo\n"


def test_after_a_kill_a_file_that_somebody_else_wrote_to_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("before\nsomebody else\n")
    sink = FileSink(str(path), lambda: log(tmp_path))
    sink.resume(batch("one\n"), Length(7, path.stat().st_ino), None)
    assert path.read_text() == "before\nsomebody else\none\n"


# -- syslog


def daemon(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(str(path))
    found.setblocking(False)
    return found


def test_each_line_is_a_datagram_with_priority_time_and_name(tmp_path: Path) -> None:
    """RFC 3164, as syslog(3) writes it; local3 is 19, warning 4."""
    with daemon(tmp_path / "log") as there:
        sink = SyslogSink("local3.warning", "web", lambda: log(tmp_path), str(tmp_path / "log"))
        sink.append(batch("one\n\ntwo\n"), None)
        found = [there.recv(9000).decode() for _ in range(3)]
    head = r"<156>[A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d web\[412\]: "
    assert [re.fullmatch(f"{head}(.*)", each)[1] for each in found] == ["one", "", "two"]  # type: ignore[index]


def test_a_long_line_comes_in_pieces(tmp_path: Path) -> None:
    with daemon(tmp_path / "log") as there:
        sink = SyslogSink("daemon.info", "web", lambda: log(tmp_path), str(tmp_path / "log"))
        sink.append(batch("x" * (elsewhere.DATAGRAM_BYTES + 3) + "\n"), None)
        found = [there.recv(20_000).decode().partition("]: ")[2] for _ in range(2)]
    assert found == ["x" * elsewhere.DATAGRAM_BYTES, "xxx"]


def test_without_a_daemon_the_store_has_the_lines_until_there_is_one_again(tmp_path: Path) -> None:
    store, path = log(tmp_path), tmp_path / "log"
    sink = SyslogSink("daemon.info", "web", lambda: store, str(path))
    sink.append(batch("one\n"), None)
    with daemon(path) as there:
        sink.append(batch("two\n"), None)
        assert there.recv(9000).endswith(b": two")
    os.unlink(path)
    sink.append(batch("three\nfour\n"), None)
    with daemon(path) as there:
        sink.append(batch("five\n"), None)
        assert there.recv(9000).endswith(b": five")
    os.unlink(path)
    with daemon(path) as there:
        sink.append(batch("six\n"), None)
        assert there.recv(9000).endswith(b": six"), "one that was started again meanwhile"
    told = f"what it writes goes to the log: {path}: "
    assert texts(tmp_path) == [
        f"{told}ENOENT (no such file or directory)", "one",
        f"{told}ENOENT (no such file or directory)", "three", "four",
    ]  # fmt: skip


def test_definitions_and_the_log_process_know_the_same_words() -> None:
    assert set(destination.FACILITIES) == set(elsewhere.FACILITIES)
    assert set(destination.LEVELS) == set(elsewhere.LEVELS)


# -- the kernel


def test_a_record_of_the_kernel_has_number_time_facility_level_and_text() -> None:
    """Documentation/ABI/testing/dev-kmsg; what follows the first line is for programs."""
    record = b"6,339,5140900,-;NET: Registered PF_INET6\n SUBSYSTEM=net\n"
    assert parsed(record) == (339, 5140900, "kern.info", b"NET: Registered PF_INET6")
    assert parsed(b"12,1,2,-,caller=T1;text; with a semicolon\n")[2:] == ("user.warning", b"text; with a semicolon")
    with pytest.raises(ValueError, match="not enough values"):
        parsed(b"6,1;text\n")
