"""What does the signed index say?

apt has verified what it fetched; we do it again at every build, since a cache may have been touched meanwhile and an
offline build has only the cache. The chain: a Debian archive key signs InRelease (gpgv(1)), InRelease holds the
SHA-256 of Packages, Packages holds the SHA-256 of each .deb. Format: apt-secure(8), deb822(5).
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.faults import BuildError, VerificationError

KEYRINGS: Final = tuple(
    Path("/usr/share/keyrings") / name for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg")
)
PACKAGES_PATH: Final = "main/binary-amd64/Packages"


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One package of the archive, as its index describes it."""

    name: str
    version: str
    architecture: str
    filename: str
    size_bytes: int
    sha256: str


def keyring() -> Path:
    """The Debian archive keyring of this machine. Raises BuildError if there is none."""
    for candidate in KEYRINGS:
        if candidate.is_file():
            return candidate
    raise BuildError(f"no Debian archive keyring (looked for {', '.join(map(str, KEYRINGS))}): "
                     "install debian-archive-keyring")  # fmt: skip


def verified_packages(lists: Path, suites: Iterable[str], names: frozenset[str], keys: Path) -> Iterator[Package]:
    """The packages with these names in the verified indexes of apt's `lists` directory.

    Raises VerificationError, naming the file, for a signature or a hash that does not hold, and BuildError where an
    index of a suite is missing.
    """
    for suite in suites:
        release = list_file(lists, f"_dists_{suite}_InRelease")
        packages = list_file(lists, f"_dists_{suite}_{PACKAGES_PATH.replace('/', '_')}")
        text = signed_text(release, keys)
        check_packages(packages, release, text)
        yield from parse_packages(packages.read_text(encoding="utf-8"), names)


def list_file(lists: Path, ending: str) -> Path:
    """The one file of `lists` whose name ends so. Raises BuildError if there is none."""
    for file in sorted(lists.iterdir()) if lists.is_dir() else ():
        if file.name.endswith(ending):
            return file
    raise BuildError(f"{lists}: no index named *{ending}; build once without --offline")


def signed_text(release: Path, keys: Path) -> str:
    """The text of an InRelease file that a key of the keyring signed; what stands outside the signature is dropped.

    Raises VerificationError. gpgv exits with an error also where one of several signatures is by a key that we lack,
    so its status lines decide, as they do for apt: at least one valid signature and no bad one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "Release"
        command = ["gpgv", "--keyring", str(keys), "--status-fd", "1", "--output", str(text), str(release)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        status = {line.split()[1] for line in ended.stdout.splitlines() if line.startswith("[GNUPG:] ")}
        if "VALIDSIG" not in status or "GOODSIG" not in status or "BADSIG" in status or not text.is_file():
            raise VerificationError(f"{release}: not signed by a key of {keys}\n{ended.stderr.strip()}")
        return text.read_text(encoding="utf-8")


def check_packages(packages: Path, release: Path, text: str) -> None:
    """Raises VerificationError unless `packages` has the hash that the verified Release `text` gives for it."""
    _, _, hashes = text.partition("\nSHA256:\n")
    match = re.search(rf"^ ([0-9a-f]{{64}}) +(\d+) {re.escape(PACKAGES_PATH)}$", hashes, re.MULTILINE)
    if match is None:
        raise VerificationError(f"{release}: gives no SHA-256 of {PACKAGES_PATH}")
    with packages.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != match[1]:
        raise VerificationError(
            f"{packages}: not what {release.name} says\n  SHA-256   {found}\n  expected  {match[1]}"
        )


def parse_packages(text: str, names: frozenset[str]) -> Iterator[Package]:
    """The stanzas of a Packages file that have these names. The file is large: fields are taken by search."""
    for stanza in text.split("\n\n"):
        first, _, rest = stanza.lstrip("\n").partition("\n")
        name = first.removeprefix("Package: ")
        if name not in names:
            continue
        fields = dict(line.split(": ", 1) for line in rest.splitlines() if ": " in line and not line[0].isspace())
        yield Package(
            name, fields["Version"], fields["Architecture"], fields["Filename"], int(fields["Size"]), fields["SHA256"]
        )
