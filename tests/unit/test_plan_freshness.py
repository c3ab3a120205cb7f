"""When is a plan stale? DESIGN.md section 2: one stat a source, a hash only where size or mtime moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from linit.definitions.folders import Folders
from linit.model.service import Source
from linit.plan import freshness

PAST_NS = 1_600_000_000_000_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a.yaml and b.yaml, all written long ago."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(f"description: {name}\n")
    settle(tmp_path)
    return tmp_path


def settle(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, ns=(PAST_NS, PAST_NS))


def sources(tree: Path) -> list[Source]:
    folders = Folders()
    folders.add_services(str(tree))
    folders.add_services(f"{tree}/absent")
    for name in sorted(folders.files):
        folders.read(folders.files[name])
    return folders.sources


def test_nothing_changed_is_fresh_without_a_hash(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = sources(tree)
    monkeypatch.delattr(freshness, "digest")
    assert [source.size for source in known if source.path.endswith("absent")] == [freshness.ABSENT_SIZE]
    assert freshness.examine(known) == freshness.Freshness()


def test_a_changed_file_is_stale(tree: Path) -> None:
    known = sources(tree)
    (tree / "a.yaml").write_text("description: A.yaml\n")
    assert freshness.stale(known) == (f"{tree}/a.yaml",)


def test_a_touched_file_is_fresh_and_told_as_moved(tree: Path) -> None:
    known = sources(tree)
    os.utime(tree / "a.yaml", ns=(PAST_NS, PAST_NS + 1))
    found = freshness.examine(known)
    assert (found.stale, [source.path for source in found.moved]) == ((), [f"{tree}/a.yaml"])
    assert found.moved[0].mtime_ns == PAST_NS + 1


def test_a_new_a_removed_and_a_renamed_file_show_in_the_folder(tree: Path) -> None:
    known = sources(tree)
    (tree / "c.yaml").write_text("x")
    assert freshness.stale(known) == (str(tree),)
    (tree / "c.yaml").unlink()
    assert freshness.stale(known) == ()
    (tree / "a.yaml").unlink()
    assert freshness.stale(known) == (str(tree), f"{tree}/a.yaml")


def test_a_folder_that_appears_is_stale(tree: Path) -> None:
    known = sources(tree)
    (tree / "absent").mkdir()
    os.utime(tree, ns=(PAST_NS, PAST_NS))
    assert f"{tree}/absent" in freshness.stale(known)


def test_a_file_that_becomes_readable_is_stale(tree: Path) -> None:
    (tree / "c.yaml").symlink_to(tree / "nowhere.txt")
    known = sources(tree)
    assert freshness.stale(known) == ()
    (tree / "nowhere.txt").write_text("x")
    assert f"{tree}/c.yaml" in freshness.stale(known)


def test_a_file_written_while_the_plan_is_made_is_compared_by_its_hash(tmp_path: Path) -> None:
    """Two writes of one size within a tick of the clock leave the same time."""
    (tmp_path / "a.yaml").write_text("nice: 1\n")
    known = sources(tmp_path)
    (there,) = [source for source in known if source.path.endswith("a.yaml")]
    status = (tmp_path / "a.yaml").stat()
    (tmp_path / "a.yaml").write_text("nice: 2\n")
    os.utime(tmp_path / "a.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert there.mtime_ns == 0
    assert there.path in freshness.stale(known)


def test_a_mask_stays_fresh_although_the_null_device_is_new_after_each_boot(tree: Path) -> None:
    (tree / "m.yaml").symlink_to("/dev/null")
    assert freshness.stale(sources(tree)) == ()


def test_sources_are_looked_for_below_the_root(tree: Path) -> None:
    known = sources(tree)
    moved = [Source("/" + os.path.basename(each.path), each.size, each.mtime_ns, each.sha256) for each in known[2:]]
    assert freshness.stale(moved, str(tree)) == ()
    assert freshness.stale(moved, f"{tree}/other") == ("/a.yaml", "/b.yaml")


def test_what_was_changed_later_than_the_plan_is_compared_by_its_hash(tree: Path) -> None:
    """Whoever sets times cannot set when: an image whose files all have one time, another version of it, a backup."""
    known = rows(tree)
    made_ns = tree.stat().st_ctime_ns - freshness.RACY_NS
    (tree / "b.yaml").write_text("description: B.yaml\n")
    (tree / "c.yaml").write_text("")
    settle(tree)
    assert freshness.examine_rows(known).stale == ()
    assert freshness.examine_rows(known, "", made_ns).stale == (str(tree), f"{tree}/b.yaml")


def test_what_was_only_touched_later_than_the_plan_is_told_as_moved(tree: Path) -> None:
    """So that whoever writes the plan again need not look twice; where no time counts, there is nothing to write."""
    known = rows(tree)
    found = freshness.examine_rows(known, "", tree.stat().st_ctime_ns - freshness.RACY_NS)
    there = [str(tree), f"{tree}/a.yaml", f"{tree}/b.yaml"]
    assert (found.stale, [each.path for each in found.moved]) == ((), there)
    assert freshness.examine_rows(known, "", freshness.NOTHING) == freshness.Freshness()


def rows(tree: Path) -> list[freshness.Row]:
    return [(each.path, each.size, each.mtime_ns, each.sha256) for each in sources(tree)]
