"""Has anything changed that enters the image?

A hash over contents, names and executable bits, never over times: a checkout or a `touch` must not cause a build.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

IGNORED = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


def fingerprint(files: Iterable[Path], *facts: str) -> str:
    """A hexadecimal hash of `facts` and of everything in these files and directories. A path may be missing."""
    digest = hashlib.sha256("\0".join(facts).encode())
    for top in files:
        digest.update(f"\n{top.name}\n".encode())
        for path in sorted(members(top)):
            digest.update(f"{path.relative_to(top)} ".encode())
            if path.is_symlink():
                digest.update(f"-> {os.readlink(path)}\n".encode())
            else:
                executable = "x" if os.access(path, os.X_OK) else "-"
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{executable} {content}\n".encode())
    return digest.hexdigest()[:24]


def members(top: Path) -> Iterable[Path]:
    """The files and links at or below `top`, without caches of tools."""
    if not top.is_dir():
        return [top] if top.exists() else []
    return (
        path
        for path in top.rglob("*")
        if (path.is_symlink() or path.is_file()) and not IGNORED.intersection(path.parts)
    )
