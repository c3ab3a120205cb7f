"""The log files: linit/logs/README.md, "The files" and "What is never lost"."""

from __future__ import annotations

import gzip
import os
import select
import stat
from pathlib import Path

import pytest

from linit.logs import boots, budget, limits, packing
from linit.logs.appended import LOOK_NS
from linit.logs.files import Old, file_name, old_files
from linit.logs.limits import EARLY, Limits
from linit.logs.lines import Batch
from linit.logs.store import FEW, LogFile, Place, Store, sync_file_system

SECOND_NS = 1_000_000_000
AT_NS = 1_795_359_001 * SECOND_NS
START = "2026-11-22T14:50:01.000000Z 0 out 0 "
PATIENCE_S = 120.0


def log(folder: Path, **sizes: int) -> LogFile:
    return LogFile(Place(str(folder), Limits(**sizes)), "web")


def line(text: str) -> Batch:
    return Batch(text.encode() + b"\n", AT_NS)


def texts(path: Path) -> list[str]:
    return [each.split(" ", 4)[4] for each in path.read_text().splitlines()]


# -- one file


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
        logs.say("web", "hello")
        logs.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "log/web.log").stat().st_mode) == 0o640


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text("earlier\n")
    file = log(tmp_path)
    file.append(line("now"))
    file.close()
    assert (tmp_path / "web.log").read_text() == f"earlier\n{START}now\n"


def stamps(path: Path) -> list[str]:
    return [each.split(" ", 1)[0] for each in path.read_text().splitlines()]


def test_what_linit_said_before_there_was_a_log_process_bears_the_time_at_which_it_was_said(tmp_path: Path) -> None:
    logs = Store(str(tmp_path / "log"))
    assert logs.open()
    logs.say("web", "starting", AT_NS)
    logs.say("web", "up", AT_NS + SECOND_NS)
    assert stamps(tmp_path / "log/web.log") == ["2026-11-22T14:50:01.000000Z", "2026-11-22T14:50:02.000000Z"]


def test_a_line_of_linit_that_was_overtaken_does_not_stand_before_its_time_in_the_file(tmp_path: Path) -> None:
    logs = Store(str(tmp_path / "log"))
    assert logs.open()
    logs.file("web").append(line("from the pipe"))
    logs.say("web", "up", AT_NS - 1000)
    assert stamps(tmp_path / "log/web.log") == ["2026-11-22T14:50:01.000000Z"] * 2


def test_after_a_clock_is_set_back_linit_does_not_go_on_with_the_time_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = Store(str(tmp_path / "log"))
    assert logs.open()
    logs.file("web").append(line("before"))
    monkeypatch.setattr("time.time_ns", lambda: AT_NS - 3600 * SECOND_NS)
    logs.say("web", "after", AT_NS - 3600 * SECOND_NS)
    assert stamps(tmp_path / "log/web.log")[1] == "2026-11-22T13:50:01.000000Z"


def test_a_full_file_becomes_an_old_one_and_higher_numbers_are_younger(tmp_path: Path) -> None:
    file = log(tmp_path, rotate_bytes=50)
    for word in ("first", "second", "third"):
        file.append(line(word))
    file.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "web.log": f"{START}third\n",
        "web.log.000001": f"{START}first\n",
        "web.log.000002": f"{START}second\n",
    }


def test_a_file_whose_first_line_is_old_becomes_an_old_one(tmp_path: Path) -> None:
    """Whoever wrote that line: its time is read from the file."""
    first = log(tmp_path, rotate_age_s=86400)
    first.append(Batch(b"one\n", AT_NS))
    first.append(Batch(b"two\n", AT_NS + 86000 * SECOND_NS))
    first.close()
    again = log(tmp_path, rotate_age_s=86400)
    again.append(Batch(b"three\n", AT_NS + 2 * 86400 * SECOND_NS))
    assert texts(tmp_path / "web.log.000001") == ["one", "two"]
    assert texts(tmp_path / "web.log") == ["three"]


