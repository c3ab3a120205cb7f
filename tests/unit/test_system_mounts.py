"""The table of mounts, proc_pid_mountinfo(5), what of it is missing at boot, and what is unmounted at the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from linit.system import mounts
from linit.system.mounts import API_MOUNTS, ApiMount, Mounted, make_links, missing, parse_mountinfo
from linit.system.shutdown import swap_paths, unmount_order

if TYPE_CHECKING:
    import pytest

PANUX = """\
20 1 254:0 / / ro,relatime shared:1 - ext4 /dev/vda ro
21 20 0:5 / /dev rw,nosuid - devtmpfs dev rw,size=4k,mode=755
22 20 0:21 / /proc rw,nosuid,nodev,noexec - proc proc rw
23 20 0:22 / /sys rw,nosuid - sysfs sys rw
24 20 0:23 / /run rw,nosuid,nodev - tmpfs run rw,mode=755
25 23 0:24 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
26 21 0:25 / /dev/shm rw - tmpfs shm rw
27 20 254:16 / /srv rw,relatime - ext4 /dev/vdb rw
28 27 254:32 / /srv/with\\040space ro,relatime - ext4 /dev/vdc rw
29 20 0:40 / /tmp rw - tmpfs tmp rw
30 20 254:16 /home /home rw - ext4 /dev/vdb rw
"""


def test_a_mount_is_read_with_its_octal_escapes() -> None:
    assert parse_mountinfo(PANUX)[8] == Mounted(28, 27, "/srv/with space", "ext4", "/dev/vdc", is_read_only=True)


def test_a_mount_is_read_only_by_its_own_flags_or_its_file_systems() -> None:
    flags = {mount.target: mount.is_read_only for mount in parse_mountinfo(PANUX)}
    assert flags["/"] and flags["/srv/with space"] and not flags["/srv"]


def test_optional_fields_may_be_many_or_none() -> None:
    text = "1 0 8:1 / / rw shared:1 master:2 - ext4 /dev/sda1 rw\n2 1 8:2 / /a rw - xfs /dev/sdb rw\n"
    assert [mount.kind for mount in parse_mountinfo(text)] == ["ext4", "xfs"]


def test_a_line_that_is_no_mount_is_left_out() -> None:
    assert parse_mountinfo("nonsense\n1 2 3 - x y\n") == ()


def test_after_the_initramfs_of_panux_only_terminals_are_missing() -> None:
    """And shared memory, but for this machine."""
    (missed,) = missing(parse_mountinfo(PANUX))
    assert (missed.target, missed.is_told) == ("/dev/pts", False)


def test_links_of_devices_are_made_and_none_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "stdin").symlink_to("/dev/null")
    make_links(str(tmp_path))
    found = {link.name: os.readlink(link) for link in tmp_path.iterdir()}
    assert found == {"fd": "/proc/self/fd", "stdin": "/dev/null", "stdout": "fd/1", "stderr": "fd/2"}


def test_an_initramfs_that_mounts_everything_leaves_the_links_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of other distributions mounts /dev/pts and /dev/shm, too."""
    there = tuple(Mounted(i, 0, api.target, api.kind, api.kind, False) for i, api in enumerate(API_MOUNTS, start=1))
    monkeypatch.setattr(mounts, "read_mountinfo", lambda: there)
    made: list[str] = []
    monkeypatch.setattr(mounts, "make_links", made.append)
    mounts.mount_missing(made.append)
    assert made == ["/dev"]


def test_without_an_initramfs_everything_is_missing_in_the_order_of_mounting() -> None:
    assert missing(()) == API_MOUNTS
    assert [api.target for api in API_MOUNTS] == [
        "/proc", "/sys", "/dev", "/run", "/sys/fs/cgroup", "/dev/pts", "/dev/shm",
    ]  # fmt: skip


def test_another_kind_in_the_place_does_not_count() -> None:
    text = PANUX.replace("/dev rw,nosuid - devtmpfs dev", "/dev rw,nosuid - tmpfs dev")
    assert missing(parse_mountinfo(text))[0] == ApiMount("devtmpfs", "/dev", 2, "mode=0755")


def test_the_last_mounted_is_unmounted_first_and_the_kernels_own_never() -> None:
    assert unmount_order(parse_mountinfo(PANUX)) == ["/home", "/tmp", "/srv/with space", "/srv"]


def test_what_is_stacked_on_one_place_is_unmounted_as_often() -> None:
    text = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /a rw - ext4 b rw\n3 2 8:3 / /a rw - ext4 c rw\n"
    assert unmount_order(parse_mountinfo(text)) == ["/a", "/a"]


def test_the_paths_of_swap_areas_are_read_last_first() -> None:
    text = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/vdb                                partition\t1048572\t\t0\t\t-2\n"
        "/swap\\040file                           file\t\t1048572\t\t0\t\t-3\n"
    )
    assert swap_paths(text) == ["/swap file", "/dev/vdb"]
    assert swap_paths("") == []
