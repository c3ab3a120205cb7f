"""Which times a cron expression names, and which instants they are where clocks are set twice a year. Sources:
crontab(5), cron(8)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linit.model import calendar
from linit.model.calendar import NoCalendar, parse
from linit.runtime.calendar_times import next_after

MINUTE_S = 60
DAY_S = 86400
BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kolkata", "UTC")


@contextlib.contextmanager
def zone(name: str) -> Iterator[None]:
    """The machine stands there. Source: tzset(3)."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def runs(text: str, after: str, where: str = "UTC", count: int = 3) -> list[str]:
    """The next times after a local time, as a clock on the wall shows them."""
    with zone(where):
        at_s = time.mktime(time.strptime(f"{after} -1", "%Y-%m-%d %H:%M -1"))
        found = []
        for _ in range(count):
            at_s = next_after(parse(text), at_s)
            found.append(time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s)))
        return found


# -- what an expression names


def test_five_fields_are_minute_hour_day_month_and_weekday() -> None:
    assert runs("30 3 1 * *", "2026-11-22 12:00") == ["2026-12-01 03:30", "2027-01-01 03:30", "2027-02-01 03:30"]
    assert runs("0 6 * jun-aug mon", "2026-08-20 00:00") == ["2026-08-24 06:00", "2026-08-31 06:00", "2027-06-07 06:00"]


def test_lists_ranges_and_steps() -> None:
    assert runs("5,50-52/2 8 * * *", "2026-01-01 08:00", count=4) == [
        "2026-01-01 08:05",
        "2026-01-01 08:50",
        "2026-01-01 08:52",
        "2026-01-02 08:05",
    ]
    assert runs("*/20 */12 * * *", "2026-01-01 00:30") == ["2026-01-01 00:40", "2026-01-01 12:00", "2026-01-01 12:20"]


def test_seven_is_sunday_as_zero_is() -> None:
    assert parse("0 0 * * 7") == parse("0 0 * * 0") == parse("0 0 * * SUN")
    assert parse("0 0 * * fri-sun").weekdays == {5, 6, 0}
    assert parse("0 0 * * 5-7").weekdays == {5, 6, 0}


def test_where_day_and_weekday_are_both_given_one_is_enough() -> None:
    """crontab(5): the command will be run when either field matches the current time."""
    assert runs("0 0 13 * fri", "2026-02-07 00:00") == ["2026-02-13 00:00", "2026-02-20 00:00", "2026-02-27 00:00"]
    assert runs("0 0 31 feb mon", "2026-02-20 00:00", count=1) == ["2026-02-23 00:00"]


def test_a_day_that_begins_with_a_star_is_not_given() -> None:
    """crontab(5): restricted means that it does not start with *."""
    assert runs("0 0 */2 * fri", "2026-02-07 00:00", count=2) == ["2026-02-13 00:00", "2026-02-27 00:00"]


@pytest.mark.parametrize("text", calendar.NICKNAMES)
def test_nicknames_stand_for_their_expressions(text: str) -> None:
    assert parse(text) == parse(calendar.NICKNAMES[text])


def test_a_time_of_day_is_once_a_day() -> None:
    assert parse("03:05") == parse("5 3 * * *")


def test_the_29th_of_february_waits_for_its_year() -> None:
    """2100 is no leap year."""
    assert runs("0 0 29 2 *", "2095-01-01 00:00", count=2) == ["2096-02-29 00:00", "2104-02-29 00:00"]
    assert runs("0 0 29 2 */7", "2089-01-01 00:00", count=1) == ["2128-02-29 00:00"]


