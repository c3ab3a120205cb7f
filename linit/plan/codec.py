"""How does a plan travel to PID 1?

One MessagePack array: magic, format version, CRC-32 of the body, body. The body holds arrays by position, since names
of fields would be decoded ten thousand times over; file names are in a table. Decoding is on the way of every boot: it
imports nothing but msgpack, and looks nothing up by reflection. A plan that is not exactly right is refused with a
PlanError; the compiler then makes a new one.
"""

from __future__ import annotations

import binascii
import errno
import gc
from typing import Any, Final

import msgpack

from linit.model.place import Fault, Place, Severity
from linit.model.service import (
    Command,
    CutEdge,
    Dependency,
    EdgeKind,
    Execution,
    Kind,
    Output,
    Plan,
    Readiness,
    ReadinessKind,
    Restart,
    RestartPolicy,
    Service,
    Source,
    StopStep,
    StopTo,
)

MAGIC: Final = "linit-plan"
FORMAT_VERSION: Final = 1
ADVICE: Final = "run 'linitctl compile'"

BYTES_OF_NAMES: Final = "surrogateescape"  # a file name need not be UTF-8

_KINDS: Final = {each.value: each for each in Kind}
_EDGES: Final = {each.value: each for each in EdgeKind}
_READINESS: Final = {each.value: each for each in ReadinessKind}
_POLICIES: Final = {each.value: each for each in RestartPolicy}
_STOP_TO: Final = {each.value: each for each in StopTo}
_OUTPUTS: Final = {each.value: each for each in Output}
_SEVERITIES: Final = {each.value: each for each in Severity}

_NO_READINESS: Final = Readiness()
_NO_RESTART: Final = Restart()
_PLAIN_EXECUTION: Final = Execution()


class PlanError(Exception):
    """A plan that cannot be used: what is wrong with it, and what to do."""


def encode(plan: Plan) -> bytes:
    """The plan as bytes. The same plan gives the same bytes."""
    body = _Encoder().plan(plan)
    packed = msgpack.packb(body, unicode_errors=BYTES_OF_NAMES)
    whole: bytes = msgpack.packb([MAGIC, FORMAT_VERSION, binascii.crc32(packed), packed])
    return whole


def decode(data: bytes) -> Plan:
    """The plan in `data`. Raises PlanError for anything but an intact plan of this format version."""
    was_collecting = gc.isenabled()
    gc.disable()  # all that is made here stays: looking for garbage doubles the time
    try:
        return _Decoder().plan(_body(data))
    finally:
        if was_collecting:
            gc.enable()


def load(path: str) -> Plan:
    """The plan in the file `path`. Raises PlanError, also when there is no such file or it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise PlanError(f"there is no plan {path}: {ADVICE}") from None
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "an error")
        raise PlanError(f"the plan {path} cannot be read ({name}): {ADVICE}") from None
    try:
        return decode(data)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None


def _body(data: bytes) -> Any:
    """What the header guards. Raises PlanError."""
    if not data:
        raise PlanError(f"the plan is empty: {ADVICE}")
    try:
        header = msgpack.unpackb(data, use_list=False, max_array_len=4)
    except msgpack.ExtraData:
        raise PlanError(f"the plan is corrupt (something follows its end): {ADVICE}") from None
    except (ValueError, msgpack.UnpackException) as error:
        what = "truncated" if "incomplete" in str(error) else "corrupt (not MessagePack)"
        raise PlanError(f"the plan is {what}: {ADVICE}") from None
    if not isinstance(header, tuple) or len(header) != 4 or header[0] != MAGIC:
        raise PlanError(f"this is not a plan of linit: {ADVICE}")
    _, version, checksum, packed = header
    if version != FORMAT_VERSION:
        raise PlanError(f"the plan has format version {version!r}, this linit reads {FORMAT_VERSION}: {ADVICE}")
    if not isinstance(packed, bytes) or binascii.crc32(packed) != checksum:
        raise PlanError(f"the plan is corrupt (its checksum is wrong): {ADVICE}")
    return msgpack.unpackb(packed, use_list=False, unicode_errors=BYTES_OF_NAMES)


class _Encoder:
    """Values to arrays. `files` numbers the file names of places."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}

    def plan(self, plan: Plan) -> list[Any]:
        services = [self.service(each) for each in plan.services]
        faults = [self.fault(each) for each in plan.faults]
        cuts = [[each.owner, self.dependency(each.dependency), each.cycle] for each in plan.cuts]
        sources = [[each.path, each.size, each.mtime_ns, each.sha256] for each in plan.sources]
        return [list(self.files), services, faults, cuts, sources, plan.compiled_at, plan.compiler]

    def place(self, place: Place) -> list[int]:
        return [self.files.setdefault(place.file, len(self.files)), place.line, place.column]

    def service(self, service: Service) -> list[Any]:
        return [
            service.name,
            self.place(service.place),
            service.kind.value,
            service.description,
            self.command(service.run),
            [self.command(each) for each in service.pre],
            [self.command(each) for each in service.post],
            [self.command(each) for each in service.stop],
            self.command(service.reload),
            service.reload_signal,
            [self.dependency(each) for each in service.dependencies],
            service.prefer,
            self.readiness(service.readiness),
            _restart(service.restart),
            service.start_timeout_s,
            service.stop_timeout_s,
            [[step.signal, step.wait_s] for step in service.stop_steps],
            service.stop_to.value,
            service.success_statuses,
            service.success_signals,
            service.stop_when_unneeded,
            _execution(service.execution),
            service.runlevels,
            service.broken,
            service.broken_by,
            service.idle_s,
            service.digest,
        ]

    def command(self, command: Command | None) -> list[Any] | None:
        return None if command is None else [command.argv, self.place(command.place), command.timeout_s]

    def dependency(self, edge: Dependency) -> list[Any]:
        return [edge.kind.value, edge.on, self.place(edge.place), edge.implied]

    def readiness(self, readiness: Readiness) -> list[Any] | None:
        if readiness == _NO_READINESS:
            return None
        return [readiness.kind.value, readiness.value, self.command(readiness.probe), readiness.interval_s]

    def fault(self, fault: Fault) -> list[Any]:
        return [
            fault.severity.value, self.place(fault.place), fault.key, fault.found, fault.expected, fault.hint,
            fault.service,
        ]  # fmt: skip


