"""How does a person step through a recording? One word a line, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from linit.replay import moment, text
from linit.replay.stepper import Step, Stepper, why

HELP: Final = """\
n [N]      forward, N events             p [N]      back
goto WHEN  to event N, or a moment       states     where every service is
why NAME   why a service is where it is  q          quit
"""


def run(stepper: Stepper, read: Callable[[str], str], write: Callable[[str], object]) -> None:
    """Until `q`, or the end of what is typed; an empty line is the last command again."""
    write(text.head(stepper.recording))
    write(HELP.rstrip())
    last = "n"
    while True:
        try:
            typed = read(f"{stepper.number}/{len(stepper.recording.entries)}> ").strip() or last
        except EOFError:
            return
        last = typed
        word, _, rest = typed.partition(" ")
        if word in ("q", "quit"):
            return
        for line in obey(stepper, word, rest.strip()):
            write(line)


def obey(stepper: Stepper, word: str, rest: str) -> Iterator[str]:
    """One command; what to show."""
    if word in ("n", "next", "p", "prev"):
        if rest and not rest.isdecimal():
            yield f"found {rest!r}, expected a number of events"
            return
        count = int(rest or 1)
        yield from _shown(stepper, stepper.go_to(stepper.number + (count if word[0] == "n" else -count)))
    elif word == "goto":
        try:
            yield from _shown(stepper, stepper.go_to(target(stepper, rest)))
        except moment.MomentError as error:
            yield str(error)
    elif word == "states":
        yield from text.states(stepper)
    elif word == "why" and rest in stepper.engine.units:
        for link in why(stepper, rest, stepper.engine.now_s)["chain"]:
            yield f"{link['name']}: {link['state']} ({link['text']})"
    elif word == "why":
        yield f"no service is called {rest!r} here"
    else:
        yield HELP.rstrip()


def target(stepper: Stepper, word: str) -> int:
    """How many events to handle: a whole number is that number, all else a moment. Raises MomentError."""
    if word.isdecimal():
        return int(word)
    return stepper.number_at(moment.at(word, stepper.recording))


def _shown(stepper: Stepper, step: Step | None) -> Iterator[str]:
    if step is None:
        yield "at the beginning: nothing has happened yet"
    else:
        yield from text.step(step, stepper.recording.began_s)
