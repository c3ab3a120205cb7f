"""When a schedule starts its service, on clocks that the test moves. Sources: linit/runtime/clock.py, cron(8)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from linit.model.service import Kind, Schedule, Service
from linit.model.state import UnitState
from linit.runtime import alarms, stamps
from linit.runtime.alarms import BOOT, WALL, Alarm, Times
from linit.runtime.clock import Clock
from tests.unit.means_world import HERE, Turning, World
from tests.unit.test_calendar import BERLIN, zone

HOUR_S = 3600.0
NOON_S = 1_795_348_800.0  # Sun 2026-11-22 12:00 UTC
BOOTED_S = 500.0  # ago


class Rung:
    """An alarm that rings when its test says so."""

    def __init__(self, clock: int, on_due: Callable[[bool], None]) -> None:
        self.clock = clock
        self.on_due = on_due
        self.at_s: float | None = None
        self.is_closed = False

    def set(self, at_s: float | None) -> None:
        self.at_s = at_s

    def close(self) -> None:
        self.is_closed = True


class Clocks(Times):
    """Two clocks: it is Sunday noon, and linit began 500 s ago."""

    def __init__(self) -> None:
        self.shown = {WALL: NOON_S, BOOT: 10_000.0}
        self.rung: list[Rung] = []

    def now_s(self, clock: int) -> float:
        return self.shown[clock]

    def began_s(self) -> float:
        return 10_000.0 - BOOTED_S

    def alarm(self, loop: Any, clock: int, on_due: Callable[[bool], None]) -> Any:
        self.rung.append(Rung(clock, on_due))
        return self.rung[-1]

    @property
    def armed(self) -> list[Rung]:
        return [alarm for alarm in self.rung if not alarm.is_closed and alarm.at_s is not None]

    def advance(self, duration_s: float) -> None:
        """Let time go by; each alarm rings when it is due."""
        until_s = self.shown[BOOT] + duration_s
        while True:
            lefts = [(alarm.at_s - self.shown[alarm.clock], index) for index, alarm in enumerate(self.rung)
                     if alarm.at_s is not None and not alarm.is_closed]  # fmt: skip
            left_s, index = min(lefts, default=(float("inf"), 0))
            if self.shown[BOOT] + left_s > until_s:
                break
            self._move(max(0.0, left_s))
            self.rung[index].at_s = None
            self.rung[index].on_due(False)
        self._move(until_s - self.shown[BOOT])

    def set_wall(self, by_s: float) -> None:
        """Somebody sets the time of day."""
        self.shown[WALL] += by_s
        for alarm in self.armed:
            if alarm.clock == WALL:
                alarm.on_due(True)

    def sleep(self, duration_s: float) -> None:
        """The machine sleeps: both clocks go on, and what is due rings when it wakes up."""
        self._move(duration_s)
        self.advance(0.0)

    def _move(self, by_s: float) -> None:
        for clock in self.shown:
            self.shown[clock] += by_s


class Timed(World):
    """A service `job` with a schedule, and its clocks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.times = Clocks()
        self.clock: Clock | None = None
        self.unit("job")

    def arm(self, **keys: Any) -> Clock:
        """`job` has this schedule, and rests, unless it runs."""
        if self.clock is not None:
            self.clock.close()
        service = Service("job.timer", HERE, Kind.TIMER, schedule=Schedule(HERE, **keys), activates="job")
        self.clock = Clock(self.means, service, self.times)
        if self.units["job"].state is UnitState.DOWN:
            self.clock.rests()
        return self.clock

    def change(self, **keys: Any) -> None:
        """A reload: it has this schedule from now on."""
        assert self.clock is not None
        self.clock.change(Service("job.timer", HERE, Kind.TIMER, schedule=Schedule(HERE, **keys), activates="job"))
        if self.units["job"].state is UnitState.DOWN:
            self.clock.rests()

    def start(self) -> None:
        """`job` starts, and goes on."""
        assert self.clock is not None
        self.units["job"].state = UnitState.UP
        self.clock.runs()

    def run(self) -> None:
        """`job` starts and ends."""
        assert self.clock is not None
        self.clock.runs()
        self.clock.rests()

    def lines(self) -> list[str]:
        """What was told since this was last asked."""
        assert all(name == "job.timer" for name, _ in self.told)
        texts = [text for _, text in self.told]
        self.told.clear()
        return texts


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Timed]:
    """In UTC."""
    (tmp_path / "run").mkdir()
    with zone("UTC"):
        yield Timed(tmp_path)


