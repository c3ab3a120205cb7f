"""What is kept of a recording, what gives way, what is lost, and that the rest is right: linit/record/README.md."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linit.engine import events
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour, Simulator
from linit.model.place import Place
from linit.model.service import Command, Kind, Plan, Restart, RestartPolicy, Service
from linit.model.state import UnitState
from linit.record import codec, recorder, ring
from linit.record.recorder import LATER_MAX, Mark, Recorder
from linit.record.recording import load, save
from linit.record.ring import Ring
from linit.replay import generated_test, moment, text
from linit.replay.stepper import Stepper
from tests.unit.recorded import LONG, PLAN, READY, SHOP, Machine, deliver, paths_in, recorded, some


def test_only_the_last_boots_are_kept(tmp_path: Path) -> None:
    """And no plan that none of them names."""
    for number in range(8):
        plan = Plan((Service(f"only{number}", Place("a")),))
        recorded(tmp_path, some(2), plan)
    found = ring.recordings(str(tmp_path / "record"))
    assert [each.number for each in found] == [4, 5, 6, 7, 8]
    assert [load(*each.paths).plan.services[0].name for each in found] == [f"only{n}" for n in (3, 4, 5, 6, 7)]
    assert len(list((tmp_path / "record").glob("*.plan"))) == ring.BOOTS_KEPT


def test_a_long_boot_keeps_its_last_events_and_can_be_replayed_from_the_first_that_is_kept(tmp_path: Path) -> None:
    """Between one and two MiB of them: DESIGN.md section 4, the same events give the same effects."""
    machine = Machine(tmp_path)
    machine.live(4000)
    machine.to.close()
    found = machine.is_as_replayed()
    size = sum(Path(path).stat().st_size for path in paths_in(tmp_path))
    assert recorder.SEGMENT_BYTES < size < 2.1 * recorder.SEGMENT_BYTES
    assert 900 < len(found.entries) < 2100
    assert found.dropped == 4000 - len(found.entries)
    assert (found.fault, found.losses) == ("", [])
    assert len(found.starts) == 2, "one can go back to the last of them without all that was before"
    begins = text.clock(found.wall_s(found.kept_from_s))
    assert list(text.remarks(found)) == [
        f"the recording begins at {begins}, {found.dropped} earlier events are no longer kept"
    ]
    assert found.began_s == 0.0, "seconds still count from the boot"
    with pytest.raises(moment.MomentError) as told:
        moment.at("1.5", found)
    later_s = found.kept_from_s - 1.5
    assert str(told.value) == (
        f"1.5: the recording begins {later_s:.0f} s later; {found.dropped} earlier events are no longer kept"
    )


def test_one_steps_back_over_the_beginning_of_a_segment(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.live(1500)
    stepper = Stepper(load(*paths_in(tmp_path)))
    border = stepper.recording.starts[1].index
    stepper.go_to(border + 1)
    for number in (border, border - 1):
        step = stepper.back()
        assert step is not None
        assert (step.number, list(step.effects)) == (number, machine.seen[number - 1])


def test_a_long_boot_leaves_no_plan_that_is_no_longer_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for number in range(60):
        machine.live(60)
        extra = Service(f"extra{number}", Place("extra.yaml"))
        machine.tell(events.PlanLoaded(number, Plan((*SHOP.services, extra), compiled_at=float(number))))
    machine.to.close()
    found = machine.is_as_replayed()
    assert found.dropped > 0
    assert 2 < len(list((tmp_path / "record").glob("*.plan"))) < 40


def test_a_saved_recording_of_several_segments_is_one_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.live(2500)
    machine.to.close()
    saved = tmp_path / "saved.rec"
    save(str(saved), *paths_in(tmp_path))
    for file in (tmp_path / "record").iterdir():
        file.unlink()
    assert machine.is_as_replayed(str(saved)).dropped > 0


def test_a_test_made_of_a_recording_without_its_beginning_passes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.live(2500)
    source = "\n".join(generated_test.lines(load(*paths_in(tmp_path))))
    names: dict[str, Any] = {}
    exec(compile(source, "made", "exec"), names)
    assert len(names["TRANSITIONS"]) > 100
    names["test_the_recorded_events_lead_to_these_states"]()
    names["TRANSITIONS"].pop()
    with pytest.raises(AssertionError):
        names["test_the_recorded_events_lead_to_these_states"]()


def test_pid_1_keeps_no_more_than_its_bound_when_nobody_takes_records(tmp_path: Path) -> None:
    """What it has then is the last of them; how many are missing is told, and the state is right all the same."""
    machine = Machine(tmp_path)
    machine.live(10)
    machine.live(1500, delivers=False)
    waiting = sum(item.size_bytes for item in machine.source._waiting)
    assert waiting < recorder.WAITING_MAX_BYTES + 2000
    machine.deliver()
    machine.live(10)
    machine.to.close()
    found = machine.is_as_replayed()
    (loss,) = found.losses
    assert 900 < loss.lost < 1100
    assert (found.dropped, found.fault) == (0, "")
    before = text.clock(found.wall_s(loss.at_s))
    why = f"{loss.lost} events waited for the log process, more than 1024 KiB"
    assert list(text.remarks(found)) == [f"{loss.lost} events are missing before {before}: {why}"]


def test_what_cannot_be_written_yet_waits_with_a_bound(tmp_path: Path) -> None:
    """The log process before the root is writable: the last of what it was told."""
    machine = Machine(tmp_path)
    for number in range(5000):
        machine.tell(events.Request(number, Verb.START, ("b",), by=LONG), delivers=False)
        deliver(machine.source, machine.to)
    assert sum(each.size_bytes for each in machine.to._waiting) < 2.1 * recorder.SEGMENT_BYTES
    machine.to.close()
    assert machine.is_as_replayed().dropped > 2500


def test_a_request_that_is_longer_than_a_message_is_recorded_whole(tmp_path: Path) -> None:
    """A message to the log process has at most 64 KiB: what is longer goes as a file."""
    machine = Machine(tmp_path)
    machine.tell(events.Request(1, Verb.START, ("b",), by="y" * 200_000))
    machine.to.close()
    assert machine.is_as_replayed().fault == ""


def test_the_folder_stays_small_whatever_many_boots_do(tmp_path: Path) -> None:
    for _ in range(ring.BOOTS_KEPT + 2):
        machine = Machine(tmp_path)
        machine.live(2500)
        machine.to.close()
    size = sum(file.stat().st_size for file in (tmp_path / "record").iterdir())
    assert len(ring.recordings(str(tmp_path / "record"))) == ring.BOOTS_KEPT
    assert size < ring.BOOTS_KEPT * 2.1 * recorder.SEGMENT_BYTES


def test_records_that_went_with_a_killed_log_process_are_told(tmp_path: Path) -> None:
    source, to = Recorder(Engine(PLAN), 0.0), Ring(str(tmp_path))
    source.note(READY, 0.1)
    deliver(source, to)
    to.close()
    source.note(READY, 0.2)
    deliver(source, Ring(str(tmp_path / "killed")))
    source.note(READY, 0.3)
    to = Ring(str(tmp_path))
    deliver(source, to)
    to.close()
    (path,) = paths_in(tmp_path)
    found = load(path)
    missing = "records missing after 1 events: 1 (the log process was killed?)"
    assert (len(found.entries), found.fault) == (1, f"{path}: {missing}")


def test_what_a_killed_log_process_had_not_written_is_told_to_the_next(tmp_path: Path) -> None:
    """And is not written twice where it had. The next event begins a segment, in case something was lost."""
    machine = Machine(tmp_path)
    machine.live(3)
    (path,) = paths_in(tmp_path)
    size = Path(path).stat().st_size
    machine.source.begin_again()
    machine.to.close()
    machine.to = Ring(str(tmp_path))
    machine.deliver()
    assert paths_in(tmp_path) == (path,)
    assert Path(path).stat().st_size <= 2 * size, "at most the last message, which has new rows in it"
    machine.tell(events.Request(9, Verb.START, ("b",)), delivers=False)
    deliver(machine.source, Ring(str(tmp_path / "killed")))
    machine.source.begin_again()
    machine.to = Ring(str(tmp_path))
    machine.live(2)
    machine.to.close()
    found = machine.is_as_replayed()
    assert (found.fault, found.losses, found.dropped) == ("", [], 0)
    assert len(found.starts) == 3


def test_a_log_process_that_is_killed_again_and_again_drops_no_history(tmp_path: Path) -> None:
    """Many small segments: only what is more than the bound gives way."""
    machine = Machine(tmp_path)
    machine.live(20)
    for _ in range(30):
        machine.to = Ring(str(tmp_path))
        machine.source.begin_again()
        machine.live(2)
    machine.to.close()
    found = machine.is_as_replayed()
    assert (found.dropped, found.fault, found.losses) == (0, "", [])


def test_what_went_with_a_killed_log_process_is_told_and_the_recording_goes_on(tmp_path: Path) -> None:
    """More than PID 1 tells twice: the state is right again with the next segment."""
    machine = Machine(tmp_path)
    machine.live(4)
    kept, machine.to = machine.to, Ring(str(tmp_path / "killed"))
    machine.live(300)
    kept.close()
    machine.source.begin_again()
    machine.to = Ring(str(tmp_path))
    machine.live(4)
    machine.to.close()
    found = machine.is_as_replayed()
    (loss,) = found.losses
    assert loss.lost == 300
    (path,) = [path for path in paths_in(tmp_path) if path.endswith(".0.rec")]
    begin = f"{path}: records missing after 4 events: "
    assert loss.why.startswith(begin)
    assert loss.why.endswith(" (the log process was killed?)")


def test_another_log_process_goes_on_with_the_recording(tmp_path: Path) -> None:
    """Half a frame of the killed one is cut off."""
    source, to = Recorder(Engine(PLAN), 0.0), Ring(str(tmp_path))
    source.note(READY, 1.0)
    deliver(source, to)
    to.close()
    (path,) = paths_in(tmp_path)
    with open(path, "ab") as file:
        file.write(ring.frame(3, codec.pack_event(READY, 2.0))[:-3])
    source.note(READY, 2.0)
    to = Ring(str(tmp_path))
    deliver(source, to)
    to.close()
    found = load(path)
    assert ([entry.at_s for entry in found.entries], found.fault) == ([1.0, 2.0], "")


def busy_service(name: str) -> Service:
    """A daemon that is started again whenever it dies."""
    restart = Restart(RestartPolicy.ALWAYS)
    return Service(name, Place(f"{name}.yaml", 1, 1), run=Command((f"/bin/{name}",), Place(name)), restart=restart)


def day(folder: Path, plan: Plan, behaviours: dict[str, Behaviour]) -> tuple[Simulator, Callable[[], int]]:
    """A recorded machine on which everything was started; the second ends its recording and tells the bytes it has."""
    world = Simulator(plan, behaviours)
    source, to = Recorder(world.engine, 0.0), Ring(str(folder))

    def note(world: Simulator, event: events.Event) -> None:
        source.note(event, world.now_s)
        deliver(source, to)
        to.flush()

    def end() -> int:
        to.close()
        size = sum(file.stat().st_size for file in (folder / "record").iterdir())
        print(f"{len(load(*paths_in(folder)).entries)} events, {size} bytes")
        return size

    world.on_event = note
    for service in plan.services:
        world.request(Verb.START, service.name)
    return world, end


BY = "root (linitctl restart daemon07, pid 41234)"
HOUR_S = 3600.0


def test_a_day_of_an_ordinary_machine_stays_under_1_mib(tmp_path: Path) -> None:
    """Issue 3. 40 services boot; a daemon dies every hour; twenty logins end, and their getty starts again; a dozen
    requests. linit/record/README.md tells the result."""
    names = [f"daemon{number:02}" for number in range(38)]
    plan = Plan(tuple(busy_service(name) for name in (*names, "getty-tty1", "sick")))
    world, end = day(tmp_path, plan, {"sick": Behaviour(dies_after_s=HOUR_S)})
    for hour in range(24):
        world.run(until_s=HOUR_S * hour)
        if hour < 20:
            world.end("getty-tty1", 0)  # a person logs out
        if hour % 2:
            world.request(Verb.RESTART, names[hour], by=BY)
    world.run(until_s=24 * HOUR_S)
    assert world.transitions(UnitState.BACKOFF).count("getty-tty1") == 20
    assert world.transitions(UnitState.BACKOFF).count("sick") == 23
    assert end() < 1 << 20


def test_even_a_busy_day_stays_under_1_mib(tmp_path: Path) -> None:
    """60 services boot; one dies every ten minutes; every minute somebody starts or stops something."""
    places = [Service(f"once{n}", Place("once"), Kind.ONESHOT, run=Command(("/bin/x",), Place("x"))) for n in range(5)]
    plan = Plan((*(busy_service(f"daemon{n:02}") for n in range(55)), *places))
    world, end = day(tmp_path, plan, {"daemon00": Behaviour(dies_after_s=600.0)})
    rng = random.Random(1)
    while world.now_s < 24 * HOUR_S:
        world.run(until_s=world.now_s + 60)
        world.request(Verb.START if rng.random() < 0.5 else Verb.STOP, rng.choice(places).name, by=BY)
    assert end() < 1 << 20


def test_what_is_noted_before_rows_are_made_is_the_same_recording(tmp_path: Path) -> None:
    """PID 1 makes them when the boot is over, with what was read meanwhile in its place."""
    found = []
    for packs_later in (False, True):
        source, to = Recorder(Engine(PLAN), 0.0, packs_later=packs_later), Ring(str(tmp_path / str(packs_later)))
        source.note_mark(Mark.LOOP, 1.0)
        source.note(READY, 2.0)
        source.later(source.note_cpu, 3.0, "a", 17)
        source.note(events.Emptied("a"), 4.0)
        source.pack()
        source.note(READY, 5.0)
        deliver(source, to)
        to.close()
        got = load(*paths_in(tmp_path / str(packs_later)))
        found.append((got.entries, got.marks, got.cpu_s, len(got.clocks), got.rows, source.rows))
    assert found[0] == found[1]
    assert [entry.at_s for entry in found[0][0]] == [2.0, 4.0, 5.0]


def test_before_rows_are_made_there_is_a_bound_to_what_is_noted() -> None:
    """A boot that goes on and on, without a log process."""
    source = Recorder(Engine(PLAN), 0.0, packs_later=True)
    before = source.rows
    for _ in range(LATER_MAX - 1):
        source.later(source.note_mark, Mark.LOOP, 1.0)
    assert source.rows == before
    source.later(source.note_mark, Mark.LOOP, 1.0)
    assert source.rows == before + LATER_MAX
