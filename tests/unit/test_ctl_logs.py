"""What services wrote: ctl/logs.py, ctl/logfiles.py. The form of the files is that of linit/logs/README.md."""

from __future__ import annotations

import datetime
import json
import os
import socket
from pathlib import Path

import pytest
from linitctl import logprocess
from linitctl.failure import Failure
from linitctl.logfiles import BLOCK_BYTES
from linitctl.logs import moment, tail

from linit.logs import boots, packing
from linit.logs.files import file_name
from linit.logs.limits import Limits
from linit.logs.lines import Batch, own, prefix, prefixed
from linit.logs.store import LogFile, Place

from .control_world import Ran, World, service, world

SECOND_NS = 1_000_000_000
NOON_NS = 1_795_348_800 * SECOND_NS  # 2026-11-22T12:00:00Z
NOON_S = NOON_NS / SECOND_NS


def log_in(folder: str, name: str, rotate_bytes: int = 1 << 20, boot: int = 1) -> LogFile:
    """The log of a service, as the log process writes it."""
    os.makedirs(folder, exist_ok=True)
    return LogFile(Place(folder, Limits(rotate_bytes=rotate_bytes), boot), name)


def log_of(here: World, name: str, rotate_bytes: int = 1 << 20, boot: int = 1) -> LogFile:
    return log_in(here.paths.log, name, rotate_bytes, boot)


def write(log: LogFile, *texts: str, after_s: float = 0.0, stream: str = "out", pid: int = 7) -> None:
    """Lines that were written so many seconds after noon."""
    data = "".join(f"{text}\n" for text in texts).encode()
    log.append(Batch(data, NOON_NS + int(after_s * SECOND_NS), stream, pid))


def shown(ran: Ran) -> list[str]:
    """The lines without their times."""
    return [line.partition(" ")[2] for line in ran.out.splitlines()]


def test_the_last_lines_are_shown_with_their_times() -> None:
    with world(service("web")) as here:
        log = log_of(here, "web")
        write(log, "one", "two")
        write(log, "three", after_s=1)
        assert here.ctl("logs", "web", "-n", "2") == Ran(
            0, "2026-11-22T12:00:00.000000Z two\n2026-11-22T12:00:01.000000Z three\n", ""
        )
        assert here.ctl("logs", "web", "-n", "0") == Ran(0, "", "")


def test_what_linit_says_is_told_from_what_a_service_writes() -> None:
    with world(service("web")) as here:
        log = log_of(here, "web")
        log.append(own("up (pid 7)", NOON_NS))
        assert shown(here.ctl("logs", "web")) == ["linit: up (pid 7)"]


def test_a_log_process_that_does_not_catch_up_is_waited_for_only_so_long(tmp_path: Path) -> None:
    """A disk that hangs, say: what there is is shown, and that something may be missing."""
    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(f"{tmp_path}/{logprocess.SOCKET}")
        hangs.listen()
        words = "the log process has not caught up within 0.05 s: the last lines may be missing"
        assert logprocess.late_words(str(tmp_path), 0.05) == words


def test_where_no_log_process_is_what_there_is_is_all(tmp_path: Path) -> None:
    assert logprocess.late_words(str(tmp_path)) == ""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(f"{tmp_path}/{logprocess.SOCKET}")
    assert logprocess.late_words(str(tmp_path)) == ""


def test_lines_of_several_services_are_merged_by_time_and_named() -> None:
    with world(service("web"), service("db")) as here:
        web, db = log_of(here, "web"), log_of(here, "db")
        write(web, "first")
        write(db, "second", after_s=0.1)
        write(web, "third", after_s=0.2)
        merged = ["web: first", "db: second", "web: third"]
        assert shown(here.ctl("logs", "web", "db")) == merged
        assert shown(here.ctl("logs")) == merged, "without a name: everybody"


def test_json_is_one_object_a_line() -> None:
    with world(service("web")) as here:
        log_of(here, "web").append(Batch(b"caf\xc3\xa9 \xff\n", NOON_NS, "err", 412))
        ran = here.ctl("logs", "--json", "web")
        assert json.loads(ran.out) == {
            "time": "2026-11-22T12:00:00.000000Z",
            "name": "web",
            "boot": 1,
            "stream": "err",
            "pid": 412,
            "text": "café �",
        }


def test_a_service_that_wrote_nothing_is_no_error_and_an_unknown_one_is() -> None:
    with world(service("web")) as here:
        assert here.ctl("logs", "web") == Ran(0, "", "web: nothing was written\n")
        assert here.ctl("logs", "kernel") == Ran(0, "", "kernel: nothing was written\n")
        assert here.ctl("logs", "wbe") == Ran(3, "", "linitctl: no service is called 'wbe'\ndid you mean web?\n")


def test_no_name_leads_out_of_the_folder() -> None:
    with world() as here:
        os.makedirs(here.paths.log)
        Path(here.folder, "secret.log").write_text("secret\n")
        for name in ("../secret", "/etc/passwd", "..", ""):
            ran = here.ctl("logs", name)
            assert (ran.status, ran.out) == (3, ""), name