# -- every


def test_every_counts_from_when_it_is_armed_and_then_from_the_last_start(world: Timed) -> None:
    world.arm(every_s=HOUR_S)
    world.times.advance(HOUR_S - 1)
    assert world.triggered() == []
    world.times.advance(1)
    assert world.triggered() == ["every 1 h"]
    world.times.advance(600)
    world.run()  # by hand
    world.times.advance(HOUR_S - 1)
    assert world.triggered() == []
    world.times.advance(1)
    assert world.triggered() == ["every 1 h"]


def test_every_that_is_armed_again_counts_from_the_last_start(world: Timed) -> None:
    """A restart of the timer is no new beginning."""
    world.units["job"].run_at_s = world.loop.time() - 1800
    world.arm(every_s=HOUR_S)
    world.times.advance(1800)
    assert world.triggered() == ["every 1 h"]


@pytest.mark.parametrize(
    ("every_s", "words"), [(0.2, "0.2 s"), (90, "90 s"), (300, "5 min"), (5400, "90 min"), (86400, "24 h")]
)
def test_a_duration_is_told_in_the_unit_it_was_written_in(world: Timed, every_s: float, words: str) -> None:
    world.arm(every_s=every_s)
    world.times.advance(every_s)
    assert world.triggered() == [f"every {words}"]


# -- after boot


def test_after_boot_runs_once_so_long_after_linit_began(world: Timed) -> None:
    world.arm(after_boot_s=600)
    world.times.advance(600 - BOOTED_S - 1)
    assert world.triggered() == []
    world.times.advance(1)
    assert world.triggered() == ["10 min after boot"]
    world.times.advance(100 * HOUR_S)
    assert world.triggered() == []


def test_after_boot_that_has_passed_runs_at_once_unless_the_service_has_run(world: Timed) -> None:
    world.arm(after_boot_s=60)
    assert world.triggered() == ["1 min after boot"]
    world.units["job"].run_at_s = world.loop.time() - 100
    clock = world.arm(after_boot_s=60)
    world.times.advance(HOUR_S)
    assert world.triggered() == []
    assert clock.words() == ["next: never again", "last: Sun 2026-11-22 11:58"]


# -- calendar


def test_a_calendar_runs_at_its_minutes(world: Timed) -> None:
    world.arm(calendar=("0 3 * * *", "30 4 * * mon"))
    world.times.advance(16 * HOUR_S)
    assert world.triggered() == ["calendar 03:00"]
    world.times.advance(HOUR_S)
    assert world.triggered() == ["calendar 04:30"]


def test_what_is_due_at_the_same_time_is_one_start(world: Timed) -> None:
    world.arm(calendar=("@daily", "0 */12 * * *"))
    world.times.advance(12 * HOUR_S)
    assert world.triggered() == ["calendar 00:00"]


def test_a_calendar_is_of_local_time(world: Timed) -> None:
    with zone(BERLIN):
        world.arm(calendar=("13:30",))
        world.times.advance(1800)
    assert world.triggered() == ["calendar 13:30"]


def test_a_calendar_that_is_none_cannot_be_armed(world: Timed) -> None:
    """The compiler lets none through; who made this plan was no compiler."""
    with pytest.raises(OSError, match=r"^calendar: found '61' for the minute, expected a number from 0 to 59$"):
        world.arm(calendar=("61 * * * *",))


# -- while it runs


def test_what_is_due_while_the_service_runs_is_skipped_and_told_once(world: Timed) -> None:
    clock = world.arm(every_s=HOUR_S)
    world.times.advance(HOUR_S)
    assert world.triggered() == ["every 1 h"]
    clock.runs()
    world.times.advance(10.5 * HOUR_S)
    assert world.lines() == ["every 1 h: skipped, as job still runs"]
    assert world.times.armed == []  # nothing wakes linit up for it
    clock.rests()
    assert world.triggered() == []
    world.times.advance(HOUR_S)
    assert world.triggered() == ["every 1 h"]


def test_a_calendar_that_was_skipped_runs_the_next_time(world: Timed) -> None:
    clock = world.arm(calendar=("@hourly",))
    clock.runs()
    world.times.advance(1.5 * HOUR_S)
    clock.rests()
    assert world.lines() == ["calendar 13:00: skipped, as job still runs"]
    assert world.triggered() == []
    world.times.advance(HOUR_S / 2)
    assert world.triggered() == ["calendar 14:00"]


