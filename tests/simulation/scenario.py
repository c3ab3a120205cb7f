"""One run as data: the definitions, how their processes behave, and what happens when.

Data can be drawn from a seed (`drawing`), played (`playing`), made smaller (`shrinking`) and printed as a test.
"""

from __future__ import annotations

import pprint
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from linit.engine import events
from linit.engine.events import Verb
from linit.engine.simulator import Behaviour
from linit.model.service import Plan
from linit.model.state import Finish
from tests.simulation import graphs

Keys = Mapping[str, Any]  # a definition in the short keys of `graphs.service`
HARD: Final = ("need", "bind")
SOFT: Final = ("want", "use", "after", "conflicts", "provided_by")


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody asks for something: a person, or one of the processes of `caller` (nothing happens if none lives)."""

    at_s: float
    verb: Verb
    names: tuple[str, ...]
    cascade: bool = True
    only: bool = False
    caller: str = ""
    waits: bool = True
    by: str = "tester"


@dataclass(frozen=True, slots=True)
class Become:
    """From their next spawn on, the processes of `name` behave so."""

    at_s: float
    name: str
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Die:
    """All processes of `name` end at once."""

    at_s: float
    name: str
    status: int = 9


@dataclass(frozen=True, slots=True)
class Replace:
    """A new plan: these definitions replace those of the same name, None takes one away."""

    at_s: float
    changes: Mapping[str, Keys | None]
    start_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Late:
    """An event whose time has passed: it crossed with what made it meaningless, or is about somebody unknown."""

    at_s: float
    event: events.Event


@dataclass(frozen=True, slots=True)
class Run:
    """A transient service."""

    at_s: float
    name: str
    keys: Keys
    caller: str = ""
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Lock:
    """Somebody takes a named lock; it is let go `hold_s` after it was asked for, or when the caller's process ends."""

    at_s: float
    lock: str
    hold_s: float
    caller: str = ""
    waits: bool = True


@dataclass(frozen=True, slots=True)
class See:
    """A trigger sees what it waits for (nothing happens if it is not armed)."""

    at_s: float
    name: str
    text: str = "a client"


@dataclass(frozen=True, slots=True)
class Sicken:
    """A service is not well any more (nothing happens if nobody looks after its health)."""

    at_s: float
    name: str


@dataclass(frozen=True, slots=True)
class Say:
    """A process of a service says something of itself, as by sd_notify(3) (nothing happens if none lives)."""

    at_s: float
    event: events.Extended | events.Reloaded


@dataclass(frozen=True, slots=True)
class HandOver:
    """The main process of a service makes way for another (nothing happens if there is none)."""

    at_s: float
    name: str


@dataclass(frozen=True, slots=True)
class End:
    """A shutdown is asked for."""

    at_s: float
    finish: Finish = Finish.POWEROFF


class Impossible(Exception):
    """A scenario that linit is never put into."""


Action = Ask | Become | Die | Replace | Late | Run | Lock | See | Sicken | Say | HandOver | End


@dataclass(frozen=True, slots=True)
class Scenario:
    """`actions` happen in order of their times, those of the same time in the order written. At the end comes a
    shutdown in any case. `target` is started first."""

    services: Mapping[str, Keys]
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    end_s: float = 60.0
    target: str = "default"

    @property
    def size(self) -> int:
        """How much there is to read in it."""
        edges = sum(len(each) for keys in self.services.values() for each in edges_of(keys).values())
        details = sum(len(keys) for keys in self.services.values())
        unusual = sum(_unusual(behaviour) for behaviour in self.behaviours.values())
        happens = sum(_weight(action) for action in self.actions)
        return 3 * len(self.services) + edges + details + unusual + happens


def _unusual(behaviour: Behaviour) -> int:
    plain = Behaviour()
    return 1 + sum(bool(getattr(behaviour, each.name) != getattr(plain, each.name)) for each in fields(Behaviour))


