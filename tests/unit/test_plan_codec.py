"""A plan arrives as it was sent, or is refused with what is wrong and what to do: DESIGN.md section 2."""

from __future__ import annotations

import binascii
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linit.model.place import Fault, Place, Severity
from linit.model.service import (
    Command,
    Condition,
    ConditionKind,
    CutEdge,
    Dependency,
    EdgeKind,
    Execution,
    Health,
    Kind,
    Listen,
    ListenKind,
    Output,
    Plan,
    Readiness,
    ReadinessKind,
    Restart,
    RestartPolicy,
    Schedule,
    Service,
    Source,
    StopStep,
    StopTo,
    WatchedPath,
    WatchKind,
)
from linit.plan import codec, supervision
from linit.plan.codec import FORMAT_VERSION, MAGIC, PlanError, decode, encode, load, stored

TEXT = st.text(max_size=8)
NUMBER = st.integers(0, 2**32)
SECONDS = st.floats(0, 1e6) | st.just(math.inf)
PLACES = st.builds(Place, TEXT, NUMBER, NUMBER)
COMMANDS = st.builds(Command, st.lists(TEXT, max_size=3).map(tuple), PLACES, st.none() | SECONDS)
EDGES = st.builds(Dependency, st.sampled_from(EdgeKind), TEXT, PLACES, st.booleans())
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
NUMBERS = st.lists(NUMBER, max_size=3).map(tuple)
SERVICES = st.builds(
    Service,
    name=TEXT,
    place=PLACES,
    kind=st.sampled_from(Kind),
    description=TEXT,
    run=st.none() | COMMANDS,
    pre=st.lists(COMMANDS, max_size=2).map(tuple),
    post=st.lists(COMMANDS, max_size=2).map(tuple),
    stop=st.lists(COMMANDS, max_size=2).map(tuple),
    reload=st.none() | COMMANDS,
    reload_signal=NUMBER,
    dependencies=st.lists(EDGES, max_size=4).map(tuple),
    prefer=TEXTS,
    pidfile=TEXT,
    remains=st.booleans(),
    reload_notifies=st.booleans(),
    health=st.none() | st.builds(Health, COMMANDS, SECONDS, SECONDS, NUMBER, SECONDS),
    watchdog_s=st.none() | SECONDS,
    fd_store=NUMBER,
    listen=st.lists(
        st.builds(
            Listen, st.sampled_from(ListenKind), TEXT, PLACES, TEXT, TEXT, TEXT, NUMBER, NUMBER, st.booleans(),
            st.booleans(), NUMBER,
        ),
        max_size=2,
    ).map(tuple),
    schedule=st.none()
    | st.builds(Schedule, PLACES, st.none() | SECONDS, st.none() | SECONDS, TEXTS, st.booleans()),
    watch=st.lists(st.builds(WatchedPath, TEXT, st.sampled_from(WatchKind), PLACES), max_size=2).map(tuple),
    activates=TEXT,
    when=st.lists(
        st.builds(Condition, st.sampled_from(ConditionKind), TEXT, PLACES, st.booleans(), st.none() | COMMANDS),
        max_size=2,
    ).map(tuple),
    readiness=st.builds(Readiness, st.sampled_from(ReadinessKind), TEXT, st.none() | COMMANDS, SECONDS),
    restart=st.builds(Restart, st.sampled_from(RestartPolicy), SECONDS, SECONDS, SECONDS, NUMBER, SECONDS, SECONDS),
    start_timeout_s=st.none() | SECONDS,
    stop_timeout_s=st.none() | SECONDS,
    stop_steps=st.lists(st.builds(StopStep, NUMBER, SECONDS), max_size=2).map(tuple),
    stop_to=st.sampled_from(StopTo),
    success_statuses=NUMBERS,
    success_signals=NUMBERS,
    stop_when_unneeded=st.booleans(),
    urgent=st.booleans(),
    execution=st.builds(
        Execution, TEXT, TEXT, st.none() | TEXTS, TEXT, NUMBER, st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
        TEXT, st.sampled_from(Output), st.integers(-20, 19), st.integers(-1000, 1000),
        st.lists(st.tuples(TEXT, st.integers(-1, 2**62), st.integers(-1, 2**62)), max_size=2).map(tuple),
    ),
    runlevels=TEXTS,
    broken=TEXT,
    broken_by=TEXTS,
    digest=TEXT,
)  # fmt: skip
PLANS = st.builds(
    Plan,
    st.lists(SERVICES, max_size=3).map(tuple),
    st.lists(st.builds(Fault, st.sampled_from(Severity), PLACES, TEXT, TEXT, TEXT, TEXT, TEXT), max_size=3).map(tuple),
    st.lists(st.builds(CutEdge, TEXT, EDGES, TEXTS), max_size=3).map(tuple),
    st.lists(st.builds(Source, TEXT, st.integers(-1, 2**40), NUMBER, TEXT), max_size=3).map(tuple),
    SECONDS,
    TEXT,
)
PLAN = Plan((Service("a", Place("a.yaml", 1, 1)),), compiler="1")
ADVICE = "run 'linitctl compile'"


