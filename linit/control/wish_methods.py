"""What can be wished for? The methods that change something. Whoever calls them was found to have the rights."""

from __future__ import annotations

import signal
from typing import Any, Final

from linit.control import messages, records
from linit.control.authorisation import printable
from linit.control.calls import Call, Refusal
from linit.control.nearest import nearest
from linit.engine.effects import Answer, To
from linit.engine.events import Verb
from linit.model.service import Kind
from linit.model.state import Finish, Outcome

SIGNAL_MAX: Final = signal.NSIG - 1


def start(call: Call, params: dict[str, Any]) -> None:
    """Start services and what they pull in."""
    _wish(call, Verb.START, _known(call, params["names"]), wait=params["wait"])


def stop(call: Call, params: dict[str, Any]) -> None:
    """Stop services, those that need them first; without `cascade` that is refused."""
    _wish(call, Verb.STOP, _known(call, params["names"]), wait=params["wait"], cascade=params["cascade"])


def restart(call: Call, params: dict[str, Any]) -> None:
    """Stop and start services; those that need them follow, unless `only`."""
    _wish(call, Verb.RESTART, _known(call, params["names"]), wait=params["wait"], only=params["only"])


def reload(call: Call, params: dict[str, Any]) -> None:
    """Have services read their configuration anew."""
    _wish(call, Verb.RELOAD, _known(call, params["names"]), wait=params["wait"])


def need(call: Call, params: dict[str, Any]) -> None:
    """The service that the caller is a process of needs others from now on."""
    _depend(call, Verb.NEED, params)


def want(call: Call, params: dict[str, Any]) -> None:
    """It wants them: they are started, and it goes on when they are up or have failed."""
    _depend(call, Verb.WANT, params)


def _depend(call: Call, verb: Verb, params: dict[str, Any]) -> None:
    names = _known(call, params["names"])
    if not call.caller:
        raise Refusal(
            messages.NOT_POSSIBLE,
            f"{verb.value}: whoever asks is no process of a service",
            "it is for the scripts of a service; for a person there is linitctl start",
        )
    _wish(call, verb, names, wait=params["wait"])


def reset(call: Call, params: dict[str, Any]) -> None:
    """Forget failures and used-up respawn budgets."""
    _wish(call, Verb.RESET, _known(call, params["names"]))


def reload_plan(call: Call, params: dict[str, Any]) -> None:
    """Compile the definitions anew if they changed, put the plan to use, and say what is different.

    The result has `added`, `removed`, `changed` and `outdated` (changed, now or by an earlier plan, and in use from
    their next start), lists of names, `kept` (of these, whose new definition is broken), and the faults of the plan.
    """

    def on_answer(answer: Answer) -> None:
        if answer.outcome is Outcome.DONE:
            faults = [records.fault(each) for each in call.engine.plan.faults]
            outdated = [unit for unit in call.engine.units.values() if unit.is_outdated and not unit.removed]
            kept = [unit for unit in outdated if records.coming(unit).broken]
            told = {key: sorted(unit.name for unit in units) for key, units in (("outdated", outdated), ("kept", kept))}
            call.answer({"outcome": messages.DONE, **difference(answer), **told, "faults": faults})
        else:
            text = "; ".join(text for _, _, text in answer.results) or answer.outcome.value
            call.refuse(messages.error(messages.NOT_POSSIBLE, f"no new plan: {text}", "see: linitctl verify"))

    call.server.supervisor.reload_plan(call.by, on_answer, start_enabled=params["start_enabled"])


def difference(answer: Answer) -> dict[str, list[str]]:
    """What a new plan changed, from the texts of the engine's answer to PlanLoaded."""
    names: dict[str, list[str]] = {"added": [], "removed": [], "changed": [], "outdated": []}
    for name, _, text in answer.results:
        word = text.partition(";")[0]
        names["outdated" if word != text else word].append(name)
    return names


