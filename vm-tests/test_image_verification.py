"""Nothing unverified enters an image: each link of the chain from Debian's key to a file."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from panux import places
from panux.faults import FetchError, VerificationError
from panux.image import build, release
from panux.image.archive import Archive, apt_file_key, archive_name, machine_settings, open_archive
from panux.image.mirror import Mirror, machine_mirror
from panux.image.progress import Progress
from panux.image.release import Package, check_packages, parse_packages
from panux.image.selection import DROPPED, WANTED
from panux.image.store import Store

STANZAS = """\
Package: busybox-static
Version: 1:1.37
Architecture: amd64
Description: small
 Version: not this one
Filename: pool/b/busybox-static_1.37_amd64.deb
Size: 12
SHA256: aa

Package: other
Version: 2
Architecture: all
Filename: pool/o/other.deb
Size: 1
SHA256: bb
"""


def sha256(data: bytes) -> str:
    """The hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def test_a_file_enters_the_store_only_with_the_hash_of_the_index(tmp_path: Path) -> None:
    """The error names the package's file, where it lies, and both hashes."""
    store, landed = Store(tmp_path / "store"), tmp_path / "landed"
    landed.write_bytes(b"evil")
    with pytest.raises(VerificationError) as caught:
        store.take_in(landed, sha256(b"good"), "nginx_1_amd64.deb")
    assert str(caught.value) == (
        "nginx_1_amd64.deb: not what the signed index says; the build stops here\n"
        f"  file      {landed}\n  SHA-256   {sha256(b'evil')}\n  expected  {sha256(b'good')}\n"
        "  remove the file to have it fetched again"
    )
    assert not store.holds(sha256(b"good"))


def test_a_file_that_changed_in_the_store_is_found_when_it_is_used(tmp_path: Path) -> None:
    """What was good when it came need not be good now."""
    store, landed = Store(tmp_path / "store"), tmp_path / "landed"
    landed.write_bytes(b"good")
    kept = store.take_in(landed, sha256(b"good"), "nginx.deb")
    assert store.verified(sha256(b"good"), "nginx.deb") == kept
    kept.write_bytes(b"evil")
    with pytest.raises(VerificationError, match=r"^nginx\.deb: not what the signed index says"):
        store.verified(sha256(b"good"), "nginx.deb")


def test_an_index_must_have_the_hash_that_the_signed_release_gives(tmp_path: Path) -> None:
    """Also an MD5 section with the same file names, as InRelease has it, must not confuse."""
    packages = tmp_path / "Packages"
    packages.write_text(STANZAS)
    line = f" {sha256(STANZAS.encode())} {len(STANZAS)} main/binary-amd64/Packages\n"
    text = f"MD5Sum:\n {'0' * 32} 1 main/binary-amd64/Packages\nSHA256:\n{line}"
    check_packages(packages, Path("InRelease"), text)
    packages.write_text(STANZAS + " ")
    with pytest.raises(VerificationError, match=r"Packages: not what InRelease says"):
        check_packages(packages, Path("InRelease"), text)
    with pytest.raises(VerificationError, match=r"^InRelease: gives no SHA-256"):
        check_packages(packages, Path("InRelease"), "SHA1:\n")


def test_a_stanza_is_read_without_its_continued_lines() -> None:
    """A description may contain anything."""
    found = list(parse_packages(STANZAS, frozenset({"busybox-static"})))
    assert found == [Package("busybox-static", "1:1.37", "amd64", "pool/b/busybox-static_1.37_amd64.deb", 12, "aa")]


def test_apts_file_names_give_name_and_version() -> None:
    """An epoch's colon is written %3a."""
    assert apt_file_key("busybox-static_1%3a1.37.0-6+b9_amd64.deb") == ("busybox-static", "1:1.37.0-6+b9")
    line = "'http://m.example/pool/n/netbase_6.5_all.deb' netbase_6.5_all.deb 12436 SHA256:00"
    assert archive_name(line) == ("netbase", "6.5")
    assert archive_name("Reading package lists...") == ("", "")


