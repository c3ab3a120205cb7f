"""How a recorded boot went: times, what was waited for, the critical path, what changed. Source: issue 5, `analyze`."""

from __future__ import annotations

from typing import Any

import pytest

from linit.engine import events
from linit.engine.effects import Spawn
from linit.engine.events import Verb
from linit.engine.simulator import Simulator
from linit.model.runlevel import with_a_runlevel
from linit.model.state import UnitState
from linit.planning import boot_change, boot_course, world
from linit.planning.analyze import moments
from linit.planning.boot_course import Course, CourseError, Link, Slice
from linit.planning.durations import Durations
from linit.record.checkpoint import take
from linit.record.recorder import Mark
from linit.record.recording import Entry, Load, Recording, Start
from tests.simulation.graphs import plan

NOON = 1_795_000_000.0  # when these boots are, in seconds since the epoch
SHOP = {
    "disk": {"kind": "oneshot"},
    "db": {"ready": True, "need": ["disk"]},
    "cache": {"ready": True, "after": ["disk"]},
    "shop": {"ready": True, "need": ["db"], "use": ["cache"]},
    "mail": {"ready": True},
    "default": {"kind": "runlevel", "want": ["disk", "shop", "cache", "mail"]},
}
TIMES = {"disk": 1.0, "db": 3.0, "cache": 1.0, "shop": 0.5, "mail": 2.0}


def booting(services: dict[str, Any], **seconds: float) -> tuple[Simulator, list[Entry]]:
    """A machine in virtual time, and the events as they happen to it."""
    machine = world.of(plan(services), Durations(seconds))
    entries: list[Entry] = []
    machine.on_event = lambda machine, event: entries.append(Entry(machine.now_s, event))
    return machine, entries


def recording(machine: Simulator, entries: list[Entry], **more: Any) -> Recording:
    """What the flight recorder would have of it."""
    start = Start(0, 0.0, with_a_runlevel(machine.plan))
    return Recording("boot.rec", "0.1.0", starts=[start], entries=entries, clocks=[(0.0, NOON)], **more)


def boot(services: dict[str, Any], /, **seconds: float) -> Recording:
    """A recorded boot in which starts took so long."""
    machine, entries = booting(services, **seconds)
    world.begin(machine)
    world.settle(machine)
    return recording(machine, entries)


def course(services: dict[str, Any], /, **seconds: float) -> Course:
    return boot_course.of(boot(services, **seconds))


def near(value: float | None) -> Any:
    """The simulator's processes take some milliseconds to be spawned."""
    return value if value is None else pytest.approx(value, abs=0.05)


def test_each_service_has_the_times_when_it_was_wanted_started_and_came_up() -> None:
    found = course(SHOP, **TIMES).by_name
    times = {name: (run.wanted_s, run.starts_s, run.ends_s, run.outcome) for name, run in found.items()}
    assert times == {
        "disk": (0.0, 0.0, near(1.0), "up"),
        "mail": (0.0, 0.0, near(2.0), "up"),
        "db": (0.0, near(1.0), near(4.0), "up"),
        "cache": (0.0, near(1.0), near(2.0), "up"),
        "shop": (0.0, near(4.0), near(4.5), "up"),
        "default": (0.0, near(4.5), near(4.5), "up"),
    }
    assert [(span.state, span.from_s, span.until_s) for span in found["db"].spans] == [
        (UnitState.WAITING, 0.0, near(1.0)), (UnitState.STARTING, near(1.0), near(4.0)),
        (UnitState.UP, near(4.0), near(4.5)),
    ]  # fmt: skip


def test_a_start_names_what_it_waited_for_last() -> None:
    found = course(SHOP, **TIMES).by_name
    assert {name: (run.edge, run.after) for name, run in found.items()} == {
        "disk": ("", ""), "mail": ("", ""), "db": ("needs", "disk"), "cache": ("starts after", "disk"),
        "shop": ("needs", "db"), "default": ("wants", "shop"),
    }  # fmt: skip


def test_the_critical_path_is_the_chain_on_which_the_time_went() -> None:
    found = course(SHOP, **TIMES)
    assert found.critical == (
        Link("disk", 0.0, near(1.0)),
        Link("db", near(1.0), near(4.0), "disk", "needs"),
        Link("shop", near(4.0), near(4.5), "db", "needs"),
    )
    assert [link.name for link in course(SHOP, **TIMES | {"cache": 9.0}).critical] == ["disk", "cache", "shop"]
    assert {run.name for run in found.runs if run.is_critical} == {"disk", "db", "shop"}