def test_what_was_skipped_was_not_missed(world: Timed) -> None:
    """The next boot makes up for nothing that the service itself stood in the way of."""
    clock = world.arm(calendar=("0 13 * * *",), persistent=True)
    clock.runs()
    world.times.advance(2 * HOUR_S)
    assert stamps.last_run_s(world.paths, "job") == NOON_S + HOUR_S
    world.arm(calendar=("0 13 * * *",), persistent=True)
    assert world.triggered() == []


def test_a_trigger_that_is_armed_while_its_service_runs_waits_for_its_rest(world: Timed) -> None:
    world.unit("job", UnitState.UP, run_at_s=world.loop.time() - 60)
    clock = world.arm(every_s=HOUR_S)
    world.times.advance(HOUR_S)
    assert world.triggered() == []
    clock.rests()
    world.times.advance(HOUR_S)
    assert world.triggered() == ["every 1 h"]


# -- what was missed


def test_a_persistent_calendar_makes_up_for_what_was_missed(world: Timed) -> None:
    stamps.keep_last_run(world.paths, "job", NOON_S - 33 * HOUR_S)  # 03:00 the day before
    clock = world.arm(calendar=("0 3 * * *",), persistent=True)
    assert world.triggered() == ["calendar 03:00, missed"]
    assert world.lines() == ["missed 03:00, runs now"]
    assert clock.words() == ["next: Mon 2026-11-23 03:00 (in 15 h)", "last: Sat 2026-11-21 03:00"]


def test_many_missed_runs_are_one(world: Timed) -> None:
    stamps.keep_last_run(world.paths, "job", NOON_S - 100 * HOUR_S)
    world.arm(calendar=("@hourly",), persistent=True)
    assert world.triggered() == ["calendar Wed 2026-11-18 09:00, missed"]
    world.run()
    world.times.advance(HOUR_S)
    assert world.triggered() == ["calendar 13:00"]


def test_every_that_is_persistent_counts_from_the_last_start_of_an_earlier_boot(world: Timed) -> None:
    stamps.keep_last_run(world.paths, "job", NOON_S - 20 * HOUR_S)
    world.arm(every_s=24 * HOUR_S, persistent=True)
    world.times.advance(4 * HOUR_S)
    assert world.triggered() == ["every 24 h"]
    assert world.lines() == []


def test_every_that_is_persistent_makes_up_for_what_was_missed(world: Timed) -> None:
    stamps.keep_last_run(world.paths, "job", NOON_S - 30 * HOUR_S)
    world.arm(every_s=24 * HOUR_S, persistent=True)
    assert world.triggered() == ["every 24 h, missed 06:00"]
    assert world.lines() == ["missed 06:00, runs now"]


def test_what_is_not_persistent_misses_runs(world: Timed) -> None:
    stamps.keep_last_run(world.paths, "job", NOON_S - 100 * HOUR_S)
    world.arm(calendar=("0 3 * * *",))
    assert (world.triggered(), world.lines()) == ([], [])


def test_nothing_was_missed_before_the_schedule_was_first_armed(world: Timed) -> None:
    """From then on it is: the stamp is there before the first run."""
    world.arm(calendar=("0 3 * * *",), persistent=True)
    assert world.triggered() == []
    assert stamps.last_run_s(world.paths, "job") == NOON_S
    world.times.shown[WALL] += 24 * HOUR_S
    world.arm(calendar=("0 3 * * *",), persistent=True)
    assert world.triggered() == ["calendar 03:00, missed"]


def test_each_start_is_kept_also_one_by_hand(world: Timed) -> None:
    world.arm(calendar=("0 3 * * *",), persistent=True)
    world.times.advance(60)
    world.run()
    assert stamps.last_run_s(world.paths, "job") == NOON_S + 60


def test_a_state_that_cannot_be_written_is_told_once_and_all_else_works(world: Timed, tmp_path: Path) -> None:
    (tmp_path / "run").rmdir()
    (tmp_path / "run").touch()
    world.arm(every_s=HOUR_S, persistent=True)
    for _ in range(3):
        world.times.advance(HOUR_S)
        world.run()
    assert world.triggered() == ["every 1 h"] * 3
    told = f"when it last ran cannot be kept: {tmp_path}/run/timers: ENOTDIR (not a directory)"
    assert world.lines() == [told]


