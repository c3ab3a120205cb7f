"""How large is the image, by part?"""

from __future__ import annotations

from pathlib import Path

from panux.image.selection import PARTS


def sizes_by_part(tree: Path, extra: dict[str, int]) -> dict[str, int]:
    """Bytes of the files below `tree` by the parts of the PARTS table, after those in `extra`; links count nothing."""
    found = {**extra, **{name: 0 for name, _ in PARTS}}
    seen: set[int] = set()
    for file in tree.rglob("*"):
        status = file.lstat()
        if file.is_file() and not file.is_symlink() and status.st_ino not in seen:
            seen.add(status.st_ino)
            found[part_of(str(file.relative_to(tree)))] += status.st_size
    return found


def part_of(path: str) -> str:
    """The name of the part that a path below the root belongs to."""
    return next(name for name, beginnings in PARTS if path.startswith(beginnings))


def size_table(sizes: dict[str, int]) -> str:
    """The sizes as aligned text with their sum, in MB of 10^6 bytes."""
    rows = [*sizes.items(), ("together", sum(sizes.values()))]
    return "\n".join(f"  {name:16} {size / 1e6:7.1f} MB" for name, size in rows)