def _restart(restart: Restart) -> list[Any] | None:
    if restart == _NO_RESTART:
        return None
    return [
        restart.policy.value, restart.delay_s, restart.factor, restart.delay_max_s, restart.limit, restart.window_s,
        restart.healthy_after_s,
    ]  # fmt: skip


def _execution(execution: Execution) -> list[Any] | None:
    if execution == _PLAIN_EXECUTION:
        return None
    return [
        execution.user, execution.group, execution.groups, execution.directory, execution.umask,
        execution.environment, execution.tty, execution.output.value, execution.nice, execution.oom_score_adj,
        execution.rlimits,
    ]  # fmt: skip


class _Decoder:
    """Arrays to values, in the order in which `_Encoder` wrote them. Tuples come from msgpack as they are."""

    def __init__(self) -> None:
        self.files: tuple[str, ...] = ()

    def plan(self, body: Any) -> Plan:
        """Raises PlanError: a body with the right checksum and a wrong shape was written by another linit."""
        try:
            self.files, services, faults, cuts, sources, compiled_at, compiler = body
            return Plan(
                tuple([self.service(row) for row in services]),
                tuple([self.fault(row) for row in faults]),
                tuple([CutEdge(owner, self.dependency(edge), cycle) for owner, edge, cycle in cuts]),
                tuple([Source(*row) for row in sources]),
                compiled_at,
                compiler,
            )
        except (TypeError, ValueError, LookupError) as error:
            raise PlanError(f"the plan was made by another linit ({error!r}): {ADVICE}") from None

    def place(self, row: Any) -> Place:
        file, line, column = row
        return Place(self.files[file], line, column)

    def service(self, row: Any) -> Service:
        (
            name, place, kind, description, run, pre, post, stop, reload, reload_signal, dependencies, prefer,
            readiness, restart, start_timeout_s, stop_timeout_s, stop_steps, stop_to, success_statuses, success_signals,
            stop_when_unneeded, execution, runlevels, broken, broken_by, idle_s, digest,
        ) = row  # fmt: skip
        return Service(
            name,
            self.place(place),
            _KINDS[kind],
            description,
            run and self.command(run),
            pre and tuple([self.command(each) for each in pre]),
            post and tuple([self.command(each) for each in post]),
            stop and tuple([self.command(each) for each in stop]),
            reload and self.command(reload),
            reload_signal,
            tuple([self.dependency(each) for each in dependencies]),
            prefer,
            self.readiness(readiness) if readiness else _NO_READINESS,
            _decoded_restart(restart) if restart else _NO_RESTART,
            start_timeout_s,
            stop_timeout_s,
            tuple([StopStep(number, wait_s) for number, wait_s in stop_steps]),
            _STOP_TO[stop_to],
            success_statuses,
            success_signals,
            stop_when_unneeded,
            _decoded_execution(execution) if execution else _PLAIN_EXECUTION,
            runlevels,
            broken,
            broken_by,
            idle_s,
            digest,
        )

    def command(self, row: Any) -> Command:
        argv, place, timeout_s = row
        return Command(argv, self.place(place), timeout_s)

    def dependency(self, row: Any) -> Dependency:
        kind, on, place, implied = row
        return Dependency(_EDGES[kind], on, self.place(place), implied)

    def readiness(self, row: Any) -> Readiness:
        kind, value, probe, interval_s = row
        return Readiness(_READINESS[kind], value, probe and self.command(probe), interval_s)

    def fault(self, row: Any) -> Fault:
        severity, place, key, found, expected, hint, service = row
        return Fault(_SEVERITIES[severity], self.place(place), key, found, expected, hint, service)


def _decoded_restart(row: Any) -> Restart:
    policy, delay_s, factor, delay_max_s, limit, window_s, healthy_after_s = row
    return Restart(_POLICIES[policy], delay_s, factor, delay_max_s, limit, window_s, healthy_after_s)


def _decoded_execution(row: Any) -> Execution:
    (user, group, groups, directory, umask, environment, tty, output, nice, oom_score_adj, rlimits) = row
    return Execution(
        user, group, groups, directory, umask, environment, tty, _OUTPUTS[output], nice, oom_score_adj, rlimits
    )