# -- a clock that is set


def test_a_clock_set_forward_a_little_makes_up_for_what_it_left_out(world: Timed) -> None:
    """cron(8): less than three hours is a correction."""
    world.arm(calendar=("12:30",))
    world.times.set_wall(HOUR_S)
    assert world.triggered() == ["calendar 12:30, missed"]
    assert world.lines() == ["missed 12:30, runs now"]


def test_a_clock_set_forward_far_is_another_time(world: Timed) -> None:
    world.arm(calendar=("12:30",))
    world.times.set_wall(100 * HOUR_S)
    assert world.triggered() == []
    told = "calendar Sun 2026-11-22 12:30: skipped, as the clock was set forward or the machine slept"
    assert world.lines() == [told]
    world.times.advance(20.5 * HOUR_S)
    assert world.triggered() == ["calendar 12:30"]


def test_a_persistent_schedule_makes_up_for_a_clock_set_forward_far(world: Timed) -> None:
    world.arm(calendar=("12:30",), persistent=True)
    world.times.set_wall(100 * HOUR_S)
    assert world.triggered() == ["calendar Sun 2026-11-22 12:30, missed"]


def test_a_clock_set_back_a_little_repeats_nothing(world: Timed) -> None:
    """cron(8): running the same job twice is avoided."""
    world.arm(calendar=("@hourly",))
    world.times.advance(HOUR_S)
    assert world.triggered() == ["calendar 13:00"]
    world.run()
    world.times.set_wall(-600)  # 12:50
    world.times.advance(900)
    assert world.triggered() == []
    world.times.advance(HOUR_S)
    assert world.triggered() == ["calendar 14:00"]


def test_a_clock_set_back_far_is_another_time(world: Timed) -> None:
    """From a battery that was empty to what the network says: no wait of ten years."""
    world.arm(calendar=("@hourly",))
    world.times.advance(HOUR_S)
    world.run()
    assert world.triggered() == ["calendar 13:00"]
    world.times.set_wall(-100_000 * HOUR_S)
    world.times.advance(HOUR_S)
    assert world.triggered() == ["calendar 22:00"]


def test_a_clock_that_is_set_while_the_service_runs_counts_when_it_rests(world: Timed) -> None:
    """After a run was skipped no alarm is set, and nobody tells."""
    clock = world.arm(calendar=("@daily",))
    clock.runs()
    world.times.advance(13 * HOUR_S)  # Monday 01:00
    assert world.lines() == ["calendar 00:00: skipped, as job still runs"]
    world.times.set_wall(-240 * HOUR_S)
    clock.rests()
    assert clock.words()[0] == "next: Sat 2026-11-14 00:00 (in 23 h)"


def test_a_clock_that_was_never_set_makes_up_for_nothing_until_it_is(world: Timed) -> None:
    """A machine without a battery begins in 1970. The stamp of the last run waits for the true time."""
    stamps.keep_last_run(world.paths, "job", NOON_S - 24 * HOUR_S)
    world.times.shown[WALL] = 100.0
    world.arm(calendar=("0 3 * * *",), persistent=True)
    world.run()  # by hand
    assert world.triggered() == []
    world.times.set_wall(NOON_S)
    assert world.triggered() == ["calendar 03:00, missed"]
    world.run()
    assert stamps.last_run_s(world.paths, "job") == NOON_S + 100


def test_a_clock_that_is_set_for_the_first_time_has_missed_nothing(world: Timed) -> None:
    world.times.shown[WALL] = 100.0
    world.arm(calendar=("0 3 * * *",), persistent=True)
    world.times.set_wall(NOON_S)
    assert (world.triggered(), world.lines()) == ([], [])
    assert stamps.last_run_s(world.paths, "job") == NOON_S + 100


def test_what_a_short_sleep_left_out_runs_when_the_machine_wakes_up(world: Timed) -> None:
    world.arm(calendar=("12:30",), every_s=10 * HOUR_S)
    world.times.sleep(2 * HOUR_S)
    assert world.triggered() == ["calendar 12:30, missed"]
    world.times.sleep(10 * HOUR_S)
    assert world.triggered() == ["every 10 h"]


# -- for people