def test_an_instance_has_a_log_of_its_own() -> None:
    with world(service("getty@ttyS0")) as here:
        assert file_name("getty@ttyS0") == "getty@ttyS0.log"
        write(log_of(here, "getty@ttyS0"), "hello")
        assert shown(here.ctl("logs", "getty@ttyS0")) == ["hello"]


# -- old files


def test_old_files_are_read_as_well_made_small_or_not(tmp_path: Path) -> None:
    log = log_in(str(tmp_path), "web", rotate_bytes=400)
    for number in range(30):
        write(log, f"line {number}", after_s=number)
    packing.pack(str(tmp_path / "web.log.000002"))
    names = sorted(os.listdir(tmp_path))
    assert names[:4] == ["web.log", "web.log.000001", "web.log.000002.gz", "web.log.000003"]
    found = [text for _, _, text in tail("web", str(tmp_path / "web.log"), 29)]
    assert found == [b"line %d" % number for number in range(1, 30)]


def test_old_files_are_in_order_when_everything_is_asked_for() -> None:
    with world(service("web")) as here:
        log = log_of(here, "web", rotate_bytes=400)
        for number in range(30):
            write(log, f"line {number}", after_s=number)
        packing.pack(f"{here.paths.log}/web.log.000001")
        assert shown(here.ctl("logs", "web", "--grep", "line")) == [f"line {number}" for number in range(30)]


def test_a_file_that_is_being_made_small_is_read_once(tmp_path: Path) -> None:
    log = log_in(str(tmp_path), "web", rotate_bytes=60)
    for word in ("one", "two"):
        write(log, word)
    whole = (tmp_path / "web.log.000001").read_bytes()
    packing.pack(str(tmp_path / "web.log.000001"))
    (tmp_path / "web.log.000001").write_bytes(whole)
    assert [text for _, _, text in tail("web", str(tmp_path / "web.log"), 9)] == [b"one", b"two"]


def test_the_end_of_a_long_file_is_found_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    text = [b"%d " % number + b"x" * (number % 300) for number in range(5000)]
    batch = Batch(b"".join(line + b"\n" for line in text), NOON_NS)
    path.write_bytes(prefixed(batch.lines, prefix(batch, 1)))
    assert path.stat().st_size > 4 * BLOCK_BYTES
    for count in (1, 7, 700):
        assert [line for _, _, line in tail("web", str(path), count)] == text[-count:]


def test_lines_of_the_early_boot_are_shown_before_they_are_on_the_disk() -> None:
    with world(service("web")) as here:
        write(log_of(here, "web"), "of another boot")
        early = log_in(f"{here.paths.run}/log", "web", boot=0)
        write(early, "early", after_s=-1000)
        assert shown(here.ctl("logs", "web")) == ["of another boot", "early"]


# -- what is chosen


def test_lines_of_a_time_are_chosen() -> None:
    with world(service("web")) as here:
        log = log_of(here, "web")
        for number in range(60):
            write(log, f"line {number}", after_s=number)
        ran = here.ctl("logs", "web", "--since", "2026-11-22T12:00:10Z", "--until", "2026-11-22T12:00:12Z")
        assert shown(ran) == ["line 10", "line 11", "line 12"]
        assert shown(here.ctl("logs", "web", "--since", "2026-11-22T12:00:10Z", "-n", "1")) == ["line 59"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("10:30", "2026-11-22 10:30:00"),
        ("9:05", "2026-11-22 09:05:00"),
        ("10:30:20", "2026-11-22 10:30:20"),
        ("2026-11-20 10:30", "2026-11-20 10:30:00"),
        ("2026-11-20", "2026-11-20 00:00:00"),
        ("-10min", "2026-11-22 11:50:00"),
        ("-1.5h", "2026-11-22 10:30:00"),
        ("-30s", "2026-11-22 11:59:30"),
        ("-2d", "2026-11-20 12:00:00"),
        ("yesterday", "2026-11-21 00:00:00"),
        ("today", "2026-11-22 00:00:00"),
        ("now", "2026-11-22 12:00:00"),
    ],
)
def test_times_are_read_as_people_write_them(word: str, expected: str) -> None:
    now = datetime.datetime(2026, 11, 22, 12, 0, 0)
    assert moment(word, now.timestamp()) == datetime.datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize("word", ["soon", "25:00", "-10 lightyears", "2026-13-01"])
def test_a_word_that_is_no_time_is_refused_with_the_forms(word: str) -> None:
    with pytest.raises(Failure) as refused:
        moment(word)
    assert refused.value.message == (
        f"found {word!r}, expected '10:30[:20]', '2026-11-22 10:30[:20]', '2026-11-22', '-10min', 'yesterday', "
        "'today', 'now'"
    )


def test_a_time_that_begins_with_a_minus_is_no_option() -> None:
    with world(service("web")) as here:
        write(log_of(here, "web"), "long ago", after_s=-1e9)
        assert here.ctl("logs", "web", "--since", "-10min") == Ran(0, "", "web: nothing was written\n")


