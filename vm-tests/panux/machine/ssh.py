"""Logging in by ssh: the key of this clone's images, and the command that uses it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from panux.faults import BuildError


def machine_key(directory: Path) -> Path:
    """The private key that this clone's images let in; made when there is none. The public one lies beside it."""
    key = directory / "ssh_key"
    if not key.is_file() or not public_key(key).is_file():
        directory.mkdir(parents=True, exist_ok=True)
        key.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "panux", "-f", str(key)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise BuildError(f"{key}: {ended.stderr.strip()}")
    return key


def public_key(key: Path) -> Path:
    """The file with the public half."""
    return key.with_name(f"{key.name}.pub")


def ssh_command(key: Path, port: int) -> list[str]:
    """The ssh command that logs in as root. The host key is new with every new disk, so it is not remembered."""
    return [
        "ssh", "-i", str(key), "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "root@127.0.0.1",
    ]  # fmt: skip
