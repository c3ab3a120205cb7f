"""Where does the engine stand, whole? For `linitctl ... --dry-run`, which goes on from there in virtual time."""

from __future__ import annotations

from typing import Any

from linit.control.calls import Call
from linit.record.checkpoint import take


def checkpoint(call: Call, params: dict[str, Any]) -> None:
    """The engine's state as linit/record/README.md describes it, of the plan compiled at `compiled_at`.

    `now_s`: what the engine's clock says now.
    """
    engine = call.engine
    call.answer({"state": take(engine), "compiled_at": engine.plan.compiled_at, "now_s": call.now_s})
