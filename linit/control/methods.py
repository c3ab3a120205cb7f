"""What can be asked? The methods that only read, and the table of all of them: name -> handler."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

from linit import VERSION
from linit.control import graph_methods, lock_methods, messages, records, report, state_methods, transient, wish_methods
from linit.control.authorisation import printable
from linit.control.calls import Call, Handler, Refusal
from linit.control.nearest import nearest
from linit.engine import explain
from linit.engine.engine import Engine
from linit.engine.unit import Unit
from linit.model.service import Kind


def hello(call: Call, params: dict[str, Any]) -> None:
    """Who speaks with whom, and what the client may do. The connection has checked the protocol."""
    engine = call.engine
    call.answer(
        {
            "protocol": messages.PROTOCOL,
            "version": VERSION,
            "pid": os.getpid(),
            "mode": call.server.mode,
            "boot_state": engine.boot_state,
            "runlevel": engine.runlevel,
            "paths": messages.paths_record(call.server.paths),
            "uid": call.connection.peer.uid,
            "may_write": call.may_write,
        }
    )


def list_services(call: Call, params: dict[str, Any]) -> None:
    """A page of the services, in name order: those after a name, as many as asked for, and whether there are more."""
    most = params["most"]
    if not 0 < most <= messages.PAGE_MAX:
        raise Refusal(messages.BAD_PARAMS, f"list: most: found {most}, expected 1 to {messages.PAGE_MAX}")
    call.answer(_page(call, params["after"], most, params["keys"]))


def _page(call: Call, after: str = "", most: int = messages.PAGE_MAX, keys: Sequence[str] = ()) -> dict[str, Any]:
    """One call must not take long, however many services there are: who waits meanwhile is everybody else."""
    engine = call.engine
    names = sorted(name for name in engine.units if name > after) if after else sorted(engine.units)
    units = [engine.units[name] for name in names[:most]]
    return {"services": _brief(call, units, keys) if keys else _whole(call, units), "more": len(names) > most}


def _whole(call: Call, units: Iterable[Unit]) -> list[Any]:
    now_s, engine = call.now_s, call.engine
    return [_with_words(call, unit, records.service(engine, unit, now_s)) for unit in units]


def _brief(call: Call, units: Iterable[Unit], keys: Sequence[str]) -> list[list[Any]]:
    """Only the values of these keys, in their order. Raises Refusal for an unknown one."""
    known: dict[str, records.Value] = {**records.SERVICE, **records.PARTS, "waits_for": partial(_words, call)}
    for key in keys:
        if key not in known:
            expected = ", ".join(known)
            found = printable(repr(key), 60)
            raise Refusal(messages.BAD_PARAMS, f"list: keys: found {found}, expected some of {expected}")
    now_s, engine, values = call.now_s, call.engine, [known[key] for key in keys]
    return [[value(engine, unit, now_s) for value in values] for unit in units]


def _words(call: Call, engine: Engine, unit: Unit, now_s: float) -> list[str]:
    """What a trigger waits for, which only the part of the runtime knows that waits."""
    if unit.service.activates or unit.service.kind is Kind.SOCKET:
        return call.server.supervisor.trigger_words(unit.name)
    return []


def _with_words(call: Call, unit: Unit, record: Any) -> Any:
    words = _words(call, call.engine, unit, call.now_s)
    return {**record, "waits_for": words} if words else record


def status(call: Call, params: dict[str, Any]) -> None:
    """Everything about one service."""
    unit = call.unit(params["name"])
    supervisor = call.server.supervisor
    details = _with_words(call, unit, records.details(call.engine, unit, call.now_s))
    details["triggers"] = _told_triggers(call, details["triggers"])
    call.answer({**details, "said": supervisor.status_text(unit.name), "usage": supervisor.usage(unit)})


def why(call: Call, params: dict[str, Any]) -> None:
    """Why a service is where it is, down to the root cause."""
    unit = call.unit(params["name"])
    record = records.service(call.engine, unit, call.now_s)
    account = explain.account(call.engine, unit.name, call.now_s)
    account["triggers"] = _told_triggers(call, account["triggers"])
    call.answer({**record, **account, "wall_s": time.time()})


def _told_triggers(call: Call, triggers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "waits_for": call.server.supervisor.trigger_words(each["name"])} for each in triggers]


def faults(call: Call, params: dict[str, Any]) -> None:
    """What is wrong in the definitions that are in use, and which edges were cut because of a cycle."""
    plan = call.engine.plan
    call.answer(
        {
            "faults": [records.fault(each) for each in plan.faults],
            "cuts": [records.cut(each) for each in plan.cuts],
            "compiled_at": plan.compiled_at,
            "compiler": plan.compiler,
        }
    )


def modules(call: Call, params: dict[str, Any]) -> None:
    """Which Python modules PID 1 has loaded."""
    call.answer({"modules": sorted(sys.modules)})


def subscribe(call: Call, params: dict[str, Any]) -> None:
    """What happens from now on, and the first page of how things are; `list` has the others, each as true as what was
    told before it. Subscribing again replaces the topics."""
    for topic in params["topics"]:
        if topic not in messages.TOPICS:
            near = nearest(topic, messages.TOPICS)
            raise Refusal(
                messages.BAD_PARAMS,
                f"subscribe: topics: found {topic[:40]!r}, expected {' or '.join(messages.TOPICS)}",
                f"did you mean {near}?" if near else "",
            )
    # The engine is ahead of what is told while the effects of an event are being performed.
    call.server.supervisor.when_done(partial(_subscribe, call, frozenset(params["topics"])))


def _subscribe(call: Call, topics: frozenset[str]) -> None:
    if call.is_awaited:
        call.connection.topics = topics
    engine = call.engine
    call.answer({**_page(call), "boot_state": engine.boot_state, "runlevel": engine.runlevel})


HANDLERS: Final[dict[str, Handler]] = {
    "hello": hello,
    "list": list_services,
    "status": status,
    "start": wish_methods.start,
    "stop": wish_methods.stop,
    "restart": wish_methods.restart,
    "reload": wish_methods.reload,
    "need": wish_methods.need,
    "want": wish_methods.want,
    "reload_plan": wish_methods.reload_plan,
    "reset": wish_methods.reset,
    "run": transient.run,
    "lock": lock_methods.lock,
    "unlock": lock_methods.unlock,
    "locks": lock_methods.locks,
    "kill": wish_methods.kill,
    "deps": graph_methods.deps,
    "rdeps": graph_methods.rdeps,
    "why": why,
    "runlevel": wish_methods.runlevel,
    "faults": faults,
    "shutdown": wish_methods.shutdown,
    "subscribe": subscribe,
    "modules": modules,
    "checkpoint": state_methods.checkpoint,
    "report": report.report,
}
