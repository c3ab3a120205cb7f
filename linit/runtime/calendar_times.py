"""Which instant is the next that a calendar names, where the machine stands? Daylight saving is decided here.

Where a calendar runs less often than hourly, a time of the wall clock that does not exist runs at the next instant that
does, and one that exists twice runs the first time. What runs each hour follows the clock as it passes: five minutes
past is five minutes past, also in an hour that comes again. This is what cron(8) does. The zone is localtime(3)'s;
datetime and zoneinfo would cost PID 1 ten milliseconds and their memory.
"""

from __future__ import annotations

import time

from linit.model.calendar import DAY_S, Calendar


def next_after(calendar: Calendar, after_s: float) -> int:
    """The first instant after `after_s` that `calendar` names, in seconds since the epoch."""
    first_s = int(after_s // 60 + 1) * 60
    return _as_it_passes(calendar, first_s) if calendar.is_hourly else _once(calendar, int(after_s))


def _offset_s(at_s: int) -> int:
    """How far the wall clock is ahead of UTC."""
    return time.localtime(at_s).tm_gmtoff


def _once(calendar: Calendar, after_s: int) -> int:
    """Each wall time has one instant, and a later one none that is earlier: the first that is late enough is it."""
    wall_s = after_s + _offset_s(after_s)
    while True:
        wall_s = calendar.next_wall(wall_s + 1)
        at_s = _instant(wall_s)
        if at_s > after_s:
            return at_s


def _instant(wall_s: int) -> int:
    """When the wall clock shows a time, the first time; where it never does, when it leaps over it.

    No zone is a day or more from UTC, and none changes twice in two days.
    """
    offsets = sorted({_offset_s(wall_s - DAY_S), _offset_s(wall_s + DAY_S)}, reverse=True)
    for offset_s in offsets:  # further ahead of UTC is earlier
        if _offset_s(wall_s - offset_s) == offset_s:
            return wall_s - offset_s
    return _change(wall_s - DAY_S, wall_s + DAY_S)


def _as_it_passes(calendar: Calendar, from_s: int) -> int:
    while True:
        offset_s = _offset_s(from_s)
        at_s = calendar.next_wall(from_s + offset_s) - offset_s
        change_s = _change(from_s, at_s)
        if not change_s:
            return at_s
        from_s = change_s


def _change(from_s: int, until_s: int) -> int:
    """The first instant after `from_s`, up to `until_s`, with another offset from UTC; 0 if there is none."""
    before, offset_s = from_s, _offset_s(from_s)
    while before < until_s:
        after = min(before + DAY_S, until_s)
        if _offset_s(after) != offset_s:
            while after - before > 1:
                middle = (before + after) // 2
                if _offset_s(middle) == offset_s:
                    before = middle
                else:
                    after = middle
            return after
        before = after
    return 0
