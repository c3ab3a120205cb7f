"""Who may be alone with something? Named locks, first come first served. linit keeps them, so a wait for one that would
never end is seen and refused. A lock belongs to the connection that asked, and is let go of with it."""

from __future__ import annotations

from typing import Any, Final

from linit.control import messages, records
from linit.control.authorisation import printable
from linit.control.calls import Call, Refusal
from linit.control.transient import is_name
from linit.engine.effects import Answer
from linit.model.state import Outcome

LOCKS_MAX: Final = 64  # of one connection


def lock(call: Call, params: dict[str, Any]) -> None:
    """Have a lock; answered when it is held. Without `wait`, and when waiting would never end, it may be refused."""
    name = params["lock"]
    claims = call.connection.locks
    if not is_name(name):
        expected = "letters, digits, '_', '.', '-' and at most one '@' that is not the first"
        raise Refusal(messages.BAD_PARAMS, f"lock: found {printable(repr(name), 60)}, expected {expected}")
    if name in claims:
        raise Refusal(messages.NOT_POSSIBLE, f"lock: this connection holds {name} or waits for it already")
    if len(claims) >= LOCKS_MAX:
        raise Refusal(messages.BUSY, f"this connection has {LOCKS_MAX} locks already", "let go of one")
    supervisor = call.server.supervisor
    is_over = False

    def on_answer(answer: Answer) -> None:
        nonlocal is_over
        if answer.outcome is not Outcome.DONE:
            is_over = True
            claims.pop(name, None)
        call.answer(records.wish_result(answer))

    number = supervisor.lock(
        name, call.by, on_answer, pid=call.connection.peer.pid, caller=call.caller, waits=params["wait"]
    )
    if is_over:
        supervisor.unlock(number)  # it stands in no queue; what the supervisor keeps of it is forgotten
    else:
        claims[name] = lambda: supervisor.unlock(number)


def unlock(call: Call, params: dict[str, Any]) -> None:
    """Let go of a lock, or no longer wait for it."""
    let_go = call.connection.locks.pop(params["lock"], None)
    if let_go is None:
        shown = printable(params["lock"], 80)
        raise Refusal(messages.NOT_POSSIBLE, f"unlock: this connection has no lock {shown!r}")
    let_go()
    call.answer({"outcome": messages.DONE})


def locks(call: Call, params: dict[str, Any]) -> None:
    """Every lock, with who holds it and who waits, in their order: `service` is "" for a person's."""
    queues: dict[str, list[dict[str, str]]] = {}
    for claim in call.engine.locks:
        queues.setdefault(claim.lock, []).append({"service": claim.caller, "by": claim.by})
    call.answer(
        {
            "locks": [
                {"name": name, "holder": holder, "waiters": waiters}
                for name, (holder, *waiters) in sorted(queues.items())
            ]
        }
    )