@given(PLANS)
@settings(max_examples=100, deadline=None)
def test_any_plan_arrives_as_it_was_sent(plan: Plan) -> None:
    assert decode(encode(plan)) == plan


def test_every_field_of_a_service_travels() -> None:
    """A field that is added to the model and forgotten here would silently have its default in PID 1."""
    row = msgpack.unpackb(msgpack.unpackb(encode(PLAN))[4])[1][0]
    rarer = set(supervision.FIELDS)
    assert len(row) - 1 == len(set(Service.__match_args__) - {"transient"} - rarer)  # of what was made at run time only
    for each in (Health, Listen, Schedule, WatchedPath, Condition):
        assert each in supervision.CLASSES


def test_what_most_services_do_not_have_costs_them_nothing() -> None:
    row = msgpack.unpackb(msgpack.unpackb(encode(PLAN))[4])[1][0]
    assert row[-1] is None


def test_a_file_name_that_is_not_utf_8_travels() -> None:
    plan = Plan((Service("a", Place("/etc/\udcff.yaml")),), sources=(Source("/etc/\udcff.yaml", 1, 2, ""),))
    assert decode(encode(plan)) == plan


@given(st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_a_truncated_plan_is_refused(length: int) -> None:
    data = encode(PLAN)
    with pytest.raises(PlanError, match=ADVICE):
        decode(data[: length % len(data)])


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_plan_with_a_changed_byte_is_refused(position: int, change: int) -> None:
    data = bytearray(encode(PLAN))
    data[position % len(data)] ^= change
    with pytest.raises(PlanError, match=ADVICE):
        decode(bytes(data))


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(PlanError, match=ADVICE):
        decode(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the plan is empty"),
        (encode(PLAN)[:-1], "the plan is truncated"),
        (encode(PLAN)[:-1] + b"\0", "the plan is corrupt (its checksum is wrong)"),
        (encode(PLAN) + b"\0", "the plan is corrupt (something follows its end)"),
        (b"\xc1", "the plan is corrupt (not MessagePack)"),
        (b"kind: x", "the plan is corrupt (something follows its end)"),
        (msgpack.packb(["other", 1, 2, b""]), "this is not a plan of linit"),
        (msgpack.packb(7), "this is not a plan of linit"),
        (
            msgpack.packb([MAGIC, FORMAT_VERSION + 1, 0, b""]),
            f"the plan has format version {FORMAT_VERSION + 1}, this linit reads {FORMAT_VERSION}",
        ),
    ],
)
def test_a_refusal_names_what_is_wrong_and_what_to_do(data: bytes, told: str) -> None:
    with pytest.raises(PlanError) as refused:
        decode(data)
    assert str(refused.value) == f"{told}: {ADVICE}"


