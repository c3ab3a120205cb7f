"""What service does somebody make at run time? `run`: the parameters checked as strictly as a definition is, and the
name that it gets. It runs as any other does, and is gone when it has ended; one that failed stays until a `reset`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any, Final

from linit.control import messages, records
from linit.control.authorisation import printable
from linit.control.calls import Call, Refusal
from linit.control.graph_methods import would_stop
from linit.engine.effects import Answer
from linit.engine.events import Verb
from linit.model.place import Place
from linit.model.service import Command, Dependency, EdgeKind, Execution, Kind, Restart, RestartPolicy, Service
from linit.model.state import Outcome

NAME_MAX: Final = 200  # characters, as in definitions
VARIABLE_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
NAME_LETTERS: Final = VARIABLE_LETTERS | frozenset(".-")
WORDS_MAX: Final = 1024  # of argv
SIZE_MAX_BYTES: Final = 64 << 10  # of argv and environment: the recorder keeps them for the last boots
EDGES_MAX: Final = 256
DESCRIPTION_MAX: Final = 200
SYSINIT: Final = "sysinit"


def run(call: Call, params: dict[str, Any]) -> None:
    """Run a command as a service. The result has its `name`, "" when none was made.

    A name that is chosen here is told by a notification, `named`, before the answer.
    """
    supervisor = call.server.supervisor
    service = service_of(call, params)
    wait = params["wait"]
    known: list[Answer] = []

    def on_answer(answer: Answer) -> None:
        known.append(answer)
        if wait:
            call.answer(_result(call, service.name, answer))
        if answer.outcome is Outcome.DONE and service.kind is Kind.ONESHOT:
            _let_go(call, service.name)

    caller, held = call.caller, call.held
    supervisor.run(service, call.by, on_answer, caller=caller, waits=wait, held=held)
    if wait and not known:
        call.notify(messages.NAMED, {"name": service.name})
    elif not wait:
        accepted = {"name": service.name, "outcome": messages.ACCEPTED, "text": ""}
        made = {"outcome": messages.ACCEPTED, "results": [accepted], "name": service.name}
        call.answer(_result(call, service.name, known[0]) if known else made)


def _result(call: Call, name: str, answer: Answer) -> dict[str, Any]:
    is_there = answer.outcome is Outcome.DONE or name in call.engine.units
    return {**records.wish_result(answer), "name": name if is_there else ""}


def _let_go(call: Call, name: str) -> None:
    """A command that is to run once has done so: nothing of it is left to be looked at, unless others need it."""
    engine = call.engine
    if name in engine.units and not would_stop(name, engine.units, engine.links):
        call.server.supervisor.request(Verb.STOP, (name,), "linit: it has ended", lambda answer: None)


def service_of(call: Call, params: dict[str, Any]) -> Service:
    """The service that the parameters describe. Raises Refusal."""
    argv = tuple(params["argv"])
    environment = tuple(params["environment"].items())
    _check_sizes(argv, environment)
    units = call.engine.units
    name = params["name"] or free_name(argv[0], units)
    if not is_name(name):
        expected = "letters, digits, '_', '.', '-' and at most one '@' that is not the first"
        raise Refusal(messages.BAD_PARAMS, f"run: name: found {printable(repr(name), 60)}, expected {expected}")
    there = units.get(name)
    if there is not None and not (there.service.transient and there.state.is_at_rest_down):
        hint = "without --name a free one is chosen"
        raise Refusal(messages.NOT_POSSIBLE, f"the name is taken: {name} is {there.state.value}", hint)
    if not params["directory"].startswith("/"):
        found = printable(repr(params["directory"]), 60)
        raise Refusal(messages.BAD_PARAMS, f"run: directory: found {found}, expected an absolute path")
    place = Place(f"linitctl run, by {call.by}")
    return Service(
        name,
        place,
        kind=Kind.ONESHOT if params["oneshot"] else Kind.PROCESS,
        description=printable(params["description"] or " ".join(argv), DESCRIPTION_MAX),
        run=Command(argv, place),
        dependencies=tuple(_edges(call, params, place)),
        restart=Restart(RestartPolicy(params["restart"])),
        execution=Execution(user=params["user"], directory=params["directory"], environment=environment),
        transient=True,
    )


def _edges(call: Call, params: dict[str, Any], place: Place) -> Iterator[Dependency]:
    for kind in (EdgeKind.NEED, EdgeKind.WANT):
        names = dict.fromkeys(params[kind.value])
        if len(names) > EDGES_MAX:
            raise Refusal(messages.BAD_PARAMS, f"run: {kind.value}: found {len(names)} names, at most {EDGES_MAX}")
        for name in names:
            yield Dependency(kind, call.unit(name).name, place)
    if SYSINIT in call.engine.units:
        yield Dependency(EdgeKind.AFTER, SYSINIT, Place("every service starts after sysinit"), implied=True)


def _check_sizes(argv: tuple[str, ...], environment: Iterable[tuple[str, str]]) -> None:
    if not argv[0]:
        raise Refusal(messages.BAD_PARAMS, "run: argv: found no program")
    if len(argv) > WORDS_MAX:
        raise Refusal(messages.BAD_PARAMS, f"run: argv: found {len(argv)} words, at most {WORDS_MAX}")
    for variable, _ in environment:
        if not variable or variable[0].isdigit() or not VARIABLE_LETTERS.issuperset(variable):
            found = printable(repr(variable), 60)
            raise Refusal(
                messages.BAD_PARAMS, f"run: environment: found {found}, expected a name of letters, digits and '_'"
            )
    texts = [*argv, *(text for pair in environment for text in pair)]
    size = sum(len(text.encode("utf-8", "surrogateescape")) + 1 for text in texts)
    if size > SIZE_MAX_BYTES:
        raise Refusal(messages.BAD_PARAMS, f"run: argv and environment have {size} bytes, at most {SIZE_MAX_BYTES}")
    if any("\0" in text for text in texts):
        raise Refusal(messages.BAD_PARAMS, "run: found a NUL character, which execve(2) cannot pass on")


def free_name(program: str, taken: Container[str]) -> str:
    """`run-sleep-1` for /bin/sleep: the first number that is free."""
    stem = program.rstrip("/").rpartition("/")[2]
    stem = "".join(letter if letter in NAME_LETTERS else "_" for letter in stem)[: NAME_MAX // 2]
    number = 1
    while f"run-{stem}-{number}" in taken:
        number += 1
    return f"run-{stem}-{number}"


def is_name(text: str) -> bool:
    """Can a service be called so? The rule of definitions, of which PID 1 knows nothing."""
    first, _, instance = text.partition("@")
    return bool(first) and len(text) <= NAME_MAX and NAME_LETTERS.issuperset(first + instance)
