"""How does a plan travel to PID 1?

One MessagePack array: magic, format version, CRC-32 of head and body, head, body. The head says what a plan is of and
from, so that an unchanged tree costs no decoding of its body. Both hold arrays by position, since names of fields would
be decoded ten thousand times over; the sources are in columns, file names in a table. Decoding is on the way of every
boot: it imports nothing but msgpack, and looks nothing up by reflection. A plan that is not exactly right is refused
with a PlanError; the compiler then makes a new one.
"""

from __future__ import annotations

import binascii
import errno
import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from linit import messagepack
from linit.model.place import Fault, Place, Severity
from linit.model.service import (
    Command,
    CutEdge,
    Dependency,
    EdgeKind,
    Execution,
    Kind,
    Limits,
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
from linit.plan import supervision

MAGIC: Final = "linit-plan"
FORMAT_VERSION: Final = 4
ADVICE: Final = "run 'linitctl compile'"

BYTES_OF_NAMES: Final = "surrogateescape"  # a file name need not be UTF-8
PARTS: Final = 5  # of the outer array
T = TypeVar("T")

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
_NO_LIMITS: Final = Limits()
_OUTPUT: Final = Execution.__match_args__.index("output")
_LIMITS: Final = Execution.__match_args__.index("limits")


_IN_SERVICES: Final = (Service, Command, Dependency, Readiness, Restart, StopStep, Execution, Limits)

# What a row holds follows from the fields of these. A linit with other fields would read such a plan wrongly, and one
# that only looked at the head would call it up to date for ever: so the head has this number, too.
LAYOUT: Final = binascii.crc32(
    " ".join(
        name for each in (*_IN_SERVICES, *supervision.CLASSES, Fault, CutEdge, Source) for name in each.__match_args__
    ).encode()
)


class PlanError(Exception):
    """A plan that cannot be used: what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a plan holds: how many services but for virtual names, and how many faults of each severity."""

    services: int
    faults: Mapping[Severity, int]


@dataclass(frozen=True, slots=True)
class Stored:
    """A plan as it lies on disk. Its head is read and its bytes are known to be intact; its body is decoded by `plan`.

    `sources` are in columns: paths, sizes, times, hashes, as `linit.plan.freshness.examine_rows` takes them zipped.
    """

    sources: tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], tuple[str, ...]]
    compiled_at: float
    compiler: str
    summary: Summary
    body: bytes

    def plan(self, with_sources: bool = True) -> Plan:
        """The whole plan. Whoever has seen that it is fresh can do without its sources. Raises PlanError."""
        was_collecting = gc.isenabled()
        gc.disable()  # all that is made here stays: looking for garbage doubles the time
        try:
            services, faults, cuts = _Decoder().body(_unpacked(self.body))
            sources = tuple(map(Source, *self.sources)) if with_sources else ()
        except (TypeError, ValueError, LookupError) as error:
            # A body with the right checksum and a wrong shape was written by another linit.
            raise _foreign(error) from None
        finally:
            if was_collecting:
                gc.enable()
        return Plan(services, faults, cuts, sources, self.compiled_at, self.compiler)

    def moved(self, sources: Iterable[Source]) -> bytes:
        """The bytes of the same plan with other sizes and times of these sources."""
        known = dict(zip(self.sources[0], zip(*self.sources, strict=True), strict=True))
        known.update((each.path, (each.path, each.size, each.mtime_ns, each.sha256)) for each in sources)
        columns = tuple(zip(*known.values(), strict=True))
        return _framed(_head(columns, self.compiled_at, self.compiler, self.summary), self.body)


def summary_of(plan: Plan) -> Summary:
    """What `plan` holds."""
    written = (each for each in plan.services if each.kind is not Kind.VIRTUAL and not each.activates)
    services = sum(1 for _ in written)
    return Summary(services, {each: sum(fault.severity is each for fault in plan.faults) for each in Severity})


def encode(plan: Plan) -> bytes:
    """The plan as bytes. The same plan gives the same bytes."""
    rows = plan.sources
    columns = ([each.path for each in rows], [each.size for each in rows], [each.mtime_ns for each in rows],
               [each.sha256 for each in rows])  # fmt: skip
    return _framed(_head(columns, plan.compiled_at, plan.compiler, summary_of(plan)), _packed(_Encoder().body(plan)))


def _head(columns: Any, compiled_at: float, compiler: str, summary: Summary) -> bytes:
    faults = [summary.faults[each] for each in Severity]
    return _packed([LAYOUT, columns, compiled_at, compiler, summary.services, faults])


def _framed(head: bytes, body: bytes) -> bytes:
    return _packed([MAGIC, FORMAT_VERSION, _checksum(head, body), head, body])


def _packed(value: Any) -> bytes:
    packed: bytes = messagepack.packb(value, unicode_errors=BYTES_OF_NAMES)
    return packed


def _unpacked(data: bytes) -> Any:
    return messagepack.unpackb(data, use_list=False, unicode_errors=BYTES_OF_NAMES)


def _foreign(why: object) -> PlanError:
    return PlanError(f"the plan was made by another linit ({why!r}): {ADVICE}")


def decode(data: bytes) -> Plan:
    """The plan in `data`. Raises PlanError for anything but an intact plan of this format version."""
    return stored(data).plan()


