"""A second disk, with more daemons: for the tests that run them, while the image stays small.

It holds a `usr` that a machine puts below its own, with overlayfs: so each program is where its package has it, and of
what both have the image's counts. Which packages, which of their files: the tables here. What they need of shared
libraries enters as it does in the image. No maintainer script runs, so accounts, configurations and folders outside
`usr` are for the test to make.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from panux.image.archive import Archive
from panux.image.build import BUILDER, LIBRARIES, forget_old, growing, locked, trim_libraries
from panux.image.filesystem import make_file_system, set_times
from panux.image.fingerprint import fingerprint
from panux.image.owners import Owners
from panux.image.package_files import unpack
from panux.image.progress import Progress

_POSTGRESQL: Final = "usr/lib/postgresql/17"
FILES: Final = {
    "chrony": ("usr/sbin/chronyd", "usr/bin/chronyc"),
    "cron": ("usr/sbin/cron",),
    "dbus-bin": ("usr/bin/dbus-send",),
    "dbus-daemon": ("usr/bin/dbus-daemon",),
    "dbus-system-bus-common": ("usr/share/dbus-1/system.conf",),
    "dnsmasq-base": ("usr/sbin/dnsmasq",),
    "haproxy": ("usr/sbin/haproxy",),
    "libpam-modules": (f"{LIBRARIES}/security/pam_permit.so",),
    "memcached": ("usr/bin/memcached",),
    "postgresql-17": (
        f"{_POSTGRESQL}/bin/initdb", f"{_POSTGRESQL}/bin/postgres", f"{_POSTGRESQL}/lib/dict_snowball.so",
        f"{_POSTGRESQL}/lib/plpgsql.so", "usr/share/postgresql/17/",
    ),
    "postgresql-client-17": (f"{_POSTGRESQL}/bin/psql", f"{_POSTGRESQL}/bin/pg_isready"),
    "rsyslog": ("usr/sbin/rsyslogd", f"{LIBRARIES}/rsyslog/imuxsock.so", f"{LIBRARIES}/rsyslog/lmnet.so"),
}  # fmt: skip
"""Of these packages the files, and all below the directories, that enter."""
LEFT_OUT: Final = (
    "usr/share/postgresql/17/extension/", "usr/share/postgresql/17/man/",
)  # fmt: skip
ALSO: Final = ("usr/share/postgresql/17/extension/plpgsql",)
"""Beginnings of paths that do not enter after all, and of those among them that do: initdb makes this one language."""
UNUSED: Final = ("libllvm19", "libz3-4", "libperl5.40", "libc-l10n", "libsystemd-shared")
"""Libraries that are big, and needed by nothing that enters: they are not fetched."""


def enters(package: str, path: str) -> bool:
    """Does this file of this package enter? Of one that is not listed only its shared libraries."""
    if package not in FILES:
        return str(Path(path).parent) == LIBRARIES and ".so" in path
    if path.startswith(LEFT_OUT) and not path.startswith(ALSO):
        return False
    return any(path == kept or (kept.endswith("/") and path.startswith(kept)) for kept in FILES[package])


def build_daemons_disk(archive: Archive, work: Path, progress: Progress) -> Path:
    """The disk, a raw ext4 image that is never written to again; made only if there is none of the same content.

    Raises BuildError, and VerificationError where a package or an index is not what was signed.
    """
    found = archive.resolve(FILES, UNUSED)
    packages = [package for package in found if package.name in FILES or package.name.startswith(("lib", "zlib"))]
    described = json.dumps([asdict(package) for package in packages])
    disk = work / "daemons" / fingerprint([BUILDER], described) / "root.img"
    with locked(work):
        if disk.is_file():
            os.utime(disk.parent)
            return disk
        archive.verify(packages)
        archive.fetch(packages, progress)
        with progress.step("make the disk with more daemons"), growing(disk.parent) as new:
            tree, owners = new / "tree", Owners()
            for package in packages:
                deb = archive.store.verified(package.sha256, Path(package.filename).name)
                unpack(deb, tree, owners, partial(enters, package.name))
            trim_libraries(tree)
            set_times(tree)
            make_file_system(tree, owners, new / disk.name)
            shutil.rmtree(tree)
        forget_old(disk.parent.parent, 1)
    return disk
