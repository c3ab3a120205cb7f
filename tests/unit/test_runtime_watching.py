"""What about a path starts its service, with real files and inotify(7). The loop turns when the test says so: what the
kernel tells of a file is there when the call that changed it returns. Source: linit/runtime/watching.py."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linit.model.service import Kind, Service, WatchedPath, WatchKind
from linit.model.state import UnitState
from linit.runtime import inotify
from linit.runtime.watching import AGAIN_S, SETTLE_S, Watching
from tests.unit.means_world import HERE, World


class Watched(World):
    """A service `job` that paths start. `at`: a folder for them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.at = folder
        self.watching: Watching | None = None
        self.unit("job")

    def arm(self, *paths: tuple[WatchKind, Path | str]) -> Watching:
        """`job` watches these, and rests."""
        self.watching = Watching(self.means, definition(*paths))
        if self.units["job"].state is UnitState.DOWN:
            self.watching.rests()
        return self.watching

    def seen(self) -> list[str]:
        """With what `job` was started, when what happened has settled."""
        self.loop.turn()
        self.loop.advance(SETTLE_S)
        return self.triggered()

    def run(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """`job` starts, something happens, and it ends."""
        assert self.watching is not None
        self.watching.runs()
        meanwhile()
        self.loop.advance(2 * SETTLE_S)
        self.watching.rests()


def definition(*paths: tuple[WatchKind, Path | str]) -> Service:
    """job.watch"""
    watch = tuple(WatchedPath(str(path), kind, HERE) for kind, path in paths)
    return Service("job.watch", HERE, Kind.WATCH, watch=watch, activates="job")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Watched]:
    """At its end nothing is open or due any more."""
    world = Watched(tmp_path)
    yield world
    if world.watching is not None:
        world.watching.close()
    assert world.loop.readers == {}
    assert world.loop.waiting == []
    assert inotify._open == {}


# -- exists


def test_a_path_that_appears_starts_the_service(world: Watched) -> None:
    world.arm((WatchKind.EXISTS, world.at / "x"))
    assert world.seen() == []
    (world.at / "y").touch()
    assert world.seen() == []
    (world.at / "x").touch()
    assert world.seen() == [f"{world.at}/x exists"]


def test_a_path_that_is_there_already_starts_the_service_at_once(world: Watched) -> None:
    (world.at / "x").touch()
    world.arm((WatchKind.EXISTS, world.at / "x"))
    assert world.triggered() == [f"{world.at}/x exists"]


def test_a_path_that_is_still_there_when_the_service_rests_starts_it_again(world: Watched) -> None:
    """As systemd.path(5): who is started by a path takes it away."""
    (world.at / "x").touch()
    world.arm((WatchKind.EXISTS, world.at / "x"))
    world.run()
    assert world.triggered() == [f"{world.at}/x exists"] * 2
    world.run(meanwhile=(world.at / "x").unlink)
    assert world.triggered() == []
    _made(world.at / "z").rename(world.at / "x")
    assert world.seen() == [f"{world.at}/x exists"]


def _made(path: Path) -> Path:
    path.touch()
    return path


def _removed(path: Path) -> Path:
    path.unlink()
    return path


def test_a_watch_that_is_changed_watches_the_new_paths_only(world: Watched) -> None:
    watching = world.arm((WatchKind.EXISTS, world.at / "x"))
    watching.change(definition((WatchKind.EXISTS, world.at / "y")))
    (world.at / "x").touch()
    assert world.seen() == []
    (world.at / "y").touch()
    assert world.seen() == [f"{world.at}/y exists"]


def test_what_changed_while_the_service_ran_is_told_also_after_a_reload(world: Watched) -> None:
    watching = world.arm((WatchKind.CHANGES, world.at / "x"))

    def meanwhile() -> None:
        (world.at / "x").touch()
        world.loop.turn()
        watching.change(definition((WatchKind.CHANGES, world.at / "x"), (WatchKind.CHANGES, world.at / "y")))

    world.run(meanwhile)
    assert world.triggered() == [f"{world.at}/x changed"]


