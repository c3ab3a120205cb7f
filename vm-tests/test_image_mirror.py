"""Which mirror the build takes: what apt is configured with, and nobody else's archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from panux.faults import BuildError
from panux.image.mirror import Mirror, Source, deb822_sources, machine_mirror, one_line_sources

DEB822 = """\
# the main archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
 non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
THIRD_PARTY = """\
Types: deb
URIs: https://vendor.example/apt
Suites: stable
Components: main
Signed-By: /usr/share/keyrings/vendor.gpg
"""


def apt_directory(tmp_path: Path, **files: str) -> Path:
    """A directory like /etc/apt; `list_d_x="..."` stands for a file of sources.list.d."""
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        place = tmp_path / "sources.list" if name == "main" else tmp_path / "sources.list.d" / name.replace("_", ".")
        place.write_text(text)
    return tmp_path


def test_a_deb822_file_is_read_with_comments_continued_lines_and_disabled_stanzas() -> None:
    """sources.list(5), DEB822-STYLE FORMAT."""
    main, security = deb822_sources(DEB822)
    assert main.uri == "http://mirror.example/debian"
    assert main.suites == ("bookworm", "bookworm-updates")
    assert main.components == ("main", "contrib", "non-free-firmware")
    assert security.uri == "http://mirror.example/debian-security"


def test_one_line_entries_are_read_with_their_options() -> None:
    """sources.list(5), ONE-LINE-STYLE FORMAT."""
    text = "# deb http://no.example/ sid main\ndeb [arch=amd64 signed-by=/k.gpg] http://yes.example/debian sid main\n"
    assert list(one_line_sources(text)) == [Source("http://yes.example/debian", ("sid",), ("main",), "/k.gpg")]
    assert list(one_line_sources("deb-src http://src.example/debian bookworm main")) == []


def test_the_security_archive_is_told_from_the_main_one(tmp_path: Path) -> None:
    """Both lie in one file on a fresh Debian machine."""
    etc_apt = apt_directory(tmp_path, debian_sources=DEB822)
    assert machine_mirror(etc_apt) == Mirror("http://mirror.example/debian", "http://mirror.example/debian-security")


def test_a_third_partys_archive_is_not_taken_for_debians(tmp_path: Path) -> None:
    """Though its suite is called stable, it is signed with another key."""
    etc_apt = apt_directory(tmp_path, a_sources=THIRD_PARTY, z_list="deb http://mirror.example/debian stable main\n")
    assert machine_mirror(etc_apt) == Mirror("http://mirror.example/debian")


def test_a_machine_without_debian_is_told_what_to_do(tmp_path: Path) -> None:
    """There is no mirror that the project would name by itself."""
    etc_apt = apt_directory(tmp_path, vendor_sources=THIRD_PARTY)
    with pytest.raises(BuildError) as caught:
        machine_mirror(etc_apt)
    assert str(caught.value) == f"{etc_apt}: no Debian archive is configured; name one with --mirror URL"
