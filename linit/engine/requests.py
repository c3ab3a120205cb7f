"""Which requests are still owed an answer? Every one gets exactly one: done, failed (why), or superseded (by what)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from linit.engine.effects import Answer
from linit.engine.events import Verb
from linit.engine.unit import Unit
from linit.model.service import VIRTUAL
from linit.model.state import DOWN, FAILED, TO_BE_DOWN, TO_BE_UP, UP, Outcome

STOP, WANT = Verb.STOP, Verb.WANT  # named once, as the states are: linit.model.state
WORST_FIRST: Final = (Outcome.REFUSED, Outcome.FAILED, Outcome.SUPERSEDED)


@dataclass(slots=True)
class Pending:
    """A request under way. `open` are the services whose part is not yet decided."""

    id: int
    verb: Verb
    by: str
    open: dict[str, Verb]  # service -> what is awaited of it
    shown: tuple[str, ...]  # the services that the answer tells of
    caller: str = ""  # the service whose script waits for the answer
    held: tuple[int, ...] = ()  # the locks that are held until then
    results: dict[str, tuple[Outcome, str]] = field(default_factory=dict)


def judge_part(verb: Verb, unit: Unit) -> tuple[Outcome, str] | None:
    """Is what `verb` wants of this unit decided? None while it is still under way."""
    if verb is WANT and not unit.hope and not unit.state.is_moving:
        return Outcome.DONE, f"{unit.state.value}: {unit.reason}"
    if verb is STOP:
        is_wanted = unit.hope if unit.service.kind is VIRTUAL else unit.desired is TO_BE_UP
        if is_wanted:
            return Outcome.SUPERSEDED, f"superseded: {unit.wish}"
        if unit.state is DOWN or (unit.state is FAILED and unit.desired is TO_BE_DOWN):
            return Outcome.DONE, str(unit.reason)
        return None
    if unit.state is UP and unit.goal and not unit.bouncing:
        return Outcome.DONE, _up_words(unit)
    if unit.state.is_at_rest_down and not unit.hope:
        if unit.finished and verb is not Verb.NEED:
            return Outcome.DONE, f"{unit.state.value}: {unit.reason}"  # it had nothing to do, or has done it
        return Outcome.FAILED, f"{unit.state.value}: {unit.reason}"
    return None


def _up_words(unit: Unit) -> str:
    return "up" if unit.start_duration_s is None else f"up after {unit.start_duration_s:.2f} s"


class Ledger:
    """The open requests, by service. An event looks only at the requests about the services that it changed."""

    def __init__(self) -> None:
        self.owed: dict[int, Pending] = {}  # but for reloads
        self._by_service: dict[str, dict[int, Pending]] = {}
        self.reloading: dict[str, list[Pending]] = {}  # by service: who waits for its reload command

    def open(self, pending: Pending) -> None:
        """Owe an answer."""
        self.owed[pending.id] = pending
        for name in pending.open:
            self._by_service.setdefault(name, {})[pending.id] = pending

    def concerned_by(self, names: Iterable[str]) -> list[str]:
        """Those of these services that answers depend on which are still owed."""
        by_service, reloading = self._by_service, self.reloading
        return [name for name in names if by_service.get(name) or name in reloading]

    def about(self, name: str) -> list[Pending]:
        """The open requests that wait for `name`, oldest first."""
        return list(self._by_service.get(name, {}).values())

    def decide(self, pending: Pending, name: str, outcome: Outcome, text: str) -> Answer | None:
        """Note the part of `name`; the answer when it was the last."""
        if pending.open.pop(name, None) is not None:
            self._by_service[name].pop(pending.id, None)
        pending.results[name] = (outcome, text)
        return self.close(pending) if not pending.open else None

    def close(self, pending: Pending) -> Answer:
        """The answer, whatever is still open being left out of it."""
        self.owed.pop(pending.id, None)
        for name in pending.open:
            self._by_service[name].pop(pending.id, None)
        return answer(pending.id, {name: pending.results[name] for name in _told(pending)})

    def settle(self, name: str, unit: Unit) -> Iterator[Answer]:
        """Answers that became due because of the present state of `unit`."""
        for pending in self.about(name):
            part = judge_part(pending.open[name], unit)
            if part is not None:
                due = self.decide(pending, name, *part)
                if due is not None:
                    yield due

    def supersede(self, name: str, new: Verb, by: str) -> Iterator[Answer]:
        """A later wish for `name` contradicts earlier ones: these are answered now."""
        for pending in self.about(name):
            awaited = pending.open[name]
            if (awaited is Verb.STOP) is not (new is Verb.STOP) and awaited is not Verb.RELOAD:
                due = self.decide(pending, name, Outcome.SUPERSEDED, f"superseded by {new.value} of {by}")
                if due is not None:
                    yield due

    def open_reload(self, name: str, pending: Pending) -> None:
        """Owe an answer that comes with the end of the reload command of `name`."""
        self.reloading.setdefault(name, []).append(pending)

    def reload_ended(self, name: str, outcome: Outcome, text: str) -> Iterator[Answer]:
        """The reload command of `name` ended, or never will."""
        for pending in self.reloading.pop(name, []):
            pending.open.pop(name, None)
            pending.results[name] = (outcome, text)
            if not pending.open:
                yield answer(pending.id, pending.results)

    def abandon(self, name: str, text: str) -> Iterator[Answer]:
        """Answer what is open about `name` as superseded."""
        for pending in self.about(name):
            due = self.decide(pending, name, Outcome.SUPERSEDED, text)
            if due is not None:
                yield due
        yield from self.reload_ended(name, Outcome.SUPERSEDED, text)

    def abandon_all(self, text: str) -> Iterator[Answer]:
        """Answer everything that is open as superseded."""
        names = dict.fromkeys(name for pending in self.owed.values() for name in pending.open)
        for name in (*names, *self.reloading):
            yield from self.abandon(name, text)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self.owed.values())


def answer(number: int, results: Mapping[str, tuple[Outcome, str]]) -> Answer:
    """An answer whose outcome is the worst of its parts."""
    outcomes = {outcome for outcome, _ in results.values()}
    worst = next((each for each in WORST_FIRST if each in outcomes), Outcome.DONE)
    return Answer(number, worst, tuple((name, outcome, text) for name, (outcome, text) in results.items()))


def refusal(number: int, names: Iterable[str], text: str) -> Answer:
    """The answer to a request that cannot be taken at all."""
    return Answer(number, Outcome.FAILED, tuple((name, Outcome.FAILED, text) for name in names))


def _told(pending: Pending) -> Iterator[str]:
    """The services that were asked about, then those whose part went wrong."""
    for name in pending.results:
        if name in pending.shown or pending.results[name][0] is not Outcome.DONE:
            yield name