def load(path: str) -> Plan:
    """The plan in the file `path`. Raises PlanError, also when there is no such file or it cannot be read."""
    return _of_file(path, decode)


def load_stored(path: str) -> Stored:
    """The same, with only its head decoded."""
    return _of_file(path, stored)


def _of_file(path: str, read: Callable[[bytes], T]) -> T:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise PlanError(f"there is no plan {path}: {ADVICE}") from None
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "an error")
        raise PlanError(f"the plan {path} cannot be read ({name}): {ADVICE}") from None
    try:
        return read(data)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None


def stored(data: bytes) -> Stored:
    """What `data` says of the plan in it. Raises PlanError for anything but an intact plan of this format version."""
    packed, body = _unframed(data)
    try:
        layout, sources, compiled_at, compiler, services, faults = _unpacked(packed)
        if layout != LAYOUT or len(sources) != 4:
            raise _foreign("its fields")
        summary = Summary(services, dict(zip(Severity, faults, strict=True)))
    except (TypeError, ValueError) as error:
        raise _foreign(error) from None
    return Stored(sources, compiled_at, compiler, summary, body)


def _unframed(data: bytes) -> tuple[bytes, bytes]:
    """Head and body. Raises PlanError."""
    if not data:
        raise PlanError(f"the plan is empty: {ADVICE}")
    try:
        header = messagepack.unpackb(data, use_list=False, max_array_len=PARTS)
    except messagepack.ExtraData:
        raise PlanError(f"the plan is corrupt (something follows its end): {ADVICE}") from None
    except (ValueError, messagepack.UnpackException) as error:
        what = "truncated" if "incomplete" in str(error) else "corrupt (not MessagePack)"
        raise PlanError(f"the plan is {what}: {ADVICE}") from None
    if not isinstance(header, tuple) or len(header) < 2 or header[0] != MAGIC:
        raise PlanError(f"this is not a plan of linit: {ADVICE}")
    if header[1] != FORMAT_VERSION:
        raise PlanError(f"the plan has format version {header[1]!r}, this linit reads {FORMAT_VERSION}: {ADVICE}")
    checksum, *parts = header[2:] or (None,)
    if len(parts) != 2 or not all(isinstance(each, bytes) for each in parts) or _checksum(*parts) != checksum:
        raise PlanError(f"the plan is corrupt (its checksum is wrong): {ADVICE}")
    head, body = parts
    return head, body


def _checksum(head: bytes, body: bytes) -> int:
    return binascii.crc32(body, binascii.crc32(head))


class _Encoder:
    """Values to arrays. `files` numbers the file names of places."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}

    def body(self, plan: Plan) -> list[Any]:
        services = [self.service(each) for each in plan.services]
        faults = [self.fault(each) for each in plan.faults]
        cuts = [[each.owner, self.dependency(each.dependency), each.cycle] for each in plan.cuts]
        return [list(self.files), services, faults, cuts]

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
            supervision.encoded(service, self.place, self.command),
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
        execution.rlimits, execution.environment_files, execution.ionice, execution.scheduler, execution.cpu_affinity,
        execution.chroot, execution.no_new_privs, execution.capabilities, execution.ambient, execution.private_tmp,
        execution.private_network, execution.private_devices, execution.read_only_paths, execution.hidden_paths,
        _limits(execution.limits), execution.output_to,
    ]  # fmt: skip


def _limits(limits: Limits) -> list[Any] | None:
    if limits == _NO_LIMITS:
        return None
    return [
        limits.memory_max_bytes, limits.memory_high_bytes, limits.cpu_weight, limits.cpu_max_us, limits.pids_max,
        limits.io_weight,
    ]  # fmt: skip


class _Decoder:
    """Arrays to values, in the order in which `_Encoder` wrote them. Tuples come from msgpack as they are."""

    def __init__(self) -> None:
        self.files: tuple[str, ...] = ()

    def body(self, body: Any) -> tuple[tuple[Service, ...], tuple[Fault, ...], tuple[CutEdge, ...]]:
        """Services, faults and cuts. Raises TypeError, ValueError or LookupError for a body of another shape."""
        self.files, services, faults, cuts = body
        return (
            tuple([self.service(row) for row in services]),
            tuple([self.fault(row) for row in faults]),
            tuple([CutEdge(owner, self.dependency(edge), cycle) for owner, edge, cycle in cuts]),
        )

    def place(self, row: Any) -> Place:
        file, line, column = row
        return Place(self.files[file], line, column)

    def service(self, row: Any) -> Service:
        (
            name, place, kind, description, run, pre, post, stop, reload, reload_signal, dependencies, prefer,
            readiness, restart, start_timeout_s, stop_timeout_s, stop_steps, stop_to, success_statuses, success_signals,
            stop_when_unneeded, execution, runlevels, broken, broken_by, idle_s, digest, rarer,
        ) = row  # fmt: skip
        more = supervision.decoded(rarer, self.place, self.command) if rarer else {}
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
            **more,
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
    values = list(row)
    values[_OUTPUT] = _OUTPUTS[values[_OUTPUT]]
    values[_LIMITS] = Limits(*values[_LIMITS]) if values[_LIMITS] else _NO_LIMITS
    return Execution(*values)
