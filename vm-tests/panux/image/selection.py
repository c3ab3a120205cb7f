"""What is taken from Debian, and why the rest is not. Tables only.

`WANTED` is what the image is asked to have; apt adds what those depend on. Much of that is needed only by maintainer
scripts, which the build does not run, or by tools that busybox replaces: `DROPPED` names it with the reason, and it
is not even fetched. Of what remains, `KEPT_FILES` and `LEFT_OUT` say which files enter; shared libraries enter where
an ELF file of the image asks for them (panux.image.elf), Python modules where something imports them
(panux.image.modules).
"""

from __future__ import annotations

from typing import Final

WANTED: Final = (
    "linux-image-cloud-amd64",
    "busybox-static",
    "libc-bin",
    "python3.13",
    "python3-msgpack",
    "python3-yaml",
    "python3-networkx",
    "dropbear-bin",
    "nginx",
    "redis-server",
    "openntpd",
    "e2fsprogs",
)

_SCRIPTS: Final = "used by maintainer scripts, which do not run here"
_BUSYBOX: Final = "busybox has what is needed of it"
_LINIT: Final = "linit takes its place"
_FILES: Final = "nothing that runs here reads its files"
DROPPED: Final = {
    "adduser": _SCRIPTS,
    "base-passwd": _SCRIPTS + "; the build writes passwd and group",
    "coreutils": _BUSYBOX,
    "cpio": "for initramfs-tools",
    "debconf": _SCRIPTS,
    "dpkg": _SCRIPTS,
    "dracut-install": "for initramfs-tools",
    "gcc-14-base": _FILES,
    "init-system-helpers": _SCRIPTS,
    "initramfs-tools": "the build makes its own initramfs",
    "initramfs-tools-bin": "the build makes its own initramfs",
    "initramfs-tools-core": "the build makes its own initramfs",
    "iproute2": _BUSYBOX,
    "klibc-utils": "for initramfs-tools",
    "kmod": _BUSYBOX,
    "libapparmor1": "for systemd",
    "libattr1": "for coreutils and tar",
    "libaudit-common": "for PAM",
    "libaudit1": "for PAM",
    "libbpf1": "for iproute2",
    "libbsd0": "for passwd",
    "libcap-ng0": "for PAM",
    "libcap2-bin": "for iproute2",
    "libdb5.3t64": "for PAM",
    "libdebconfclient0": _SCRIPTS,
    "libelf1t64": "for iproute2",
    "libgssapi-krb5-2": "for iproute2",
    "libk5crypto3": "for iproute2",
    "libkeyutils1": "for iproute2",
    "libklibc": "for initramfs-tools",
    "libkmod2": "for kmod",
    "libkrb5-3": "for iproute2",
    "libkrb5support0": "for iproute2",
    "libmd0": "for dpkg",
    "libmnl0": "for iproute2",
    "libmount1": "for mount",
    "libncursesw6": "for curses, which nothing imports",
    "libpam-modules": "busybox login and dropbear are without PAM",
    "libpam-modules-bin": "busybox login and dropbear are without PAM",
    "libpam0g": "busybox login and dropbear are without PAM",
    "libpython3-stdlib": "an empty package that names a version",
    "libreadline8t64": "the interactive prompt works without it",
    "libseccomp2": "for systemd",
    "libselinux1": "for coreutils and mount",
    "libsemanage-common": "for passwd",
    "libsemanage2": "for passwd",
    "libsepol2": "for passwd",
    "libsmartcols1": "for mount",
    "libsqlite3-0": "for sqlite3, which nothing imports",
    "libss2": "for debugfs",
    "libsystemd-shared": "for systemd",
    "libtinfo6": "for curses and readline",
    "libtirpc-common": "for iproute2",
    "libtirpc3t64": "for iproute2",
    "libudev1": "for udev",
    "libxtables12": "for iproute2",
    "linux-base": _SCRIPTS,
    "login.defs": "for passwd",
    "logsave": _FILES,
    "lsb-base": _SCRIPTS,
    "media-types": "nginx has a table of its own",
    "mount": _BUSYBOX,
    "openssl-provider-legacy": "old ciphers that nothing here speaks",
    "passwd": _BUSYBOX,
    "python3": "scripts that compile for maintainer scripts; the build makes the link /usr/bin/python3",
    "python3-autocommand": "for pkg_resources",
    "python3-inflect": "for pkg_resources",
    "python3-jaraco.context": "for pkg_resources",
    "python3-jaraco.functools": "for pkg_resources",
    "python3-minimal": "scripts that compile for maintainer scripts",
    "python3-more-itertools": "for pkg_resources",
    "python3-pkg-resources": "networkx names it but imports it nowhere",
    "python3-typeguard": "for pkg_resources",
    "python3-typing-extensions": "for pkg_resources",
    "readline-common": "for readline",
    "systemd": _LINIT,
    "sysvinit-utils": _LINIT,
    "tar": _BUSYBOX,
    "tzdata": "the machine runs on UTC",
    "udev": "busybox mdev takes its place",
}

