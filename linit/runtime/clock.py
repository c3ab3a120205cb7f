"""When does a schedule start its service? The trigger for `schedule`.

Each of `every`, `after_boot` and the lines of `calendar` is a source that knows when it is due next, with an alarm of
the kernel on its own clock; nothing looks at a clock in between. The rules for a clock that is set follow cron(8): up
to three hours are made up for, and nothing runs twice; what is more is another time of day, at which only a
`persistent` schedule makes up for what it missed. A new /etc/localtime counts from the next run on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from linit.engine.events import Triggered
from linit.model import calendar
from linit.model.calendar import Calendar
from linit.model.service import Schedule, Service
from linit.runtime import stamps
from linit.runtime.alarms import BOOT, WALL, Alarm, Times
from linit.runtime.calendar_times import next_after
from linit.runtime.failure import error_words

if TYPE_CHECKING:
    from linit.runtime.means import Means

SET_MAX_S: Final = 3 * 3600.0  # a clock that is set by less is corrected; cron(8)
LATE_S: Final = 60.0  # what runs so late was missed; less is a busy machine


class _Source(Protocol):
    """One of the ways in which a schedule says when. Times are those of its `clock`."""

    clock: int
    due_s: float | None

    def take(self, now_s: float) -> str:
        """What is due now, "" if nothing; then the next time counts."""

    def started(self, now_s: float) -> None:
        """The service has left its rest."""

    def was_set(self, now_s: float) -> None:
        """The clock was set."""


@dataclass(frozen=True, slots=True)
class _Armed:
    """What the sources are made with. `last_s`: when a persistent schedule ran last, as far as that is known; `from_s`:
    since when it holds, 0.0 where that is not known. Both are times of the wall clock."""

    is_persistent: bool
    last_s: float | None
    from_s: float
    tell: Callable[[str], None]

    def missed(self, due_s: float, now_s: float) -> str:
        """A run is made up for: when it was due, in words. Both times are those of the wall clock."""
        when = _moment(due_s, now_s)
        self.tell(f"missed {when}, runs now")
        return when


class Clock:
    """A schedule that is armed. `times` are the clocks."""

    def __init__(self, means: Means, service: Service, times: Times | None = None) -> None:
        """Raises OSError."""
        self._means = means
        self._times = times or Times()
        self._rests = False
        self._tells_stamp = True
        self._alarms: list[Alarm] = []
        self._begin(service, 0.0)

    def change(self, service: Service) -> None:
        """By another schedule from now on. What this one names in the past was not missed: it did not hold then."""
        self.close()
        self._begin(service, self._now_s(WALL))

    def _begin(self, service: Service, from_s: float) -> None:
        schedule = service.schedule
        assert schedule is not None, f"linit bug: {service.name} has no schedule"
        self._service = service
        self._persistent = schedule.persistent
        self._was_skipped = False  # while it runs: no more is looked at what is due until it rests
        time.tzset()  # /etc/localtime may be another one than when linit began
        self._last_s = stamps.last_run_s(self._means.paths, service.activates) if self._persistent else None
        if self._last_s is None or (from_s and schedule.calendar):
            self._keep(self._now_s(WALL))  # from now on a run can be missed
        self._sources = self._make(schedule, from_s)
        try:
            for source in self._sources:
                self._alarms.append(self._times.alarm(self._means.loop, source.clock, self._on_due(source)))
            self._set_alarms()
        except OSError:
            self.close()
            raise

    def runs(self) -> None:
        """It was started, by this schedule or by anybody."""
        self._rests = False
        self._last_s = self._now_s(WALL)
        self._keep(self._last_s)
        for source in self._sources:
            source.started(self._now_s(source.clock))
        self._set_alarms()

    def rests(self) -> None:
        """What was due while it ran was skipped; what was due before it was armed was not."""
        self._rests = True
        if self._was_skipped:
            self._was_skipped = False
            self._take()
            for source in self._sources:  # which no alarm told of it meanwhile
                source.was_set(self._now_s(source.clock))
            self._set_alarms()
        else:
            self._look()

    def close(self) -> None:
        """Nothing is due any more."""
        for alarm in self._alarms:
            alarm.close()
        self._alarms = []

    def words(self) -> list[str]:
        """`next: Sun 2026-11-22 03:00 (in 5 h)` and `last: Sat 2026-11-21 03:00`."""
        lefts = [source.due_s - self._now_s(source.clock) for source in self._sources if source.due_s is not None]
        last = f"last: {_moment(self._last_s)}" if self._last_s is not None else "last: not known"
        if not lefts:
            return ["next: never again", last]
        left_s = max(0.0, min(lefts))
        return [f"next: {_moment(self._now_s(WALL) + left_s)} (in {_about(left_s)})", last]

    # -- what is due

    def _make(self, schedule: Schedule, from_s: float) -> list[_Source]:
        """Raises OSError for a calendar that is none, which the compiler lets into no plan."""
        boot_s, wall_s = self._now_s(BOOT), self._now_s(WALL)
        armed = _Armed(self._persistent, self._last_s, from_s, self._tell)
        unit = self._means.engine.units.get(self._service.activates)
        since_s = None
        if unit is not None and unit.run_at_s is not None:  # on the loop's clock
            since_s = boot_s - (self._means.loop.time() - unit.run_at_s)
            self._last_s = wall_s - (boot_s - since_s)
        sources: list[_Source] = []
        if schedule.every_s is not None:
            sources.append(_Every(schedule.every_s, since_s, boot_s, wall_s, armed))
        if schedule.after_boot_s is not None:
            due_s = self._times.began_s() + schedule.after_boot_s
            sources.append(_AfterBoot(schedule.after_boot_s, due_s if due_s > boot_s or since_s is None else None))
        for text in schedule.calendar:
            try:
                sources.append(_Calendar(calendar.parse(text), wall_s, armed))
            except calendar.NoCalendar as error:
                raise OSError(f"calendar: {error}") from None
        return sources

    def _on_due(self, source: _Source) -> Callable[[bool], None]:
        def on_due(was_set: bool) -> None:
            time.tzset()
            now_s = self._now_s(source.clock)
            if was_set:
                source.was_set(now_s)
                if self._last_s is None:
                    self._keep(now_s)  # perhaps the clock is right for the first time
            self._look()

        return on_due

    def _look(self) -> None:
        texts = self._take()
        if texts and not self._rests:
            self._was_skipped = True
            self._tell(f"{', '.join(texts)}: skipped, as {self._service.activates} still runs")
            self._keep(self._now_s(WALL))
        self._set_alarms()
        if texts and self._rests:  # last, as what follows may be the end of this
            self._means.report(Triggered(self._service.name, ", ".join(texts)))

    def _take(self) -> list[str]:
        texts = [source.take(self._now_s(source.clock)) for source in self._sources]
        return [text for text in dict.fromkeys(texts) if text]

    def _set_alarms(self) -> None:
        for source, alarm in zip(self._sources, self._alarms, strict=True):
            alarm.set(None if self._was_skipped else source.due_s)

    # -- means

    def _keep(self, at_s: float) -> None:
        if not self._persistent or at_s < stamps.EPOCH_S:
            return
        try:
            stamps.keep_last_run(self._means.paths, self._service.activates, at_s)
        except OSError as error:
            if self._tells_stamp:
                self._tells_stamp = False
                self._tell(f"when it last ran cannot be kept: {error_words(error)}")

    def _tell(self, text: str) -> None:
        self._means.tell(text, self._service.name)

    def _now_s(self, clock: int) -> float:
        return self._times.now_s(clock)


class _Every:
    """So long after the last start, or after it was armed."""

    clock = BOOT

    def __init__(self, every_s: float, since_s: float | None, now_s: float, wall_s: float, armed: _Armed) -> None:
        """`since_s`: when the service last started, if it has; else what a persistent schedule remembers counts."""
        self._every_s = every_s
        self._armed = armed
        self._ahead_s = wall_s - now_s  # of the wall clock
        self._is_first = since_s is None
        if since_s is None and armed.last_s is not None and armed.last_s <= wall_s:
            since_s = armed.last_s - self._ahead_s
        self.due_s: float | None = (now_s if since_s is None else since_s) + every_s

    def take(self, now_s: float) -> str:
        if self.due_s is None or now_s < self.due_s:
            return ""
        due_s, self.due_s = self.due_s, now_s + self._every_s
        what = f"every {_exact(self._every_s)}"
        if self._is_first and self._armed.is_persistent and now_s - due_s >= LATE_S:
            what += f", missed {self._armed.missed(due_s + self._ahead_s, now_s + self._ahead_s)}"
        return what

    def started(self, now_s: float) -> None:
        self._is_first = False
        self.due_s = now_s + self._every_s

    def was_set(self, now_s: float) -> None:
        """This clock is never set."""


class _AfterBoot:
    """Once, so long after linit began, which as PID 1 it does when the kernel has booted."""

    clock = BOOT

    def __init__(self, after_s: float, due_s: float | None) -> None:
        """`due_s` is None where that time has passed, and the service has run."""
        self._after_s = after_s
        self.due_s = due_s

    def take(self, now_s: float) -> str:
        if self.due_s is None or now_s < self.due_s:
            return ""
        self.due_s = None
        return f"{_exact(self._after_s)} after boot"

    def started(self, now_s: float) -> None:
        """That changes nothing."""

    def was_set(self, now_s: float) -> None:
        """This clock is never set."""


class _Calendar:
    """At the minutes that a calendar names."""

    clock = WALL

    def __init__(self, found: Calendar, now_s: float, armed: _Armed) -> None:
        self._calendar = found
        self._armed = armed
        self._last_s = armed.last_s  # when it ran last, or was skipped
        self.due_s: float | None = None
        self.was_set(now_s)

    def take(self, now_s: float) -> str:
        if self.due_s is None or now_s < self.due_s:
            return ""
        due_s, self.due_s = self.due_s, next_after(self._calendar, now_s)
        self.started(now_s)
        if now_s - due_s < LATE_S:
            return f"calendar {time.strftime('%H:%M', time.localtime(due_s))}"
        if due_s < stamps.EPOCH_S:
            return ""  # the clock was not set until now
        if now_s - due_s > SET_MAX_S and not self._armed.is_persistent:
            self._armed.tell(f"calendar {_moment(due_s)}: skipped, as the clock was set forward or the machine slept")
            return ""
        return f"calendar {self._armed.missed(due_s, now_s)}, missed"

    def started(self, now_s: float) -> None:
        if now_s >= stamps.EPOCH_S:
            self._last_s = now_s

    def was_set(self, now_s: float) -> None:
        """What was missed is made up for; where the clock was set back a little, nothing runs twice."""
        earliest_s = self._armed.from_s if self._armed.is_persistent else now_s
        if self._last_s is not None and earliest_s <= self._last_s <= now_s + SET_MAX_S:
            self.due_s = next_after(self._calendar, self._last_s)
        elif self.due_s is None or self.due_s > now_s:  # else it was set forward over a run: that is `take`'s
            self.due_s = next_after(self._calendar, now_s)


def _moment(at_s: float, now_s: float | None = None) -> str:
    """`Sun 2026-11-22 03:00`; `03:00` on the day of `now_s`."""
    then = time.localtime(at_s)
    is_today = now_s is not None and time.localtime(now_s)[:3] == then[:3]
    return time.strftime("%H:%M" if is_today else "%a %Y-%m-%d %H:%M", then)


def _exact(duration_s: float) -> str:
    """`1 h`, `5 min`, `90 s`, `0.2 s`."""
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if duration_s >= unit_s and duration_s % unit_s == 0:
            return f"{duration_s / unit_s:g} {unit}"
    return f"{duration_s:g} s"


def _about(duration_s: float) -> str:
    """`7 s`, `25 min`, `5 h`, `3 days`."""
    for unit_s, unit, most in ((1, "s", 99), (60, "min", 99), (3600, "h", 47)):
        if round(duration_s / unit_s) <= most:
            return f"{round(duration_s / unit_s)} {unit}"
    return f"{round(duration_s / 86400)} days"