WRONG = {
    "": """found '', expected five fields ("30 3 * * mon"), @hourly, @daily, @weekly, @monthly, @yearly or "HH:MM\"""",
    "* * *": (
        'found \'* * *\', expected five fields ("30 3 * * mon"), @hourly, @daily, @weekly, @monthly, @yearly or "HH:MM"'
    ),
    "60 * * * *": "found '60' for the minute, expected a number from 0 to 59",
    "* 24 * * *": "found '24' for the hour, expected a number from 0 to 23",
    "* * 0 * *": "found '0' for the day of the month, expected a number from 1 to 31",
    "* * * june *": "found 'june' for the month, expected a number from 1 to 12 or jan to dec",
    "* * * * 1,8": "found '1,8' for the day of the week, expected a number from 0 to 7 or sun to sat",
    "*/0 * * * *": "found '*/0' for the minute, expected a step of at least 1 after the '/'",
    "*/ * * * *": "found '*/' for the minute, expected a step of at least 1 after the '/'",
    "5/10 * * * *": "found '5/10' for the minute, expected a range or * before the '/'",
    "* 22-4 * * *": "found '22-4' for the hour, expected a range from low to high",
    "0 0 31 2 *": "found '0 0 31 2 *', expected a date that exists; there is no day 31 in feb",
    "0 0 31 apr,jun *": "found '0 0 31 apr,jun *', expected a date that exists; there is no day 31 in apr, jun",
    "24:00": "found '24:00', expected a time of day from 00:00 to 23:59",
    "3:5": "found '3:5', expected a time of day from 00:00 to 23:59",
    "@reboot": "found '@reboot', expected a time of the clock; after_boot counts from the boot",
    "٣ * * * *": "found '٣' for the minute, expected a number from 0 to 59",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_calendar_is_told_with_what_is_expected(text: str) -> None:
    with pytest.raises(NoCalendar) as caught:
        parse(text)
    assert str(caught.value) == WRONG[text]


@settings(deadline=None)
@given(st.text(alphabet="0123456789*/,- @:adefjmnosuw", max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    """It names minutes, or it is a NoCalendar."""
    try:
        found = parse(text)
    except NoCalendar:
        return
    assert found.next_wall(0) >= 0


# -- where clocks are set


def test_a_time_that_does_not_exist_runs_at_the_next_that_does() -> None:
    """In Berlin 02:00 to 03:00 is left out on 2026-03-29. cron(8)."""
    assert runs("30 2 * * *", "2026-03-28 12:00", BERLIN, 2) == ["2026-03-29 03:00", "2026-03-30 02:30"]


def test_many_times_that_do_not_exist_are_one_run() -> None:
    assert runs("*/15 2 * * *", "2026-03-28 12:00", BERLIN, 2) == ["2026-03-29 03:00", "2026-03-30 02:00"]


def test_a_midnight_that_does_not_exist_is_one_oclock() -> None:
    """In Sao Paulo 2018-11-04 began at 01:00."""
    assert runs("@daily", "2018-11-03 12:00", "America/Sao_Paulo", 2) == ["2018-11-04 01:00", "2018-11-05 00:00"]


def test_a_day_that_does_not_exist_runs_when_the_next_begins() -> None:
    """Samoa left out 2011-12-30."""
    assert runs("0 12 30 * *", "2011-12-01 00:00", "Pacific/Apia", 2) == ["2011-12-31 00:00", "2012-01-30 12:00"]


def test_a_time_that_exists_twice_runs_once() -> None:
    """In Berlin 02:00 to 03:00 comes twice on 2026-10-25. cron(8)."""
    assert runs("30 2 * * *", "2026-10-24 12:00", BERLIN, 2) == ["2026-10-25 02:30", "2026-10-26 02:30"]


def test_what_runs_each_hour_runs_in_an_hour_that_comes_again() -> None:
    """cron(8): jobs that run more frequently are scheduled normally."""
    assert runs("30 * * * *", "2026-10-25 01:00", BERLIN, 4) == [
        "2026-10-25 01:30",
        "2026-10-25 02:30",
        "2026-10-25 02:30",
        "2026-10-25 03:30",
    ]
    assert runs("30 * * * *", "2026-03-29 01:00", BERLIN, 2) == ["2026-03-29 01:30", "2026-03-29 03:30"]


# -- against a walk through all minutes


def naive(text: str, after_s: int, limit_s: int) -> int | None:
    """The same, by looking at each minute in turn."""
    found = parse(text)
    shown: set[tuple[int, ...]] = set()
    at_s = after_s // 60 * 60 - DAY_S  # a day before, for what the clock has shown already
    before = time.localtime(at_s - 60)
    while at_s <= after_s + limit_s:
        now = time.localtime(at_s)
        leap_s = now.tm_gmtoff - before.tm_gmtoff
        walls = [at_s + now.tm_gmtoff]
        if not found.is_hourly and leap_s > 0:  # these are left out: they are now
            walls += range(at_s + before.tm_gmtoff, at_s + now.tm_gmtoff, MINUTE_S)
        due = any(_names(found, wall_s) and (found.is_hourly or (wall_s,) not in shown) for wall_s in walls)
        shown.update((wall_s,) for wall_s in walls)
        if due and at_s > after_s:
            return at_s
        before, at_s = now, at_s + MINUTE_S
    return None


def _names(found: calendar.Calendar, wall_s: int) -> bool:
    then = time.gmtime(wall_s)
    in_month, in_week = then.tm_mday in found.days, (then.tm_wday + 1) % 7 in found.weekdays
    is_day = in_month or in_week if found.either_day else in_month and in_week
    return is_day and then.tm_mon in found.months and then.tm_hour in found.hours and then.tm_min in found.minutes


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """A field of a cron expression."""
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(lambda two: f"{min(two)}-{max(two)}")
    steps = st.tuples(st.one_of(ranges, st.just("*")), st.integers(1, 15)).map(lambda two: f"{two[0]}/{two[1]}")
    part = st.one_of(st.just("*"), numbers.map(str), ranges, steps)
    return st.lists(part, min_size=1, max_size=2).map(",".join)


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 31), st.just("*"), field(0, 7)).map(" ".join)
CHANGES = {  # about when clocks are set
    BERLIN: ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "America/Sao_Paulo": ("2018-02-18", "2018-11-04"),
    "Africa/Cairo": ("2026-04-24", "2026-10-30"),
    "Asia/Kolkata": ("2026-03-29", "2026-10-25"),
    "UTC": ("2026-03-29", "2026-12-31"),
}


@settings(deadline=None)
@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(0, 1), st.integers(-30 * 3600, 30 * 3600))
@example("30 23 * * *", "Africa/Cairo", 1, 0)
@example("55 * * * *", "Africa/Cairo", 1, -3600)
@example("0 2 * * *", "Australia/Lord_Howe", 1, 0)
def test_the_next_time_is_that_of_a_walk_through_all_minutes(text: str, where: str, which: int, shift_s: int) -> None:
    """Around the days on which clocks are set, in zones that set them in different ways."""
    with zone(where):
        after_s = int(time.mktime(time.strptime(CHANGES[where][which], "%Y-%m-%d"))) + shift_s
        limit_s = 3 * DAY_S
        found = next_after(parse(text), after_s)
        expected = naive(text, after_s, limit_s)
        assert found == expected if expected is not None else found > after_s + limit_s


@settings(deadline=None)
@given(st.integers(-10_000, 100_000))
@example(-3660)
def test_days_are_counted_as_the_gregorian_calendar_does(day: int) -> None:
    """gmtime(3) is the reference."""
    then = time.gmtime(day * DAY_S)
    assert calendar.civil(day) == (then.tm_year, then.tm_mon, then.tm_mday)
    assert calendar.weekday(day) == (then.tm_wday + 1) % 7
