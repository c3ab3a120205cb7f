"""Who asked for what led to a change of state? From the change along the edges back to a person or a program."""

from __future__ import annotations

from collections.abc import Mapping

from linit.engine.effects import Transition
from linit.engine.unit import Unit
from linit.model.reason import Reason


def asked_by(units: Mapping[str, Unit], change: Transition) -> str:
    """ "root (linitctl stop db, pid 312)": who stopped what this one needs, or wanted what pulled it in; "" if nobody.

    To be asked right after the event: `units` are where the change has led to.
    """
    return _of(units, change.name, change.reason) or _of(units, change.name, _wish_of(units, change.name))


def _of(units: Mapping[str, Unit], name: str, reason: Reason | None) -> str:
    seen = {name}
    while reason is not None:
        if reason.by:
            return reason.by
        if not reason.of or reason.of in seen:
            return ""
        seen.add(reason.of)
        reason = _wish_of(units, reason.of)
    return ""


def _wish_of(units: Mapping[str, Unit], name: str) -> Reason | None:
    unit = units.get(name)
    return None if unit is None else unit.wish
