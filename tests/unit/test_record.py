"""What was recorded is what is read: linit/record/README.md."""

from __future__ import annotations

import datetime
import time
import types
import typing
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linit import VERSION
from linit.engine import events
from linit.engine.effects import Effect
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.engine.simulator import Simulator
from linit.model.place import Place
from linit.model.service import Command, Plan, Service
from linit.plan import codec as plan_codec
from linit.record import codec, reading, ring
from linit.record.recorder import Recorder
from linit.record.recording import Entry, Recording, RecordingError, Start, load, save
from linit.record.ring import Ring
from linit.replay import moment
from linit.replay.stepper import Stepper, why
from tests.simulation import test_campaign
from tests.unit.recorded import PLAN, READY, deliver, paths_in, recorded, some


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Anything that an annotation of an event allows."""
    if hint is Plan:
        return st.just(PLAN)
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(cast("Any", hint), **{name: values(hints[name]) for name in hint.__dataclass_fields__})
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([values(each) for each in of])
    if origin is tuple:
        return st.lists(values(of[0]), max_size=3).map(tuple) if of[-1] is ... else st.tuples(*map(values, of))
    known: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False),
        str: st.text() | st.just("/etc/\udcff.yaml"),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return known[hint] if hint in known else st.sampled_from(hint)


@pytest.mark.parametrize("cls", typing.get_args(events.Event))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_event_is_read_as_it_was_written(cls: Any, data: st.DataObject) -> None:
    """DESIGN.md section 4: the same events give the same effects."""
    event = data.draw(values(cls))
    at_s = data.draw(st.floats(0, 1e9))
    row = msgpack.unpackb(codec.pack_event(event, at_s), unicode_errors=codec.BYTES_OF_NAMES)
    assert row[1] == at_s
    assert reading.event_of(row, PLAN) == event


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (["Vanished", 0.0, "a"], "'Vanished' is no event of this linit"),
        (["Ready", 0.0, 7], "Ready.name: found 7, expected str"),
        (["Ready", 0.0, "a", "b"], "Ready: found ['a', 'b'], expected name"),
        (["TimerFired", 0.0, "a", "tea"], "TimerFired.kind: 'tea' is no TimerKind"),
        (["PlanLoaded", 0.0, 1, None], "PlanLoaded.plan: its plan is missing"),
    ],
)
def test_a_row_that_is_no_event_is_named(row: list[Any], fault: str) -> None:
    with pytest.raises(reading.CodecError) as found:
        reading.event_of(row, None)
    assert str(found.value) == fault


def test_a_recording_has_its_events_and_its_plan(tmp_path: Path) -> None:
    found = load(recorded(tmp_path, some(3)))
    assert [(entry.event, entry.at_s) for entry in found.entries] == list(some(3))
    assert (found.plan, found.fault) == (PLAN, "")


def test_a_recording_of_another_linit_is_told_without_advice_that_would_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update of linit; `linitctl compile` makes another plan, not that of the boot that was."""
    path = recorded(tmp_path, some(3))
    monkeypatch.setattr(plan_codec, "LAYOUT", "another")
    with pytest.raises(RecordingError) as found:
        load(path)
    words = f"{path}: made by linit {VERSION}: the plan was made by another linit ('its fields')"
    assert str(found.value) == words


def test_a_plan_that_was_loaded_later_is_read_with_its_event(tmp_path: Path) -> None:
    """A reload: each plan is stored once."""
    other = Plan((Service("b", Place("b.yaml", 1, 1)),))
    loads = [(events.PlanLoaded(number, plan, "root"), 1.0) for number, plan in enumerate((other, PLAN, other))]
    found = load(recorded(tmp_path, iter(loads)))
    assert [entry.event for entry in found.entries] == [event for event, _ in loads]
    assert len(list((tmp_path / "record").glob("*.plan"))) == 2


@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_a_replay_of_any_run_has_the_same_transitions_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Random graphs, faults and wishes, as the simulation's campaign makes them."""
    noted: list[tuple[events.Event, float]] = []
    handle = Simulator.tell

    class Noting(Simulator):
        def tell(self, event: events.Event) -> None:
            noted.append((event, self.now_s))
            handle(self, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_campaign, "Simulator", Noting)
        world = test_campaign.campaign(seed)
    found = load(recorded(tmp_path_factory.mktemp("run"), iter(noted), world.plan))
    stepper = Stepper(found)
    replayed: list[Effect] = []
    while (step := stepper.forward()) is not None:
        assert step.bug == ""
        replayed += step.effects
    assert replayed == [effect for _, effect in world.trace]


def test_one_step_back_is_the_state_before_it(tmp_path: Path) -> None:
    world = Simulator(Plan((Service("a", Place("a"), run=Command(("/bin/a",), Place("a"))),)))
    noted: list[tuple[events.Event, float]] = []
    world.on_event = lambda world, event: noted.append((event, world.now_s))
    world.request(Verb.START, "a")
    world.run()
    stepper = Stepper(load(recorded(tmp_path, iter(noted), world.plan)))
    states = [stepper.engine.units["a"].state]
    while stepper.forward() is not None:
        states.append(stepper.engine.units["a"].state)
    assert len(set(states)) > 1
    for number in range(len(noted) - 1, -1, -1):
        stepper.back()
        assert (stepper.number, stepper.engine.units["a"].state) == (number, states[number])


