"""The log files: linit/logs/README.md, "The files" and "What is never lost"."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from linit.logs.store import LogFile, Store, file_name

AT_NS = 1_795_359_001_000_000_000
TIME = "2026-11-22T14:50:01.000000Z"


def test_a_service_has_a_file_of_its_name() -> None:
    assert file_name("getty@ttyS0") == "getty@ttyS0.log"
    assert file_name("a.b-c_1") == "a.b-c_1.log"


@pytest.mark.parametrize(
    ("service", "name"),
    [("../../etc/passwd", "______etc_passwd.log"), (".hidden", "_hidden.log"), ("", "_.log"), ("a b", "a_b.log")],
)
def test_a_name_that_no_definition_can_have_stays_in_the_folder(service: str, name: str) -> None:
    assert file_name(service) == name


def test_folder_and_file_are_not_for_everybody(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        logs = Store(str(tmp_path / "log"))
        assert logs.open()
        logs.append("web", [b"hello"])
        logs.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "log/web.log").stat().st_mode) == 0o640


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text("earlier\n")
    file = LogFile(str(tmp_path), "web")
    file.append([b"now"], AT_NS)
    file.close()
    assert (tmp_path / "web.log").read_text() == f"earlier\n{TIME} now\n"


def test_a_full_file_is_rotated_and_two_old_ones_are_kept(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path), "web", rotate_bytes=40)
    for word in (b"first", b"second", b"third", b"fourth"):
        file.append([word], AT_NS)
    file.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "web.log": f"{TIME} fourth\n",
        "web.log.1": f"{TIME} third\n",
        "web.log.2": f"{TIME} second\n",
    }


def test_a_file_that_an_administrator_moved_is_made_anew(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path), "web")
    file.append([b"one"], AT_NS)
    (tmp_path / "web.log").rename(tmp_path / "mine")
    file.append([b"two"], AT_NS)
    file.close()
    assert (tmp_path / "mine").read_text() == f"{TIME} one\n"
    assert (tmp_path / "web.log").read_text() == f"{TIME} two\n"


def test_a_file_that_an_administrator_emptied_goes_on_at_its_beginning(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path), "web", rotate_bytes=80)
    for word in (b"one", b"two"):
        file.append([word], AT_NS)
    os.truncate(tmp_path / "web.log", 0)
    file.append([b"three"], AT_NS)
    file.close()
    assert (tmp_path / "web.log").read_text() == f"{TIME} three\n"


def test_a_symbolic_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "web.log").symlink_to(target)
    file = LogFile(str(tmp_path), "web")
    file.append([b"one"], AT_NS)
    assert not target.exists()
    assert file.dropped == 1


def test_lines_that_a_full_disk_refused_are_counted_and_told() -> None:
    """/dev/full answers ENOSPC: full(4)."""
    file = LogFile("/dev", "ignored")
    file.path = "/dev/full"
    file.append([b"one", b"two"], AT_NS)
    file.append([b"three"], AT_NS)
    assert file.dropped == 3
    file.close()


def test_after_a_full_disk_the_count_comes_before_the_next_line(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path), "web")
    file.dropped = 3
    file.append([b"four"], AT_NS)
    file.close()
    assert (tmp_path / "web.log").read_text() == f"{TIME} linit: dropped 3 lines\n{TIME} four\n"


def test_a_disk_that_takes_a_part_keeps_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) may write less than asked when the disk fills up."""
    file = LogFile(str(tmp_path), "web")
    write = os.write
    monkeypatch.setattr("os.write", lambda fd, data: write(fd, data[:40]))
    file.append([b"one", b"two", b"three"], AT_NS)
    monkeypatch.undo()
    assert (tmp_path / "web.log").read_text() == f"{TIME} one\n"
    assert file.dropped == 2
    file.append([b"four"], AT_NS)
    file.close()
    assert (tmp_path / "web.log").read_text() == (
        f"{TIME} one\n{TIME} linit: dropped 2 lines\n{TIME} four\n"
    )


def test_a_folder_that_is_not_there_and_cannot_be_is_waited_for() -> None:
    """A read-only root answers EROFS, which a test cannot make; /proc answers ENOENT to mkdir(2)."""
    logs = Store("/proc/linit-log")
    assert not logs.open()
    assert not logs.is_open


def test_a_folder_that_fails_otherwise_does_not_stop_the_services(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file, where a folder should be")
    assert Store(str(tmp_path / "log")).open()