def test_a_path_may_be_asked_for_up_to_any_service() -> None:
    found = course(SHOP, **TIMES)
    assert [link.name for link in found.path_to("cache")] == ["disk", "cache"]
    with pytest.raises(KeyError):
        found.path_to("nginx")


def test_what_a_script_asks_for_lies_on_its_path_between_two_stretches_of_its_own() -> None:
    """`linitctl need`: the script waits, so the time is that of what it asked for."""
    services = {
        "app": {"kind": "oneshot"},
        "queue": {"ready": True},
        "default": {"kind": "runlevel", "want": ["app"]},
    }
    machine, entries = booting(services, app=1.0, queue=0.3)
    world.begin(machine)
    machine.run(until_s=0.5)
    machine.request(Verb.NEED, "queue", caller="app", by="app")
    world.settle(machine)
    found = boot_course.of(recording(machine, entries))
    assert [(link.name, link.edge, link.after) for link in found.critical] == [
        ("app", "", ""), ("queue", "was asked for by", "app"), ("app", "had asked for", "queue"),
    ]  # fmt: skip
    assert found.critical[1] == Link("queue", near(0.5), near(0.8), "app", "was asked for by")
    assert found.by_name["queue"].wanted_by == "app"


def test_what_failed_ends_when_it_failed_and_says_why() -> None:
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=1.5)
    machine.end("mail", 1 << 8)
    world.settle(machine)
    found = boot_course.of(recording(machine, entries))
    assert found.failed == ("mail",)
    mail = found.by_name["mail"]
    assert (mail.outcome, mail.ends_s, mail.why) == ("failed", near(1.5), "exited with status 1")


def test_a_service_that_is_started_again_counts_until_it_is_up() -> None:
    machine, entries = booting({"flaky": {"ready": True, "restart": "always"}}, flaky=1.0)
    world.begin(machine)
    machine.run(until_s=0.5)
    machine.end("flaky", 1 << 8)
    world.settle(machine)
    run = boot_course.of(recording(machine, entries)).by_name["flaky"]
    assert (run.attempts, run.starts_s, run.outcome, run.took_s) == (2, 0.0, "up", near(2.5))
    assert UnitState.BACKOFF in {span.state for span in run.spans}


def test_a_boot_that_is_under_way_is_told_as_far_as_it_is() -> None:
    """The path leads to what has been starting for longest."""
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=2.5)
    found = boot_course.of(recording(machine, entries))
    assert (found.reached_s, found.ends_s, found.is_under_way) == (None, near(2.0), False)
    assert [link.name for link in found.critical] == ["disk", "db"]
    outcomes = {run.name: run.outcome for run in found.runs}
    assert outcomes == {
        "disk": "up", "mail": "up", "cache": "up", "db": "starting", "shop": "waiting", "default": "waiting",
    }  # fmt: skip


def test_while_linit_runs_a_boot_lasts_until_now() -> None:
    """What hangs shows for how long; a boot that is over is over."""
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=2.5)
    found = boot_course.of(recording(machine, entries), now_s=60.0)
    assert (found.ends_s, found.is_under_way) == (60.0, True)
    assert found.critical[-1] == Link("db", near(1.0), 60.0, "disk", "needs")
    assert found.by_name["db"].spans[-1].until_s == 60.0
    over = boot_course.of(boot(SHOP, **TIMES), now_s=60.0)
    assert (over.ends_s, over.is_under_way) == (near(4.5), False)


def test_what_comes_after_the_boot_is_no_part_of_it() -> None:
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    world.settle(machine)
    machine.request(Verb.STOP, "shop")
    world.settle(machine)
    assert boot_course.of(recording(machine, entries)).by_name["shop"].outcome == "up"


def lacking(at_s: float, **happens: Any) -> Recording:
    """The boot of SHOP, of which the recording begins with the state at that time."""
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=at_s)
    for name, verb in happens.items():
        machine.request(verb, name)
        machine.run(until_s=machine.now_s + 10.0)
    start = Start(0, machine.now_s, with_a_runlevel(machine.plan), take(machine.engine))
    dropped = len(entries)
    world.settle(machine)
    found = recording(machine, entries[dropped:], dropped=dropped)
    found.starts = [start]
    return found


