"""Is a service that is up still well? Its health probe is run at intervals; its watchdog says a word in time.

A service that is not well is reported once; what follows is its restart policy's. One that missed its watchdog gets
SIGABRT first, as daemons that speak sd_notify(3) expect, and a moment to die of it: a core or a trace of where it hangs
is all that is ever learnt of it. Sources: sd_notify(3), systemd.service(5) (WatchdogSec).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

from linit.engine.effects import Signal, To
from linit.engine.events import Unhealthy
from linit.model.service import Health as Check
from linit.model.service import Service
from linit.runtime.failure import error_words
from linit.runtime.loop import Handle
from linit.runtime.means import Means
from linit.runtime.probes import Probe

ABORT_WAIT_S: Final = 2.0  # a handler of SIGABRT would not run a single instruction if TERM came with it


class Health:
    """Those that are looked after. `hear(name)`: take in what a service has said but nobody has read yet."""

    def __init__(self, means: Means, hear: Callable[[str], object]) -> None:
        self.means = means
        self.hear = hear
        self._checks: dict[str, _Checks] = {}
        self._watchdogs: dict[str, _Watchdog] = {}
        self._limits_s: dict[str, float] = {}  # that services have chosen themselves

    def watch(self, service: Service) -> None:
        """It is up: report Unhealthy when it is not well any more."""
        self.unwatch(service.name)
        if service.health is not None:
            self._checks[service.name] = _Checks(self, service, service.health)
        if service.watchdog_s is not None:
            limit_s = self._limits_s.get(service.name, service.watchdog_s)
            self._watchdogs[service.name] = _Watchdog(self, service.name, limit_s)

    def unwatch(self, name: str) -> None:
        """Nobody asks any more."""
        for each in (self._checks.pop(name, None), self._watchdogs.pop(name, None)):
            if each is not None:
                each.stop()

    def fed(self, name: str) -> None:
        """It said WATCHDOG=1."""
        watchdog = self._watchdogs.get(name)
        if watchdog is not None:
            watchdog.feed()

    def said_ill(self, name: str) -> None:
        """It said WATCHDOG=trigger: as if it had said nothing for too long."""
        watchdog = self._watchdogs.get(name)
        if watchdog is not None:
            watchdog.bite("it says so itself (watchdog)")

    def change_limit(self, name: str, limit_s: float) -> None:
        """It said WATCHDOG_USEC, perhaps before it was up: another limit, until it rests."""
        self._limits_s[name] = limit_s
        watchdog = self._watchdogs.get(name)
        if watchdog is not None:
            watchdog.change(limit_s)

    def forget(self, name: str) -> None:
        """It rests, or is about to be started anew."""
        self._limits_s.pop(name, None)

    def note_end(self, name: str) -> None:
        """Its main process has ended. If that was of SIGABRT, this is told as what it is: it was not well."""
        watchdog = self._watchdogs.get(name)
        if watchdog is not None and watchdog.verdict:
            self.report(name, watchdog.verdict)

    def text(self, name: str) -> str:
        """What its checks say, "" if it is well."""
        checks = self._checks.get(name)
        return checks.text if checks is not None else ""

    def report(self, name: str, text: str) -> None:
        """It is not well."""
        self.unwatch(name)
        self.means.report(Unhealthy(name, text))


class _Checks:
    """Runs a probe at intervals, one at a time. An interval is from the end of one to the start of the next."""

    def __init__(self, health: Health, service: Service, check: Check) -> None:
        self.text = ""
        self._health = health
        self._loop = health.means.loop
        self._service = service
        self._check = check
        self._failures = 0
        self._probe: Probe | None = None
        # It has just said that it is ready: no check before the first interval is over.
        self._timer = self._after(max(check.interval_s, check.grace_s))

    def stop(self) -> None:
        self._timer.cancel()
        if self._probe is not None:
            self._probe.stop()

    def _after(self, delay_s: float) -> Handle:
        return self._loop.call_at(self._loop.time() + delay_s, self._run)

    def _run(self) -> None:
        check = self._check
        try:
            self._probe = Probe(self._health.means, self._service, check.probe, self._ended, check.timeout_s)
        except OSError as error:  # no descriptor, no process to be had
            self._ended(error_words(error))

    def _ended(self, text: str) -> None:
        self._failures = self._failures + 1 if text else 0
        if self._failures >= self._check.retries:
            times = f" {self._failures} times" if self._failures > 1 else ""
            self._health.report(self._service.name, f"its health check failed{times}: {text}")
            return
        self.text = f"health check failed {self._failures} of {self._check.retries} times: {text}" if text else ""
        self._timer = self._after(self._check.interval_s)


class _Watchdog:
    """Waits for a sign of life. Each is only noted: the timer looks at the last one when it is due."""

    def __init__(self, health: Health, name: str, limit_s: float) -> None:
        self._health = health
        self._loop = health.means.loop
        self._name = name
        self._limit_s = limit_s
        self._fed_s = self._loop.time()
        self._timer = self._loop.call_at(self._fed_s + limit_s, self._look)
        self._is_over = False
        self.verdict = ""  # why it got SIGABRT

    def stop(self) -> None:
        self._is_over = True
        self._timer.cancel()

    def feed(self) -> None:
        self._fed_s = self._loop.time()

    def change(self, limit_s: float) -> None:
        if self.verdict:
            return
        self._timer.cancel()
        self._limit_s = limit_s
        self._fed_s = self._loop.time()
        self._timer = self._loop.call_at(self._fed_s + limit_s, self._look)

    def bite(self, text: str) -> None:
        if self.verdict:
            return
        self.verdict = text
        self._timer.cancel()
        self._health.means.members.signal(Signal(self._name, signal.SIGABRT, To.MAIN))
        when = self._loop.time() + ABORT_WAIT_S
        self._timer = self._loop.call_at(when, self._health.report, self._name, text)

    def _look(self) -> None:
        # If it was linit that had no time, the sign of life is there and not read yet.
        self._health.hear(self._name)
        if self._is_over or self.verdict:
            return
        due_s = self._fed_s + self._limit_s
        if self._loop.time() < due_s:
            self._timer = self._loop.call_at(due_s, self._look)
        else:
            self.bite(f"no sign of life for {self._limit_s:g} s (watchdog)")
