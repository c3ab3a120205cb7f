"""How the packages of the real daemons are had, and what a test says that cannot have one. apt is a script here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.packages import Packages

APT = """#!/bin/sh
echo "$*" >> {asked}
case "$*" in
  *install*) {install} ;;
  *print-uris*) echo "'http://mirror/x.deb' tool_1_all.deb 1 SHA256:0" ;;
  *download*) cp {deb} tool_1_all.deb ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/bin"
cp "$2" "$3/usr/bin/tool"
chmod 755 "$3/usr/bin/tool"
"""


def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: str) -> Packages:
    """Packages of a machine whose apt does this when it is to simulate an installation."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "deb").write_text("#!/bin/sh\n")
    scripts = {"apt-get": APT.format(asked=tmp_path / "asked", install=install, deb=tmp_path / "deb"), "dpkg": DPKG}
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (tmp_path / "root").mkdir()
    return Packages(tmp_path / "cache", tmp_path / "root")


def test_what_lacks_is_fetched_once_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine has, if only in an older version, is taken from there."""
    install = 'echo "Inst old [1] (2 all)"; echo "Inst tool (1 all)"; echo "Conf tool (1 all)"'
    first = packages(tmp_path, monkeypatch, install)
    first.need("tool")
    assert first.program("tool") == str(tmp_path / "root/usr/bin/tool")
    asked = (tmp_path / "asked").read_text()
    assert [line.split()[-1] for line in asked.splitlines()] == ["tool", "tool", "tool"]
    Packages(tmp_path / "cache", tmp_path / "root").need("tool")
    assert (tmp_path / "asked").read_text() == asked


def test_a_package_that_is_not_to_be_had_skips_the_test_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In apt's words; it is asked once for all tests."""
    lacking = packages(tmp_path, monkeypatch, 'echo "E: Unable to locate package tool" >&2; exit 100')
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception) as skipped:
            lacking.need("tool")
        assert str(skipped.value) == "Debian's package tool is not to be had: E: Unable to locate package tool"
    assert len([line for line in (tmp_path / "asked").read_text().splitlines() if "install" in line]) <= 2


def test_a_machine_without_apt_skips_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not everybody has Debian."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=r"^Debian's package tool is not to be had: .*'apt-get'$"):
        Packages(tmp_path / "cache", tmp_path / "root").need("tool")