LEFT_OUT: Final = (
    "usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/",
    "usr/share/doc-base/", "usr/share/bug/", "usr/share/bash-completion/", "usr/share/apport/",
    "usr/share/initramfs-tools/", "usr/share/applications/", "usr/share/pixmaps/", "usr/share/binfmts/",
    "usr/share/python3/", "usr/share/perl5/", "usr/share/vim/", "usr/share/gcc/", "usr/share/gdb/",
    "usr/lib/systemd/", "usr/lib/tmpfiles.d/", "usr/lib/sysusers.d/", "usr/lib/udev/", "usr/lib/init/",
    "usr/lib/valgrind/", "usr/lib/x86_64-linux-gnu/gconv/", "usr/lib/x86_64-linux-gnu/audit/",
    "usr/lib/x86_64-linux-gnu/engines-3/", "usr/lib/x86_64-linux-gnu/ossl-modules/",
    "usr/lib/x86_64-linux-gnu/e2fsprogs/", "usr/lib/e2fsprogs/", "usr/lib/locale/",
    "etc/init.d/", "etc/default/", "etc/logrotate.d/", "etc/ufw/", "etc/cron.d/", "etc/cron.daily/", "etc/kernel/",
    "etc/insserv.conf.d/", "etc/python3", "etc/ld.so.conf.d/", "etc/busybox-udhcpc/", "etc/e2scrub.conf",
    "usr/lib/python3.13/test/", "usr/lib/python3.13/config-3.13-", "usr/lib/python3.13/ensurepip/",
    "var/", "boot/System.map", "boot/config",
)  # fmt: skip
"""Beginnings of paths that are left out whatever the package: documentation, and what other init systems read."""

KEPT_FILES: Final = {
    "e2fsprogs": (
        "usr/sbin/e2fsck", "usr/sbin/fsck.ext4", "usr/sbin/mke2fs", "usr/sbin/mkfs.ext4", "usr/sbin/tune2fs",
        "usr/sbin/resize2fs", "etc/mke2fs.conf",
    ),
    "dropbear-bin": ("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/dbclient"),
    "redis-tools": ("usr/bin/redis-check-rdb", "usr/bin/redis-server", "usr/bin/redis-cli"),
    "redis-server": ("usr/bin/redis-server",),
    "nginx": ("usr/sbin/nginx",),
    "openntpd": ("usr/sbin/ntpd", "usr/sbin/ntpctl"),
    "nginx-common": (
        "etc/nginx/mime.types", "etc/nginx/fastcgi_params", "etc/nginx/proxy_params", "usr/share/nginx/html/index.html",
    ),
    "netbase": ("etc/services", "etc/protocols"),
    "libc-bin": ("usr/lib/locale/C.utf8/",),
    "python3.13": (),
    "python3.13-minimal": ("usr/bin/python3.13",),
}  # fmt: skip
"""Of these packages only these files, and all below these directories, enter; of the others what `LEFT_OUT` leaves.
libc-bin: the locale C.UTF-8, which glibc has not built in; redis does not start when LANG names a missing one."""

