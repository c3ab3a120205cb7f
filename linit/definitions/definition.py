"""What does one definition say? From the mapping of a document to a Service, and what waits for the whole graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from linit.definitions import confinement, foreign, listening, supervision, triggers
from linit.definitions.digests import digest
from linit.definitions.document import Map, shown
from linit.definitions.keys import EDGE_KEYS, KEYS, Reload
from linit.definitions.nearest import suggestion
from linit.definitions.values import NAME, VARIABLE, Reading
from linit.model.place import Fault, Place
from linit.model.service import (
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    Dependency,
    EdgeKind,
    Execution,
    Kind,
    Limits,
    Output,
    Readiness,
    Restart,
    RestartPolicy,
    Service,
    StopStep,
    StopTo,
)

BUILT_IN: Final = ("name", "instance")


@dataclass(frozen=True, slots=True)
class Definition:
    """A service as one person wrote it, and what only the whole graph can place.

    `before` holds AFTER edges that belong to the named others (`on` is the other's name); `accounts` is what must
    exist on the machine: ("user" | "group", name, place). `triggers`: the services that the keys `listen`, `schedule`
    and `watch` stand for.
    """

    service: Service
    before: tuple[Dependency, ...] = ()
    provides: tuple[tuple[str, Place], ...] = ()
    is_early: bool = False
    accounts: tuple[tuple[str, str, Place], ...] = ()
    instances: tuple[tuple[str, Place], ...] = ()
    stack: tuple[tuple[str, Place], ...] | None = None
    triggers: tuple[Service, ...] = ()
    faults: tuple[Fault, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        return self.service.name


def broken(name: str, place: Place, faults: tuple[Fault, ...], kind: Kind = Kind.PROCESS) -> Definition:
    """A definition that cannot be used, so that `list` and `why` can name it."""
    stamped = tuple(replace(fault, service=name) for fault in faults)
    texts = tuple(str(fault) for fault in stamped)
    service = Service(name, place, kind, broken="definition", broken_by=texts)
    return Definition(service, faults=stamped)


def taken_out(definition: Definition, faults: tuple[Fault, ...]) -> Definition:
    """`definition` with errors that only those beside it show; its triggers have nothing to start then."""
    old = definition.service
    made = broken(old.name, old.place, (*definition.faults, *faults), old.kind)
    texts = made.service.broken_by
    triggers = tuple(replace(each, broken="definition", broken_by=texts) for each in definition.triggers)
    return replace(definition, service=made.service, faults=made.faults, before=(), accounts=(), triggers=triggers)


def read(name: str, top: Map, early_faults: tuple[Fault, ...] = ()) -> Definition:
    """The definition in `top`. `early_faults` were found before, in the YAML itself."""
    reading = Reading(name, _built_in(name))
    reading.faults.extend(replace(fault, service=name) for fault in early_faults)
    found, kind = _read_keys(reading, top)
    _check_command(reading, top, kind)
    for part in (confinement, supervision, listening):
        part.check(reading, top, kind, found)
    if reading.faults:
        made = broken(name, top.place, tuple(reading.faults), kind)
        return replace(
            made,
            provides=found.get("provide", ()),
            instances=found.get("instances", ()),
            stack=found.get("stack"),
            triggers=tuple(triggers.broken(made.service, top)),
        )
    return _built(name, top, kind, found)


def instance_of(name: str) -> str | None:
    """`ttyS0` of `getty@ttyS0`; "" for the template itself; None for a name without an @."""
    _, at, instance = name.partition("@")
    return instance if at else None


def is_name(text: str) -> bool:
    """Can a service be called so?"""
    return bool(NAME.fullmatch(text))


def _built_in(name: str) -> dict[str, str]:
    instance = instance_of(name)
    return {"name": name} | ({} if instance is None else {"instance": instance})


def _read_keys(reading: Reading, top: Map) -> tuple[dict[str, Any], Kind]:
    found: dict[str, Any] = {}
    kind = Kind.PROCESS
    if "kind" in top.items:
        kind = reading.attempt(KEYS["kind"].reader, top.items["kind"][1], "kind") or kind
    if "vars" in top.items:
        _read_variables(reading, top)
    for written, (key_node, node) in top.items.items():
        key = KEYS.get(written)
        if key is None:
            hint = suggestion(written, KEYS) or foreign.hint(written)
            reading.error(key_node.place, "", f"unknown key {shown(key_node)}", "a key of a definition", hint)
        elif kind not in key.kinds:
            having = ", ".join(sorted(each.value for each in key.kinds))
            reading.error(key_node.place, written, f"the key in kind {kind.value}", f"it only in kind {having}")
        elif written not in ("kind", "vars", "name"):
            value = reading.attempt(key.reader, node, written)
            if value is not None:
                found[written] = value
    return found, kind


def _read_variables(reading: Reading, top: Map) -> None:
    """Each variable may use those before it, so they are read one by one."""
    node = top.items["vars"][1]
    if not isinstance(node, Map):
        reading.error(node.place, "vars", shown(node), "a mapping of names to texts")
        return
    for name, (written, value_node) in node.items.items():
        if not VARIABLE.fullmatch(name):
            reading.error(written.place, "vars", shown(written), "a name of letters, digits and '_'")
        elif name in BUILT_IN:
            reading.error(written.place, "vars", f"'{name}'", "another name", f"${{{name}}} has a meaning of its own")
        else:
            value = reading.attempt(_text, value_node, f"vars.{name}")
            reading.variables[name] = value if value is not None else ""


def _text(reading: Reading, node: Any, key: str) -> str:
    value: str = KEYS["description"].reader(reading, node, key)
    return value


def _check_command(reading: Reading, top: Map, kind: Kind) -> None:
    """Exactly one command where a command belongs."""
    written = [key for key in ("run", "script") if key in top.items]
    if kind in (Kind.TARGET, Kind.RUNLEVEL):
        return
    if not written:
        what = "forking service" if kind is Kind.FORKING else kind.value
        reading.error(top.place, "run", "nothing", f"run or script: a {what} runs something")
    elif len(written) == 2:
        second = max((top.items[key][0] for key in written), key=lambda node: node.place)
        reading.error(second.place, second.value, "both run and script", "one of them")
    if "reload" in top.items and kind is Kind.ONESHOT:
        node = top.items["reload"][1]
        if isinstance(node, Map) and "signal" in node.items:
            reading.error(node.place, "reload", "a signal", "a command: a oneshot has no process to signal")
    if "instances" in top.items and instance_of(reading.name) is None:
        place = top.items["instances"][0].place
        hint = "the name of a template ends in '@'"
        reading.error(place, "instances", "the key in a service", "it only in a template", hint)


def _built(name: str, top: Map, kind: Kind, found: Mapping[str, Any]) -> Definition:
    """The values of a definition without errors, put together."""
    reload: Reload = found.get("reload", Reload())
    is_accepting = listening.is_accepting(found)
    started_by = () if is_accepting else tuple(triggers.of(name, top, found))
    stop_timeout_s = _limit(found.get("stop_timeout", STOP_TIMEOUT_S))
    success = found.get("success", {})
    service = Service(
        name=name,
        place=top.place,
        kind=Kind.SOCKET if is_accepting else kind,
        description=found.get("description", ""),
        run=found.get("run") or found.get("script"),
        pre=found.get("pre", ()),
        post=found.get("post", ()),
        stop=found.get("stop", ()),
        reload=reload.command,
        reload_signal=reload.signal,
        reload_notifies=reload.notifies,
        dependencies=(*_dependencies(found), *triggers.needs(started_by)),
        prefer=tuple(dict.fromkeys(other for other, _ in found.get("prefer", ()))),
        readiness=found.get("ready", Readiness()),
        restart=_restart(kind, found.get("restart", {})),
        start_timeout_s=_limit(found.get("start_timeout", START_TIMEOUT_S)),
        stop_timeout_s=stop_timeout_s,
        stop_steps=_stop_steps(found.get("stop_signal", ()), stop_timeout_s),
        stop_to=found.get("stop_to", StopTo.ALL),
        success_statuses=tuple(sorted(set(success.get("statuses", (0,))))),
        success_signals=tuple(sorted(set(success.get("signals", ())))),
        stop_when_unneeded=found.get("stop_when_unneeded", False),
        idle_s=found.get("idle", 0.0),
        urgent=found.get("urgent", False),
        execution=_execution(found),
        pidfile=found.get("pidfile", ""),
        remains=kind is not Kind.ONESHOT or not any(each.starts for each in started_by),
        health=found.get("health"),
        watchdog_s=found.get("watchdog"),
        fd_store=found.get("fd_store", 0),
        listen=found.get("listen", ()),
        schedule=found.get("schedule"),
        watch=found.get("watch", ()),
        when=found.get("when", ()),
    )
    return Definition(
        service=replace(service, digest=digest(service)),
        before=tuple(Dependency(EdgeKind.AFTER, other, at) for other, at in found.get("before", ())),
        provides=found.get("provide", ()),
        is_early=found.get("early", False),
        accounts=_accounts(found),
        instances=found.get("instances", ()),
        stack=found.get("stack"),
        triggers=started_by,
    )


def _limit(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds


def _dependencies(found: Mapping[str, Any]) -> tuple[Dependency, ...]:
    return tuple(
        Dependency(EdgeKind(key), other, at) for key in EDGE_KEYS if key != "before" for other, at in found.get(key, ())
    )


def _restart(kind: Kind, written: Mapping[str, Any]) -> Restart:
    default = RestartPolicy.ON_FAILURE if kind.is_daemon else RestartPolicy.NEVER
    names = {"delay": "delay_s", "delay_max": "delay_max_s", "window": "window_s", "healthy_after": "healthy_after_s"}
    return Restart(**{"policy": default, **{names.get(key, key): value for key, value in written.items()}})


def _stop_steps(steps: tuple[StopStep, ...], stop_timeout_s: float | None) -> tuple[StopStep, ...]:
    """A step that names no wait waits for the stop timeout; without one, for ever."""
    wait_s = math.inf if stop_timeout_s is None else stop_timeout_s
    return tuple(replace(step, wait_s=wait_s) if step.wait_s == math.inf else step for step in steps)


def _execution(found: Mapping[str, Any]) -> Execution:
    groups = found.get("groups")
    output, output_to = found.get("output", (Output.LOG, ()))
    return Execution(
        user=found.get("user", ("",))[0],
        group=found.get("group", ("",))[0],
        groups=None if groups is None else tuple(group for group, _ in groups),
        directory=found.get("directory", "/"),
        umask=found.get("umask", 0o022),
        environment=found.get("environment", ()),
        tty=found.get("tty", ""),
        output=output,
        output_to=output_to,
        nice=found.get("nice", 0),
        oom_score_adj=found.get("oom_score_adj", 0),
        rlimits=tuple(sorted((name, soft, hard) for name, (soft, hard) in found.get("rlimits", ()))),
        environment_files=found.get("env_file", ()),
        ionice=found.get("ionice", ""),
        scheduler=found.get("scheduler"),
        cpu_affinity=found.get("cpu_affinity", ()),
        chroot=found.get("chroot", ""),
        no_new_privs=found.get("no_new_privs", False),
        capabilities=_names(found["capabilities"]) if "capabilities" in found else None,
        ambient=_names(found.get("ambient_capabilities", ())),
        private_tmp=found.get("private_tmp", False),
        private_network=found.get("private_network", False),
        private_devices=found.get("private_devices", False),
        read_only_paths=found.get("read_only_paths", ()),
        hidden_paths=found.get("hidden_paths", ()),
        limits=found.get("limits", Limits()),
    )


def _names(placed: tuple[tuple[str, Place], ...]) -> tuple[str, ...]:
    return tuple(sorted({name for name, _ in placed}))


def _accounts(found: Mapping[str, Any]) -> tuple[tuple[str, str, Place], ...]:
    written = [("user", found.get("user")), ("group", found.get("group"))]
    written += [("group", group) for group in found.get("groups", ())]
    own = tuple((what, pair[0], pair[1]) for what, pair in written if pair is not None)
    return (*own, *listening.accounts(found.get("listen", ())))
