"""What can be asked? The methods that only read, and the table of all of them: name -> handler."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from linit import VERSION
from linit.control import graph_methods, messages, records, report, wish_methods
from linit.control.calls import Call, Handler, Refusal
from linit.control.nearest import nearest
from linit.engine import explain


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
    """Every service, in name order."""
    call.answer({"services": _services(call)})


def _services(call: Call) -> list[messages.ServiceRecord]:
    now_s = call.now_s
    return [records.service(call.engine, unit, now_s) for _, unit in sorted(call.engine.units.items())]


def status(call: Call, params: dict[str, Any]) -> None:
    """Everything about one service."""
    unit = call.unit(params["name"])
    said = call.server.supervisor.status_text(unit.name)
    call.answer({**records.details(call.engine, unit, call.now_s), "said": said})


def why(call: Call, params: dict[str, Any]) -> None:
    """Why a service is where it is, down to the root cause."""
    unit = call.unit(params["name"])
    chain = explain.chain(call.engine, unit.name)
    idle_s = call.now_s - call.engine.now_s  # the engine's time is that of the last event
    for link in chain:
        if "since_s" in link:
            link["since_s"] += idle_s
        if link.get("until_s") is not None:
            link["until_s"] = max(0.0, link["until_s"] - idle_s)
    record = records.service(call.engine, unit, call.now_s)
    call.answer({**record, "chain": chain, "faults": list(unit.service.broken_by)})


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
    """A snapshot, and from then on what happens. Subscribing again replaces the topics."""
    for topic in params["topics"]:
        if topic not in messages.TOPICS:
            near = nearest(topic, messages.TOPICS)
            raise Refusal(
                messages.BAD_PARAMS,
                f"subscribe: topics: found {topic[:40]!r}, expected {' or '.join(messages.TOPICS)}",
                f"did you mean {near}?" if near else "",
            )
    call.connection.topics = frozenset(params["topics"])
    engine = call.engine
    call.answer({"services": _services(call), "boot_state": engine.boot_state, "runlevel": engine.runlevel})


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
    "kill": wish_methods.kill,
    "deps": graph_methods.deps,
    "rdeps": graph_methods.rdeps,
    "why": why,
    "runlevel": wish_methods.runlevel,
    "faults": faults,
    "shutdown": wish_methods.shutdown,
    "subscribe": subscribe,
    "modules": modules,
    "report": report.report,
}