def _weight(action: Action) -> int:
    if isinstance(action, Replace):
        return 3 + sum(2 + len(keys or ()) for keys in action.changes.values())
    if isinstance(action, Become):
        return 3 + _unusual(action.behaviour)
    if isinstance(action, Ask):
        return 3 + len(action.names) + (not action.cascade or action.only) + (action.by != "tester")
    return 3 + (len(action.keys) if isinstance(action, Run) else 0)


def edges_of(keys: Keys) -> dict[str, Sequence[str]]:
    """The edges of a definition by kind."""
    return {kind: keys[kind] for kind in (*HARD, *SOFT) if kind in keys}


def compiled(services: Mapping[str, Keys]) -> Plan:
    """What the compiler makes of definitions: a hard edge to nothing breaks its owner, a soft one is left out, and so
    is a virtual name that nobody provides. Raises Impossible for a cycle of edges, which it would have cut."""
    left = dict(services)
    for name, keys in services.items():
        if keys.get("kind") == "virtual" and not set(keys.get("provided_by", ())) & left.keys():
            del left[name]
    sound = {name: _sound(name, keys, left) for name, keys in left.items()}
    _check_acyclic(sound)
    return graphs.plan(sound)


def _sound(name: str, keys: Keys, known: Mapping[str, Keys]) -> Keys:
    found = dict(keys)
    for kind, ons in edges_of(keys).items():
        found[kind] = [on for on in ons if on in known and on != name]
        if kind in HARD and len(found[kind]) < len(ons):
            found |= {"broken": "definition", "broken_by": ("needs something undefined",)}
    return found


def _check_acyclic(services: Mapping[str, Keys]) -> None:
    settled: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise Impossible(f"a cycle: {' -> '.join((*path, name))}")
        if name not in settled:
            for kind, ons in edges_of(services[name]).items():
                for on in ons if kind != "conflicts" else ():
                    visit(on, (*path, name))
            settled.add(name)

    for name in services:
        visit(name, ())


# -- as the text of a test ---------------------------------------------------------------------------------------


def as_test(scenario: Scenario, name: str) -> str:
    """Python text of a test that plays it under all invariants."""
    lines = [
        "from linit.engine import events",
        "from linit.engine.events import TimerKind, Verb",
        "from linit.engine.simulator import Behaviour",
        "from linit.model.state import Finish, Role",
        "from tests.simulation.playing import play",
        "from tests.simulation.scenario import Ask, Become, Die, End, HandOver, Late, Lock, Replace, Run, Say",
        "from tests.simulation.scenario import Scenario, See, Sicken",
        "",
        "",
        f"def test_{name}() -> None:",
        "    scenario = Scenario(",
        "        services={",
        *(f"            {service!r}: {_text(dict(keys))}," for service, keys in scenario.services.items()),
        "        },",
        "        behaviours={",
        *(f"            {service!r}: {_text(how)}," for service, how in scenario.behaviours.items()),
        "        },",
        "        actions=(",
        *(f"            {_text(action)}," for action in scenario.actions),
        "        ),",
        f"        end_s={scenario.end_s!r},",
        f"        target={scenario.target!r},",
        "    )",
        "    play(scenario, thorough=True)",
    ]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    """Like repr, but enumeration members by name and without what a dataclass has by default."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(each)}" for key, each in value.items()) + "}"
    if hasattr(value, "__dataclass_fields__"):
        place = "events." if type(value).__module__ == events.__name__ else ""
        return f"{place}{type(value).__name__}({', '.join(_arguments(value))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    if hasattr(value, "name") and hasattr(value, "value"):
        return f"{type(value).__name__}.{value.name}"
    return pprint.pformat(value, width=10_000, compact=True)


def _arguments(value: Any) -> Iterator[str]:
    by_name = False
    for each in fields(value):
        found = getattr(value, each.name)
        if found == each.default:
            by_name = True
        else:
            yield f"{each.name}={_text(found)}" if by_name or isinstance(value, Behaviour) else _text(found)