def test_the_machines_apt_settings_cannot_weaken_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are taken over, permission to accept unsigned archives is not."""
    dumped = (
        'Acquire::http::Proxy "http://p.example";\nAcquire::AllowInsecureRepositories "1";\n'
        'Acquire::AllowWeakRepositories "1";\nAcquire::AllowDowngradeToInsecureRepositories "1";\n'
        'APT::Update::Post-Invoke:: "rm -rf x";\n'
    )
    monkeypatch.setattr("subprocess.run", lambda *_, **__: type("Ended", (), {"stdout": dumped}))
    assert machine_settings() == 'Acquire::http::Proxy "http://p.example";\n'


def test_offline_says_what_is_missing_and_fetches_nothing(tmp_path: Path) -> None:
    """The names tell which build to do first."""
    archive = Archive(tmp_path / "apt", Store(tmp_path), Mirror("http://m.example"), Path("keys"), offline=True)
    package = Package("nginx", "1", "amd64", "nginx_1_amd64.deb", 1, sha256(b"nginx"))
    with pytest.raises(FetchError, match=r"not kept here: nginx; build once without --offline"):
        archive.fetch([package], Progress(quiet=True))
    with pytest.raises(FetchError, match="no package index is kept here"):
        archive.refresh()


@pytest.fixture
def private_cache(tmp_path: Path, prepared: object) -> Path:
    """A copy of the download cache, so that a test may spoil it; packages are links to the real files."""
    del prepared  # the cache is full once an image was prepared
    copied = tmp_path / "cache"
    shutil.copytree(places.downloads() / "sha256", copied / "sha256", copy_function=lambda a, b: Path(b).symlink_to(a))
    archive = open_archive(places.downloads(), machine_mirror())
    shutil.copytree(archive.root / "state", copied / archive.root.relative_to(places.downloads()) / "state")
    return copied


@pytest.mark.vm
def test_a_corrupt_package_in_the_cache_stops_the_build_and_is_named(private_cache: Path, tmp_path: Path) -> None:
    """One byte of one package is enough; no image comes into being."""
    archive = open_archive(private_cache, machine_mirror(), offline=True)
    package = next(one for one in archive.resolve(WANTED, DROPPED) if one.name == "nginx")
    kept = archive.store.path(package.sha256)
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.unlink()
    kept.write_bytes(content)
    key = tmp_path / "key.pub"
    key.write_text("ssh-ed25519 none\n")
    with pytest.raises(VerificationError) as caught:
        build.build_image(archive, build.Sources(places.REPOSITORY, key), tmp_path / "work", Progress(quiet=True))
    assert str(caught.value).startswith(f"{Path(package.filename).name}: not what the signed index says")
    assert str(kept) in str(caught.value)
    assert not list((tmp_path / "work").glob("images/*"))
    assert not list((tmp_path / "work").glob("stages/*"))


@pytest.mark.vm
def test_a_changed_index_is_found_though_apt_has_accepted_it(private_cache: Path) -> None:
    """InRelease with another text is not signed, and a Packages with another text is not in InRelease."""
    archive = open_archive(private_cache, machine_mirror(), offline=True)
    packages = archive.resolve(WANTED, DROPPED)
    archive.verify(packages)
    signed = release.list_file(archive.lists, "_dists_trixie_InRelease")
    text = signed.read_text()
    signed.write_text(re.sub(r"^Codename: .*$", "Codename: other", text, count=1, flags=re.MULTILINE))
    with pytest.raises(VerificationError, match="not signed by a key of"):
        archive.verify(packages)
    signed.write_text(text)
    index = release.list_file(archive.lists, "_dists_trixie_main_binary-amd64_Packages")
    index.write_bytes(index.read_bytes().replace(packages[0].sha256.encode(), b"0" * 64))
    with pytest.raises(VerificationError, match=r"not what .*InRelease says"):
        archive.verify(packages)