KERNEL_MODULES: Final = {
    "virtio_blk": "the root disk",
    "virtio_net": "the network",
    "virtio-rng": "entropy from the host",
    "virtio_balloon": "memory given back to the host",
    "loop": "file systems in files",
    "overlay": "layered file systems",
    "button": "the ACPI power button",
    "evdev": "keys as events",
    "dummy": "a network interface for experiments",
    "softdog": "a watchdog without hardware",
    "i6300esb": "the watchdog that QEMU emulates",
}
INITRAMFS_MODULES: Final = ("virtio_blk", "virtio_net", "virtio-rng")
"""Loaded before the root is mounted; virtio_pci, virtio_console and ext4 are part of this kernel."""

DLOPENED: Final = {
    "libgcc_s.so.1": "glibc opens it when a thread is cancelled",
    "libnss_files.so.2": "an old name that programs may still open",
}
"""Libraries that no ELF header asks for."""

PYTHON_ROOTS: Final = (
    "os", "yaml", "msgpack", "asyncio", "json", "argparse", "ctypes", "dataclasses", "signal", "socket", "subprocess",
    "traceback", "runpy", "site",
)  # fmt: skip
"""Modules that are kept with everything that they import, besides what linit and linitctl import."""

PYTHON_ALSO: Final = {
    "encodings.ascii": "codecs are imported by name",
    "encodings.latin_1": "codecs are imported by name",
    "encodings.utf_8": "codecs are imported by name",
    "encodings.idna": "imported by name when a host is looked up",
    "encodings.utf_8_sig": "codecs are imported by name; a definition may begin with a byte order mark",
}
"""Modules that the closure of imports does not show."""

PYTHON_CUT: Final = {
    "ssl": "asyncio works without it, and linit speaks to nobody over the network",
    "_ssl": "as ssl",
    "_hashlib": "hashlib has the same digests without OpenSSL, and starts quicker",
    "lzma": "shutil works without it; linit packs nothing",
    "importlib._bootstrap": "frozen in the interpreter",
    "importlib._bootstrap_external": "frozen in the interpreter",
    "_pydatetime": "the interpreter has datetime in C",
    "_pydecimal": "the interpreter has decimal in C",
    "_py_abc": "the interpreter has it in C",
    "msgpack.fallback": "msgpack has it in C",
    "importlib.resources": "the image has files, not resources",
    "unittest": "tests do not run in the image",
    "pytest": "tests do not run in the image",
    "numpy": "optional in networkx, not installed",
    "scipy": "optional in networkx, not installed",
    "pandas": "optional in networkx, not installed",
    "matplotlib": "optional in networkx, not installed",
    "pygraphviz": "optional in networkx, not installed",
}
"""Imports that are not followed, though some kept module names them, in a `try` that does without or in a function."""

_LIBRARY: Final = "usr/lib/linit/lib/python3.13/"
PARTS: Final = (
    ("modules", ("usr/lib/modules/",)),
    ("linit", (
        f"{_LIBRARY}linit/", f"{_LIBRARY}linitctl/", "usr/sbin/linit", "usr/bin/linitctl", "etc/linit/",
        "var/lib/linit/",
    )),
    ("python packages", (f"{_LIBRARY}msgpack/", f"{_LIBRARY}networkx/", f"{_LIBRARY}yaml/")),
    ("python", ("usr/lib/linit/lib/", "usr/lib/linit/bin/", "usr/bin/python3")),
    ("linit", ("usr/lib/linit/",)),
    ("busybox", ("usr/bin/busybox",)),
    ("nginx", ("usr/sbin/nginx", "etc/nginx/", "usr/share/nginx/")),
    ("redis", ("usr/bin/redis", "etc/redis/")),
    ("libs", ("usr/lib/x86_64-linux-gnu/", "usr/lib64/")),
    ("other", ("",)),
)  # fmt: skip
"""The parts of the size table, in order of matching: a name and the beginnings of paths."""