def test_a_file_that_an_administrator_moved_is_soon_made_anew(tmp_path: Path) -> None:
    file = log(tmp_path)
    file.append(line("one"))
    (tmp_path / "web.log").rename(tmp_path / "mine")
    file.append(Batch(b"two\n", AT_NS + LOOK_NS))
    file.close()
    assert (tmp_path / "mine").read_text() == f"{START}one\n"
    assert texts(tmp_path / "web.log") == ["two"]


def test_a_file_that_an_administrator_emptied_goes_on_at_its_beginning(tmp_path: Path) -> None:
    file = log(tmp_path, rotate_bytes=90)
    for word in ("one", "two"):
        file.append(line(word))
    os.truncate(tmp_path / "web.log", 0)
    file.append(Batch(b"three\n", AT_NS + LOOK_NS))
    file.close()
    assert texts(tmp_path / "web.log") == ["three"]
    assert not (tmp_path / "web.log.000001").exists()


def test_a_symbolic_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "web.log").symlink_to(target)
    file = log(tmp_path)
    file.append(line("one"))
    assert not target.exists()
    assert file.dropped == 1


# -- losses


def test_lines_that_a_full_disk_refused_are_counted_and_told_with_the_reason(tmp_path: Path) -> None:
    """/dev/full answers ENOSPC: full(4)."""
    place = Place("/dev", Limits())
    file = LogFile(place, "ignored")
    file._file.path = "/dev/full"
    file.append(Batch(b"one\ntwo\n", AT_NS))
    file.append(line("three"))
    assert file.dropped == 3
    assert place.losing == {file}
    file._file.path = str(tmp_path / "web.log")
    file.append(Batch(b"four\n", AT_NS + LOOK_NS))
    assert texts(tmp_path / "web.log") == [
        "dropped 3 lines: /dev/full: ENOSPC (no space left on device)",
        "four",
    ]
    assert not place.losing