NOTE = "of the boot before that the state of the services tells, and their definitions what they waited for"


def test_of_a_boot_whose_beginning_is_no_longer_kept_the_state_tells_when_each_service_came_up() -> None:
    """A machine that runs for weeks: its recording is bounded."""
    whole, found = course(SHOP, **TIMES), boot_course.of(lacking(60.0))
    assert found.note == NOTE
    times = [(run.name, run.wanted_s, run.starts_s, run.ends_s, run.outcome, run.after) for run in found.runs]
    assert times == [(r.name, r.wanted_s, r.starts_s, near(r.ends_s), r.outcome, r.after) for r in whole.runs]
    assert (found.reached_s, found.runlevel) == (near(whole.reached_s), "default")
    assert [link.name for link in found.critical] == [link.name for link in whole.critical]


def test_a_boot_of_which_the_recording_begins_in_the_middle_goes_on_from_there() -> None:
    whole, found = course(SHOP, **TIMES), boot_course.of(lacking(2.5))
    times = {run.name: (run.starts_s, near(run.ends_s), run.outcome) for run in found.runs}
    assert times == {run.name: (run.starts_s, run.ends_s, run.outcome) for run in whole.runs}
    assert found.reached_s == near(whole.reached_s)
    assert [link.name for link in found.critical] == ["disk", "db", "shop"]


def test_what_was_started_again_since_is_left_out_and_named() -> None:
    found = boot_course.of(lacking(60.0, mail=Verb.RESTART))
    assert found.note == f"{NOTE}; started again since, and left out: mail"
    assert "mail" not in found.by_name


def test_of_a_boot_that_no_state_tells_of_there_is_nothing_to_say() -> None:
    with pytest.raises(CourseError) as told:
        boot_course.of(lacking(60.0, default=Verb.STOP))
    assert str(told.value) == (
        "boot.rec: its beginning, 12 events, is no longer kept, and nothing tells any more how the boot went"
    )


def test_a_recording_without_a_boot_says_so() -> None:
    machine, entries = booting(SHOP, **TIMES)
    machine.request(Verb.START, "mail")
    with pytest.raises(CourseError) as told:
        boot_course.of(recording(machine, entries))
    assert str(told.value) == "boot.rec: no boot of a runlevel is in this recording"


# -- linit's own start


def of_a_machine(**marks_s: float) -> Course:
    """A boot of PID 1 whose kernel began 10 seconds before the engine's events."""
    made = boot({"a": {"ready": True}}, a=1.0)
    made.entries = [Entry(each.at_s + 10.0, each.event) for each in made.entries]
    made.began_s = 9.9
    made.clocks = [(10.0, NOON)]
    made.marks = {Mark(name): at_s for name, at_s in marks_s.items()}
    return boot_course.of(made)


def test_a_boot_of_pid_1_counts_from_the_kernel() -> None:
    found = of_a_machine(kernel=0.0, exec=9.0, linit=9.4, loop=10.05)
    assert [(each["what"], each["at_s"], each["took_s"]) for each in moments(found)] == [
        ("linit executed", 9.0, 9.0),
        ("first line of linit", 9.4, near(0.4)),
        ("plan loaded", 9.9, near(0.5)),
        ("first service spawned", 10.0, near(0.1)),
        ("event loop runs", 10.05, near(0.05)),
        ("default reached", near(11.0), near(0.95)),
    ]
    assert found.wall_s == NOON - 10.0


def test_what_is_not_known_of_linits_start_is_said() -> None:
    """The kernel does not tell PID 1 when it became linit; an older linit noted nothing."""
    without = {each["what"]: (each["at_s"], each["note"]) for each in moments(of_a_machine(kernel=0.0, linit=9.4))}
    assert without["linit executed"] == (None, "not known")
    assert without["first line of linit"] == (9.4, "not known when linit was executed: with the kernel's time")
    assert without["event loop runs"] == (None, "not known")


def test_a_boot_of_a_users_linit_counts_from_its_exec() -> None:
    found = of_a_machine(exec=9.0, linit=9.4, loop=10.05)
    assert (found.is_machine, found.moments[Mark.EXEC], found.plan_s) == (False, 0.0, near(0.9))


