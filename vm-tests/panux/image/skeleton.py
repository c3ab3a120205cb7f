"""What stands in the root tree that comes from no package: directories, links, accounts, identity.

Configuration files with more than a line or two are not here but in vm-tests/image/root, which is copied over this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from panux.image.owners import Owners


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a group of the same name and number."""

    name: str
    number: int
    home: str
    shell: str = "/usr/sbin/nologin"
    password: str = "*"


ACCOUNTS: Final = (
    Account("root", 0, "/root", "/bin/sh", password=""),  # the console asks for no password; ssh takes keys only
    Account("daemon", 1, "/usr/sbin"),
    Account("bin", 2, "/bin"),
    Account("sys", 3, "/dev"),
    Account("mail", 8, "/var/mail"),
    Account("www-data", 33, "/var/www"),
    Account("syslog", 102, "/var/log"),
    Account("redis", 103, "/var/lib/redis"),
    Account("ntpd", 104, "/run/openntpd"),  # the name that Debian built OpenNTPD with
    Account("sshd", 105, "/run"),
    Account("user", 1000, "/home/user", "/bin/sh"),
    Account("nobody", 65534, "/nonexistent"),
)
GROUPS: Final = {
    "adm": 4, "tty": 5, "disk": 6, "kmem": 15, "dialout": 20, "cdrom": 24, "audio": 29, "shadow": 42, "utmp": 43,
    "video": 44, "staff": 50, "input": 101, "kvm": 106, "users": 100, "nogroup": 65533,
}  # fmt: skip
"""Groups without a user of the same name."""

DIRECTORIES: Final = {
    "boot": 0o755, "dev": 0o755, "etc": 0o755, "etc/linit/services": 0o755, "etc/linit/runlevels": 0o755,
    "home": 0o755, "media": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o555, "root": 0o700, "root/.ssh": 0o700,
    "run": 0o755, "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "usr/bin": 0o755, "usr/sbin": 0o755, "usr/lib": 0o755,
    "usr/lib64": 0o755, "usr/local/bin": 0o755, "usr/local/sbin": 0o755, "usr/share": 0o755, "var/cache": 0o755,
    "var/lib/linit": 0o755, "var/log/linit": 0o755, "var/mail": 0o755, "var/spool/cron/crontabs": 0o755,
    "var/tmp": 0o1777, "var/empty": 0o755, "var/www": 0o755, "var/lib/nginx": 0o755, "var/lib/misc": 0o755,
    "var/lib/openntpd/db": 0o755, "var/lib/openntpd/run": 0o755,
    "etc/dropbear": 0o700, "etc/redis": 0o755, "etc/sysctl.d": 0o755, "etc/modules-load.d": 0o755,
}  # fmt: skip
OWNED_DIRECTORIES: Final = {
    "var/lib/redis": ("redis", 0o750),
    "var/log/redis": ("redis", 0o750),
    "var/log/nginx": ("www-data", 0o755),
    "home/user": ("user", 0o755),
}
LINKS: Final = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "var/run": "/run",
    "var/lock": "/run/lock",
    "etc/mtab": "/proc/self/mounts",
    "etc/resolv.conf": "/run/resolv.conf",
    "usr/bin/python3": "python3.13",
}
FILES: Final = {
    "etc/hostname": "panux\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tpanux\n::1\tlocalhost ip6-localhost\n",
    "etc/os-release": (
        'NAME="Panux"\nID=panux\nID_LIKE=debian\nPRETTY_NAME="Panux (Debian 13 packages, linit)"\n'
        'VERSION_ID="13"\nVERSION_CODENAME=trixie\n'
    ),
    "etc/issue": "Panux \\r on \\l\n\n",
    "etc/nsswitch.conf": (
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"
    ),
    "etc/shells": "/bin/sh\n/bin/ash\n",
    "etc/profile": (
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\n"
        "export PAGER=less\n"
        "umask 022\n"
        "PS1='\\u@\\h:\\w\\$ '\n"
    ),
}
APPLETS_LEFT_OUT: Final = frozenset((
    "init", "linuxrc", "poweroff", "reboot", "halt", "shutdown", "busybox", "dpkg", "dpkg-deb",
    "start-stop-daemon", "run-init", "switch_root",
))  # fmt: skip
"""Names that linitctl takes, or that would mislead: they remain reachable as `busybox NAME`."""

SBIN_APPLETS: Final = frozenset((
    "acpid", "adjtimex", "arp", "blkdiscard", "blkid", "blockdev", "brctl", "chroot", "crond", "devmem",
    "fdisk", "freeramdisk", "fsfreeze", "fstrim", "getty", "hwclock", "ifconfig", "ifdown", "ifup", "insmod",
    "ip", "ipneigh", "klogd", "loadkmap", "losetup", "lsmod", "mdev", "mkswap", "modinfo", "modprobe", "nameif",
    "nologin", "ntpd", "pivot_root", "rdate", "rmmod", "route", "setconsole", "sulogin", "swapoff", "swapon",
    "sysctl", "syslogd", "tunctl", "udhcpc", "udhcpd", "vconfig", "watchdog", "zcip", "loginit", "adduser",
    "addgroup", "deluser", "delgroup", "chpasswd",
))  # fmt: skip
"""Applets that other systems have below /usr/sbin."""


def write_skeleton(tree: Path, owners: Owners) -> None:
    """Writes all of the above below `tree`; what is there already stays, except the files named here."""
    numbers = {account.name: account.number for account in ACCOUNTS}
    for name, target in LINKS.items():
        link = tree / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)
    for name, mode in DIRECTORIES.items():
        make_directory(tree, owners, name, mode)
    for name, (owner, mode) in OWNED_DIRECTORIES.items():
        make_directory(tree, owners, name, mode, numbers[owner])
    for name, text in {**FILES, **account_files()}.items():
        (tree / name).write_text(text)
    (tree / "etc/shadow").chmod(0o640)
    owners.note("etc/shadow", 0, GROUPS["shadow"], 0o640)


def make_directory(tree: Path, owners: Owners, name: str, mode: int, owner: int = 0) -> None:
    """Makes a directory of `owner`, whose group has the same number."""
    (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / name).chmod(mode & 0o777)
    owners.note(name, owner, owner, mode)


def account_files() -> dict[str, str]:
    """The texts of passwd(5), group(5) and shadow(5)."""
    groups = {**{account.name: account.number for account in ACCOUNTS}, **GROUPS}
    passwd = (f"{a.name}:x:{a.number}:{a.number}:{a.name}:{a.home}:{a.shell}\n" for a in ACCOUNTS)
    shadow = (f"{a.name}:{a.password}:20000:0:99999:7:::\n" for a in ACCOUNTS)
    group = (f"{name}:x:{number}:\n" for name, number in sorted(groups.items(), key=lambda item: item[1]))
    return {"etc/passwd": "".join(passwd), "etc/group": "".join(group), "etc/shadow": "".join(shadow)}


def link_applets(tree: Path, applets: list[str]) -> None:
    """Makes the links to busybox, except for what is left out and what a package already brought."""
    for name in applets:
        if name in APPLETS_LEFT_OUT or any((tree / place / name).exists() for place in ("usr/bin", "usr/sbin")):
            continue
        if name in SBIN_APPLETS:
            (tree / "usr/sbin" / name).symlink_to("../bin/busybox")
        else:
            (tree / "usr/bin" / name).symlink_to("busybox")
