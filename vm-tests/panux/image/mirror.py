"""Which Debian mirror does this machine use?

apt's own configuration names it, in deb822 `.sources` files and one-line `.list` files (sources.list(5)). Third
parties' archives stand beside it there; what tells the Debian archive is the suites that it carries. A wrong guess
would cost a failed build and no more: apt and we verify the archive's signature against Debian's key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.faults import BuildError

SUITE: Final = "trixie"
CODENAMES: Final = frozenset((
    "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldoldstable", "oldstable", "stable",
    "testing", "unstable",
))  # fmt: skip
ONE_LINE: Final = re.compile(
    r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$"
)


@dataclass(frozen=True, slots=True)
class Source:
    """One archive that apt is told of: where, which suites, which components, and the key that it names."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def is_debian(self) -> bool:
        """Does it carry Debian's own suites in `main`, and is no other key than Debian's named for it?"""
        if "main" not in self.components or (self.signed_by and "debian-archive" not in self.signed_by):
            return False
        return any(suite.split("-")[0].split("/")[0] in CODENAMES for suite in self.suites)

    @property
    def is_security(self) -> bool:
        """Is it the archive of security updates, which lies apart from the main one?"""
        return any(suite.endswith(("-security", "/updates")) for suite in self.suites)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Base addresses of the Debian archive and, where the machine names one, of the security archive ("" if not)."""

    main: str
    security: str = ""


def machine_mirror(etc_apt: Path = Path("/etc/apt")) -> Mirror:
    """The mirror that the apt configuration below `etc_apt` names.

    Raises BuildError if it names none that carries Debian.
    """
    debian = [source for source in configured_sources(etc_apt) if source.is_debian]
    main = [source.uri for source in debian if not source.is_security]
    if not main:
        raise BuildError(f"{etc_apt}: no Debian archive is configured; name one with --mirror URL")
    return Mirror(main[0], next((source.uri for source in debian if source.is_security), ""))


def configured_sources(etc_apt: Path) -> list[Source]:
    """Every enabled binary archive of `sources.list` and `sources.list.d`, in apt's order of reading."""
    parts = etc_apt / "sources.list.d"
    files = [etc_apt / "sources.list", *(sorted(parts.iterdir()) if parts.is_dir() else [])]
    found: list[Source] = []
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".sources":
            found += deb822_sources(text)
        elif file.suffix == ".list":
            found += one_line_sources(text)
    return found


def deb822_sources(text: str) -> Iterator[Source]:
    """The sources of a deb822 file: stanzas of `Key: value`, a line that begins with a blank continues the last."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        suites, components = tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            yield Source(uri.rstrip("/"), suites, components, fields.get("signed-by", ""))


def one_line_sources(text: str) -> Iterator[Source]:
    """The sources of a one-line-style file: `deb [options] URI SUITE COMPONENT...`."""
    for line in text.splitlines():
        if not (match := ONE_LINE.match(line.split("#")[0].strip())):
            continue
        options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
        uri = match["uri"].rstrip("/")
        yield Source(uri, (match["suite"],), tuple(match["components"].split()), options.get("signed-by", ""))
