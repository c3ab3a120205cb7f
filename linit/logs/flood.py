"""Does a service write more than it may? Counted in windows of time, as the kernel does for printk: __ratelimit()."""

from __future__ import annotations

from linit.logs.limits import Limits


class Flood:
    """What one service has written in the present window. Times are of a monotonic clock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._until_s = float("-inf")
        self._bytes = 0

    @property
    def until_s(self) -> float:
        """The end of the window."""
        return self._until_s

    def is_over(self, more_bytes: int, now_s: float) -> bool:
        """May these bytes not be kept? The first of a window always may."""
        if not self._limits.flood_bytes:
            return False
        if now_s >= self._until_s:
            self._until_s = now_s + self._limits.flood_window_s
            self._bytes = 0
        self._bytes += more_bytes
        return self._bytes > max(self._limits.flood_bytes, more_bytes)

    def words(self) -> str:
        """Why lines are dropped."""
        return f"more than {self._limits.flood_bytes >> 20} MiB in {self._limits.flood_window_s} s"