def test_lines_are_chosen_by_a_regular_expression() -> None:
    with world(service("web")) as here:
        write(log_of(here, "web"), "GET / 200", "GET /x 404", "POST / 500")
        assert shown(here.ctl("logs", "web", "--grep", "(4|5)0[0-9]$")) == ["GET /x 404", "POST / 500"]
        assert here.ctl("logs", "web", "--grep", "(") == Ran(
            2, "", "linitctl: --grep: '(' is no regular expression: missing ), unterminated subpattern at position 0\n"
        )


def test_lines_of_a_boot_are_chosen_and_a_wrong_clock_mixes_no_boots() -> None:
    """A machine without a battery begins each boot in the past."""
    with world(service("web")) as here:
        os.makedirs(here.paths.log)
        numbers = [boots.number_of(here.paths.log, key) for key in ("a", "b", "c")]
        for number in numbers:
            write(log_of(here, "web", boot=number), f"boot {number}", after_s=-100.0 * number)
        assert shown(here.ctl("logs", "web")) == ["boot 1", "boot 2", "boot 3"]
        assert shown(here.ctl("logs", "web", "--boot", "0")) == ["boot 3"]
        assert shown(here.ctl("logs", "web", "--boot", "-1")) == ["boot 2"]
        assert shown(here.ctl("logs", "web", "--boot", "1")) == ["boot 1"]
        assert here.ctl("logs", "web", "--boot", "-3") == Ran(
            1, "", "linitctl: --boot -3: 3 boots are known, 1 to 3\n"
        )


# -- following


def test_following_goes_on_through_a_rotation_and_a_file_made_anew() -> None:
    with world(service("web"), service("db")) as here:
        web = log_of(here, "web", rotate_bytes=200)
        write(web, "before")
        running = here.ctl_begin("logs", "-f", "web", "db")
        here.loop.run_until(lambda: "before" in running.text(0), "the first lines")
        for number in range(12):  # a few lines a file: it is rotated several times
            write(web, f"line {number}", after_s=number)
            told = f"line {number}\n"
            here.loop.run_until(lambda told=told: told in running.text(0), told)  # type: ignore[misc]
        write(log_of(here, "db"), "here I am")
        here.loop.run_until(lambda: "db: here I am" in running.text(0), "a file that came later")
        assert running.process.poll() is None
        running.process.send_signal(2)
        ran = here.ctl_end(running)
        assert shown(ran) == ["web: before", *(f"web: line {number}" for number in range(12)), "db: here I am"]
        assert (ran.status, ran.err) == (130, "")


def test_following_passes_over_no_file_however_fast_they_are_rotated() -> None:
    """Many rotations before anybody looks; some of the files are small by then."""
    with world(service("web")) as here:
        web = log_of(here, "web", rotate_bytes=200)
        write(web, "before")
        running = here.ctl_begin("logs", "-f", "web")
        here.loop.run_until(lambda: "before" in running.text(0), "the first lines")
        running.process.send_signal(19)  # STOP
        for number in range(40):
            write(web, f"line {number}", after_s=number)
        packing.pack(f"{here.paths.log}/web.log.000004")
        running.process.send_signal(18)  # CONT
        here.loop.run_until(lambda: "line 39\n" in running.text(0), "the last line")
        running.process.send_signal(2)
        assert shown(here.ctl_end(running)) == ["before", *(f"line {number}" for number in range(40))]


def test_following_everybody_takes_up_who_begins_to_write() -> None:
    with world(service("web"), service("db")) as here:
        write(log_of(here, "web"), "before")
        running = here.ctl_begin("logs", "-f")
        here.loop.run_until(lambda: "before" in running.text(0), "the first lines")
        write(log_of(here, "db"), "hello", after_s=1)
        here.loop.run_until(lambda: "db: hello" in running.text(0), "the new one")
        running.process.send_signal(2)
        here.ctl_end(running)


def test_following_tells_no_line_twice_when_the_early_boot_is_over() -> None:
    """The lines come from below /run to the disk, behind those of other boots."""
    with world(service("web")) as here:
        write(log_of(here, "web"), "of another boot")
        folder = f"{here.paths.run}/log"
        early = log_in(folder, "web", boot=0)
        later_s = 1e8  # than the clock of this machine
        write(early, "early", after_s=later_s)
        os.rename(f"{here.paths.log}/web.log", f"{here.paths.log}/old")
        running = here.ctl_begin("logs", "-f", "web")
        here.loop.run_until(lambda: "early" in running.text(0), "the first lines")
        write(early, "still early", after_s=later_s + 1)
        here.loop.run_until(lambda: "still early" in running.text(0), "a line below /run")
        os.rename(f"{here.paths.log}/old", f"{here.paths.log}/web.log")
        kept = log_of(here, "web", boot=2)
        write(kept, "early", after_s=later_s)
        write(kept, "still early", after_s=later_s + 1)
        os.unlink(f"{folder}/web.log")
        Path(folder, "done").touch()
        write(kept, "on the disk", after_s=later_s + 2)
        here.loop.run_until(lambda: "on the disk" in running.text(0), "a line on the disk")
        running.process.send_signal(2)
        assert shown(here.ctl_end(running)) == ["early", "still early", "on the disk"]
