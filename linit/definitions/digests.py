"""What does a definition mean, in a few letters? A reload compares it with what runs."""

from __future__ import annotations

import hashlib
from typing import Any

from linit.model.service import Command, Execution, Listen, Restart, Schedule, Service


def digest(service: Service) -> str:
    """Of what the definition means, not of where and how it is written: a reload compares it.

    Dependencies that others write (`before`, `provide`) and enabling in a runlevel are not part of it.
    """
    meaning = [
        service.kind.value,
        [_of_command(each) for each in (service.run, service.reload, service.readiness.probe)],
        [[_of_command(each) for each in group] for group in (service.pre, service.post, service.stop)],
        service.reload_signal,
        sorted((each.kind.value, each.on) for each in service.dependencies),
        [service.readiness.kind.value, service.readiness.value, service.readiness.interval_s],
        [getattr(service.restart, name) for name in Restart.__match_args__ if name != "policy"],
        service.restart.policy.value,
        [service.start_timeout_s, service.stop_timeout_s, service.stop_to.value, service.stop_when_unneeded],
        [(step.signal, step.wait_s) for step in service.stop_steps],
        [service.success_statuses, service.success_signals, service.prefer, service.idle_s],
        [getattr(service.execution, name) for name in Execution.__match_args__ if name != "output"],
        service.execution.output.value,
        _of_supervision(service),
    ]
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]


def _of_supervision(service: Service) -> list[Any]:
    """When the clock or a path starts a service is the meaning of its trigger, not its own."""
    health, is_trigger = service.health, bool(service.activates)
    schedule = service.schedule if is_trigger else None
    return [
        [service.pidfile, service.remains, service.reload_notifies, service.watchdog_s, service.fd_store],
        health and [_of_command(health.probe), health.interval_s, health.timeout_s, health.retries, health.grace_s],
        [_fields(each, Listen) for each in service.listen],
        schedule and _fields(schedule, Schedule),
        [(each.path, each.on.value) for each in service.watch if is_trigger],
        service.activates,
        [(each.kind.value, each.value, each.negated, _of_command(each.command)) for each in service.when],
    ]


def _fields(value: Listen | Schedule, kind: type) -> list[Any]:
    return [getattr(value, name) for name in kind.__match_args__ if name != "place"]  # type: ignore[attr-defined]


def _of_command(command: Command | None) -> Any:
    return None if command is None else [command.argv, command.timeout_s]
