"""What a service uses, in words: rows of `linitctl status`."""

from __future__ import annotations

from linitctl.style import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def rows(usage: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """(key, text) for what is known; `usage` as the method `status` has it, {} where nothing runs."""
    if not usage:
        return
    if usage["cpu_s"] is not None:
        yield "cpu time", duration(usage["cpu_s"])
    sizes = [usage[f"memory{each}_bytes"] for each in ("", "_peak", "_max")]
    yield "memory", _with_peak_and_limit(*(size(each) if each is not None else "" for each in sizes))
    if usage["read_bytes"] is not None:
        yield "io", f"{size(usage['read_bytes'])} read, {size(usage['written_bytes'])} written"
    counts = [usage[f"tasks{each}"] for each in ("", "_peak", "_max")]
    yield "tasks", _with_peak_and_limit(*(str(each) if each is not None else "" for each in counts))
    yield "figures", usage["lost"]
    yield "limits", f"not in force: {usage['unenforced']}" if usage["unenforced"] else ""


def size(size_bytes: int) -> str:
    """A size for people: 1.5 MiB."""
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {UNITS[unit]}" if unit else f"{size_bytes} B"


def _with_peak_and_limit(now: str, peak: str, limit: str) -> str:
    if not now:
        return ""
    return f"{now}{f', at most {peak} so far' if peak else ''}{f', limit {limit}' if limit else ''}"