def test_the_first_spawn_is_the_first_that_the_engine_orders() -> None:
    machine, entries = booting(SHOP, **TIMES)
    machine.tell(events.Emptied("mail"))
    machine.run(until_s=3.0)
    world.begin(machine)
    world.settle(machine)
    ordered = next(at_s for at_s, effect in machine.trace if isinstance(effect, Spawn))
    assert boot_course.of(recording(machine, entries)).first_spawn_s == ordered


# -- the load


def test_the_load_is_what_the_cpus_did_between_two_readings() -> None:
    """Two CPUs. Readings that are too close for the kernel's clock ticks make no slice of their own."""
    made = boot(SHOP, **TIMES)
    made.loads = [Load(1.0, 5.0, 1.0, 10.0, 2), Load(2.0, 6.5, 1.2, 10.3, 2), Load(2.01, 6.5, 1.2, 10.3, 2)]
    found = boot_course.of(made)
    assert (found.load, found.cpus) == ((Slice(1.0, 2.0, near(0.75), near(0.1)),), 2)


def test_the_first_reading_of_a_machine_tells_of_all_before_it() -> None:
    made = boot(SHOP, **TIMES)
    made.marks = {Mark.KERNEL: 0.0}
    made.loads = [Load(1.0, 0.5, 0.0, 1.5)]
    assert boot_course.of(made).load == (Slice(0.0, 1.0, 0.25, 0.0),)


def test_the_load_ends_with_the_boot() -> None:
    """The last reading is taken when the boot is over."""
    made = boot(SHOP, **TIMES)
    made.loads = [Load(4.0, 1.0, 0.0, 1.0), Load(5.0, 2.0, 0.0, 1.0), Load(6.0, 3.0, 0.0, 1.0)]
    (only,) = boot_course.of(made).load
    assert (only.until_s, only.busy) == (near(4.5), 1.0)


def test_the_cpu_time_of_a_service_is_what_was_noted_of_it() -> None:
    made = boot(SHOP, **TIMES)
    made.cpu_s = {"db": 1.25}
    found = boot_course.of(made).by_name
    assert (found["db"].cpu_s, found["shop"].cpu_s) == (1.25, None)


# -- two boots


def test_a_comparison_tells_what_changed_by_its_effect() -> None:
    """`mail` took a hundredth of it longer: that is called the same."""
    now = {name: keys for name, keys in SHOP.items() if name != "cache"} | {"queue": {"ready": True}}
    now["default"] = {"kind": "runlevel", "want": ["disk", "shop", "mail", "queue"]}
    found = boot_change.of(
        course(SHOP, **TIMES), course(now, disk=1.2, db=1.0, shop=0.5, mail=2.02, queue=0.7)
    )  # fmt: skip
    assert [(each.what, each.name, each.effect_s, each.is_critical) for each in found.changes] == [
        ("faster", "db", near(-2.0), True),
        ("gone", "cache", near(-1.0), False),
        ("new", "queue", near(0.7), False),
        ("slower", "disk", near(0.2), True),
    ]
    assert found.same == 2


def test_a_comparison_tells_what_fails_now_and_what_recovered() -> None:
    machine, entries = booting(SHOP, **TIMES)
    world.begin(machine)
    machine.run(until_s=1.5)
    machine.end("mail", 1 << 8)
    world.settle(machine)
    failing, well = boot_course.of(recording(machine, entries)), course(SHOP, **TIMES)
    assert [(each.what, each.name) for each in boot_change.of(well, failing).changes] == [("fails", "mail")]
    assert [(each.what, each.name) for each in boot_change.of(failing, well).changes] == [("recovers", "mail")]


def test_a_comparison_has_the_phases_of_linits_own_start() -> None:
    before = of_a_machine(kernel=0.0, exec=9.0, linit=9.4)
    now = of_a_machine(kernel=0.0, exec=7.0, linit=7.1)
    assert [(each.what, each.name, each.effect_s) for each in boot_change.of(before, now).changes if each.is_phase] == [
        ("slower", "linit until its plan", near(2.3)), ("faster", "kernel", near(-2.0)),
        ("faster", "interpreter", near(-0.3)),
    ]  # fmt: skip