def test_why_tells_of_the_moment_that_was_asked_about(tmp_path: Path) -> None:
    """Not of the last event before it."""
    by = "root (linitctl stop a, pid 7)"
    stop = events.Request(1, Verb.STOP, ("a",), by)
    path = recorded(tmp_path, iter([(stop, 5.0)]))
    stepper = Stepper(load(path))
    stepper.go_to(stepper.number_at(65.0))
    (link,) = why(stepper, "a", 65.0)["chain"]
    assert (link["state"], link["since_s"]) == ("down", 60.0)
    assert link["wish"] == f"stopped by {by}"


def test_a_truncated_recording_is_read_up_to_there_and_named(tmp_path: Path) -> None:
    """A power failure."""
    path = Path(recorded(tmp_path, some(2)))
    whole = path.read_bytes()
    beginning = len(whole)
    to = Ring(str(tmp_path))
    key = ring.recordings(to.folder)[0].key
    to.take(key, 4, codec.pack_event(READY, 9.0))
    to.close()
    assert len(load(str(path)).entries) == 3
    data = path.read_bytes()
    for size in range(beginning + 1, len(data)):
        path.write_bytes(data[:size])
        found = load(str(path))
        assert (len(found.entries), found.fault) == (2, f"{path}: truncated at byte {beginning}")


@given(st.integers(0, 10_000), st.integers(1, 255))
@example(0, 75)  # becomes an extension type
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, position: int, change: int) -> None:
    path = Path(recorded(tmp_path_factory.mktemp("changed"), some(2)))
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= change
    path.write_bytes(data)
    try:
        fault = load(str(path)).fault
    except RecordingError as error:
        fault = str(error)
    assert fault.startswith(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"\x93\x00\x00", b"#!/bin/sh\n", msgpack.packb(["linit-plan", 1, 0, b""])])
def test_another_file_is_no_recording(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=str(path)):
        load(str(path))


def test_a_saved_recording_needs_nothing_beside_it(tmp_path: Path) -> None:
    """So that it can be replayed on any machine; saving it once more changes nothing."""
    path = recorded(tmp_path, some(3))
    saved, again = tmp_path / "saved", tmp_path / "again"
    save(str(saved), path)
    for plan in (tmp_path / "record").glob("*.plan"):
        plan.unlink()
    with pytest.raises(RecordingError, match="cannot be read"):
        load(path)
    save(str(again), str(saved))
    assert again.read_bytes() == saved.read_bytes()
    assert load(str(again)).entries == [*load(str(saved)).entries]


def test_a_wall_clock_that_jumps_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a battery gets its time from the network."""
    now_s = offset_s = 0.0
    monkeypatch.setattr(time, "time", lambda: now_s + offset_s)
    source, to = Recorder(Engine(PLAN), now_s), Ring(str(tmp_path))
    for at_s, offset in ((0.5, 0.0), (12.0, 1e9), (13.0, 1e9)):
        now_s, offset_s = at_s, offset
        source.note(READY, now_s)
    deliver(source, to)
    to.close()
    found = load(*paths_in(tmp_path))
    assert [found.wall_s(each) for each in (0.7, 12.0, 13.5)] == [0.7, 12.0 + 1e9, 13.5 + 1e9]
    assert (found.at_s(0.75), found.at_s(1e9 + 13.5)) == (0.75, 13.5)


@pytest.mark.parametrize(
    ("word", "at_s"),
    [
        ("0", 100.0),
        ("12.5", 112.5),
        ("30s", 130.0),
        ("2026-11-21 08:00:10", 110.0),
        ("2026-11-21T08:00", 100.0),
        ("07:00", 100.0 + 23 * 3600),
        ("09:00", 100.0 + 25 * 3600),
        ("10:00:05", 100.0 + 2 * 3600 + 5),
    ],
)
def test_a_moment_is_said_in_seconds_or_by_the_clock(word: str, at_s: float) -> None:
    """The recording lasts from 8:00 to 9:30 of the next day; a time of day is the last such time in it."""
    began_s = datetime.datetime(2026, 11, 21, 8).timestamp()
    entries = [Entry(100.0 + hours * 3600, READY) for hours in (0.0, 25.5)]
    found = Recording("x", began_s=100.0, clocks=[(100.0, began_s)], starts=[Start(0, 100.0, PLAN)], entries=entries)
    assert moment.at(word, found) == pytest.approx(at_s)


@pytest.mark.parametrize("word", ["soon", "nan", "25:00", ""])
def test_what_is_no_moment_is_told_with_what_is_one(word: str) -> None:
    with pytest.raises(moment.MomentError) as found:
        moment.at(word, Recording("x", clocks=[(0.0, 0.0)]))
    forms = "seconds since the boot ('12.5'), 'HH:MM[:SS]', or 'YYYY-MM-DD HH:MM[:SS]'"
    assert str(found.value) == f"found {word!r}, expected {forms}"