def test_a_body_of_another_shape_is_refused_although_its_checksum_is_right() -> None:
    head, body = parts(PLAN)
    for wrong in ((head, msgpack.packb([[], [["a"]], [], []])), (msgpack.packb([codec.LAYOUT, []]), body)):
        with pytest.raises(PlanError, match="the plan was made by another linit"):
            decode(framed(*wrong))


def test_a_plan_of_a_linit_with_other_fields_is_refused_by_its_head_alone() -> None:
    """The compiler looks at no more than the head; what PID 1 could not decode must not be up to date for ever."""
    head, body = parts(PLAN)
    rows = msgpack.unpackb(head)
    rows[0] += 1
    with pytest.raises(PlanError) as refused:
        stored(framed(msgpack.packb(rows), body))
    assert str(refused.value) == f"the plan was made by another linit ('its fields'): {ADVICE}"


def test_the_head_tells_what_a_plan_holds_and_is_of() -> None:
    faults = tuple(Fault(severity, Place("a.yaml"), "", "x") for severity in (Severity.ERROR, Severity.NOTE) * 2)
    sources = (Source("/a.yaml", 1, 2, "f"), Source("/b.yaml", 3, 4, "e"))
    services = (Service("a", Place("a.yaml")), Service("v", Place("a.yaml"), Kind.VIRTUAL))
    read = stored(encode(Plan(services, faults, (), sources, 1.5, "1")))
    assert (read.compiled_at, read.compiler, read.summary.services) == (1.5, "1", 1)
    assert read.summary.faults == {Severity.ERROR: 2, Severity.WARNING: 0, Severity.NOTE: 2}
    assert read.sources == (("/a.yaml", "/b.yaml"), (1, 3), (2, 4), ("f", "e"))
    assert read.plan(with_sources=False) == Plan(services, faults, (), (), 1.5, "1")


def test_times_that_moved_are_replaced_and_the_rest_stays() -> None:
    plan = replace(PLAN, sources=(Source("/a.yaml", 1, 2, "f"), Source("/b.yaml", 3, 4, "e")))
    moved = Source("/b.yaml", 5, 6, "e")
    assert decode(stored(encode(plan)).moved([moved])) == replace(plan, sources=(plan.sources[0], moved))


def parts(plan: Plan) -> tuple[bytes, bytes]:
    """Head and body as they travel."""
    _, _, _, head, body = msgpack.unpackb(encode(plan))
    return head, body


def framed(head: bytes, body: bytes) -> bytes:
    """With the right checksum."""
    checksum = binascii.crc32(head + body)
    data: bytes = msgpack.packb([MAGIC, FORMAT_VERSION, checksum, head, body])
    return data


def test_a_plan_is_loaded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.msgpack"
    path.write_bytes(encode(PLAN))
    assert load(str(path)) == PLAN


def test_a_plan_that_is_not_there_or_no_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as refused:
        load(f"{tmp_path}/none")
    assert str(refused.value) == f"there is no plan {tmp_path}/none: {ADVICE}"
    with pytest.raises(PlanError) as refused:
        load(str(tmp_path))
    assert str(refused.value) == f"the plan {tmp_path} cannot be read (EISDIR): {ADVICE}"
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(PlanError) as refused:
        load(f"{tmp_path}/x")
    assert str(refused.value) == f"{tmp_path}/x: the plan is empty: {ADVICE}"


def test_reading_a_plan_loads_nothing_that_pid_1_must_not_have() -> None:
    """Decoding is on the way of every boot, checking freshness too."""
    code = (
        "import sys; from linit.plan import codec, freshness; freshness.stale(()); "
        "print(*sorted({'yaml', 'networkx', 'psutil', 'hashlib', 'pathlib', 'subprocess', 'threading', 'logging',"
        " 'linit.definitions', 'linit.graph'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == "\n"
