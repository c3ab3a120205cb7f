"""Which packages does the image take, and how do they get here?

apt resolves and fetches, in a directory of its own: own sources, lists, status (empty: nothing is installed), cache.
Of the machine's configuration it takes the `Acquire` settings (proxies and the like), without those that would let it
accept what is not signed; hooks of the machine do not run. What apt fetched enters the store only with the SHA-256
that the index gives, which panux.image.release verifies once more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from panux.faults import BuildError, FetchError, VerificationError
from panux.image.mirror import SUITE, Mirror
from panux.image.progress import Progress
from panux.image.release import Package, keyring, verified_packages
from panux.image.store import Store

UNSAFE_SETTING: Final = re.compile(r"^Acquire::Allow\w*(Insecure|Weak)", re.IGNORECASE)
"""Settings of the machine's apt that weaken verification: not taken over."""

CONFIGURATION: Final = """\
Dir::State "{root}/state";
Dir::State::status "{root}/state/status";
Dir::State::lists "{root}/state/lists";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{root}/cache/archives";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{root}/sources";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{root}/none";
Dir::Etc::preferencesparts "{root}/none";
Dir::Etc::preferences "/dev/null";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "{user}";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
"""
STANZA: Final = """\
Types: deb
URIs: {uri}
Suites: {suites}
Components: main
Architectures: amd64
Signed-By: {keyring}

"""


