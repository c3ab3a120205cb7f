"""What services wrote: ctl/logs.py. The form of the files is that of linit/logs/README.md."""

from __future__ import annotations

import json
import os
from pathlib import Path

from linitctl.logs import BLOCK_BYTES, tail

from linit.logs import lines as log_lines
from linit.logs.store import LogFile, file_name

from .control_world import Ran, World, service, world

SECOND_NS = 1_000_000_000
NOON_NS = 1_795_348_800 * SECOND_NS  # 2026-11-22T12:00:00Z


def log_of(here: World, name: str, rotate_bytes: int = 1 << 20) -> LogFile:
    """The log of a service, as the log process writes it."""
    os.makedirs(here.paths.log, exist_ok=True)
    return LogFile(here.paths.log, name, rotate_bytes)


def test_the_last_lines_are_shown_with_their_times() -> None:
    with world(service("web")) as here:
        log = log_of(here, "web")
        log.append([b"one", b"two"], NOON_NS)
        log.append([b"three"], NOON_NS + SECOND_NS)
        assert here.ctl("logs", "web", "-n", "2") == Ran(
            0, "2026-11-22T12:00:00.000000Z two\n2026-11-22T12:00:01.000000Z three\n", ""
        )
        assert here.ctl("logs", "web", "-n", "0") == Ran(0, "", "")


def test_lines_of_several_services_are_merged_by_time_and_named() -> None:
    with world(service("web"), service("db")) as here:
        web, db = log_of(here, "web"), log_of(here, "db")
        web.append([b"first"], NOON_NS)
        db.append([b"second"], NOON_NS + 1000)
        web.append([b"third"], NOON_NS + 2000)
        assert here.ctl("logs", "web", "db").out == (
            "2026-11-22T12:00:00.000000Z web: first\n"
            "2026-11-22T12:00:00.000001Z db: second\n"
            "2026-11-22T12:00:00.000002Z web: third\n"
        )


def test_json_is_one_object_a_line() -> None:
    with world(service("web")) as here:
        log_of(here, "web").append([b"caf\xc3\xa9 \xff"], NOON_NS)
        ran = here.ctl("logs", "--json", "web")
        assert json.loads(ran.out) == {"time": "2026-11-22T12:00:00.000000Z", "name": "web", "text": "café �"}


def test_a_service_that_wrote_nothing_is_no_error_and_an_unknown_one_is() -> None:
    with world(service("web")) as here:
        assert here.ctl("logs", "web") == Ran(0, "", "web: nothing was written\n")
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
        log_of(here, "getty@ttyS0").append([b"hello"], NOON_NS)
        assert here.ctl("logs", "getty@ttyS0").out == "2026-11-22T12:00:00.000000Z hello\n"


def test_old_files_are_read_as_well_when_the_young_one_is_short(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), "web", rotate_bytes=400)
    for number in range(30):
        log.append([b"line %d" % number], NOON_NS + number)
    assert sorted(os.listdir(tmp_path)) == ["web.log", "web.log.1", "web.log.2"]
    found = [text for _, _, text in tail("web", str(tmp_path / "web.log"), 15)]
    assert found == [b"line %d" % number for number in range(15, 30)]


def test_the_end_of_a_long_file_is_found_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    text = [b"%d " % number + b"x" * (number % 300) for number in range(5000)]
    path.write_bytes(log_lines.format_lines(text, NOON_NS))
    assert path.stat().st_size > 4 * BLOCK_BYTES
    for count in (1, 7, 700):
        assert [line for _, _, line in tail("web", str(path), count)] == text[-count:]


def test_following_goes_on_through_a_rotation_and_a_file_made_anew() -> None:
    with world(service("web"), service("db")) as here:
        web = log_of(here, "web", rotate_bytes=200)
        web.append([b"before"], NOON_NS)
        running = here.ctl_begin("logs", "-f", "web", "db")
        here.loop.run_until(lambda: "before" in running.text(0), "the first lines")
        for number in range(12):  # five lines a file: it is rotated twice
            web.append([b"line %d" % number], NOON_NS + number)
            shown = f"line {number}\n"
            here.loop.run_until(lambda shown=shown: shown in running.text(0), shown)  # type: ignore[misc]
        log_of(here, "db").append([b"here I am"], NOON_NS)
        here.loop.run_until(lambda: "db: here I am" in running.text(0), "a file that came later")
        assert running.process.poll() is None
        running.process.send_signal(2)
        ran = here.ctl_end(running)
        assert [line.partition(" ")[2] for line in ran.out.splitlines()] == [
            "web: before",
            *(f"web: line {number}" for number in range(12)),
            "db: here I am",
        ]
        assert (ran.status, ran.err) == (130, "")
