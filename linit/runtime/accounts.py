"""Who is a user, which groups are theirs? Read from /etc/passwd and /etc/group and from nowhere else.

The pwd module asks NSS, which may ask the network (LDAP, for example) and wait for it; what is needed to boot must not
depend on that. A child does it, so a disk that hangs cannot hang PID 1. Source: passwd(5), group(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PASSWD: Final = "/etc/passwd"
GROUP: Final = "/etc/group"


class UnknownAccount(Exception):
    """A user or group that the files do not have; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Account:
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def user(name: str, passwd: str = PASSWD) -> Account:
    """The account called `name`; a number is a uid, which needs no line in the file.

    Raises UnknownAccount, and OSError when the file cannot be read.
    """
    for fields in _lines(passwd, 7):
        if (fields[0] == name or fields[2] == name) and fields[2].isdigit() and fields[3].isdigit():
            return Account(fields[0], int(fields[2]), int(fields[3]), fields[5] or "/", fields[6] or "/bin/sh")
    if name.isdigit():
        return Account(name, int(name), int(name), "/", "/bin/sh")
    raise UnknownAccount(f'no user "{name}" in {passwd}')


def group_id(name: str, group: str = GROUP) -> int:
    """The gid of the group called `name`, or written as a number.

    Raises UnknownAccount, and OSError when the file cannot be read.
    """
    if name.isdigit():
        return int(name)
    for fields in _lines(group, 3):
        if fields[0] == name and fields[2].isdigit():
            return int(fields[2])
    raise UnknownAccount(f'no group "{name}" in {group}')


def group_ids_of(account: Account, gid: int, group: str = GROUP) -> list[int]:
    """The supplementary groups of a user, `gid` first. Source: initgroups(3)."""
    found = [gid]
    for fields in _lines(group, 4):
        if account.name in fields[3].split(",") and fields[2].isdigit() and int(fields[2]) not in found:
            found.append(int(fields[2]))
    return found


def _lines(path: str, count: int) -> Iterator[list[str]]:
    """The lines that have at least `count` fields; others are skipped, as getpwent(3) does."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.rstrip("\n").split(":")
            if len(fields) >= count:
                yield fields