def test_folders_that_lead_to_a_path_need_not_exist(world: Watched) -> None:
    world.arm((WatchKind.EXISTS, world.at / "a/b/c"))
    (world.at / "a").mkdir()
    assert world.seen() == []
    (world.at / "a/b").mkdir()
    assert world.seen() == []
    (world.at / "a/b/c").mkdir()
    assert world.seen() == [f"{world.at}/a/b/c exists"]


def test_folders_that_are_made_in_one_go_are_not_missed(world: Watched) -> None:
    """All of it is there before linit has looked at the first of them."""
    world.arm((WatchKind.EXISTS, world.at / "a/b/c"))
    (world.at / "a/b/c").mkdir(parents=True)
    assert world.seen() == [f"{world.at}/a/b/c exists"]


def test_a_folder_that_is_made_before_the_one_that_holds_it_is_watched_is_not_missed(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look, which finds nothing, and the watch, which tells only of what comes later."""
    add = inotify.Inotify.add

    def add_late(self: inotify.Inotify, path: str, mask: int, on_event: inotify.OnEvent) -> inotify.Watch:
        if path == str(world.at / "a"):
            (world.at / "a/b").mkdir(exist_ok=True)
        return add(self, path, mask, on_event)

    monkeypatch.setattr(inotify.Inotify, "add", add_late)
    world.arm((WatchKind.EXISTS, world.at / "a/b/c"))
    (world.at / "a").mkdir()
    assert world.seen() == []
    assert (world.at / "a/b").exists()
    (world.at / "a/b/c").touch()
    assert world.seen() == [f"{world.at}/a/b/c exists"]


def test_a_file_in_the_place_of_a_folder_may_become_one(world: Watched) -> None:
    (world.at / "a").touch()
    world.arm((WatchKind.EXISTS, world.at / "a/b"))
    (world.at / "a").unlink()
    (world.at / "a").mkdir()
    assert world.seen() == []
    (world.at / "a/b").touch()
    assert world.seen() == [f"{world.at}/a/b exists"]


def test_a_folder_that_is_replaced_is_watched_again(world: Watched) -> None:
    (world.at / "a/b").mkdir(parents=True)
    world.arm((WatchKind.EXISTS, world.at / "a/b/c"))
    os.rename(world.at / "a", world.at / "old")
    assert world.seen() == []
    (world.at / "old/b/c").touch()
    assert world.seen() == []
    (world.at / "a/b").mkdir(parents=True)
    assert world.seen() == []
    (world.at / "a/b/c").touch()
    assert world.seen() == [f"{world.at}/a/b/c exists"]


def test_a_link_on_the_way_may_lead_elsewhere_tomorrow(world: Watched) -> None:
    """How configuration is often replaced at once: a new folder, then one rename of a link to it."""
    for name in ("one", "two"):
        (world.at / name).mkdir()
    (world.at / "now").symlink_to("one")
    world.arm((WatchKind.EXISTS, world.at / "now/x"))
    (world.at / "two/x").touch()
    assert world.seen() == []
    (world.at / "next").symlink_to("two")
    os.replace(world.at / "next", world.at / "now")
    assert world.seen() == [f"{world.at}/now/x exists"]


# -- changes


def test_a_file_that_is_written_starts_the_service_once(world: Watched) -> None:
    path = world.at / "x"
    path.write_text("1")
    world.arm((WatchKind.CHANGES, path))
    assert world.seen() == []
    path.write_text("2")
    assert world.seen() == [f"{path} changed"]
    assert world.seen() == []


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda path: path.write_text("new"),
    "replaced": lambda path: os.replace(_made(path.with_name("new")), path),
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("other")),
    "removed and made": lambda path: _made(_removed(path)),
    "its rights": lambda path: path.chmod(0o400),
}


@pytest.mark.parametrize("how", CHANGES)
def test_each_way_to_change_a_file_is_one_change(world: Watched, how: str) -> None:
    path = world.at / "x"
    path.write_text("old")
    world.arm((WatchKind.CHANGES, path))
    CHANGES[how](path)
    assert world.seen() == [f"{path} changed"]


def test_a_file_that_is_made_written_and_renamed_into_its_place_is_one_change(world: Watched) -> None:
    """What editors do."""
    path = world.at / "x"
    world.arm((WatchKind.CHANGES, path))
    (world.at / ".x.new").write_text("text")
    (world.at / ".x.new").rename(path)
    assert world.seen() == [f"{path} changed"]


def test_a_file_that_is_removed_and_made_again_is_still_watched(world: Watched) -> None:
    path = world.at / "a/x"
    path.parent.mkdir()
    path.touch()
    world.arm((WatchKind.CHANGES, path))
    shutil.rmtree(path.parent)
    assert world.seen() == [f"{path} changed"]
    path.parent.mkdir()
    assert world.seen() == []
    path.write_text("again")
    assert world.seen() == [f"{path} changed"]
    path.write_text("and again")
    assert world.seen() == [f"{path} changed"]


def test_a_file_that_is_only_read_has_not_changed(world: Watched) -> None:
    path = world.at / "x"
    path.write_text("1")
    world.arm((WatchKind.CHANGES, path))
    path.read_text()
    (world.at / "y").write_text("another one")
    assert world.seen() == []


def test_the_entries_of_a_folder_are_its_changes(world: Watched) -> None:
    folder = world.at / "d"
    folder.mkdir()
    world.arm((WatchKind.CHANGES, folder))
    for change in ((folder / "x").touch, lambda: (folder / "x").write_text("1"), (folder / "x").unlink):
        change()
        assert world.seen() == [f"{folder} changed"]


def test_what_a_link_leads_to_is_watched(world: Watched) -> None:
    (world.at / "real").write_text("1")
    (world.at / "x").symlink_to("real")
    world.arm((WatchKind.CHANGES, world.at / "x"))
    (world.at / "real").write_text("2")
    assert world.seen() == [f"{world.at}/x changed"]


def test_a_change_that_started_nothing_is_told_again(world: Watched) -> None:
    """The service rests, but only until another is back: what it sees until then is no start, and must not be lost."""
    file = world.at / "x"
    file.write_text("1")
    watching = world.arm((WatchKind.CHANGES, file))
    file.write_text("2")
    assert world.seen() == [f"{file} changed"]
    world.loop.advance(AGAIN_S)
    assert world.triggered() == [f"{file} changed"]
    watching.runs()
    world.loop.advance(AGAIN_S)
    assert world.triggered() == []


def test_changes_while_the_service_runs_are_kept_until_it_rests(world: Watched) -> None:
    """Many are one."""
    path = world.at / "x"
    path.touch()
    world.arm((WatchKind.CHANGES, path))
    world.run(meanwhile=lambda: [path.write_text(str(number)) for number in range(5)])
    assert world.triggered() == [f"{path} changed"]
    world.run()
    assert world.triggered() == []


def test_a_change_that_has_not_settled_when_the_service_rests_is_not_lost(world: Watched) -> None:
    path = world.at / "x"
    path.touch()
    watching = world.arm((WatchKind.CHANGES, path))
    watching.runs()
    path.write_text("1")
    world.loop.turn()
    watching.rests()
    assert world.triggered() == []
    assert world.seen() == [f"{path} changed"]


# -- not_empty


def test_a_folder_that_holds_something_starts_the_service(world: Watched) -> None:
    spool = world.at / "spool"
    spool.mkdir()
    world.arm((WatchKind.NOT_EMPTY, spool))
    assert world.seen() == []
    (spool / "job1").touch()
    assert world.seen() == [f"{spool} is not empty"]


def test_a_spool_that_was_filled_while_the_service_ran_starts_it_again(world: Watched) -> None:
    spool = world.at / "spool"
    spool.mkdir()
    world.arm((WatchKind.NOT_EMPTY, spool))
    (spool / "job1").touch()
    assert world.seen() == [f"{spool} is not empty"]
    world.run(meanwhile=lambda: (spool / "job1").rename(spool / "job2"))
    assert world.triggered() == [f"{spool} is not empty"]
    world.run(meanwhile=(spool / "job2").unlink)
    assert world.triggered() == []


def test_a_spool_may_come_later_and_with_something_in_it(world: Watched) -> None:
    world.arm((WatchKind.NOT_EMPTY, world.at / "spool"))
    (world.at / "new").mkdir()
    _made(world.at / "new/job1")
    (world.at / "new").rename(world.at / "spool")
    assert world.seen() == [f"{world.at}/spool is not empty"]


# -- many, and what the kernel cannot do


def test_paths_that_are_so_at_the_same_time_are_one_start(world: Watched) -> None:
    (world.at / "a").touch()
    world.arm((WatchKind.EXISTS, world.at / "a"), (WatchKind.NOT_EMPTY, world.at))
    assert world.triggered() == [f"{world.at}/a exists, {world.at} is not empty"]


def test_all_services_share_one_descriptor(world: Watched) -> None:
    """A user may have no more than 128 of them: inotify(7)."""
    (world.at / "x").touch()
    first = world.arm((WatchKind.CHANGES, world.at / "x"), (WatchKind.CHANGES, world.at / "y"))
    second = world.arm((WatchKind.CHANGES, world.at / "x"), (WatchKind.NOT_EMPTY, world.at / "z"))
    assert len(world.loop.readers) == 1
    first.close()
    (world.at / "x").write_text("1")
    assert world.seen() == [f"{world.at}/x changed"]
    assert len(world.loop.readers) == 1
    second.close()
    assert world.loop.readers == {}


def test_who_watches_less_of_a_folder_takes_nothing_from_who_watches_more(world: Watched) -> None:
    """The kernel has one mask for each inode."""
    folder = world.at / "d"
    (folder / "sub").mkdir(parents=True)
    first = world.arm((WatchKind.CHANGES, folder))
    second = world.arm((WatchKind.EXISTS, folder / "sub/x"))
    (folder / "y").touch()
    assert world.seen() == [f"{folder} changed"]
    second.close()
    (folder / "z").touch()
    assert world.seen() == [f"{folder} changed"]
    first.close()


def test_events_that_the_kernel_had_no_room_for_are_looked_up(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """IN_Q_OVERFLOW: inotify(7). For all that linit knows, everything has changed."""
    world.arm(
        (WatchKind.CHANGES, world.at / "x"), (WatchKind.EXISTS, world.at / "y"), (WatchKind.EXISTS, world.at / "z")
    )
    (world.at / "y").touch()
    (fd,) = world.loop.readers
    os.read(fd, 65536)  # what the kernel would have told
    overflow = [inotify.EVENT.pack(-1, inotify.OVERFLOW, 0, 0)]
    read = os.read

    def reads(from_fd: int, size: int) -> bytes:
        return overflow.pop() if overflow and from_fd == fd else read(from_fd, size)

    monkeypatch.setattr(os, "read", reads)
    world.loop.readers[fd]()
    assert world.seen() == [f"{world.at}/x changed, {world.at}/y exists"]


def test_a_limit_of_the_kernel_is_named(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sees `no space left on device` looks for a full disk."""

    def add_watch(*_arguments: object) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(inotify._libc, "inotify_add_watch", add_watch)
    with pytest.raises(OSError) as caught:
        world.arm((WatchKind.EXISTS, world.at / "x"))
    assert str(caught.value) == "/: ENOSPC (no space left on device): fs.inotify.max_user_watches is reached"
    world.watching = None


def test_what_it_watches_is_told(world: Watched) -> None:
    watching = world.arm((WatchKind.CHANGES, "/a/x"), (WatchKind.EXISTS, "/b"), (WatchKind.NOT_EMPTY, "/c/"))
    assert watching.words() == ["watches /a/x for changes", "watches for /b to exist", "watches /c/ for entries"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_to_the_folders_a_path_that_exists_in_the_end_is_found(world: Watched, seed: int) -> None:
    """Random changes to the three levels of a path, looked at in between or not."""
    chance = random.Random(seed)
    path = world.at / "a/b/c"
    world.arm((WatchKind.EXISTS, path), (WatchKind.CHANGES, path))
    levels = [world.at / "a", world.at / "a/b", path]
    for step in range(60):
        level = chance.choice(levels)
        if not level.is_dir():
            if level.parent.is_dir():
                level.mkdir()
        elif chance.random() < 0.5:
            shutil.rmtree(level)
        else:
            level.rename(world.at / f"old{step}")
        if chance.random() < 0.5:
            world.loop.turn()
    if path.is_dir():
        path.rmdir()
    world.seen()
    path.mkdir(parents=True)
    assert world.seen()[-1:] == [f"{path} exists, {path} changed"]
    assert world.watching is not None
    world.watching.runs()
    (path / "entry").touch()
    world.seen()
    world.watching.rests()
    assert world.triggered() == [f"{path} exists, {path} changed"]