def test_it_is_told_what_comes_next_and_what_was_last(world: Timed) -> None:
    clock = world.arm(calendar=("0 3 * * *",), every_s=100 * HOUR_S)
    assert clock.words() == ["next: Mon 2026-11-23 03:00 (in 15 h)", "last: not known"]
    world.times.advance(14.5 * HOUR_S)
    assert clock.words() == ["next: Mon 2026-11-23 03:00 (in 30 min)", "last: not known"]
    world.times.advance(1790)
    assert clock.words() == ["next: Mon 2026-11-23 03:00 (in 10 s)", "last: not known"]
    world.run()
    world.times.advance(10)
    assert clock.words() == ["next: Tue 2026-11-24 03:00 (in 24 h)", "last: Mon 2026-11-23 02:59"]


# -- another schedule


def test_a_schedule_that_is_changed_counts_from_the_last_start(world: Timed) -> None:
    """A reload; where that is so long ago already, it runs at once."""
    world.arm(every_s=HOUR_S)
    world.change(every_s=10 * HOUR_S)
    world.times.advance(10 * HOUR_S - 1)
    assert world.triggered() == []
    world.times.advance(1)
    assert world.triggered() == ["every 10 h"]
    world.units["job"].run_at_s = world.loop.now_s - HOUR_S
    world.change(every_s=HOUR_S / 2)
    assert world.triggered() == ["every 30 min"]
    assert world.lines() == []


@pytest.mark.parametrize("is_persistent", [False, True])
def test_what_a_new_calendar_names_in_the_past_was_not_missed(world: Timed, is_persistent: bool) -> None:
    """It was not in force then: neither now, nor after a boot, nor when the time of day is corrected."""
    world.arm(calendar=("@hourly",), persistent=is_persistent)
    world.times.advance(HOUR_S)
    world.run()
    world.times.advance(1800)
    world.triggered()
    changed = {"calendar": ("13:20",), "persistent": is_persistent}
    world.change(**changed)
    world.times.set_wall(-60.0)
    world.arm(**changed)  # of the next boot
    assert (world.triggered(), world.lines()) == ([], [])
    world.times.advance(24 * HOUR_S)
    assert world.triggered() == ["calendar 13:20"]


def test_a_schedule_that_is_changed_while_its_service_runs_waits_for_its_rest(world: Timed) -> None:
    world.arm(every_s=HOUR_S)
    world.start()
    world.change(every_s=60.0)
    world.times.advance(90.0)
    assert world.triggered() == []
    assert world.lines() == ["every 1 min: skipped, as job still runs"]


def test_what_is_disarmed_has_no_alarm(world: Timed) -> None:
    world.arm(calendar=("@daily",), every_s=5, after_boot_s=1000).close()
    assert all(alarm.is_closed for alarm in world.times.rung)
    assert len(world.times.rung) == 3


# -- the kernel's alarms


@pytest.mark.parametrize("clock", [BOOT, WALL])
def test_an_alarm_rings_when_its_time_has_come_and_no_more(clock: int) -> None:
    """timerfd_create(2): what has passed is due at once."""
    loop = Turning()
    rung: list[bool] = []
    alarm = Alarm(loop, clock, rung.append)
    alarm.set(Times().now_s(clock) + 0.01)
    loop.turn(wait_s=60.0)
    assert rung == [False]
    alarm.set(Times().now_s(clock) - 1000)
    loop.turn(wait_s=60.0)
    alarm.set(Times().now_s(clock) + 1000)
    alarm.set(None)
    loop.turn()
    assert rung == [False, False]
    alarm.close()
    assert loop.readers == {}


def test_an_alarm_hears_that_the_time_of_day_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """ECANCELED, whether it is read or the alarm is set: timerfd_create(2). The test may not set the clock itself."""
    loop = Turning()
    rung: list[bool] = []
    alarm = Alarm(loop, WALL, rung.append)

    def was_set(*_arguments: object) -> int:
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    monkeypatch.setattr(alarms, "_settime", was_set)
    alarm.set(time.time() + 1000)
    loop.turn()
    monkeypatch.setattr(os, "read", was_set)
    (read,) = loop.readers.values()
    read()
    assert rung == [True, True]
    monkeypatch.undo()
    alarm.close()


def test_linit_knows_when_it_began() -> None:
    """This process did, some time after the kernel: proc_pid_stat(5)."""
    assert 0 < Times().began_s() < Times().now_s(BOOT)