def test_a_disk_that_takes_a_part_keeps_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) may write less than asked when the disk fills up."""
    file = log(tmp_path)
    write = os.write
    monkeypatch.setattr("os.write", lambda fd, data: write(fd, data[:50]))
    file.append(Batch(b"one\ntwo\nthree\n", AT_NS))
    monkeypatch.undo()
    assert (tmp_path / "web.log").read_text() == f"{START}one\n"
    assert file.dropped == 2
    file.append(line("four"))
    file.close()
    path = f"{tmp_path}/web.log"
    assert texts(tmp_path / "web.log") == ["one", f"dropped 2 lines: {path}: the disk took a part only", "four"]


# -- places


def test_a_folder_that_is_not_there_and_cannot_be_is_waited_for() -> None:
    """A read-only root answers EROFS; /proc answers ENOENT to mkdir(2). Without /run there is no other place."""
    logs = Store("/proc/linit-log")
    assert not logs.open()
    assert not logs.is_open


def test_a_folder_that_fails_otherwise_does_not_stop_the_services(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file, where a folder should be")
    logs = Store(str(tmp_path / "log"))
    assert logs.open()
    logs.file("web").append(line("one"))
    assert logs.file("web").dropped == 1


def early(tmp_path: Path) -> Store:
    """A store whose folder is not there yet."""
    (tmp_path / "var").symlink_to("/proc/linit-not-there")
    store = Store(str(tmp_path / "var/log"), str(tmp_path / "run"), key="this-boot")
    assert store.open()
    assert not store.is_kept
    return store


def mount(tmp_path: Path) -> None:
    """The folder comes to be there."""
    (tmp_path / "disk").mkdir(exist_ok=True)
    (tmp_path / "var").unlink()
    (tmp_path / "var").symlink_to(tmp_path / "disk")


def test_lines_of_the_early_boot_keep_their_times_and_come_to_the_disk(tmp_path: Path) -> None:
    store = early(tmp_path)
    store.file("web").append(line("early"))
    assert texts(tmp_path / "run/log/web.log") == ["early"]
    mount(tmp_path)
    assert store.open()
    assert store.is_kept
    store.file("web").append(line("late"))
    start = START.replace("Z 0 ", "Z 1 ")
    assert (tmp_path / "disk/log/web.log").read_text() == f"{start}early\n{start}late\n"
    assert list((tmp_path / "run/log").iterdir()) == []


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_kill_while_early_lines_are_brought_neither_loses_nor_doubles_one(tmp_path: Path, is_removed: bool) -> None:
    """Before or after the piece below /run was removed; the note about it is still there."""
    store = early(tmp_path)
    store.file("web").append(line("early"))
    mount(tmp_path)
    (tmp_path / "disk/log").mkdir()
    piece, target = tmp_path / "run/log/web.log", tmp_path / "disk/log/web.log"
    whole = START.replace("Z 0 ", "Z 1 ") + "early\n"
    target.write_text("before\n" + (whole if is_removed else whole[:9]))
    (tmp_path / "run/bringing").write_text(f"7\n{piece}\n{target}\n")
    if is_removed:
        piece.unlink()
    again = Store(str(tmp_path / "var/log"), str(tmp_path / "run"), key="this-boot")
    assert again.open()
    assert target.read_text() == f"before\n{whole}"


def test_early_lines_that_run_has_no_room_for_are_counted(tmp_path: Path) -> None:
    """The oldest go: a /var that stays read-only must not fill the memory."""
    store = early(tmp_path)
    assert EARLY.rotate_bytes
    half = Batch(b"x" * (EARLY.rotate_bytes // 2) + b"\n", AT_NS)
    for _ in range(8):
        store.file("web").append(half)
    sizes = [path.stat().st_size for path in (tmp_path / "run/log").iterdir()]
    assert sum(sizes) < 3 * EARLY.rotate_bytes
    assert sum(b"dropped" in path.read_bytes() for path in (tmp_path / "run/log").iterdir()) >= 1


def test_losses_that_were_not_told_below_run_are_told_on_the_disk(tmp_path: Path) -> None:
    store = early(tmp_path)
    store.file("web").drop(3, "no room")
    mount(tmp_path)
    store.open()
    store.file("web").append(line("late"))
    assert texts(tmp_path / "disk/log/web.log") == ["dropped 3 lines: no room", "late"]


# -- the budget


def old(base: str, number: int, size: int = 10, ended_s: float = 1000.0) -> Old:
    return Old(base, number, f"/{base}.{number:06}", size, ended_s)


def test_old_files_that_are_too_old_go() -> None:
    files = [old("a.log", 1, ended_s=10.0), old("a.log", 2, ended_s=90.0)]
    assert budget.surplus(files, {}, total_bytes=0, keep_age_s=50, now_s=100.0) == [files[0]]


def test_who_has_most_loses_its_oldest_file_first_and_the_others_none() -> None:
    """A flood of one service costs its own history only."""
    quiet = [old("quiet.log", 1, ended_s=1.0)]
    loud = [old("loud.log", number) for number in range(1, 9)]
    gone = budget.surplus([*loud, *quiet], {"loud.log": 10}, total_bytes=50, keep_age_s=0, now_s=0.0)
    assert gone == loud[:5]


def test_files_that_are_written_to_are_never_removed() -> None:
    assert budget.surplus([], {"loud.log": 1000}, total_bytes=10, keep_age_s=0, now_s=0.0) == []


def test_the_budget_of_a_small_disk_is_a_share_of_it(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    tenth = disk.f_blocks * disk.f_frsize // 10
    assert limits.total_bytes(Limits(total_bytes=1 << 60), str(tmp_path)) == tenth
    assert limits.total_bytes(Limits(total_bytes=5), str(tmp_path)) == 5


def test_limits_are_read_from_a_file_and_its_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.conf"
    path.write_text("# sizes\nrotate 1M\ntotal 1G\nrotate_age 2d\nkeep_age many\nflod 3\nflood 0\n")
    assert limits.read(str(path)) == (
        Limits(rotate_bytes=1 << 20, total_bytes=1 << 30, rotate_age_s=2 * 86400, flood_bytes=0),
        [
            f"{path}:5: keep_age: found 'many', expected a number, and K, M, G or s, min, h, d",
            f"{path}:6: found 'flod', expected one of rotate, rotate_age, keep_age, total, flood, flood_window, pack",
        ],
    )
    assert limits.read(str(tmp_path / "none")) == (Limits(), [])


# -- boots


def test_a_boot_has_the_next_number_and_keeps_it(tmp_path: Path) -> None:
    numbers = [boots.number_of(str(tmp_path), key) for key in ("a", "a", "b", "b", "c")]
    assert numbers == [1, 1, 2, 2, 3]


def test_a_line_that_a_power_failure_cut_off_is_no_boot(tmp_path: Path) -> None:
    boots.number_of(str(tmp_path), "a")
    with open(tmp_path / "boots", "a", encoding="ascii") as file:
        file.write("2 b")
    assert boots.number_of(str(tmp_path), "c") == 2
    assert boots.number_of(str(tmp_path), "c") == 2


# -- packing


def packed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_old_file_is_made_small_with_its_time_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "web.log.000001"
    path.write_bytes(b"a line\n" * 100_000)
    path.chmod(0o600)
    os.utime(path, (5.0, 6.0))
    packing.pack(str(path))
    assert packed(tmp_path) == ["web.log.000001.gz"]
    small = tmp_path / "web.log.000001.gz"
    assert gzip.decompress(small.read_bytes()) == b"a line\n" * 100_000
    assert (small.stat().st_mtime, stat.S_IMODE(small.stat().st_mode)) == (6.0, 0o600)


def test_packing_happens_in_a_child_one_after_the_other(tmp_path: Path) -> None:
    packer = packing.Packer()
    paths = [tmp_path / f"web.log.00000{number}" for number in (1, 2)]
    for path in paths:
        path.write_bytes(b"text\n")
    packer.add(map(str, paths))
    while packer.begin():
        assert not packer.begin()
        assert select.select([packer.fd], [], [], PATIENCE_S)[0], "the child does not end"
        packer.ended()
    assert packed(tmp_path) == ["web.log.000001.gz", "web.log.000002.gz"]


def test_a_file_that_cannot_be_packed_stays_and_is_not_tried_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "web.log.000001"
    path.mkdir()
    packer = packing.Packer()
    children = 0
    for _ in range(5):
        packer.add([str(path)])
        if packer.begin():
            children += 1
            assert select.select([packer.fd], [], [], PATIENCE_S)[0], "the child does not end"
            packer.ended()
    assert children == packing.TRIES
    assert packed(tmp_path) == ["web.log.000001"]


def test_what_a_killed_child_left_half_done_is_removed(tmp_path: Path) -> None:
    (tmp_path / "web.log.000001.gz.77.new").write_bytes(b"half")
    (tmp_path / "web.log.000001").write_bytes(b"whole\n")
    packing.remove_halves(str(tmp_path))
    assert packed(tmp_path) == ["web.log.000001"]


def test_old_files_are_found_packed_or_not_in_their_order(tmp_path: Path) -> None:
    for name in ("a.log", "a.log.000010", "a.log.000009.gz", "a.log.x", "b.log.000001", "record"):
        (tmp_path / name).write_bytes(b"x")
    assert [(each.base, each.number, each.is_packed) for each in old_files(str(tmp_path))] == [
        ("a.log", 9, True),
        ("a.log", 10, False),
        ("b.log", 1, False),
    ]


@pytest.mark.parametrize("count", [FEW, FEW + 1])
def test_at_the_end_everything_is_in_the_files_however_many_there_are(tmp_path: Path, count: int) -> None:
    """Of many, the disk is not waited for a thousand times: syncfs(2)."""
    store = Store(str(tmp_path / "log"), key="a")
    assert store.open()
    names = [f"s{number}" for number in range(count)]
    for name in names:
        store.say(name, "up")
    store.close()
    assert {name: texts(tmp_path / "log" / f"{name}.log") for name in names} == {name: ["up"] for name in names}


def test_whether_a_file_system_could_be_synced_is_told(tmp_path: Path) -> None:
    """So that the files are synced one by one if not."""
    assert sync_file_system(str(tmp_path))
    assert not sync_file_system(str(tmp_path / "nowhere"))