def runlevel(call: Call, params: dict[str, Any]) -> None:
    """Without a name: which runlevel this is, and which there are. With one: switch to it."""
    name = params["name"]
    if name is None:
        engine = call.engine
        call.answer({"runlevel": engine.runlevel, "boot_state": engine.boot_state, "runlevels": _runlevels(call)})
        return
    call.require_rights("switch the runlevel")
    known = _runlevels(call)
    if name not in known:
        shown = printable(name, 80)
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"the runlevels are {', '.join(known)}"
        text = f"no runlevel is called {shown!r}"
        raise Refusal(messages.UNKNOWN_SERVICE, text, hint, name=shown, near=near)
    _wish(call, Verb.RUNLEVEL, (name,), wait=params["wait"])


def _runlevels(call: Call) -> list[str]:
    return sorted(name for name, unit in call.engine.units.items() if unit.service.kind is Kind.RUNLEVEL)


def shutdown(call: Call, params: dict[str, Any]) -> None:
    """Stop everything and end. Answered when it has begun: by its end there is nobody left to answer."""
    finish = Finish(params["finish"])
    if (finish is Finish.EXIT) is not (call.server.mode == "user"):
        expected = "exit" if call.server.mode == "user" else "poweroff, reboot or halt"
        raise Refusal(messages.NOT_POSSIBLE, f"{finish.value}: not in {call.server.mode} mode", f"it can do {expected}")
    call.server.supervisor.shutdown(finish, call.by)
    call.answer({"outcome": messages.ACCEPTED, "finish": finish.value})


def kill(call: Call, params: dict[str, Any]) -> None:
    """Send a signal to the main process of a service, or to all of them."""
    unit = call.unit(params["name"])
    number = signal_number(params["signal"])
    to = To(params["to"])
    if not unit.pids:
        raise Refusal(
            messages.NOT_POSSIBLE,
            f"{unit.name} is {unit.state.value}: there is no process to send {signal_name(number)} to",
        )
    call.server.supervisor.signal(unit.name, number, to)
    call.answer({"outcome": messages.DONE, "signal": signal_name(number), "pids": sorted(unit.pids.values())})


def signal_number(named: str | int) -> int:
    """The number of "TERM", "SIGTERM", "15" or 15. Raises Refusal."""
    text = str(named).upper().removeprefix("SIG")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if not number:
        number = getattr(signal.Signals.__members__.get(f"SIG{text}"), "value", 0)
    if not 0 < number <= SIGNAL_MAX:
        known = [name.removeprefix("SIG") for name in signal.Signals.__members__]
        near = nearest(text.lower(), (name.lower() for name in known)).upper()
        hint = f"did you mean {near}?" if near else "a name such as TERM, or a number"
        raise Refusal(messages.BAD_PARAMS, f"no signal is called {printable(str(named), 40)!r}", hint)
    return number


def signal_name(number: int) -> str:
    """SIGTERM for 15; a real-time signal is called by its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _known(call: Call, names: list[str]) -> tuple[str, ...]:
    """The names, each once. Raises Refusal when one is unknown: then nothing is begun."""
    return tuple(dict.fromkeys(call.unit(name).name for name in names))


def _wish(
    call: Call, verb: Verb, names: tuple[str, ...], *, wait: bool = True, cascade: bool = True, only: bool = False
) -> None:
    """Ask the engine; its answer is the result. Without `wait` the result is what is known at once."""
    known: list[Answer] = []

    def on_answer(answer: Answer) -> None:
        if wait:
            call.answer(records.wish_result(answer))
        else:
            known.append(answer)

    caller, held = call.caller, call.held
    call.server.supervisor.request(
        verb, names, call.by, on_answer, cascade=cascade, only=only, caller=caller, waits=wait, held=held
    )
    if not wait:
        results = [{"name": name, "outcome": messages.ACCEPTED, "text": ""} for name in names]
        accepted = {"outcome": messages.ACCEPTED, "results": results}
        call.answer(records.wish_result(known[0]) if known else accepted)
