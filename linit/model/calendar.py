"""Which minutes does a cron expression name? Parsed, and walked on the wall clock, without any time zone.

A wall time is written as the seconds from 1970-01-01 00:00 that a clock in UTC would show it at; which instant it is
where the machine stands, and what daylight saving makes of it, is `linit.runtime.calendar_times`. Source: crontab(5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY_S: Final = 86400
YEARS_MAX: Final = 50  # 29 February may fall on a given weekday only once in 40 years
EXPECTED: Final = 'five fields ("30 3 * * mon"), @hourly, @daily, @weekly, @monthly, @yearly or "HH:MM"'

NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTH_DAYS_MAX: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class NoCalendar(ValueError):
    """A text that names no minutes: what was found, and what is expected instead."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found, self.expected = found, expected


@dataclass(frozen=True, slots=True)
class Calendar:
    """Minutes of the wall clock. `weekdays`: 0 is Sunday. `either_day`: a day of one kind is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @property
    def is_hourly(self) -> bool:
        """Does it run in each hour of its days? Then its runs follow the clock as it passes."""
        return len(self.hours) == 24

    def next_wall(self, wall_s: int) -> int:
        """The first minute named that is not before a wall time."""
        day, second = divmod(wall_s, DAY_S)
        earliest = -(-second // 60)
        year, month, day_of_month = civil(day)
        for _ in range(12 * YEARS_MAX):
            if month in self.months:
                first = days_until(year, month)
                for each in range(day_of_month, month_days(year, month) + 1):
                    if self._has_day(each, weekday(first + each - 1)):
                        minute = self._first_minute(earliest)
                        if minute >= 0:
                            return (first + each - 1) * DAY_S + minute * 60
                    earliest = 0
            earliest, day_of_month = 0, 1
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        raise AssertionError(f"linit bug: {self} names no minute")

    def _has_day(self, day: int, week_day: int) -> bool:
        in_month, in_week = day in self.days, week_day in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week

    def _first_minute(self, earliest: int) -> int:
        """The first minute of a day that is not before `earliest`; -1 if there is none."""
        hour, minute = divmod(earliest, 60)
        later = [each for each in self.minutes if each >= minute] if hour in self.hours else []
        if later:
            return hour * 60 + min(later)
        hours = [each for each in self.hours if each > hour]
        return min(hours) * 60 + min(self.minutes) if hours else -1


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five. `names`: words for its numbers, from `low` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"a number from {self.low} to {self.high}{names}"

    def wrong(self, word: str, expected: str) -> NoCalendar:
        """The field cannot be this word."""
        return NoCalendar(f"'{word}' for the {self.name}", expected)


FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of the week", 0, 7, WEEKDAYS),
)


def parse(text: str) -> Calendar:
    """What an expression of crontab(5), a nickname such as `@daily` or a time of day `HH:MM` names.

    Raises NoCalendar, a ValueError, with what was found and what is expected; also for a date that never comes.
    """
    words = _fields(text)
    minutes, hours, days, months, weekdays = (_numbers(field, word) for field, word in zip(FIELDS, words, strict=True))
    # crontab(5): where both are restricted, one is enough; "*/2" is not called restricted, as it begins with "*".
    either_day = not (words[2].startswith("*") or words[4].startswith("*"))
    if not either_day and all(min(days) > MONTH_DAYS_MAX[month - 1] for month in months):
        names = ", ".join(MONTHS[month - 1] for month in sorted(months))
        raise NoCalendar(f"'{text}'", f"a date that exists; there is no day {min(days)} in {names}")
    return Calendar(minutes, hours, days, months, frozenset(each % 7 for each in weekdays), either_day)


def _fields(text: str) -> list[str]:
    words = text.lower().split()
    if len(words) == 1 and words[0] in NICKNAMES:
        return NICKNAMES[words[0]].split()
    if words == ["@reboot"]:
        raise NoCalendar("'@reboot'", "a time of the clock; after_boot counts from the boot")
    if len(words) == 1 and ":" in words[0]:
        hour, _, minute = words[0].partition(":")
        if _is_number(hour, 2) and _is_number(minute, 2) and len(minute) == 2 and int(hour) < 24 and int(minute) < 60:
            return [minute, hour, "*", "*", "*"]
        raise NoCalendar(f"'{text}'", "a time of day from 00:00 to 23:59")
    if len(words) != len(FIELDS):
        raise NoCalendar(f"'{text}'", EXPECTED)
    return words


def _numbers(field: _Field, word: str) -> frozenset[int]:
    return frozenset(number for part in word.split(",") for number in _range(field, word, part))


def _range(field: _Field, word: str, part: str) -> range:
    span, slash, step_text = part.partition("/")
    step = int(step_text) if _is_number(step_text, 3) else 0
    if slash and step < 1:
        raise field.wrong(word, "a step of at least 1 after the '/'")
    if span == "*":
        # 7 is Sunday again, which 0 is already.
        return range(field.low, (6 if field.high == 7 else field.high) + 1, step or 1)
    first, dash, last = span.partition("-")
    if slash and not dash:
        raise field.wrong(word, "a range or * before the '/'")
    low = _number(field, word, first)
    high = _number(field, word, last) if dash else low
    if dash and last == WEEKDAYS[0] and field.names is WEEKDAYS and low > 0:
        high = 7  # fri-sun
    if high < low:
        raise field.wrong(word, "a range from low to high")
    return range(low, high + 1, step or 1)


def _number(field: _Field, word: str, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not (_is_number(text, 2) and field.low <= int(text) <= field.high):
        raise field.wrong(word, field.expected)
    return int(text)


def _is_number(text: str, digits_max: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits_max


# -- dates, as the Gregorian calendar counts them


def is_leap(year: int) -> bool:
    """Has the year a 29 February?"""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_days(year: int, month: int) -> int:
    """How many days a month has."""
    return 28 if month == 2 and not is_leap(year) else MONTH_DAYS_MAX[month - 1]


def days_until(year: int, month: int) -> int:
    """The days from 1970-01-01 to the first of a month."""
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162  # of the years 1 to 1969
    return days + sum(month_days(year, each) for each in range(1, month))


def civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month that is so many days after 1970-01-01."""
    year = 1970 + min(day // 366, day // 365)  # not later than it is, whichever side of 1970
    while days_until(year + 1, 1) <= day:
        year += 1
    month = 12
    while days_until(year, month) > day:
        month -= 1
    return year, month, day - days_until(year, month) + 1


def weekday(day: int) -> int:
    """The day of the week, 0 for Sunday, so many days after 1970-01-01, which was a Thursday."""
    return (day + 4) % 7
