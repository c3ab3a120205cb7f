"""How does a recording become a test? A pytest file that has the plan and the events as values, and says which
transitions follow. Nothing but linit's model and engine is needed to run it, and a person can make it smaller."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, Final

from linit.model.service import Plan
from linit.record.recording import Recording
from linit.replay.stepper import Stepper

WIDTH: Final = 110
BYTES_A_LINE: Final = 40


class _Source:
    """Values as Python source; `modules` collects what must be imported: module -> names."""

    def __init__(self) -> None:
        self.modules: dict[str, set[str]] = {"linit.engine.effects": {"Transition"}, "linit.engine.engine": {"Engine"}}
        self.plans: dict[int, str] = {}

    def of(self, value: Any, indent: int = 0) -> str:
        """An expression that makes `value`; on several lines when it is long."""
        if isinstance(value, enum.Enum):
            return f"{self._named(type(value))}.{value.name}"
        if isinstance(value, Plan) and id(value) in self.plans:
            return self.plans[id(value)]
        if is_dataclass(value) and not isinstance(value, type):
            return _joined(f"{self._named(type(value))}(", self._arguments(value, indent + 4), ")", indent)
        if isinstance(value, tuple):
            return _joined("(", [self.of(each, indent + 4) for each in value], ",)" if len(value) == 1 else ")", indent)
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return f'float("{value}")'
        return repr(value)

    def _arguments(self, value: Any, indent: int) -> list[str]:
        """What differs from the default; by name as soon as one was left out."""
        found = []
        skipped = False
        for each in fields(value):
            default = each.default if each.default_factory is MISSING else each.default_factory()
            part = getattr(value, each.name)
            if default is not MISSING and part == default:
                skipped = True
                continue
            text = self.of(part, indent)
            found.append(f"{each.name}={text}" if skipped else text)
        return found

    def _named(self, cls: type) -> str:
        self.modules.setdefault(cls.__module__, set()).add(cls.__name__)
        return cls.__name__


def _joined(begin: str, parts: list[str], end: str, indent: int) -> str:
    line = f"{begin}{', '.join(parts)}{end}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    inner = " " * (indent + 4)
    return begin + "\n" + "".join(f"{inner}{part},\n" for part in parts) + " " * indent + end.lstrip(",")


def _cut(data: bytes) -> list[bytes]:
    return [data[at : at + BYTES_A_LINE] for at in range(0, len(data), BYTES_A_LINE)]


def lines(recording: Recording) -> Iterator[str]:
    """The file. What the events lead to is what the engine of this linit makes of them."""
    source = _Source()
    parts = []
    start = [recording.starts[0], *recording.losses][-1]  # a test has no hole in it
    entries = recording.entries[start.index :]
    plans = [start.plan, *(plan for entry in entries if (plan := getattr(entry.event, "plan", None)))]
    for plan in plans:
        if id(plan) not in source.plans:
            name = f"PLAN_{len(source.plans) + 1}"
            parts.append(f"{name} = {source.of(replace(plan, sources=()))}")
            source.plans[id(plan)] = name
    stepper = Stepper(replace(recording, starts=[replace(start, index=0, lost=0)], entries=entries))
    events, transitions = [], []
    while (step := stepper.forward()) is not None:
        at_s = step.entry.at_s
        events.append(f"    ({at_s!r}, {source.of(step.entry.event, 4)}),")
        transitions += [f"    {(each.name, each.after.value, str(each.reason))!r}," for each in step.transitions]
    plan = source.plans[id(start.plan)]
    engine = f"Engine({plan})"
    if start.state is not None:
        source.modules["linit.record.restoring"] = {"restore"}
        del source.modules["linit.engine.engine"]
        engine = f"restore({plan}, STATE)"
        parts.append("STATE = (\n" + "".join(f"    {each!r}\n" for each in _cut(start.state)) + ")")
    yield f'"""A recording of linit {recording.version}: what its engine makes of these events."""'
    yield ""
    for module, names in sorted(source.modules.items()):
        yield from (
            _joined(f"from {module} import (", sorted(names), ")", 0)
            .replace(f"import ({', '.join(sorted(names))})", f"import {', '.join(sorted(names))}")
            .splitlines()
        )
    yield ""
    yield from "\n\n".join(parts).splitlines()
    yield from ("", "EVENTS = [  # (seconds on the engine's clock, event)", *events, "]")
    yield from ("", "TRANSITIONS = [  # (service, state, why)", *transitions, "]")
    yield from ("", "", "def test_the_recorded_events_lead_to_these_states() -> None:")
    yield f"    engine = {engine}"
    yield "    effects = [effect for at_s, event in EVENTS for effect in engine.handle(event, at_s)]"
    yield "    changes = [effect for effect in effects if isinstance(effect, Transition)]"
    yield "    assert [(each.name, each.after.value, str(each.reason)) for each in changes] == TRANSITIONS"