@dataclass(frozen=True, slots=True)
class Archive:
    """The Debian archive as the build sees it: `root` is the private apt directory, `store` keeps the packages."""

    root: Path
    store: Store
    mirror: Mirror
    keys: Path
    offline: bool = False

    @property
    def lists(self) -> Path:
        """Where apt keeps the signed indexes."""
        return self.root / "state" / "lists"

    @property
    def suites(self) -> tuple[str, ...]:
        """What is looked at; security updates only where the machine names an archive of them."""
        return (SUITE, f"{SUITE}-updates", *((f"{SUITE}-security",) if self.mirror.security else ()))

    @property
    def has_index(self) -> bool:
        """Has `refresh` ever worked for every suite?"""
        return all(any(self.lists.glob(f"*_dists_{suite}_InRelease")) for suite in self.suites)

    def refresh(self) -> None:
        """Fetches the indexes. Raises FetchError with what apt said, or when offline."""
        if self.offline:
            raise FetchError(f"{self.lists}: no package index is kept here; build once without --offline")
        self.apt("update", "-q", "--error-on=any")

    def resolve(self, wanted: Iterable[str], dropped: Iterable[str]) -> list[Package]:
        """What `wanted` and all that it depends on is, without `dropped`, from the verified indexes.

        The answer is remembered by the content of the indexes, since apt needs a second or two for it. Raises
        BuildError where apt finds no solution, VerificationError where an index is not what was signed.
        """
        known = self.root / "resolved" / f"{self.request_key(wanted, dropped)}.json"
        if known.is_file():
            return [Package(**entry) for entry in json.loads(known.read_text())]
        printed = self.apt("install", "--print-uris", "-qq", "-y", *sorted(wanted))
        chosen = {(name, version) for name, version in map(archive_name, printed.splitlines()) if name}
        dropped_names = frozenset(dropped)
        names = frozenset(name for name, _ in chosen) - dropped_names
        index = {
            (package.name, package.version): package
            for package in verified_packages(self.lists, self.suites, names, self.keys)
        }
        packages = sorted(self.indexed(index, name, version) for name, version in chosen if name not in dropped_names)
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps([asdict(package) for package in packages], indent=1))
        return packages

    def indexed(self, index: dict[tuple[str, str], Package], name: str, version: str) -> Package:
        """The package of the verified index that apt chose."""
        if found := index.get((name, version)):
            return found
        raise VerificationError(f"{name} {version}: apt chose it, but no verified index of {self.lists} names it")

    def verify(self, packages: Iterable[Package]) -> None:
        """Holds `packages` against the indexes, whose signatures are verified anew. Raises VerificationError."""
        names = frozenset(package.name for package in packages)
        index = {
            (package.name, package.version): package
            for package in verified_packages(self.lists, self.suites, names, self.keys)
        }
        for package in packages:
            if self.indexed(index, package.name, package.version) != package:
                raise VerificationError(f"{package.name} {package.version}: the verified index describes it otherwise")

    def fetch(self, packages: Iterable[Package], progress: Progress) -> None:
        """Brings into the store what it lacks. Raises VerificationError for a file with the wrong content."""
        missing = [package for package in packages if not self.store.holds(package.sha256)]
        if not missing:
            return
        if self.offline:
            names = ", ".join(package.name for package in missing)
            raise FetchError(f"{self.store.root}: not kept here: {names}; build once without --offline")
        landing = self.root / "landing"
        landing.mkdir(parents=True, exist_ok=True)
        for left in landing.glob("*.deb"):
            left.unlink()
        total_bytes = sum(package.size_bytes for package in missing)
        with progress.step(f"fetch {len(missing)} packages, {total_bytes / 1e6:.1f} MB") as step:
            self.apt_with_status("download", [f"{p.name}={p.version}" for p in missing], landing, step.show_percent)
            fetched = {apt_file_key(file.name): file for file in landing.glob("*.deb")}
            for package in missing:
                file = fetched.get((package.name, package.version))
                if file is None:
                    raise BuildError(f"{package.name} {package.version}: apt fetched no file for it")
                self.store.take_in(file, package.sha256, Path(package.filename).name)

    def request_key(self, wanted: Iterable[str], dropped: Iterable[str]) -> str:
        """A hash of everything that the answer of `resolve` depends on."""
        digest = hashlib.sha256(repr((sorted(wanted), sorted(dropped), self.suites)).encode())
        for suite in self.suites:
            for release in sorted(self.lists.glob(f"*_dists_{suite}_InRelease")):
                digest.update(release.read_bytes())
        return digest.hexdigest()

    def apt(self, *arguments: str) -> str:
        """Standard output of apt-get in the private directory. Raises BuildError with what it said on an error."""
        ended = subprocess.run(
            ["apt-get", *arguments], env=self.environment(), capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise FetchError(f"apt-get {arguments[0]}: {complaints(ended.stderr or ended.stdout)}")
        return ended.stdout

    def apt_with_status(self, verb: str, names: list[str], directory: Path, show: Callable[[float], None]) -> None:
        """Runs apt-get with its progress protocol on standard output (apt's README.progress-reporting)."""
        command = ["apt-get", verb, "-q", "-o", "APT::Status-Fd=1", *names]
        with subprocess.Popen(
            command, cwd=directory, env=self.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stdout is not None and running.stderr is not None
            for line in running.stdout:
                kind, _, rest = line.partition(":")
                if kind == "dlstatus":
                    show(float(rest.split(":")[1]))
            said = running.stderr.read()
        if running.returncode:
            raise FetchError(f"apt-get {verb}: {complaints(said)}")

    def environment(self) -> dict[str, str]:
        """The environment that makes apt use the private directory; its configuration is written on the way."""
        for folder in ("state/lists/partial", "cache/archives/partial", "sources", "none"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "state" / "status").touch()
        stanzas = STANZA.format(uri=self.mirror.main, suites=f"{SUITE} {SUITE}-updates", keyring=self.keys)
        if self.mirror.security:
            stanzas += STANZA.format(uri=self.mirror.security, suites=f"{SUITE}-security", keyring=self.keys)
        (self.root / "sources" / "panux.sources").write_text(stanzas)
        user = "root" if os.geteuid() == 0 else ""  # the cache may lie in a home that apt's own user cannot enter
        configuration = self.root / "apt.conf"
        configuration.touch(mode=0o600)  # a proxy setting may hold a password
        configuration.write_text(machine_settings() + CONFIGURATION.format(root=self.root, user=user))
        return {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C.UTF-8"}


def open_archive(downloads: Path, mirror: Mirror, offline: bool = False) -> Archive:
    """The archive whose index and packages are kept below `downloads`; each mirror has an index of its own.

    When `offline` nothing is fetched: what is not kept is an error.
    """
    named = hashlib.sha256(f"{mirror.main}\n{mirror.security}".encode()).hexdigest()[:16]
    return Archive((downloads / "apt" / named).absolute(), Store(downloads.absolute()), mirror, keyring(), offline)


def machine_settings() -> str:
    """The `Acquire` settings of the machine's apt, without those that weaken verification."""
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    lines = (line for line in dumped.splitlines() if line.startswith("Acquire::") and not UNSAFE_SETTING.match(line))
    return "".join(f"{line}\n" for line in lines if not line.startswith("Acquire::IndexTargets"))


def archive_name(line: str) -> tuple[str, str]:
    """Name and version in a line of --print-uris, `'URI' FILE SIZE HASH`; two empty strings for another line."""
    words = line.split()
    return apt_file_key(words[1]) if len(words) >= 3 and words[0].startswith("'") else ("", "")


def apt_file_key(file: str) -> tuple[str, str]:
    """Name and version in a file name of apt's, where the colon of an epoch is written %3a."""
    name, version, _ = urllib.parse.unquote(file).removesuffix(".deb").rsplit("_", 2)
    return name, version


def complaints(said: str) -> str:
    """The lines of apt's output that tell what went wrong."""
    lines = [line for line in said.splitlines() if line.startswith(("E:", "W:", "Err:"))]
    return "\n  ".join(lines or said.splitlines()[-5:])
