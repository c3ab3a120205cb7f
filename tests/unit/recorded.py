"""Recordings for tests: PID 1's recorder and the log process's ring, without the processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack

from linit.engine import events
from linit.engine.effects import Effect
from linit.engine.engine import Engine
from linit.engine.events import Verb
from linit.model.place import Place
from linit.model.service import Kind, Plan, Service
from linit.record import checkpoint, ring
from linit.record.recorder import Recorder
from linit.record.recording import Recording, load
from linit.record.ring import Ring
from linit.replay.stepper import Stepper

PLAN = Plan((Service("a", Place("a.yaml", 1, 1)),), compiler="1")
READY = events.Ready("a")
SHOP = Plan((Service("a", Place("a.yaml", 1, 1), Kind.TARGET), Service("b", Place("b.yaml", 2, 1), Kind.TARGET)))


def deliver(source: Recorder, to: Ring) -> None:
    """What the log process does with the messages of PID 1."""
    while source.is_waiting:
        message, content = source.message()
        word, key, number, *rest = msgpack.unpackb(message)
        match word:
            case "plan":
                to.take_plan(key, number, content)
            case "state":
                assert content is not None
                to.take_state(key, number, content)
            case "segment":
                to.take_segment(key, number, *rest)
            case "record":
                to.take(key, number, *rest or [content])
        source.sent()


def paths_in(folder: Path) -> tuple[str, ...]:
    """The files of the last boot."""
    return ring.recordings(str(folder / "record"))[-1].paths


def recorded(folder: Path, noted: Iterator[tuple[events.Event, float]], plan: Plan = PLAN) -> str:
    """A recording of events in the ring of `folder`; its path. They are few: there is one."""
    source, to = Recorder(Engine(plan), 0.0), Ring(str(folder))
    for event, at_s in noted:
        source.note(event, at_s)
    deliver(source, to)
    to.close()
    (path,) = paths_in(folder)
    return path


def some(count: int) -> Iterator[tuple[events.Event, float]]:
    return ((READY, float(number)) for number in range(count))


LONG = "x" * 1000


class Machine:
    """An engine whose every event is recorded, as the supervisor does it; `note` notes what has no consequence."""

    def __init__(self, folder: Path, plan: Plan = SHOP) -> None:
        self.folder = folder
        self.engine = Engine(plan)
        self.source, self.to = Recorder(self.engine, 0.0), Ring(str(folder))
        self.seen: list[list[Effect]] = []  # of each event
        self.now_s = 0.0

    def tell(self, event: events.Event, *, delivers: bool = True) -> None:
        self.now_s += 1.0
        self.source.note(event, self.now_s)
        self.seen.append(list(self.engine.handle(event, self.now_s)))
        if delivers:
            self.deliver()

    def deliver(self) -> None:
        deliver(self.source, self.to)
        self.to.flush()

    def live(self, count: int, *, delivers: bool = True) -> None:
        """So many requests by people with long names: half of them change something."""
        for number in range(count):
            verb = (Verb.START, Verb.STOP)[number % 2]
            self.tell(events.Request(number, verb, ("b",), by=LONG), delivers=delivers)

    def is_as_replayed(self, *paths: str) -> Recording:
        """Every event that is kept has the effects that it had then; at the end the engine is where it is."""
        found = load(*(paths or paths_in(self.folder)))
        stepper = Stepper(found)
        index = found.dropped
        losses = {each.index: each.lost for each in found.losses}
        while True:
            index += losses.get(stepper.number, 0)
            step = stepper.forward()
            if step is None:
                break
            assert (list(step.effects), step.bug) == (self.seen[index], ""), f"event {index}"
            index += 1
        assert index == len(self.seen)
        assert checkpoint.take(stepper.engine) == checkpoint.take(self.engine)
        return found
